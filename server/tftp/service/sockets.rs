//! TFTP's sockets: where requests come in, where transfers answer from.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use crate::udp::Received;

/// TFTP's port.
pub(super) const TFTP: u16 = 69;
/// Room for a packet of a client; a longer request is cut, which parsing allows.
pub(super) const PACKET_BYTES: usize = 1024;
/// How many bytes may wait in a socket: a rack that is powered on asks within milliseconds.
const BUFFER_BYTES: usize = 4 << 20;
/// Of `struct sock_extended_err`: the error came as an ICMP message (linux/errqueue.h).
const ORIGIN_ICMP: u8 = 2;
/// ICMP destination unreachable, and its code for a closed port (RFC 792).
const PORT_UNREACHABLE: (u8, u8) = (3, 3);

/// Opens the socket where requests to any address of `interface` come in. With
/// `shared` the port may be used by the sockets that answer too.
pub(super) fn listen(interface: &str, shared: bool) -> io::Result<Socket> {
    let socket = open(Some(interface))?;
    socket.set_reuse_address(shared)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, TFTP).into())?;
    Ok(socket)
}

/// Opens a socket that transfers answer from: `local` is the address that was
/// asked. `interface` is none where the way back leads through another one.
pub(super) fn reply(
    interface: Option<&str>,
    local: Ipv4Addr,
    ports: Option<&RangeInclusive<u16>>,
) -> io::Result<Socket> {
    let socket = open(interface)?;
    setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    let Some(ports) = ports else {
        socket.bind(&SocketAddrV4::new(local, 0).into())?;
        return Ok(socket);
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in ports.clone() {
        socket.set_reuse_address(port == TFTP)?;
        match socket.bind(&SocketAddrV4::new(local, port).into()) {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn open(interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking().cloexec(), None)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
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
pub(super) fn probe(interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), None)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    Ok(socket)
}

/// How long packets to `peer` may be, by the route that a probe finds. Sends nothing.
pub(super) fn path_mtu(probe: &Socket, peer: SocketAddrV4) -> io::Result<u16> {
    probe.connect(&peer.into())?;
    let mtu = nix::sys::socket::getsockopt(probe, sockopt::IpMtu)?;
    Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
}

/// A request as it came in.
pub(super) struct Incoming<'a> {
    /// Who asks.
    pub(super) peer: SocketAddrV4,
    /// The address that was asked.
    pub(super) local: Ipv4Addr,
    /// The packet.
    pub(super) bytes: &'a [u8],
}

impl<'a> Incoming<'a> {
    /// A packet to a listener; none if it came to a broadcast address, which no TFTP
    /// server answers (RFC 1123 section 4.2.3.5).
    pub(super) fn of(packet: &Received<'a>) -> Option<Self> {
        let Received { peer, to, bytes } = *packet;
        let local = to.filter(|(asked, local)| asked == local)?.1;
        Some(Self { peer, local, bytes })
    }
}

/// The next peer whose port turned out to be closed; `Err(EAGAIN)` when all are
/// known. Other ICMP messages are passed over (`Ok(None)`): a route may come back.
pub(super) fn receive_unreachable(socket: &Socket) -> nix::Result<Option<SocketAddrV4>> {
    let mut bytes = [0; 64];
    let mut control = nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let closed = message.cmsgs()?.any(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) => {
            error.ee_origin == ORIGIN_ICMP && (error.ee_type, error.ee_code) == PORT_UNREACHABLE
        }
        _ => false,
    });
    Ok(message.address.filter(|_| closed).map(SocketAddrV4::from))
}
