use super::*;
use crate::tftp::negotiate::negotiate;
use crate::tftp::packet::{Mode, Requested};

const NONE: Requested = Requested {
    block_size: None,
    window_size: None,
    timeout_seconds: None,
    transfer_size: None,
    rollover: None,
};
const NOTHING: Step = Step::Go(Send::Nothing);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn blocks(first: u64, count: u16) -> Step {
    Step::Go(Send::Blocks { first, count })
}

fn start(requested: Requested, total_bytes: u64) -> (Transfer, Send) {
    let agreed = negotiate(&requested, Mode::Octet, total_bytes, 1472);
    Transfer::start(agreed, total_bytes, ms(0))
}

fn range_of(transfer: &Transfer, block: u64) -> std::ops::Range<usize> {
    block_range(block, transfer.agreed.block_size(), transfer.total_bytes)
}

/// A transfer whose OACK was acknowledged after 10 ms, so that its round trip is known.
fn windowed(window: u64, total_blocks: u64) -> Transfer {
    let options = Requested { window_size: Some(window), ..NONE };
    let (mut transfer, first) = start(options, (total_blocks - 1) * 512 + 1);
    assert_eq!(first, Send::OptionAck);
    let step = transfer.on(Event::Ack(0), ms(10));
    assert_eq!(step, blocks(1, window.min(total_blocks) as u16));
    transfer
}

/// A client on a perfect network: gives the blocks it saw until the end.
fn drain(transfer: &mut Transfer, mut step: Step, mut now: Duration) -> (Vec<u64>, TransferEnd) {
    let mut seen = Vec::new();
    loop {
        match step {
            Step::End(ending) => return (seen, ending),
            Step::Go(Send::Blocks { first, count }) => {
                let last = first + u64::from(count) - 1;
                seen.extend(first..=last);
                now += ms(1);
                step = transfer.on(Event::Ack(transfer.agreed.rollover().on_wire(last)), now);
            }
            Step::Go(other) => panic!("{other:?} after {seen:?}"),
        }
    }
}

#[test]
fn without_options_block_1_comes_at_once_and_the_last_ack_ends_it() {
    for (total, count) in [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (1024, 3)] {
        let (mut transfer, first) = start(NONE, total);
        let (seen, ending) = drain(&mut transfer, Step::Go(first), ms(0));
        assert_eq!(seen, (1..=count).collect::<Vec<_>>(), "{total} bytes");
        assert_eq!(ending, TransferEnd::Complete);
        let sizes: Vec<usize> =
            seen.iter().map(|block| range_of(&transfer, *block).len()).collect();
        assert_eq!(sizes.iter().sum::<usize>() as u64, total);
        assert!(sizes.last().is_some_and(|size| *size < 512), "the last block is not full");
        assert_eq!(transfer.acked_bytes(), total);
    }
}

#[test]
fn options_are_offered_and_ack_0_starts_the_data() {
    let (mut transfer, first) = start(Requested { block_size: Some(1024), ..NONE }, 1024);
    assert_eq!(first, Send::OptionAck);
    assert_eq!(transfer.on(Event::Ack(1), ms(1)), NOTHING, "not acknowledged yet");
    assert_eq!(transfer.on(Event::Ack(0), ms(1)), blocks(1, 1));
    assert_eq!(range_of(&transfer, 1), 0..1024);
    assert_eq!(transfer.on(Event::Ack(1), ms(2)), blocks(2, 1));
    assert_eq!(range_of(&transfer, 2), 1024..1024);
    assert_eq!(transfer.on(Event::Ack(2), ms(3)), Step::End(TransferEnd::Complete));
}

#[test]
fn a_refused_option_ack_ends_it_at_once() {
    let size = Requested { transfer_size: Some(0), ..NONE };
    let block = Requested { block_size: Some(1024), ..NONE };
    let table = [
        (size, 8, TransferEnd::Probed),
        (size, 0, TransferEnd::Probed),
        (block, 8, TransferEnd::Probed),
        (block, 3, TransferEnd::Refused(3)),
        (NONE, 0, TransferEnd::Refused(0)),
    ];
    for (options, code, ending) in table {
        let (mut transfer, _) = start(options, 5000);
        assert_eq!(transfer.on(Event::Error(code), ms(1)), Step::End(ending));
    }
    let (mut transfer, _) = start(size, 5000);
    transfer.on(Event::Ack(0), ms(1));
    assert_eq!(transfer.on(Event::Error(3), ms(1)), Step::End(TransferEnd::Refused(3)));
}

