//! What server and client agree on: the options of a transfer. Pure.

use std::time::Duration;

use super::packet::{DATA_HEAD_BYTES, Mode, Requested, encode_option_ack};
use crate::config::TftpRollover;

/// The block size without the option (RFC 1350).
const DEFAULT_BLOCK_SIZE: u16 = 512;
/// The bounds of `blksize` (RFC 2348).
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 8..=65_464;
/// The bounds of `windowsize` (RFC 7440).
const WINDOW_SIZES: std::ops::RangeInclusive<u64> = 1..=65_535;
/// The largest window that is granted: beyond it clients' receive buffers overflow.
const MAX_WINDOW_SIZE: u64 = 64;
/// The bounds of `timeout` (RFC 2349).
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=255;

/// The options of a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    block_size: Option<u16>,
    window_size: Option<u16>,
    timeout_seconds: Option<u8>,
    transfer_size: Option<u64>,
    rollover: Option<Rollover>,
    /// How block numbers go on for a client that says nothing of it.
    unasked_rollover: Rollover,
}

/// The number of the block after 65535.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollover {
    /// 0, as nearly all clients expect.
    #[default]
    ToZero,
    /// 1, as some ask by the `rollover` option.
    ToOne,
}

impl From<TftpRollover> for Rollover {
    fn from(configured: TftpRollover) -> Self {
        match configured {
            TftpRollover::Zero => Self::ToZero,
            TftpRollover::One => Self::ToOne,
        }
    }
}

/// What an operator says about clients that a standard transfer does not work for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// How block numbers go on for a client that says nothing of it.
    pub rollover: Rollover,
    /// Whether `tsize` is refused, even if the client asks for it.
    pub keeps_size: bool,
}

impl Rollover {
    /// The number on the wire of a block that is counted from 1 without end; 0 is
    /// the acknowledgement of the options.
    pub fn on_wire(self, block: u64) -> u16 {
        match self {
            Self::ToZero => block as u16,
            Self::ToOne if block == 0 => 0,
            Self::ToOne => ((block - 1) % 65_535 + 1) as u16,
        }
    }
}

/// Chooses the options for a file of `total_bytes` to a client whose path carries UDP
/// packets with `room` bytes of content. A value out of its bounds is left out, not refused
/// (RFC 2347); nothing is granted that was not asked for, or more than was asked.
pub fn negotiate(requested: &Requested, mode: Mode, total_bytes: u64, room: u16) -> Agreed {
    // A block that does not fit is fragmented, and many ROMs cannot put fragments together.
    let fitting = u64::from(room.saturating_sub(DATA_HEAD_BYTES as u16)).max(*BLOCK_SIZES.start());
    let block_size = requested.block_size.filter(|size| BLOCK_SIZES.contains(size));
    let window_size = requested.window_size.filter(|size| WINDOW_SIZES.contains(size));
    let timeout = requested.timeout_seconds.filter(|seconds| TIMEOUT_SECONDS.contains(seconds));
    Agreed {
        block_size: block_size.map(|size| size.min(fitting) as u16),
        window_size: window_size.map(|size| size.min(MAX_WINDOW_SIZE) as u16),
        timeout_seconds: timeout.map(|seconds| seconds as u8),
        // The length of a text differs between the two ends (RFC 2349).
        transfer_size: requested.transfer_size.filter(|_| mode == Mode::Octet).map(|_| total_bytes),
        rollover: match requested.rollover {
            Some(0) => Some(Rollover::ToZero),
            Some(1) => Some(Rollover::ToOne),
            _ => None,
        },
        unasked_rollover: Rollover::default(),
    }
}

impl Agreed {
    /// The same for a client with quirks.
    #[must_use]
    pub fn with(mut self, quirks: Quirks) -> Self {
        self.unasked_rollover = quirks.rollover;
        self.transfer_size = self.transfer_size.filter(|_| !quirks.keeps_size);
        self
    }

    /// Whether the client asked for nothing: the transfer begins with block 1 and no OACK.
    pub fn is_plain(&self) -> bool {
        Self { unasked_rollover: Rollover::default(), ..*self } == Self::default()
    }

    /// How many bytes every block but the last one has.
    pub fn block_size(&self) -> u16 {
        self.block_size.unwrap_or(DEFAULT_BLOCK_SIZE)
    }

    /// How many blocks are sent before an acknowledgement.
    pub fn window_size(&self) -> u16 {
        self.window_size.unwrap_or(1)
    }

    /// How long the client wants the server to wait before it sends again.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Whether the client asked how long the file is.
    pub fn tells_size(&self) -> bool {
        self.transfer_size.is_some()
    }

    /// How block numbers go on after 65535.
    pub fn rollover(&self) -> Rollover {
        self.rollover.unwrap_or(self.unasked_rollover)
    }

