//! One served interface: its sockets, and the answers that wait for their lease's commit.

use std::future::pending;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::caller::Around;
use super::drops::Drops;
use super::exchange;
use super::outcome::{Commit, Outcome, Sending};
use crate::app::App;
use crate::dhcp::link::Link;
use crate::dhcp::reply::{BOOT_SERVER_PORT, SERVER_PORT};
use crate::dhcp::socket::{DhcpSocket, Received, read_link};
use crate::dhcp::watch::Watch;
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
    /// None while the interface is gone.
    sockets: Option<Sockets>,
    drops: Drops,
    watch: Watch,
    waiting: FuturesUnordered<BoxFuture<'static, Committed>>,
}

/// The sockets of one interface.
struct Sockets {
    server: DhcpSocket,
    /// Port 4011, unless another program has it.
    boot_server: Option<DhcpSocket>,
}

/// A commit that ended.
struct Committed {
    answer: Option<Sending>,
    failure: Option<String>,
}

impl Interface {
    /// Binds the interface's sockets.
    pub(super) fn open(app: App, link: Link) -> io::Result<Self> {
        let sockets = Some(Sockets::open(&link)?);
        let (drops, watch, waiting) = <(Drops, Watch, _)>::default();
        let interface = Self { app, link, sockets, drops, watch, waiting };
        interface.note_addresses();
        Ok(interface)
    }

    /// Answers until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) -> io::Result<()> {
        let mut look_again = interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                packets = receive(self.sockets.as_ref()) => match packets {
                    Ok(packets) => packets.iter().for_each(|packet| self.handle(packet)),
                    // The interface is down; it may come back.
                    Err(error) => {
                        let interface = &self.link.interface;
                        tracing::warn!(interface, "DHCP cannot be read: {error}");
                        look_again.tick().await;
                        self.look();
                    }
                },
                Some(done) = self.waiting.next() => self.finish(done),
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

    /// Takes note of new addresses and another MTU, and of an interface that is
    /// gone or has come back as another one.
    fn look(&mut self) {
        let interface = self.link.interface.clone();
        let link = match read_link(&interface) {
            Some(link) if link == self.link && self.sockets.is_some() => return,
            Some(link) => link,
            None => {
                if self.sockets.take().is_some() {
                    tracing::warn!(
                        interface,
                        "the interface is gone; it is served again when it is back"
                    );
                }
                return;
            }
        };
        if self.sockets.is_none() || link.index != self.link.index {
            match Sockets::open(&link) {
                Ok(sockets) => self.sockets = Some(sockets),
                Err(error) => return tracing::warn!(interface, "not served: {error}"),
            }
        }
        self.link = link;
        self.note_addresses();
    }

    /// Keeps this server's own addresses from clients, and says what is served.
    fn note_addresses(&self) {
        let Link { interface, addresses, .. } = &self.link;
        let own = addresses.iter().map(ipnet::Ipv4Net::addr).collect();
        self.app.leases.table().set_own_addresses(interface, own);
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        tracing::info!(interface, addresses = addresses.join(" "), "serving DHCP");
    }

    fn handle(&mut self, received: &Received) {
        let snapshot = self.app.inventory.snapshot();
        let around = Around {
            app: &self.app,
            snapshot: &snapshot,
            link: &self.link,
            arrival: &received.arrival,
            now: now(),
        };
        match exchange::answer(around, &mut self.watch, &received.bytes) {
            Outcome::Silent(reason) => self.drops.count(&reason),
            Outcome::Send(sending) => self.send(sending),
            Outcome::Commit(commit) => self.commit(*commit),
        }
    }

    fn commit(&mut self, commit: Commit) {
        let stored = self.app.leases.commit(commit.lease.clone(), commit.now);
        self.waiting.push(Box::pin(async move {
            let stored = stored.await;
            let failure = match &stored {
                Err(CommitError::Database(error)) => Some(error.clone()),
                _ => None,
            };
            Committed { answer: commit.outcome(&stored), failure }
        }));
    }

    fn finish(&mut self, done: Committed) {
        if let Some(error) = done.failure
            && self.watch.warns("database", now())
        {
            let text = format!("no new leases are given: the database does not take them: {error}");
            tracing::error!("{text}");
            self.app.inventory.events.record(None, None, EventKind::Warning, text);
        }
        if let Some(sending) = done.answer {
            self.send(sending);
        }
    }

    fn send(&mut self, sending: Sending) {
        let Sending { answer, local, port, event } = sending;
        let sockets = self.sockets.as_ref();
        let socket = match port {
            BOOT_SERVER_PORT => sockets.and_then(|sockets| sockets.boot_server.as_ref()),
            _ => sockets.map(|sockets| &sockets.server),
        };
        let Some(socket) = socket else { return };
        match socket.send(&answer.bytes, answer.destination, local) {
            Ok(()) => {
                if let Some(event) = event {
                    event.record(&self.app.inventory.events);
                }
            }
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

impl Sockets {
    fn open(link: &Link) -> io::Result<Self> {
        let interface = &link.interface;
        let server = DhcpSocket::open(link, SERVER_PORT).map_err(|error| {
            let text =
                format!("DHCP cannot be served on {interface}: UDP port {SERVER_PORT}: {error}");
            io::Error::new(error.kind(), text)
        })?;
        let boot_server = DhcpSocket::open(link, BOOT_SERVER_PORT)
            .inspect_err(|error| {
                tracing::warn!(interface, "port {BOOT_SERVER_PORT} is not served: {error}");
            })
            .ok();
        Ok(Self { server, boot_server })
    }
}

/// Waits for packets on either port; for ever while there are no sockets.
async fn receive(sockets: Option<&Sockets>) -> io::Result<Vec<Received>> {
    match sockets {
        None => pending().await,
        Some(Sockets { server, boot_server: None }) => server.receive().await,
        Some(Sockets { server, boot_server: Some(boot_server) }) => tokio::select! {
            packets = server.receive() => packets,
            packets = boot_server.receive() => packets,
        },
    }
}

/// Unix seconds.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
