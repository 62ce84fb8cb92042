//! Transfers over links that lose packets: nftables drops them by chance.

use std::time::{Duration, Instant};

use crate::common::tftp::{Rack, SERVER};

/// Drops a share of the UDP packets that come in, at both ends of the link. The
/// first three packets of a transfer are spared: RRQ, OACK and ACK 0. A client
/// repeats its request after seconds only, and atftp gives up at a second OACK.
fn lose(rack: &Rack, percent: u32) {
    // A window crosses the link as one packet otherwise, and would be lost whole.
    rack.server.ip("link set srv0 gso_max_segs 1");
    for namespace in [&rack.server, &rack.client] {
        for rule in [
            "add table ip loss".to_owned(),
            "add chain ip loss in { type filter hook input priority 0; }".to_owned(),
            "add rule ip loss in udp dport 69 accept".to_owned(),
            "add rule ip loss in @th,64,16 6 accept".to_owned(),
            "add rule ip loss in @th,64,32 0x40000 accept".to_owned(),
            format!("add rule ip loss in ip protocol udp numgen random mod 100 < {percent} drop"),
        ] {
            let output = namespace.sh(&format!("nft '{rule}'"));
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn fetch(rack: &Rack, number: usize, line: &str) -> (Vec<u8>, Duration) {
    let to = rack.directory.path().join(format!("got{number}"));
    let line = line.replace("SERVER", &SERVER.to_string()).replace("TO", to.to_str().unwrap());
    let started = Instant::now();
    let output = rack.client.sh(&line);
    let took = started.elapsed();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    (std::fs::read(&to).unwrap(), took)
}

/// What fetches `file`, and the seconds that it may take with 1 % and with 5 % loss.
/// atftp answers a repeated block once; if that is lost too it waits 5 s.
const CLIENTS: [(&str, [u64; 2]); 5] = [
    ("curl -sS --tftp-blksize 1468 -o TO tftp://SERVER/file", [5, 20]),
    ("busybox tftp -g -b 1468 -r file -l TO SERVER", [5, 20]),
    ("tftp -m binary SERVER -c get file TO", [5, 20]),
    ("atftp --option \"blksize 1468\" --get -r file -l TO SERVER", [20, 90]),
    (
        "atftp --option \"blksize 1468\" --option \"windowsize 16\" --get -r file -l TO SERVER",
        [20, 90],
    ),
];

fn check_loss(percent: u32, column: usize) {
    let rack = Rack::start(&format!("loss{percent}"));
    let content = rack.put("file", 1 << 20);
    lose(&rack, percent);
    std::thread::scope(|scope| {
        for (number, (line, bounds)) in CLIENTS.iter().enumerate() {
            let (rack, content) = (&rack, &content);
            scope.spawn(move || {
                let (got, took) = fetch(rack, number, line);
                assert!(got == *content, "{line} at {percent} %: {} bytes", got.len());
                println!("{took:?} at {percent} %: {line}");
                let bound = Duration::from_secs(bounds[column]);
                assert!(took < bound, "{line} at {percent} %: {took:?}");
            });
        }
    });
}

#[test]
fn one_percent_of_loss_costs_round_trips_not_seconds() {
    check_loss(1, 0);
}

#[test]
fn five_percent_of_loss_cost_round_trips_not_seconds() {
    check_loss(5, 1);
}
