//! Many packets by one system call, each to its own peer.
#![allow(unsafe_code)] // sendmmsg takes raw pointers; nix's wrapper has no control data of each message.

use std::io::IoSlice;
use std::mem::{size_of, zeroed};
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use socket2::Socket;

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
    // SAFETY: all zeroes is a valid msghdr: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(peer).cast();
    header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // IoSlice has the layout of iovec; the kernel only reads it.
    header.msg_iov = message.slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = message.slices.len();
    if let Some(segment) = message.segment {
        put_segment(&mut header, control, segment);
    }
    libc::mmsghdr { msg_hdr: header, msg_len: 0 }
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
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
}
