//! UDP packets, many by one system call, each with its own peer and own address of ours.
#![allow(unsafe_code)] // sendmmsg and recvmmsg take raw pointers; nix has no control data per message.

use std::io::IoSlice;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;

/// How many packets one call carries at most.
pub(crate) const BATCH: usize = 64;
/// How many packets one call is ready for at least.
const FEW: usize = 4;

/// Room for a `u16` and an `in_pktinfo`, or for an `in6_pktinfo`, as control messages,
/// aligned as `cmsghdr` wants it.
type Control = [u64; 7];

/// An address as the kernel has it: a `sockaddr_in` at the beginning, or all of it.
type RawAddress = libc::sockaddr_in6;

/// A packet, or several of one length that the kernel or the NIC cuts apart.
pub(crate) struct Datagram<'a> {
    /// Where it goes.
    pub(crate) to: SocketAddr,
    /// None where the routing table and the address of the socket decide.
    pub(crate) egress: Option<Egress>,
    /// Its bytes in pieces.
    pub(crate) slices: &'a [IoSlice<'a>],
    /// The length of each packet in it but the last (UDP_SEGMENT), if there are several.
    pub(crate) segment: Option<u16>,
}

/// The interface and address that an IPv4 packet leaves by (IP_PKTINFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    /// The kernel's number of the interface.
    pub(crate) interface: u32,
    /// The address of ours.
    pub(crate) address: Ipv4Addr,
}

/// A packet that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received<'a> {
    /// Who sent it.
    pub(crate) peer: SocketAddr,
    /// Where it was sent to and the address of ours that its sender is answered from;
    /// none where the socket was not asked for IP_PKTINFO or IPV6_PKTINFO.
    pub(crate) to: Option<(IpAddr, IpAddr)>,
    /// Its bytes, cut where there was no more room.
    pub(crate) bytes: &'a [u8],
}

/// How one IPv4 packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Where it was sent to: an address of ours, or broadcast.
    pub destination: Ipv4Addr,
    /// The address of ours that the sender is answered from.
    pub local: Ipv4Addr,
    /// The port of ours that it came to.
    pub port: u16,
}

impl Arrival {
    /// Whether it was sent to this server alone.
    pub(crate) fn is_unicast(&self) -> bool {
        self.destination == self.local
    }
}

