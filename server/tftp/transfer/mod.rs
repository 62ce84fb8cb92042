//! One transfer as a state machine: an event and the time go in, what to send
//! comes out (RFC 1350, RFC 2347, RFC 7440). Pure.
//!
//! Times are counted from any fixed moment. Blocks are counted from 1 without
//! end; only the wire's numbers wrap.

use std::time::Duration;

use super::negotiate::Agreed;
use super::packet::OPTIONS_REFUSED;
use super::round_trip::RoundTrip;

/// How often something is sent to a client that never answered: its address may
/// be forged, so this bounds what the server can be made to send to a victim.
const MAX_UNANSWERED: u32 = 6;
/// How long a client that did answer may be silent.
const MAX_SILENCE: Duration = Duration::from_secs(18);
/// How long after an acknowledgement a request is still taken for a late copy of the first one.
const COPIES_COME_WITHIN: Duration = Duration::from_millis(500);

/// Something that happened to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The client acknowledged a block, by its number on the wire.
    Ack(u16),
    /// The client gave up, with this error code.
    Error(u16),
    /// The client's port is closed (ICMP port unreachable).
    Unreachable,
    /// The time of [`Transfer::deadline`] has come.
    Timer,
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// Nothing.
    Nothing,
    /// The OACK.
    OptionAck,
    /// Blocks in a row.
    Blocks {
        /// The first one's number, counted from 1 without end.
        first: u64,
        /// How many, at least 1.
        count: u16,
    },
}

/// Where a block, counted from 1, lies in a content of `total_bytes`; the last
/// block is shorter than the others, and may be empty.
pub fn block_range(block: u64, block_size: u16, total_bytes: u64) -> std::ops::Range<usize> {
    let size = u64::from(block_size);
    let from = ((block - 1) * size).min(total_bytes);
    let to = (block * size).min(total_bytes);
    from as usize..to as usize
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEnd {
    /// The client has everything.
    Complete,
    /// Everything was sent, but the client did not acknowledge the end of it: some
    /// boot ROMs stop listening after the last block.
    Unconfirmed,
    /// The client only wanted to know the options: UEFI asks for the size first and
    /// ends that with ERROR 8, Intel's boot agent with ERROR 0.
    Probed,
    /// The client refused to go on, with this error code.
    Refused(u16),
    /// The client stopped listening.
    Gone,
    /// The client stopped answering.
    Silent,
    /// The client asked for something else from the same port.
    Superseded,
    /// The content cannot be read any more.
    Unreadable,
    /// The server stops.
    Stopped,
}

impl TransferEnd {
    /// The word that it is counted under.
    pub fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unconfirmed => "unconfirmed",
            Self::Probed => "probed",
            Self::Refused(_) => "refused",
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Superseded => "superseded",
            Self::Unreadable => "unreadable",
            Self::Stopped => "stopped",
        }
    }

    /// Whether the client got what it wanted, as far as anybody can know.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Complete | Self::Unconfirmed | Self::Probed)
    }
}

/// What a transfer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sends this and goes on.
    Go(Send),
    /// Is over.
    End(TransferEnd),
}

/// The state of one transfer.
#[derive(Clone, Debug)]
pub struct Transfer {
    agreed: Agreed,
    total_bytes: u64,
    /// Whether the OACK is still to be acknowledged.
    offering: bool,
    /// Whether the client ever answered: until then its address may be forged.
    answered: bool,
    /// The last block that was acknowledged.
    acked: u64,
    /// The last block that was sent.
    sent: u64,
    /// When what is outstanding was sent first.
    sent_at: Duration,
    /// Whether any of what is outstanding was sent before.
    sent_twice: bool,
    /// Whether an acknowledgement made the outstanding window start again.
    restarted: bool,
    /// Whether some of the window before was sent twice: a client that answers
    /// every repeated block repeats its acknowledgement without having lost anything.
    echoes: bool,
    tries: u32,
    progress_at: Duration,
    deadline: Duration,
    timer: RoundTrip,
    resent_blocks: u64,
}

impl Transfer {
    /// Begins to send `total_bytes` with these options, and says what to send first.
    pub fn start(agreed: Agreed, total_bytes: u64, now: Duration) -> (Self, Send) {
        let timer = RoundTrip::new(agreed.timeout());
        let mut transfer = Self {
            agreed,
            total_bytes,
            offering: !agreed.is_plain(),
            answered: false,
            acked: 0,
            sent: 0,
            sent_at: now,
            sent_twice: false,
            restarted: false,
            echoes: false,
            tries: 1,
            progress_at: now,
            deadline: now + timer.wait(),
            timer,
            resent_blocks: 0,
        };
        let first = if transfer.offering { Send::OptionAck } else { transfer.send_window(now) };
        (transfer, first)
    }

    /// Takes in an event.
    pub fn on(&mut self, event: Event, now: Duration) -> Step {
        match event {
            Event::Ack(block) => self.on_ack(block, now),
            Event::Error(code) => Step::End(self.on_error(code)),
            Event::Unreachable if self.all_sent() => Step::End(TransferEnd::Unconfirmed),
            Event::Unreachable => Step::End(TransferEnd::Gone),
            Event::Timer => self.on_timer(now),
        }
    }

