//! `rackstrap event ...`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::cli::context::{Context, moment, table};
use crate::cli::host::name_of;
use crate::inventory::EventFilter;

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// List what happened, the newest last
    List(List),
}

/// Which events.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Those of one host only (by name or by any of its MACs)
    host: Option<String>,
    /// The newest so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: u32,
}

impl EventCommand {
    /// Does it.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Self::List(List { host, limit }) = self;
        let inventory = context.inventory().await?;
        let snapshot = inventory.snapshot();
        let host = host.map(|host| name_of(&snapshot, &host).to_owned());
        let filter = EventFilter { host, limit, ..EventFilter::default() };
        let mut events = inventory.database.list_events(&filter).await?;
        events.reverse();
        context.print(&events, || {
            let row = |event: &crate::lifecycle::Event| {
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
        Ok(ExitCode::SUCCESS)
    }
}
