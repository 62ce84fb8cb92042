//! Router advertisements that advertise nothing (RFC 4861 section 4.2). Pure.
//!
//! The 2019 iPXE configures IPv6 before it boots and waits 13 to 16 s for a
//! router advertisement. One with lifetime 0 and no prefix ends the wait and
//! makes no client use this server as a router.

use std::net::Ipv6Addr;
use std::time::Duration;

/// Everybody on the link.
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Where router solicitations are sent.
pub(crate) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// How often one is sent unsolicited: a client that missed the
/// answer to its question receives the next one before it gives up.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;

/// The ICMPv6 message. The kernel fills in the checksum.
pub(crate) fn encode() -> [u8; 16] {
    let mut message = [0; 16];
    message[0] = ROUTER_ADVERTISEMENT;
    // Hop limit unspecified, no flags, lifetime 0, timers unspecified, no options.
    message
}

/// Whether an ICMPv6 message asks for one (RFC 4861 section 6.1.1).
pub(crate) fn is_solicitation(message: &[u8]) -> bool {
    message.len() >= 8 && message[0] == ROUTER_SOLICITATION && message[1] == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advertisement_advertises_nothing() {
        let message = encode();
        assert_eq!(message[0], 134);
        assert!(message[1..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn only_a_whole_solicitation_is_one() {
        assert!(is_solicitation(&[133, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!is_solicitation(&[133, 0, 0, 0]));
        assert!(!is_solicitation(&[134, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!is_solicitation(&[]));
    }
}
