//! Packets and subnets that the unit tests of this folder share.

use crate::model::Subnet;

/// A DISCOVER of 52:54:00:aa:00:01: a header, option 53, End, padded to 300 bytes.
pub(crate) fn discover() -> Vec<u8> {
    message(1, &[])
}

/// A client's message of a type with more options, each already encoded.
pub(crate) fn message(kind: u8, options: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[0] = 1;
    bytes[1] = 1;
    bytes[2] = 6;
    bytes[4..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    bytes[28..34].copy_from_slice(&[0x52, 0x54, 0, 0xaa, 0, 1]);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend([53, 1, kind]);
    bytes.extend(options.concat());
    bytes.push(255);
    bytes.resize(bytes.len().max(300), 0);
    bytes
}

/// A subnet with `dhcp` ranges.
pub(crate) fn subnet(cidr: &str, ranges: &[(&str, &str)]) -> Subnet {
    let range =
        |(from, to): &(&str, &str)| serde_json::json!({"from": from, "to": to, "for": "dhcp"});
    let ranges: Vec<_> = ranges.iter().map(range).collect();
    serde_json::from_value(serde_json::json!({"cidr": cidr, "ranges": ranges})).unwrap()
}
