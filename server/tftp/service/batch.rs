//! Many packets by one system call, each to or from its own peer.
#![allow(unsafe_code)] // sendmmsg and recvmmsg take raw pointers; nix has no control data per message.

use std::io::IoSlice;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use socket2::Socket;

/// Room for a packet of a client; a longer request is cut, which parsing allows.
pub(super) const PACKET_BYTES: usize = 1024;
/// How many packets are taken from a socket at once.
const RECEIVED: usize = 64;

/// Room for one control message with a `u16`, aligned as `cmsghdr` wants it.
type Control = [u64; 3];

/// A packet, or several of one length that the kernel or the NIC cuts apart.
pub(super) struct Message<'a> {
    /// Where it goes.
    pub(super) to: SocketAddrV4,
    /// Its bytes in pieces.
    pub(super) slices: &'a [IoSlice<'a>],
    /// The length of each packet in it but the last (UDP_SEGMENT), if there are several.
    pub(super) segment: Option<u16>,
}

/// Sends messages until the socket takes no more, and gives how many left; the
/// error is that of the first one.
pub(super) fn send(socket: &Socket, messages: &[Message<'_>]) -> nix::Result<usize> {
    let mut peers: Vec<libc::sockaddr_in> = messages.iter().map(|m| raw_address(m.to)).collect();
    let mut controls: Vec<Control> = vec![[0; 3]; messages.len()];
    let mut headers: Vec<libc::mmsghdr> = messages
        .iter()
        .zip(peers.iter_mut().zip(&mut controls))
        .map(|(message, (peer, control))| header(message, peer, control))
        .collect();
    // SAFETY: each header points to a peer, slices and control data that are
    // borrowed or owned by this function until the call returns, with their lengths.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    Errno::result(sent).map(|count| count as usize)
}

fn header(
    message: &Message<'_>,
    peer: &mut libc::sockaddr_in,
    control: &mut Control,
) -> libc::mmsghdr {
    let mut header = empty_header(peer);
    // IoSlice has the layout of iovec; the kernel only reads it.
    header.msg_iov = message.slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = message.slices.len();
    if let Some(segment) = message.segment {
        put_segment(&mut header, control, segment);
    }
    libc::mmsghdr { msg_hdr: header, msg_len: 0 }
}

/// Packets that were received by one call.
pub(super) struct Inbox {
    buffers: Vec<[u8; PACKET_BYTES]>,
    received: Vec<(SocketAddrV4, usize)>,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffers: vec![[0; PACKET_BYTES]; RECEIVED], received: Vec::with_capacity(RECEIVED) }
    }

    /// Takes up to 64 packets that wait in the socket; what was here before is forgotten.
    pub(super) fn receive(&mut self, socket: &Socket) -> nix::Result<()> {
        self.received.clear();
        let unset = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let mut peers = [raw_address(unset); RECEIVED];
        let mut slices: Vec<libc::iovec> = self
            .buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: PACKET_BYTES,
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = slices
            .iter_mut()
            .zip(&mut peers)
            .map(|(slice, peer)| {
                let mut header = empty_header(peer);
                header.msg_iov = ptr::from_mut(slice);
                header.msg_iovlen = 1;
                libc::mmsghdr { msg_hdr: header, msg_len: 0 }
            })
            .collect();
        // SAFETY: each header points to a peer and a slice that live until the call
        // returns, and each slice to a buffer of PACKET_BYTES that nothing else uses.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = Errno::result(received)? as usize;
        let lengths = headers.iter().map(|header| header.msg_len as usize);
        self.received.extend(peers.iter().map(|peer| address(*peer)).zip(lengths).take(count));
        Ok(())
    }

    /// The packets that were received last.
    pub(super) fn packets(&self) -> impl Iterator<Item = (SocketAddrV4, &[u8])> {
        let packets = self.received.iter().zip(&self.buffers);
        packets.map(|((peer, length), buffer)| (*peer, &buffer[..*length]))
    }
}

fn empty_header(peer: &mut libc::sockaddr_in) -> libc::msghdr {
    // SAFETY: all zeroes is a valid msghdr: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(peer).cast();
    header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    header
}

fn put_segment(header: &mut libc::msghdr, control: &mut Control, segment: u16) {
    let length = size_of::<u16>() as libc::c_uint;
    header.msg_control = control.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute; a Control is as long as
    // CMSG_SPACE(2), so that CMSG_FIRSTHDR gives its start, not null.
    unsafe {
        header.msg_controllen = libc::CMSG_SPACE(length) as usize;
        let first = libc::CMSG_FIRSTHDR(header);
        (*first).cmsg_level = libc::SOL_UDP;
        (*first).cmsg_type = libc::UDP_SEGMENT;
        (*first).cmsg_len = libc::CMSG_LEN(length) as usize;
        ptr::write_unaligned(libc::CMSG_DATA(first).cast::<u16>(), segment);
    }
}

fn raw_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn address(raw: libc::sockaddr_in) -> SocketAddrV4 {
    let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
    SocketAddrV4::new(ip, u16::from_be(raw.sin_port))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    use super::*;

    #[test]
    fn segments_arrive_as_packets_and_each_message_at_its_peer() {
        let receivers = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let peers = receivers.each_ref().map(|receiver| match receiver.local_addr().unwrap() {
            SocketAddr::V4(address) => address,
            other => panic!("{other}"),
        });
        let sender = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let pieces: [&[u8]; 4] = [b"1:", b"ab", b"2:", b"c"];
        let slices = pieces.map(IoSlice::new);
        let messages = [
            Message { to: peers[0], slices: &slices, segment: Some(4) },
            Message { to: peers[1], slices: &slices[..2], segment: None },
        ];
        assert_eq!(send(&Socket::from(sender), &messages), Ok(2));
        let receive = |receiver: &UdpSocket| {
            receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut buffer = [0; 16];
            let length = receiver.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        assert_eq!(receive(&receivers[0]), b"1:ab");
        assert_eq!(receive(&receivers[0]), b"2:c");
        assert_eq!(receive(&receivers[1]), b"1:ab");
    }

    #[test]
    fn packets_are_received_with_their_peers_and_lengths() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let senders = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        for (sender, packet) in senders.iter().zip([&b"abc"[..], b""]) {
            sender.send_to(packet, receiver.local_addr().unwrap()).unwrap();
        }
        let mut inbox = Inbox::new();
        let socket = Socket::from(receiver);
        inbox.receive(&socket).unwrap();
        let got: Vec<_> =
            inbox.packets().map(|(peer, packet)| (SocketAddr::V4(peer), packet)).collect();
        let peers = senders.each_ref().map(|sender| sender.local_addr().unwrap());
        assert_eq!(got, [(peers[0], &b"abc"[..]), (peers[1], b"")]);
        assert_eq!(inbox.receive(&socket), Err(Errno::EAGAIN));
        assert_eq!(inbox.packets().count(), 0);
    }
}
