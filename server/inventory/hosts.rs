//! Hosts with their NICs and addresses in the database.

use std::collections::BTreeMap;

use crate::inventory::Error;
use crate::inventory::database::{Transaction, execute, insert_rows, with_connection};
use crate::inventory::specs::to_json;
use crate::model::{Cable, ClientKey, Host, Nic};
use crate::network::Domains;
use crate::profile::ResolvedSite;

type Hosts = BTreeMap<String, Host>;

/// The hosts before and after a change, those of before under their new names.
pub(crate) struct Changing<'a> {
    before: &'a Hosts,
    after: &'a Hosts,
    domains: (Domains<'a>, Domains<'a>),
}

impl<'a> Changing<'a> {
    /// The hosts of `after`, and of `site` as `before` names them.
    pub(crate) fn new(site: &'a ResolvedSite, before: &'a Hosts, after: &'a ResolvedSite) -> Self {
        let domains = (Domains::of(site), Domains::of(after));
        Self { before, after: &after.hosts, domains }
    }

    /// Whether the rows of a host that stays are the same: it, and its addresses' domains.
    fn stays(&self, name: &str) -> bool {
        let (before, after) = &self.domains;
        self.before.get(name) == self.after.get(name) && before.of_host(name) == after.of_host(name)
    }
}

#[derive(sqlx::FromRow)]
struct HostRow {
    name: String,
    rack: Option<String>,
    tenant: Option<String>,
    profile: Option<String>,
    image: Option<String>,
    spec: String,
}

/// Reads every host.
pub(crate) async fn list(transaction: &mut Transaction) -> Result<Hosts, Error> {
    const HOSTS: &str = "SELECT name, rack, tenant, profile, image, spec FROM hosts";
    let rows: Vec<HostRow> = with_connection!(transaction, connection =>
        sqlx::query_as(HOSTS).fetch_all(connection).await)?;
    let mut hosts = rows.into_iter().map(read).collect::<Result<Hosts, Error>>()?;
    add_nics(transaction, &mut hosts).await?;
    add_addresses(transaction, &mut hosts).await?;
    Ok(hosts)
}

fn read(row: HostRow) -> Result<(String, Host), Error> {
    let host: Host = serde_json::from_str(&row.spec)
        .map_err(|error| Error::unreadable("host", &row.name, error))?;
    let HostRow { name, rack, tenant, profile, image, .. } = row;
    Ok((name, Host { rack, tenant, profile, image, ..host }))
}

async fn add_nics(transaction: &mut Transaction, hosts: &mut Hosts) -> Result<(), Error> {
    const NICS: &str = "SELECT host, label, mac, switch, port FROM nics ORDER BY host, position";
    type Row = (String, String, String, Option<String>, Option<String>);
    let rows: Vec<Row> = with_connection!(transaction, connection =>
        sqlx::query_as(NICS).fetch_all(connection).await)?;
    for (host, label, mac, switch, port) in rows {
        let address = mac.parse().map_err(|error| Error::unreadable("NIC", &mac, error))?;
        let cable = switch.zip(port).map(|(switch, port)| Cable { switch, port });
        if let Some(host) = hosts.get_mut(&host) {
            host.nics.insert(label, Nic { address, cable });
        }
    }
    Ok(())
}

async fn add_addresses(transaction: &mut Transaction, hosts: &mut Hosts) -> Result<(), Error> {
    const ADDRESSES: &str = "SELECT host, link, subnet, address FROM host_addresses";
    type Row = (String, Option<String>, Option<String>, String);
    let rows: Vec<Row> = with_connection!(transaction, connection =>
        sqlx::query_as(ADDRESSES).fetch_all(connection).await)?;
    for (host, link, subnet, address) in rows {
        let address =
            address.parse().map_err(|error| Error::unreadable("address", &address, error))?;
        let Some(host) = hosts.get_mut(&host) else { continue };
        if let Some(link) = link {
            host.addresses.insert(link, address);
        }
        if let Some(subnet) = subnet {
            host.reservations.insert(subnet, address);
        }
    }
    Ok(())
}

