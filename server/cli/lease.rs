//! `rackstrap lease ...`.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::context::{Context, audit, moment, table};
use crate::leases::LeaseBook;
use crate::lifecycle::audit::AuditAction;
use crate::model::{Lease, Mac};

/// `rackstrap lease`.
#[derive(Debug, Subcommand)]
pub(crate) enum LeaseCommand {
    /// List leases
    List(List),
    /// Show a lease
    Show(Address),
    /// Release an address, leased or declined, at once; its client is not notified
    Remove(Address),
}

/// `rackstrap lease list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Include expired leases
    #[arg(long)]
    all: bool,
}

/// A lease by its address.
#[derive(Debug, Args)]
pub(crate) struct Address {
    /// IPv4 address
    address: Ipv4Addr,
}

impl LeaseCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = match &self {
            Self::List(_) | Self::Show(_) => context.read_inventory().await?,
            _ => context.inventory().await?,
        };
        let book = LeaseBook::open(inventory.database.clone()).await?;
        let mut leases = book.list();
        let now = jiff::Timestamp::now().as_second();
        match self {
            Self::List(List { all }) => leases.retain(|lease| all || lease.is_live(now)),
            Self::Show(Address { address }) => {
                leases.retain(|lease| lease.address == address);
                if leases.is_empty() {
                    bail!("{address} has no lease");
                }
            }
            Self::Remove(Address { address }) => {
                leases.retain(|lease| lease.address == address);
                let Some(lease) = leases.first() else {
                    bail!("{address} has no lease");
                };
                book.remove(address).await?;
                let client = lease.client.to_string();
                audit(&inventory, AuditAction::LeaseRemoved { address, client }).await;
            }
        }
        context.print(&leases.iter().map(as_json).collect::<Vec<_>>(), || {
            let header = ["ADDRESS", "CLIENT", "NIC", "SUBNET", "STATE", "UNTIL"];
            table(&header, &leases.iter().map(row).collect::<Vec<_>>())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(lease: &Lease) -> Vec<String> {
    vec![
        lease.address.to_string(),
        lease.client.to_string(),
        lease.nic.map(|nic| nic.to_string()).unwrap_or_default(),
        lease.subnet.clone(),
        lease.state.label().into(),
        moment(lease.expires_at * 1000),
    ]
}

fn as_json(lease: &Lease) -> Value {
    let Lease { address, client, nic, subnet, state, starts_at, expires_at, taken_over } = lease;
    json!({
        "address": address, "client": client.to_string(), "nic": nic,
        "mac": lease.mac().unwrap_or(Mac([0; 6])), "subnet": subnet, "state": state.label(),
        "starts_at": starts_at, "expires_at": expires_at, "taken_over": taken_over,
    })
}
