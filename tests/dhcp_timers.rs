//! Real DHCP clients that reach their timers by themselves: T1 by unicast, T2 by broadcast.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rackstrap::model::{Lease, LeaseState, Mac};

use crate::common::dhcp::{DhcpServer, lan, wait_for};
use crate::common::real_client::RealClient;

/// The shortest lease that is given: T1 after 30 s, T2 after 52.5 s.
const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    lease-time: 60s
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
"#;
const NICS: [&str; 3] = ["52:54:00:bb:00:01", "52:54:00:bb:00:02", "52:54:00:bb:00:03"];
/// Longer than from one timer of a lease to the end of it.
const PATIENCE: Duration = Duration::from_secs(75);

fn lease_of(server: &DhcpServer, mac: &str) -> Option<Lease> {
    let mac: Mac = mac.parse().unwrap();
    server.leases().into_iter().find(|lease| lease.mac() == Some(mac))
}

/// Waits until every client's lease ends later than it did.
fn wait_until_longer(server: &DhcpServer, before: &[Lease]) {
    let end = Instant::now() + PATIENCE;
    let is_longer = |before: &Lease| {
        let now = server.leases();
        now.iter().any(|l| l.address == before.address && l.expires_at > before.expires_at)
    };
    while !before.iter().all(is_longer) {
        assert!(Instant::now() < end, "not extended: {before:?} {}", server.log());
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// dhclient, dhcpcd and networkd renew at T1; where their unicast is
/// lost they ask everybody at T2, and are answered; networkd gives its address back.
#[test]
fn clients_renew_at_t1_and_rebind_at_t2_by_themselves() {
    let (mut server, clients) = lan(SITE, &NICS);
    server.start(&["lan"]);
    let directory = tempfile::tempdir().unwrap();
    let dhclient = RealClient::dhclient(&clients, "eth0", &directory.path().join("leases"));
    let dhcpcd = RealClient::dhcpcd(&clients, "eth1", directory.path(), &["--noarp"]);
    let networkd = RealClient::networkd(&clients, "eth2", "");
    let bound = || NICS.map(|mac| lease_of(&server, mac));
    wait_for("all have an address", || bound().iter().all(Option::is_some));
    let first = bound().map(Option::unwrap);
    assert!(first.iter().all(|lease| lease.expires_at - lease.starts_at == 60), "{first:?}");

    wait_until_longer(&server, &first);
    dhclient.wait_for("RENEW", 1);
    dhcpcd.wait_for("RENEW", 1);

    let drop_unicast = "nft -f - <<END
table ip t {
    chain input {
        type filter hook input priority 0;
        ip daddr 10.77.0.1 udp dport 67 counter drop
    }
}
END";
    assert!(server.inside.sh(drop_unicast).status.success());
    let renewed = bound().map(Option::unwrap);
    wait_until_longer(&server, &renewed);
    let addresses = first.map(|lease| lease.address);
    // It calls that a renewal too; its first REQUEST to all was for the offer.
    let to_all = format!("DHCPREQUEST for {} on eth0 to 255.255.255.255", addresses[0]);
    assert_eq!(dhclient.log().matches(&to_all).count(), 2, "{}", dhclient.log());
    dhclient.wait_for("RENEW", 2);
    assert_eq!(dhcpcd.wait_long_for("REBIND", 1, PATIENCE), addresses[1]);
    assert!(networkd.log().contains("REBOUND") || networkd.log().contains("rebind"));
    let dropped = server.inside.sh("nft list ruleset").stdout;
    let dropped = String::from_utf8_lossy(&dropped).into_owned();
    assert!(!dropped.contains("counter packets 0 "), "nobody tried unicast: {dropped}");
    assert_eq!(bound().map(|lease| lease.unwrap().address), addresses);

    assert!(server.inside.sh("nft flush ruleset").status.success());
    networkd.signal("-TERM");
    wait_for("networkd gave its address back", || {
        lease_of(&server, NICS[2]).is_some_and(|lease| lease.state == LeaseState::Released)
    });
}

/// INIT-REBOOT by udhcpc, which asks for the address that it had.
#[test]
fn udhcpc_asks_for_the_address_that_it_had_and_gets_it() {
    let (mut server, clients) = lan(SITE, &NICS[..2]);
    server.start(&["lan"]);
    let wanted = Ipv4Addr::new(10, 77, 0, 150);
    let first = RealClient::udhcpc(&clients, "eth0", &["-r", "10.77.0.150"]);
    assert_eq!(first.wait_for("bound", 1), wanted);
    drop(first);
    clients.ip("address flush dev eth0");
    let again = RealClient::udhcpc(&clients, "eth0", &["-r", "10.77.0.150"]);
    assert_eq!(again.wait_for("bound", 1), wanted);
    // It is told its own whatever it asks for, and another client is not given it.
    drop(again);
    let elsewhere = RealClient::udhcpc(&clients, "eth0", &["-r", "10.77.0.160"]);
    assert_eq!(elsewhere.wait_for("bound", 1), wanted);
    let other = RealClient::udhcpc(&clients, "eth1", &["-r", "10.77.0.150"]);
    assert_ne!(other.wait_for("bound", 1), wanted);
    assert_eq!(server.leases().len(), 2);
}
