//! Addresses that somebody uses unasked: found by a probe before a client is offered them.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use rackstrap::model::{LeaseState, Mac};

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};
use crate::common::netns::Netns;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    ranges: [{from: 10.77.0.100, to: 10.77.0.101, for: dhcp}]
  behind-relay:
    cidr: 10.78.0.0/24
    ranges: [{from: 10.78.0.100, to: 10.78.0.199, for: dhcp}]
hosts:
  r1-n01:
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.12}
"#;

const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const SQUATTER: Mac = Mac([0x52, 0x54, 0, 0xdd, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

fn mac(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0xbb, 0, number]
}

/// A started server, the clients, and somebody on the link who takes addresses unasked.
fn rack(site: &str) -> (DhcpServer, Netns, Netns) {
    let (mut server, clients) = lan(site, &["52:54:00:cc:00:01"]);
    let squatter = Netns::new("squatter");
    server.inside.join("p9", &squatter, "eth0");
    server.inside.ip("link set p9 master lan");
    squatter.ip(&format!("link set eth0 address {SQUATTER}"));
    server.start(&["lan"]);
    (server, clients, squatter)
}

fn client(clients: &Netns) -> Client {
    Client::bind(clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"))
}

/// What `rackstrap lease ...` prints beside the running server.
fn lease_command(server: &DhcpServer, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path()).arg("lease").args(words);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// An operator sees the quarantine, and ends it.
#[test]
fn an_address_that_somebody_uses_is_put_aside_until_an_operator_ends_that() {
    let (server, clients, squatter) = rack(SITE);
    squatter.ip("address add 10.77.0.100/24 dev eth0");
    let client = client(&clients);
    let offer = client.ask(&Message::new(1, mac(1)), EVERYBODY).unwrap();
    assert_eq!(offer.your_address(), address(101));
    server.wait_for_log(&format!("{SQUATTER} uses 10.77.0.100 without a lease"));
    let quarantined = &server.leases()[0];
    assert_eq!((quarantined.address, quarantined.state), (address(100), LeaseState::Declined));
    assert_eq!(quarantined.mac(), Some(SQUATTER));
    assert!(lease_command(&server, &["list"]).contains("declined"));
    // Nothing is left for a second client, until the squatter is gone and somebody says so.
    let second = Message::new(1, mac(2));
    client.send(&second, EVERYBODY);
    server.wait_for_log("no free address in the subnet's dhcp ranges");
    squatter.ip("address flush dev eth0");
    lease_command(&server, &["remove", "10.77.0.100"]);
    wait_for("the address is free again", || {
        client.send(&second, EVERYBODY);
        let offer = client.receive(&second, Duration::from_secs(1));
        offer.is_some_and(|offer| offer.your_address() == address(100))
    });
    assert!(!lease_command(&server, &["list", "--all"]).contains("declined"));
}

/// Who has the address already is answered without a probe, whoever else
/// claims it: there is nothing to wait for.
#[test]
fn neither_an_owner_nor_who_renews_waits_for_a_probe() {
    let (server, clients, squatter) = rack(SITE);
    let client = client(&clients);
    let given = client.acquire(mac(1)).unwrap();
    squatter.ip("address add 10.77.0.12/24 dev eth0");
    squatter.ip(&format!("address add {given}/24 dev eth0"));
    assert_eq!(client.acquire(HOST), Some(address(12)));
    let again = client.ask(&Message::new(1, mac(1)), EVERYBODY).unwrap();
    assert_eq!(again.your_address(), given);
    let reboot = Message::new(3, mac(1)).option(50, &given.octets());
    assert_eq!(client.ask(&reboot, EVERYBODY).unwrap().kind(), 5);
    assert!(!server.log().contains("without a lease"), "{}", server.log());
}

/// The client itself may use its old address still.
#[test]
fn a_client_is_no_conflict_with_itself() {
    let (_server, clients, squatter) = rack(SITE);
    squatter.ip("address add 10.77.0.100/24 dev eth0");
    let client = client(&clients);
    let offer = client.ask(&Message::new(1, SQUATTER.0), EVERYBODY).unwrap();
    assert_eq!(offer.your_address(), address(100));
}

#[test]
fn many_probes_run_at_once() {
    const CLIENTS: u8 = 40;
    let wide = SITE.replacen("to: 10.77.0.101", "to: 10.77.0.199", 1);
    let (_server, clients, _squatter) = rack(&wide);
    let client = client(&clients);
    let discovers: Vec<Message> = (0..CLIENTS).map(|number| Message::new(1, mac(number))).collect();
    let began = Instant::now();
    discovers.iter().for_each(|discover| client.send(discover, EVERYBODY));
    // The offers come in any order: each is waited for among those of the others.
    let mut offered = HashSet::new();
    while offered.len() < usize::from(CLIENTS) {
        assert!(began.elapsed() < Duration::from_secs(6), "only {} offers", offered.len());
        if let Some(reply) = client.next(Duration::from_millis(200)) {
            offered.insert(reply.your_address());
        }
    }
    // One after another they would have taken 12 s.
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
}

/// While a crowd's addresses are probed, who renews is answered at once.
#[test]
fn who_renews_does_not_wait_for_the_probes_of_a_crowd() {
    const CROWD: u8 = 30;
    let wide =
        SITE.replacen("from: 10.77.0.100, to: 10.77.0.101", "from: 10.77.0.20, to: 10.77.0.250", 1);
    let (_server, clients, _squatter) = rack(&wide);
    let client = client(&clients);
    let given = client.acquire(mac(0)).unwrap();
    let renewal = Message::new(3, mac(0)).option(50, &given.octets());
    let mut waits = Vec::new();
    for round in 0..3 {
        for number in 1..=CROWD {
            client.send(&Message::new(1, mac(round * CROWD + number)), EVERYBODY);
        }
        for _ in 0..5 {
            let began = Instant::now();
            let ack = client.ask(&renewal, EVERYBODY).unwrap();
            assert_eq!((ack.kind(), ack.your_address()), (5, given));
            waits.push(began.elapsed());
        }
    }
    waits.sort();
    // One probe takes 300 ms.
    assert!(waits[waits.len() / 2] < Duration::from_millis(100), "{waits:?}");
}

/// Behind a relay ARP does not reach: an echo does.
#[test]
fn an_address_behind_a_relay_is_probed_by_an_echo() {
    let (server, clients, _squatter) = rack(SITE);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 10.78.0.1/32 dev lo");
    clients.ip("address add 10.78.0.100/32 dev lo");
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    let relay_address = Ipv4Addr::new(10, 78, 0, 1);
    let relay = Client::bind(&clients, relay_address, 67, None);
    let discover = Message::new(1, mac(1)).address(24, relay_address);
    let offer = relay.ask(&discover, SERVER).unwrap();
    assert_eq!(offer.your_address(), Ipv4Addr::new(10, 78, 0, 101));
    server.wait_for_log("another device uses 10.78.0.100 without a lease");
}

/// A squatter and rapid commit (RFC 4039): what is given at once was probed as well.
#[test]
fn a_hasty_client_is_not_given_what_somebody_uses() {
    let hasty = SITE.replacen("ranges:", "rapid-commit: true\n    ranges:", 1);
    let (_server, clients, squatter) = rack(&hasty);
    squatter.ip("address add 10.77.0.100/24 dev eth0");
    let rapid = Message::new(1, mac(1)).option(80, &[]);
    let ack = client(&clients).ask(&rapid, EVERYBODY).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, address(101)));
}

/// A router that answers ARP for everybody must not empty the pool.
#[test]
fn one_who_answers_for_every_address_does_not_stop_the_server() {
    let wide = SITE.replacen("to: 10.77.0.101", "to: 10.77.0.199", 1);
    let (server, clients, squatter) = rack(&wide);
    for last in 100..=115 {
        squatter.ip(&format!("address add 10.77.0.{last}/24 dev eth0"));
    }
    let client = client(&clients);
    assert_eq!(client.acquire(mac(1)), Some(address(108)));
    server.wait_for_log("one device answers for many addresses");
    let resting = server.leases().iter().filter(|l| l.state == LeaseState::Declined).count();
    assert_eq!(resting, 8);
}
