//! TFTP's sockets: where requests come in, where transfers answer from.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Socket, Type};

use super::listeners::Family;
use crate::udp::{Received, ipv6_mtu};

/// TFTP's port.
pub(super) const TFTP: u16 = 69;
/// Room for a packet of a client; a longer request is cut, which parsing allows.
pub(super) const PACKET_BYTES: usize = 1024;
/// How many bytes may wait in a socket: a rack that is powered on asks within milliseconds.
const BUFFER_BYTES: usize = 4 << 20;
/// Of `struct sock_extended_err`: the error came as an ICMP message, with type and code of
/// "destination unreachable, port closed" (linux/errqueue.h, RFC 792, RFC 4443).
const PORT_UNREACHABLE: (u8, u8, u8) = (2, 3, 3);
const PORT_UNREACHABLE_V6: (u8, u8, u8) = (3, 1, 4);
/// The heads of UDP and of either IP: what a packet's content is smaller than the packet.
const UDP_HEAD_BYTES: u16 = 8;
const IPV4_HEAD_BYTES: u16 = 20;
const IPV6_HEAD_BYTES: u16 = 40;

/// Opens the socket where requests to any address of `interface` come in, of one family.
/// With `shared` the port may be used by the sockets that answer too.
pub(super) fn listen(interface: &str, family: Family, shared: bool) -> io::Result<Socket> {
    let socket = open(Some(interface), family)?;
    socket.set_reuse_address(shared)?;
    let any: IpAddr = match family {
        Family::V4 => {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            Ipv4Addr::UNSPECIFIED.into()
        }
        Family::V6 => {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            Ipv6Addr::UNSPECIFIED.into()
        }
    };
    socket.bind(&SocketAddr::new(any, TFTP).into())?;
    Ok(socket)
}

/// Opens a socket that transfers answer from: `local` is the address that was
/// asked. `interface` is `None` where the way back leads through another one.
pub(super) fn reply(
    interface: Option<&str>,
    local: IpAddr,
    ports: Option<&RangeInclusive<u16>>,
) -> io::Result<Socket> {
    let family = Family::of(local);
    let socket = open(interface, family)?;
    match family {
        Family::V4 => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        Family::V6 => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    let Some(ports) = ports else {
        socket.bind(&SocketAddr::new(local, 0).into())?;
        return Ok(socket);
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in ports.clone() {
        socket.set_reuse_address(port == TFTP)?;
        match socket.bind(&SocketAddr::new(local, port).into()) {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open(interface: Option<&str>, family: Family) -> io::Result<Socket> {
    let socket = probe(interface, family)?;
    socket.set_nonblocking(true)?;
    // Without CAP_NET_ADMIN the system's limits hold (net.core.rmem_max).
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
    }
    if setsockopt(&socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::SndBuf, &BUFFER_BYTES)?;
    }
    Ok(socket)
}

/// Opens a socket that only asks for routes, out of `interface` or out of any.
pub(super) fn probe(interface: Option<&str>, family: Family) -> io::Result<Socket> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::DGRAM.cloexec(), None)?;
    if family == Family::V6 {
        socket.set_only_v6(true)?;
    }
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    Ok(socket)
}

/// How long the content of a UDP packet to `peer` may be, by the route that a probe finds.
/// Sends nothing.
pub(super) fn room(probe: &Socket, peer: SocketAddr) -> io::Result<u16> {
    probe.connect(&peer.into())?;
    let (mtu, head) = match Family::of(peer.ip()) {
        Family::V4 => (nix::sys::socket::getsockopt(probe, sockopt::IpMtu)?, IPV4_HEAD_BYTES),
        Family::V6 => (ipv6_mtu(probe)?, IPV6_HEAD_BYTES),
    };
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX).saturating_sub(head + UDP_HEAD_BYTES))
}

/// A request as it came in.
pub(super) struct Incoming<'a> {
    /// Who asks.
    pub(super) peer: SocketAddr,
    /// The address that was asked.
    pub(super) local: IpAddr,
    /// The packet.
    pub(super) bytes: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// A packet to a listener; none if it came to a broadcast or multicast address, which
    /// no TFTP server answers (RFC 1123 section 4.2.3.5).
    pub(super) fn of(packet: &Received<'a>) -> Option<Self> {
        let Received { peer, to, bytes } = *packet;
        let local = to.filter(|(asked, local)| asked == local && !local.is_multicast())?.1;
        Some(Self { peer, local, bytes })
    }
}

/// The next peer whose port turned out to be closed; `Err(EAGAIN)` when all are
/// known. Other ICMP messages are passed over (`Ok(None)`): a route may come back.
pub(super) fn receive_unreachable(socket: &Socket) -> nix::Result<Option<SocketAddr>> {
    let mut bytes = [0; 64];
    let mut control = nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in6);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let closed = message.cmsgs()?.any(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) => {
            (error.ee_origin, error.ee_type, error.ee_code) == PORT_UNREACHABLE
        }
        ControlMessageOwned::Ipv6RecvErr(error, _) => {
            (error.ee_origin, error.ee_type, error.ee_code) == PORT_UNREACHABLE_V6
        }
        _ => false,
    });
    Ok(message.address.filter(|_| closed).and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
    }))
}
