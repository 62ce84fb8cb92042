//! One served interface: its sockets, and the answers that wait for their lease's commit.

mod probing;

use std::future::pending;
use std::io;
use std::mem;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::action::Action;
use super::drops::Drops;
use super::exchange;
use super::probe::{Probed, Prober};
use crate::app::App;
use crate::dhcp::history::LinkHistory;
use crate::dhcp::link::{Arrival, ServedLink};
use crate::dhcp::reply::{BOOT_SERVER_PORT, SERVER_PORT, Transmit};
use crate::dhcp::socket::{DhcpSocket, read_link};
use crate::dhcp::wire::Packet;
use crate::inventory::Snapshot;
use crate::leases::CommitError;
use crate::lifecycle::EventData;
use crate::lifecycle::event::Warning;
use crate::metrics::{DHCP_ANSWERS, LEASE_COMMITS};
use crate::model::Lease;
use crate::udp::Inbox;

/// How often the kernel is asked whether the interface changed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// How many looks go by between two reports of dropped packets.
const LOOKS_A_REPORT: u32 = 30;

/// How long the commit of a renewal is waited for. After that the client gets what is left of
/// its lease, which memory knows, and asks again in half that time.
const RENEWAL_PATIENCE: Duration = Duration::from_millis(80);

/// Serves one interface.
pub(super) struct InterfaceServer {
    app: App,
    link: ServedLink,
    /// None while the interface is gone.
    sockets: Option<Sockets>,
    /// Room for packets; taken out while they are looked at.
    inbox: Option<Inbox>,
    drops: Drops,
    history: LinkHistory,
    /// The leases to store with their replies, and the replies to send: those of one wakeup.
    leases: Vec<(Lease, Option<Transmit>)>,
    outbox: Vec<Transmit>,
    /// Commits that run: they give the replies to send, and why leases were not stored.
    commits: FuturesUnordered<BoxFuture<'static, Vec<Result<Transmit, CommitError>>>>,
    prober: Prober,
    probing: FuturesUnordered<BoxFuture<'static, Probed>>,
}

/// The sockets of one interface.
struct Sockets {
    server: DhcpSocket,
    /// Port 4011, unless another program has it.
    boot_server: Option<DhcpSocket>,
}

impl InterfaceServer {
    /// Binds the interface's sockets.
    pub(super) fn open(app: App, link: ServedLink) -> io::Result<Self> {
        let interface = Self {
            sockets: Some(Sockets::open(&link)?),
            app,
            link,
            inbox: Some(DhcpSocket::inbox()),
            drops: Drops::default(),
            history: LinkHistory::default(),
            leases: Vec::new(),
            outbox: Vec::new(),
            commits: FuturesUnordered::new(),
            prober: Prober::default(),
            probing: FuturesUnordered::new(),
        };
        interface.note_addresses();
        Ok(interface)
    }

