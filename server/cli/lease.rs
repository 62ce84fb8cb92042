//! `rackstrap lease ...`.

use std::net::Ipv4Addr;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::context::{Context, moment, table};
use crate::inventory::LeaseBook;
use crate::model::Lease;

/// What can be done with leases.
#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// List who holds which address until when
    List(List),
    /// Show one
    Show(Address),
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
        let database = context.inventory().await?.database;
        let mut leases = LeaseBook::open(database).await?.list();
        let now = jiff::Timestamp::now().as_second();
        match self {
            Self::List(List { all }) => leases.retain(|lease| all || lease.is_live(now)),
            Self::Show(Address { address }) => {
                leases.retain(|lease| lease.address == address);
                if leases.is_empty() {
                    bail!("nobody has had a lease of {address}");
                }
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
