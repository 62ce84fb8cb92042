//! `rackstrap audit`.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::context::{Context, counted, moment, parse_moment, status, table};
use crate::inventory::{AuditCheck, AuditQuery, Head, StoredAuditEntry};
use crate::lifecycle::audit::{ActionKind, AuditEntry};

/// `rackstrap audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Option<AuditCommand>,
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

/// `rackstrap audit COMMAND`.
#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Check that no entry was changed, removed or inserted
    Verify(Verify),
}

/// `rackstrap audit verify`. The server may run.
#[derive(Debug, Args)]
struct Verify {
    /// Also check that the log goes on from this head, which the server logs every hour
    #[arg(long, value_name = "NUMBER-HASH")]
    head: Option<Head>,
}

impl Verify {
    /// Reads the whole log; fails if something is wrong.
    async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = context.read_inventory().await?;
        let check = inventory.database.check_audit(self.head.as_ref()).await?;
        context.print(&check, || text_of(&check))?;
        Ok(status(check.fault.is_none()))
    }
}

fn text_of(check: &AuditCheck) -> String {
    let AuditCheck { entries, adopted, last_adopted, trimmed_before_ms, head, fault } = check;
    let entries = match entries {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    let mut text = match fault {
        None => format!("{entries}, none of them changed, removed or inserted; head {head}\n"),
        Some(fault) => {
            format!("error: {fault}\n{entries} before that are intact, up to link {head}\n")
        }
    };
    if let Some(before_ms) = trimmed_before_ms {
        text.push_str(&format!("removed by audit_days: all before {}\n", moment(*before_ms)));
    }
    if let Some(last) = last_adopted {
        text.push_str(&format!(
            "{} stored without a link, by an earlier version or by hand, the last of them {last}\n",
            counted(*adopted, "row")
        ));
    }
    text
}

impl Audit {
    /// Lists entries, the newest last, or checks them.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        if let Some(AuditCommand::Verify(verify)) = self.command {
            return verify.run(context).await;
        }
        let Self { command: _, who, kind, address, from, until, limit } = self;
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
