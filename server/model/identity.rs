//! By what else than its MACs DHCP knows a host: UUID, client identifier, switch port. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::as_text::as_text;
use super::dhcp_options::hexadecimal;

/// What a host is known by before anybody has its MACs, or after its NICs were exchanged.
///
/// A MAC of the inventory counts before all of these; then the UUID, the client identifier
/// and the switch port, in this order. `circuit-id` and `remote-id` together are one port:
/// most switches number their circuits alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostMatch {
    /// The machine's UUID as `dmidecode` prints it (option 97, or what UEFI sends in its place).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// The client identifier (option 61), its type byte included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Octets>,
    /// The port it is plugged into, in the relay's words (option 82.1, RFC 3046).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_id: Option<Octets>,
    /// The relay or switch, in its own words (option 82.2, RFC 3046).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<Octets>,
}

impl HostMatch {
    /// The keys, in the order in which they count.
    pub const KEYS: [&'static str; 4] = ["uuid", "client-id", "circuit-id", "remote-id"];

    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the host is found by, in the order in which it counts.
    pub fn identities(&self) -> impl Iterator<Item = Identity> {
        let bytes = |octets: &Option<Octets>| octets.as_ref().map(|octets| octets.0.clone());
        let (circuit, remote) = (bytes(&self.circuit_id), bytes(&self.remote_id));
        let port =
            (circuit.is_some() || remote.is_some()).then_some(Identity::Port { circuit, remote });
        let uuid = self.uuid.map(|uuid| Identity::uuid(uuid.0));
        let client_id = bytes(&self.client_id).map(Identity::ClientId);
        uuid.into_iter().chain(client_id).chain(port)
    }

    /// The values as they are written, each with its key.
    pub fn values(&self) -> [(&'static str, Option<String>); 4] {
        let text = |octets: &Option<Octets>| octets.as_ref().map(ToString::to_string);
        let values = [
            self.uuid.map(|uuid| uuid.to_string()),
            text(&self.client_id),
            text(&self.circuit_id),
            text(&self.remote_id),
        ];
        let mut values = values.into_iter();
        Self::KEYS.map(|key| (key, values.next().flatten()))
    }
}

/// One thing that tells a host apart from every other one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// A UUID, the same for both orders of its bytes.
    Uuid([u8; 16]),
    /// A client identifier.
    ClientId(Vec<u8>),
    /// A switch port.
    Port {
        /// Option 82.1; none where any port of the relay will do.
        circuit: Option<Vec<u8>>,
        /// Option 82.2; none where any relay will do.
        remote: Option<Vec<u8>>,
    },
}

impl Identity {
    /// A UUID of either byte order: UEFI sends the first three fields with the least
    /// significant byte first (SMBIOS 2.6), older firmware as they are printed.
    pub fn uuid(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        let mut swapped = bytes;
        swapped[..8].copy_from_slice(&[d, c, b, a, f, e, h, g]);
        Self::Uuid(bytes.min(swapped))
    }

    /// What kind of thing it is, as it is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Uuid(_) => "uuid",
            Self::ClientId(_) => "client-id",
            Self::Port { .. } => "port",
        }
    }

    /// Its value in hexadecimal, as it is stored.
    pub fn value(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let part = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or_else(|| "*".into(), hex);
        match self {
            Self::Uuid(bytes) => hex(bytes),
            Self::ClientId(bytes) => hex(bytes),
            Self::Port { circuit, remote } => format!("{} at {}", part(circuit), part(remote)),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Vec<u8>| Octets(bytes.clone()).to_string();
        match self {
            Self::Uuid(bytes) => write!(f, "UUID {}", Uuid(*bytes)),
            Self::ClientId(bytes) => write!(f, "client identifier {}", text(bytes)),
            Self::Port { circuit: Some(circuit), remote: Some(remote) } => {
                write!(f, "port {} of {}", text(circuit), text(remote))
            }
            Self::Port { circuit: Some(circuit), .. } => write!(f, "port {}", text(circuit)),
            Self::Port { remote, .. } => {
                write!(f, "relay {}", remote.as_ref().map(text).unwrap_or_default())
            }
        }
    }
}

/// 1 to 255 bytes, written as the text that they are or, always with control characters, as
/// `hex:0a0b`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Octets(pub Vec<u8>);

