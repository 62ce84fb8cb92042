//! What a client asked for, read out of its packet. Pure.

use std::net::Ipv4Addr;

use dhcproto::v4::MessageType;

use super::relay::RelayInfo;
use super::wire::{BROADCAST_FLAG, Malformed, Packet};
use crate::model::{ClientKey, Mac};
use crate::options::code;

const ETHERNET: u8 = 1;
const INFINIBAND: u8 = 32;

/// A client's message.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The packet it came in.
    pub packet: &'a Packet<'a>,
    /// None for a BOOTP client (RFC 951): a DHCP header without option 53.
    pub message_type: Option<MessageType>,
    /// The Ethernet address; none for clients of another kind and for UEFI
    /// that puts its GUID there.
    pub mac: Option<Mac>,
    /// Its client identifier (option 61).
    pub client_id: Option<&'a [u8]>,
    /// The address that it wants (option 50).
    pub requested_address: Option<Ipv4Addr>,
    /// The address that it uses already; none where `ciaddr` is zero.
    pub client_address: Option<Ipv4Addr>,
    /// The server that it chose (option 54).
    pub server_id: Option<Ipv4Addr>,
    /// How long it wants the address, in seconds (option 51).
    pub lease_seconds: Option<u32>,
    /// The longest packet that it takes, headers included (option 57).
    pub max_message_bytes: Option<u16>,
    /// The options that it wants, in its order (option 55).
    pub wanted_options: &'a [u8],
    /// What the relay agent said (option 82).
    pub relay_info: Option<RelayInfo<'a>>,
}

/// Why a packet is dropped before anything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Unusable {
    /// It is no DHCP packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A server's packet, perhaps our own.
    #[error("packet is from a server")]
    FromServer,
    /// The message type is none.
    #[error("packet's DHCP message type makes no sense")]
    NoMessageType,
    /// The hardware address names no single client.
    #[error("packet has no usable hardware address (type {0}, {1} bytes)")]
    NoClient(u8, usize),
}

impl<'a> Request<'a> {
    /// Reads a client's message. An option that makes no sense counts as absent.
    pub(crate) fn read(packet: &'a Packet<'a>) -> Result<Self, Unusable> {
        if packet.op != 1 {
            return Err(Unusable::FromServer);
        }
        let options = &packet.options;
        let message_type = match options.get(code::MESSAGE_TYPE) {
            Some(data) => {
                let number = *data.first().ok_or(Unusable::NoMessageType)?;
                Some(MessageType::from(number))
            }
            None => None,
        };
        let request = Self {
            packet,
            message_type,
            mac: ethernet_address(packet),
            client_id: options.filled(code::CLIENT_ID),
            requested_address: options.address(code::REQUESTED_ADDRESS),
            // Buggy clients fill ciaddr in a DISCOVER; it means nothing there.
            client_address: Some(packet.client_address).filter(|address| {
                !address.is_unspecified() && message_type != Some(MessageType::Discover)
            }),
            server_id: options.address(code::SERVER_ID),
            lease_seconds: options
                .get(code::LEASE_TIME)
                .and_then(|data| data.first_chunk())
                .map(|bytes| u32::from_be_bytes(*bytes)),
            max_message_bytes: options
                .get(code::MAX_MESSAGE_SIZE)
                .and_then(|data| data.first_chunk())
                .map(|bytes| u16::from_be_bytes(*bytes)),
            wanted_options: options.get(code::PARAMETER_REQUEST_LIST).unwrap_or_default(),
            relay_info: options.get(code::RELAY_INFO).map(RelayInfo::read),
        };
        if request.key().is_none() {
            return Err(Unusable::NoClient(packet.hardware_type, packet.hardware.len()));
        }
        Ok(request)
    }

    /// Who asks, as far as the packet alone tells. Ethernet clients are their
    /// MAC: ROM, iPXE and OS send three different client identifiers.
    pub(crate) fn key(&self) -> Option<ClientKey> {
        if let Some(mac) = self.mac {
            return Some(ClientKey::Mac(mac));
        }
        match (self.packet.hardware_type, self.packet.hardware.len()) {
            // InfiniBand has no room for its address and must say who it is (RFC 4390).
            (INFINIBAND, _) => self.client_id.map(|id| ClientKey::Id(hexadecimal(id))),
            // UEFI that was told to send its GUID as hardware address (EDK2 SendGUID).
            (_, 16) => Some(ClientKey::Id(hexadecimal(self.packet.hardware))),
            _ => None,
        }
    }

    /// Who asks where the subnet tells clients apart by what they call themselves
    /// (RFC 2131 section 2): the client identifier where there is one.
    pub(crate) fn strict_key(&self) -> Option<ClientKey> {
        let named = self.client_id.map(|id| ClientKey::Id(hexadecimal(id)));
        named.or_else(|| self.key())
    }

    /// The MAC, or zero where there is none.
    pub(crate) fn mac_or_zero(&self) -> Mac {
        self.mac.unwrap_or(Mac([0; 6]))
    }

    /// Whether the client asks for a broadcast answer.
    pub(crate) fn wants_broadcast(&self) -> bool {
        self.packet.flags & BROADCAST_FLAG != 0
    }

    /// The relay agent that passed the packet on.
    pub(crate) fn relay_address(&self) -> Option<Ipv4Addr> {
        Some(self.packet.relay_address).filter(|address| !address.is_unspecified())
    }
}

fn ethernet_address(packet: &Packet<'_>) -> Option<Mac> {
    let bytes: [u8; 6] = packet.hardware.try_into().ok()?;
    let mac = Mac(bytes);
    (packet.hardware_type == ETHERNET && !mac.is_zero() && !mac.is_multicast()).then_some(mac)
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
        Request::read(&packet).map(|request| request.message_type)
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
            ("hlen 0 on Ethernet", &[(2, 0)], Err(Unusable::NoClient(1, 0))),
            ("a GUID as hardware address", &[(2, 16)], Ok(kind)),
            ("a multicast MAC", &[(28, 0x01)], Err(Unusable::NoClient(1, 6))),
            (
                "a zero MAC",
                &[(28, 0), (29, 0), (30, 0), (31, 0), (32, 0), (33, 0)],
                Err(Unusable::NoClient(1, 6)),
            ),
            ("no cookie", &[(236, 0)], Err(Malformed::NoCookie.into())),
            ("BOOTP", &[(240, 0), (241, 0), (242, 0)], Ok(None)),
            ("a message type of no bytes", &[(241, 0)], Err(Unusable::NoMessageType)),
        ];
        for (name, changes, expected) in cases {
            assert_eq!(read_changed(changes), *expected, "{name}");
        }
        assert_eq!(
            Packet::parse(&discover()[..239]).map(|_| ()),
            Err(Malformed::TooShort(239)),
            "239 bytes"
        );
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
        let request = Request::read(&packet).unwrap();
        assert_eq!(request.key(), Some(ClientKey::Id("ffab01".into())));
    }

    #[test]
    fn a_client_address_in_a_discover_means_nothing() {
        let mut bytes = discover();
        bytes[12..16].copy_from_slice(&[10, 0, 0, 9]);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(Request::read(&packet).unwrap().client_address, None);
    }
}
