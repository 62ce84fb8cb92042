//! Ethernet addresses in every notation that people and firmware use.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::as_text::as_text;

/// A 48-bit Ethernet address, shown as `52:54:00:aa:00:01`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// A text that is not a MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a MAC address: expected twelve hexadecimal digits, such as 52:54:00:aa:00:01"
)]
pub struct InvalidMac(pub String);

/// What [`Mac::from_str`] reads, as a regular expression.
pub(crate) const MAC_PATTERN: &str = "^([0-9A-Fa-f]{12}|[0-9A-Fa-f]{4}([:.-][0-9A-Fa-f]{4}){2}|\
    [0-9A-Fa-f]{1,2}([:.-][0-9A-Fa-f]{1,2}){5})$";

impl Mac {
    /// Whether the group bit is set (IEEE 802.3 section 3.2.3): no NIC has such an address.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether all 48 bits are zero.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// Whether the address is locally administered: made by software, not burnt in.
    pub fn is_local(self) -> bool {
        self.0[0] & 2 == 2
    }

    /// The MAC that an IPv6 address was made of, if its lower half is a modified EUI-64
    /// (RFC 4291 appendix A): firmware makes its link-local address so.
    pub fn of_interface_id(address: Ipv6Addr) -> Option<Self> {
        match address.octets() {
            [_, _, _, _, _, _, _, _, a, b, c, 0xff, 0xfe, d, e, f] => {
                let mac = Self([a ^ 2, b, c, d, e, f]);
                (!mac.is_multicast()).then_some(mac)
            }
            _ => None,
        }
    }

    /// `52-54-00-aa-00-01`, as iPXE's `${mac:hexhyp}` writes it.
    pub fn hyphenated(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = InvalidMac;

    /// Reads `aa:bb:cc:dd:ee:ff`, `aa-bb-..`, `aabb.ccdd.eeff` and `aabbccddeeff` in either case,
    /// and `2:0:5e:10:1:1` as BSD, Solaris and dhcpd write it.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac(printable(text));
        let mut digits = Vec::with_capacity(12);
        // Without six groups a lost digit is an error and not another MAC.
        let groups: Vec<&str> = text.split([':', '-', '.']).collect();
        let width = 12 / groups.len().max(1);
        // ISC dhcpd, Solaris and the BSDs write no leading zeros.
        let is_short = |group: &&str| groups.len() == 6 && group.len() == 1;
        let is_whole = |group: &&str| group.len() == width || is_short(group);
        if !matches!(groups.len(), 1 | 3 | 6) || !groups.iter().all(is_whole) {
            return Err(invalid());
        }
        for group in &groups {
            if is_short(group) {
                digits.push(0);
            }
            for character in group.chars() {
                digits.push(character.to_digit(16).ok_or_else(invalid)? as u8);
            }
        }
        let mut bytes = [0; 6];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

/// At most 40 printable characters of a text that somebody sent.
fn printable(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

as_text!(Mac);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_reads_the_same() {
        let mac = Mac([0x52, 0x54, 0x00, 0xaa, 0x00, 0x01]);
        for text in ["52:54:00:aa:00:01", "52-54-00-AA-00-01", "5254.00aa.0001", "525400AA0001"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in ["2:0:5e:10:1:1", "2-0-5E-10-1-1", "02:0:5e:10:01:1"] {
            assert_eq!(text.parse(), Ok(Mac([2, 0, 0x5e, 0x10, 1, 1])), "{text}");
        }
        assert_eq!(mac.to_string(), "52:54:00:aa:00:01");
        let short = Mac([2, 0, 0x5e, 0x10, 1, 1]);
        for text in ["2:0:5e:10:1:1", "02:0:5E:10:01:1", "2-0-5e-10-1-1"] {
            assert_eq!(text.parse(), Ok(short), "{text}");
        }
    }

    #[test]
    fn the_address_that_a_nic_makes_of_its_mac_tells_the_mac() {
        for (address, mac) in [
            ("fe80::5054:ff:feaa:1", Some("52:54:00:aa:00:01")),
            ("2001:db8::5054:ff:feaa:1", Some("52:54:00:aa:00:01")),
            ("fe80::21b:21ff:fe00:1", Some("00:1b:21:00:00:01")),
            ("fe80::300:ff:fe00:1", None),
            ("fe80::1", None),
            ("2001:db8::fffe:0:1", None),
        ] {
            let made = Mac::of_interface_id(address.parse().unwrap());
            assert_eq!(made, mac.map(|mac| mac.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn what_is_no_mac_is_refused_by_name() {
        for text in [
            "",
            "52:54:00:aa:00",
            "52:54:00:aa:00:0g",
            "52:54:00:aa:00:01:02",
            "é",
            "5:254:00:aa:00:01",
            "5:25:0:aa:0:",
            "5254.0aa.0001",
            "::::::",
            "2:0:5e:10:1:",
            "2:0:5e:10:1:100",
            "2:0:5e:10:1:g",
            "2:0:5e:10:1",
            "2:0:+1:10:1:1",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(InvalidMac(text.into())));
        }
    }
}
