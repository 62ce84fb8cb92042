//! Real DHCP clients, and crafted packets, against the real server in namespaces.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{ANSWERS, Client, DhcpServer, Message, capture, lan, wait_for};
use crate::common::netns::Netns;
use crate::common::real_client::{RealClient, tool};

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    gateway: 10.77.0.254
    dns: [10.77.0.253]
    domains: [example.net]
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
  behind-relay:
    cidr: 10.78.0.0/24
    ranges: [{from: 10.78.0.100, to: 10.78.0.199, for: dhcp}]
images:
  live: {kernel: live/vmlinuz}
hosts:
  r1-n01:
    image: live
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    reservations: {provisioning: 10.77.0.12}
"#;

const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const STRANGER: [u8; 6] = [0x52, 0x54, 0, 0xbb, 0, 1];

/// The started server of `SITE` and the clients' namespace.
fn rack(nics: &[&str]) -> (DhcpServer, Netns) {
    let (mut server, clients) = lan(SITE, nics);
    server.start(&["lan"]);
    (server, clients)
}

#[test]
fn a_host_has_one_address_from_either_nic_with_either_client() {
    let (server, clients) = rack(&["52:54:00:aa:00:01", "52:54:00:aa:00:02"]);
    let directory = tempfile::tempdir().unwrap();
    let first = RealClient::dhclient(&clients, "eth0", &directory.path().join("leases"));
    assert_eq!(first.wait_for("BOUND", 1), OWN);
    // While an operating system has it on one NIC, the other one gets another address.
    let second = RealClient::udhcpc(&clients, "eth1", &[]);
    assert_eq!(second.wait_for("bound", 1), Ipv4Addr::new(10, 77, 0, 100));
    drop(second);
    let leases = directory.path().join("leases");
    let mut release = clients.command("dhclient");
    release.args(["-r", "-sf"]).arg(tool("dhcp-hook.sh")).arg("-lf").arg(&leases);
    release.arg("-pf").arg(directory.path().join("pid")).arg("eth0");
    release.args(["-e", "HOOK_LOG=/dev/null"]);
    drop(first);
    assert!(release.status().unwrap().success());
    let released = || {
        let leases = server.leases();
        leases.iter().any(|lease| lease.address == OWN && lease.state == LeaseState::Released)
    };
    wait_for("the lease is released", released);
    let second = RealClient::udhcpc(&clients, "eth1", &[]);
    assert_eq!(second.wait_for("bound", 1), OWN);
}

#[test]
fn dhclient_comes_back_to_its_address_after_a_reboot_and_gives_it_back() {
    let (server, clients) = rack(&["52:54:00:bb:00:01"]);
    let directory = tempfile::tempdir().unwrap();
    let leases = directory.path().join("leases");
    let first = RealClient::dhclient(&clients, "eth0", &leases);
    let address = first.wait_for("BOUND", 1);
    assert_eq!(address, Ipv4Addr::new(10, 77, 0, 100));
    // It calls its script before it writes the lease down.
    let written = || fs::read_to_string(&leases).unwrap_or_default();
    wait_for("the lease is in its file", || written().contains("fixed-address 10.77.0.100;"));
    drop(first);
    clients.ip("address flush dev eth0");
    // INIT-REBOOT out of the lease file.
    let second = RealClient::dhclient(&clients, "eth0", &leases);
    assert_eq!(second.wait_for("REBOOT", 1), address);
    drop(second);
    let mut release = clients.command("dhclient");
    release.args(["-r", "-sf"]).arg(tool("dhcp-hook.sh")).arg("-lf").arg(&leases);
    release.arg("-pf").arg(directory.path().join("pid")).arg("eth0");
    release.args(["-e", "HOOK_LOG=/dev/null"]);
    assert!(release.status().unwrap().success());
    wait_for("the lease is released", || server.leases()[0].state == LeaseState::Released);
}

#[test]
fn udhcpc_renews_by_unicast_and_releases() {
    let (server, clients) = rack(&["52:54:00:bb:00:01"]);
    let client = RealClient::udhcpc(&clients, "eth0", &[]);
    let address = client.wait_for("bound", 1);
    client.signal("-USR1");
    assert_eq!(client.wait_for("renew", 1), address);
    assert!(server.log().contains("asks for 10.77.0.100"), "{}", server.log());
    client.signal("-USR2");
    wait_for("the lease is released", || server.leases()[0].state == LeaseState::Released);
}

