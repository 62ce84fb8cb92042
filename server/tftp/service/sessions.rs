//! Packets and moments of running transfers.

use std::time::Duration;

use super::engine::{Engine, Session};
use super::library::TftpError;
use super::listeners::Peer;
use super::outbox::Outgoing;
use crate::tftp::blocks::Blocks;
use crate::tftp::packet::{ErrorCode, TftpPacket, parse};
use crate::tftp::transfer::{Event, Send, Step, TransferEnd};

impl Engine {
    /// Takes in a packet to a socket that transfers answer from.
    pub(super) fn on_packet(&mut self, peer: Peer, reply: u64, bytes: &[u8], now: Duration) {
        let packet = parse(bytes);
        let event = match packet {
            Ok(TftpPacket::Ack(block)) => Some(Event::Ack(block)),
            Ok(TftpPacket::Error { code, .. }) => Some(Event::Error(code)),
            _ => None,
        };
        if event.is_some_and(|event| self.on_event(peer, reply, event, now)) {
            return;
        }
        match packet {
            // A malformed packet, or an ERROR, is never answered: two servers could answer each other endlessly.
            Ok(TftpPacket::Error { .. }) | Err(_) => self.dropped += 1,
            // From another port of a client that runs a transfer (RFC 1350 section 4).
            // Late packets of transfers that ended are let go: an ERROR would be taken
            // for the answer to the request that the same port sent since.
            Ok(_) if !self.serves(peer) && self.clients.running(peer.address.ip()) > 0 => {
                let why = TftpError::new(ErrorCode::UnknownTransfer, "no such transfer");
                self.send_error(reply, peer.address, &why, now);
            }
            Ok(_) => self.dropped += 1,
        }
    }

    /// Whether a peer has a transfer, by whatever socket, or is about to.
    fn serves(&self, peer: Peer) -> bool {
        self.sessions.contains_key(&peer) || self.pending.contains_key(&peer)
    }

    /// A peer's port is closed.
    pub(super) fn on_unreachable(&mut self, peer: Peer, reply: u64) {
        self.on_event(peer, reply, Event::Unreachable, self.now());
    }

    /// A transfer's entry in the timers came up.
    pub(super) fn on_timer(&mut self, peer: Peer, at: Duration, now: Duration) {
        let Some(session) = self.sessions.get_mut(&peer).filter(|session| session.timer_at == at)
        else {
            return;
        };
        if session.transfer.deadline() > now {
            session.timer_at = session.transfer.deadline();
            self.timers.set(session.timer_at, peer);
            return;
        }
        let reply = session.reply;
        self.on_event(peer, reply, Event::Timer, now);
    }

    /// Hands an event to the transfer that a peer has by the socket `reply`; gives whether
    /// there is one.
    fn on_event(&mut self, peer: Peer, reply: u64, event: Event, now: Duration) -> bool {
        let Some(session) = self.sessions.get_mut(&peer).filter(|session| session.reply == reply)
        else {
            return false;
        };
        let acked = session.transfer.acked_bytes();
        let step = session.transfer.on(event, now);
        let taken_up = matches!(event, Event::Ack(_)) && session.transfer.has_been_answered();
        if taken_up && (session.transfer.acked_bytes() > acked || acked == 0) {
            session.report.moved(&self.app, &session.transfer, now);
        }
        if event == Event::Timer && step != Step::Go(Send::Nothing) {
            session.report.stalled(&self.app);
        }
        let deadline = session.transfer.deadline();
        if event == Event::Timer || deadline < session.timer_at {
            session.timer_at = deadline;
            self.timers.set(deadline, peer);
        }
        match step {
            Step::Go(what) => {
                if let Some(what) = session.packets(what) {
                    self.transfer_sockets.queue(session.reply, peer.address, what, now);
                }
            }
            Step::End(ending) => self.finish(peer, ending),
        }
        true
    }

    /// Puts what a transfer sends into its socket's outbox.
    pub(super) fn send(&mut self, peer: Peer, what: Send, now: Duration) {
        let Some(session) = self.sessions.get(&peer) else { return };
        if let Some(what) = session.packets(what) {
            self.transfer_sockets.queue(session.reply, peer.address, what, now);
        }
    }

    /// Ends a transfer and records it.
    pub(super) fn finish(&mut self, peer: Peer, ending: TransferEnd) {
        let Some(session) = self.sessions.remove(&peer) else { return };
        let now = self.now();
        self.clients.end(peer.address.ip());
        self.transfer_sockets.end(session.reply, now);
        session.report.ended(&self.app, &session.transfer, ending, now);
        let why = match ending {
            TransferEnd::Unreadable => "the file was truncated",
            TransferEnd::Stopped => "the server stops",
            _ => return,
        };
        let why = TftpError::new(ErrorCode::Undefined, why);
        self.send_error(session.reply, peer.address, &why, now);
    }
}

impl Session {
    /// What a transfer sends, as the outbox takes it.
    fn packets(&self, what: Send) -> Option<Outgoing> {
        let agreed = *self.transfer.agreed();
        match what {
            Send::Nothing => None,
            Send::OptionAck => Some(Outgoing::TftpPacket(agreed.option_ack().into())),
            Send::Blocks { first, count } => {
                Some(Outgoing::Blocks(Blocks::new(self.content.clone(), agreed, first, count)))
            }
        }
    }
}
