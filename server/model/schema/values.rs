//! The schemas of single values: texts and numbers that the model reads by itself. Pure.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::model::bgp::{Announcement, RemoteAs};
use crate::model::identity::{Octets, Uuid};
use crate::model::{
    AuthorizedKey, ByteSize, Caption, Community, CpuList, Destination, DnsServer, EapIdentity,
    ExtraSection, ExtraValue, HostNumber, Ipv6Token, LinkMac, Mac, Millis, NewHosts, Nic,
    NicAddress, NumberRange, Processors, RootPassword, Scalar, VlanId, VlanIds, When,
    WireguardEndpoint, WireguardKey,
};

/// An IP network or an address with its prefix length, for fields that hold an `IpNet`.
pub(crate) struct Prefix;

/// Gives each type the schema of a value whose description says what it looks like.
macro_rules! values {
    ($($type:ident: $schema:tt,)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

values! {
    Announcement: {"type": "string", "description": "The name of a link, or a prefix such as 192.0.2.10/32."},
    AuthorizedKey: {"type": "string", "description": "A public SSH key, such as ssh-ed25519 AAAA... me@example.org; options may stand before it."},
    ByteSize: {"type": "string", "pattern": "^(=|[0-9]+([MGT]i?B?|B)$)", "description": "A size such as 400G (powers of 1000) or 400Gi (powers of 1024)."},
    Caption: {"type": "string", "description": "One line of text, without a backslash."},
    CpuList: {"type": ["string", "integer"], "minimum": 0, "maximum": 8191, "pattern": "^(=|([0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*)?$)", "description": "Processors such as 0-55,112-167."},
    Destination: {"type": "string", "pattern": "^(=|default$|.*/[0-9]+$)", "description": "default, or a prefix such as 10.0.0.0/8."},
    DnsServer: {"type": "string", "description": "An address, with :PORT behind it where that is not 53, and with #NAME the name in its certificate."},
    ExtraSection: {
        "type": ["object", "array"],
        "additionalProperties": {
            "type": ["string", "integer", "boolean", "array"],
            "items": {"type": ["string", "integer", "boolean"]},
        },
        "items": {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "integer", "boolean", "array"],
                "items": {"type": ["string", "integer", "boolean"]},
            },
        },
        "description": "The keys of a section, or a list of them for several sections of the name. A value is one line, or a list of lines that each repeat the key.",
    },
    ExtraValue: {
        "type": ["string", "integer", "boolean", "array"],
        "items": {"type": ["string", "integer", "boolean"]},
        "description": "A value of one line, or a list of them.",
    },
    HostNumber: {"type": ["integer", "string"], "description": "A number, or an expression over the host's own, such as =index + 10."},
    EapIdentity: {"type": "string", "description": "Who the host is to a server of IEEE 802.1X, such as host/n1.example.net."},
    Community: {"type": "string", "description": "A community such as 65000:100 or 65000:1:2, or no-export, no-advertise, local-AS, blackhole or graceful-shutdown."},
    Ipv6Token: {"type": "string", "description": "The last 64 bits of an address, such as ::53, or stable."},
    WireguardKey: {"type": "string", "description": "A public key in base64, 44 characters."},
    WireguardEndpoint: {"type": "string", "description": "An address or a name with a port, such as 192.0.2.1:51820."},
    NumberRange: {"type": ["string", "integer"], "description": "A number, or a range of them such as 1000-1999."},
    Processors: {"type": ["string", "integer"], "description": "local, for those beside the NIC, or processors such as 0-55,112-167."},
    LinkMac: {"type": "string", "description": "A MAC address in any notation; or inherit, none or persistent."},
    Mac: {"type": "string", "description": "A MAC address, in any notation."},
    Millis: {"type": "string", "pattern": "^(=|[0-9]+(ms|s|m|h|d)$)", "description": "A span of time, such as 100ms, 2s, 5m, 1h or 1d."},
    NewHosts: {"type": "string", "pattern": "^(=|ask$|install +[^ ]+$)", "description": "ask, or install and the name of a disk image."},
    Nic: {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["mac"],
                "additionalProperties": false,
                "properties": {
                    "mac": {"type": "string", "description": "The NIC's permanent MAC address; of an InfiniBand port its GUID, or the 20 bytes of its link."},
                    "switch": {"type": "string", "description": "The switch that it is cabled to."},
                    "port": {"type": "string", "description": "The switch's name of the port."},
                },
            },
        ],
        "description": "A MAC address (of an InfiniBand port its GUID, or the 20 bytes of its link), or one with the switch and the port that the NIC is cabled to.",
    },
    NicAddress: {"type": "string", "description": "A MAC address, in any notation; of an InfiniBand port the 8 bytes of its GUID or the 20 bytes of its link."},
    Octets: {"type": "string", "description": "Bytes: a text, or hex: and hexadecimal digits."},
    Prefix: {"type": "string", "pattern": "^(=|.*/[0-9]+$)", "description": "A network or an address with its prefix length, such as 10.77.0.0/24."},
    RemoteAs: {"type": ["integer", "string"], "minimum": 0, "maximum": 4294967295_u32, "pattern": "^(=|external$|internal$|[0-9]+$)", "description": "The number of an autonomous system, external or internal."},
    RootPassword: {"type": "string", "pattern": "^(=|locked$|\\$)", "description": "A hash of crypt(5), or locked."},
    Scalar: {"type": ["string", "integer", "boolean"], "description": "A number, a text, or true or false."},
    Uuid: {"type": "string", "description": "A UUID as dmidecode prints it."},
    VlanId: {"type": ["integer", "string"], "description": "A VLAN id from 1 to 4094, the name of a subnet that has one, or tenant/ROLE."},
    VlanIds: {
        "type": ["array", "integer", "string"],
        "minimum": 0,
        "maximum": 65535,
        "pattern": "^(=|[ ,]*([0-9]{1,4}(-[0-9]{1,4})?([ ,]+|$))*$)",
        "items": {
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": 65535,
            "pattern": "^(=|[0-9]{1,4}(-[0-9]{1,4})?$)",
        },
        "description": "VLAN ids and ranges, such as [10, 2000-2999] or 2-4094.",
    },
    When: {"type": "string", "description": "A day such as 2026-12-31, or a moment in RFC 3339."},
}