/// Sends up to [`BATCH`] messages until the socket takes no more, and gives how many left;
/// the error is that of the first one.
pub(crate) fn send(socket: &impl AsRawFd, messages: &[Datagram<'_>]) -> nix::Result<usize> {
    let messages = &messages[..messages.len().min(BATCH)];
    // On the stack, and written only as far as there are messages.
    let mut peers = [const { MaybeUninit::<RawAddress>::uninit() }; BATCH];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
    let rooms = peers.iter_mut().zip(&mut controls).zip(&mut headers);
    for (message, ((peer, control), room)) in messages.iter().zip(rooms) {
        room.write(header(message, peer.write(raw_address(message.to)), control));
    }
    // SAFETY: each of the headers points to a peer, slices and control data that are
    // borrowed or owned by this function until the call returns, with their lengths.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr().cast(),
            messages.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    Errno::result(sent).map(|count| count as usize)
}

fn header(
    message: &Datagram<'_>,
    peer: &mut RawAddress,
    control: &mut MaybeUninit<Control>,
) -> libc::mmsghdr {
    let mut header = empty_header(peer);
    // IoSlice has the layout of iovec; the kernel only reads it.
    header.msg_iov = message.slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = message.slices.len();
    if message.segment.is_none() && message.egress.is_none() {
        return libc::mmsghdr { msg_hdr: header, msg_len: 0 };
    }
    let control = control.write([0; 7]);
    let mut used = 0;
    if let Some(segment) = message.segment {
        used += put(control, used, SEGMENT, segment);
    }
    if let Some(Egress { interface, address }) = message.egress {
        let info = libc::in_pktinfo {
            ipi_ifindex: interface as libc::c_int,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from(address).to_be() },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        used += put(control, used, EGRESS, info);
    }
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = used;
    libc::mmsghdr { msg_hdr: header, msg_len: 0 }
}

/// What a control message is: `cmsg_level` and `cmsg_type` of cmsg(3).
#[derive(Clone, Copy)]
struct ControlKind {
    level: i32,
    kind: i32,
}

const SEGMENT: ControlKind = ControlKind { level: libc::SOL_UDP, kind: libc::UDP_SEGMENT };
const EGRESS: ControlKind = ControlKind { level: libc::IPPROTO_IP, kind: libc::IP_PKTINFO };

/// Writes a control message at an offset and gives the room that it takes.
fn put<T>(control: &mut Control, at: usize, kind: ControlKind, value: T) -> usize {
    let length = size_of::<T>() as libc::c_uint;
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
    let (space, length) = unsafe { (libc::CMSG_SPACE(length), libc::CMSG_LEN(length)) };
    let space = space as usize;
    assert!(at + space <= size_of::<Control>(), "a control message has room");
    // SAFETY: the room from `at` on was checked, and `at` is a sum of CMSG_SPACEs, hence
    // aligned; cmsghdr is plain data, and CMSG_DATA lies CMSG_SPACE's head behind it.
    unsafe {
        let first = control.as_mut_ptr().cast::<u8>().add(at).cast::<libc::cmsghdr>();
        (*first).cmsg_level = kind.level;
        (*first).cmsg_type = kind.kind;
        (*first).cmsg_len = length as usize;
        ptr::write_unaligned(libc::CMSG_DATA(first).cast::<T>(), value);
    }
    space
}

/// Packets that were received by one call.
pub(crate) struct Inbox {
    /// Room for [`BATCH`] packets, touched only as far as packets come together.
    buffers: Vec<u8>,
    packet_bytes: usize,
    /// How many packets the next call is ready for.
    ready_for: usize,
    received: Vec<Arrived>,
}

struct Arrived {
    peer: SocketAddr,
    to: Option<(IpAddr, IpAddr)>,
    length: usize,
}

impl Inbox {
    /// Room for packets of up to `packet_bytes`; longer ones are cut.
    pub(crate) fn new(packet_bytes: usize) -> Self {
        let buffers = vec![0; packet_bytes * BATCH];
        Self { buffers, packet_bytes, ready_for: FEW, received: Vec::with_capacity(BATCH) }
    }

    /// Takes up to [`BATCH`] packets that wait in the socket; what was here before is
    /// forgotten. Gives whether more may wait.
    pub(crate) fn receive(&mut self, socket: &impl AsRawFd) -> nix::Result<bool> {
        self.received.clear();
        // Not zeroed: ten kilobytes would be, for a few packets.
        let mut peers = [const { MaybeUninit::<RawAddress>::uninit() }; BATCH];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; BATCH];
        let mut slices = [const { MaybeUninit::<libc::iovec>::uninit() }; BATCH];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; BATCH];
        let wanted = self.ready_for;
        let rooms = self.buffers.chunks_exact_mut(self.packet_bytes).take(wanted);
        for (number, buffer) in rooms.enumerate() {
            let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            // SAFETY: all zeroes is a valid address of no family.
            let peer = peers[number].write(unsafe { zeroed() });
            let mut header = empty_header(peer);
            header.msg_iov = slices[number].write(slice);
            header.msg_iovlen = 1;
            header.msg_control = controls[number].as_mut_ptr().cast();
            header.msg_controllen = size_of::<Control>();
            headers[number].write(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
        // SAFETY: each of the `wanted` headers points to a peer, a slice and control data that
        // live until the call returns, and each slice to a buffer that nothing else uses.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                wanted as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = Errno::result(received)? as usize;
        for (header, peer) in headers.iter().zip(&peers).take(count) {
            // SAFETY: `count` is at most `wanted`, and so many of both were written above.
            let (header, peer) = unsafe { (header.assume_init_ref(), peer.assume_init_ref()) };
            let (peer, to) = (address(peer), packet_info(&header.msg_hdr));
            self.received.push(Arrived { peer, to, length: header.msg_len as usize });
        }
        let is_full = count == wanted;
        self.ready_for =
            if is_full { (wanted * 4).min(BATCH) } else { (count * 2).clamp(FEW, BATCH) };
        Ok(is_full)
    }

    /// The packets that were received last.
    pub(crate) fn packets(&self) -> impl Iterator<Item = Received<'_>> {
        let packets = self.received.iter().zip(self.buffers.chunks_exact(self.packet_bytes));
        packets.map(|(arrived, buffer)| {
            let Arrived { peer, to, length } = *arrived;
            Received { peer, to, bytes: &buffer[..length] }
        })
    }

    /// How the IPv4 packets arrived that were received last, at a port of ours, with their bytes.
    pub(crate) fn arrivals(&self, port: u16) -> impl Iterator<Item = (Arrival, &[u8])> {
        let packets = self.received.iter().zip(self.buffers.chunks_exact(self.packet_bytes));
        packets.filter_map(move |(arrived, buffer)| {
            let (SocketAddr::V4(source), Some((IpAddr::V4(destination), IpAddr::V4(local)))) =
                (arrived.peer, arrived.to)
            else {
                return None;
            };
            Some((Arrival { source, destination, local, port }, &buffer[..arrived.length]))
        })
    }
}

