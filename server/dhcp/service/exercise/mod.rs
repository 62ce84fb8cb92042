//! Any messages in any order against the real decisions, on a small site: each gets at
//! most one answer, the answer keeps to RFC 2131, and no address is ever promised twice.
//!
//! The database is played by a model ([`Storage`]), so that bytes decide when a commit
//! ends and how, and at which moment the power fails.

mod answers;
mod messages;
mod storage;

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::action::Action;
use super::exchange;
use crate::config::Config;
use crate::dhcp::history::LinkHistory;
use crate::dhcp::link::ServedLink;
use crate::dhcp::reply::Transmit;
use crate::dhcp::wire::Packet;
use crate::exercise::{Dice, TestServer};
use crate::inventory::Snapshot;
use crate::leases::CommitError;
use crate::leases::table::Table;
use crate::model::{ClientKey, Lease, LeaseState, Mac};
use crate::site_file;
use messages::SentMessage;
use storage::Storage;

/// The server's address on the link.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// How many commits may be under way.
const MAX_PENDING: usize = 8;
/// More messages than this of one input teach nothing new.
const MAX_STEPS: usize = 64;
const START: i64 = 1_800_000_000;

/// The site as it was, with a host adopted, and with that host renamed and another gone,
/// where old clients and hasty ones are served too and a link has two subnets.
const SITES: [&str; 3] = [
    r#"
subnets:
  provisioning: &provisioning
    cidr: 10.0.0.0/24
    gateway: 10.0.0.254
    dns: [10.0.0.103]
    lease-time: 10m
    unknown-clients: lease
    ranges: [{from: 10.0.0.100, to: 10.0.0.105, for: dhcp}, {from: 10.0.0.104, to: 10.0.0.104, for: reserved}]
  behind: &behind
    cidr: 10.1.0.0/24
    lease-time: 2m
    unknown-clients: discover
    ranges: [{from: 10.1.0.100, to: 10.1.0.102, for: dhcp}]
images: {local: {local: true}, live: {kernel: vmlinuz}}
hosts:
  owner: &owner
    image: live
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    reservations: {provisioning: 10.0.0.101, behind: 10.1.0.9}
  outside: {image: local, nics: {eth0: "52:54:00:aa:00:03"}, reservations: {provisioning: 10.0.0.12}}
"#,
    r#"
subnets:
  provisioning: {cidr: 10.0.0.0/24, lease-time: 10m, unknown-clients: lease, ranges: [{from: 10.0.0.100, to: 10.0.0.105, for: dhcp}]}
  behind: {cidr: 10.1.0.0/24, unknown-clients: refuse, ranges: [{from: 10.1.0.100, to: 10.1.0.102, for: dhcp}]}
images: {live: {kernel: vmlinuz}}
hosts:
  owner: {image: live, nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}, reservations: {provisioning: 10.0.0.101}}
  adopted: {nics: {eth0: "52:54:00:bb:00:00"}, reservations: {provisioning: 10.0.0.100}}
  dynamic: {nics: {eth0: "52:54:00:bb:00:01"}}
"#,
    r#"
subnets:
  provisioning:
    cidr: 10.0.0.0/24
    unknown-clients: lease
    shared-network: row
    rapid-commit: true
    bootp: true
    ranges: [{from: 10.0.0.100, to: 10.0.0.105, for: dhcp}]
  more:
    cidr: 10.0.2.0/24
    unknown-clients: lease
    shared-network: row
    rapid-commit: true
    bootp: true
    ranges: [{from: 10.0.2.100, to: 10.0.2.101, for: dhcp}]
hosts:
  renamed: {nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.0.0.101}}
  other: {nics: {eth0: "52:54:00:aa:00:02"}, reservations: {more: 10.0.2.100}}
  dynamic: {nics: {eth0: "52:54:00:aa:00:03"}}
"#,
];

struct Fixture {
    stage: TestServer,
    snapshots: [Snapshot; 3],
}

fn fixture() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    let fixture = FIXTURE.get_or_init(|| {
        let mut revision = 0;
        let snapshots = SITES.map(|text| {
            revision += 1;
            let site = site_file::parse(text, "site.yaml").expect("a sound site");
            Snapshot::new(revision, site)
        });
        Mutex::new(Fixture { stage: TestServer::set(Config::default(), "{}"), snapshots })
    });
    fixture.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends messages and lets things happen as the bytes say.
