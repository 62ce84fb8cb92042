//! Leases of another DHCP server, for a cut-over that moves nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use serde_json::json;

use crate::cli::context::{Context, audit, moment};
use crate::inventory::Snapshot;
use crate::leases::foreign_file::{ForeignLease, ForeignState, LeaseFile, UnreadReason, Writer};
use crate::leases::pool::Pool;
use crate::leases::{CommitError, LeaseBook};
use crate::lifecycle::audit::AuditAction;
use crate::model::{
    ClientKey, Host, IdentifyBy, Identity, Lease, LeaseState, Subnet, UnknownClients,
};

/// For how long a lease without an end is taken over, in seconds: ten years. Its client does not
/// renew it, so nobody else may get the address before somebody releases the lease.
const WITHOUT_END_S: i64 = 10 * 365 * 86_400;
/// How many leases are stored at once.
const BATCH: usize = 256;

/// Why a lease of the file is not taken.
#[derive(Clone, Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    Unread(#[from] UnreadReason),
    #[error("it ended at {}", moment(.0 * 1000))]
    Ended(i64),
    #[error("somebody was found on it who has no lease; it is probed before a client gets it")]
    InUse,
    #[error("no subnet of the site has this address")]
    NoSubnet,
    #[error("subnet {subnet} has no dhcp range with this address")]
    OutsideRanges { subnet: String },
    #[error("the address is host {host}'s own")]
    OfHost { host: String },
    #[error("the address is a gateway, a DNS server or a BMC of the site")]
    KeptOff,
    #[error("its client is host {host}, whose own address is {own}: it moves there when it boots")]
    HasOwn { host: String, own: IpAddr },
    #[error("its client is the BMC of a host, and has its own address")]
    OfBmc,
    #[error("its client is unknown, and subnet {subnet} refuses unknown clients")]
    Refused { subnet: String },
    #[error("it names no client that subnet {subnet} can tell from others")]
    NoClient { subnet: String },
    #[error(transparent)]
    NotStored(#[from] CommitError),
}

/// What becomes of a file.
#[derive(Debug, Default)]
struct ImportPlan {
    leases: Vec<Planned>,
    refused: Vec<Refused>,
}

#[derive(Debug)]
struct Planned {
    line: usize,
    lease: Lease,
}

#[derive(Debug)]
struct Refused {
    line: usize,
    address: Option<Ipv4Addr>,
    why: NotTaken,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        if let Some(address) = self.address {
            write!(f, "{address}: ")?;
        }
        write!(f, "not taken: {}", self.why)
    }
}

/// Takes over the leases of a file.
pub(super) async fn import(
    context: &Context,
    name: &str,
    text: &str,
    writer: Writer,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let inventory = context.inventory_for(dry_run).await?;
    let book = LeaseBook::open(inventory.database.clone()).await?;
    let now = jiff::Timestamp::now().as_second();
    let mut plan = plan(&inventory.snapshot(), LeaseFile::read(text, writer), now);
    let mut taken = plan.leases.len();
    if dry_run {
        for Planned { line, lease } in &plan.leases {
            if let Some(held) = book.find(lease.address)
                && held.is_live(now)
                && (held.client != lease.client && (held.nic.is_none() || held.nic != lease.nic))
            {
                taken -= 1;
                let why = CommitError::Taken(lease.address).into();
                plan.refused.push(Refused { line: *line, address: Some(lease.address), why });
            }
        }
    } else {
        taken = store(&book, &mut plan, now).await?;
        if taken > 0 {
            let action =
                AuditAction::LeasesImported { file: name.to_owned(), leases: taken as u64 };
            audit(&inventory, action).await;
        }
    }
    plan.refused.sort_by_key(|refused| refused.line);
    let refused: Vec<_> = plan.refused.iter().map(|one| format!("{name}: {one}")).collect();
    let value = json!({
        "dry_run": dry_run,
        "from": writer.to_string(),
        "leases": taken,
        "not_taken": plan.refused.iter().map(|one| json!({
            "line": one.line, "address": one.address, "reason": one.why.to_string(),
        })).collect::<Vec<_>>(),
    });
    context.print(&value, || {
        let lines: String = refused.iter().map(|line| format!("{line}\n")).collect();
        let plural = if taken == 1 { "" } else { "s" };
        let done =
            if dry_run { "would be taken over; dry run: nothing changed" } else { "taken over" };
        format!("{lines}{taken} lease{plural} of {writer} {done}\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Stores the leases that are free here; says how many.
async fn store(book: &LeaseBook, plan: &mut ImportPlan, now: i64) -> anyhow::Result<usize> {
    let mut stored = Vec::new();
    for batch in plan.leases.chunks(BATCH) {
        let leases = batch.iter().map(|planned| planned.lease.clone()).collect();
        let outcomes = book.commit_all(leases, now).await;
        for (Planned { line, lease }, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Ok(lease) => stored.push(lease.address),
                Err(error) => plan.refused.push(Refused {
                    line: *line,
                    address: Some(lease.address),
                    why: error.into(),
                }),
            }
        }
    }
    book.announce(&stored).await?;
    Ok(stored.len())
}

fn plan(snapshot: &Snapshot, file: LeaseFile, now: i64) -> ImportPlan {
    let mut plan = ImportPlan::default();
    for unread in file.unread {
        plan.refused.push(Refused { line: unread.line, address: None, why: unread.reason.into() });
    }
    let owners = Owners::of(snapshot);
    let mut pools = BTreeMap::new();
    for foreign in file.leases {
        let (line, address) = (foreign.line, foreign.address);
        match foreign.state {
            ForeignState::Bound => {}
            // That an address is free is nothing to report.
            ForeignState::Free => continue,
            ForeignState::InUse => {
                let why = NotTaken::InUse;
                plan.refused.push(Refused { line, address: Some(address), why });
                continue;
            }
        }
        match take(snapshot, &owners, &mut pools, foreign, now) {
            Ok(lease) => plan.leases.push(Planned { line, lease }),
            Err(why) => plan.refused.push(Refused { line, address: Some(address), why }),
        }
    }
    plan
}

/// Whose own an address is, and those that nobody gets.
struct Owners<'a> {
    hosts: BTreeMap<IpAddr, &'a str>,
    kept_off: Vec<IpAddr>,
}

impl<'a> Owners<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut hosts = BTreeMap::new();
        let mut kept_off = Vec::new();
        for (name, host) in &snapshot.site.hosts {
            let own = host.addresses.values().chain(host.reservations.values());
            hosts.extend(own.map(|address| (*address, name.as_str())));
            kept_off.extend(host.bmc.as_ref().and_then(|bmc| bmc.address));
        }
        for subnet in snapshot.site.subnets.values() {
            kept_off.extend(subnet.gateway);
            kept_off.extend(subnet.dns.iter().map(|server| server.address));
        }
        kept_off.sort_unstable();
        Self { hosts, kept_off }
    }
}