#[test]
fn windows_follow_each_other_and_the_last_one_is_short() {
    for (window, total_blocks) in [(1, 10), (4, 10), (4, 8), (64, 130), (16, 3)] {
        let options = Requested { window_size: Some(window), ..NONE };
        let (mut transfer, _) = start(options, (total_blocks - 1) * 512);
        let step = transfer.on(Event::Ack(0), ms(1));
        let (seen, ending) = drain(&mut transfer, step, ms(1));
        assert_eq!(seen, (1..=total_blocks).collect::<Vec<_>>(), "window {window}");
        assert_eq!((ending, transfer.resent_blocks()), (TransferEnd::Complete, 0));
    }
}

#[test]
fn a_gap_ack_restarts_the_window_after_the_last_block_that_came() {
    // Lost: the first block of window 5..=8, one in its middle, its last one.
    for (ack, again) in [(4, blocks(5, 4)), (6, blocks(7, 4)), (7, blocks(8, 4))] {
        let mut transfer = windowed(4, 20);
        assert_eq!(transfer.on(Event::Ack(4), ms(20)), blocks(5, 4));
        assert_eq!(transfer.on(Event::Ack(ack), ms(32)), again, "ack {ack}");
        assert_eq!(transfer.on(Event::Ack(ack), ms(32)), NOTHING, "the same ack doubled");
    }
}

#[test]
fn a_gap_ack_restarts_a_window_only_once() {
    let mut transfer = windowed(4, 20);
    assert_eq!(transfer.on(Event::Ack(4), ms(20)), blocks(5, 4));
    assert_eq!(transfer.on(Event::Ack(4), ms(30)), blocks(5, 4));
    for late in [31, 40, 45] {
        assert_eq!(transfer.on(Event::Ack(4), ms(late)), NOTHING);
    }
    assert_eq!(transfer.on(Event::Ack(8), ms(46)), blocks(9, 4));
    assert_eq!(transfer.on(Event::Ack(8), ms(56)), NOTHING, "an answer to a repeated block");
    assert_eq!(transfer.on(Event::Ack(12), ms(57)), blocks(13, 4));
    assert_eq!(transfer.on(Event::Ack(12), ms(67)), blocks(13, 4), "a later window has its own");
}

#[test]
fn one_needless_resend_does_not_make_more() {
    // A slow client that answers every repeated block: the timer fires once too early.
    let mut transfer = windowed(16, 160);
    let late = transfer.deadline();
    assert_eq!(transfer.on(Event::Timer, late), blocks(1, 16));
    let mut now = late;
    for window in 1..10u16 {
        now += ms(10);
        let acked = window * 16;
        assert_eq!(transfer.on(Event::Ack(acked), now), blocks(u64::from(acked) + 1, 16));
        if window == 1 {
            for _ in 0..16 {
                now += ms(1);
                assert_eq!(transfer.on(Event::Ack(acked), now), NOTHING);
            }
        }
    }
    assert_eq!(transfer.resent_blocks(), 16);
}

#[test]
fn doubled_packets_never_double_the_data() {
    for window in [1, 4, 64] {
        let mut transfer = windowed(window, 200);
        let mut outstanding = (1, window as u16);
        let mut sent_blocks = window;
        let mut now = ms(20);
        loop {
            let last = outstanding.0 + u64::from(outstanding.1) - 1;
            let step = transfer.on(Event::Ack(last as u16), now);
            let Step::Go(Send::Blocks { first, count }) = step else { break };
            assert_eq!(transfer.on(Event::Ack(last as u16), now), NOTHING, "{window} {first}");
            sent_blocks += u64::from(count);
            outstanding = (first, count);
            now += ms(10);
        }
        assert_eq!(sent_blocks, 200, "window {window}");
    }
}

#[test]
fn old_and_future_acks_are_ignored() {
    let mut transfer = windowed(4, 100);
    assert_eq!(transfer.on(Event::Ack(4), ms(20)), blocks(5, 4));
    for block in [0, 1, 3, 9, 100, 65_535, 40_000] {
        assert_eq!(transfer.on(Event::Ack(block), ms(40)), NOTHING, "{block}");
    }
}