pub(crate) fn answer(bytes: &[u8]) {
    let fixture = fixture();
    let mut dice = Dice::new(bytes);
    let mut rack = SimulatedServer::new(&fixture);
    for _ in 0..MAX_STEPS {
        let Some(kind) = dice.next() else { break };
        rack.step(kind, &mut dice);
    }
    while !rack.pending.is_empty() {
        rack.finish(true);
    }
}

/// One who may be promised an address: by what it is known, and by its NIC.
#[derive(Clone, Debug)]
struct Person {
    key: ClientKey,
    mac: Option<Mac>,
}

impl Person {
    fn is(&self, other: &Self) -> bool {
        self.key == other.key || (self.mac.is_some() && self.mac == other.mac)
    }
}

/// An address that an ACK gave.
struct Promise {
    person: Person,
    until: i64,
}

/// A commit under way, and the question that it answers.
struct Pending {
    sent: SentMessage,
    person: Person,
    /// As of when, in Unix seconds.
    now: i64,
    lease: Lease,
    reply: Option<Transmit>,
}

struct SimulatedServer<'a> {
    fixture: &'a Fixture,
    site: usize,
    link: ServedLink,
    history: LinkHistory,
    now: i64,
    storage: Storage,
    pending: VecDeque<Pending>,
    promises: HashMap<Ipv4Addr, Promise>,
    last: Option<SentMessage>,
}

impl<'a> SimulatedServer<'a> {
    fn new(fixture: &'a Fixture) -> Self {
        let net = "10.0.0.1/24".parse().expect("an address");
        let link =
            ServedLink { interface: "lan".into(), index: 1, addresses: vec![net], mtu: 1500 };
        let rack = Self {
            fixture,
            site: 0,
            link,
            history: LinkHistory::default(),
            now: START,
            storage: Storage::default(),
            pending: VecDeque::new(),
            promises: HashMap::new(),
            last: None,
        };
        rack.start();
        rack
    }

    /// Starts the server on what is stored.
    fn start(&self) {
        let mut table = Table::default();
        table.set_own_addresses("lan", vec![SERVER]);
        self.storage.leases().for_each(|lease| table.put(lease.clone()));
        self.fixture.stage.app.leases.replace_table(table);
    }

    fn step(&mut self, kind: u8, dice: &mut Dice<'_>) {
        match kind % 16 {
            0..=8 => self.send(messages::message(dice)),
            9 => self.send(messages::raw(dice)),
            10 => self.now += dice.pick(&[1, 29, 60, 61, 119, 300, 301, 600, 3600, 86_400]),
            11 => self.finish(true),
            12 => self.finish(false),
            13 => self.fail_power(dice),
            14 => self.site = usize::from(dice.byte()) % SITES.len(),
            _ => self.last.clone().into_iter().for_each(|sent| self.send(sent)),
        }
        // Most commits end before the next message comes.
        if kind & 0x10 == 0 || self.pending.len() > MAX_PENDING {
            while !self.pending.is_empty() {
                self.finish(true);
            }
        }
    }