/// Where a packet was sent to, and the local address for the answer.
fn packet_info(header: &libc::msghdr) -> Option<(IpAddr, IpAddr)> {
    // SAFETY: the kernel wrote the control data that the header describes; CMSG_FIRSTHDR and
    // CMSG_NXTHDR stay within it.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while !control.is_null() {
            match ((*control).cmsg_level, (*control).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo =
                        ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                    return Some((ipv4(info.ipi_addr).into(), ipv4(info.ipi_spec_dst).into()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo =
                        ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                    let to = IpAddr::from(info.ipi6_addr.s6_addr);
                    return Some((to, to));
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
    None
}

fn empty_header(peer: &mut RawAddress) -> libc::msghdr {
    // SAFETY: all zeroes is a valid msghdr: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(peer).cast();
    let is_v4 = i32::from(peer.sin6_family) == libc::AF_INET;
    let length = if is_v4 { size_of::<libc::sockaddr_in>() } else { size_of::<RawAddress>() };
    header.msg_namelen = length as libc::socklen_t;
    header
}

fn raw_address(address: SocketAddr) -> RawAddress {
    let address = match address {
        SocketAddr::V6(address) => {
            return libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                sin6_scope_id: address.scope_id(),
            };
        }
        SocketAddr::V4(address) => address,
    };
    let short = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: all zeroes is a valid sockaddr_in6, which is longer than a sockaddr_in and
    // aligned as strictly.
    unsafe {
        let mut raw: RawAddress = zeroed();
        ptr::from_mut(&mut raw).cast::<libc::sockaddr_in>().write(short);
        raw
    }
}

fn address(raw: &RawAddress) -> SocketAddr {
    if i32::from(raw.sin6_family) == libc::AF_INET6 {
        let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
        return SocketAddrV6::new(ip, u16::from_be(raw.sin6_port), 0, raw.sin6_scope_id).into();
    }
    // SAFETY: a sockaddr_in6 is longer than a sockaddr_in and aligned as strictly, and
    // sockaddr_in takes any bytes.
    let short = unsafe { ptr::from_ref(raw).cast::<libc::sockaddr_in>().read() };
    SocketAddrV4::new(ipv4(short.sin_addr), u16::from_be(short.sin_port)).into()
}

/// How long packets may be on the way to the peer of a connected IPv6 socket (IPV6_MTU).
pub(crate) fn ipv6_mtu(socket: &impl AsRawFd) -> nix::Result<i32> {
    let mut mtu: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, and `mtu` has as many.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU,
            ptr::from_mut(&mut mtu).cast(),
            &mut length,
        )
    };
    Errno::result(done).map(|_| mtu)
}

/// Whether packets of an IPv4 socket are never cut up on the way (IP_MTU_DISCOVER): one that
/// is too long for its path is EMSGSIZE then. Where they may be, the kernel numbers each
/// among all that it sends to that address.
pub(crate) fn set_whole(socket: &impl AsRawFd, whole: bool) -> nix::Result<()> {
    let kind = if whole { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_WANT };
    // SAFETY: the kernel reads as many bytes as `kind` has.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            ptr::from_ref(&kind).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    Errno::result(done).map(drop)
}

fn ipv4(raw: libc::in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(raw.s_addr))
}

#[cfg(test)]
mod tests;
