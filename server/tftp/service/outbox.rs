//! Packets on their way out of one socket: batched, and never copied.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;

use bytes::Bytes;
use nix::errno::Errno;
use socket2::Socket;

use crate::tftp::blocks::Blocks;
use crate::tftp::packet::DATA_HEAD_BYTES;
use crate::udp::{BATCH, Datagram, send, set_whole};

/// How many packets one message may be cut into (UDP_MAX_SEGMENTS of older kernels).
const MAX_SEGMENTS: usize = 64;
/// The longest UDP payload over IPv4: what the packets of one message may add up to.
const MAX_MESSAGE_BYTES: usize = 65_507;

/// A packet, or blocks in a row.
pub(super) enum Outgoing {
    /// OACK or ERROR.
    TftpPacket(Bytes),
    /// DATA.
    Blocks(Blocks),
}

/// The packets that wait for one socket.
pub(super) struct Outbox {
    waiting: VecDeque<(SocketAddr, Outgoing)>,
    /// Whether a window leaves as one message that the kernel or the NIC cuts up:
    /// 3 to 5 times less CPU. Off where the interface cannot.
    segments: bool,
    /// Whether packets are never cut up into fragments, which few boot ROMs put together and
    /// which costs the kernel a number for each. Blocks were agreed on to fit the path.
    whole: bool,
}

/// What became of a flush.
#[derive(Debug, Default)]
pub(super) struct Flushed {
    /// The socket takes no more for now.
    pub(super) full: bool,
    /// Peers whose content cannot be read any more: the file was truncated.
    pub(super) unreadable: Vec<SocketAddr>,
}

/// A packet to send: its head, of which `head_bytes` count, and the rest.
struct QueuedPacket<'a> {
    head: [u8; DATA_HEAD_BYTES],
    head_bytes: usize,
    body: &'a [u8],
}

/// Packets in a row that leave as one message.
struct Group {
    to: SocketAddr,
    count: usize,
    segment: Option<u16>,
}

impl Outbox {
    /// An outbox for a socket, which may be of either family.
    pub(super) fn new(socket: &Socket) -> Self {
        // IPv6's have no number, and routers never cut them up.
        let whole = set_whole(socket, true).is_ok();
        Self { waiting: VecDeque::new(), segments: true, whole }
    }

    pub(super) fn push(&mut self, to: SocketAddr, outgoing: Outgoing) {
        self.waiting.push_back((to, outgoing));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self, socket: &Socket) -> Flushed {
        let mut flushed = Flushed::default();
        let mut failed_before = false;
        while let Some((_, front)) = self.waiting.front() {
            let cut_up = self.segments && matches!(front, Outgoing::Blocks(b) if b.count() > 1);
            match self.send_some(socket) {
                Ok(()) => failed_before = false,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    flushed.full = true;
                    return flushed;
                }
                // No checksum offload, or a packet that does not fit the path.
                Err(Errno::EIO | Errno::EINVAL | Errno::EOPNOTSUPP) if cut_up => {
                    self.segments = false;
                }
                Err(Errno::EFAULT) => flushed.unreadable.extend(self.drop_front()),
                // This packet or an earlier one is too long for its path, which became
                // narrower: it is cut up from now on.
                Err(Errno::EMSGSIZE) if self.whole => {
                    self.whole = false;
                    let _ = set_whole(socket, false);
                }
                // An ICMP error about an earlier packet is reported here once; the
                // next try shows whether this packet is meant.
                Err(_) if !failed_before => failed_before = true,
                Err(errno) => {
                    let to = self.drop_front();
                    tracing::debug!(?to, %errno, "packet not sent");
                    failed_before = false;
                }
            }
        }
        flushed
    }

    fn drop_front(&mut self) -> Option<SocketAddr> {
        self.waiting.pop_front().map(|(to, _)| to)
    }

    /// Sends up to [`BATCH`] messages from the front by one call.
    fn send_some(&mut self, socket: &Socket) -> nix::Result<()> {
        let (packets, groups) = self.gather();
        let slices: Vec<[IoSlice; 2]> = packets
            .iter()
            .map(|packet| [&packet.head[..packet.head_bytes], packet.body].map(IoSlice::new))
            .collect();
        let mut rest = slices.as_flattened();
        let mut messages = Vec::with_capacity(groups.len());
        for Group { to, count, segment } in &groups {
            let (slices, later) = rest.split_at(count * 2);
            messages.push(Datagram { to: *to, egress: None, slices, segment: *segment });
            rest = later;
        }
        let sent = send(socket, &messages)?;
        self.forget(groups.iter().take(sent).map(|group| group.count).sum());
        Ok(())
    }

    /// The packets in front, and which of them leave together.
    fn gather(&self) -> (Vec<QueuedPacket<'_>>, Vec<Group>) {
        let expected = self.waiting.len().min(BATCH);
        let (mut packets, mut groups) =
            (Vec::with_capacity(expected), Vec::with_capacity(expected));
        for (to, outgoing) in &self.waiting {
            let before = packets.len();
            let room = BATCH - groups.len();
            let (together, segment) =
                match outgoing {
                    Outgoing::TftpPacket(packet) => {
                        packets.push(QueuedPacket { head: [0; 4], head_bytes: 0, body: packet });
                        (1, 0)
                    }
                    Outgoing::Blocks(blocks) => {
                        let segment = blocks.packet_bytes();
                        let fitting = (MAX_MESSAGE_BYTES / segment).clamp(1, MAX_SEGMENTS);
                        let together = if self.segments { fitting } else { 1 };
                        packets.extend(blocks.packets().take(room * together).map(
                            |(head, body)| QueuedPacket { head, head_bytes: head.len(), body },
                        ));
                        (together, segment as u16)
                    }
                };
            let mut left = packets.len() - before;
            while left > 0 {
                let count = left.min(together);
                groups.push(Group { to: *to, count, segment: (count > 1).then_some(segment) });
                left -= count;
            }
            if groups.len() >= BATCH {
                break;
            }
        }
        (packets, groups)
    }

    /// Takes the first `count` packets out.
    fn forget(&mut self, mut count: usize) {
        while count > 0 {
            let Some((_, front)) = self.waiting.front_mut() else { return };
            let done = match front {
                Outgoing::TftpPacket(_) => 1,
                Outgoing::Blocks(blocks) if blocks.count() > count => {
                    blocks.advance(count);
                    return;
                }
                Outgoing::Blocks(blocks) => blocks.count(),
            };
            count -= done;
            self.waiting.pop_front();
        }
    }
}
