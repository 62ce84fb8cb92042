//! What a TFTP server must do with clients that are odd, rude or gone: raw packets.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::common::tftp::{
    A_WHILE, PATIENCE, Rack, Raw, SERVER, block_of, error_of, read_all, read_request, wait_until,
};

#[test]
fn the_answer_comes_from_the_address_that_was_asked() {
    let rack = Rack::start("multihome");
    rack.server.ip("address add 10.77.0.2/24 dev srv0");
    rack.server.ip("address add 192.0.2.1/32 dev lo");
    rack.client.ip("route add 192.0.2.1/32 via 10.77.0.1");
    rack.put("file", 100);
    for address in [SERVER, Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(192, 0, 2, 1)] {
        let client = rack.socket();
        client.socket.send_to(&read_request("file", &[]), (address, 69)).unwrap();
        let (packet, from) = client.receive();
        assert_eq!((block_of(&packet), from.ip()), (1, address.into()));
        assert_ne!(from.port(), 69, "a transfer has a port of its own (RFC 1350 section 4)");
        client.ack(1, from);
    }
}

#[test]
fn names_cannot_leave_the_root_but_may_be_written_oddly() {
    let rack = Rack::start("names");
    std::fs::write(rack.directory.path().join("secret"), "secret").unwrap();
    let content = rack.put("Kernel.img", 100);
    let client = rack.socket();
    for name in ["../secret", "x/../../secret", "..\\secret", "/etc/../../secret", "C:\\secret"] {
        client.read(name, &[]);
        assert_eq!(error_of(&client.receive().0).0, 2, "{name}");
    }
    let absolute = rack.directory.path().join("secret");
    client.read(absolute.to_str().unwrap(), &[]);
    assert_eq!(error_of(&client.receive().0).0, 1, "an absolute name is one below the root");
    for name in ["Kernel.img", "/Kernel.img", ".\\Kernel.img", "//kernel.IMG", "kernel.img\u{7f}"] {
        assert_eq!(read_all(&client, name).0, content, "{name}");
    }
    client.ask(b"\0\x01Kernel.img\xff\0octet\0");
    let (packet, from) = client.receive();
    assert_eq!(block_of(&packet), 1);
    client.ack(1, from);
}

#[test]
fn what_is_no_proper_request_gets_a_clear_error_or_nothing() {
    let mut rack = Rack::start("malformed");
    rack.put("file", 10);
    let answered: [(&[u8], u16, &str); 8] = [
        (b"\0\x01", 4, "the request has no file name"),
        (b"\0\x01\0octet\0", 4, "the request has no file name"),
        (b"\0\x01file\0", 4, "the request has no transfer mode"),
        (b"\0\x01file\0binary\0", 4, "the transfer mode is unknown, octet is served"),
        (b"\0\x01file\0mail\0", 4, "mail mode is not supported; use octet"),
        (b"\0\x02file\0octet\0", 2, "this server is read-only"),
        (b"\0\x09", 4, "operation 9 is unknown"),
        (b"\0\x01\xfe\xffx\0octet\0", 2, "is not allowed: it is not UTF-8"),
    ];
    let client = rack.socket();
    for (packet, code, text) in answered {
        client.ask(packet);
        let (got_code, got_text) = error_of(&client.receive().0);
        assert!(got_code == code && got_text.ends_with(text), "{packet:?}: {got_code} {got_text}");
    }
    for packet in
        [&b""[..], b"\0", b"\0\x04\0\x01", b"\0\x03\0\x01x", b"\0\x05\0\0no\0", b"\0\x06x"]
    {
        client.ask(packet);
    }
    assert!(client.receive_within(A_WHILE).is_none(), "these get no answer");
    assert_eq!(read_all(&client, "file").0.len(), 10, "and the server goes on");
    rack.wait_for_event("it is not UTF-8");
}

#[test]
fn netascii_is_for_short_texts() {
    let rack = Rack::start("netascii");
    std::fs::write(rack.files().join("text"), "one\ntwo\n").unwrap();
    rack.put("binary", 1000);
    let client = rack.socket();
    client.ask(b"\0\x01text\0netascii\0tsize\x000\0");
    let (packet, from) = client.receive();
    assert_eq!((block_of(&packet), &packet[4..]), (1, &b"one\r\ntwo\r\n"[..]), "and no tsize");
    client.ack(1, from);
    client.ask(b"\0\x01binary\0NETASCII\0");
    let (code, text) = error_of(&client.receive().0);
    assert_eq!(code, 0);
    assert!(text.contains("octet"), "{text}");
}

