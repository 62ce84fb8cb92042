//! The raw ICMPv6 socket that router advertisements leave by.

use std::io;
use std::net::SocketAddrV6;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::dhcp::link::ServedLink;
use crate::dhcp::router_advertisement::{ALL_NODES, ALL_ROUTERS};

/// An ICMPv6 socket on one interface.
pub(in crate::dhcp) struct IcmpSocket {
    /// A raw socket: tokio has no type for it, and reads and sends are the same.
    socket: UdpSocket,
    interface_index: u32,
}

impl IcmpSocket {
    /// Opens the socket and listens to what is sent to all routers.
    pub(in crate::dhcp) fn open(link: &ServedLink) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.bind_device(Some(link.interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        // Any other hop limit is ignored by receivers (RFC 4861 section 6.1.2).
        socket.set_multicast_hops_v6(255)?;
        socket.set_multicast_loop_v6(false)?;
        socket.join_multicast_v6(&ALL_ROUTERS, link.index)?;
        let socket = UdpSocket::from_std(OwnedFd::from(socket).into())?;
        Ok(Self { socket, interface_index: link.index })
    }

    /// Sends a message to everybody on the link.
    pub(in crate::dhcp) fn send_to_all(&self, message: &[u8]) -> io::Result<()> {
        let to = SocketAddrV6::new(ALL_NODES, 0, 0, self.interface_index);
        self.socket.try_send_to(message, to.into())?;
        Ok(())
    }

    /// Waits for the next message of whatever kind and gives its first bytes.
    pub(in crate::dhcp) async fn receive(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 64];
        let length = self.socket.recv(&mut buffer).await?;
        Ok(buffer[..length].to_vec())
    }
}
