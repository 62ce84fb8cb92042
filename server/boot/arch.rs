//! What kind of client boots: which firmware, which architecture, or iPXE. Pure.

pub(crate) use crate::lifecycle::client::{Arch, Client};
use crate::model::Mac;

/// The prefixes of the Raspberry Pi makers' MACs.
const RASPBERRY_PI: [[u8; 3]; 7] = [
    [0x88, 0xa2, 0x9e],
    [0xb8, 0x27, 0xeb],
    [0xdc, 0xa6, 0x32],
    [0xe4, 0x5f, 0x01],
    [0x28, 0xcd, 0xc1],
    [0xd8, 0x3a, 0xdd],
    [0x2c, 0xcf, 0x67],
];

/// Whether a NIC is that of a Raspberry Pi.
pub(crate) fn is_raspberry_pi(Mac([a, b, c, ..]): Mac) -> bool {
    RASPBERRY_PI.contains(&[a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_block_of_newer_boards_is_known() {
        assert!(is_raspberry_pi(Mac([0x88, 0xa2, 0x9e, 0, 0, 1])));
    }
}