    /// Answers until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) -> io::Result<()> {
        let mut look_again = interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0;
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                () = &mut stopped => return Ok(()),
                port = readable(self.sockets.as_ref()) => {
                    if let Err(error) = port.and_then(|port| self.take_in(port)) {
                        // The interface is down; it may come back.
                        let interface = &self.link.interface;
                        tracing::warn!(interface, "cannot receive DHCP packets: {error}");
                        look_again.tick().await;
                        self.look();
                    }
                }
                Some(committed) = self.commits.next() => self.finish(committed),
                Some(done) = self.probing.next() => self.end_probe(done),
                _ = look_again.tick() => {
                    looks += 1;
                    if looks % LOOKS_A_REPORT == 0 {
                        self.drops.report(&self.link.interface);
                    }
                    self.look();
                }
            }
            self.send_answers();
        }
    }

    /// Takes in the packets that wait at a port.
    fn take_in(&mut self, port: u16) -> io::Result<()> {
        let Some(mut inbox) = self.inbox.take() else { return Ok(()) };
        let received = self.socket(port).map_or(Ok(()), |socket| socket.receive(&mut inbox));
        let snapshot = self.app.inventory.snapshot();
        let now = now();
        for (arrival, bytes) in inbox.arrivals(port) {
            self.handle(&snapshot, arrival, bytes, now);
        }
        self.inbox = Some(inbox);
        self.commit_leases(now);
        received
    }

    /// Hands the leases of one wakeup to the lease book.
    fn commit_leases(&mut self, now: i64) {
        if self.leases.is_empty() {
            return;
        }
        let all = mem::take(&mut self.leases).into_iter();
        let (renewals, others): (Vec<_>, Vec<_>) = all
            .partition(|(_, reply)| reply.as_ref().is_some_and(|reply| reply.if_failed.is_some()));
        for (batch, patience) in [(renewals, RENEWAL_PATIENCE), (others, Duration::MAX)] {
            if batch.is_empty() {
                continue;
            }
            let (leases, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let stored = self.app.leases.commit_all(leases, now);
            self.commits.push(Box::pin(async move {
                let stored = timeout(patience, stored).await;
                let stored = stored.unwrap_or_else(|_| vec![Err(CommitError::Slow); replies.len()]);
                stored
                    .into_iter()
                    .zip(replies)
                    .flat_map(|(stored, reply)| settle(stored, reply))
                    .collect()
            }));
        }
    }

    fn socket(&self, port: u16) -> Option<&DhcpSocket> {
        let sockets = self.sockets.as_ref()?;
        match port {
            BOOT_SERVER_PORT => sockets.boot_server.as_ref(),
            _ => Some(&sockets.server),
        }
    }

    /// Applies new addresses and another MTU, and reopens the sockets of an interface that was
    /// removed and added again.
    fn look(&mut self) {
        let interface = self.link.interface.clone();
        let link = match read_link(&interface) {
            Ok(Some(link)) if link == self.link && self.sockets.is_some() => return,
            Ok(Some(link)) => link,
            // It is served on as it was: no news of it is not its end.
            Err(error) => {
                return tracing::warn!(interface, "cannot look at the interface: {error}");
            }
            Ok(None) => {
                if self.sockets.take().is_some() {
                    tracing::warn!(interface, "interface disappeared; waiting for it");
                }
                return;
            }
        };
        if self.sockets.is_none() || link.index != self.link.index {
            match Sockets::open(&link) {
                Ok(sockets) => self.sockets = Some(sockets),
                Err(error) => {
                    return tracing::warn!(interface, "cannot serve the interface: {error}");
                }
            }
        }
        self.prober.forget_link();
        self.link = link;
        self.note_addresses();
    }

    /// Keeps this server's own addresses from clients, and says what is served.
    fn note_addresses(&self) {
        let ServedLink { interface, addresses, .. } = &self.link;
        let own = addresses.iter().map(ipnet::Ipv4Net::addr).collect();
        let own = self.app.leases.set_own_addresses(interface, own);
        let servers = self.app.config.now().reached_at(&own);
        self.app.inventory.set_servers(&servers);
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        tracing::info!(interface, addresses = addresses.join(" "), "serving DHCP");
    }

    fn handle(&mut self, snapshot: &Snapshot, arrival: Arrival, bytes: &[u8], now: i64) {
        let Self { app, link, history, .. } = self;
        let request = match Packet::parse_request(bytes) {
            Ok(request) => request,
            Err(unusable) => return self.drops.count(unusable.label()),
        };
        match exchange::answer(app, snapshot, link, history, &arrival, &request, now) {
            Err(reason) => self.drops.count(reason.label()),
            Ok(Action::Send(transmit)) => self.outbox.push(transmit),
            Ok(Action::Commit { lease, ended, reply }) => {
                self.leases.extend(ended.into_iter().map(|lease| (lease, None)));
                self.leases.push((lease, reply));
            }
            Ok(Action::Probe(probe)) => self.probe(*probe, arrival, bytes),
        }
    }

    /// Sends the replies whose leases are stored, or that go out in their place.
    fn finish(&mut self, settled: Vec<Result<Transmit, CommitError>>) {
        for reply in settled {
            match reply {
                Ok(reply) => self.outbox.push(reply),
                Err(CommitError::Database(error)) => self.warn_of_database(&error),
                Err(_) => {}
            }
        }
    }

    fn warn_of_database(&mut self, error: &str) {
        if self.history.warns("database", now()) {
            let error = error.to_owned();
            let data = EventData::Warning(Warning::LeasesNotStored { error });
            self.app.inventory.events.record(None, None, data);
        }
    }

    /// Sends the replies that are ready, and records their events.
    fn send_answers(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        let mut outbox = mem::take(&mut self.outbox);
        for answers in outbox.chunk_by_mut(|one, next| one.port == next.port) {
            self.send_together(answers);
        }
        outbox.clear();
        self.outbox = outbox;
    }

    /// Sends answers that leave from one port.
    fn send_together(&mut self, answers: &mut [Transmit]) {
        let Some(socket) = answers.first().and_then(|first| self.socket(first.port)) else {
            return;
        };
        let mut failures = Vec::new();
        socket.send(answers, &mut |place, error| failures.push((place, error)));
        let failed = |place: usize| failures.iter().any(|(failed, _)| *failed == place);
        for (_, sent) in answers.iter().enumerate().filter(|(place, _)| !failed(*place)) {
            DHCP_ANSWERS.count(sent.type_name());
        }
        for (place, error) in failures {
            let (to, interface) = (answers[place].to, &self.link.interface);
            tracing::warn!(interface, "cannot send a reply to {to}: {error}");
            self.drops.count("the reply cannot be sent");
            answers[place].event = None;
        }
        for event in answers.iter_mut().filter_map(|answer| answer.event.take()) {
            self.app.inventory.events.record_event(event);
        }
    }
}

