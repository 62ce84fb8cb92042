//! From a request to a transfer: what is refused, what is looked up, what begins.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::engine::{Engine, Session};
use super::library::{self, Content, Resolved, TftpError};
use super::listeners::{Family, Peer};
use super::outbox::Outgoing;
use super::report::{TftpClient, TransferLog};
use super::sockets::{self, Incoming};
use super::transfer_sockets::Route;
use crate::files::{FileError, SMALL_BYTES, names};
use crate::lifecycle::event::Tftp;
use crate::metrics::TFTP_REFUSED;
use crate::tftp::negotiate::{Quirks, negotiate};
use crate::tftp::netascii;
use crate::tftp::packet::{
    ErrorCode, Mode, ReadRequest, Requested, TftpPacket, encode_error, parse,
};
use crate::tftp::transfer::{Transfer, TransferEnd};

/// A request whose file is being opened.
pub(super) struct PendingRequest {
    local: IpAddr,
    mode: Mode,
    options: Requested,
}

/// A file that was opened for a request, or could not be.
pub(super) struct Opened {
    peer: Peer,
    result: Result<Content, FileError>,
}

impl Engine {
    /// Takes in a packet to port 69.
    pub(super) fn on_request(&mut self, link: usize, incoming: Incoming<'_>) {
        let Incoming { peer: address, local, bytes } = incoming;
        let peer = Peer { link, address };
        if address.port() == 0 || !self.is_serving() {
            self.dropped += 1;
            return;
        }
        let refusal = match parse(bytes) {
            Ok(TftpPacket::Read(request)) => match self.on_read(peer, local, &request) {
                Ok(()) => return,
                Err(refusal) => {
                    self.record_refusal(peer, Some(request.name), &refusal);
                    refusal
                }
            },
            Ok(TftpPacket::Write) => TftpError::new(ErrorCode::Access, "this server is read-only"),
            Ok(_) | Err(crate::tftp::packet::Malformed::Short) => {
                self.dropped += 1;
                return;
            }
            Err(malformed) => TftpError::new(ErrorCode::Illegal, malformed.to_string()),
        };
        self.refuse(peer, local, &refusal);
    }

    fn on_read(
        &mut self,
        peer: Peer,
        local: IpAddr,
        request: &ReadRequest<'_>,
    ) -> Result<(), TftpError> {
        if request.mode == Mode::Mail {
            return Err(TftpError::new(
                ErrorCode::Illegal,
                "mail mode is not supported; use octet",
            ));
        }
        let path = names::relative_path(request.name).map_err(|reason| {
            let name = names::shown(request.name);
            TftpError::new(ErrorCode::Access, FileError::Refused(name, reason).to_string())
        })?;
        if self.is_repeated(peer, &path) {
            return Ok(());
        }
        self.check_room(peer)?;
        let opening = PendingRequest { local, mode: request.mode, options: request.options };
        self.look_up(peer, path, opening)
    }

    /// Whether a request is one that came before: the client sent it again because
    /// the answer was late, and that answer is under way or has come. Another request
    /// from the same port means that the client has forgotten the transfer before.
    fn is_repeated(&mut self, peer: Peer, path: &str) -> bool {
        // What the client sent to that transfer before this request may still wait:
        // firmware ends its size probe and asks again within microseconds.
        if let Some(reply) = self.sessions.get(&peer).map(|session| session.reply) {
            self.on_packets(reply);
        }
        if self.pending.contains_key(&peer) {
            return true;
        }
        let Some(session) = self.sessions.get(&peer) else { return false };
        if session.report.file() == path && session.transfer.is_begun_by_copy(self.now()) {
            return true;
        }
        self.finish(peer, TransferEnd::Superseded);
        false
    }

    fn check_room(&self, peer: Peer) -> Result<(), TftpError> {
        let busy =
            |what: &str| TftpError::new(ErrorCode::Undefined, format!("busy: {what}, try again"));
        if self.sessions.len() + self.pending.len() >= self.app.config.now().tftp_max_transfers {
            return Err(busy("too many transfers"));
        }
        if self.clients.is_busy(peer.address.ip()) {
            return Err(busy("too many transfers to this address"));
        }
        Ok(())
    }

    fn look_up(
        &mut self,
        peer: Peer,
        path: String,
        opening: PendingRequest,
    ) -> Result<(), TftpError> {
        let now = self.now();
        let address = peer.address.ip();
        let directory = &self.clients.of(address, now).directory;
        let who = TftpClient::at(&self.app, address);
        let names = match library::resolve(&self.app, &who, opening.local, &path, directory)? {
            Resolved::Generated(bytes) => {
                return self.begin(peer, opening, Content { path, bytes });
            }
            Resolved::Files(names) => names,
        };
        if let Some(content) = library::cached(&self.app.files, &names) {
            return self.begin(peer, opening, content);
        }
        self.clients.of(address, now).running += 1;
        self.pending.insert(peer, opening);
        let (files, sender, signal) =
            (self.app.files.clone(), self.opened.0.clone(), self.signal.clone());
        self.tasks.spawn(async move {
            let result = library::open(&files, names).await;
            // The service may have stopped meanwhile.
            let _ = sender.send(Opened { peer, result });
            signal.wake();
        });
        Ok(())
    }

