//! What a real networkd makes of router advertisements and of two subnets on one link.

use std::time::{Duration, Instant};

use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::common::networkd::{Networkd, Systemd};
use crate::common::skip::skip;
use crate::golden;

/// Sends an advertisement of a router for 1800 s with a prefix for addresses (RFC 4861 section 4.2),
/// every second, out of the port that is its argument.
const ROUTER: &str = r#"
import socket, struct, sys, time
port = sys.argv[1]
head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xc0, 86400, 14400, 0) + socket.inet_pton(socket.AF_INET6, "2001:db8:7::")
out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
for _ in range(40):
    try:
        out.sendto(head + prefix, ("ff02::1", 0, 0, socket.if_nametoindex(port)))
    except OSError:
        pass
    time.sleep(1)
"#;

fn site(systemd: &Systemd) -> ResolvedSite {
    let site = serde_json::json!({
        "subnets": {
            "lan": {"cidr": "10.20.0.0/24", "gateway": "10.20.0.1"},
            "backup": {"cidr": "10.21.0.0/24", "gateway": "10.21.0.1"},
            "six": {"cidr": "2001:db8:7::/64"},
        },
        "profiles": {"p": {
            "match": "name",
            "systemd": systemd.version,
            "nics": {
                "lan0": {
                    "subnet": "lan",
                    "more-subnets": [{"subnet": "backup", "host-number": 12, "table": 121}],
                },
                "lan1": {"accept-ra": true, "ipv6-token": "::53"},
                "lan2": {
                    "subnet6": "six", "host-number6": 12, "accept-ra": true,
                    "ra-overrides": {"use-addresses": false},
                },
            },
            "allow": ["N144", "N151"],
        }},
        "hosts": {(golden::HOST): {
            "profile": "p",
            "nics": {
                "lan0": "52:54:00:aa:00:01", "lan1": "52:54:00:aa:00:02", "lan2": "52:54:00:aa:00:03",
            },
            "addresses": {"lan0": "10.20.0.12"},
        }},
    });
    serde_json::from_value(site).unwrap()
}

fn said(namespace: &Netns, line: &str) -> String {
    String::from_utf8_lossy(&namespace.sh(line).stdout).into_owned()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Err(seen) = is_so() {
        assert!(Instant::now() < end, "{what}: {seen}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn hears_and_answers(systemd: &Systemd) {
    let networkd = Networkd::start(systemd, &site(systemd));
    let (host, switch) = (networkd.inside(), networkd.outside());
    for (port, address) in [("p-lan0", "10.20.0.1/24"), ("p-lan0", "10.21.0.1/24")] {
        switch.ip(&format!("addr add {address} dev {port}"));
    }
    switch.ip("addr add 192.0.2.1/32 dev lo");
    switch.ip("link set lo up");
    let mut routers: Vec<_> = ["p-lan1", "p-lan2"]
        .map(|port| switch.command("python3").args(["-c", ROUTER, port]).spawn().unwrap())
        .into();
    wait_for("the address with the token", || {
        let seen = said(host, "ip -6 addr show dev lan1 scope global");
        if seen.contains("2001:db8:7::53/64") { Ok(()) } else { Err(seen) }
    });
    wait_for("the router of the advertisements", || {
        let seen = said(host, "ip -6 route show default");
        let has = ["via fe80:", "proto ra", "dev lan2"].iter().all(|word| seen.contains(word));
        if has { Ok(()) } else { Err(seen) }
    });
    let seen = said(host, "ip -6 addr show dev lan2 scope global");
    let addresses: Vec<&str> = seen.lines().filter(|line| line.contains("inet6")).collect();
    assert!(addresses.len() == 1 && addresses[0].contains("2001:db8:7::c/64"), "{seen}");
    for source in ["10.20.0.12", "10.21.0.12"] {
        wait_for(source, || {
            let seen = said(host, &format!("ping -n -c 1 -W 2 -I {source} 192.0.2.1"));
            if seen.contains(" 0% packet loss") { Ok(()) } else { Err(seen) }
        });
    }
    let way = said(host, "ip route get 192.0.2.1 from 10.21.0.12");
    assert!(way.contains("via 10.21.0.1"), "{way}");
    for router in &mut routers {
        let _ = router.kill();
        let _ = router.wait();
    }
}

#[test]
fn a_link_hears_routers_as_told_and_has_a_second_subnet_with_its_own_gateway() {
    let test = "a_link_hears_routers_as_told_and_has_a_second_subnet_with_its_own_gateway";
    hears_and_answers(&Systemd::here());
    match Systemd::unpacked(257) {
        Some(systemd) => hears_and_answers(&systemd),
        None => skip(test, "tests/tools/get-trees.sh could not unpack systemd 257"),
    }
}
