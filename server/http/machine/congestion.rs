//! A nearby client's acknowledgements clock its files out, not timers.
//!
//! BBR starts a timer for every few packets. To a client in the next rack that only costs: five
//! times the processor seconds per byte, measured on a virtual machine. Far away it is what the
//! operator chose it for, and stays.

use std::io;
use std::net::IpAddr;

use socket2::SockRef;
use tokio::net::TcpStream;

/// What sends by acknowledgements alone, the better first. Every process may choose reno; cubic
/// needs CAP_NET_ADMIN where it is not the default (ip-sysctl).
const UNPACED: [&[u8]; 2] = [b"cubic", b"reno"];

/// Takes BBR's timers out of a connection to a nearby client; any other congestion control stays.
pub(crate) fn suit(stream: &TcpStream, client: IpAddr) -> io::Result<()> {
    let socket = SockRef::from(stream);
    if !is_near(client) || !socket.tcp_congestion()?.starts_with(b"bbr") {
        return Ok(());
    }
    UNPACED.iter().map(|name| socket.set_tcp_congestion(name)).find(Result::is_ok).unwrap_or(Ok(()))
}

/// Whether an address is one that is not routed on the Internet, as those of racks are.
fn is_near(client: IpAddr) -> bool {
    match client.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private() || address.is_link_local() || address.is_loopback()
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn private_addresses_are_near() {
        let cases = [
            ("10.0.0.1", true),
            ("172.16.9.9", true),
            ("::ffff:192.168.1.1", true),
            ("169.254.0.7", true),
            ("127.0.0.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::1", true),
            ("192.0.2.1", false),
            ("2001:db8::1", false),
        ];
        for (address, near) in cases {
            assert_eq!(is_near(address.parse().unwrap()), near, "{address}");
        }
    }

    #[tokio::test]
    async fn a_nearby_client_waits_for_no_timer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        // Where the kernel has no BBR there is nothing to change.
        let _ = SockRef::from(&stream).set_tcp_congestion(b"bbr");
        suit(&stream, peer.ip()).unwrap();
        assert!(!SockRef::from(&stream).tcp_congestion().unwrap().starts_with(b"bbr"));
    }
}
