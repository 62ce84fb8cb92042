//! Unknown clients: what marks those that ask DHCP and are in no host. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::event::Way;
use super::reason::Reason;
use crate::model::{ClientKey, Lease, LeaseState, NicAddress};

/// What a client said of itself when it asked last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientMarks {
    /// Its firmware and architecture, as far as it ever asked as firmware or iPXE.
    pub client: Client,
    /// Its vendor class (option 60): as text, or `hex:` and digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_class: Option<String>,
    /// The name that it calls itself (option 12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// The UUID of its board (option 97).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The way that its message came: the interface, or the relay with the switch port.
    pub way: Way,
    /// The relay's own identifier (option 82.2): quoted text, or hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// Why it got no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Reason>,
}

/// Why a client may be the baseboard management controller of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BmcSign {
    /// Its vendor class is that of a BMC.
    VendorClass,
    /// BMCs call themselves so by default.
    HostName,
}

impl fmt::Display for BmcSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VendorClass => "vendor class of a BMC",
            Self::HostName => "host name of a BMC",
        })
    }
}

/// Vendor classes of BMCs: Dell iDRAC, HPE iLO, and the `udhcpc` of AMI MegaRAC and early OpenBMC.
const BMC_CLASSES: [&str; 4] = ["idrac", "cpqrib", "ilo", "udhcp"];
/// How BMCs begin their host names: Dell, HPE, Lenovo, Cisco, Supermicro and OpenBMC.
const BMC_NAMES: [&str; 8] = ["idrac", "ilo", "xcc-", "imm2-", "cimc", "bmc", "ipmi", "openbmc"];

impl ClientMarks {
    /// The newest marks, with what an earlier message said and this one does not: the operating
    /// system that asks after the firmware knows neither its architecture nor the UUID.
    #[must_use]
    pub fn after(self, earlier: &Self) -> Self {
        let Self { client, vendor_class, host_name, uuid, way, remote_id, unanswered } = self;
        Self {
            client: if client == Client::Plain { earlier.client } else { client },
            vendor_class: vendor_class.or_else(|| earlier.vendor_class.clone()),
            host_name: host_name.or_else(|| earlier.host_name.clone()),
            uuid: uuid.or_else(|| earlier.uuid.clone()),
            way,
            remote_id,
            unanswered,
        }
    }

    /// Whether it may be a BMC. Firmware is none, whatever it calls itself.
    pub fn bmc_sign(&self) -> Option<BmcSign> {
        let begins = |text: &Option<String>, known: &[&str]| {
            let text = text.as_deref().unwrap_or_default().to_ascii_lowercase();
            known.iter().any(|known| text.starts_with(known))
        };
        if self.client != Client::Plain {
            return None;
        }
        if begins(&self.vendor_class, &BMC_CLASSES) {
            return Some(BmcSign::VendorClass);
        }
        begins(&self.host_name, &BMC_NAMES).then_some(BmcSign::HostName)
    }
}

/// An unknown client as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenClient {
    /// What it is known by.
    pub client: ClientKey,
    /// Unix milliseconds.
    pub first_seen_ms: i64,
    /// Unix milliseconds.
    pub last_seen_ms: i64,
    /// What it said of itself.
    pub marks: ClientMarks,
}

/// The lease of an unknown client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LeaseOfUnknown {
    /// The address.
    pub address: Ipv4Addr,
    /// The subnet's name.
    pub subnet: String,
    /// When it ends, in Unix seconds.
    pub expires_at: i64,
}

/// A client that asked DHCP and is in no host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnknownClient {
    /// What it is known by: `mac:MAC`, `guid:GUID` or `id:HEX`.
    pub client: String,
    /// Its NIC, by which a host adopts it; null if it tells a client identifier only.
    pub nic: Option<NicAddress>,
    /// When it asked first, in Unix milliseconds.
    pub first_seen_ms: i64,
    /// When it asked last, in Unix milliseconds.
    pub last_seen_ms: i64,
    /// What it said of itself; null if only its lease is known.
    pub marks: Option<ClientMarks>,
    /// Why it may be the BMC of a host.
    pub looks_like_bmc: Option<BmcSign>,
    /// Its running lease.
    pub lease: Option<LeaseOfUnknown>,
}

/// The NIC that a client is known by.
pub fn nic_of(client: &ClientKey) -> Option<NicAddress> {
    match client {
        ClientKey::Mac(mac) => Some(NicAddress::Mac(*mac)),
        ClientKey::Guid(guid) => Some(NicAddress::Guid(*guid)),
        ClientKey::Host(_) | ClientKey::Id(_) => None,
    }
}