/// `-o`: it sends no option 55.
#[test]
fn udhcpc_that_asks_for_no_option_gets_mask_router_and_dns() {
    let (_server, clients) = rack(&["52:54:00:bb:00:01"]);
    let client = RealClient::udhcpc(&clients, "eth0", &["-o"]);
    client.wait_for("bound", 1);
    let said = client.said();
    let expected = "bound 10.77.0.100 none 255.255.255.0 10.77.0.254 10.77.0.253";
    assert!(said.lines().any(|line| line == expected), "{said}");
}

#[test]
fn dhcpcd_acquires_renews_rebinds_reboots_and_releases() {
    let (server, clients) = rack(&["52:54:00:bb:00:01"]);
    let leases = tempfile::tempdir().unwrap();
    // It asks nobody whether the address is free; that is another test's.
    let first = RealClient::dhcpcd(&clients, "eth0", leases.path(), &["--noarp"]);
    let address = first.wait_for("BOUND", 1);
    assert_eq!(address, Ipv4Addr::new(10, 77, 0, 100));
    first.signal("-USR1");
    assert_eq!(first.wait_for("RENEW", 1), address);
    first.signal("-HUP");
    // Broadcast: it does not ask this server alone.
    assert_eq!(first.wait_for("RENEW", 2), address);
    first.signal("-TERM");
    first.wait_for("STOPPED", 1);
    let second = RealClient::dhcpcd(&clients, "eth0", leases.path(), &["--noarp"]);
    assert_eq!(second.wait_for("REBOOT", 1), address);
    second.signal("-ALRM");
    wait_for("the lease is released", || server.leases()[0].state == LeaseState::Released);
}

/// INFORM.
#[test]
fn dhcpcd_is_told_the_rest_for_an_address_of_its_own() {
    let (server, clients) = rack(&["52:54:00:bb:00:01"]);
    let leases = tempfile::tempdir().unwrap();
    let client = RealClient::dhcpcd(&clients, "eth0", leases.path(), &["--inform=10.77.0.66/24"]);
    client.wait_for("INFORM", 1);
    server.wait_for_log("has 10.77.0.66 and gets its settings");
    assert!(server.leases().is_empty());
}

/// DECLINE by clients that look before they use an address: the server's own probe is off.
/// Not by systemd-networkd: that of 252 fails to send its DECLINE ("network is unreachable").
#[test]
fn real_clients_decline_what_a_squatter_uses() {
    let (server, clients) =
        rack(&["52:54:00:bb:00:01", "52:54:00:bb:00:02", "52:54:00:bb:00:03", "52:54:00:bb:00:04"]);
    let squatter = Netns::new("squatter");
    server.inside.join("p9", &squatter, "eth0");
    server.inside.ip("link set p9 master lan");
    for last in [100, 102, 104] {
        squatter.ip(&format!("address add 10.77.0.{last}/24 dev eth0"));
    }
    let declined = |address: Ipv4Addr| {
        wait_for("the address rests", || {
            let leases = server.leases();
            leases.iter().any(|l| l.address == address && l.state == LeaseState::Declined)
        });
    };
    let address = |last| Ipv4Addr::new(10, 77, 0, last);
    let leases = tempfile::tempdir().unwrap();
    let dhcpcd = RealClient::dhcpcd(&clients, "eth0", leases.path(), &[]);
    declined(address(100));
    assert_eq!(dhcpcd.wait_for("BOUND", 1), address(101));
    let udhcpc = RealClient::udhcpc(&clients, "eth1", &["-a300"]);
    declined(address(102));
    assert_eq!(udhcpc.wait_for("bound", 1), address(103));
    let leases = leases.path().join("dhclient");
    // Its script is who looks; a failure of that is what it declines for.
    let dhclient = RealClient::dhclient_with(&clients, "eth2", &leases, "dhcp-hook-arping.sh");
    declined(address(104));
    assert_eq!(dhclient.wait_for("BOUND", 1), address(105));
}