    /// The OACK packet.
    pub fn option_ack(&self) -> Vec<u8> {
        let options = [
            ("blksize", self.block_size.map(u64::from)),
            ("timeout", self.timeout_seconds.map(u64::from)),
            ("tsize", self.transfer_size),
            ("windowsize", self.window_size.map(u64::from)),
            ("rollover", self.rollover.map(|rollover| rollover as u64)),
        ];
        let granted: Vec<(&str, u64)> =
            options.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
        encode_option_ack(&granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an Ethernet frame carries behind the heads of IPv4 and UDP.
    const ETHERNET: u16 = 1500 - 20 - 8;
    const NONE: Requested = Requested {
        block_size: None,
        window_size: None,
        timeout_seconds: None,
        transfer_size: None,
        rollover: None,
    };

    fn agree(requested: Requested) -> Agreed {
        negotiate(&requested, Mode::Octet, 1000, ETHERNET)
    }

    #[test]
    fn nothing_asked_is_nothing_answered() {
        let agreed = agree(NONE);
        assert!(agreed.is_plain());
        assert_eq!((agreed.block_size(), agreed.window_size(), agreed.timeout()), (512, 1, None));
    }

    #[test]
    fn block_sizes_stay_within_the_rfc_and_the_mtu_and_are_never_raised() {
        let table = [
            (7, ETHERNET, None),
            (8, ETHERNET, Some(8)),
            (512, ETHERNET, Some(512)),
            (1428, ETHERNET, Some(1428)),
            (1468, ETHERNET, Some(1468)),
            (1469, ETHERNET, Some(1468)),
            (65_464, ETHERNET, Some(1468)),
            (1468, ETHERNET - 20, Some(1448)),
            (65_464, 9000 - 28, Some(8968)),
            (65_464, 65_535 - 28, Some(65_464)),
            (65_465, ETHERNET, None),
            (1468, 1400 - 28, Some(1368)),
            (1468, 10, Some(8)),
            (1468, 0, Some(8)),
        ];
        for (asked, room, granted) in table {
            let requested = Requested { block_size: Some(asked), ..NONE };
            let agreed = negotiate(&requested, Mode::Octet, 1000, room);
            assert_eq!(agreed.block_size, granted, "{asked} at {room}");
        }
    }

    #[test]
    fn windows_and_timeouts_stay_within_their_bounds() {
        for (asked, granted) in
            [(0, None), (1, Some(1)), (4, Some(4)), (64, Some(64)), (65, Some(64))]
        {
            let agreed = agree(Requested { window_size: Some(asked), ..NONE });
            assert_eq!(agreed.window_size, granted, "{asked}");
        }
        assert_eq!(agree(Requested { window_size: Some(65_536), ..NONE }).window_size, None);
        for (asked, granted) in [(0, None), (1, Some(1)), (255, Some(255)), (256, None)] {
            let agreed = agree(Requested { timeout_seconds: Some(asked), ..NONE });
            assert_eq!(agreed.timeout_seconds, granted, "{asked}");
        }
    }

    #[test]
    fn the_size_is_told_only_to_who_asks_and_only_of_octets() {
        let asked = Requested { transfer_size: Some(0), ..NONE };
        assert_eq!(agree(asked).option_ack(), b"\0\x06tsize\x001000\0");
        assert!(negotiate(&asked, Mode::Netascii, 1000, ETHERNET).is_plain());
        assert!(!agree(Requested { block_size: Some(512), ..NONE }).tells_size());
    }

    #[test]
    fn the_option_ack_has_exactly_what_was_granted() {
        let agreed = agree(Requested {
            block_size: Some(1468),
            window_size: Some(9999),
            timeout_seconds: Some(3),
            transfer_size: Some(0),
            rollover: Some(1),
        });
        assert_eq!(
            agreed.option_ack(),
            b"\0\x06blksize\x001468\0timeout\x003\0tsize\x001000\0windowsize\x0064\0rollover\x001\0"
        );
        assert!(agree(Requested { rollover: Some(2), ..NONE }).is_plain());
    }

    #[test]
    fn a_clients_quirks_are_met_and_what_it_asks_for_comes_first() {
        let quirks = Quirks { rollover: Rollover::ToOne, keeps_size: true };
        let plain = agree(NONE).with(quirks);
        assert!(plain.is_plain(), "no OACK for what nobody asked");
        assert_eq!(plain.rollover(), Rollover::ToOne);
        let asked = Requested { transfer_size: Some(0), rollover: Some(0), ..NONE };
        let agreed = agree(asked).with(quirks);
        assert_eq!(agreed.option_ack(), b"\0\x06rollover\x000\0");
        assert_eq!((agreed.rollover(), agreed.tells_size()), (Rollover::ToZero, false));
    }

    #[test]
    fn block_numbers_go_on_after_65535() {
        for (block, zero, one) in [(0, 0, 0), (1, 1, 1), (65_535, 65_535, 65_535), (65_536, 0, 1)] {
            assert_eq!(
                (Rollover::ToZero.on_wire(block), Rollover::ToOne.on_wire(block)),
                (zero, one)
            );
        }
        assert_eq!(Rollover::ToZero.on_wire(65_536 * 3 + 7), 7);
        assert_eq!(Rollover::ToOne.on_wire(65_535 * 3 + 7), 7);
    }
}
