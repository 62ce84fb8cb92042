//! What people call the facts of a host, in the head of a table and in inventories. Pure.

/// A fact of a host or of a subnet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    Host,
    /// The name of one NIC, where each has a row.
    NicName,
    Mac,
    /// The MAC of the NIC with this label.
    MacOf(String),
    Address,
    BmcMac,
    BmcAddress,
    /// Whether the row is a BMC's.
    IsBmc,
    Labels,
    /// A prefix, where each row is a subnet.
    Prefix,
    Vlan,
    Gateway,
    Netmask,
    SubnetName,
    /// A key of a host in the site file.
    Key(String),
    /// Left out on purpose.
    Nothing,
}

impl Fact {
    /// The key of `--column` that stands for it.
    pub(super) fn key(&self) -> String {
        let key = match self {
            Self::Host => "host",
            Self::NicName => "nic",
            Self::Mac => "mac",
            Self::MacOf(label) => return format!("nics.{label}"),
            Self::Address => "address",
            Self::BmcMac => "bmc.mac",
            Self::BmcAddress => "bmc.address",
            Self::IsBmc => "is-bmc",
            Self::Labels => "labels",
            Self::Prefix => "prefix",
            Self::Vlan => "vlan",
            Self::Gateway => "gateway",
            Self::Netmask => "netmask",
            Self::SubnetName => "subnet-name",
            Self::Key(key) => return key.clone(),
            Self::Nothing => "-",
        };
        key.to_owned()
    }
}

/// Names without spaces and marks, in lower case.
const NAMES: [(&str, &[&str]); 22] = [
    (
        "host",
        &[
            "host",
            "hostname",
            "hostnames",
            "name",
            "server",
            "servername",
            "device",
            "devicename",
            "machine",
            "node",
            "nodename",
            "fqdn",
            "computer",
            "system",
            "inventoryhostname",
        ],
    ),
    (
        "nic",
        &[
            "interface",
            "interfacename",
            "nic",
            "nicname",
            "iface",
            "port",
            "portname",
            "adapter",
            "connection",
        ],
    ),
    (
        "mac",
        &[
            "mac",
            "macs",
            "macaddress",
            "macaddresses",
            "macaddr",
            "hwaddr",
            "hwaddress",
            "hardwareaddress",
            "ethernet",
            "ethernetaddress",
            "ethernetmac",
            "physicaladdress",
            "nicmac",
            "primarymac",
            "pxemac",
            "bootmac",
            "provisioningmac",
            "lanmac",
        ],
    ),
    (
        "address",
        &[
            "ip",
            "ips",
            "ipaddress",
            "ipaddr",
            "ipv4",
            "ipv4address",
            "address",
            "primaryip",
            "primaryipv4",
            "primaryip4",
            "staticip",
            "fixedip",
            "fixedaddress",
            "hostip",
            "serverip",
            "osip",
            "ansiblehost",
            "ansiblesshhost",
            "lanip",
        ],
    ),
    (
        "bmc.mac",
        &[
            "bmc",
            "bmcmac",
            "bmcmacaddress",
            "ipmimac",
            "idracmac",
            "ilomac",
            "xccmac",
            "oobmac",
            "mgmtmac",
            "managementmac",
            "mgmtmacaddress",
            "managementmacaddress",
        ],
    ),
    (
        "bmc.address",
        &[
            "bmcip",
            "bmcaddress",
            "bmcipaddress",
            "bmchost",
            "ipmiip",
            "ipmiaddress",
            "ipmiipaddress",
            "ipmihost",
            "ipmi",
            "idracip",
            "idrac",
            "iloip",
            "ilo",
            "xccip",
            "oobip",
            "oobipaddress",
            "outofbandip",
            "mgmtip",
            "mgmtipaddress",
            "managementip",
            "managementipaddress",
            "mgmt",
        ],
    ),
    ("is-bmc", &["mgmtonly", "managementonly", "managementonlyinterface"]),
    ("labels", &["labels", "label", "tags", "tag", "groups", "group"]),
    (
        "serial",
        &["serial", "serialnumber", "serialno", "sn", "servicetag", "snumber", "systemserial"],
    ),
    ("rack", &["rack", "rackname", "cabinet", "rackid"]),
    ("unit", &["unit", "u", "rackunit", "position", "ru", "startu", "rackposition", "uposition"]),
    ("tenant", &["tenant", "customer", "client", "owner"]),
    ("profile", &["profile", "networkprofile"]),
    ("image", &["image", "bootimage"]),
    ("match.uuid", &["uuid", "systemuuid", "hardwareuuid", "smbiosuuid"]),
    ("notes", &["notes", "note", "comment", "comments", "remarks", "description", "purpose"]),
    ("prefix", &["prefix", "cidr", "subnet", "network", "subnetcidr"]),
    ("vlan", &["vlan", "vlanid", "vid", "untaggedvlan"]),
    ("gateway", &["gateway", "defaultgateway", "gw", "router", "gatewayip"]),
    ("netmask", &["netmask", "mask", "subnetmask", "prefixlength", "prefixlen"]),
    ("subnet-name", &["subnetname", "networkname", "vlanname"]),
    ("index", &["index", "hostindex", "hostnumber", "nodeid"]),
];

