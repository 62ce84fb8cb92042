//! The sockets of one served interface: UDP port 67, and a raw one for clients
//! that do not answer ARP for their address yet.

mod frame;
mod icmp;
mod interface;
mod probe;

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::link::ServedLink;
use super::reply::{SERVER_PORT, Transmit};
use crate::model::Mac;
use crate::udp::{self, Datagram, Egress, Inbox};

pub(super) use icmp::IcmpSocket;
pub(super) use interface::{interface_names, read_link};
pub(super) use probe::{ArpSocket, EchoSocket};

/// What a storm of a whole row of racks fills before we read it.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// Room for a packet; no client's is longer.
const PACKET_BYTES: usize = 4096;
/// How many packets one message is cut into at most, and how long each is, so that all of
/// them fit the longest message (UDP_MAX_SEGMENTS of older kernels, 65,507 bytes).
const MAX_SEGMENTS: usize = 64;
const MAX_SEGMENT_BYTES: usize = 1000;

/// The sockets of one interface.
pub(super) struct DhcpSocket {
    udp: UdpSocket,
    /// None without CAP_NET_RAW: answers are broadcast then.
    raw: Option<Socket>,
    interface_index: u32,
    /// Whether several packets may leave as one message that is cut up.
    segments: AtomicBool,
}

/// Whether two packets may leave as one message.
fn may_share_message(one: &Transmit, other: &Transmit) -> bool {
    one.is_routed()
        && other.is_routed()
        && one.to == other.to
        && one.local == other.local
        && one.bytes.len() == other.bytes.len()
        && one.bytes.len() <= MAX_SEGMENT_BYTES
}

impl DhcpSocket {
    /// Binds a port on one interface.
    pub(super) fn open(link: &ServedLink, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(link.interface.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        enlarge_receive_buffer(&socket);
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        socket.bind(&address.into())?;
        // Protocol 0: it sends only, and the kernel queues nothing for it.
        let raw = Socket::new(Domain::PACKET, Type::DGRAM, None)
            .inspect_err(|error| {
                tracing::warn!(
                    interface = link.interface,
                    "no raw socket (CAP_NET_RAW): clients without an address are answered by broadcast: {error}"
                );
            })
            .ok();
        Ok(Self {
            udp: UdpSocket::from_std(socket.into())?,
            raw,
            interface_index: link.index,
            segments: AtomicBool::new(true),
        })
    }

    /// Room for the packets of one [`Self::receive`].
    pub(super) fn inbox() -> Inbox {
        Inbox::new(PACKET_BYTES)
    }

    /// Waits until a packet is there.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await
    }

    /// Takes the packets that are there, perhaps none.
    pub(super) fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        let taken = self.udp.try_io(Interest::READABLE, || match inbox.receive(&self.udp)? {
            true => Ok(()),
            // All were taken. To say so now saves the call that would find nothing.
            false => Err(io::ErrorKind::WouldBlock.into()),
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends packets, as many by one call as can be; tells which failed, by its place. Those of
    /// one length to one relay leave as one message that the kernel or the NIC cuts up.
    pub(super) fn send(&self, transmits: &[Transmit], failed: &mut dyn FnMut(usize, io::Error)) {
        self.send_grouped(transmits, self.segments.load(Ordering::Relaxed), failed);
    }

    fn send_grouped(
        &self,
        transmits: &[Transmit],
        together: bool,
        failed: &mut dyn FnMut(usize, io::Error),
    ) {
        let slices: Vec<IoSlice<'_>> =
            transmits.iter().map(|transmit| IoSlice::new(&transmit.bytes)).collect();
        let (mut groups, mut messages) = (Vec::new(), Vec::new());
        let mut next = 0;
        for group in transmits.chunk_by(|one, other| together && may_share_message(one, other)) {
            for part in group.chunks(MAX_SEGMENTS) {
                let places = next..next + part.len();
                next = places.end;
                let Some(to) = self.routed(&part[0]).unwrap_or_else(|error| {
                    failed(places.start, error);
                    None
                }) else {
                    continue;
                };
                let egress =
                    Some(Egress { interface: self.interface_index, address: part[0].local });
                let segment = (part.len() > 1).then_some(part[0].bytes.len() as u16);
                let slices = &slices[places.clone()];
                groups.push(places);
                messages.push(Datagram { to: to.into(), egress, slices, segment });
            }
        }
        let mut next = 0;
        while next < messages.len() {
            match udp::send(&self.udp, &messages[next..]) {
                Ok(sent) => next += sent,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    let places = groups[next].clone();
                    self.send_failed(&transmits[places.clone()], errno, &mut |place, error| {
                        failed(places.start + place, error);
                    });
                    next += 1;
                }
            }
        }
    }

    /// Sends one by one what could not leave together; one alone has failed.
    fn send_failed(
        &self,
        transmits: &[Transmit],
        errno: Errno,
        failed: &mut dyn FnMut(usize, io::Error),
    ) {
        if transmits.len() == 1 {
            return failed(0, errno.into());
        }
        // No checksum offload, or a message that is too long for the link.
        if matches!(errno, Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP) {
            self.segments.store(false, Ordering::Relaxed);
        }
        self.send_grouped(transmits, false, failed);
    }

    /// Where a transmit goes by UDP; none if it has left by the raw socket.
    fn routed(&self, transmit: &Transmit) -> io::Result<Option<SocketAddrV4>> {
        match (transmit.mac, &self.raw) {
            (Some(mac), Some(raw)) => self.send_raw(raw, transmit, mac).map(|()| None),
            _ => Ok(Some(transmit.without_frame())),
        }
    }

    fn send_raw(&self, raw: &Socket, transmit: &Transmit, mac: Mac) -> io::Result<()> {
        let from = SocketAddrV4::new(transmit.local, SERVER_PORT);
        let frame = frame::encode_ipv4_udp(from, transmit.to, &transmit.bytes);
        raw.send_to(&frame, &hardware_address(self.interface_index, mac, libc::ETH_P_IP)?)?;
        Ok(())
    }
}

/// Asks for a big receive buffer: past the system's limit where we may.
fn enlarge_receive_buffer(socket: &Socket) {
    let forced = setsockopt(socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES);
    if forced.is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }
}

/// The link-layer address of a client on an interface, for packets of a protocol (`ETH_P_IP`
/// and so on).
#[allow(unsafe_code)]
fn hardware_address(
    interface_index: u32,
    Mac(mac): Mac,
    protocol: libc::c_int,
) -> io::Result<SockAddr> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac);
    let link = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (protocol as u16).to_be(),
        sll_ifindex: interface_index as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: address,
    };
    let length = size_of::<libc::sockaddr_ll>();
    // SAFETY: no safe constructor of a link-layer address exists. The storage is
    // zeroed, larger than and aligned for every socket address, and `length`
    // bytes of it are written.
    let (_, address) = unsafe {
        SockAddr::try_init(|storage, storage_length| {
            storage.cast::<libc::sockaddr_ll>().write(link);
            *storage_length = length as libc::socklen_t;
            Ok(())
        })?
    };
    Ok(address)
}

#[cfg(test)]
mod tests;
