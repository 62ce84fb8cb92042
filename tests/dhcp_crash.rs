//! kill -9 under load: what a client was promised is in the database, and nothing is promised twice.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rackstrap::model::{LeaseState, Mac};

use crate::common::dhcp::{Client, Message, lan};
use crate::common::netns::Netns;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/16
    conflict-probe: off
    ranges: [{from: 10.77.4.0, to: 10.77.60.255, for: dhcp}]
"#;

const ROUNDS: u32 = 20;
const CLIENTS_AT_ONCE: u32 = 4;
/// How many leases are made before the server is killed.
const LEASES_A_ROUND: usize = 60;

/// What each MAC was given by an ACK.
type Promised = HashMap<Mac, Ipv4Addr>;

#[test]
fn no_promise_is_lost_or_made_twice_by_twenty_kills_under_load() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    let mut promised = Promised::new();
    for round in 0..ROUNDS {
        server.start(&["lan"]);
        let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let (clients, stop, made) = (&clients, &stop, &made);
            let loads: Vec<_> = (0..CLIENTS_AT_ONCE)
                .map(|lane| scope.spawn(move || lease_until(clients, round, lane, stop, made)))
                .collect();
            while made.load(Ordering::Relaxed) < LEASES_A_ROUND {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            stop.store(true, Ordering::Relaxed);
            for load in loads {
                promised.extend(load.join().unwrap());
            }
        });
        check(&promised, &server.leases(), round);
    }
    assert!(promised.len() >= LEASES_A_ROUND * ROUNDS as usize);
}

/// New clients lease one after another until the server is gone.
fn lease_until(
    inside: &Netns,
    round: u32,
    lane: u32,
    stop: &AtomicBool,
    made: &AtomicUsize,
) -> Promised {
    let client = Client::bind(inside, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut promised = Promised::new();
    for number in 0_u8.. {
        let mac = [0x02, round as u8, lane as u8, number, number ^ 0x55, 7];
        while !stop.load(Ordering::Relaxed) {
            if let Some(address) = lease(&client, mac) {
                promised.insert(Mac(mac), address);
                made.fetch_add(1, Ordering::Relaxed);
                break;
            }
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    promised
}

fn lease(client: &Client, mac: [u8; 6]) -> Option<Ipv4Addr> {
    let patience = Duration::from_millis(300);
    let discover = Message::new(1, mac);
    client.send(&discover, Ipv4Addr::BROADCAST);
    let offer = client.receive(&discover, patience)?;
    let request = Message::new(3, mac)
        .option(50, &offer.your_address().octets())
        .option(54, &offer.option(54)?);
    client.send(&request, Ipv4Addr::BROADCAST);
    let answer = client.receive(&request, patience)?;
    (answer.kind() == 5).then(|| answer.your_address())
}

fn check(promised: &Promised, leases: &[rackstrap::model::Lease], round: u32) {
    let stored: HashMap<Ipv4Addr, Mac> = leases
        .iter()
        .filter(|lease| lease.state == LeaseState::Bound)
        .map(|lease| (lease.address, lease.mac().unwrap()))
        .collect();
    for (mac, address) in promised {
        assert_eq!(
            stored.get(address),
            Some(mac),
            "round {round}: {address} was promised to {mac}"
        );
    }
}
