//! The sockets of one served interface: UDP port 67, and a raw one for clients
//! that do not answer ARP for their address yet.

mod frame;
mod icmp;
mod interface;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt::Ipv4PacketInfo,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::link::{Arrival, Link};
use super::reply::{CLIENT_PORT, Destination, SERVER_PORT};
use crate::model::Mac;

pub(super) use icmp::IcmpSocket;
pub(super) use interface::{interface_names, read_link};

/// What a storm of a whole row of racks fills before we read it.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;
/// How many packets are read at one waking.
const BATCH: usize = 64;

/// The sockets of one interface.
pub(super) struct DhcpSocket {
    udp: UdpSocket,
    /// None without CAP_NET_RAW: answers are broadcast then.
    raw: Option<Socket>,
    interface_index: u32,
    port: u16,
}

/// One packet as it came.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) arrival: Arrival,
}

impl DhcpSocket {
    /// Binds a port on one interface.
    pub(super) fn open(link: &Link, port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(link.interface.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, Ipv4PacketInfo, &true)?;
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
            port,
        })
    }

    /// Waits for packets and gives those that are there.
    pub(super) async fn receive(&self) -> io::Result<Vec<Received>> {
        loop {
            self.udp.readable().await?;
            let mut packets = Vec::new();
            match self.udp.try_io(Interest::READABLE, || self.receive_all(&mut packets)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && packets.is_empty() => {}
                Err(error) if packets.is_empty() => return Err(error),
                _ => return Ok(packets),
            }
        }
    }

    /// Reads until nothing is left or a batch is full.
    fn receive_all(&self, packets: &mut Vec<Received>) -> io::Result<()> {
        let mut buffer = [0; 4096];
        for _ in 0..BATCH {
            packets.extend(self.receive_one(&mut buffer)?);
        }
        Ok(())
    }

    /// Reads one packet; none for one whose sender or way is not IPv4's.
    fn receive_one(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(libc::in_pktinfo);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrIn>(
            self.udp.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let (length, source) = (message.bytes, message.address);
        let way = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
            _ => None,
        });
        let (Some(source), Some(way)) = (source, way) else { return Ok(None) };
        let arrival = Arrival {
            source: SocketAddrV4::from(source),
            destination: Ipv4Addr::from(u32::from_be(way.ipi_addr.s_addr)),
            local: Ipv4Addr::from(u32::from_be(way.ipi_spec_dst.s_addr)),
            port: self.port,
        };
        Ok(Some(Received { bytes: buffer[..length].to_vec(), arrival }))
    }

    /// Sends an answer from our address `local`.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        destination: Destination,
        local: Ipv4Addr,
    ) -> io::Result<()> {
        match destination {
            Destination::Routed(to) => self.send_udp(bytes, to, local),
            Destination::Broadcast => self.broadcast(bytes, local),
            Destination::Hardware(address, mac) => match &self.raw {
                Some(raw) => self.send_raw(raw, bytes, (local, address), mac),
                None => self.broadcast(bytes, local),
            },
        }
    }

    fn broadcast(&self, bytes: &[u8], local: Ipv4Addr) -> io::Result<()> {
        self.send_udp(bytes, SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT), local)
    }

    fn send_udp(&self, bytes: &[u8], to: SocketAddrV4, local: Ipv4Addr) -> io::Result<()> {
        let source = libc::in_pktinfo {
            ipi_ifindex: self.interface_index as libc::c_int,
            ipi_spec_dst: libc::in_addr { s_addr: u32::from(local).to_be() },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let socket = self.udp.as_raw_fd();
        let control = [ControlMessage::Ipv4PacketInfo(&source)];
        let to = SockaddrIn::from(to);
        sendmsg(socket, &[IoSlice::new(bytes)], &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
        Ok(())
    }

    fn send_raw(
        &self,
        raw: &Socket,
        bytes: &[u8],
        (source, destination): (Ipv4Addr, Ipv4Addr),
        mac: Mac,
    ) -> io::Result<()> {
        let from = SocketAddrV4::new(source, SERVER_PORT);
        let to = SocketAddrV4::new(destination, CLIENT_PORT);
        let frame = frame::encode_ipv4_udp(from, to, bytes);
        raw.send_to(&frame, &hardware_address(self.interface_index, mac)?)?;
        Ok(())
    }
}

/// Asks for a big receive buffer: past the system's limit where we may.
fn enlarge_receive_buffer(socket: &Socket) {
    let forced = setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES);
    if forced.is_err() {
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    }
}

/// The link-layer address of a client on an interface.
#[allow(unsafe_code)]
fn hardware_address(interface_index: u32, Mac(mac): Mac) -> io::Result<SockAddr> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&mac);
    let link = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_IP as u16).to_be(),
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