#[test]
fn the_script_that_ipxe_asks_for_first_is_made_for_whoever_asks() {
    let rack = Rack::start("autoexec");
    let client = rack.socket();
    for name in ["autoexec.ipxe", "/autoexec.ipxe", "boot\\autoexec.ipxe"] {
        let script = String::from_utf8(read_all(&client, name).0).unwrap();
        assert!(script.starts_with("#!ipxe\n"), "{script}");
        assert!(script.contains("http://10.77.0.1/boot/${netX/mac:hexhyp}.ipxe"), "{script}");
    }
}

#[test]
fn a_thousand_size_probes_leave_nothing_behind_and_are_no_events() {
    let mut rack = Rack::start_with("probes", |config| config.tftp_max_transfers = 1);
    rack.put("ipxe.efi", 1000);
    let client = rack.socket();
    for _ in 0..1000 {
        client.read("ipxe.efi", &[("tsize", "0"), ("blksize", "1468")]);
        let (packet, from) = client.receive();
        assert_eq!(packet, b"\0\x06blksize\x001468\0tsize\x001000\0");
        client.socket.send_to(b"\0\x05\0\x08User aborted\0", from).unwrap();
    }
    assert_eq!(read_all(&client, "ipxe.efi").0.len(), 1000, "the one place is free");
    let end = rack.wait_for_event("sent ipxe.efi (1000 B)");
    assert!(!end.contains("again"), "{end}");
    assert!(rack.event_texts().is_empty());
}

#[test]
fn people_are_told_of_the_end_and_of_a_long_transfer_its_start_too() {
    let mut rack = Rack::start("events");
    rack.put("small", 1000);
    rack.put("large", 300_000);
    let client = rack.socket();
    read_all(&client, "small");
    read_all(&client, "large");
    let mut texts = Vec::new();
    wait_until("three events", || {
        texts.extend(rack.event_texts());
        (texts.len() == 3).then_some(())
    });
    assert!(texts[0].starts_with("sent small (1000 B) in "), "{texts:?}");
    assert_eq!(texts[1], "sends large (293 KiB)");
    assert!(texts[2].starts_with("sent large (293 KiB) in "), "{texts:?}");
}

#[test]
fn blocks_are_as_long_as_the_link_carries() {
    let rack = Rack::start("mtu");
    rack.put("file", 10_000);
    for (mtu, block_size) in [("1500", 1468), ("1400", 1368), ("9000", 8968)] {
        rack.server.ip(&format!("link set srv0 mtu {mtu}"));
        let client = rack.socket();
        client.read("file", &[("blksize", "65464")]);
        let (packet, _) = client.receive();
        assert_eq!(packet, format!("\0\x06blksize\0{block_size}\0").into_bytes());
    }
}

#[test]
fn a_packet_from_another_port_is_refused_and_the_transfer_goes_on() {
    let rack = Rack::start("tid");
    rack.put("file", 600);
    let (client, stranger) = (rack.socket(), rack.socket());
    client.read("file", &[]);
    let (_, from) = client.receive();
    stranger.ack(1, from);
    assert_eq!(error_of(&stranger.receive().0), (5, "no such transfer".into()));
    stranger.socket.send_to(b"\0\x05\0\0no\0", from).unwrap();
    assert!(stranger.receive_within(A_WHILE).is_none(), "an ERROR is never answered");
    client.ack(1, from);
    assert_eq!(block_of(&client.receive().0), 2);
}

#[test]
fn a_repeated_request_starts_one_transfer_and_a_new_one_replaces_the_old() {
    let rack = Rack::start("repeat");
    rack.put("one", 600);
    rack.put("two", 600);
    let client = rack.socket();
    for _ in 0..3 {
        client.read("one", &[]);
    }
    let (_, first) = client.receive();
    assert!(client.receive_within(A_WHILE).is_none(), "the request came again, the data did not");
    client.ack(1, first);
    assert_eq!(block_of(&client.receive().0), 2);
    client.read("two", &[("tsize", "0")]);
    let (packet, second) = client.receive();
    assert_eq!(packet, b"\0\x06tsize\x00600\0");
    assert_ne!(first, second, "late packets of the first transfer must not look like the second's");
    client.read("one", &[]);
    assert_eq!(block_of(&client.receive().0), 1);
}

#[test]
fn a_copy_of_the_request_that_comes_late_leaves_the_transfer_alone() {
    let rack = Rack::start("copy");
    rack.put("file", 5000);
    let (client, other) = (rack.socket(), rack.socket());
    // Another transfer of the same client runs: a stray packet would be answered.
    other.read("file", &[]);
    other.receive();
    client.read("file", &[]);
    let (_, first) = client.receive();
    client.ack(1, first);
    assert_eq!(block_of(&client.receive().0), 2);
    // It waited behind a crowd's requests while the answer to the one before came.
    client.read("file", &[]);
    client.ack(2, first);
    let (packet, from) = client.receive();
    assert_eq!((block_of(&packet), from), (3, first), "the transfer goes on");
    // A client that says nothing more to it has begun anew.
    let limit = Instant::now() + PATIENCE;
    let second = loop {
        client.read("file", &[]);
        match client.receive() {
            (packet, from) if from != first => break block_of(&packet),
            _ => assert!(Instant::now() < limit, "no transfer from another port"),
        }
    };
    assert_eq!(second, 1);
    // What it sent to the old one is let go.
    client.ack(3, first);
    while let Some((packet, _)) = client.receive_within(A_WHILE) {
        assert_eq!(block_of(&packet), 1, "no ERROR");
    }
}

