//! `rackstrap audit`.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;

use crate::cli::context::{Context, moment, parse_moment, table};
use crate::inventory::{AuditQuery, StoredAuditEntry};
use crate::lifecycle::audit::{ActionKind, AuditEntry};

/// `rackstrap audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what this user, token ("token NAME") or operator did
    #[arg(long)]
    who: Option<String>,
    /// Only this kind, such as changed, login-refused or token-used
    #[arg(long)]
    kind: Option<ActionKind>,
    /// Only what came from this address
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only from this time on: a day, a time, or how long ago, such as 12h
    #[arg(long, value_parser = parse_moment)]
    from: Option<i64>,
    /// Only before this time
    #[arg(long, value_parser = parse_moment)]
    until: Option<i64>,
    /// How many entries to list, the newest ones
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
}

impl Audit {
    /// Lists entries, the newest last.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Self { who, kind, address, from, until, limit } = self;
        let query = AuditQuery {
            who,
            kind,
            address,
            from_ms: from,
            until_ms: until,
            limit,
            ..AuditQuery::default()
        };
        let found = context.read_inventory().await?.database.page_audit(&query).await?;
        let entry = |stored: StoredAuditEntry| stored.entry;
        let entries: Vec<AuditEntry> = found.into_iter().rev().map(entry).collect();
        context.print(&entries, || {
            let row = |entry: &AuditEntry| {
                let AuditEntry { at_ms, who, origin, action, .. } = entry;
                let from = match origin.address {
                    Some(address) => format!("{} {address}", origin.via),
                    None => origin.via.to_string(),
                };
                vec![moment(*at_ms), who.clone(), from, action.kind().to_string(), entry.text()]
            };
            let header = ["TIME", "WHO", "FROM", "KIND", "TEXT"];
            table(&header, &entries.iter().map(row).collect::<Vec<_>>())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