/// What the name of a column or variable stands for.
pub(super) fn fact(name: &str) -> Option<Fact> {
    let bare: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    if let Some((key, _)) = NAMES.iter().find(|(_, names)| names.contains(&bare.as_str())) {
        return named(key);
    }
    of_nic(&bare).map(Fact::MacOf)
}

/// The fact with a key of `--column NAME=KEY`.
pub(super) fn named(key: &str) -> Option<Fact> {
    Some(match key {
        "host" => Fact::Host,
        "nic" => Fact::NicName,
        "mac" => Fact::Mac,
        "address" => Fact::Address,
        "bmc.mac" => Fact::BmcMac,
        "bmc.address" => Fact::BmcAddress,
        "is-bmc" => Fact::IsBmc,
        "labels" => Fact::Labels,
        "prefix" => Fact::Prefix,
        "vlan" => Fact::Vlan,
        "gateway" => Fact::Gateway,
        "netmask" => Fact::Netmask,
        "subnet-name" => Fact::SubnetName,
        "-" => Fact::Nothing,
        key => match key.strip_prefix("nics.") {
            Some(label) if !label.is_empty() => Fact::MacOf(label.to_owned()),
            _ if is_key(key) => Fact::Key(key.to_owned()),
            _ => return None,
        },
    })
}

/// The keys that `--column` takes, for a sentence.
pub(super) const KEYS: &str = "host, nic, mac, nics.LABEL, address, bmc.mac, bmc.address, labels, serial, rack, unit, \
     index, tenant, profile, image, notes, prefix, vlan, gateway, netmask, subnet-name, or - to leave it out";

/// The keys that a form offers, in words. `parameters.NAME` and `addresses.LINK` are told by their
/// names.
pub(crate) const OFFERED: [(&str, &str); 29] = [
    ("host", "Name of the host"),
    ("nic", "Name of one NIC"),
    ("mac", "MAC addresses"),
    ("nics.eth0", "MAC of NIC eth0"),
    ("nics.eth1", "MAC of NIC eth1"),
    ("nics.eth2", "MAC of NIC eth2"),
    ("nics.eth3", "MAC of NIC eth3"),
    ("nics.eth4", "MAC of NIC eth4"),
    ("nics.eth5", "MAC of NIC eth5"),
    ("nics.eth6", "MAC of NIC eth6"),
    ("nics.eth7", "MAC of NIC eth7"),
    ("address", "IP address, reserved for the host"),
    ("bmc.mac", "MAC of the BMC"),
    ("bmc.address", "IP address of the BMC"),
    ("serial", "Serial number"),
    ("rack", "Rack"),
    ("unit", "Rack unit"),
    ("index", "Index"),
    ("tenant", "Tenant"),
    ("profile", "Profile"),
    ("image", "Image"),
    ("labels", "Labels"),
    ("match.uuid", "UUID of the host"),
    ("notes", "Notes"),
    ("prefix", "Prefix of the subnet"),
    ("vlan", "VLAN of the subnet"),
    ("gateway", "Gateway of the subnet"),
    ("netmask", "Netmask of the subnet"),
    ("subnet-name", "Name of the subnet"),
];

fn is_key(key: &str) -> bool {
    let known = [
        "serial",
        "rack",
        "unit",
        "tenant",
        "profile",
        "image",
        "match.uuid",
        "notes",
        "index",
        "boot-file",
    ];
    known.contains(&key) || key.starts_with("parameters.") || key.starts_with("addresses.")
}

/// The label in `eth0 mac`, `mac eth1`, `mac1`, `nic 2 mac address`.
fn of_nic(bare: &str) -> Option<String> {
    let rest = bare.strip_suffix("macaddress").or_else(|| bare.strip_suffix("mac"));
    let rest =
        rest.or_else(|| bare.strip_prefix("macaddress")).or_else(|| bare.strip_prefix("mac"));
    let rest = rest.unwrap_or(bare);
    let word = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let number: u32 = rest[word.len()..].parse().ok()?;
    match word {
        "eth" | "eno" | "ens" | "em" | "ib" => Some(format!("{word}{number}")),
        // People count from 1.
        "nic" | "port" | "" if rest != bare || word == "nic" => {
            Some(format!("eth{}", number.saturating_sub(1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_has_the_key_that_stands_for_it() {
        let all = NAMES.iter().map(|(key, _)| *key);
        let all = all.chain(OFFERED.iter().map(|(key, _)| *key));
        for key in all.chain(["addresses.br0", "parameters.x", "-"]) {
            assert_eq!(named(key).unwrap().key(), key);
        }
    }
}
