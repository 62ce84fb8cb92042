//! What must hold of every request and every transfer, whatever comes: driven by
//! bytes, for the tests beside and for the fuzz targets. Pure.

use std::time::Duration;

use super::negotiate::{Agreed, negotiate};
use super::packet::{Mode, Requested, TftpPacket, parse};
use super::transfer::{Event, Send, Step, Transfer, TransferEnd, block_range};
use crate::exercise::Dice;

/// The most packets that a peer gets which never answers.
const MAX_UNANSWERED: usize = 6;
/// In how many moments a transfer must end when nothing comes any more.
const MAX_MOMENTS: usize = 40;

/// Reads a packet as the service does, and negotiates what it asks for.
pub(crate) fn request(bytes: &[u8]) {
    let Ok(TftpPacket::Read(request)) = parse(bytes) else { return };
    assert!(!request.name.is_empty());
    for room in [0, 548, 1472, u16::MAX] {
        let agreed = negotiate(&request.options, request.mode, 1 << 40, room);
        assert!((8..=65_464).contains(&agreed.block_size()));
        assert!((1..=64).contains(&agreed.window_size()));
        assert!(agreed.option_ack().len() <= 512, "an OACK fits any client's buffer");
    }
}

/// Runs a transfer against any events in any order, and then against silence.
pub(crate) fn session(bytes: &[u8]) {
    let (mut dice, agreed, total_bytes) = begin(bytes);
    let mut now = Duration::ZERO;
    let (mut transfer, first) = Transfer::start(agreed, total_bytes, now);
    let mut watch = TransferCheck { unanswered: 0, acked_bytes: 0 };
    watch.check(&transfer, total_bytes, Step::Go(first));
    while let Some(kind) = dice.next() {
        now += Duration::from_millis(dice.byte().into());
        let event = match kind % 8 {
            0..=4 => Event::Ack(u16::from_be_bytes([kind >> 5 & 1, dice.byte()])),
            5 => Event::Timer,
            6 => Event::Ack(dice.number() as u16),
            _ if kind > 250 => Event::Error(kind.into()),
            _ if kind > 240 => Event::Unreachable,
            _ => {
                now = now.max(transfer.deadline());
                Event::Timer
            }
        };
        let step = transfer.on(event, now);
        if watch.check(&transfer, total_bytes, step) {
            return;
        }
    }
    for _ in 0..MAX_MOMENTS {
        now = now.max(transfer.deadline());
        let step = transfer.on(Event::Timer, now);
        if watch.check(&transfer, total_bytes, step) {
            return;
        }
    }
    panic!("it goes on for ever");
}

/// Runs a transfer to a client behind a network that loses and doubles packets,
/// and checks that the client has every byte once when it is complete.
pub(crate) fn download(bytes: &[u8]) {
    let (mut dice, agreed, total_bytes) = begin(bytes);
    let mut now = Duration::ZERO;
    let (mut transfer, first) = Transfer::start(agreed, total_bytes, now);
    let mut client = TestClient { agreed, received: 0, in_window: 0 };
    let mut step = Step::Go(first);
    // With every packet lost a transfer ends after some moments; dice that have
    // run out lose nothing.
    for _ in 0..100_000 {
        let Step::Go(sent) = step else { break };
        let mut acks = Vec::new();
        for block in packets(sent) {
            match dice.next().unwrap_or(255) {
                0..16 => {}
                16..24 => {
                    acks.extend([client.take(block, total_bytes), client.take(block, total_bytes)])
                }
                _ => acks.push(client.take(block, total_bytes)),
            }
        }
        acks.retain(|ack| ack.is_some() && dice.next().unwrap_or(255) >= 16);
        now += Duration::from_millis(1);
        step = Step::Go(Send::Nothing);
        for ack in acks.into_iter().flatten() {
            step = transfer.on(Event::Ack(ack), now);
            if step != Step::Go(Send::Nothing) {
                break;
            }
        }
        if step == Step::Go(Send::Nothing) {
            now = now.max(transfer.deadline());
            step = transfer.on(Event::Timer, now);
        }
    }
    let Step::End(ending) = step else { panic!("it goes on for ever") };
    let whole = client.received * u64::from(agreed.block_size()) > total_bytes;
    assert!(
        ending != TransferEnd::Complete || whole,
        "{ending:?} after {} blocks",
        client.received
    );
}