/// A discovered host that was adopted moves to its own address: its renewal is refused.
#[test]
fn an_adopted_host_moves_to_its_own_address_at_its_next_renewal() {
    let (server, clients) = rack(&["52:54:00:bb:00:01"]);
    let client = RealClient::udhcpc(&clients, "eth0", &[]);
    assert_eq!(client.wait_for("bound", 1), Ipv4Addr::new(10, 77, 0, 100));
    let adopted = "  adopted:\n    nics: {eth0: \"52:54:00:bb:00:01\"}\n    \
                   reservations: {provisioning: 10.77.0.13}\n";
    server.set_site(&format!("{SITE}{adopted}"));
    let refused = || server.log().contains("its address here is 10.77.0.13");
    let mut renewals = 0;
    wait_for("the adoption is seen and the renewal refused", || {
        client.signal("-USR1");
        renewals += 1;
        // One that is told to renew again before its answer gives its address up.
        let answered = || refused() || client.times("renew") == renewals;
        wait_for("the renewal is answered", answered);
        refused()
    });
    assert_eq!(client.wait_for("bound", 2), Ipv4Addr::new(10, 77, 0, 13));
}

#[test]
fn networkd_gets_the_address_that_the_rom_had() {
    let (_server, clients) = rack(&["52:54:00:bb:00:01"]);
    let rom = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let address = rom.acquire(STRANGER).unwrap();
    drop(rom);
    let _networkd = RealClient::networkd(&clients, "eth0", "");
    wait_for("networkd has the address", || {
        let output = clients.sh("ip -4 address show dev eth0");
        String::from_utf8_lossy(&output.stdout).contains(&format!("inet {address}/24"))
    });
}

/// Firmware, iPXE and OS with three client identifiers and one MAC.
#[test]
fn three_client_identifiers_of_one_mac_are_one_client() {
    let (server, clients) = rack(&["52:54:00:bb:00:01"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let with_mac = [&[1][..], &STRANGER].concat();
    let duid = [255, 0, 0, 0, 1, 0, 2, 0, 0, 0xab, 0x11, 1, 2, 3, 4, 5, 6, 7, 8];
    let mut addresses = HashSet::new();
    for id in [None, Some(&with_mac[..]), Some(&duid[..])] {
        let identify = |message: Message| match id {
            Some(id) => message.option(61, id),
            None => message,
        };
        let offer = client.ask(&identify(Message::new(1, STRANGER)), Ipv4Addr::BROADCAST).unwrap();
        let request = Message::new(3, STRANGER)
            .option(50, &offer.your_address().octets())
            .option(54, &SERVER.octets());
        let ack = client.ask(&identify(request), Ipv4Addr::BROADCAST).unwrap();
        assert_eq!(ack.kind(), 5);
        // RFC 6842: it comes back as it was sent.
        assert_eq!(ack.option(61).as_deref(), id);
        addresses.insert(ack.your_address());
    }
    assert_eq!(addresses.len(), 1);
    assert_eq!(server.leases().len(), 1);
}

/// RFC 3046 section 2.2.
#[test]
fn a_relay_hears_its_own_words_back() {
    let (server, clients) = rack(&["52:54:00:cc:00:01"]);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 10.78.0.1/32 dev lo");
    server.inside.ip("route add 10.78.0.0/24 via 10.77.0.2");
    let relay_address = Ipv4Addr::new(10, 78, 0, 1);
    let relay = Client::bind(&clients, relay_address, 67, None);
    // Out of order, a sub-option twice, and one that is cut short.
    let info = [2, 2, b'r', b'1', 1, 3, b'g', b'e', b'1', 2, 1, b'x', 151, 9, 0];
    let relayed = |message: Message| message.address(24, relay_address).option(82, &info);
    let offer = relay.ask(&relayed(Message::new(1, STRANGER)), SERVER).unwrap();
    assert_eq!(offer.your_address(), Ipv4Addr::new(10, 78, 0, 100));
    assert_eq!(offer.option(82).unwrap(), info);
    let request = relayed(Message::new(3, STRANGER))
        .option(50, &offer.your_address().octets())
        .option(54, &offer.option(54).unwrap());
    let ack = relay.ask(&request, SERVER).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, offer.your_address()));
    assert_eq!(ack.option(82).unwrap(), info);
    // To the relay, with the broadcast flag.
    let wrong = relayed(Message::new(3, STRANGER)).option(50, &[10, 77, 0, 150]);
    let nak = relay.ask(&wrong, SERVER).unwrap();
    assert_eq!((nak.kind(), nak.0[10]), (6, 0x80));
    assert_eq!(nak.option(82).unwrap(), info);
}