impl Sockets {
    fn open(link: &ServedLink) -> io::Result<Self> {
        let interface = &link.interface;
        let server = DhcpSocket::open(link, SERVER_PORT).map_err(|error| {
            let text = format!("cannot serve DHCP on {interface}: UDP port {SERVER_PORT}: {error}");
            io::Error::new(error.kind(), text)
        })?;
        let boot_server = DhcpSocket::open(link, BOOT_SERVER_PORT)
            .inspect_err(|error| {
                tracing::warn!(interface, "cannot listen on UDP port {BOOT_SERVER_PORT}: {error}");
            })
            .ok();
        Ok(Self { server, boot_server })
    }
}

/// Waits for packets on either port and returns that port; never returns while there are no sockets.
async fn readable(sockets: Option<&Sockets>) -> io::Result<u16> {
    let Some(Sockets { server, boot_server }) = sockets else { return pending().await };
    let on_boot_server = async {
        match boot_server {
            Some(socket) => socket.readable().await,
            None => pending().await,
        }
    };
    tokio::select! {
        ready = server.readable() => ready.map(|()| SERVER_PORT),
        ready = on_boot_server => ready.map(|()| BOOT_SERVER_PORT),
    }
}

/// Why a lease was not stored, if it was not, and the reply that fits how its commit ended.
fn settle(
    stored: Result<Lease, CommitError>,
    reply: Option<Transmit>,
) -> impl Iterator<Item = Result<Transmit, CommitError>> {
    LEASE_COMMITS.count(commit_label(&stored));
    let reply = reply.and_then(|reply| reply.after_commit(&stored));
    stored.err().map(Err).into_iter().chain(reply.map(Ok))
}

/// How a commit ended, as it is counted.
fn commit_label(stored: &Result<Lease, CommitError>) -> &'static str {
    match stored {
        Ok(_) => "stored",
        Err(CommitError::Taken(_)) => "taken",
        Err(CommitError::Database(_)) => "failed",
        Err(CommitError::Busy) => "busy",
        Err(CommitError::Slow) => "slow",
    }
}

/// Unix seconds.
fn now() -> i64 {
    crate::inventory::now_ms() / 1000
}