/// A text that stands for no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not 1 to 255 bytes: write them as a text without control characters, or as hex:0a0b"
)]
pub struct InvalidOctets(pub String);

impl FromStr for Octets {
    type Err = InvalidOctets;

    fn from_str(text: &str) -> Result<Self, InvalidOctets> {
        let bytes = match text.strip_prefix("hex:") {
            Some(digits) => hexadecimal(digits),
            None => Some(text.as_bytes().to_vec()).filter(|_| !text.contains(char::is_control)),
        };
        let fits = |bytes: &Vec<u8>| (1..=255).contains(&bytes.len());
        bytes.filter(fits).map(Self).ok_or_else(|| InvalidOctets(text.to_owned()))
    }
}

impl fmt::Display for Octets {
    /// One spelling for the same bytes: as a text wherever that says them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(&self.0).ok();
        let plain = |text: &&str| {
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
                && !text.starts_with("hex:")
                && text.trim() == *text
        };
        match text.filter(plain) {
            Some(text) => f.write_str(text),
            None => {
                f.write_str("hex:")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// A UUID (RFC 9562), shown as `4c4c4544-0042-3010-8051-b4c04f4d3232`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

/// A text that is not a UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a UUID: expected 32 hexadecimal digits, such as \
     4c4c4544-0042-3010-8051-b4c04f4d3232"
)]
pub struct InvalidUuid(pub String);

impl FromStr for Uuid {
    type Err = InvalidUuid;

    fn from_str(text: &str) -> Result<Self, InvalidUuid> {
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        let shaped = matches!(lengths[..], [32] | [8, 4, 4, 4, 12]);
        let bytes = hexadecimal(&text.replace('-', "")).filter(|_| shaped);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        // Boards without a UUID of their own all say one of these.
        let bytes = bytes.filter(|bytes| *bytes != [0; 16] && *bytes != [0xff; 16]);
        bytes.map(Self).ok_or_else(|| InvalidUuid(text.to_owned()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

as_text!(Octets, Uuid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_spelling() {
        let cases = [
            ("ge-0/0/1", "ge-0/0/1"),
            ("hex:67652d30", "ge-0"),
            ("hex:00:04", "hex:0004"),
            ("hex:6865783a", "hex:6865783a"),
            ("hex:20", "hex:20"),
        ];
        for (text, expected) in cases {
            let octets: Octets = text.parse().unwrap();
            assert_eq!(octets.to_string(), expected);
            assert_eq!(octets.to_string().parse(), Ok(octets));
        }
        for wrong in ["", "hex:", "hex:0", "hex:zz", "a\0", "ge-0\n", &"x".repeat(256)] {
            assert_eq!(wrong.parse::<Octets>(), Err(InvalidOctets(wrong.to_owned())));
        }
    }

    #[test]
    fn a_uuid_is_the_same_in_both_orders_of_its_bytes() {
        let printed: Uuid = "4C4C4544-0042-3010-8051-b4c04f4d3232".parse().unwrap();
        let sent: Uuid = "44454c4c-4200-1030-8051-b4c04f4d3232".parse().unwrap();
        assert_eq!(Identity::uuid(printed.0), Identity::uuid(sent.0));
        assert_eq!(printed.to_string(), "4c4c4544-0042-3010-8051-b4c04f4d3232");
        for wrong in [
            "",
            "4c4c4544",
            "00000000-0000-0000-0000-000000000000",
            "ffffffffffffffffffffffffffffffff",
            "4c4c4544-0042-3010-8051b4c04f4d3232-",
        ] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn circuit_and_relay_together_are_one_port() {
        let both = r#"{"circuit-id": "ge-0/0/1", "remote-id": "sw1", "client-id": "hex:01"}"#;
        let both: HostMatch = serde_json::from_str(both).unwrap();
        let port =
            Identity::Port { circuit: Some(b"ge-0/0/1".into()), remote: Some(b"sw1".into()) };
        assert_eq!(both.identities().collect::<Vec<_>>(), [Identity::ClientId(vec![1]), port]);
        assert_eq!(both.identities().last().unwrap().to_string(), "port ge-0/0/1 of sw1");
        assert_eq!(HostMatch::default().identities().count(), 0);
    }
}
