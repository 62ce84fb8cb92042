//! Many datagrams in one system call: a generator must cost less than what it measures.

use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt, sockopt,
};

/// The most datagrams of one call.
pub(crate) const BURST: usize = 64;

/// Room for one burst of received datagrams.
pub(crate) struct Inbox {
    room: Vec<Vec<u8>>,
    headers: MultiHeaders<SockaddrIn>,
    lengths: Vec<(usize, Option<SocketAddrV4>)>,
}

impl Inbox {
    /// Room for datagrams of `size` bytes.
    pub(crate) fn new(size: usize) -> Self {
        Self {
            room: vec![vec![0; size]; BURST],
            headers: MultiHeaders::preallocate(BURST, None),
            lengths: Vec::with_capacity(BURST),
        }
    }

    /// Takes what has arrived and says how many; 0 when nothing has.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) -> usize {
        self.lengths.clear();
        let mut slices: Vec<[IoSliceMut; 1]> =
            self.room.iter_mut().map(|room| [IoSliceMut::new(room)]).collect();
        let flags = MsgFlags::MSG_DONTWAIT;
        let received =
            recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None);
        // Nothing there, or an ICMP error of an earlier send: the timers deal with both.
        let Ok(received) = received else { return 0 };
        let lengths = received.map(|one| {
            (one.bytes, one.address.map(|from| SocketAddrV4::new(from.ip(), from.port())))
        });
        self.lengths.extend(lengths);
        self.lengths.len()
    }

    /// Takes one datagram, which costs less than a burst of one; says how many, 1 or 0.
    pub(crate) fn receive_one(&mut self, socket: &UdpSocket) -> usize {
        self.lengths.clear();
        if let Ok((length, from)) = socket.recv_from(&mut self.room[0]) {
            let from = match from {
                SocketAddr::V4(from) => Some(from),
                SocketAddr::V6(_) => None,
            };
            self.lengths.push((length, from));
        }
        self.lengths.len()
    }

    /// The datagram with this number of the last burst, and its sender if the socket is not connected.
    pub(crate) fn datagram(&self, number: usize) -> (&[u8], Option<SocketAddrV4>) {
        let (length, from) = self.lengths[number];
        (&self.room[number][..length], from)
    }
}

/// Sends all datagrams to one address, as many in a call as it takes.
pub(crate) fn send_all(socket: &UdpSocket, datagrams: &[Vec<u8>], to: SocketAddrV4) {
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BURST, None);
    let address = [Some(SockaddrIn::from(to)); BURST];
    for burst in datagrams.chunks(BURST) {
        let slices: Vec<[IoSlice; 1]> = burst.iter().map(|d| [IoSlice::new(d)]).collect();
        let mut rest = &slices[..];
        while !rest.is_empty() {
            let flags = MsgFlags::empty();
            let sent = sendmmsg(socket.as_raw_fd(), &mut headers, rest, address, [], flags);
            // A refused one (ICMP, full queue) counts as lost: the timers send it again.
            let count = sent.map_or(1, |sent| sent.count().max(1));
            rest = &rest[count.min(rest.len())..];
        }
    }
}

/// Sets receive and send buffers past the limits for users, so that the generator loses nothing itself.
pub(crate) fn widen(socket: &UdpSocket, bytes: usize) {
    let _ = setsockopt(socket, sockopt::RcvBufForce, &bytes);
    let _ = setsockopt(socket, sockopt::SndBufForce, &bytes);
}
