//! Every DHCP entrance, asked by a host that must not be installed: whichever it is, the reply
//! names nothing that boots from the network. An entrance that is added to [`ENTRANCES`] is tested
//! with every client, and one that bypasses the gate of `lifecycle/gate.rs` fails.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::action::Action;
use super::exchange;
use crate::config::{Config, ProxyDhcp};
use crate::dhcp::history::LinkHistory;
use crate::dhcp::link::{Arrival, ServedLink};
use crate::dhcp::reply::Transmit;
use crate::dhcp::test_packets::message;
use crate::dhcp::wire::Packet;
use crate::exercise::TestServer;
use crate::inventory::BootGrant;
use crate::lifecycle::install::InstallReport;

const SITE: &str = r#"
subnets:
  p:
    cidr: 10.0.0.0/24
    bootp: true
    rapid-commit: true
    conflict-probe: off
    ranges: [{from: 10.0.0.100, to: 10.0.0.199, for: dhcp}]
images:
  installer: {kernel: di/vmlinuz, boot: once}
  disk: {local: true}
hosts:
  n1: {image: installer, boot-file: di/setup.efi, nics: {eth0: "52:54:00:aa:00:01"}, reservations: {p: 10.0.0.11}}
  d1: {image: disk, boot-file: di/setup.efi, nics: {eth0: "52:54:00:aa:00:02"}, reservations: {p: 10.0.0.12}}
  off: {image: installer, dhcp: off, nics: {eth0: "52:54:00:aa:00:03"}, reservations: {p: 10.0.0.13}}
"#;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// A way by which a client asks DHCP what it boots.
#[derive(Clone, Copy, Debug)]
struct DhcpEntrance {
    name: &'static str,
    proxy: ProxyDhcp,
    port: u16,
    /// None for BOOTP.
    kind: Option<u8>,
    destination: Ipv4Addr,
    relay: Ipv4Addr,
    /// `ciaddr`.
    uses: Ipv4Addr,
    /// More options, such as that of a rapid commit.
    options: &'static [u8],
}

const BROADCAST: DhcpEntrance = DhcpEntrance {
    name: "DISCOVER",
    proxy: ProxyDhcp::Off,
    port: 67,
    kind: Some(1),
    destination: Ipv4Addr::BROADCAST,
    relay: NOBODY,
    uses: NOBODY,
    options: &[],
};
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const ENTRANCES: [DhcpEntrance; 14] = [
    BROADCAST,
    DhcpEntrance { name: "rapid commit", options: &[80, 0], ..BROADCAST },
    DhcpEntrance {
        name: "SELECTING",
        kind: Some(3),
        options: &[50, 4, 10, 0, 0, 11, 54, 4, 10, 0, 0, 1],
        ..BROADCAST
    },
    DhcpEntrance {
        name: "INIT-REBOOT",
        kind: Some(3),
        options: &[50, 4, 10, 0, 0, 11],
        ..BROADCAST
    },
    DhcpEntrance { name: "RENEWING", kind: Some(3), destination: SERVER, uses: OWN, ..BROADCAST },
    DhcpEntrance { name: "INFORM", kind: Some(8), destination: SERVER, uses: OWN, ..BROADCAST },
    DhcpEntrance { name: "BOOTP", kind: None, ..BROADCAST },
    DhcpEntrance { name: "relayed", relay: RELAY, destination: SERVER, ..BROADCAST },
    DhcpEntrance {
        name: "relayed BOOTP",
        kind: None,
        relay: RELAY,
        destination: SERVER,
        ..BROADCAST
    },
    DhcpEntrance { name: "proxy", proxy: ProxyDhcp::Direct, ..BROADCAST },
    DhcpEntrance { name: "redirecting proxy", proxy: ProxyDhcp::Redirect, ..BROADCAST },
    DhcpEntrance { name: "4011, DISCOVER", port: 4011, destination: SERVER, ..BROADCAST },
    DhcpEntrance {
        name: "4011, REQUEST",
        port: 4011,
        kind: Some(3),
        destination: SERVER,
        ..BROADCAST
    },
    DhcpEntrance {
        name: "4011, INFORM",
        port: 4011,
        kind: Some(8),
        destination: SERVER,
        uses: OWN,
        ..BROADCAST
    },
];

/// Every kind of client by its options: vendor class, architecture, iPXE's own, UUID.
const CLIENTS: [(&str, &[u8]); 11] = [
    ("a BIOS", b"\x3c\x09PXEClient\x5d\x02\0\0"),
    ("UEFI", b"\x3c\x09PXEClient\x5d\x02\0\x07"),
    ("UEFI on arm64", b"\x3c\x09PXEClient\x5d\x02\0\x0b"),
    ("UEFI HTTP Boot", b"\x3c\x0aHTTPClient\x5d\x02\0\x10"),
    ("BlueField", b"\x3c\x0dNVIDIA/BF/PXE\x5d\x02\0\x0b"),
    ("U-Boot", b"\x5d\x02\0\x16"),
    ("iPXE", b"\x3c\x09PXEClient\x5d\x02\0\x07\x4d\x04iPXE\xaf\x03\x13\x01\x01"),
    ("iPXE without HTTP", b"\x3c\x09PXEClient\x5d\x02\0\0\x4d\x04iPXE\xaf\x03\x15\x01\x01"),
    ("a Raspberry Pi", b"\x3c\x09PXEClient\x5d\x02\0\0\x61\x11\0RPi4\0\0\0\0\0\0\0\0\0\0\0\0"),
    ("a class that nobody knows", b"\x3c\x09BF2Client\x37\x02\x42\x43"),
    ("an operating system", b"\x37\x02\x01\x03"),
];

