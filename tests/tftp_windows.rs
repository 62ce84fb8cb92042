//! Windows of blocks on a network that loses one packet, and what blocks look like on a
//! narrow link: raw packets against the real service.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::tftp::{PATIENCE, Rack, Raw, block_of, error_of};

/// What of the second window is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lost {
    First,
    Middle,
    Last,
    Ack,
}

/// The number of blocks in a whole file of these tests: four windows and a short block.
fn blocks(window: u16) -> u16 {
    window * 4 + 1
}

/// Reads a file of `blocks` blocks of 512 bytes as a client of RFC 7440 does: it answers the
/// last block of a window, and a gap with the last block before it. One packet of the second
/// window is lost once. Gives the content, and how long it took to get over the loss.
fn read(client: &Raw, name: &str, window: u16, lost: Lost) -> (Vec<u8>, Duration) {
    client.read(name, &[("windowsize", &window.to_string())]);
    let (option_ack, from) = client.receive();
    assert_eq!(option_ack[..2], [0, 6]);
    client.ack(0, from);
    let mut reader = Reader { client, window, from, content: Vec::new(), next: 1, pending: 0 };
    let at = window
        + match lost {
            Lost::First => 1,
            Lost::Middle => window / 2 + 1,
            Lost::Last | Lost::Ack => window,
        };
    let mut lost_at = None;
    let mut took = None;
    loop {
        let (packet, _) = client.receive();
        let block = block_of(&packet);
        if block == at && lost_at.is_none() {
            lost_at = Some(Instant::now());
            if lost == Lost::Ack {
                // It came; what was lost is the answer.
                reader.content.extend_from_slice(&packet[4..]);
                (reader.next, reader.pending) = (block + 1, 0);
            }
            continue;
        }
        if let (Some(since), None) = (lost_at, took)
            && block == at + u16::from(lost == Lost::Ack)
        {
            took = Some(since.elapsed());
        }
        if reader.take(block, &packet[4..]) {
            return (reader.content, took.expect("the lost packet came again"));
        }
    }
}

struct Reader<'a> {
    client: &'a Raw,
    window: u16,
    from: SocketAddr,
    content: Vec<u8>,
    next: u16,
    /// How many blocks came since the last answer.
    pending: u16,
}

impl Reader<'_> {
    /// Takes in a block; whether it is the last one.
    fn take(&mut self, block: u16, data: &[u8]) -> bool {
        if block != self.next {
            // A gap, or a block that came already: whatever the window was, it begins anew.
            if self.pending > 0 || block < self.next || block == self.next + 1 {
                self.client.ack(self.next - 1, self.from);
                self.pending = 0;
            }
            return false;
        }
        self.content.extend_from_slice(data);
        self.next += 1;
        self.pending += 1;
        let is_last = data.len() < 512;
        if is_last || self.pending == self.window {
            self.client.ack(block, self.from);
            self.pending = 0;
        }
        is_last
    }
}

/// RFC 7440 section 4. The first wait of a transfer is a second: whoever waits that long has
/// not measured, or has not listened.
#[test]
fn whatever_packet_of_a_window_is_lost_the_rest_comes_within_a_second() {
    let rack = Rack::start("lost");
    for window in [1, 4, 64] {
        // A name of its own: a file is looked at once a second.
        let name = format!("window-{window}");
        let content = rack.put(&name, usize::from(blocks(window)) * 512 - 100);
        for lost in [Lost::First, Lost::Middle, Lost::Last, Lost::Ack] {
            // On a machine that is busy with other things one try may be late.
            let quickest = (0..3).map(|_| {
                let (got, took) = read(&rack.socket(), &name, window, lost);
                assert!(got == content, "window {window}, {lost:?} lost");
                took
            });
            let quickest = quickest.min().unwrap();
            assert!(quickest < Duration::from_millis(700), "{window}, {lost:?}: {quickest:?}");
        }
    }
}

