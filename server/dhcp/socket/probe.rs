//! The raw sockets that addresses are probed by: ARP on one link, ICMP through routers.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use nix::libc;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use super::hardware_address;
use super::interface::mac_of;
use crate::dhcp::link::ServedLink;
use crate::dhcp::probe::{arp_claim, echo_answer, encode_arp_probe, encode_echo};
use crate::model::Mac;

/// Sends ARP probes on a link and receives the claims of addresses there.
pub(in crate::dhcp) struct ArpSocket {
    /// A packet socket: tokio has no type for it, and reads are the same.
    socket: UdpSocket,
    own: Mac,
    everybody: SockAddr,
}

impl ArpSocket {
    /// Opens the socket; needs CAP_NET_RAW.
    pub(in crate::dhcp) fn open(link: &ServedLink) -> io::Result<Self> {
        let arp = (libc::ETH_P_ARP as u16).to_be();
        let socket =
            Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(arp))))?;
        socket.set_nonblocking(true)?;
        socket.bind(&hardware_address(link.index, Mac([0; 6]), libc::ETH_P_ARP)?)?;
        let own = mac_of(&link.interface).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let everybody = hardware_address(link.index, Mac([0xff; 6]), libc::ETH_P_ARP)?;
        Ok(Self { socket: UdpSocket::from_std(OwnedFd::from(socket).into())?, own, everybody })
    }

    /// Asks who has the address.
    pub(in crate::dhcp) fn probe(&self, address: Ipv4Addr) -> io::Result<()> {
        let packet = encode_arp_probe(self.own, address);
        SockRef::from(&self.socket).send_to(&packet, &self.everybody).map(drop)
    }

    /// The next claim of an address.
    pub(in crate::dhcp) async fn receive(&self) -> io::Result<(Ipv4Addr, Mac)> {
        loop {
            let mut buffer = [0; 64];
            let length = self.socket.recv(&mut buffer).await?;
            if let Some(claim) = arp_claim(&buffer[..length]) {
                return Ok(claim);
            }
        }
    }
}

/// Sends ICMP echo requests and receives the replies.
pub(in crate::dhcp) struct EchoSocket {
    /// A raw socket, as above.
    socket: UdpSocket,
    identifier: u16,
}

impl EchoSocket {
    /// Opens the socket; needs CAP_NET_RAW.
    pub(in crate::dhcp) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_nonblocking(true)?;
        let identifier = std::process::id() as u16;
        Ok(Self { socket: UdpSocket::from_std(OwnedFd::from(socket).into())?, identifier })
    }

    /// Asks the address whether somebody is there.
    pub(in crate::dhcp) fn probe(&self, address: Ipv4Addr, sequence: u16) -> io::Result<()> {
        let to = SocketAddrV4::new(address, 0);
        let packet = encode_echo(self.identifier, sequence);
        SockRef::from(&self.socket).send_to(&packet, &to.into()).map(drop)
    }

    /// The next address that answers.
    pub(in crate::dhcp) async fn receive(&self) -> io::Result<Ipv4Addr> {
        loop {
            // The IPv4 header with its options, and the ICMP header.
            let mut buffer = [0; 128];
            let length = self.socket.recv(&mut buffer).await?;
            if let Some(address) = echo_answer(&buffer[..length], self.identifier) {
                return Ok(address);
            }
        }
    }
}