/// The reply to one client by one entrance.
fn ask(app: &crate::app::App, entrance: &DhcpEntrance, mac: u8, client: &[u8]) -> Option<Transmit> {
    let mut bytes = message(entrance.kind.unwrap_or(1), &[entrance.options, client]);
    if entrance.kind.is_none() {
        // Options that are not DHCP's may be there.
        bytes[240..243].fill(0);
    }
    bytes[12..16].copy_from_slice(&entrance.uses.octets());
    bytes[24..28].copy_from_slice(&entrance.relay.octets());
    bytes[33] = mac;
    let source = if entrance.relay.is_unspecified() { entrance.uses } else { entrance.relay };
    let arrival = Arrival {
        source: SocketAddrV4::new(source, 68),
        destination: entrance.destination,
        local: SERVER,
        port: entrance.port,
    };
    let link = ServedLink {
        interface: "lan".into(),
        index: 1,
        addresses: vec!["10.0.0.1/24".parse().unwrap()],
        mtu: 1500,
    };
    let mut config = (*app.config.now()).clone();
    config.proxy_dhcp = entrance.proxy;
    let app = crate::app::App { config: config.into(), ..app.clone() };
    let snapshot = app.inventory.snapshot();
    let now = 1_800_000_000;
    let history = &mut LinkHistory::default();
    let request = Packet::parse_request(&bytes).unwrap();
    match exchange::answer(&app, &snapshot, &link, history, &arrival, &request, now) {
        Ok(Action::Send(transmit)) => Some(transmit),
        Ok(Action::Commit { reply, .. }) => reply,
        Ok(Action::Probe(_)) | Err(_) => None,
    }
}

/// What a reply names that boots from the network.
fn boots(reply: &Transmit) -> Option<String> {
    let packet = Packet::parse(&reply.bytes).unwrap();
    let file = packet.boot_file.split(|byte| *byte == 0).next().unwrap_or_default();
    let option = packet.option(67).unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    let menu = packet.option(43).unwrap_or_default();
    if menu.windows(9).any(|words| words == b"Raspberry") {
        return Some("a Raspberry Pi's files".to_owned());
    }
    let named = if option.is_empty() { text(file) } else { text(option) };
    let is_nothing = named.is_empty() || named.ends_with("/local.efi");
    (!is_nothing).then_some(named)
}

/// What iPXE is told is its script, which asks the gate itself.
fn is_script(named: &str) -> bool {
    named.contains("/boot/") && named.ends_with(".ipxe")
}

#[test]
fn no_entrance_boots_a_host_that_is_not_armed() {
    let stage = TestServer::set(Config::default(), SITE);
    let app = &stage.app;
    let check = |state: &str, host: &str, mac: u8| {
        for entrance in &ENTRANCES {
            for (client, options) in CLIENTS {
                let named = ask(app, entrance, mac, options).and_then(|reply| boots(&reply));
                let named = named.filter(|named| !is_script(named));
                assert_eq!(named, None, "{state}: {host}: {client} by {}", entrance.name);
            }
        }
    };
    check("not armed", "n1", 1);
    check("its disk", "d1", 2);
    stage.block_on(async { app.inventory.arm_install("n1", "test").await.unwrap() });
    let armed = |entrance: &DhcpEntrance, client: &[u8]| {
        ask(app, entrance, 1, client).and_then(|reply| boots(&reply))
    };
    assert_eq!(armed(&BROADCAST, CLIENTS[1].1).as_deref(), Some("di/setup.efi"), "armed");
    assert_eq!(armed(&ENTRANCES[6], &[]).as_deref(), Some("di/setup.efi"), "armed, BOOTP");
    check("its disk", "d1", 2);
    for entrance in &ENTRANCES {
        for (client, options) in CLIENTS {
            let reply = ask(app, entrance, 3, options);
            assert!(reply.is_none(), "{client} of a host with dhcp: off by {}", entrance.name);
        }
    }
    let grant =
        stage.block_on(async { app.inventory.grant_boot("n1", "installer", None).await.unwrap() });
    let BootGrant::Install(token) = grant else { panic!("{grant:?}") };
    stage.block_on(async {
        let done = InstallReport::Succeeded;
        app.inventory.report_install("n1", &token, &done).await.unwrap();
    });
    check("installed", "n1", 1);
}
