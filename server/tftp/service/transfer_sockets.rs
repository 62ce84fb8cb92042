//! The sockets that transfers answer from, shared by many transfers each.
//!
//! A client tells transfers apart by the port that answers (RFC 1350 section 4),
//! the server by the client's address and port: so a few sockets do for any
//! number of clients, and their packets come and go in batches. A client's next
//! transfer comes from another port than its last, in case that one's packets
//! are still under route.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use foldhash::fast::RandomState;
use socket2::Socket;

use super::outbox::{Flushed, Outbox, Outgoing};
use super::sockets;

/// How many sockets answer for one address of this server: one would repeat ports, and the
/// more there are, the fewer packets each call takes or sends.
const SOCKETS: usize = 2;
/// After this time without a transfer a socket is closed: the next one has another port.
const KEPT: Duration = Duration::from_secs(60);

/// What a group of sockets has in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    /// The served interface, by its place among the links.
    pub(super) link: usize,
    /// The address that was asked, and answers.
    pub(super) local: IpAddr,
    /// The interface that answers leave by; none where the route back to the
    /// client leads through another one than the request came by.
    pub(super) interface: Option<String>,
}

/// A socket and what waits to leave by it.
pub(super) struct TransferSocket {
    pub(super) route: Route,
    pub(super) socket: Socket,
    outbox: Outbox,
    transfers: usize,
    used_at: Duration,
    /// Whether somebody waits until it takes more.
    pub(super) full: bool,
}

impl TransferSocket {
    /// Sends what waits; nothing happens while the socket is full.
    pub(super) fn flush(&mut self) -> Flushed {
        let flushed = self.outbox.flush(&self.socket);
        self.full = flushed.full;
        flushed
    }
}

/// All sockets that answer.
pub(super) struct TransferSockets {
    ports: Option<RangeInclusive<u16>>,
    by_id: HashMap<u64, TransferSocket, RandomState>,
    by_route: HashMap<Route, Vec<u64>>,
    next_id: u64,
    /// Sockets with something to send.
    unsent: Vec<u64>,
}

impl TransferSockets {
    pub(super) fn new(ports: Option<RangeInclusive<u16>>) -> Self {
        Self {
            ports,
            by_id: HashMap::default(),
            by_route: HashMap::new(),
            next_id: 1,
            unsent: Vec::new(),
        }
    }

    /// Chooses a socket for a transfer, another one than `last` if there is one.
    /// The second value is a socket that was opened for this, to be watched.
    pub(super) fn choose(
        &mut self,
        route: &Route,
        last: Option<u64>,
        now: Duration,
    ) -> io::Result<(u64, Option<u64>)> {
        let opened = match self.by_route.get(route).map_or(0, Vec::len) {
            0 => Some(self.open(route, now)?),
            // More than one is a nicety: a narrow port range may not have it.
            have if have < self.wanted() => self.open(route, now).ok(),
            _ => None,
        };
        let ids = self.by_route.get(route).map_or(&[][..], Vec::as_slice);
        // The first that will do, not each in turn: a rack that boots together stays on one
        // socket, and its packets come and go in few calls.
        let other = ids.iter().find(|id| Some(**id) != last).or_else(|| ids.first());
        let id = *other.ok_or_else(|| io::Error::other("no socket answers"))?;
        Ok((id, opened))
    }

    /// Whether answers leave from port 69, where requests come in: one port is then
    /// all that a firewall or a translator between the two has to know.
    pub(super) fn share_port(&self) -> bool {
        self.ports.as_ref().is_some_and(|ports| ports.contains(&sockets::TFTP))
    }

    fn wanted(&self) -> usize {
        self.ports.as_ref().map_or(SOCKETS, |ports| SOCKETS.min(ports.len()))
    }

    fn open(&mut self, route: &Route, now: Duration) -> io::Result<u64> {
        let socket = sockets::reply(route.interface.as_deref(), route.local, self.ports.as_ref())?;
        let id = self.next_id;
        self.next_id += 1;
        let outbox = Outbox::new(&socket);
        let reply = TransferSocket {
            route: route.clone(),
            socket,
            outbox,
            transfers: 0,
            used_at: now,
            full: false,
        };
        self.by_id.insert(id, reply);
        self.by_route.entry(route.clone()).or_default().push(id);
        Ok(id)
    }

    pub(super) fn get(&mut self, id: u64) -> Option<&mut TransferSocket> {
        self.by_id.get_mut(&id)
    }

    /// Puts something into a socket's outbox; [`Self::take_unsent`] then names the socket.
    pub(super) fn queue(&mut self, id: u64, to: SocketAddr, outgoing: Outgoing, now: Duration) {
        let Some(reply) = self.by_id.get_mut(&id) else { return };
        reply.used_at = now;
        if reply.outbox.is_empty() {
            self.unsent.push(id);
        }
        reply.outbox.push(to, outgoing);
    }

    /// The sockets that got something to send since the last call.
    pub(super) fn take_unsent(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.unsent)
    }

    /// Notes that a transfer began on a socket.
    pub(super) fn begin(&mut self, id: u64) {
        if let Some(reply) = self.by_id.get_mut(&id) {
            reply.transfers += 1;
        }
    }

    /// Notes that a transfer ended on a socket.
    pub(super) fn end(&mut self, id: u64, now: Duration) {
        if let Some(reply) = self.by_id.get_mut(&id) {
            reply.transfers = reply.transfers.saturating_sub(1);
            reply.used_at = now;
        }
    }

    /// Closes sockets that nothing used for a minute.
    pub(super) fn close_idle(&mut self, now: Duration) {
        self.by_id.retain(|_, reply| {
            reply.transfers > 0 || !reply.outbox.is_empty() || reply.used_at + KEPT > now
        });
        self.by_route.retain(|_, ids| {
            ids.retain(|id| self.by_id.contains_key(id));
            !ids.is_empty()
        });
    }
}
