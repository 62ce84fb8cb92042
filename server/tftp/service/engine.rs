//! The loop: waits for packets, files and moments, and hands each to its place.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::fast::RandomState;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::runtime::Handle;

use super::clients::Clients;
use super::listeners::{Family, Listener, Peer};
use super::report::TransferLog;
use super::requests::{Opened, PendingRequest};
use super::sockets::{self, Incoming, PACKET_BYTES};
use super::timers::Timers;
use super::transfer_sockets::TransferSockets;
use super::{Signal, Stop};
use crate::app::App;
use crate::config::PortRange;
use crate::tftp::packet::is_request;
use crate::tftp::transfer::{Transfer, TransferEnd};
use crate::udp::{Inbox, Received};

/// How often interfaces are looked for and idle things are put away.
const HOUSEKEEPING: Duration = Duration::from_secs(2);
/// How many sockets are looked at in one turn.
const READY: usize = 64;
/// How many calls take packets from one socket in one turn, before others have theirs.
const CALLS_PER_TURN: usize = 4;
/// How long running transfers may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(8);

/// The mark of the signal in epoll; listeners and replies count from theirs.
const SIGNAL: u64 = 0;
const FIRST_LISTENER: u64 = 1;
const FIRST_REPLY: u64 = 1 << 32;

/// A transfer, its content, its socket and its log.
pub(super) struct Session {
    pub(super) transfer: Transfer,
    pub(super) content: Bytes,
    /// The socket that it answers from.
    pub(super) reply: u64,
    /// When its entry in the timers comes up.
    pub(super) timer_at: Duration,
    pub(super) report: TransferLog,
}

/// Everything the thread owns.
pub(super) struct Engine {
    pub(super) app: App,
    pub(super) tasks: Handle,
    pub(super) signal: Arc<Signal>,
    started: Instant,
    epoll: Epoll,
    pub(super) listeners: Vec<Listener>,
    pub(super) transfer_sockets: TransferSockets,
    /// Room for packets, and for requests; taken out while they are looked at.
    inbox: Option<Inbox>,
    request_inbox: Option<Inbox>,
    pub(super) sessions: HashMap<Peer, Session, RandomState>,
    pub(super) pending: HashMap<Peer, PendingRequest>,
    pub(super) opened: (mpsc::Sender<Opened>, mpsc::Receiver<Opened>),
    pub(super) clients: Clients,
    pub(super) timers: Timers,
    /// Packets that were ignored since the last log line.
    pub(super) dropped: u64,
    housekeeping_at: Duration,
    drain_until: Option<Duration>,
}