/// Gives hosts their new names; their state, reports, NICs, addresses and leases go along.
pub(crate) async fn rename(
    transaction: &mut Transaction,
    renamed: &BTreeMap<String, String>,
) -> Result<(), Error> {
    const RENAME: &str = "UPDATE hosts SET name = $2 WHERE name = $1";
    const RENAME_LEASES: &str = "UPDATE leases SET client = $2 WHERE client = $1";
    for (before, after) in renamed {
        execute!(transaction, RENAME, before, after)?;
        execute!(transaction, RENAME_LEASES, client(before), client(after))?;
    }
    Ok(())
}

/// How the leases name a host.
fn client(host: &str) -> String {
    ClientKey::Host(host.to_owned()).to_string()
}

/// Gives hosts the leases that their NICs have made as strangers. A port of InfiniBand may be given
/// by the 20 bytes of its link, which end with its GUID.
async fn adopt_leases(transaction: &mut Transaction) -> Result<(), Error> {
    const ADOPT: &str = "UPDATE leases SET client =
         (SELECT 'host:' || nics.host FROM nics WHERE nics.mac = leases.nic
          OR (length(nics.mac) = 59 AND substr(nics.mac, 37) = leases.nic))
         WHERE (client LIKE 'mac:%' OR client LIKE 'guid:%') AND EXISTS
         (SELECT 1 FROM nics WHERE nics.mac = leases.nic
          OR (length(nics.mac) = 59 AND substr(nics.mac, 37) = leases.nic))";
    execute!(transaction, ADOPT)?;
    Ok(())
}

/// Removes the hosts of `before` that `after` lacks, and takes the NICs and addresses
/// off those that change: two hosts may exchange them.
pub(crate) async fn release_changed(
    transaction: &mut Transaction,
    hosts: &Changing<'_>,
) -> Result<(), Error> {
    const REMOVE: &str = "DELETE FROM hosts WHERE name = $1";
    // Whoever has the NIC keeps what it leases, as a stranger.
    const FORGET_LEASES: &str = "UPDATE leases SET client =
         CASE length(nic) WHEN 17 THEN 'mac:' || nic WHEN 23 THEN 'guid:' || nic
         ELSE 'mac:00:00:00:00:00:00' END
         WHERE client LIKE 'host:%' AND substr(client, 6) NOT IN (SELECT name FROM hosts)";
    const FORGET_NICS: &str = "DELETE FROM nics WHERE host = $1";
    const FORGET_ADDRESSES: &str = "DELETE FROM host_addresses WHERE host = $1";
    const FORGET_IDENTITIES: &str = "DELETE FROM host_identities WHERE host = $1";
    let Changing { before, after, .. } = hosts;
    for name in before.keys() {
        match after.get(name) {
            Some(_) if hosts.stays(name) => continue,
            Some(_) => {
                execute!(transaction, FORGET_NICS, name)?;
                execute!(transaction, FORGET_ADDRESSES, name)?;
                execute!(transaction, FORGET_IDENTITIES, name)?;
            }
            None => {
                execute!(transaction, REMOVE, name)?;
            }
        }
    }
    if before.keys().any(|name| !after.contains_key(name)) {
        execute!(transaction, FORGET_LEASES)?;
    }
    Ok(())
}