/// The counters of fragments of a namespace (RFC 4293): created by the sender.
fn fragments_sent(rack: &Rack) -> u64 {
    let text = rack.server.sh("cat /proc/net/snmp").stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "FragCreates").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

/// Firmware that asks for more than a link carries gets whole packets: many ROMs put no
/// fragments together.
#[test]
fn no_block_is_sent_in_fragments_however_narrow_the_link() {
    let rack = Rack::start("narrow");
    let content = rack.put("file", 20_000);
    for mtu in [1400, 900, 1500] {
        rack.server.ip(&format!("link set srv0 mtu {mtu}"));
        let client = rack.socket();
        client.read("file", &[("blksize", "65464")]);
        let (mut packet, from) = client.receive();
        assert_eq!(packet[..2], [0, 6]);
        client.ack(0, from);
        let mut got = Vec::new();
        while got.len() < content.len() {
            packet = client.receive().0;
            assert!(packet.len() <= mtu - 28, "{} bytes at MTU {mtu}", packet.len());
            got.extend_from_slice(&packet[4..]);
            client.ack(block_of(&packet), from);
        }
        assert!(got == content);
    }
    assert_eq!(fragments_sent(&rack), 0);
}

/// RFC 2349: the length that is told is the length that comes, of what is made on request too.
#[test]
fn the_length_of_a_generated_file_is_told_exactly() {
    let rack = Rack::start("length");
    let client = rack.socket();
    client.read("autoexec.ipxe", &[("TSIZE", "0"), ("blksize", "8")]);
    let (packet, from) = client.receive();
    let text = String::from_utf8(packet[2..].to_vec()).unwrap();
    let words: Vec<&str> = text.split('\0').collect();
    let at = words.iter().position(|word| *word == "tsize").unwrap();
    let told: usize = words[at + 1].parse().unwrap();
    client.ack(0, from);
    let mut length = 0;
    loop {
        let (packet, _) = client.receive();
        length += packet.len() - 4;
        client.ack(block_of(&packet), from);
        if packet.len() < 12 {
            break;
        }
    }
    assert_eq!(told, length);
}

/// RFC 1350 section 2: 16 bits of block numbers are enough for any file, whatever its blocks.
#[test]
fn block_numbers_begin_anew_in_a_file_of_92_megabytes() {
    let rack = Rack::start("rollover");
    let content = rack.put("file", 92 << 20);
    let client = rack.socket();
    client.read("file", &[("blksize", "1408"), ("windowsize", "64")]);
    let (_, from) = client.receive();
    client.ack(0, from);
    let (mut next, mut got) = (1_u64, 0);
    let end = Instant::now() + PATIENCE * 12;
    loop {
        assert!(Instant::now() < end, "{got} bytes came");
        let (packet, _) = client.receive();
        if u64::from(block_of(&packet)) != next % 65_536 {
            client.ack((next.wrapping_sub(1) % 65_536) as u16, from);
            continue;
        }
        let data = &packet[4..];
        assert!(content[got..got + data.len()] == *data, "block {next}");
        got += data.len();
        let is_last = data.len() < 1408;
        if is_last || next.is_multiple_of(64) {
            client.ack((next % 65_536) as u16, from);
        }
        next += 1;
        if is_last {
            break;
        }
    }
    assert_eq!((got, next - 1), (92 << 20, (92_u64 << 20).div_ceil(1408)));
}

/// A refused client may be gone before it hears so: that its port is closed is news to nobody.
#[test]
fn clients_that_are_gone_before_the_refusal_comes_change_nothing() {
    let rack = Rack::start("refused");
    let content = rack.put("file", 100);
    for _ in 0..50 {
        let gone = rack.socket();
        gone.read("missing", &[]);
        gone.ask(b"\0\x02file\0octet\0");
    }
    let client = rack.socket();
    client.read("missing", &[]);
    assert_eq!(error_of(&client.receive().0).0, 1);
    client.read("file", &[]);
    let (packet, from) = client.receive();
    assert_eq!(packet[4..], content);
    client.ack(1, from);
}