#[test]
fn a_silent_peer_gets_six_packets_and_no_more() {
    let options = Requested { window_size: Some(64), ..NONE };
    for (requested, what) in [(NONE, blocks(1, 1)), (options, Step::Go(Send::OptionAck))] {
        let (mut transfer, first) = start(requested, 1 << 20);
        let mut sent = vec![Step::Go(first)];
        let ending = loop {
            let now = transfer.deadline();
            match transfer.on(Event::Timer, now) {
                Step::End(ending) => break (ending, now),
                step => sent.push(step),
            }
        };
        assert_eq!(sent, vec![what; 6]);
        assert_eq!(ending.0, TransferEnd::Silent);
        assert!((ms(15_000)..ms(20_000)).contains(&ending.1), "{:?}", ending.1);
    }
}

#[test]
fn a_lost_block_is_sent_again_after_the_measured_round_trip_not_after_a_second() {
    let mut transfer = windowed(1, 100);
    for block in 1..50u16 {
        transfer.on(Event::Ack(block), ms(10 + u64::from(block)));
    }
    let now = ms(59);
    assert!(transfer.deadline() - now <= ms(40), "{:?}", transfer.deadline() - now);
    assert_eq!(transfer.on(Event::Timer, now), NOTHING, "too early");
    assert_eq!(transfer.on(Event::Timer, transfer.deadline()), blocks(50, 1));
    assert_eq!(transfer.resent_blocks(), 1);
}

#[test]
fn a_client_that_answered_is_given_up_after_eighteen_silent_seconds() {
    let mut transfer = windowed(4, 100);
    let mut packets = 0;
    loop {
        let now = transfer.deadline();
        match transfer.on(Event::Timer, now) {
            Step::End(ending) => {
                assert_eq!(ending, TransferEnd::Silent);
                assert!((ms(18_000)..ms(30_000)).contains(&now), "{now:?}");
                break;
            }
            step => assert_eq!(step, blocks(1, 4)),
        }
        packets += 1;
    }
    assert!(packets < 16, "{packets}");
}

#[test]
fn a_lost_last_ack_counts_as_done() {
    let mut transfer = windowed(1, 2);
    assert_eq!(transfer.on(Event::Ack(1), ms(20)), blocks(2, 1));
    let mut gone = transfer.clone();
    assert_eq!(gone.on(Event::Unreachable, ms(21)), Step::End(TransferEnd::Unconfirmed));
    let ending = loop {
        if let Step::End(ending) = transfer.on(Event::Timer, transfer.deadline()) {
            break ending;
        }
    };
    assert_eq!(ending, TransferEnd::Unconfirmed);
    assert!(transfer.deadline() < ms(5_000), "{:?}", transfer.deadline());
}

#[test]
fn an_unreachable_client_ends_it_at_once() {
    let mut transfer = windowed(4, 100);
    assert_eq!(transfer.on(Event::Unreachable, ms(20)), Step::End(TransferEnd::Gone));
}

#[test]
fn more_than_65535_blocks_go_through_with_either_rollover() {
    let total_blocks = 34 * 1024 * 1024 / 512 + 1;
    for (rollover, window) in [(None, 1), (Some(0), 64), (Some(1), 1), (Some(1), 64)] {
        let options = Requested { rollover, window_size: Some(window), ..NONE };
        let (mut transfer, _) = start(options, 34 * 1024 * 1024);
        let step = transfer.on(Event::Ack(0), ms(1));
        let (seen, ending) = drain(&mut transfer, step, ms(1));
        assert_eq!((seen.len(), ending), (total_blocks, TransferEnd::Complete), "{rollover:?}");
        assert!(seen.into_iter().eq(1..=total_blocks as u64));
    }
}

#[test]
fn files_beyond_4_gib_are_counted_in_full() {
    let (transfer, _) = start(NONE, 5 << 30);
    let last = transfer.last_block();
    assert_eq!(range_of(&transfer, last - 1), (5 << 30) - 512..5 << 30);
    assert_eq!(range_of(&transfer, last), 5 << 30..5 << 30);
}