/// Writes the hosts of `after` that `before` lacks or has otherwise. The state of a
/// host is not touched: it is not the operator's to declare.
pub(crate) async fn set_changed(
    transaction: &mut Transaction,
    hosts: &Changing<'_>,
) -> Result<(), Error> {
    const HOSTS: &str = "INSERT INTO hosts (name, rack, tenant, profile, image, spec) ";
    const OR_CHANGE: &str = " ON CONFLICT (name) DO UPDATE SET rack = excluded.rack,
         tenant = excluded.tenant, profile = excluded.profile, image = excluded.image,
         spec = excluded.spec";
    const NICS: &str = "INSERT INTO nics (mac, host, label, position, switch, port) ";
    const ADDRESSES: &str = "INSERT INTO host_addresses (vrf, address, host, link, subnet) ";

    let Changing { before, after, domains: (_, domains) } = hosts;
    let changed: Vec<(&String, &Host)> =
        after.iter().filter(|(name, _)| !hosts.stays(name)).collect();
    let rows = changed
        .iter()
        .map(|(name, host)| Ok((*name, *host, spec(name, host)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    insert_rows!(
        transaction,
        HOSTS,
        &rows,
        |(name, host, spec)| [*name, &host.rack, &host.tenant, &host.profile, &host.image, spec,],
        OR_CHANGE
    );

    let nics: Vec<_> = changed
        .iter()
        .flat_map(|(name, host)| (0_i64..).zip(&host.nics).map(move |nic| (*name, nic)))
        .collect();
    insert_rows!(
        transaction,
        NICS,
        &nics,
        |(host, (position, (label, nic)))| [
            nic.address.to_string(),
            *host,
            *label,
            *position,
            nic.cable.as_ref().map(|cable| cable.switch.as_str()),
            nic.cable.as_ref().map(|cable| cable.port.as_str()),
        ],
        ""
    );

    let addresses: Vec<_> =
        changed.iter().flat_map(|(name, host)| addresses(name, host, domains)).collect();
    insert_rows!(
        transaction,
        ADDRESSES,
        &addresses,
        |row| [row.vrf, &row.address, row.host, row.link, row.subnet,],
        ""
    );

    // They are read from the host's spec; the rows keep each with one host.
    const IDENTITIES: &str = "INSERT INTO host_identities (kind, value, host) ";
    let identities: Vec<_> = changed
        .iter()
        .flat_map(|(name, host)| host.known_by.identities().map(move |identity| (*name, identity)))
        .collect();
    insert_rows!(
        transaction,
        IDENTITIES,
        &identities,
        |(host, identity)| [identity.kind(), identity.value(), *host,],
        ""
    );
    if changed.iter().any(|(name, host)| before.get(*name).map(|old| &old.nics) != Some(&host.nics))
    {
        adopt_leases(transaction).await?;
    }
    Ok(())
}

/// The JSON of what has no column or table of its own.
fn spec(name: &str, host: &Host) -> Result<String, Error> {
    let rest = Host {
        rack: None,
        tenant: None,
        profile: None,
        image: None,
        nics: Default::default(),
        addresses: BTreeMap::new(),
        reservations: BTreeMap::new(),
        ..host.clone()
    };
    to_json("host", name, &rest)
}

struct AddressRow<'a> {
    vrf: &'a str,
    address: String,
    host: &'a str,
    link: Option<&'a str>,
    subnet: Option<&'a str>,
}

/// The rows of a host's addresses. One that is on a link and reserved for DHCP too is one
/// row; one on two links is two, and the database refuses it.
fn addresses<'a>(host_name: &'a str, host: &'a Host, domains: &Domains<'a>) -> Vec<AddressRow<'a>> {
    let mut rows: Vec<AddressRow<'a>> = Vec::new();
    for (section, key, (vrf, address)) in domains.owned(host_name, host) {
        let address = address.to_string();
        let key = Some(key.as_str());
        let same = |row: &&mut AddressRow<'_>| {
            (row.vrf, &row.address, row.subnet) == (vrf, &address, None)
        };
        let (link, subnet) = if section == "addresses" { (key, None) } else { (None, key) };
        match rows.iter_mut().find(same).filter(|_| subnet.is_some()) {
            Some(on_link) => on_link.subnet = subnet,
            None => rows.push(AddressRow { vrf, address, host: host_name, link, subnet }),
        }
    }
    rows
}
