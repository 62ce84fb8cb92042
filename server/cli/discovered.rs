//! `rackstrap discovered`.

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::{Context, moment, table};
use crate::leases::LeaseBook;
use crate::lifecycle::event::Way;
use crate::lifecycle::unknown::UnknownClient;

/// `rackstrap discovered`.
#[derive(Debug, Args)]
pub(crate) struct Discovered {}

impl Discovered {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = context.read_inventory().await?;
        let leases = LeaseBook::open(inventory.database.clone()).await?.list();
        let now = jiff::Timestamp::now().as_second();
        let clients = inventory.unknown_clients(&leases, now).await?;
        context.print(&clients, || {
            let header = ["NIC", "ADDRESS", "SEEN AS", "VENDOR CLASS", "FROM", "FIRST", "LAST"];
            table(&header, &clients.iter().map(row).collect::<Vec<_>>())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(client: &UnknownClient) -> Vec<String> {
    let marks = client.marks.as_ref();
    let seen_as = match (client.looks_like_bmc, marks) {
        (Some(sign), _) => format!("BMC? ({sign})"),
        (None, marks) => marks.map(|marks| marks.client.to_string()).unwrap_or_default(),
    };
    let way = marks.map(|marks| match &marks.way {
        Way::Interface(interface) => interface.clone(),
        Way::Relay { address, port: None } => address.to_string(),
        Way::Relay { address, port: Some(port) } => format!("{address} port {port}"),
    });
    vec![
        client.nic.map_or_else(|| client.client.clone(), |nic| nic.to_string()),
        client.lease.as_ref().map(|lease| lease.address.to_string()).unwrap_or_default(),
        seen_as,
        marks.and_then(|marks| marks.vendor_class.clone()).unwrap_or_default(),
        way.unwrap_or_default(),
        moment(client.first_seen_ms),
        moment(client.last_seen_ms),
    ]
}