    /// Takes in a file that was opened.
    pub(super) fn on_opened(&mut self, opened: Opened) {
        let Opened { peer, result } = opened;
        let Some(opening) = self.pending.remove(&peer) else { return };
        self.clients.end(peer.address.ip());
        if !self.is_serving() {
            return;
        }
        let local = opening.local;
        let begun = match result {
            Ok(content) => self.begin(peer, opening, content),
            Err(error) => {
                let refusal = TftpError::from(error);
                self.record_refusal(peer, None, &refusal);
                Err(refusal)
            }
        };
        if let Err(refusal) = begun {
            self.refuse(peer, local, &refusal);
        }
    }

    fn begin(
        &mut self,
        peer: Peer,
        opening: PendingRequest,
        content: Content,
    ) -> Result<(), TftpError> {
        let now = self.now();
        let Content { path, bytes } = content;
        let bytes = in_mode(opening.mode, bytes, &path)?;
        let unreachable =
            |error: io::Error| TftpError::new(ErrorCode::Undefined, error.to_string());
        let (route, room) = self.route_to(peer, opening.local).map_err(unreachable)?;
        let reply = self.reply_for(peer, &route, now).map_err(unreachable)?;
        let total_bytes = bytes.len() as u64;
        let agreed = negotiate(&opening.options, opening.mode, total_bytes, room)
            .with(self.quirks_of(peer.address.ip()));
        let (transfer, first) = Transfer::start(agreed, total_bytes, now);
        let ip = peer.address.ip();
        let client = self.clients.of(ip, now);
        client.running += 1;
        client.socket = Some(reply);
        client.directory = path.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
        self.transfer_sockets.begin(reply);
        let timer_at = transfer.deadline();
        let report = TransferLog::new(&self.app, ip, path, total_bytes);
        self.sessions.insert(peer, Session { transfer, content: bytes, reply, timer_at, report });
        self.timers.set(timer_at, peer);
        self.send(peer, first, now);
        Ok(())
    }

    /// What the configuration says about a client.
    fn quirks_of(&self, client: IpAddr) -> Quirks {
        let config = self.app.config.now();
        let without_size = config.tftp_without_size.iter().any(|net| net.contains(&client));
        Quirks { rollover: config.tftp_rollover.into(), keeps_size: without_size }
    }

    /// The route back to a client, and the longest UDP payload on it: out of the interface that
    /// received the request, or by the routing table if not by that one.
    fn route_to(&self, peer: Peer, local: IpAddr) -> io::Result<(Route, u16)> {
        let link = peer.link;
        let served = &self.listeners[link];
        if let Some(room) = served.room(peer.address) {
            return Ok((Route { link, local, interface: Some(served.name.clone()) }, room));
        }
        let probe = sockets::probe(None, Family::of(local))?;
        let room = sockets::room(&probe, peer.address)?;
        Ok((Route { link, local, interface: None }, room))
    }

    fn reply_for(&mut self, peer: Peer, route: &Route, now: Duration) -> io::Result<u64> {
        let last = self.clients.of(peer.address.ip(), now).socket;
        let (id, opened) = self.transfer_sockets.choose(route, last, now)?;
        if let Some(opened) = opened {
            self.watch(opened)?;
        }
        Ok(id)
    }

    /// Answers a request with an ERROR.
    fn refuse(&mut self, peer: Peer, local: IpAddr, refusal: &TftpError) {
        let now = self.now();
        TFTP_REFUSED.count(refusal.code.label());
        tracing::debug!(peer = %peer.address, reason = %refusal.text, "TFTP request refused");
        let sent =
            self.route_to(peer, local).and_then(|(route, _)| self.reply_for(peer, &route, now));
        match sent {
            Ok(reply) => self.send_error(reply, peer.address, refusal, now),
            Err(error) => tracing::debug!(peer = %peer.address, %error, "client is unreachable"),
        }
    }

    /// Puts an ERROR into the outbox of a socket.
    pub(super) fn send_error(
        &mut self,
        reply: u64,
        to: SocketAddr,
        why: &TftpError,
        now: Duration,
    ) {
        let packet = encode_error(why.code, &why.text);
        self.transfer_sockets.queue(reply, to, Outgoing::TftpPacket(packet.into()), now);
    }

    fn record_refusal(&self, peer: Peer, name: Option<&[u8]>, refusal: &TftpError) {
        let to = peer.address.ip();
        TftpClient::at(&self.app, to).record(&self.app, || Tftp::Refused {
            to,
            file: name.map(names::shown),
            error: refusal.text.clone(),
        });
    }
}

/// The content as it goes over the wire.
fn in_mode(mode: Mode, bytes: Bytes, path: &str) -> Result<Bytes, TftpError> {
    if mode != Mode::Netascii {
        return Ok(bytes);
    }
    let small = bytes.len() as u64 <= SMALL_BYTES;
    small.then(|| netascii::encode(&bytes)).flatten().ok_or_else(|| {
        let text = format!("\"{path}\" is not a short text file: use octet (binary) mode");
        TftpError::new(ErrorCode::Undefined, text)
    })
}
