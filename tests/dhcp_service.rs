//! The real DHCP server against crafted packets: booting, proxy, hostile clients, moving links.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use rackstrap::model::LeaseState;

use crate::common::dhcp::{Client, DhcpServer, Message, lan, wait_for};
use crate::common::netns::Netns;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    dhcp-options: {150: 10.77.0.66, time-offset: 3600, 43.1: "hex:0a0b"}
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  live: {kernel: live/vmlinuz}
  disk: {local: true}
hosts:
  r1-n01:
    image: live
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.12}
  r1-n02:
    image: disk
    nics: {eth0: "52:54:00:aa:00:03"}
"#;

const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const INSTALLED: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 3];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;

fn rack() -> (DhcpServer, Netns) {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.start(&["lan"]);
    (server, clients)
}

fn client(clients: &Netns) -> Client {
    Client::bind(clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"))
}

/// A stranger's MAC.
fn mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [0x52, 0x54, 0, 0xbb, high, low]
}

/// A DISCOVER as the firmware of an architecture sends it.
fn pxe(mac: [u8; 6], arch: u16) -> Message {
    Message::new(1, mac)
        .option(55, &[1, 3, 66, 67])
        .option(60, format!("PXEClient:Arch:{arch:05}:UNDI:003016").as_bytes())
        .option(93, &arch.to_be_bytes())
        .option(97, &[0; 17])
}

fn ipxe(mac: [u8; 6]) -> Message {
    pxe(mac, 7).option(77, b"iPXE").option(175, &[0x13, 1, 1])
}

#[test]
fn each_stage_of_a_boot_is_told_the_next_one() {
    let (_server, clients) = rack();
    let client = client(&clients);
    let script = "http://10.77.0.1/boot/52:54:00:aa:00:01.ipxe";
    let http = Message::new(1, HOST).option(60, b"HTTPClient:Arch:00016").option(93, &[0, 16]);
    let cases = [
        ("BIOS", pxe(HOST, 0), "undionly.kpxe"),
        ("UEFI", pxe(HOST, 7), "snponly.efi"),
        ("HTTP Boot", http, "http://10.77.0.1/files/snponly.efi"),
        ("iPXE", ipxe(HOST), script),
        ("the OS", Message::new(1, HOST), ""),
    ];
    for (name, discover, boot_file) in cases {
        let offer = client.ask(&discover, EVERYBODY).unwrap();
        assert_eq!(offer.boot_file(), boot_file, "{name}");
        let told = offer.option(67).map(|bytes| String::from_utf8(bytes).unwrap());
        let expected = (!boot_file.is_empty()).then(|| format!("{boot_file}\0"));
        assert_eq!(told, expected, "{name}");
        assert_eq!(offer.option(60).is_some(), !boot_file.is_empty(), "{name}");
        let next_server = if boot_file.is_empty() { Ipv4Addr::UNSPECIFIED } else { SERVER };
        assert_eq!(offer.0[20..24], next_server.octets(), "{name}");
        assert_eq!(offer.option(175).is_some(), name == "iPXE", "{name}");
    }
}

#[test]
fn an_operators_options_reach_the_client() {
    let (_server, clients) = rack();
    let discover = Message::new(1, HOST).option(55, &[150, 2, 43]);
    let offer = client(&clients).ask(&discover, EVERYBODY).unwrap();
    assert_eq!(offer.option(150).unwrap(), [10, 77, 0, 66]);
    assert_eq!(offer.option(2).unwrap(), 3600_u32.to_be_bytes());
    assert_eq!(offer.option(43).unwrap(), [1, 2, 10, 11]);
}

/// A boot program that comes round for ever, such as an iPXE that hides what it is.
#[test]
fn a_boot_that_goes_in_circles_is_broken_and_told_of() {
    let (server, clients) = rack();
    let client = client(&clients);
    let mut boot = |number: u8| {
        let mut discover = pxe(HOST, 0);
        discover.0[7] = number;
        let offer = client.ask(&discover, EVERYBODY).unwrap();
        let mut request = pxe(HOST, 0).option(50, &OWN.octets()).option(54, &SERVER.octets());
        request.0[7] = number;
        request.0[242] = 3;
        let ack = client.ask(&request, EVERYBODY).unwrap();
        assert_eq!(offer.boot_file(), ack.boot_file());
        ack.boot_file()
    };
    let told: Vec<String> = (0..4).map(&mut boot).collect();
    assert_eq!(told[..3], ["undionly.kpxe"; 3]);
    assert_eq!(told[3], "http://10.77.0.1/boot/52:54:00:aa:00:01.ipxe");
    server.wait_for_log("was told its boot program 3 times within a minute");
}

