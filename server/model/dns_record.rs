//! The addresses of hosts as records of a zone. Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Host, Site};

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// An IPv4 address.
    A,
    /// An IPv6 address (RFC 3596).
    Aaaa,
    /// The name of an address.
    Ptr,
}

impl RecordType {
    /// The word of zone files.
    pub fn label(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Ptr => "PTR",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that is no type of record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a type of record: expected A, AAAA or PTR")]
pub struct UnknownRecordType(String);

impl FromStr for RecordType {
    type Err = UnknownRecordType;

    fn from_str(text: &str) -> Result<Self, UnknownRecordType> {
        let all = [Self::A, Self::Aaaa, Self::Ptr];
        let named = all.into_iter().find(|kind| kind.label() == text);
        named.ok_or_else(|| UnknownRecordType(text.to_owned()))
    }
}

/// A record of a zone. Its text is that of zone files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostRecord {
    /// The name below the zone, without the zone.
    pub owner: String,
    /// What kind of data it has.
    pub kind: RecordType,
    /// An address, or an absolute name.
    pub data: String,
}

impl fmt::Display for HostRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.owner, self.kind, self.data)
    }
}

/// A zone by its absolute name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(String);

impl Zone {
    /// The zone of a name with or without the dot at its end.
    pub fn new(name: &str) -> Self {
        Self(absolute_name(name))
    }

    /// The absolute name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it has the names of addresses.
    pub fn is_reverse(&self) -> bool {
        [".in-addr.arpa.", ".ip6.arpa."].iter().any(|end| self.0.ends_with(end))
    }

    /// The records of the hosts of a site in this zone, in the order of the hosts. A reverse zone needs
    /// the domain of their names.
    pub fn records(&self, site: &Site, domain: &str) -> Vec<HostRecord> {
        match self.is_reverse() {
            true => self.reverse(site, &absolute_name(domain)),
            false => self.forward(site),
        }
    }

    /// Each host with the address that it is reached at, and each of its links and reservations as a
    /// name below the host's.
    fn forward(&self, site: &Site) -> Vec<HostRecord> {
        let mut records = Vec::new();
        for (name, host) in &site.hosts {
            let mut add = |owner: String, address: IpAddr| {
                let kind = if address.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
                records.push(HostRecord { owner, kind, data: address.to_string() });
            };
            if let Some(address) = host.main_address() {
                add(name.clone(), address);
            }
            for (part, address) in named(host) {
                add(format!("{}.{name}", label(part)), address);
            }
        }
        records
    }

    /// The names of the addresses, each once.
    fn reverse(&self, site: &Site, domain: &str) -> Vec<HostRecord> {
        let mut records = Vec::new();
        for (name, host) in &site.hosts {
            let reached = host.main_address();
            for (part, address) in named(host) {
                let owner = reversed(address);
                let below = owner.strip_suffix(&self.0).and_then(|o| o.strip_suffix('.'));
                let Some(owner) = below else { continue };
                let data = match reached == Some(address) {
                    true => format!("{name}.{domain}"),
                    false => format!("{}.{name}.{domain}", label(part)),
                };
                records.push(HostRecord { owner: owner.to_owned(), kind: RecordType::Ptr, data });
            }
        }
        records
    }
}

/// The addresses of a host, by link and by subnet.
fn named(host: &Host) -> impl Iterator<Item = (&String, IpAddr)> {
    let all = host.addresses.iter().chain(&host.reservations);
    all.map(|(part, address)| (part, *address))
}

/// The name of a link or subnet as one label of a name: letters, digits and hyphens, none of them at
/// an end.
fn label(part: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = part.chars().map(allowed).collect();
    label.trim_matches('-').to_owned()
}

/// The name of an address in the reverse zones (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa.")
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let digits = (0..32).map(|digit| format!("{:x}.", (bits >> (4 * digit)) & 15));
            format!("{}ip6.arpa.", digits.collect::<String>())
        }
    }
}

/// A name with its dot at the end, in small letters.
pub fn absolute_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    if name.ends_with('.') { name } else { format!("{name}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_field() {
        assert_eq!(reversed("10.77.0.9".parse().unwrap()), "9.0.77.10.in-addr.arpa.");
        let v6 = reversed("2001:db8::1".parse().unwrap());
        assert!(v6.starts_with("1.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa."), "{v6}");
        for (part, expected) in [("br0", "br0"), ("bond0.12", "bond0-12"), ("_Prov_", "prov")] {
            assert_eq!(label(part), expected);
        }
        assert_eq!(absolute_name("Example.net"), "example.net.");
        assert_eq!(absolute_name("example.net."), "example.net.");
        for kind in [RecordType::A, RecordType::Aaaa, RecordType::Ptr] {
            assert_eq!(kind.label().parse(), Ok(kind));
        }
    }

    #[test]
    fn a_host_has_its_name_and_one_for_each_address() {
        let site = "hosts: {n1: {addresses: {br0: 10.0.0.5}, reservations: {prov: 10.0.1.5, six: \"2001:db8::5\"}}}";
        let site: Site = serde_saphyr::from_str(site).unwrap();
        let text = |zone: &str| {
            let records = Zone::new(zone).records(&site, "example.net");
            records.iter().map(HostRecord::to_string).collect::<Vec<_>>()
        };
        let forward =
            ["n1 A 10.0.0.5", "br0.n1 A 10.0.0.5", "prov.n1 A 10.0.1.5", "six.n1 AAAA 2001:db8::5"];
        assert_eq!(text("example.net"), forward);
        assert_eq!(
            text("0.10.in-addr.arpa"),
            ["5.0 PTR n1.example.net.", "5.1 PTR prov.n1.example.net."]
        );
        assert_eq!(text("1.0.10.in-addr.arpa."), ["5 PTR prov.n1.example.net."]);
        assert_eq!(text("11.in-addr.arpa"), Vec::<String>::new());
    }
}