#[test]
fn a_relay_of_nowhere_is_not_answered() {
    let (server, clients) = rack(&["52:54:00:cc:00:01"]);
    clients.ip("address add 10.77.0.2/24 dev eth0");
    clients.ip("address add 192.168.9.1/24 dev lo");
    server.inside.ip("route add 192.168.9.0/24 via 10.77.0.2");
    let relay_address = Ipv4Addr::new(192, 168, 9, 1);
    let relay = Client::bind(&clients, relay_address, 67, None);
    let discover = Message::new(1, STRANGER).address(24, relay_address);
    relay.send(&discover, SERVER);
    server.wait_for_log("the relay agent is not allowed");
    assert!(relay.receive(&discover, Duration::from_millis(200)).is_none());
}

#[test]
fn leases_outlive_a_killed_server_and_no_address_is_given_twice() {
    let (mut server, clients) = rack(&["52:54:00:bb:00:01"]);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mac = |number: u8| [0x52, 0x54, 0, 0xbb, 1, number];
    let before: Vec<Ipv4Addr> =
        (0..60).map(|number| client.acquire(mac(number)).unwrap()).collect();
    server.kill();
    server.start(&["lan"]);
    // New clients come first, so that they could be given what others have.
    let after: Vec<Ipv4Addr> =
        (60..100).map(|number| client.acquire(mac(number)).unwrap()).collect();
    let again: Vec<Ipv4Addr> = (0..60).map(|number| client.acquire(mac(number)).unwrap()).collect();
    assert_eq!(before, again);
    let all: HashSet<Ipv4Addr> = before.iter().chain(&after).copied().collect();
    assert_eq!(all.len(), 100);
    // The range is full.
    let one_more = Message::new(1, mac(200));
    client.send(&one_more, Ipv4Addr::BROADCAST);
    server.wait_for_log("no free address in the subnet's dhcp ranges");
    assert_eq!(server.leases().len(), 100);
}

/// What a client without an address can hear.
#[test]
fn the_frame_goes_to_the_client_alone_unless_it_asks_for_broadcast() {
    let (_server, clients) = rack(&["52:54:00:bb:00:01"]);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("capture");
    let _capture = capture(&clients, ANSWERS, &log);
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let mut quiet = Message::new(1, STRANGER);
    quiet.0[10] = 0;
    for (message, expected) in [
        (
            quiet,
            "> 52:54:00:bb:00:01, ethertype IPv4 (0x0800), length 347: 10.77.0.1.67 > 10.77.0.100.68",
        ),
        (
            Message::new(1, STRANGER),
            "> ff:ff:ff:ff:ff:ff, ethertype IPv4 (0x0800), length 347: 10.77.0.1.67 > 255.255.255.255.68",
        ),
    ] {
        client.send(&message, Ipv4Addr::BROADCAST);
        wait_for(expected, || fs::read_to_string(&log).unwrap().contains(expected));
    }
}

#[test]
fn a_router_advertisement_comes_to_who_asks_and_says_nothing() {
    let (_server, clients) = rack(&["52:54:00:bb:00:01"]);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("capture");
    let _capture = capture(&clients, ["-v", "icmp6 and ip6[40] == 134"], &log);
    let expected = "router lifetime 0s";
    wait_for(expected, || fs::read_to_string(&log).unwrap().contains(expected));
}

#[test]
fn an_interface_that_does_not_exist_is_named_with_those_that_do() {
    let inside = Netns::new("server");
    let server = DhcpServer::new(inside, SITE);
    let mut command = server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
    command.args(["serve", "--interface", "eth9", "--data-dir"]).arg(server.directory.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("interface \"eth9\" does not exist; expected one of: lo"), "{said}");
}
