use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::*;

fn address_of(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

#[test]
fn segments_arrive_as_packets_and_each_message_at_its_peer() {
    let receivers = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let peers = receivers.each_ref().map(address_of);
    let sender = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
    let pieces: [&[u8]; 4] = [b"1:", b"ab", b"2:", b"c"];
    let slices = pieces.map(IoSlice::new);
    let messages = [
        Datagram { to: peers[0], egress: None, slices: &slices, segment: Some(4) },
        Datagram { to: peers[1], egress: None, slices: &slices[..2], segment: None },
    ];
    assert_eq!(send(&sender, &messages), Ok(2));
    let receive = |receiver: &UdpSocket| {
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 16];
        let length = receiver.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    };
    assert_eq!(receive(&receivers[0]), b"1:ab");
    assert_eq!(receive(&receivers[0]), b"2:c");
    assert_eq!(receive(&receivers[1]), b"1:ab");
}

#[test]
fn packets_are_received_with_their_peers_and_lengths() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let senders = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    for (sender, packet) in senders.iter().zip([&b"abc"[..], b""]) {
        sender.send_to(packet, receiver.local_addr().unwrap()).unwrap();
    }
    let mut inbox = Inbox::new(1024);
    assert_eq!(inbox.receive(&receiver), Ok(false));
    let got: Vec<_> = inbox.packets().map(|packet| (packet.peer, packet.bytes)).collect();
    let peers = senders.each_ref().map(address_of);
    assert_eq!(got, [(peers[0], &b"abc"[..]), (peers[1], b"")]);
    assert_eq!(inbox.receive(&receiver), Err(Errno::EAGAIN));
    assert_eq!(inbox.packets().count(), 0);
}

#[test]
fn a_crowd_is_received_in_few_calls_and_in_order() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..100_u8 {
        sender.send_to(&[number], receiver.local_addr().unwrap()).unwrap();
    }
    let mut inbox = Inbox::new(16);
    let (mut got, mut calls) = (Vec::new(), 0);
    while inbox.receive(&receiver).is_ok() {
        got.extend(inbox.packets().map(|packet| packet.bytes[0]));
        calls += 1;
    }
    assert_eq!(got, (0..100).collect::<Vec<u8>>());
    assert_eq!(calls, 4, "4 + 16 + 64 + 16");
}

#[test]
fn a_packet_tells_where_it_went_and_leaves_from_where_it_is_told() {
    let (asked, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    setsockopt(&server, sockopt::Ipv4PacketInfo, &true).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"?", (asked, address_of(&server).port())).unwrap();
    let mut inbox = Inbox::new(16);
    inbox.receive(&server).unwrap();
    assert_eq!(inbox.packets().next().unwrap().to, Some((asked.into(), asked.into())));
    let to = address_of(&client);
    let egress = Some(Egress { interface: 0, address: other });
    let slices = [IoSlice::new(b"!")];
    assert_eq!(send(&server, &[Datagram { to, egress, slices: &slices, segment: None }]), Ok(1));
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (_, from) = client.recv_from(&mut [0; 4]).unwrap();
    assert_eq!(from.ip(), other);
}

#[test]
fn ipv6_packets_come_and_go_with_their_addresses() {
    let server = UdpSocket::bind("[::1]:0").unwrap();
    setsockopt(&server, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
    let client = UdpSocket::bind("[::1]:0").unwrap();
    client.connect(address_of(&server)).unwrap();
    client.send(b"?").unwrap();
    let mut inbox = Inbox::new(16);
    inbox.receive(&server).unwrap();
    let loopback = IpAddr::from(Ipv6Addr::LOCALHOST);
    let packet = inbox.packets().next().unwrap();
    assert_eq!((packet.peer, packet.to), (address_of(&client), Some((loopback, loopback))));
    let slices = [IoSlice::new(b"1:ab2:c")];
    let message = Datagram { to: packet.peer, egress: None, slices: &slices, segment: Some(4) };
    assert_eq!(send(&server, &[message]), Ok(1));
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 16];
    assert_eq!([client.recv(&mut buffer), client.recv(&mut buffer)].map(Result::unwrap), [4, 3]);
    assert_eq!(ipv6_mtu(&client), Ok(65_536), "the loopback's");
}
