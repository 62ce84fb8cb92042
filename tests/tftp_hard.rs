//! TFTP under hard conditions: many clients at once, a NAT in between, silence, a file that
//! changes, and clients with quirks.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rackstrap::config::TftpRollover;

use crate::common::netns::Netns;
use crate::common::tftp::{CLIENT, Rack, Raw, SERVER, block_of, read_request};

/// Reads a file in windows, and gives it with the numbers of its blocks. Whoever is slow to
/// answer is sent a window again, as this client is with its second: it passes that over.
fn read_windows(client: &Raw, name: &str, block_size: u16, window: u16) -> (Vec<u8>, Vec<u16>) {
    let (size, count) = (block_size.to_string(), window.to_string());
    client.read(name, &[("blksize", &size), ("windowsize", &count)]);
    let (option_ack, from) = client.receive();
    assert_eq!(option_ack[..2], [0, 6]);
    client.ack(0, from);
    let (mut content, mut numbers) = (Vec::new(), Vec::new());
    loop {
        let (packet, from) = client.receive();
        if packet == option_ack || is_repeated(&numbers, block_of(&packet), window) {
            continue;
        }
        numbers.push(block_of(&packet));
        content.extend_from_slice(&packet[4..]);
        let is_last = packet.len() < 4 + usize::from(block_size);
        if numbers.len() == 2 * usize::from(window) {
            let (again, _) = client.receive();
            assert!(is_repeated(&numbers, block_of(&again), window), "not the window again");
        }
        if is_last || numbers.len() % usize::from(window) == 0 {
            client.ack(block_of(&packet), from);
        }
        if is_last {
            return (content, numbers);
        }
    }
}

/// Whether a block came already, in this window or in the one before.
fn is_repeated(numbers: &[u16], block: u16, window: u16) -> bool {
    numbers.iter().rev().take(2 * usize::from(window)).any(|number| *number == block)
}

/// One of many transfers, driven without waiting.
struct Fetch {
    client: Raw,
    content: Vec<u8>,
    next: u16,
    done: Option<Duration>,
}

impl Fetch {
    const BLOCK: usize = 1468;
    const WINDOW: u16 = 4;

    fn begin(rack: &Rack, address: Ipv4Addr) -> Self {
        let client = Raw::bind(&rack.client, SocketAddr::from((address, 0)));
        client.socket.set_nonblocking(true).unwrap();
        Self { client, content: Vec::new(), next: 0, done: None }
    }

    fn ask(&self) {
        let options = [("blksize", "1468"), ("windowsize", "4")];
        self.client.ask(&read_request("file", &options));
    }

    /// Takes in what has come.
    fn take(&mut self, started: Instant) {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = self.client.socket.recv_from(&mut buffer) {
            let packet = &buffer[..length];
            if packet[1] == 6 && self.next == 0 {
                self.next = 1;
                self.client.ack(0, from);
                continue;
            }
            if packet[1] != 3 || block_of(packet) != self.next {
                assert_ne!(packet[1], 5, "refused: {packet:?}");
                // A gap, or a repetition: the window begins anew after what is here.
                self.client.ack(self.next.saturating_sub(1), from);
                continue;
            }
            self.content.extend_from_slice(&packet[4..]);
            let is_last = length < 4 + Self::BLOCK;
            if is_last || self.next.is_multiple_of(Self::WINDOW) {
                self.client.ack(self.next, from);
            }
            self.next += 1;
            if is_last {
                self.done = Some(started.elapsed());
            }
        }
    }
}

