//! `rackstrap lease ...`.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::context::{Context, moment, operator, table};
use crate::leases::LeaseBook;
use crate::lifecycle::EventKind;
use crate::model::Lease;

/// How long the event of a change may take to be stored.
const FLUSH: Duration = Duration::from_secs(5);

/// What can be done with leases.
#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// List who holds which address until when
    List(List),
    /// Show one
    Show(Address),
    /// Take one back, or end a quarantine: the address is free again; its client is not told
    Remove(Address),
}

/// Which leases.
#[derive(Debug, Args)]
pub struct List {
    /// Those too that are over
    #[arg(long)]
    all: bool,
}

/// Which lease.
#[derive(Debug, Args)]
pub struct Address {
    /// Its address
    address: Ipv4Addr,
}

impl LeaseCommand {
    /// Does it.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = context.inventory().await?;
        let book = LeaseBook::open(inventory.database.clone()).await?;
        let mut leases = book.list();
        let now = jiff::Timestamp::now().as_second();
        match self {
            Self::List(List { all }) => leases.retain(|lease| all || lease.is_live(now)),
            Self::Show(Address { address }) => {
                leases.retain(|lease| lease.address == address);
                if leases.is_empty() {
                    bail!("nobody has had a lease of {address}");
                }
            }
            Self::Remove(Address { address }) => {
                leases.retain(|lease| lease.address == address);
                let Some(lease) = leases.first() else {
                    bail!("nobody has had a lease of {address}");
                };
                book.remove(address).await?;
                let text = format!("{} took back {address} of {}", operator(), lease.client);
                inventory.events.record(None, Some(lease.mac), EventKind::Change, text);
                inventory.events.flush(FLUSH).await;
            }
        }
        context.print(&leases.iter().map(as_json).collect::<Vec<_>>(), || {
            let header = ["ADDRESS", "CLIENT", "MAC", "SUBNET", "STATE", "UNTIL"];
            table(&header, &leases.iter().map(row).collect::<Vec<_>>())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(lease: &Lease) -> Vec<String> {
    vec![
        lease.address.to_string(),
        lease.client.to_string(),
        lease.mac.to_string(),
        lease.subnet.clone(),
        lease.state.label().into(),
        moment(lease.expires_at * 1000),
    ]
}

fn as_json(lease: &Lease) -> Value {
    let Lease { address, client, mac, subnet, state, starts_at, expires_at } = lease;
    json!({
        "address": address, "client": client.to_string(), "mac": mac, "subnet": subnet,
        "state": state.label(), "starts_at": starts_at, "expires_at": expires_at,
    })
}
