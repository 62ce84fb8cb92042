//! What a NIC is known by: its MAC, or on InfiniBand the GUID of its port. Pure.

use std::fmt;
use std::str::FromStr;

use super::as_text::as_text;
use super::{InvalidMac, Mac};

/// Bytes of a GUID (EUI-64) and of an IPoIB hardware address (RFC 4391 section 9.1.1).
const GUID_BYTES: usize = 8;
const IPOIB_BYTES: usize = 20;

/// The permanent address of a NIC.
///
/// An InfiniBand port is known by its GUID. The hardware address of its IPoIB link ends with the
/// GUID; what stands before it (flags, queue pair, subnet prefix) may change with the driver and
/// the subnet manager, and tells no two ports apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NicAddress {
    /// Ethernet.
    Mac(Mac),
    /// The GUID of an InfiniBand port, as `ibstat` prints it.
    Guid([u8; GUID_BYTES]),
    /// The hardware address of an IPoIB link, as `ip link` prints it.
    Ipoib([u8; IPOIB_BYTES]),
}

/// A text that is not the address of a NIC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}{hint}", hint = .0.infiniband_hint())]
pub struct InvalidNicAddress(#[from] pub InvalidMac);

impl InvalidMac {
    /// What else would be right, for a text that is longer than a MAC.
    fn infiniband_hint(&self) -> &'static str {
        match self.0.len() > "52:54:00:aa:00:01".len() {
            true => {
                ", or of an InfiniBand port the 8 bytes of its GUID or the 20 bytes of its link"
            }
            false => "",
        }
    }
}

impl NicAddress {
    /// The MAC of an Ethernet NIC.
    pub fn mac(self) -> Option<Mac> {
        match self {
            Self::Mac(mac) => Some(mac),
            Self::Guid(_) | Self::Ipoib(_) => None,
        }
    }

    /// Whether it is a port of InfiniBand.
    pub fn is_infiniband(self) -> bool {
        self.mac().is_none()
    }

    /// What tells the NIC apart from all others: the GUID stands for the address that ends with it.
    pub fn identity(self) -> Self {
        match self {
            Self::Ipoib([.., a, b, c, d, e, f, g, h]) => Self::Guid([a, b, c, d, e, f, g, h]),
            other => other,
        }
    }

    /// What it is, in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Mac(_) => "a MAC address",
            Self::Guid(_) | Self::Ipoib(_) => "a GUID",
        }
    }

    /// `52-54-00-aa-00-01`, as iPXE's `${mac:hexhyp}` writes it.
    pub fn hyphenated(self) -> String {
        self.to_string().replace(':', "-")
    }

    /// Whether no NIC has it: all of its bytes are zero, or it is a multicast MAC.
    pub fn is_impossible(self) -> bool {
        match self.identity() {
            Self::Mac(mac) => mac.is_zero() || mac.is_multicast(),
            Self::Guid(guid) => guid == [0; GUID_BYTES] || guid == [0xff; GUID_BYTES],
            Self::Ipoib(_) => false,
        }
    }
}

impl From<Mac> for NicAddress {
    fn from(mac: Mac) -> Self {
        Self::Mac(mac)
    }
}

impl fmt::Display for NicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Mac(mac) => return mac.fmt(f),
            Self::Guid(bytes) => bytes,
            Self::Ipoib(bytes) => bytes,
        };
        for (index, byte) in bytes.iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NicAddress {
    type Err = InvalidNicAddress;

    /// Reads a MAC in all of its notations; a GUID as `00:02:c9:03:00:0a:0b:0c`, as
    /// `0002:c903:000a:0b0c` (sysfs) and as `0x0002c903000a0b0c` (`ibstat`); and an IPoIB address in
    /// bytes or in one piece.
    fn from_str(text: &str) -> Result<Self, InvalidNicAddress> {
        let error = match text.parse::<Mac>() {
            Ok(mac) => return Ok(Self::Mac(mac)),
            Err(error) => error,
        };
        let found = infiniband_bytes(text).and_then(|bytes| match bytes.len() {
            GUID_BYTES => bytes.try_into().ok().map(Self::Guid),
            IPOIB_BYTES => bytes.try_into().ok().map(Self::Ipoib),
            _ => None,
        });
        found.ok_or(InvalidNicAddress(error))
    }
}

/// The bytes of hexadecimal digits in groups of one, two or all bytes. Without whole groups a lost
/// digit is an error and not another address.
fn infiniband_bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let groups: Vec<&str> = digits.split([':', '-', '.']).collect();
    let width = match groups.len() {
        1 => digits.len(),
        4 => 4,
        GUID_BYTES | IPOIB_BYTES => 2,
        _ => return None,
    };
    if !groups.iter().all(|group| group.len() == width && group.is_ascii()) {
        return None;
    }
    let digits: Vec<u8> = groups
        .concat()
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

as_text!(NicAddress);

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: [u8; 8] = [0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0c];
    const LINK: &str = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c";

    #[test]
    fn a_nic_is_a_mac_or_a_guid() {
        let mac = NicAddress::Mac(Mac([0x52, 0x54, 0, 0xaa, 0, 1]));
        let guid = NicAddress::Guid(GUID);
        for (text, address) in [
            ("52:54:00:aa:00:01", mac),
            ("5254.00aa.0001", mac),
            ("525400aa0001", mac),
            ("00:02:c9:03:00:0a:0b:0c", guid),
            ("00-02-C9-03-00-0A-0B-0C", guid),
            ("0002:c903:000a:0b0c", guid),
            ("0x0002c903000a0b0c", guid),
            ("0002c903000a0b0c", guid),
        ] {
            assert_eq!(text.parse(), Ok(address), "{text}");
            assert_eq!(address.to_string().parse(), Ok(address), "{text}");
        }
        let link: NicAddress = LINK.parse().unwrap();
        assert_eq!(link.to_string(), LINK);
        assert_eq!(LINK.replace(':', "").parse(), Ok(link));
        assert_eq!((link.identity(), guid.identity(), mac.identity()), (guid, guid, mac));
        assert_eq!((mac.mac(), guid.mac()), (Some(Mac([0x52, 0x54, 0, 0xaa, 0, 1])), None));
        assert_eq!(guid.hyphenated(), "00-02-c9-03-00-0a-0b-0c");
    }

    #[test]
    fn what_is_neither_is_refused_by_name() {
        for text in [
            "",
            "52:54:00:aa:00",
            "00:02:c9:03:00:0a:0b",
            "00:02:c9:03:00:0a:0b:0c:0d",
            "0:2:c9:3:0:a:b:c",
            "0x0002c903000a0b0",
            "00:02:c9:03:00:0a:0b:0g",
            "0002:c903:000a:0b0é",
            "0x52:54:00:aa:00:01",
            "00:02:c9:03:00:0a:0b:+c",
        ] {
            let error = text.parse::<NicAddress>().unwrap_err();
            assert_eq!(error, InvalidNicAddress(InvalidMac(text.into())));
            assert!(error.to_string().starts_with(&format!("\"{text}\" is not a MAC address")));
        }
        for (text, is_impossible) in [
            ("00:00:00:00:00:00:00:00", true),
            ("ff:ff:ff:ff:ff:ff:ff:ff", true),
            ("01:00:5e:00:00:01", true),
            (LINK, false),
            ("80:00:02:08:fe:80:00:00:00:00:00:00:00:00:00:00:00:00:00:00", true),
        ] {
            let address: NicAddress = text.parse().unwrap();
            assert_eq!(address.is_impossible(), is_impossible, "{text}");
        }
    }
}