/// Runs transfers until all are through.
fn run_all(fetches: &mut [Fetch], started: Instant) {
    fetches.iter().for_each(Fetch::ask);
    while fetches.iter().any(|fetch| fetch.done.is_none()) {
        assert!(started.elapsed() < Duration::from_secs(180), "some transfers starve");
        let open: Vec<usize> =
            (0..fetches.len()).filter(|at| fetches[*at].done.is_none()).collect();
        let mut waiting: Vec<PollFd<'_>> = open
            .iter()
            .map(|at| PollFd::new(fetches[*at].client.socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let came = poll(&mut waiting, PollTimeout::from(2000_u16)).unwrap();
        let ready: Vec<bool> = waiting.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(waiting);
        for (at, ready) in open.into_iter().zip(ready) {
            if ready {
                fetches[at].take(started);
            } else if came == 0 && fetches[at].next == 0 {
                // Its request or the answer was lost in the crowd.
                fetches[at].ask();
            }
        }
    }
}

/// Nobody starves, and the slowest is not much slower than most.
#[test]
fn a_thousand_clients_at_once_get_the_same_share() {
    const THREADS: u8 = 20;
    const EACH: usize = 50;
    let rack = Rack::start("thousand");
    let content = rack.put("file", 1 << 20);
    for number in 1..=THREADS {
        rack.client.ip(&format!("address add 10.77.0.{}/24 dev cli0", 100 + number));
    }
    let started = Instant::now();
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=THREADS)
            .map(|number| {
                let (rack, content) = (&rack, &content);
                let address = Ipv4Addr::new(10, 77, 0, 100 + number);
                scope.spawn(move || {
                    let mut fetches: Vec<Fetch> =
                        (0..EACH).map(|_| Fetch::begin(rack, address)).collect();
                    run_all(&mut fetches, started);
                    assert!(fetches.iter().all(|fetch| fetch.content == *content));
                    fetches.iter().filter_map(|fetch| fetch.done).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    took.sort();
    let (median, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("1,000 x 1 MiB: median {median:?}, p99 {p99:?}, last {:?}", took[took.len() - 1]);
    assert_eq!(took.len(), 1000);
    assert!(p99 < median * 3 + Duration::from_secs(2), "median {median:?}, p99 {p99:?}");
}

/// A NAT without a helper for TFTP lets only the port through that was asked.
#[test]
fn one_port_is_enough_for_clients_behind_a_nat() {
    let rack = Rack::start_with("nat", |config| config.tftp_ports = "69-69".parse().ok());
    let content = rack.put("file", 300_000);
    let inside = Netns::new("nat-inside");
    rack.client.join("in0", &inside, "eth0");
    rack.client.ip("address add 192.168.7.1/24 dev in0");
    inside.ip("address add 192.168.7.2/24 dev eth0");
    inside.ip("route add default via 192.168.7.1");
    for line in [
        "sysctl -q net.ipv4.ip_forward=1",
        "nft add table ip nat",
        "nft 'add chain ip nat out { type nat hook postrouting priority 100; }'",
        "nft add rule ip nat out oifname cli0 masquerade",
    ] {
        let output = rack.client.sh(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let to = rack.directory.path().join("got");
    for line in [
        "curl -sS -m 30 --tftp-blksize 1428 -o TO tftp://SERVER/file",
        "busybox tftp -g -r file -l TO SERVER",
    ] {
        let line = line.replace("SERVER", &SERVER.to_string()).replace("TO", to.to_str().unwrap());
        let output = inside.sh(&line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&to).unwrap() == content, "{line}");
    }
}

/// The client's own link takes blocks of 1468 bytes, and one on the way does not: a router says
/// so of the first (ICMP fragmentation needed), which then goes in pieces, as all after it.
#[test]
fn a_narrower_link_on_the_way_costs_fragments_not_the_boot() {
    let rack = Rack::start("narrow");
    let content = rack.put("file", 300_000);
    let inside = Netns::new("narrow-inside");
    rack.client.join("in0", &inside, "eth0");
    rack.client.ip("address add 192.168.7.1/24 dev in0");
    rack.client.ip("link set in0 mtu 1300");
    inside.ip("address add 192.168.7.2/24 dev eth0");
    inside.ip("route add default via 192.168.7.1");
    rack.server.ip(&format!("route add 192.168.7.0/24 via {CLIENT}"));
    let output = rack.client.sh("sysctl -q net.ipv4.ip_forward=1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let to = rack.directory.path().join("got");
    for line in [
        "curl -sS -m 30 --tftp-blksize 1468 -o TO tftp://SERVER/file",
        "atftp --option \"blksize 1468\" --option \"windowsize 8\" --get -r file -l TO SERVER",
    ] {
        let line = line.replace("SERVER", &SERVER.to_string()).replace("TO", to.to_str().unwrap());
        let output = inside.sh(&line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&to).unwrap() == content, "{line}");
    }
}

/// What a forged request can draw upon somebody.
#[test]
fn a_silent_peer_is_sent_six_packets_in_all() {
    let mut rack = Rack::start("amplifier");
    rack.put("file", 100_000);
    let plain = rack.socket();
    let with_options = rack.socket();
    plain.read("file", &[]);
    with_options.read("file", &[("blksize", "1468"), ("windowsize", "64"), ("tsize", "0")]);
    let end = Instant::now() + Duration::from_secs(40);
    let mut ended = 0;
    while ended < 2 {
        assert!(Instant::now() < end, "the server does not give up");
        std::thread::sleep(Duration::from_millis(50));
        let texts = rack.event_texts();
        ended += texts.iter().filter(|text| text.contains("the client stopped answering")).count();
    }
    for (client, longest) in [(plain, 516), (with_options, 100)] {
        let mut packets = Vec::new();
        while let Some((packet, _)) = client.receive_within(Duration::from_millis(100)) {
            packets.push(packet.len());
        }
        assert!((2..=6).contains(&packets.len()), "{packets:?}");
        assert!(packets.iter().all(|length| *length <= longest), "{packets:?}");
    }
}

#[test]
fn a_file_that_is_replaced_meanwhile_arrives_as_it_was() {
    let rack = Rack::start("replaced");
    let old = rack.put("file", 300_000);
    let client = rack.socket();
    client.read("file", &[("blksize", "1400")]);
    let (_, from) = client.receive();
    client.ack(0, from);
    let mut got = Vec::new();
    loop {
        let (packet, from) = client.receive();
        got.extend_from_slice(&packet[4..]);
        if got.len() == 14_000 {
            let new: Vec<u8> = old.iter().rev().copied().collect();
            std::fs::write(rack.files().join("new"), new).unwrap();
            std::fs::rename(rack.files().join("new"), rack.files().join("file")).unwrap();
        }
        client.ack(block_of(&packet), from);
        if packet.len() < 1404 {
            break;
        }
    }
    assert!(got == old, "old and new are not mixed");
    // A file that was just looked at is taken to be unchanged for a second.
    let end = Instant::now() + Duration::from_secs(10);
    let new: Vec<u8> = old.iter().rev().copied().collect();
    while read_windows(&client, "file", 1468, 4).0 != new {
        assert!(Instant::now() < end, "the new file is never served");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn block_numbers_go_on_with_one_where_the_configuration_says_so() {
    for (rollover, after_last) in [(TftpRollover::Zero, 0), (TftpRollover::One, 1)] {
        let rack = Rack::start_with("roll", |config| config.tftp_rollover = rollover);
        let content = rack.put("file", 8 * 65_535 + 20);
        let (got, numbers) = read_windows(&rack.socket(), "file", 8, 64);
        assert!(got == content);
        assert_eq!(numbers[65_534..], [65_535, after_last, after_last + 1, after_last + 2]);
    }
}

#[test]
fn a_client_that_must_not_hear_the_length_does_not() {
    let without = "10.77.0.101/32".parse().unwrap();
    let rack = Rack::start_with("quirk", |config| config.tftp_without_size = vec![without]);
    rack.put("file", 1000);
    rack.client.ip("address add 10.77.0.101/24 dev cli0");
    let expected: BTreeMap<&str, &[u8]> = [
        ("10.77.0.100:0", &b"\0\x06blksize\x001024\0tsize\x001000\0"[..]),
        ("10.77.0.101:0", &b"\0\x06blksize\x001024\0"[..]),
    ]
    .into();
    for (address, option_ack) in expected {
        let client = Raw::bind(&rack.client, address.parse().unwrap());
        client.read("file", &[("tsize", "0"), ("blksize", "1024")]);
        assert_eq!(client.receive().0, option_ack, "{address}");
    }
}
