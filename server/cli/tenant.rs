//! `rackstrap tenant ...`: who rents which hosts, from when to when.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::context::{Context, table};
use crate::cli::nouns::{self, Name, NounCommand, Remove, Set, or_dash};
use crate::inventory::now_ms;
use crate::model::{Host, Noun, Site, Tenant};
use crate::site_file;

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// List them all, with how many of their rentals end soon or have ended
    List,
    /// Show one with its subnets and its hosts, and when their rentals begin and end
    Show(Name),
    /// Change values of one, or add it
    Set(Set),
    /// Remove some
    Remove(Remove),
}

impl TenantCommand {
    /// Does it.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List => NounCommand::List.run::<Tenant>(context).await,
            Self::Show(Name { name }) => show(&context, &name).await,
            Self::Set(set) => nouns::set::<Tenant>(&context, set).await,
            Self::Remove(remove) => nouns::remove::<Tenant>(&context, remove).await,
        }
    }
}

async fn show(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let snapshot = context.read_inventory().await?.snapshot();
    let (site, now) = (&snapshot.site, now_ms() / 1000);
    let (name, tenant) = nouns::find::<Tenant>(site, name)?;
    let hosts: Vec<(&String, &Host)> =
        site.hosts.iter().filter(|(_, host)| host.tenant.as_ref() == Some(name)).collect();
    let subnets: Vec<&String> = subnets_of(site, name);
    let mut value = tenant.named(name);
    value["subnets"] = json!(subnets);
    value["hosts"] = hosts.iter().map(|(name, host)| rental_json(name, host, now)).collect();
    context.print(&value, || {
        let row = |(name, host): &(&String, &Host)| {
            let term = host.rental_term(now).map(|term| term.label());
            vec![
                (*name).clone(),
                or_dash(host.rented_from),
                or_dash(host.rented_until),
                or_dash(term),
            ]
        };
        let rows: Vec<_> = hosts.iter().map(row).collect();
        let subnets = subnets.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let entry = site_file::render(&nouns::fragment(name, tenant));
        let hosts = table(&["HOST", "LEASED FROM", "LEASED UNTIL", "LEASE"], &rows);
        format!("{entry}# subnets: {subnets}\n{hosts}")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn subnets_of<'a>(site: &'a Site, tenant: &String) -> Vec<&'a String> {
    let own = site.subnets.iter().filter(|(_, subnet)| subnet.tenant.as_ref() == Some(tenant));
    own.map(|(name, _)| name).collect()
}

fn rental_json(name: &str, host: &Host, now: i64) -> Value {
    json!({
        "name": name,
        "rented-from": host.rented_from,
        "rented-until": host.rented_until,
        "rental": host.rental_term(now).map(|term| term.label()),
    })
}
