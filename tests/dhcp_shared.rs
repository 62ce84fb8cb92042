//! Two servers on one link and one PostgreSQL: no address is given twice, and either answers
//! for what the other gave.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::process::Command;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{Client, DhcpServer, Message, lan_on};
use crate::common::netns::Netns;
use crate::common::store::Store;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
"#;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

fn mac(number: u8) -> [u8; 6] {
    [0x52, 0x54, 0, 0xbb, 0, number]
}

/// Two started servers that know of each other, and the clients' namespace.
fn pair() -> (DhcpServer, DhcpServer, Netns, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = runtime.block_on(Store::postgres()).url;
    let (mut first, clients) = lan_on(Some(&url), SITE, &["52:54:00:cc:00:01"]);
    let inside = Netns::new("second");
    first.inside.join("p8", &inside, "lan");
    first.inside.ip("link set p8 master lan");
    inside.ip("address add 10.77.0.2/24 dev lan");
    let mut second = DhcpServer::on(Some(&url), inside, SITE);
    first.start(&["lan"]);
    second.start(&["lan"]);
    first.wait_for_log("the DHCP server at 10.77.0.2 shares this database");
    second.wait_for_log("the DHCP server at 10.77.0.1 shares this database");
    (first, second, clients, url)
}

/// A lease, however often the servers' offers collide; with the server that gave it.
fn acquire(client: &Client, mac: [u8; 6]) -> (Ipv4Addr, Ipv4Addr) {
    for _ in 0..10 {
        let offer = client.ask(&Message::new(1, mac), EVERYBODY).unwrap();
        let server = offer.option(54).unwrap();
        let request = Message::new(3, mac).option(50, &offer.your_address().octets());
        let answer = client.ask(&request.option(54, &server), EVERYBODY).unwrap();
        if answer.kind() == 5 {
            let server = <[u8; 4]>::try_from(server).unwrap();
            return (answer.your_address(), Ipv4Addr::from(server));
        }
    }
    panic!("no lease in ten attempts");
}

#[test]
fn two_servers_on_one_link_give_no_address_twice_and_answer_for_each_other() {
    const CLIENTS: u8 = 40;
    let (mut first, mut second, clients, url) = pair();
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let given: HashMap<u8, (Ipv4Addr, Ipv4Addr)> =
        (0..CLIENTS).map(|number| (number, acquire(&client, mac(number)))).collect();
    let addresses: HashSet<Ipv4Addr> = given.values().map(|(address, _)| *address).collect();
    assert_eq!(addresses.len(), usize::from(CLIENTS), "each client an address of its own");
    // What one has given, the other answers for at once.
    for (number, (address, server)) in &given {
        let other = if *server == FIRST { SECOND } else { FIRST };
        clients.ip(&format!("address add {address}/24 dev eth0"));
        let renewing = Client::bind(&clients, *address, 68, None);
        let ack =
            renewing.ask(&Message::new(3, mac(*number)).address(12, *address), other).unwrap();
        assert_eq!((ack.kind(), ack.your_address()), (5, *address), "renewed by the other server");
        clients.ip(&format!("address del {address}/24 dev eth0"));
    }
    for server in [&first, &second] {
        assert!(!server.log().contains("another DHCP server"), "{}", server.log());
    }
    // An operator takes one back: both have heard of it.
    let (address, _) = given[&0];
    let mut remove = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    remove.args(["--database", &url, "lease", "remove", &address.to_string()]);
    assert!(remove.status().unwrap().success());
    for server in [&first, &second] {
        server.wait_for_log(&format!("the lease of {address} was removed"));
    }
    clients.ip(&format!("address add {address}/24 dev eth0"));
    for server in [FIRST, SECOND] {
        // A refusal is broadcast, whomever the question went to.
        let renewal = Message::new(3, mac(0)).address(12, address);
        assert_eq!(client.ask(&renewal, server).unwrap().kind(), 6, "it is forgotten");
    }
    clients.ip(&format!("address del {address}/24 dev eth0"));
    // One dies: its clients rebind with the other.
    first.kill();
    for number in 1..CLIENTS {
        let (address, _) = given[&number];
        let rebinding = Message::new(3, mac(number)).address(12, address);
        let bound = {
            clients.ip(&format!("address add {address}/24 dev eth0"));
            Client::bind(&clients, address, 68, None)
        };
        let ack = bound.ask(&rebinding, EVERYBODY).unwrap();
        assert_eq!((ack.kind(), ack.your_address()), (5, address));
        clients.ip(&format!("address del {address}/24 dev eth0"));
    }
    let leases = second.leases();
    let bound = leases.iter().filter(|lease| lease.state == LeaseState::Bound);
    assert_eq!(bound.count(), usize::from(CLIENTS) - 1);
    second.kill();
}