#[test]
fn a_client_that_closed_its_port_frees_its_place_at_once() {
    let mut rack = Rack::start_with("gone", |config| config.tftp_max_transfers = 1);
    rack.put("file", 100_000);
    let client = rack.socket();
    client.read("file", &[]);
    let (_, from) = client.receive();
    client.ack(1, from);
    client.receive();
    let other = rack.socket();
    other.read("file", &[]);
    let (code, text) = error_of(&other.receive().0);
    assert_eq!((code, text.as_str()), (0, "busy: too many transfers, try again"));
    drop(client);
    // The next block that is sent again finds the port closed.
    let ended = rack.wait_for_event("the client closed its port");
    assert!(ended.starts_with("file stopped after 512 B of 98 KiB"), "{ended}");
    assert_eq!(read_all(&other, "file").0.len(), 100_000);
}

#[test]
fn a_client_gets_64_transfers_at_once_and_then_is_told_to_wait() {
    let rack = Rack::start("cap");
    rack.put("file", 1000);
    let clients: Vec<Raw> = (0..65).map(|_| rack.socket()).collect();
    for client in &clients[..64] {
        client.read("file", &[]);
        assert_eq!(block_of(&client.receive().0), 1);
    }
    clients[64].read("file", &[]);
    let text = error_of(&clients[64].receive().0).1;
    assert_eq!(text, "busy: too many transfers to this address, try again");
    rack.client.ip("address add 10.77.0.101/24 dev cli0");
    let other = Raw::bind(&rack.client, "10.77.0.101:0".parse().unwrap());
    assert_eq!(read_all(&other, "file").0.len(), 1000, "others are served");
}

#[test]
fn a_silent_peer_is_sent_one_packet_a_second_at_first() {
    let rack = Rack::start("silent");
    rack.put("file", 100_000);
    let client = rack.socket();
    client.read("file", &[("windowsize", "64"), ("blksize", "1468")]);
    let started = Instant::now();
    let mut packets = 0;
    while let Some((packet, _)) =
        client.receive_within(Duration::from_millis(3000).saturating_sub(started.elapsed()))
    {
        assert_eq!(packet[..2], [0, 6], "no data before the first answer");
        packets += 1;
    }
    assert!((2..=3).contains(&packets), "{packets} packets in 3 s");
}

#[test]
fn replies_come_from_the_ports_that_were_configured() {
    for (ports, allowed) in [("40000-40001", 40_000..=40_001), ("69-69", 69..=69)] {
        let rack =
            Rack::start_with("ports", |config| config.tftp_ports = Some(ports.parse().unwrap()));
        rack.put("file", 1000);
        let clients: Vec<Raw> = (0..10).map(|_| rack.socket()).collect();
        for client in &clients {
            client.read("file", &[]);
        }
        for client in &clients {
            let (packet, from) = client.receive();
            assert!(allowed.contains(&from.port()), "{from}");
            assert_eq!(block_of(&packet), 1);
            client.ack(1, from);
            assert_eq!(block_of(&client.receive().0), 2);
        }
        assert_eq!(read_all(&clients[0], "file").0.len(), 1000);
    }
}

#[test]
fn requests_to_a_broadcast_address_are_ignored() {
    let rack = Rack::start("broadcast");
    rack.put("file", 10);
    let client = rack.socket();
    client.socket.set_broadcast(true).unwrap();
    client.socket.send_to(&read_request("file", &[]), ("10.77.0.255", 69)).unwrap();
    assert!(client.receive_within(A_WHILE).is_none());
}

#[test]
fn shim_finds_grub_beside_itself_although_it_asks_at_the_root() {
    let rack = Rack::start("shim");
    std::fs::create_dir(rack.files().join("secure")).unwrap();
    rack.put("secure/shimx64.efi", 700);
    let grub = rack.put("secure/grubx64.efi", 900);
    let client = rack.socket();
    client.read("grubx64.efi", &[]);
    assert_eq!(error_of(&client.receive().0).0, 1, "nothing was fetched before");
    read_all(&client, "secure\\shimx64.efi");
    assert_eq!(read_all(&client, "grubx64.efi").0, grub);
}