impl Engine {
    /// Opens the listeners of the interfaces that are there. Must be called in a
    /// tokio runtime, which opens the files.
    pub(super) fn open(app: App, signal: Arc<Signal>) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&signal.event, EpollEvent::new(EpollFlags::EPOLLIN, SIGNAL))?;
        let families: &[Family] =
            if app.config.now().tftp_ipv6 { &[Family::V4, Family::V6] } else { &[Family::V4] };
        let config = app.config.now();
        let listeners = config.interfaces.iter();
        let listeners =
            listeners.flat_map(|name| families.iter().map(|family| Listener::new(name, *family)));
        let listeners = listeners.collect();
        let transfer_sockets =
            TransferSockets::new(app.config.now().tftp_ports.map(PortRange::ports));
        let mut engine = Self {
            app,
            tasks: Handle::current(),
            signal,
            started: Instant::now(),
            epoll,
            listeners,
            transfer_sockets,
            inbox: Some(Inbox::new(PACKET_BYTES)),
            request_inbox: Some(Inbox::new(PACKET_BYTES)),
            sessions: HashMap::default(),
            pending: HashMap::new(),
            opened: mpsc::channel(),
            clients: Clients::default(),
            timers: Timers::default(),
            dropped: 0,
            housekeeping_at: Duration::ZERO,
            drain_until: None,
        };
        engine.keep_house()?;
        Ok(engine)
    }

    /// The time, counted from the start of the service.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Serves until `stop`, and then until the transfers are done.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); READY];
        loop {
            let ready = match self.epoll.wait(&mut events, self.patience()) {
                Err(Errno::EINTR) => 0,
                ready => ready?,
            };
            for event in &events[..ready] {
                self.on_ready(event.data(), event.events());
            }
            while let Ok(opened) = self.opened.1.try_recv() {
                self.on_opened(opened);
            }
            self.on_time()?;
            self.send_waiting();
            if self.has_stopped() {
                return Ok(());
            }
        }
    }

    /// How long nothing is due.
    fn patience(&self) -> EpollTimeout {
        let next =
            self.timers.next().map_or(self.housekeeping_at, |at| at.min(self.housekeeping_at));
        let wait = next.saturating_sub(self.now());
        // Rounded up: waking before the moment would only mean to wait again.
        let milliseconds = wait.as_micros().div_ceil(1000) as u64;
        EpollTimeout::try_from(Duration::from_millis(milliseconds)).unwrap_or(EpollTimeout::ZERO)
    }

    fn on_ready(&mut self, mark: u64, events: EpollFlags) {
        match mark {
            SIGNAL => {
                let _ = self.signal.event.read();
            }
            FIRST_REPLY.. => self.on_reply_ready(mark - FIRST_REPLY, events),
            _ => self.on_requests((mark - FIRST_LISTENER) as usize),
        }
    }

    fn on_requests(&mut self, link: usize) {
        let Some(listener) = self.listeners.get(link).and_then(|link| link.listener.as_ref())
        else {
            return;
        };
        let Some(mut inbox) = self.request_inbox.take() else { return };
        if inbox.receive(listener).is_ok() {
            for packet in inbox.packets() {
                match Incoming::of(&packet) {
                    Some(request) => self.on_request(link, request),
                    None => self.dropped += 1,
                }
            }
        }
        self.request_inbox = Some(inbox);
    }

    fn on_reply_ready(&mut self, id: u64, events: EpollFlags) {
        if events.contains(EpollFlags::EPOLLERR) {
            self.on_unreachable_peers(id);
        }
        if events.contains(EpollFlags::EPOLLIN) {
            self.on_packets(id);
        }
        if events.contains(EpollFlags::EPOLLOUT) {
            self.flush(id);
        }
    }

    fn on_unreachable_peers(&mut self, id: u64) {
        let Some(link) = self.transfer_sockets.get(id).map(|reply| reply.route.link) else {
            return;
        };
        while let Some(reply) = self.transfer_sockets.get(id) {
            match sockets::receive_unreachable(&reply.socket) {
                Ok(Some(address)) => self.on_unreachable(Peer { link, address }, id),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    /// Takes in the packets that wait in a socket.
    pub(super) fn on_packets(&mut self, id: u64) {
        let shared = self.transfer_sockets.share_port();
        let Some(reply) = self.transfer_sockets.get(id) else { return };
        let (link, local) = (reply.route.link, reply.route.local);
        let Some(mut inbox) = self.inbox.take() else { return };
        for _ in 0..CALLS_PER_TURN {
            let Some(reply) = self.transfer_sockets.get(id) else { break };
            // An error here is an ICMP message's, which has been taken in already.
            let Ok(more) = inbox.receive(&reply.socket) else { break };
            let now = self.now();
            for Received { peer: address, bytes, .. } in inbox.packets() {
                if shared && is_request(bytes) {
                    self.on_request(link, Incoming { peer: address, local, bytes });
                } else {
                    self.on_packet(Peer { link, address }, id, bytes, now);
                }
            }
            if !more {
                break;
            }
        }
        self.inbox = Some(inbox);
        self.flush(id);
    }

    /// Sends what waits in one socket, and asks epoll to tell when it takes more.
    pub(super) fn flush(&mut self, id: u64) {
        let Some(reply) = self.transfer_sockets.get(id) else { return };
        let was_full = reply.full;
        let flushed = reply.flush();
        let link = reply.route.link;
        if reply.full != was_full {
            let mut interest = EpollFlags::EPOLLIN;
            interest.set(EpollFlags::EPOLLOUT, reply.full);
            let mut event = EpollEvent::new(interest, FIRST_REPLY + id);
            let _ = self.epoll.modify(reply.socket.as_fd(), &mut event);
        }
        for address in flushed.unreadable {
            self.finish(Peer { link, address }, TransferEnd::Unreadable);
        }
    }

    fn send_waiting(&mut self) {
        for id in self.transfer_sockets.take_unsent() {
            if self.transfer_sockets.get(id).is_some_and(|reply| !reply.full) {
                self.flush(id);
            }
        }
    }

    /// Has epoll watch a socket that was opened for replies.
    pub(super) fn watch(&mut self, id: u64) -> io::Result<()> {
        if let Some(reply) = self.transfer_sockets.get(id) {
            self.epoll.add(
                reply.socket.as_fd(),
                EpollEvent::new(EpollFlags::EPOLLIN, FIRST_REPLY + id),
            )?;
        }
        Ok(())
    }

    fn on_time(&mut self) -> io::Result<()> {
        let now = self.now();
        while let Some((at, peer)) = self.timers.take_due(now) {
            self.on_timer(peer, at, now);
        }
        if now >= self.housekeeping_at {
            self.keep_house()?;
        }
        Ok(())
    }

    fn keep_house(&mut self) -> io::Result<()> {
        let now = self.now();
        self.housekeeping_at = now + HOUSEKEEPING;
        let shared_port = self.transfer_sockets.share_port();
        for (place, link) in self.listeners.iter_mut().enumerate() {
            if !link.refresh(shared_port) {
                continue;
            }
            if let Some(listener) = &link.listener {
                let mark = FIRST_LISTENER + place as u64;
                self.epoll.add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, mark))?;
            }
        }
        self.transfer_sockets.close_idle(now);
        self.clients.forget_idle(now);
        if self.dropped > 0 {
            tracing::debug!(packets = self.dropped, "dropped invalid TFTP packets");
            self.dropped = 0;
        }
        Ok(())
    }

    fn has_stopped(&mut self) -> bool {
        let stop = self.signal.stop();
        if stop == Stop::Serve {
            return false;
        }
        let now = self.now();
        let until = *self.drain_until.get_or_insert(now + DRAIN);
        if stop == Stop::Drain && now < until && !self.sessions.is_empty() {
            // Looked at again in time: nothing else may wake the thread by then.
            self.housekeeping_at = self.housekeeping_at.min(until);
            return false;
        }
        let peers: Vec<Peer> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.finish(peer, TransferEnd::Stopped);
        }
        self.send_waiting();
        true
    }

    /// Whether new requests are still served.
    pub(super) fn is_serving(&self) -> bool {
        self.drain_until.is_none()
    }
}