/// The lease here that a lease of another server becomes.
fn take(
    snapshot: &Snapshot,
    owners: &Owners<'_>,
    pools: &mut BTreeMap<String, Pool>,
    foreign: ForeignLease,
    now: i64,
) -> Result<Lease, NotTaken> {
    let address = foreign.address;
    if let Some(ended) = foreign.ends_at.filter(|ends_at| *ends_at <= now) {
        return Err(NotTaken::Ended(ended));
    }
    let name = snapshot.subnets().around(address).last().ok_or(NotTaken::NoSubnet)?.to_owned();
    let subnet = snapshot.site.subnets.get(&name).ok_or(NotTaken::NoSubnet)?;
    if foreign.mac.is_some_and(|mac| snapshot.bmc_of_mac(mac).is_some()) {
        return Err(NotTaken::OfBmc);
    }
    let host = host_of(snapshot, &foreign);
    match owners.hosts.get(&IpAddr::V4(address)) {
        Some(owner) if host.is_none_or(|(host, _)| host != *owner) => {
            return Err(NotTaken::OfHost { host: (*owner).to_owned() });
        }
        Some(_) => {}
        None => {
            if owners.kept_off.binary_search(&address.into()).is_ok() {
                return Err(NotTaken::KeptOff);
            }
            if let Some((host, own)) =
                host.and_then(|(host, it)| Some((host, own_in(it, &name, subnet)?)))
            {
                return Err(NotTaken::HasOwn { host: host.to_owned(), own });
            }
            let pool = pools.entry(name.clone()).or_insert_with(|| Pool::new(subnet));
            if !pool.contains(address) {
                return Err(NotTaken::OutsideRanges { subnet: name });
            }
        }
    }
    if host.is_none() && subnet.unknown_clients == UnknownClients::Refuse {
        return Err(NotTaken::Refused { subnet: name });
    }
    let mac = foreign.mac.filter(|mac| !mac.is_zero() && !mac.is_multicast());
    let by_id = || {
        let hexadecimal = |id: &Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect();
        foreign.client_id.as_ref().map(hexadecimal).map(ClientKey::Id)
    };
    let client = match (host, subnet.identify_by) {
        (Some((host, _)), _) => Some(ClientKey::Host(host.to_owned())),
        (None, IdentifyBy::Mac) => mac.map(ClientKey::Mac).or_else(by_id),
        (None, IdentifyBy::ClientId) => by_id().or_else(|| mac.map(ClientKey::Mac)),
    };
    Ok(Lease {
        address,
        client: client.ok_or_else(|| NotTaken::NoClient { subnet: name.clone() })?,
        nic: mac.map(Into::into),
        subnet: name,
        state: LeaseState::Bound,
        starts_at: now,
        expires_at: foreign.ends_at.unwrap_or(now + WITHOUT_END_S),
        taken_over: false,
    })
}

fn host_of<'a>(snapshot: &'a Snapshot, foreign: &ForeignLease) -> Option<(&'a str, &'a Host)> {
    let by_mac = foreign.mac.and_then(|mac| snapshot.host_of_mac(mac));
    let by_id = || {
        let id = foreign.client_id.clone()?;
        snapshot.host_of_identity(&Identity::ClientId(id))
    };
    by_mac.or_else(by_id)
}

/// The address that a host has of its own in a subnet.
fn own_in(host: &Host, name: &str, subnet: &Subnet) -> Option<IpAddr> {
    let reserved = host.reservations.get(name).copied();
    let addresses = host.addresses.values().copied();
    reserved.or_else(|| addresses.into_iter().find(|address| subnet.cidr.contains(address)))
}
