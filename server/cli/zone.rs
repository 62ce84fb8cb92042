//! `rackstrap zone`: the addresses of hosts as a zone file (RFC 1035 section 5).

use std::fmt::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::ansible::address_of;
use crate::cli::context::{Context, print};
use crate::inventory::Snapshot;
use crate::model::Host;

/// `rackstrap zone`.
#[derive(Debug, Args)]
pub(crate) struct Zone {
    /// Zone, such as example.net, 77.10.in-addr.arpa or 8.b.d.0.1.0.0.2.ip6.arpa
    origin: String,
    /// Name server of the zone (can be repeated)
    #[arg(long, value_name = "NAME", required_unless_present = "records")]
    ns: Vec<String>,
    /// Domain of the hosts, for a reverse zone
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Seconds for which others may keep a record
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    ttl: u32,
    /// Leave out SOA and NS records: for $INCLUDE in a zone file of yours
    #[arg(long)]
    records: bool,
}

impl Zone {
    /// Prints the zone file.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let snapshot = context.read_inventory().await?.snapshot();
        let origin = absolute(&self.origin);
        let is_reverse = [".in-addr.arpa.", ".ip6.arpa."].iter().any(|end| origin.ends_with(end));
        if is_reverse && self.domain.is_none() {
            bail!("a reverse zone needs the domain of the hosts: --domain NAME");
        }
        let mut text = format!("$ORIGIN {origin}\n$TTL {}\n", self.ttl);
        if !self.records {
            let first = absolute(&self.ns[0]);
            // A serial number has 32 bits; others compare it by RFC 1982.
            let serial = snapshot.revision.cast_unsigned() as u32;
            let ttl = self.ttl;
            writeln!(text, "@ SOA {first} hostmaster.{origin} {serial} 3600 900 1209600 {ttl}")?;
            for name in &self.ns {
                writeln!(text, "@ NS {}", absolute(name))?;
            }
        }
        match &self.domain {
            Some(domain) if is_reverse => reverse(&mut text, &snapshot, &origin, domain)?,
            _ => forward(&mut text, &snapshot)?,
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Each host with the address that it is reached at, and each of its links and reservations as a
/// name below the host's.
fn forward(text: &mut String, snapshot: &Snapshot) -> std::fmt::Result {
    for (name, host) in &snapshot.site.hosts {
        let mut record = |owner: &str, address: IpAddr| match address {
            IpAddr::V4(address) => writeln!(text, "{owner} A {address}"),
            IpAddr::V6(address) => writeln!(text, "{owner} AAAA {address}"),
        };
        if let Some(address) = address_of(host) {
            record(name, address)?;
        }
        for (part, address) in named(host) {
            record(&format!("{}.{name}", label(part)), address)?;
        }
    }
    Ok(())
}

/// The names of the addresses in a reverse zone, each once.
fn reverse(text: &mut String, snapshot: &Snapshot, origin: &str, domain: &str) -> std::fmt::Result {
    let domain = absolute(domain);
    for (name, host) in &snapshot.site.hosts {
        let reached = address_of(host);
        for (part, address) in named(host) {
            let owner = reversed(address);
            let Some(owner) = owner.strip_suffix(origin).and_then(|o| o.strip_suffix('.')) else {
                continue;
            };
            match reached == Some(address) {
                true => writeln!(text, "{owner} PTR {name}.{domain}")?,
                false => writeln!(text, "{owner} PTR {}.{name}.{domain}", label(part))?,
            }
        }
    }
    Ok(())
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

fn absolute(name: &str) -> String {
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
        assert_eq!(absolute("Example.net"), "example.net.");
        assert_eq!(absolute("example.net."), "example.net.");
    }
}
