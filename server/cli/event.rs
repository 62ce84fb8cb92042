//! `rackstrap event ...`.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::context::{Context, moment, parse_moment, table};
use crate::cli::host::name_of;
use crate::inventory::{EventPageQuery, EventsOf};
use crate::lifecycle::{Event, EventKind};
use crate::model::Mac;

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// List what happened, the newest last
    List(List),
}

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those of one host and of its BMC only (by name or by any of its MACs)
    host: Option<String>,
    /// Only this kind, such as offer, report or warning
    #[arg(long)]
    kind: Option<EventKind>,
    /// Only about this MAC, in any notation
    #[arg(long)]
    mac: Option<Mac>,
    /// Only about this address
    #[arg(long)]
    address: Option<IpAddr>,
    /// Only with words that begin with the words of this text
    #[arg(long, default_value = "")]
    text: String,
    /// Only from this time on: a day, a time, or how long ago, such as 12h
    #[arg(long, value_parser = parse_moment)]
    from: Option<i64>,
    /// Only before this time
    #[arg(long, value_parser = parse_moment)]
    until: Option<i64>,
    /// Only events before the one with this number, to page through older ones
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// The newest so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
}

impl EventCommand {
    /// Does it.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Self::List(List { host, kind, mac, address, text, from, until, before, limit }) = self;
        let inventory = context.read_inventory().await?;
        let snapshot = inventory.snapshot();
        let query = EventPageQuery {
            host: host.map(|host| EventsOf::host(&snapshot.site, name_of(&snapshot, &host))),
            kind,
            mac,
            address,
            text,
            from_ms: from.unwrap_or_default(),
            until_ms: until,
            before,
            after: None,
            oldest_first: false,
            // One more than is shown: whether there are older ones.
            limit: limit.saturating_add(1),
        };
        let mut found = inventory.database.page_events(&query).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let oldest = found.last().map(|stored| stored.number);
        let events: Vec<Event> = found.into_iter().rev().map(|stored| stored.event).collect();
        context.print(&events, || {
            let row = |event: &Event| {
                let whom = event.host.clone().or_else(|| Some(event.mac?.to_string()));
                vec![
                    moment(event.at_ms),
                    whom.unwrap_or_default(),
                    event.kind().to_string(),
                    event.text(),
                ]
            };
            table(&["TIME", "HOST", "KIND", "TEXT"], &events.iter().map(row).collect::<Vec<_>>())
        })?;
        if let Some(oldest) = oldest.filter(|_| has_more) {
            eprintln!("older events: add --before {oldest}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
