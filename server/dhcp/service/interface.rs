//! One served interface: its socket, and the answers that wait for their lease's commit.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::drops::Drops;
use super::exchange;
use super::outcome::{Outcome, Sending};
use crate::app::App;
use crate::dhcp::link::Link;
use crate::dhcp::reply::SERVER_PORT;
use crate::dhcp::socket::{DhcpSocket, Received, read_link};
use crate::inventory::CommitError;
use crate::model::EventKind;

/// How often the kernel is asked whether the interface changed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How many looks go by between two reports of dropped packets.
const LOOKS_A_REPORT: u32 = 30;

/// An interface that is served.
pub(super) struct Interface {
    app: App,
    link: Link,
    socket: DhcpSocket,
    drops: Drops,
    waiting: FuturesUnordered<BoxFuture<'static, Option<Sending>>>,
}

impl Interface {
    /// Binds the interface's socket.
    pub(super) fn open(app: App, link: Link) -> io::Result<Self> {
        let socket = DhcpSocket::open(&link, SERVER_PORT).map_err(|error| {
            let text = format!(
                "DHCP cannot be served on {}: UDP port {SERVER_PORT}: {error}",
                link.interface
            );
            io::Error::new(error.kind(), text)
        })?;
        let addresses: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
        tracing::info!(interface = link.interface, addresses = addresses.join(" "), "serving DHCP");
        let mut own: Vec<_> = app.leases.table().own_addresses().to_vec();
        own.extend(link.addresses.iter().map(ipnet::Ipv4Net::addr));
        app.leases.table().set_own_addresses(own, now());
        Ok(Self { app, link, socket, drops: Drops::default(), waiting: FuturesUnordered::new() })
    }

    /// Answers until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) -> io::Result<()> {
        let mut look_again = interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                packets = self.socket.receive() => match packets {
                    Ok(packets) => packets.iter().for_each(|packet| self.handle(packet)),
                    // The interface is down for now; it may come back.
                    Err(error) => {
                        tracing::warn!(interface = self.link.interface, "DHCP cannot be read: {error}");
                        look_again.tick().await;
                    }
                },
                Some(done) = self.waiting.next() => self.send_all(done),
                _ = look_again.tick() => {
                    looks += 1;
                    if looks % LOOKS_A_REPORT == 0 {
                        self.drops.report(&self.link.interface);
                    }
                    self.look();
                }
            }
        }
    }

    /// Takes note of new addresses and another MTU.
    fn look(&mut self) {
        let Some(link) = read_link(&self.link.interface).filter(|link| *link != self.link) else {
            return;
        };
        tracing::info!(interface = link.interface, addresses = ?link.addresses, "interface changed");
        self.link = link;
    }

    fn handle(&mut self, received: &Received) {
        let snapshot = self.app.inventory.snapshot();
        let around = (&self.app, &*snapshot, &self.link);
        match exchange::answer(around, &received.bytes, &received.arrival, now()) {
            Outcome::Silent(reason) => self.drops.count(&reason),
            Outcome::Send(sending) => self.send(sending),
            Outcome::Commit(commit) => {
                let leases = self.app.leases.clone();
                let events = self.app.inventory.events.clone();
                self.waiting.push(Box::pin(async move {
                    let stored = leases.commit(commit.lease.clone(), commit.now).await;
                    if let Err(CommitError::Database(error)) = &stored {
                        tracing::error!("lease of {} not stored: {error}", commit.lease.address);
                        let text = format!("no new leases are given: the database failed: {error}");
                        events.record(None, None, EventKind::Warning, text);
                    }
                    commit.outcome(&stored)
                }));
            }
        }
    }

    fn send_all(&mut self, first: Option<Sending>) {
        if let Some(sending) = first {
            self.send(sending);
        }
    }

    fn send(&mut self, sending: Sending) {
        let Sending { answer, local, event } = sending;
        match self.socket.send(&answer.bytes, answer.destination, local) {
            Ok(()) => event.record(&self.app.inventory.events),
            Err(error) => {
                let to = answer.destination;
                tracing::warn!(
                    interface = self.link.interface,
                    "answer to {to:?} not sent: {error}"
                );
                self.drops.count(&"the answer could not be sent");
            }
        }
    }
}

/// Unix seconds.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