/// Every client that was seen or has a lease at `now` (Unix seconds) and that no host `is_known`
/// by; those that asked last come first.
pub fn unknown_clients(
    seen: Vec<SeenClient>,
    leases: &[Lease],
    is_known: impl Fn(&ClientKey) -> bool,
    now: i64,
) -> Vec<UnknownClient> {
    let mut found: BTreeMap<ClientKey, UnknownClient> = BTreeMap::new();
    for SeenClient { client, first_seen_ms, last_seen_ms, marks } in seen {
        let unknown = UnknownClient {
            client: client.to_string(),
            nic: nic_of(&client),
            first_seen_ms,
            last_seen_ms,
            looks_like_bmc: marks.bmc_sign(),
            marks: Some(marks),
            lease: None,
        };
        found.insert(client, unknown);
    }
    let bound = leases.iter().filter(|it| it.state == LeaseState::Bound && it.is_live(now));
    for lease in bound.filter(|it| !matches!(it.client, ClientKey::Host(_))) {
        // Where the client identifier is the identity, it was seen by its NIC all the same.
        let client = lease.nic.map_or_else(|| lease.client.clone(), ClientKey::from);
        let began_ms = lease.starts_at.saturating_mul(1000);
        let unknown = found.entry(client.clone()).or_insert_with(|| UnknownClient {
            client: client.to_string(),
            nic: nic_of(&client),
            first_seen_ms: began_ms,
            last_seen_ms: began_ms,
            marks: None,
            looks_like_bmc: None,
            lease: None,
        });
        let Lease { address, expires_at, .. } = *lease;
        unknown.lease = Some(LeaseOfUnknown { address, subnet: lease.subnet.clone(), expires_at });
    }
    found.retain(|client, _| !is_known(client));
    let mut found: Vec<UnknownClient> = found.into_values().collect();
    found.sort_by_key(|unknown| std::cmp::Reverse(unknown.last_seen_ms));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Arch;
    use crate::model::Mac;

    fn marks(client: Client) -> ClientMarks {
        ClientMarks {
            client,
            vendor_class: None,
            host_name: None,
            uuid: None,
            way: Way::Interface("lan".into()),
            remote_id: None,
            unanswered: None,
        }
    }

    #[test]
    fn what_firmware_said_is_kept_when_the_operating_system_asks() {
        let firmware = ClientMarks {
            vendor_class: Some("PXEClient".into()),
            uuid: Some("4c4c4544-0042-3510-8054-b4c04f4d3032".into()),
            ..marks(Client::Pxe(Arch::X64Efi))
        };
        let system = ClientMarks {
            host_name: Some("debian".into()),
            way: Way::Interface("lan2".into()),
            ..marks(Client::Plain)
        };
        let merged = system.clone().after(&firmware);
        assert_eq!(merged.client, Client::Pxe(Arch::X64Efi));
        assert_eq!((&merged.vendor_class, &merged.uuid), (&firmware.vendor_class, &firmware.uuid));
        assert_eq!((&merged.host_name, &merged.way), (&system.host_name, &system.way));
    }

    #[test]
    fn a_bmc_is_told_by_its_vendor_class_or_its_name() {
        let plain = marks(Client::Plain);
        let pxe = marks(Client::Pxe(Arch::Bios));
        for (marks, class, name, sign) in [
            (&plain, Some("iDRAC"), None, Some(BmcSign::VendorClass)),
            (&plain, Some("CPQRIB3"), Some("ILO2M123"), Some(BmcSign::VendorClass)),
            (&plain, Some("udhcp 1.23.1"), None, Some(BmcSign::VendorClass)),
            (&plain, Some("dhcpcd-9"), Some("XCC-7X99-AB"), Some(BmcSign::HostName)),
            (&plain, None, Some("idrac-4RX2"), Some(BmcSign::HostName)),
            (&plain, Some("MSFT 5.0"), Some("desk7"), None),
            (&plain, None, None, None),
            (&pxe, Some("PXEClient"), Some("bmc1"), None),
        ] {
            let (class, name) = (class.map(str::to_owned), name.map(str::to_owned));
            let marks = ClientMarks { vendor_class: class, host_name: name, ..marks.clone() };
            assert_eq!(marks.bmc_sign(), sign, "{marks:?}");
        }
    }

    #[test]
    fn the_unknown_are_those_seen_or_leasing_that_no_host_has() {
        let mac = |last: u8| Mac([0x52, 0x54, 0, 0xaa, 0, last]);
        let seen = |last: u8, last_seen_ms| SeenClient {
            client: ClientKey::Mac(mac(last)),
            first_seen_ms: 5,
            last_seen_ms,
            marks: marks(Client::Plain),
        };
        let lease = |last: u8, client: ClientKey, nic: Option<NicAddress>, expires_at| Lease {
            address: Ipv4Addr::new(10, 0, 0, last),
            client,
            nic,
            subnet: "prov".into(),
            state: LeaseState::Bound,
            starts_at: 1,
            expires_at,
            taken_over: false,
        };
        let by_mac = |last: u8, expires_at| {
            lease(last, ClientKey::Mac(mac(last)), Some(mac(last).into()), expires_at)
        };
        let guid: NicAddress = "0002:c903:000a:0b0c".parse().unwrap();
        let leases = [
            by_mac(2, 100),
            by_mac(3, 100),
            by_mac(4, 5),
            lease(5, ClientKey::Id("ff01".into()), Some(mac(6).into()), 100),
            lease(7, guid.into(), Some(guid), 100),
            lease(8, ClientKey::Host("n1".into()), Some(mac(8).into()), 100),
            lease(9, ClientKey::Id("ff02".into()), None, 100),
        ];
        let is_known = |client: &ClientKey| *client == ClientKey::Mac(mac(1));
        let found =
            unknown_clients(vec![seen(1, 20), seen(2, 10), seen(6, 30)], &leases, is_known, 50);
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.client.as_str(), it.last_seen_ms, it.lease.as_ref().map(|l| l.address)))
            .collect();
        let address = |last| Some(Ipv4Addr::new(10, 0, 0, last));
        assert_eq!(
            found,
            [
                ("mac:52:54:00:aa:00:03", 1000, address(3)),
                ("guid:00:02:c9:03:00:0a:0b:0c", 1000, address(7)),
                ("id:ff02", 1000, address(9)),
                ("mac:52:54:00:aa:00:06", 30, address(5)),
                ("mac:52:54:00:aa:00:02", 10, address(2)),
            ]
        );
    }
}