    /// When [`Event::Timer`] is due.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The options of the transfer.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// How many bytes the client has acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        (self.acked * self.block_size()).min(self.total_bytes)
    }

    /// Whether the client has answered the first packet.
    pub fn has_been_answered(&self) -> bool {
        self.answered
    }

    /// Whether the request for what this transfer sends, coming again, is a copy of the one
    /// that began it: the client has not answered yet, or is in the middle of the file. A
    /// copy can wait behind a crowd's requests while its transfer runs already. A client
    /// that began anew instead is silent on this transfer, and asks once more.
    pub fn is_begun_by_copy(&self, now: Duration) -> bool {
        let heard_lately = now.saturating_sub(self.progress_at) < COPIES_COME_WITHIN;
        !self.answered || (heard_lately && !self.all_sent())
    }

    /// How many blocks were sent again.
    pub fn resent_blocks(&self) -> u64 {
        self.resent_blocks
    }

    /// How many bytes a full block has.
    pub fn block_size(&self) -> u64 {
        self.agreed.block_size().into()
    }

    /// The last block is the first one that is not full; it may be empty.
    fn last_block(&self) -> u64 {
        self.total_bytes / self.block_size() + 1
    }

    fn all_sent(&self) -> bool {
        self.sent == self.last_block()
    }

    fn on_error(&self, code: u16) -> TransferEnd {
        let probed = self.offering && (code == OPTIONS_REFUSED || self.agreed.tells_size());
        if probed { TransferEnd::Probed } else { TransferEnd::Refused(code) }
    }

    fn on_ack(&mut self, wire: u16, now: Duration) -> Step {
        if self.offering {
            if wire != 0 {
                return Step::Go(Send::Nothing);
            }
            self.offering = false;
            self.progress(now);
            return Step::Go(self.send_window(now));
        }
        let Some(block) = self.outstanding_block(wire) else { return Step::Go(Send::Nothing) };
        if block == self.acked {
            return Step::Go(self.on_repeated_ack(now));
        }
        // Half of a window says nothing of the round trip: the client may have waited for more.
        self.sent_twice |= block != self.sent;
        self.acked = block;
        self.progress(now);
        if self.acked == self.last_block() {
            return Step::End(TransferEnd::Complete);
        }
        Step::Go(self.send_window(now))
    }

    /// The block that a wire number means: the last acknowledged one
    /// or one that is outstanding. Anything else is an old packet.
    fn outstanding_block(&self, wire: u16) -> Option<u64> {
        (self.acked..=self.sent).rev().find(|block| self.agreed.rollover().on_wire(*block) == wire)
    }

    /// The last acknowledgement came again. With single blocks it never causes a
    /// resend, or every packet would be sent twice until the end (RFC 1123 section
    /// 4.2.3.1). With windows it is how a client says that it lost the first
    /// block (RFC 7440 section 4), unless it answers repeated blocks, or comes
    /// sooner than an answer can: then the network doubled it.
    fn on_repeated_ack(&mut self, now: Duration) -> Send {
        let soonest = self.timer.smallest().unwrap_or(Duration::ZERO) / 2;
        let doubled = now < self.sent_at + soonest.max(Duration::from_micros(1));
        if self.agreed.window_size() == 1 || self.restarted || self.echoes || doubled {
            return Send::Nothing;
        }
        self.restarted = true;
        self.send_again(now)
    }

    fn on_timer(&mut self, now: Duration) -> Step {
        if now < self.deadline {
            return Step::Go(Send::Nothing);
        }
        if self.is_given_up(now) {
            let unconfirmed = self.answered && self.all_sent();
            return Step::End(if unconfirmed {
                TransferEnd::Unconfirmed
            } else {
                TransferEnd::Silent
            });
        }
        self.tries += 1;
        self.timer.back_off();
        Step::Go(self.send_again(now))
    }

    fn is_given_up(&self, now: Duration) -> bool {
        let silence = now.saturating_sub(self.progress_at);
        let tried_enough = self.tries >= MAX_UNANSWERED;
        tried_enough && (!self.answered || self.all_sent() || silence >= MAX_SILENCE)
    }

    /// The client acknowledged something new.
    fn progress(&mut self, now: Duration) {
        if self.sent_twice {
            self.timer.answered();
        } else {
            self.timer.measure(now.saturating_sub(self.sent_at));
        }
        self.echoes = self.sent_twice;
        self.sent_twice = false;
        self.tries = 1;
        self.answered = true;
        self.progress_at = now;
    }

    /// Sends the window that follows the last acknowledged block.
    fn send_window(&mut self, now: Duration) -> Send {
        let first = self.acked + 1;
        let last = (self.acked + u64::from(self.agreed.window_size())).min(self.last_block());
        // After a partial acknowledgement the first of these are out already.
        let again = (self.sent + 1).saturating_sub(first);
        self.resent_blocks += again;
        self.sent_twice = again > 0;
        self.restarted = false;
        self.sent = last;
        self.sent_at = now;
        self.deadline = now + self.timer.wait();
        Send::Blocks { first, count: (last - self.acked) as u16 }
    }

    /// Sends what is outstanding once more.
    fn send_again(&mut self, now: Duration) -> Send {
        self.sent_twice = true;
        self.deadline = now + self.timer.wait();
        if self.offering {
            return Send::OptionAck;
        }
        let count = (self.sent - self.acked) as u16;
        self.resent_blocks += u64::from(count);
        Send::Blocks { first: self.acked + 1, count }
    }
}

#[cfg(test)]
mod tests;
