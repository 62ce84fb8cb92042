//! IPv4 and UDP headers around a packet for the raw socket. Pure.

use std::net::SocketAddrV4;

const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const UDP: u8 = 17;

/// An IPv4 packet (RFC 791) with one UDP datagram (RFC 768), checksums filled in.
pub(super) fn encode_ipv4_udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let udp_bytes = (UDP_BYTES + payload.len()) as u16;
    let mut udp = Vec::with_capacity(UDP_BYTES + payload.len());
    udp.extend(from.port().to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(udp_bytes.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend_from_slice(payload);

    let mut pseudo_header = Vec::with_capacity(12);
    pseudo_header.extend(from.ip().octets());
    pseudo_header.extend(to.ip().octets());
    pseudo_header.extend([0, UDP]);
    pseudo_header.extend(udp_bytes.to_be_bytes());
    // A checksum of zero would say that there is none.
    let checksum = match checksum(&[&pseudo_header, &udp]) {
        0 => 0xffff,
        other => other,
    };
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());

    let mut frame = vec![0x45, 0x10];
    frame.extend((IP_BYTES as u16 + udp_bytes).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
    frame.extend(from.ip().octets());
    frame.extend(to.ip().octets());
    let header_checksum = self::checksum(&[&frame]);
    frame[10..12].copy_from_slice(&header_checksum.to_be_bytes());
    frame.extend(udp);
    frame
}

/// The Internet checksum (RFC 1071) over parts of which all but the last have even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u32 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_checksums_prove_themselves() {
        let from = "10.0.0.1:67".parse().unwrap();
        let to = "10.0.0.9:68".parse().unwrap();
        for payload in [&b"odd"[..], b"even", b"", &[0xff; 300]] {
            let frame = encode_ipv4_udp(from, to, payload);
            assert_eq!(checksum(&[&frame[..20]]), 0);
            let udp_bytes = (8 + payload.len()) as u16;
            let mut pseudo = frame[12..20].to_vec();
            pseudo.extend([0, 17]);
            pseudo.extend(udp_bytes.to_be_bytes());
            assert_eq!(checksum(&[&pseudo, &frame[20..]]), 0);
            assert_eq!(usize::from(u16::from_be_bytes([frame[2], frame[3]])), frame.len());
        }
    }
}
