//! What a client asks for, read out of its packet. Pure.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::relay::RelayInfo;
use super::wire::{BROADCAST_FLAG, Malformed, Packet};
use crate::model::{ClientKey, Mac, NicAddress};
use crate::options::code;

const ETHERNET: u8 = 1;
/// IEEE 802 networks, whose addresses are the same (RFC 1700).
const IEEE_802: u8 = 6;
const INFINIBAND: u8 = 32;

/// Why a packet is dropped before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is not a DHCP packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A server's packet, perhaps our own.
    #[error("packet is from a server")]
    FromServer,
    /// Option 53 without a value.
    #[error("packet's DHCP message type is empty")]
    NoMessageType,
    /// Neither a hardware address of a single client nor an identifier in its place.
    #[error("packet has no usable hardware address (type {0}, {1} bytes)")]
    NoClient(u8, usize),
}

impl Unusable {
    /// The reason as it is counted: one of a fixed set, without what the packet says.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Malformed(Malformed::TooShort(_)) => "packet is shorter than a DHCP header",
            Self::Malformed(Malformed::NoCookie) => "packet has no DHCP magic cookie",
            Self::Malformed(Malformed::HardwareLength(_)) => "hardware address is too long",
            Self::FromServer => "packet is from a server",
            Self::NoMessageType => "packet's DHCP message type is empty",
            Self::NoClient(..) => "packet has no usable hardware address",
        }
    }
}

/// What a client's message says. An option with an invalid length counts as absent.
impl<'a> Packet<'a> {
    /// Reads a client's message.
    ///
    /// # Errors
    /// It is not a DHCP packet, or not a client's message that identifies its sender.
    pub(crate) fn parse_request(bytes: &'a [u8]) -> Result<Self, Unusable> {
        let packet = Self::parse(bytes)?;
        packet.check_request()?;
        Ok(packet)
    }

    /// Checks that it is a client's message that identifies its sender.
    ///
    /// # Errors
    /// It is a server's packet, or it does not identify its sender.
    pub(crate) fn check_request(&self) -> Result<(), Unusable> {
        if self.op != 1 {
            return Err(Unusable::FromServer);
        }
        if self.option(code::MESSAGE_TYPE).is_some_and(<[u8]>::is_empty) {
            return Err(Unusable::NoMessageType);
        }
        // Where the client identifier is the identity, the hardware address may be anything.
        if self.strict_key().is_none() {
            return Err(Unusable::NoClient(self.hardware_type, self.hardware.len()));
        }
        Ok(())
    }

    /// None for a BOOTP client (RFC 951): a DHCP header without option 53.
    pub(crate) fn message_type(&self) -> Option<MessageType> {
        let number = *self.option(code::MESSAGE_TYPE)?.first()?;
        Some(MessageType::from(number))
    }

    /// The Ethernet address; none for clients of another kind and for UEFI that puts its GUID
    /// there.
    pub(crate) fn mac(&self) -> Option<Mac> {
        let mac = Mac(self.hardware.try_into().ok()?);
        let is_ethernet = matches!(self.hardware_type, ETHERNET | IEEE_802);
        (is_ethernet && !mac.is_zero() && !mac.is_multicast()).then_some(mac)
    }

    /// The NICs that the packet may be from, best first: its MAC; of InfiniBand the GUID of its
    /// port, which has several places. RFC 4390 leaves `chaddr` empty and the client identifier to
    /// RFC 4361; iPXE puts the GUID in `chaddr` and behind the type in the identifier; ROMs, `dhclient`
    /// and NetworkManager end the identifier with the GUID, alone or in the link's 20 bytes.
    pub(crate) fn nics(&self) -> impl Iterator<Item = NicAddress> + use<'_, 'a> {
        let mac = self.mac().map(NicAddress::Mac);
        let is_infiniband = self.hardware_type == INFINIBAND;
        let ends = |bytes: &[u8]| bytes.last_chunk().copied();
        // A type or an IAID stands before it.
        let of_option = move |code| {
            self.option(code).filter(|bytes| is_infiniband && bytes.len() > 8).and_then(ends)
        };
        let of_header = Some(self.hardware).filter(|bytes| is_infiniband && bytes.len() == 8);
        let guids =
            [of_header.and_then(ends), of_option(code::CLIENT_ID), of_option(code::CLIENT_UUID)];
        let guids = guids.into_iter().flatten().map(NicAddress::Guid);
        mac.into_iter().chain(guids.filter(|guid| !guid.is_impossible()))
    }

    /// The client identifier (option 61).
    pub(crate) fn client_id(&self) -> Option<&[u8]> {
        self.filled_option(code::CLIENT_ID)
    }

    /// The address that the client asks for (option 50).
    pub(crate) fn requested_address(&self) -> Option<Ipv4Addr> {
        self.address_option(code::REQUESTED_ADDRESS)
    }