#[test]
fn a_declined_address_rests_and_a_liar_is_not_believed_for_ever() {
    let (server, clients) = rack();
    let client = client(&clients);
    let decline = |address: Ipv4Addr| {
        let message = Message::new(4, mac(1)).option(50, &address.octets());
        client.send(&message.option(54, &SERVER.octets()), EVERYBODY);
    };
    let mut refused = HashSet::new();
    for _ in 0..3 {
        let address = client.acquire(mac(1)).unwrap();
        assert!(refused.insert(address), "{address} again");
        decline(address);
        wait_for("the address rests", || {
            let leases = server.leases();
            leases.iter().any(|l| l.address == address && l.state == LeaseState::Declined)
        });
    }
    // Nobody else's word counts.
    let address = client.acquire(mac(2)).unwrap();
    assert!(!refused.contains(&address));
    decline(address);
    server.wait_for_log("the client does not hold that address");
    let kept = client.acquire(mac(1)).unwrap();
    decline(kept);
    server.wait_for_log("the client declined too many addresses");
    assert_eq!(client.acquire(mac(1)), Some(kept));
}

/// A RELEASE counts only from the address that it gives back.
#[test]
fn a_forged_release_changes_nothing() {
    let (server, clients) = rack();
    let client = client(&clients);
    let address = client.acquire(mac(1)).unwrap();
    clients.ip("address add 10.77.0.66/24 dev eth0");
    let forger = Client::bind(&clients, Ipv4Addr::new(10, 77, 0, 66), 68, None);
    let release = Message::new(7, mac(1)).address(12, address).option(54, &SERVER.octets());
    forger.send(&release, SERVER);
    server.wait_for_log("the packet does not come from the address it speaks of");
    assert_eq!(server.leases()[0].state, LeaseState::Bound);
}

#[test]
fn an_inform_is_answered_without_a_lease() {
    let (server, clients) = rack();
    clients.ip("address add 10.77.0.66/24 dev eth0");
    let client = Client::bind(&clients, Ipv4Addr::new(10, 77, 0, 66), 68, None);
    let inform = Message::new(8, mac(1)).address(12, Ipv4Addr::new(10, 77, 0, 66));
    let ack = client.ask(&inform.option(55, &[1, 28]), SERVER).unwrap();
    assert_eq!((ack.kind(), ack.your_address()), (5, Ipv4Addr::UNSPECIFIED));
    assert_eq!(ack.option(28).unwrap(), [10, 77, 0, 255]);
    assert_eq!([51, 58, 59].map(|code| ack.option(code)), [None, None, None]);
    assert!(server.leases().is_empty());
}

/// A flood of invented MACs, and a host that boots meanwhile.
#[test]
fn fifty_thousand_strangers_do_not_starve_a_host() {
    let (server, clients) = rack();
    let client = client(&clients);
    client.acquire(mac(1)).unwrap();
    let before = server.memory_kib();
    for number in 0..50_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        client.send(&Message::new(1, [0x02, 0, 1, a, b, c]), EVERYBODY);
        if number % 10_000 == 0 {
            // Its packets stand behind those of the flood in the queue.
            wait_for("the host is served", || client.acquire(HOST) == Some(OWN));
        }
    }
    wait_for("the host is served", || client.acquire(HOST) == Some(OWN));
    let grown = server.memory_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    assert!(server.leases().len() <= 2, "offers are no leases");
}