    fn snapshot(&self) -> &'a Snapshot {
        &self.fixture.snapshots[self.site]
    }

    fn send(&mut self, sent: SentMessage) {
        let Ok(request) = Packet::parse_request(&sent.bytes) else {
            self.last = Some(sent);
            return;
        };
        let action = exchange::answer(
            &self.fixture.stage.app,
            self.snapshot(),
            &self.link,
            &mut self.history,
            &sent.arrival,
            &request,
            self.now,
        );
        self.last = Some(sent.clone());
        match action {
            Err(_) => {}
            Ok(Action::Probe(probe)) => {
                // Nobody is found, and the message is looked at again.
                self.history.probes.end(probe.address, true, self.now);
                self.send(sent);
            }
            Ok(Action::Send(transmit)) => {
                let person = self.person(&sent.bytes);
                self.deliver(&sent, &person, self.now, &transmit);
            }
            Ok(Action::Commit { lease, ended, reply }) => {
                let person = self.person(&sent.bytes);
                self.check_commit(&person, &lease, reply.as_ref());
                for lease in ended {
                    self.check_commit(&person, &lease, None);
                    self.storage.claim(&lease, self.now);
                }
                let now = self.now;
                self.pending.push_back(Pending { sent, person, now, lease, reply });
            }
        }
    }

    fn person(&self, bytes: &[u8]) -> Person {
        let request = Packet::parse(bytes).expect("only a packet is answered");
        request.check_request().expect("only a request is answered");
        let host = request.mac().and_then(|mac| self.snapshot().host_of_mac(mac));
        let key = match host {
            Some((name, _)) => ClientKey::Host(name.to_owned()),
            None => request.key().expect("only a client is answered"),
        };
        Person { key, mac: request.mac() }
    }

    /// What is to be stored is the client's own doing.
    fn check_commit(&mut self, person: &Person, lease: &Lease, reply: Option<&Transmit>) {
        if lease.state == LeaseState::Bound {
            assert_eq!(lease.client, person.key);
            assert!(reply.is_some());
            self.check_address(person, lease.address);
            return;
        }
        assert!(reply.is_none(), "the client expects no reply");
        // The client uses it no longer, whatever becomes of the commit.
        let ended = self.promises.remove(&lease.address);
        assert!(ended.is_none_or(|promise| promise.person.is(person)), "not its own lease");
    }

    /// A stranger never gets what a host owns, nor any client an address that is not for clients.
    fn check_address(&self, person: &Person, address: Ipv4Addr) {
        let owner = self.snapshot().site.hosts.iter().find(|(_, host)| {
            host.reservations.values().any(|own| *own == std::net::IpAddr::V4(address))
        });
        if let Some((name, _)) = owner {
            let owner = ClientKey::Host(name.clone());
            assert_eq!(person.key, owner, "{address} is another host's");
            return;
        }
        let [a, b, c, last] = address.octets();
        let dynamic = match [a, b, c] {
            [10, 0, 0] => (100..=105).contains(&last),
            [10, 1, 0] => (100..=102).contains(&last),
            [10, 0, 2] => (100..=101).contains(&last),
            _ => false,
        };
        assert!(dynamic, "{address} is in no range");
        assert!(self.site != 0 || !matches!(address.octets(), [10, 0, 0, 103 | 104]));
    }

    /// The oldest commit ends: as the database decides, or in a failure of it.
    fn finish(&mut self, works: bool) {
        let Some(pending) = self.pending.pop_front() else { return };
        let Pending { sent, person, now: asked_at, lease: wanted, reply } = pending;
        let snapshot = self.snapshot();
        let leases = &self.fixture.stage.app.leases;
        let mut table = leases.at(snapshot.revision, &snapshot.site, self.now);
        let stored = if !works {
            Err(CommitError::Database("disk full".into()))
        } else if let Some(lease) = self.storage.claim(&wanted, asked_at) {
            table.put(lease.clone());
            Ok(lease)
        } else {
            self.storage.find(wanted.address).into_iter().for_each(|lease| table.put(lease));
            table.withdraw(&wanted.client, wanted.nic);
            Err(CommitError::Taken(wanted.address))
        };
        drop(table);
        if let Some(transmit) = reply.and_then(|reply| reply.after_commit(&stored)) {
            self.deliver(&sent, &person, asked_at, &transmit);
        }
    }

    /// The power fails: of the commits under way the first may be stored, and no answer leaves.
    fn fail_power(&mut self, dice: &mut Dice<'_>) {
        let kept = usize::from(dice.byte()) % (self.pending.len() + 1);
        for Pending { lease, now, .. } in std::mem::take(&mut self.pending).into_iter().take(kept) {
            self.storage.claim(&lease, now);
        }
        self.history = LinkHistory::default();
        self.start();
    }

    /// An answer reaches the client: it must be a proper one, and keep every promise.
    fn deliver(&mut self, sent: &SentMessage, person: &Person, asked_at: i64, transmit: &Transmit) {
        let Some((address, seconds)) = answers::check(sent, transmit) else { return };
        let until = asked_at + i64::from(seconds);
        if let Some(promise) = self.promises.get(&address) {
            let open = promise.until <= asked_at || promise.person.is(person);
            assert!(open, "{address} is promised to {:?}, not {person:?}", promise.person);
        }
        let stored = self.storage.find(address);
        let durable = stored.is_some_and(|lease| {
            let own = lease.client == person.key || lease.mac() == person.mac;
            own && lease.state == LeaseState::Bound && lease.expires_at >= until
        });
        assert!(durable, "{address} is promised to {person:?} and not stored");
        self.promises.insert(address, Promise { person: person.clone(), until });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_messages_in_any_order_are_answered_by_the_rules(
            bytes in proptest::collection::vec(any::<u8>(), 0..1200),
        ) {
            super::answer(&bytes);
        }
    }
}
