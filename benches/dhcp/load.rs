//! The DHCP load generator: relayed 4-way exchanges in a closed or an open loop, every reply checked.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::burst::{self, BURST, Inbox};
use crate::process;

use super::packet::{self, ACK, Ask, NAK, OFFER, Reply, mac};

/// How long a client waits before it asks again, and how often it does: RFC 2131's 4 s is shortened.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 8;

/// The last transaction id: an answer that comes late must not look like the next load's.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// When the next exchange begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// When one of so many outstanding ones has ended.
    Closed(usize),
    /// So many a second, whatever the server does.
    Open(f64),
}

/// What to send.
pub(super) struct Plan<'a> {
    /// The clients, each once, in this order.
    pub clients: &'a [u32],
    /// The relay agents they are behind, in turn.
    pub relays: &'a [Ipv4Addr],
    /// Whether the relays add option 82.
    pub circuit: bool,
    /// The servers, by turns: a client stays with its own.
    pub servers: &'a [Ipv4Addr],
    /// Their port.
    pub port: u16,
    /// Closed or open loop.
    pub pace: Pace,
    /// When it is cut off.
    pub limit: Duration,
}

/// Which client holds an address, across several loads of one server.
pub(super) type Ledger = HashMap<Ipv4Addr, u32>;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Exchanges that ended in an ACK.
    pub done: usize,
    /// Clients that gave up.
    pub failed: usize,
    /// Messages that had to be sent again.
    pub resent: usize,
    /// DHCPNAKs.
    pub naks: usize,
    /// From the first packet to the last.
    pub elapsed: Duration,
    /// DISCOVER to OFFER, in milliseconds.
    pub offers: Vec<f64>,
    /// REQUEST to ACK, in milliseconds.
    pub acks: Vec<f64>,
    /// DISCOVER to ACK, in milliseconds.
    pub exchanges: Vec<f64>,
    /// What was wrong with replies, some of it.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Exchanges in a second.
    pub(super) fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// One exchange under way.
struct Exchange {
    ask: Ask,
    began: Instant,
    sent: Instant,
    tries: u32,
    /// What was offered, once it was.
    chosen: Option<(Ipv4Addr, Ipv4Addr)>,
}

struct Generator<'a> {
    plan: &'a Plan<'a>,
    ledger: &'a mut Ledger,
    under_way: HashMap<u32, Exchange>,
    next: usize,
    /// By server.
    outbox: Vec<Vec<Vec<u8>>>,
    spare: Vec<Vec<u8>>,
    outcome: Outcome,
}

/// Runs a plan from inside the client namespace.
pub(super) fn run(plan: &Plan<'_>, ledger: &mut Ledger) -> Outcome {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)).expect("port 67 is free here");
    burst::widen(&socket, 8 << 20);
    if matches!(plan.pace, Pace::Open(_)) {
        process::wait_for_nobody();
    }
    let mut inbox = Inbox::new(1500);
    let mut generator = Generator {
        plan,
        ledger,
        under_way: HashMap::new(),
        next: 0,
        outbox: vec![Vec::new(); plan.servers.len()],
        spare: Vec::new(),
        outcome: Outcome::default(),
    };
    let began = Instant::now();
    let mut looked_after = began;
    loop {
        let now = Instant::now();
        generator.launch(now, began);
        generator.flush(&socket);
        if generator.is_done() || now - began > plan.limit {
            break;
        }
        if now - looked_after > PATIENCE / 20 {
            looked_after = now;
            generator.ask_again(now);
        }
        let count = inbox.receive(&socket);
        let now = Instant::now();
        for number in 0..count {
            generator.handle(inbox.datagram(number).0, now);
        }
        if count == 0 && generator.outbox.iter().all(Vec::is_empty) {
            // Never spinning: the server may be meant to run on the same processor.
            let waiting = PollFd::new(socket.as_fd(), PollFlags::POLLIN);
            let patience = TimeSpec::from_duration(generator.patience(began));
            let _ = ppoll(&mut [waiting], Some(patience), None);
        }
    }
    generator.outcome.elapsed = began.elapsed();
    generator.outcome
}

