//! Address conflict probes: their packets (RFC 5227, RFC 792), and which addresses were found
//! clear a moment ago. Pure.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::model::Mac;

/// How long somebody who uses the address has to say so. PXE firmware waits 4 s for its first
/// offer (EDK2), iPXE 1 s.
pub(crate) const BUDGET: Duration = Duration::from_millis(300);
/// When a probe that is not answered is sent once more: the first may be lost, or only wake up
/// a switch port.
pub(crate) const SEND_AGAIN: Duration = Duration::from_millis(100);
/// How long an address counts as clear, in seconds.
const CLEAR_SECONDS: i64 = 300;
/// More probes than this do not run at once: a flood of strangers is then offered addresses
/// that were not probed.
const MAX_RUNNING: usize = 1024;
/// More clear addresses than this are not remembered.
const MAX_CLEAR: usize = 65_536;

/// More conflicts than this in so many seconds are not believed.
const MAX_CONFLICTS: u32 = 8;
const CONFLICT_SECONDS: i64 = 60;

/// Bytes of an ARP packet for IPv4 over Ethernet (RFC 826).
pub(crate) const ARP_BYTES: usize = 28;
const ARP_HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: u16 = 1;

/// Which addresses of a link are being probed, and which were found clear. Times are Unix seconds.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    clear: HashMap<Ipv4Addr, i64>,
    running: HashSet<Ipv4Addr>,
    /// Since when conflicts are counted, and how many there were.
    conflicts: (i64, u32),
}

/// What is known of an address that somebody is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeState {
    /// It may be given.
    Clear,
    /// It is being probed.
    Running,
    /// It must be probed first.
    Needed,
}

impl Probes {
    /// Whether an address may be given now.
    pub(crate) fn state(&self, address: Ipv4Addr, now: i64) -> ProbeState {
        if self.running.contains(&address) {
            return ProbeState::Running;
        }
        let clear = self.clear.get(&address).is_some_and(|until| *until > now);
        if clear || self.running.len() >= MAX_RUNNING {
            ProbeState::Clear
        } else {
            ProbeState::Needed
        }
    }

    /// Counts a conflict; returns whether it is to be believed. A
    /// router that answers for every address (proxy ARP) would empty the pool.
    pub(crate) fn believes_conflict(&mut self, now: i64) -> bool {
        if now - self.conflicts.0 >= CONFLICT_SECONDS {
            self.conflicts = (now, 0);
        }
        self.conflicts.1 = self.conflicts.1.saturating_add(1);
        self.conflicts.1 <= MAX_CONFLICTS
    }

    /// Notes that a probe has begun.
    pub(crate) fn begin(&mut self, address: Ipv4Addr) {
        self.running.insert(address);
    }

    /// Notes that a probe has ended, and whether the address is free.
    pub(crate) fn end(&mut self, address: Ipv4Addr, clear: bool, now: i64) {
        self.running.remove(&address);
        if !clear {
            self.clear.remove(&address);
            return;
        }
        if self.clear.len() >= MAX_CLEAR {
            self.clear.retain(|_, until| *until > now);
        }
        if self.clear.len() < MAX_CLEAR {
            self.clear.insert(address, now + CLEAR_SECONDS);
        }
    }
}

/// An ARP probe: asks who has `address` without saying that anybody has another one, so that
/// nobody's ARP cache learns from it (RFC 5227 section 2.1.1).
pub(crate) fn encode_arp_probe(own: Mac, address: Ipv4Addr) -> [u8; ARP_BYTES] {
    let mut packet = [0; ARP_BYTES];
    packet[..6].copy_from_slice(&ARP_HEADER);
    packet[6..8].copy_from_slice(&ARP_REQUEST.to_be_bytes());
    packet[8..14].copy_from_slice(&own.0);
    packet[24..28].copy_from_slice(&address.octets());
    packet
}

/// Who says in an ARP packet (without its Ethernet header) that it has which address, be it a
/// question or an answer; nobody in a probe.
pub(crate) fn arp_claim(packet: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let packet = packet.get(..ARP_BYTES).filter(|packet| packet[..6] == ARP_HEADER)?;
    let mac: [u8; 6] = packet[8..14].try_into().ok()?;
    let address: [u8; 4] = packet[14..18].try_into().ok()?;
    let address = Ipv4Addr::from(address);
    (!address.is_unspecified()).then_some((address, Mac(mac)))
}