    /// The address that the client uses already (`ciaddr`). Buggy clients fill it in a DISCOVER
    /// too, where it means nothing.
    pub(crate) fn client_address(&self) -> Option<Ipv4Addr> {
        let is_set =
            !self.ciaddr.is_unspecified() && self.message_type() != Some(MessageType::Discover);
        is_set.then_some(self.ciaddr)
    }

    /// The address that the message is about: option 50, else `ciaddr`.
    pub(crate) fn subject_address(&self) -> Option<Ipv4Addr> {
        self.requested_address().or_else(|| self.client_address())
    }

    /// The server that the client chose (option 54).
    pub(crate) fn server_id(&self) -> Option<Ipv4Addr> {
        self.address_option(code::SERVER_ID)
    }

    /// For how long the client asks, in seconds (option 51).
    pub(crate) fn lease_seconds(&self) -> Option<u32> {
        let bytes = self.option(code::LEASE_TIME)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    }

    /// The longest packet that the client takes, in bytes with IP and UDP headers (option 57).
    pub(crate) fn max_message_bytes(&self) -> Option<u16> {
        let bytes = self.option(code::MAX_MESSAGE_SIZE)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    }

    /// The options that the client asks for, in its order (option 55).
    pub(crate) fn wanted_options(&self) -> &[u8] {
        self.option(code::PARAMETER_REQUEST_LIST).unwrap_or_default()
    }

