//! What is told of a pool that fills up: events, the metric, and what its clients get.

use std::net::Ipv4Addr;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.104, for: dhcp}]
hosts:
  a: {nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
"#;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];

fn stranger(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0xbb, 0, number]
}

fn level(server: &DhcpServer) -> String {
    let output = server.inside.sh("curl -sf -m 5 http://127.0.0.1:8080/metrics").stdout;
    let text = String::from_utf8(output).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rackstrap_pool_level"));
    line.unwrap().split(' ').next_back().unwrap().to_owned()
}

/// How often the low pool and the exhausted one were told of.
fn told(server: &DhcpServer) -> (usize, usize) {
    let log = server.log();
    let count = |what: &str| log.matches(&format!("of subnet provisioning are {what}")).count();
    (count("running low: 4 of 5 addresses"), count("exhausted: 5 of 5 addresses"))
}

#[test]
fn a_pool_that_fills_up_is_told_of_once_and_again_after_it_was_emptier() {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let acquire = |number: u8| client.acquire(stranger(number)).expect("an address");
    let mut addresses: Vec<Ipv4Addr> = (1..=3).map(acquire).collect();
    assert_eq!((told(&server), level(&server).as_str()), ((0, 0), "0"));
    addresses.push(acquire(4));
    assert_eq!((told(&server), level(&server).as_str()), ((1, 0), "1"));
    addresses.push(acquire(5));
    assert_eq!((told(&server), level(&server).as_str()), ((1, 1), "2"));
    // Neither who has an address nor who gets none is news, nor a change of the site.
    for number in 1..=5 {
        assert_eq!(acquire(number), addresses[usize::from(number) - 1]);
    }
    server.set_site(&SITE.replace("conflict-probe: off", "conflict-probe: off\n    mtu: 1400"));
    for _ in 0..3 {
        client.send(&Message::new(1, stranger(9)), Ipv4Addr::BROADCAST);
    }
    server.wait_for_log("no free address in the subnet's dhcp ranges");
    assert_eq!(client.acquire(HOST), Some(Ipv4Addr::new(10, 77, 0, 12)), "hosts are served");
    assert_eq!(told(&server), (1, 1));
    for number in 1..=2 {
        let address = addresses[usize::from(number) - 1];
        clients.ip(&format!("address add {address}/24 dev eth0"));
        let release = Message::new(7, stranger(number)).address(12, address);
        let from = Client::bind(&clients, address, 68, None);
        from.send(&release.option(54, &SERVER.octets()), SERVER);
        wait_for("the lease is released", || {
            let leases = server.leases();
            leases.iter().any(|l| l.address == address && l.state == LeaseState::Released)
        });
    }
    acquire(3);
    assert_eq!(level(&server), "0");
    let again: Vec<Ipv4Addr> = (6..=7).map(acquire).collect();
    assert_eq!(again, addresses[..2]);
    assert_eq!((told(&server), level(&server).as_str()), ((2, 2), "2"));
}
