//! TFTP's sockets: where requests come in, where transfers answer from.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use super::batch::PACKET_BYTES;

/// TFTP's port.
pub(super) const TFTP: u16 = 69;
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
pub(super) struct Incoming {
    /// Who asks.
    pub(super) peer: SocketAddrV4,
    /// The address that was asked.
    pub(super) local: Ipv4Addr,
    /// The packet.
    pub(super) bytes: Vec<u8>,
}

/// Takes the next request from a listener; `Ok(None)` if it came to a broadcast
/// address, which no TFTP server answers (RFC 1123 section 4.2.3.5).
pub(super) fn receive_request(socket: &Socket) -> nix::Result<Option<Incoming>> {
    let mut bytes = vec![0; PACKET_BYTES];
    let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let length = message.bytes;
    let peer = message.address.map(SocketAddrV4::from);
    let asked = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
        _ => None,
    });
    let (Some(peer), Some(asked)) = (peer, asked) else { return Ok(None) };
    if asked.ipi_addr.s_addr != asked.ipi_spec_dst.s_addr {
        return Ok(None);
    }
    bytes.truncate(length);
    let local = Ipv4Addr::from(u32::from_be(asked.ipi_addr.s_addr));
    Ok(Some(Incoming { peer, local, bytes }))
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