/// Every malformed packet that the unit tests know, and random ones, then an honest client.
#[test]
fn rubbish_is_dropped_and_counted() {
    let (server, clients) = rack();
    let client = client(&clients);
    let sound = Message::new(1, mac(1)).bytes();
    let mut seed = 0x2545_f491_u32;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed
    };
    for length in 0..=sound.len() {
        client.send_bytes(&sound[..length], EVERYBODY);
    }
    for _ in 0..5_000 {
        let mut bytes = sound.clone();
        for _ in 0..(random() % 8 + 1) {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        client.send_bytes(&bytes, EVERYBODY);
    }
    for code in 1..=254_u8 {
        for length in [0, 1, 2, 3, 5, 255] {
            client.send(&Message::new(1, mac(1)).option(code, &vec![0xff; length]), EVERYBODY);
        }
    }
    wait_for("an honest client is served", || client.acquire(HOST) == Some(OWN));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn a_client_string_is_data_in_the_log() {
    let (server, clients) = rack();
    let client = client(&clients);
    let evil = b"\x1b[31m\nchain http://evil\r<script>";
    let discover = Message::new(1, HOST).option(12, evil).option(77, evil).option(60, evil);
    client.ask(&discover, EVERYBODY).unwrap();
    server.wait_for_log("offered 10.77.0.12");
    let log = server.log();
    assert!(!log.contains("evil") && !log.contains("<script>"), "{log}");
}

/// Noticed by what the clients of the other server say.
#[test]
fn another_server_on_the_link_is_told_of_and_its_clients_are_left_alone() {
    let (server, clients) = rack();
    let client = client(&clients);
    let offer = client.ask(&Message::new(1, mac(1)), EVERYBODY).unwrap();
    let chosen = Message::new(3, mac(1)).option(50, &[10, 77, 0, 250]).option(54, &[10, 77, 0, 9]);
    client.send(&chosen, EVERYBODY);
    server.wait_for_log("another DHCP server, 10.77.0.9, gives addresses on lan");
    // Our offer to it is free for the next one at once.
    let wish = Message::new(1, mac(2)).option(50, &offer.your_address().octets());
    assert_eq!(client.ask(&wish, EVERYBODY).unwrap().your_address(), offer.your_address());
}

fn proxy(strategy: &str) -> (DhcpServer, Netns) {
    let (mut server, clients) = lan(SITE, &["52:54:00:cc:00:01"]);
    server.set("proxy_dhcp", strategy);
    server.start(&["lan"]);
    (server, clients)
}

#[test]
fn a_proxy_gives_boot_files_and_no_addresses() {
    let (server, clients) = proxy("direct");
    let client = client(&clients);
    let offer = client.ask(&pxe(HOST, 7), EVERYBODY).unwrap();
    assert_eq!((offer.kind(), offer.your_address()), (2, Ipv4Addr::UNSPECIFIED));
    assert_eq!(offer.boot_file(), "snponly.efi");
    assert_eq!(offer.option(43).unwrap(), [6, 1, 8, 255]);
    assert_eq!(offer.option(60).unwrap(), b"PXEClient");
    assert_eq!(offer.option(54).unwrap(), SERVER.octets());
    assert_eq!(offer.0[10], 0x80);
    assert_eq!([51, 1, 3].map(|code| offer.option(code)), [None, None, None]);
    assert_eq!(
        client.ask(&ipxe(HOST), EVERYBODY).unwrap().boot_file(),
        "http://10.77.0.1/boot/52:54:00:aa:00:01.ipxe"
    );
    // Neither an OS nor a request about addresses is the proxy's business.
    let request = pxe(HOST, 7).option(50, &[10, 77, 0, 200]);
    let mut request = request;
    request.0[242] = 3;
    for message in [Message::new(1, HOST), request] {
        client.send(&message, EVERYBODY);
        assert!(client.receive(&message, Duration::from_millis(200)).is_none());
    }
    // UEFI passes over an offer without boot data and retries for minutes: an installed host gets
    // a menu whose only item is its local disk, and no file.
    let offer = client.ask(&pxe(INSTALLED, 7), EVERYBODY).unwrap();
    assert_eq!((offer.your_address(), offer.boot_file()), (Ipv4Addr::UNSPECIFIED, String::new()));
    assert_eq!(offer.option(60).unwrap(), b"PXEClient");
    assert_eq!(offer.option(43).unwrap()[..3], [6, 1, 3]);
    assert!(server.leases().is_empty());
}

#[test]
fn a_redirecting_proxy_sends_uefi_to_port_4011_and_answers_there() {
    let (_server, clients) = proxy("redirect");
    let client = client(&clients);
    let offer = client.ask(&pxe(HOST, 7), EVERYBODY).unwrap();
    assert_eq!((offer.boot_file(), offer.option(43)), (String::new(), None));
    assert_eq!(offer.option(60).unwrap(), b"PXEClient");
    assert_eq!(offer.0[20..24], SERVER.octets());
    assert_eq!(client.ask(&pxe(HOST, 0), EVERYBODY).unwrap().boot_file(), "undionly.kpxe");
    answers_on_port_4011(&clients);
}

#[test]
fn a_server_of_addresses_answers_on_port_4011_too() {
    let (_server, clients) = rack();
    answers_on_port_4011(&clients);
}

/// EDK2 asks from port 4011 and listens there, with the address that it has.
fn answers_on_port_4011(clients: &Netns) {
    let address = Ipv4Addr::new(10, 77, 0, 66);
    clients.ip("address add 10.77.0.66/24 dev eth0");
    let firmware = Client::bind(clients, address, 4011, None);
    for kind in [1, 3, 8] {
        let mut message = pxe(HOST, 7).address(12, address).option(43, &[71, 4, 0, 0, 0, 0, 255]);
        message.0[242] = kind;
        firmware.send_to(&message, SERVER, 4011);
        let ack = firmware.receive(&message, Duration::from_secs(5)).unwrap();
        assert_eq!((ack.kind(), ack.your_address()), (5, Ipv4Addr::UNSPECIFIED));
        assert_eq!(ack.boot_file(), "snponly.efi");
        assert_eq!(ack.option(43).unwrap(), [71, 4, 0, 0, 0, 0, 6, 1, 8, 255]);
    }
}

#[test]
fn an_interface_may_vanish_come_back_and_change_its_address() {
    let (server, clients) = rack();
    server.inside.ip("link delete lan");
    server.wait_for_log("interface disappeared");
    server.inside.bridge("lan", "10.77.0.9/24");
    server.inside.ip("link set p0 master lan");
    let client = client(&clients);
    wait_for("the interface is served again", || {
        client.send(&Message::new(1, HOST), EVERYBODY);
        let answer = client.receive(&Message::new(1, HOST), Duration::from_millis(300));
        answer.is_some_and(|offer| offer.option(54).unwrap() == [10, 77, 0, 9])
    });
}