/// An ICMP echo request without data, its checksum (RFC 1071) filled in.
pub(crate) fn encode_echo(identifier: u16, sequence: u16) -> [u8; 8] {
    let ([a, b], [c, d]) = (identifier.to_be_bytes(), sequence.to_be_bytes());
    let sum = 0x0800 + u32::from(identifier) + u32::from(sequence);
    let folded = (sum & 0xffff) + (sum >> 16);
    let [high, low] = (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes();
    [8, 0, high, low, a, b, c, d]
}

/// Who answers an echo request of ours, out of an IPv4 packet with its header.
pub(crate) fn echo_answer(packet: &[u8], identifier: u16) -> Option<Ipv4Addr> {
    let header_bytes = usize::from(packet.first()? & 15) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let icmp = packet.get(header_bytes..header_bytes + 8)?;
    let is_ours = icmp[..2] == [0, 0] && icmp[4..6] == identifier.to_be_bytes();
    is_ours.then(|| Ipv4Addr::from(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const OWN: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    #[test]
    fn an_address_is_probed_once_in_a_while() {
        let mut probes = Probes::default();
        assert_eq!(probes.state(ADDRESS, 0), ProbeState::Needed);
        probes.begin(ADDRESS);
        assert_eq!(probes.state(ADDRESS, 0), ProbeState::Running);
        probes.end(ADDRESS, true, 0);
        assert_eq!(probes.state(ADDRESS, 299), ProbeState::Clear);
        assert_eq!(probes.state(ADDRESS, 300), ProbeState::Needed);
        probes.begin(ADDRESS);
        probes.end(ADDRESS, false, 10);
        assert_eq!(probes.state(ADDRESS, 10), ProbeState::Needed);
    }

    #[test]
    fn one_who_answers_for_every_address_is_believed_eight_times_a_minute() {
        let mut probes = Probes::default();
        let believed = (0..60).filter(|now| probes.believes_conflict(1000 + now));
        assert_eq!(believed.count(), 8);
        assert!(probes.believes_conflict(1060));
    }

    #[test]
    fn a_flood_runs_so_many_probes_and_no_more() {
        let mut probes = Probes::default();
        let address = |number: u32| Ipv4Addr::from(0x0a00_0000 + number);
        for number in 0..MAX_RUNNING as u32 {
            assert_eq!(probes.state(address(number), 0), ProbeState::Needed);
            probes.begin(address(number));
        }
        assert_eq!(
            probes.state(ADDRESS.to_bits().wrapping_add(9_000_000).into(), 0),
            ProbeState::Clear
        );
        for number in 0..2 * MAX_CLEAR as u32 {
            probes.end(address(number), true, 0);
        }
        assert_eq!(probes.clear.len(), MAX_CLEAR);
        assert!(probes.running.is_empty());
        probes.end(ADDRESS, true, CLEAR_SECONDS);
        assert_eq!(probes.clear.len(), 1);
    }

    #[test]
    fn a_probe_claims_nothing_and_an_answer_does() {
        let probe = encode_arp_probe(OWN, ADDRESS);
        assert_eq!(arp_claim(&probe), None);
        let mut answer = probe;
        answer[7] = 2;
        answer[14..18].copy_from_slice(&ADDRESS.octets());
        // Short frames are padded.
        let padded = [&answer[..], &[0; 18]].concat();
        assert_eq!(arp_claim(&padded), Some((ADDRESS, OWN)));
        assert_eq!(arp_claim(&answer[..27]), None);
        answer[4] = 8;
        assert_eq!(arp_claim(&answer), None, "another kind of hardware address");
    }

    #[test]
    fn an_echo_proves_itself_and_is_told_from_others() {
        for (identifier, sequence) in [(0, 0), (0xffff, 0xffff), (0x1234, 7), (0xf7ff, 0)] {
            let echo = encode_echo(identifier, sequence);
            let words =
                echo.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
            let sum: u32 = words.sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{identifier:x} {sequence:x}");
        }
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&ADDRESS.octets());
        packet.extend([0, 0, 0, 0, 0x12, 0x34, 0, 7]);
        assert_eq!(echo_answer(&packet, 0x1234), Some(ADDRESS));
        assert_eq!(echo_answer(&packet, 0x1235), None);
        assert_eq!(echo_answer(&packet[..27], 0x1234), None);
        packet[20] = 8;
        assert_eq!(echo_answer(&packet, 0x1234), None, "a request");
        assert_eq!(echo_answer(&[], 0), None);
    }
}