impl Generator<'_> {
    fn is_done(&self) -> bool {
        self.next == self.plan.clients.len() && self.under_way.is_empty()
    }

    /// How long nothing is due, if no packet comes.
    fn patience(&self, began: Instant) -> Duration {
        let long = PATIENCE / 100;
        match self.plan.pace {
            Pace::Open(rate) if self.next < self.plan.clients.len() => {
                let at = Duration::from_secs_f64(self.next as f64 / rate);
                at.saturating_sub(began.elapsed()).min(long)
            }
            _ => long,
        }
    }

    /// Begins the exchanges that are due.
    fn launch(&mut self, now: Instant, began: Instant) {
        let due = match self.plan.pace {
            Pace::Closed(outstanding) => {
                self.next + outstanding.saturating_sub(self.under_way.len())
            }
            Pace::Open(rate) => ((now - began).as_secs_f64() * rate) as usize + 1,
        };
        while self.next < due.min(self.plan.clients.len()) && self.outbox[0].len() < BURST {
            let client = self.plan.clients[self.next];
            let relay = self.plan.relays[self.next % self.plan.relays.len()];
            self.next += 1;
            let xid = SERIAL.fetch_add(1, Ordering::Relaxed);
            let ask = Ask { xid, client, relay, circuit: self.plan.circuit };
            let exchange = Exchange { ask, began: now, sent: now, tries: 1, chosen: None };
            self.write(&exchange);
            self.under_way.insert(ask.xid, exchange);
        }
    }

    fn write(&mut self, exchange: &Exchange) {
        let mut packet = self.spare.pop().unwrap_or_default();
        match exchange.chosen {
            None => exchange.ask.discover(&mut packet),
            Some((address, server)) => exchange.ask.request(&mut packet, address, server),
        }
        self.outbox[exchange.ask.client as usize % self.plan.servers.len()].push(packet);
    }

    fn flush(&mut self, socket: &UdpSocket) {
        for (server, outbox) in self.plan.servers.iter().zip(&mut self.outbox) {
            if !outbox.is_empty() {
                burst::send_all(socket, outbox, SocketAddrV4::new(*server, self.plan.port));
                self.spare.append(outbox);
            }
        }
    }

    fn ask_again(&mut self, now: Instant) {
        let late: Vec<u32> = self
            .under_way
            .iter()
            .filter(|(_, exchange)| now - exchange.sent > PATIENCE)
            .map(|(xid, _)| *xid)
            .collect();
        for xid in late {
            let Some(mut exchange) = self.under_way.remove(&xid) else { continue };
            if exchange.tries == TRIES {
                self.outcome.failed += 1;
                continue;
            }
            exchange.tries += 1;
            exchange.sent = now;
            self.outcome.resent += 1;
            self.write(&exchange);
            self.under_way.insert(xid, exchange);
        }
    }

    fn handle(&mut self, datagram: &[u8], now: Instant) {
        let reply = match packet::parse(datagram) {
            Ok(reply) => reply,
            Err(fault) => return self.fault(fault),
        };
        // A reply to a message that was sent twice.
        let Some(mut exchange) = self.under_way.remove(&reply.xid) else { return };
        if let Some(fault) = what_is_wrong(&reply, &exchange) {
            self.fault(fault);
        }
        let waited = (now - exchange.sent).as_secs_f64() * 1e3;
        match (reply.kind, exchange.chosen) {
            (OFFER, None) => {
                self.outcome.offers.push(waited);
                exchange.chosen = Some((reply.your_address, reply.server));
                exchange.sent = now;
                self.write(&exchange);
            }
            (ACK, Some(_)) => {
                self.outcome.acks.push(waited);
                self.outcome.exchanges.push((now - exchange.began).as_secs_f64() * 1e3);
                return self.settle(&reply, &exchange);
            }
            (NAK, Some(_)) => {
                self.outcome.naks += 1;
                exchange.tries += 1;
                if exchange.tries > TRIES {
                    self.outcome.failed += 1;
                    return;
                }
                exchange.chosen = None;
                exchange.sent = now;
                self.write(&exchange);
            }
            // A second OFFER after a resent DISCOVER.
            _ => {}
        }
        self.under_way.insert(reply.xid, exchange);
    }

    /// An exchange has ended well, unless somebody else holds the address.
    fn settle(&mut self, reply: &Reply, exchange: &Exchange) {
        self.outcome.done += 1;
        let client = exchange.ask.client;
        let holder = *self.ledger.entry(reply.your_address).or_insert(client);
        if holder != client {
            self.fault(format!("{} given to clients {holder} and {client}", reply.your_address));
        }
    }

    fn fault(&mut self, fault: String) {
        if self.outcome.faults.len() < 5 {
            self.outcome.faults.push(fault);
        }
    }
}

fn what_is_wrong(reply: &Reply, exchange: &Exchange) -> Option<String> {
    let ask = &exchange.ask;
    if reply.mac != mac(ask.client) {
        return Some(format!("client {}'s reply is for MAC {:02x?}", ask.client, reply.mac));
    }
    if reply.kind == NAK {
        return None;
    }
    if reply.your_address.is_unspecified() || reply.server.is_unspecified() {
        return Some(format!("client {} got no address or no server id", ask.client));
    }
    if reply.lease_seconds == 0 {
        return Some(format!("client {} got no lease time", ask.client));
    }
    if ask.circuit && !reply.circuit {
        return Some(format!("client {}'s option 82 was not returned", ask.client));
    }
    let chosen = exchange.chosen.map(|(address, _)| address);
    let another = reply.kind == ACK && chosen.is_some_and(|address| address != reply.your_address);
    another.then(|| format!("client {} was offered one address, given another", ask.client))
}
