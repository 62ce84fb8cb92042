use std::net::UdpSocket;
use std::time::Duration;

use super::*;

fn receive(relay: &UdpSocket) -> Vec<u8> {
    relay.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut buffer = [0; 2048];
    let length = relay.recv(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

/// A reply to a port of this machine.
fn transmit(bytes: Vec<u8>, port: u16) -> Transmit {
    Transmit {
        bytes,
        to: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
        mac: None,
        local: Ipv4Addr::LOCALHOST,
        port: SERVER_PORT,
        message_type: None,
        event: None,
        if_taken: None,
        if_failed: None,
    }
}

#[tokio::test]
async fn replies_arrive_one_by_one_at_their_relays_in_order() {
    let link = read_link("lo").unwrap().unwrap();
    let socket = DhcpSocket::open(&link, 0).unwrap();
    let relays = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let port = |relay: usize| relays[relay].local_addr().unwrap().port();
    // To which relay, and how long: some leave together, the long ones by themselves.
    let sent = [(0, 300), (0, 300), (0, 300), (0, 310), (1, 300), (1, 300), (0, 1400), (0, 1400)];
    let packets: Vec<Vec<u8>> =
        sent.iter().zip(1..).map(|((_, length), number)| vec![number; *length]).collect();
    for segments in [true, false] {
        socket.segments.store(segments, Ordering::Relaxed);
        let replies: Vec<Transmit> = sent
            .iter()
            .zip(&packets)
            .map(|((relay, _), bytes)| transmit(bytes.clone(), port(*relay)))
            .collect();
        socket.send(&replies, &mut |place, error| panic!("{place}: {error}"));
        for ((relay, _), packet) in sent.iter().zip(&packets) {
            assert_eq!(receive(&relays[*relay]), *packet);
        }
    }
    assert!(!socket.segments.load(Ordering::Relaxed), "as it was set");
}

#[tokio::test]
async fn packets_that_cannot_share_a_message_leave_alone_and_each_failure_has_its_place() {
    let link = read_link("lo").unwrap().unwrap();
    let socket = DhcpSocket::open(&link, 0).unwrap();
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    let good = relay.local_addr().unwrap().port();
    // Port 0 takes no packet.
    let replies = [good, 0, 0, good].map(|port| transmit(vec![7; 300], port));
    let mut failures = Vec::new();
    socket.send(&replies, &mut |place, _| failures.push(place));
    assert_eq!(failures, [1, 2]);
    assert_eq!([receive(&relay), receive(&relay)], [[7; 300].to_vec(), [7; 300].to_vec()]);
}
