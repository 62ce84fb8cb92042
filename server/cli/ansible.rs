//! `rackstrap ansible-inventory`: hosts and their groups as Ansible reads them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::context::{Context, print};
use crate::cli::host::name_of;
use crate::inventory::Snapshot;
use crate::leases::LeaseBook;
use crate::model::{ClientKey, Host};

/// `rackstrap ansible-inventory`, which Ansible calls as an inventory script.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct AnsibleInventory {
    /// Print all groups and the variables of all hosts
    #[arg(long, group = "what")]
    list: bool,
    /// Print the variables of a host
    #[arg(long, group = "what", value_name = "NAME")]
    host: Option<String>,
}

impl AnsibleInventory {
    /// Prints JSON.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = context.read_inventory().await?;
        let snapshot = inventory.snapshot();
        let leases = LeaseBook::open(inventory.database.clone()).await?;
        let leased = leased(&leases);
        let document = match &self.host {
            Some(host) => {
                let name = name_of(&snapshot, host);
                let Some(host) = snapshot.site.hosts.get(name) else {
                    bail!("host \"{host}\" does not exist");
                };
                variables(name, host, &leased)
            }
            None => list(&snapshot, &leased),
        };
        print(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The address that each host leases.
fn leased(book: &LeaseBook) -> BTreeMap<String, IpAddr> {
    let now = jiff::Timestamp::now().as_second();
    let live = book.list().into_iter().filter(|lease| lease.is_live(now));
    live.filter_map(|lease| match lease.client {
        ClientKey::Host(name) => Some((name, lease.address.into())),
        _ => None,
    })
    .collect()
}

fn variables(name: &str, host: &Host, leased: &BTreeMap<String, IpAddr>) -> Value {
    let mut all = Map::new();
    let address = host.main_address().or_else(|| leased.get(name).copied());
    let macs: BTreeMap<&str, String> =
        host.nics.iter().map(|(label, nic)| (label.as_str(), nic.address.to_string())).collect();
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            all.insert(key.to_owned(), value);
        }
    };
    set("ansible_host", json!(address));
    set("rackstrap_rack", json!(host.rack));
    set("rackstrap_unit", json!(host.unit));
    set("rackstrap_serial", json!(host.serial));
    set("rackstrap_tenant", json!(host.tenant));
    set("rackstrap_profile", json!(host.profile));
    set("rackstrap_image", json!(host.image));
    set("rackstrap_labels", json!(host.labels));
    set("rackstrap_macs", json!(macs));
    set("rackstrap_addresses", json!(host.addresses));
    set("rackstrap_reservations", json!(host.reservations));
    Value::Object(all)
}

fn list(snapshot: &Snapshot, leased: &BTreeMap<String, IpAddr>) -> Value {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut variables_of = Map::new();
    for (name, host) in &snapshot.site.hosts {
        let named = [
            ("rack", &host.rack),
            ("tenant", &host.tenant),
            ("profile", &host.profile),
            ("image", &host.image),
        ];
        let of_nouns = named.into_iter().filter_map(|(kind, noun)| Some((kind, noun.as_ref()?)));
        for (kind, noun) in of_nouns.chain(host.labels.iter().map(|label| ("label", label))) {
            groups.entry(group(kind, noun)).or_default().push(name);
        }
        variables_of.insert(name.clone(), variables(name, host, leased));
    }
    let hosts: Vec<&String> = snapshot.site.hosts.keys().collect();
    let mut document = Map::new();
    document.insert("_meta".to_owned(), json!({ "hostvars": variables_of }));
    let children: Vec<&String> = groups.keys().collect();
    document.insert("all".to_owned(), json!({ "children": children, "hosts": hosts }));
    for (group, hosts) in &groups {
        document.insert(group.clone(), json!({ "hosts": hosts }));
    }
    Value::Object(document)
}

/// The name of a group, in which Ansible allows letters, digits and underscores.
fn group(kind: &str, noun: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    format!("{kind}_{}", noun.chars().map(allowed).collect::<String>())
}