fn begin(bytes: &[u8]) -> (Dice<'_>, Agreed, u64) {
    let mut dice = Dice::new(bytes);
    let mut option = |values: [u64; 4]| Some(values[usize::from(dice.next()? % 5).checked_sub(1)?]);
    let requested = Requested {
        block_size: option([8, 512, 1468, 65_464]),
        window_size: option([1, 4, 16, 64]),
        timeout_seconds: option([1, 2, 5, 255]),
        transfer_size: option([0, 0, 0, 1]),
        rollover: option([0, 1, 0, 1]),
    };
    let total_bytes = option([0, 8 * 70_000, 1468 * 40, 513]).unwrap_or(1 << 16);
    (dice, negotiate(&requested, Mode::Octet, total_bytes, 1472), total_bytes)
}

/// The blocks of the content; the OACK counts as block 0.
fn packets(sent: Send) -> std::ops::Range<u64> {
    match sent {
        Send::Nothing => 0..0,
        Send::OptionAck => 0..1,
        Send::Blocks { first, count } => first..first + u64::from(count),
    }
}

/// What a transfer did so far.
struct TransferCheck {
    unanswered: usize,
    acked_bytes: u64,
}

impl TransferCheck {
    /// Checks a step, and gives whether it was the last one.
    fn check(&mut self, transfer: &Transfer, total_bytes: u64, step: Step) -> bool {
        let acked = transfer.acked_bytes();
        assert!((self.acked_bytes..=total_bytes).contains(&acked));
        self.acked_bytes = acked;
        let sent = match step {
            Step::End(ending) => {
                assert!(ending != TransferEnd::Complete || acked == total_bytes);
                return true;
            }
            Step::Go(sent) => sent,
        };
        if !transfer.has_been_answered() {
            self.unanswered += packets(sent).count();
            assert!(self.unanswered <= MAX_UNANSWERED, "an amplifier");
        }
        if let Send::Blocks { first, count } = sent {
            assert!((1..=transfer.agreed().window_size()).contains(&count));
            let block_size = transfer.agreed().block_size();
            assert_eq!(block_range(first, block_size, total_bytes).start as u64, acked);
            let last = block_range(first + u64::from(count) - 1, block_size, total_bytes);
            assert!(last.end as u64 <= total_bytes && last.start <= last.end);
        }
        false
    }
}

/// A client that acknowledges windows and gaps (RFC 7440), and repeated blocks.
struct TestClient {
    agreed: Agreed,
    received: u64,
    in_window: u16,
}

impl TestClient {
    /// Takes a block, and gives what it acknowledges on the wire.
    fn take(&mut self, block: u64, total_bytes: u64) -> Option<u16> {
        let on_wire = |block| self.agreed.rollover().on_wire(block);
        let next = self.received + 1;
        // A client knows a block by its number on the wire only.
        if block == 0 || on_wire(block) != on_wire(next) {
            self.in_window = 0;
            return Some(on_wire(self.received));
        }
        assert_eq!(block, next, "another block with the number of the next one");
        self.received = next;
        self.in_window += 1;
        let size = self.agreed.block_size();
        let is_last = block_range(block, size, total_bytes).len() < usize::from(size);
        if !is_last && self.in_window < self.agreed.window_size() {
            return None;
        }
        self.in_window = 0;
        Some(self.agreed.rollover().on_wire(self.received))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            request(&bytes);
        }

        #[test]
        fn any_option_values_are_bounded(name in "[a-zA-Z]{0,10}", value in "[0-9 -]{0,25}") {
            for option in ["blksize", "windowsize", "timeout", "tsize", "rollover", &name] {
                let text = format!("\0\u{1}name\0octet\0{option}\0{value}\0");
                request(text.as_bytes());
            }
        }

        #[test]
        fn any_events_end_a_session_in_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            session(&bytes);
        }

        #[test]
        fn a_bad_network_never_spoils_a_download(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        ) {
            download(&bytes);
        }
    }
}