    /// What the relay agent said (option 82).
    pub(crate) fn relay_info(&self) -> Option<RelayInfo<'_>> {
        self.option(code::RELAY_INFO).map(RelayInfo::read)
    }

    /// Who asks, as far as the packet alone tells. Ethernet clients are their
    /// MAC: ROM, iPXE and OS send three different client identifiers.
    pub(crate) fn key(&self) -> Option<ClientKey> {
        if let Some(mac) = self.mac() {
            return Some(ClientKey::Mac(mac));
        }
        match (self.hardware_type, self.hardware.len()) {
            // InfiniBand has no room for its address and must say who it is (RFC 4390). ROM, iPXE and
            // OS do so by different identifiers, which end with the GUID of the port.
            (INFINIBAND, _) => {
                let guid = self.nics().next().map(ClientKey::from);
                guid.or_else(|| self.client_id().map(|id| ClientKey::Id(hexadecimal(id))))
            }
            // UEFI configured to send its GUID as hardware address (EDK2 SendGUID).
            (_, 16) => Some(ClientKey::Id(hexadecimal(self.hardware))),
            _ => None,
        }
    }

    /// Who asks where the subnet tells clients apart by what they call themselves
    /// (RFC 2131 section 2): the client identifier where there is one.
    pub(crate) fn strict_key(&self) -> Option<ClientKey> {
        let named = self.client_id().map(|id| ClientKey::Id(hexadecimal(id)));
        named.or_else(|| self.key())
    }

    /// Whether the client asks for a broadcast answer.
    pub(crate) fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST_FLAG != 0
    }

    /// The relay agent that passed the packet on (`giaddr`).
    pub(crate) fn relay_address(&self) -> Option<Ipv4Addr> {
        Some(self.giaddr).filter(|address| !address.is_unspecified())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::test_packets::discover;

    /// A DISCOVER whose bytes at some offsets are replaced.
    fn read_changed(changes: &[(usize, u8)]) -> Result<Option<MessageType>, Unusable> {
        let mut bytes = discover();
        for (offset, byte) in changes {
            bytes[*offset] = *byte;
        }
        let packet = Packet::parse(&bytes)?;
        packet.check_request().map(|()| packet.message_type())
    }

    #[test]
    fn what_names_no_client_is_dropped_with_a_reason() {
        let kind = Some(MessageType::Discover);
        let cases: &[(&str, &[(usize, u8)], Result<Option<MessageType>, Unusable>)] = &[
            ("a sound packet", &[], Ok(kind)),
            ("our own answer looped back", &[(0, 2)], Err(Unusable::FromServer)),
            ("an op of 3", &[(0, 3)], Err(Unusable::FromServer)),
            ("hlen 17", &[(2, 17)], Err(Malformed::HardwareLength(17).into())),
            ("hlen 255", &[(2, 255)], Err(Malformed::HardwareLength(255).into())),
            ("hlen 5 on Ethernet", &[(2, 5)], Err(Unusable::NoClient(1, 5))),
            ("IEEE 802 (htype 6)", &[(1, 6)], Ok(kind)),
            ("hlen 0 on Ethernet", &[(2, 0)], Err(Unusable::NoClient(1, 0))),
            ("a GUID as hardware address", &[(2, 16)], Ok(kind)),
            ("a multicast MAC", &[(28, 0x01)], Err(Unusable::NoClient(1, 6))),
            (
                "a zero MAC",
                &[(28, 0), (29, 0), (30, 0), (31, 0), (32, 0), (33, 0)],
                Err(Unusable::NoClient(1, 6)),
            ),
            ("BOOTP with the cookie of a vendor", &[(236, 0)], Ok(None)),
            ("a server without a cookie", &[(0, 2), (236, 0)], Err(Malformed::NoCookie.into())),
            ("BOOTP without a cookie", &[(236, 0), (237, 0), (238, 0), (239, 0)], Ok(None)),
            ("BOOTP", &[(240, 0), (241, 0), (242, 0)], Ok(None)),
            ("a message type of no bytes", &[(241, 0)], Err(Unusable::NoMessageType)),
        ];
        for (name, changes, expected) in cases {
            assert_eq!(read_changed(changes), *expected, "{name}");
        }
        assert_eq!(
            Packet::parse(&discover()[..235]).map(|_| ()),
            Err(Malformed::TooShort(235)),
            "235 bytes"
        );
        for length in 236..240 {
            let bytes = &discover()[..length];
            let kind = Packet::parse(bytes).map(|packet| packet.message_type());
            assert_eq!(kind, Ok(None), "BOOTP of {length} bytes");
        }
    }

    /// RFC 2131 section 2: the client identifier is the identity, where there is one.
    #[test]
    fn a_hardware_address_of_nobody_does_not_matter_beside_a_client_identifier() {
        for first_bytes in [[0; 6], [1, 0, 0x5e, 0, 0, 1], [0xff; 6]] {
            let mut bytes = discover();
            bytes[28..34].copy_from_slice(&first_bytes);
            bytes.truncate(243);
            bytes.extend([61, 3, 0xff, 0xab, 1, 255]);
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!(packet.check_request(), Ok(()));
            assert_eq!(packet.strict_key(), Some(ClientKey::Id("ffab01".into())));
            assert_eq!(packet.key(), None, "where the MAC is the identity");
        }
    }

    /// RFC 4390.
    #[test]
    fn infiniband_is_known_by_its_client_identifier() {
        let mut bytes = discover();
        bytes[1] = INFINIBAND;
        bytes[2] = 0;
        bytes[28..44].fill(0);
        bytes.truncate(243);
        bytes.extend([61, 3, 0xff, 0xab, 1, 255]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.check_request(), Ok(()));
        assert_eq!(packet.key(), Some(ClientKey::Id("ffab01".into())));
        assert_eq!(packet.nics().count(), 0, "too short for a GUID");
    }

    /// What clients of InfiniBand send, all of the same port.
    #[test]
    fn infiniband_tells_the_guid_of_its_port_in_many_ways() {
        const GUID: [u8; 8] = [0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0c];
        let link: Vec<u8> = [&[0x80, 0, 2, 8, 0xfe, 0x80, 0, 0, 0, 0, 0, 0][..], &GUID].concat();
        let behind = |head: &[u8], end: &[u8]| [head, end].concat();
        let id = |bytes: Vec<u8>| [&[61, bytes.len() as u8][..], &bytes].concat();
        let cases: [(&str, u8, &[u8], Vec<u8>, Vec<[u8; 8]>); 9] = [
            ("iPXE", 32, &GUID, id(behind(&[0x20], &GUID)), vec![GUID, GUID]),
            ("GUID behind the type", 32, &[], id(behind(&[0x20], &GUID)), vec![GUID]),
            ("the link's 20 bytes", 32, &[], id(behind(&[0x20], &link)), vec![GUID]),
            (
                "dhclient of OFED",
                32,
                &[],
                id(behind(&[0xff, 0, 0, 0, 0, 0, 2, 0, 0, 2, 0xc9, 0], &GUID)),
                vec![GUID],
            ),
            (
                "DUID-LL (RFC 4361)",
                32,
                &[],
                id(behind(&[0xff, 1, 2, 3, 4, 0, 3, 0, 32], &link)),
                vec![GUID],
            ),
            ("option 97", 32, &[], vec![97, 9, 0, 0, 2, 0xc9, 3, 0, 0x0a, 0x0b, 0x0c], vec![GUID]),
            ("no GUID", 32, &[], id(vec![0x20; 8]), vec![]),
            ("a GUID of zeros", 32, &[0; 8], id(vec![0; 9]), vec![]),
            ("not InfiniBand", 1, &GUID, id(behind(&[0x20], &GUID)), vec![]),
        ];
        for (name, kind, hardware, options, guids) in cases {
            let mut bytes = discover();
            bytes[1] = kind;
            bytes[2] = hardware.len() as u8;
            bytes[28..44].fill(0);
            bytes[28..28 + hardware.len()].copy_from_slice(hardware);
            bytes.truncate(243);
            bytes.extend(options);
            bytes.push(255);
            let packet = Packet::parse(&bytes).unwrap();
            let expected: Vec<_> = guids.into_iter().map(NicAddress::Guid).collect();
            assert_eq!(packet.nics().collect::<Vec<_>>(), expected, "{name}");
        }
    }

    #[test]
    fn a_client_address_in_a_discover_means_nothing() {
        let mut bytes = discover();
        bytes[12..16].copy_from_slice(&[10, 0, 0, 9]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.client_address(), None);
    }
}
