//! Rules about subnets: prefix, gateway, ranges, resolvers, VLAN id, MTU. Pure.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{FindingSubject, Findings};
use crate::model::{
    DhcpOptions, DnsOverTls, Host, Location, Range, RangeUse, Site, Subnet, check_noun_name,
};
use crate::network::nearest;

/// The VLAN ids that may be used: 0 and 4095 are reserved (IEEE 802.1Q).
pub(super) const VLAN_IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// The shortest lease, in milliseconds.
const MIN_LEASE_MS: u64 = 60_000;
/// The longest name of a boot file, in bytes.
const BOOT_FILE_BYTES: usize = 127;

pub(super) fn check_all(site: &Site, findings: &mut Findings) {
    for (name, subnet) in &site.subnets {
        check(name, subnet, findings);
        tenant(site, name, subnet, findings);
    }
    for (name, host) in &site.hosts {
        let next_server = host.next_server.or_else(|| {
            let mut subnets = host.reservations.keys().filter_map(|name| site.subnets.get(name));
            subnets.find_map(|subnet| subnet.next_server)
        });
        tftp_server(&host.dhcp_options, next_server, Location::of::<Host>(name), findings);
    }
    overlaps(site, findings);
    relay_addresses(site, findings);
}

/// What is wrong with one subnet by itself.
pub(super) fn check(name: &str, subnet: &Subnet, findings: &mut Findings) {
    let at = |key: &str| Location::of::<Subnet>(name).at(key);
    if subnet.cidr.addr() != subnet.cidr.network() {
        let text = format!("{} has host bits; the subnet is {}", subnet.cidr, subnet.cidr.trunc());
        findings.error("N140", at("cidr"), text);
        findings.suggest(Location::of::<Subnet>(name).at("cidr"), subnet.cidr.trunc());
    }
    if let Some(what) = special_purpose(subnet.cidr) {
        let text = format!("{} is {what}: hosts cannot have its addresses", subnet.cidr);
        findings.error("N140", at("cidr"), text);
    }
    if let Some(id) = subnet.vlan.filter(|id| !VLAN_IDS.contains(id)) {
        findings.error("N110", at("vlan"), format!("VLAN id {id} is outside 1-4094"));
    }
    if let Some(mtu) = subnet.mtu {
        mtu_bounds(subnet.cidr.network(), mtu, at("mtu"), findings);
    }
    if let Some(server) = subnet.server.filter(|server| !subnet.cidr.contains(server)) {
        let text = format!("the provisioning server {server} is outside {}", subnet.cidr);
        findings.error("N147", at("server"), text);
    }
    if let Some(domain) = &subnet.vrf
        && let Err(error) = check_noun_name("VRF", domain)
    {
        findings.error("N101", at("vrf"), error.to_string());
    }
    if let Some(link) = &subnet.shared_network
        && let Err(error) = check_noun_name("shared network", link)
    {
        findings.error("N149", at("shared-network"), error.to_string());
    }
    for (arch, file) in &subnet.boot_files {
        boot_file(file, at("boot-files").at(arch.to_string()), findings);
    }
    gateway(name, subnet, findings);
    tftp_server(&subnet.dhcp_options, subnet.next_server, Location::of::<Subnet>(name), findings);
    lease_times(name, subnet, findings);
    ranges(name, subnet, findings);
    if subnet.dns_over_tls == DnsOverTls::Yes {
        for server in subnet.dns.iter().filter(|server| server.server_name.is_none()) {
            let text = format!(
                "{server} is used over TLS without a name to verify its certificate; write \
                 {server}#NAME"
            );
            findings.warn("N160", at("dns"), text);
        }
    }
}

/// What a prefix is that no network of hosts has (RFC 6890).
fn special_purpose(cidr: IpNet) -> Option<&'static str> {
    let (address, length) = (cidr.network(), cidr.prefix_len());
    match address {
        _ if length == 0 => Some("every address"),
        _ if address.is_loopback() => Some("a loopback network"),
        _ if address.is_multicast() => Some("a multicast network"),
        IpAddr::V4(address) if address.octets()[0] == 0 => Some("\"this network\" (0.0.0.0/8)"),
        IpAddr::V4(address) if address.octets()[0] >= 240 => Some("reserved (240.0.0.0/4)"),
        _ => None,
    }
}

/// Rule N213: a relay address that two subnets list: a relay with this address would select either.
fn relay_addresses(site: &Site, findings: &mut Findings) {
    let mut owners: HashMap<Ipv4Addr, &str> = HashMap::new();
    for (name, subnet) in &site.subnets {
        for relay in &subnet.relay_addresses {
            let at = |name: &str| Location::of::<Subnet>(name).at("relay-addresses");
            let Some(other) = owners.insert(*relay, name).filter(|other| other != name) else {
                continue;
            };
            // Subnets of one link share its relay.
            let network = subnet.shared_network.as_ref();
            let same =
                |other: &Subnet| network.is_some() && other.shared_network.as_ref() == network;
            if site.subnets.get(other).is_some_and(same) {
                continue;
            }
            let text = format!(
                "relay {relay} is in relay-addresses of subnet \"{other}\" too: give both the same \
                 shared-network if they are on one link"
            );
            findings.error("N213", FindingSubject::from(at(name)).and(at(other)), text);
        }
    }
}

/// Rule N211: lease times that DHCP would have to change before it sends them.
fn lease_times(name: &str, subnet: &Subnet, findings: &mut Findings) {
    let at = |key: &str| Location::of::<Subnet>(name).at(key);
    if let Some(time) = subnet.lease_time.filter(|time| time.0 < MIN_LEASE_MS) {
        let text = format!("lease-time {time} is too short: expected at least 60s");
        findings.error("N211", at("lease-time"), text);
        findings.suggest(at("lease-time"), "60s");
        return;
    }
    let lease = u64::from(subnet.lease_seconds()) * 1000;
    let rebind = subnet.rebind_time.map_or(lease * 7 / 8, |time| time.0);
    if subnet.rebind_time.is_some_and(|time| time.0 < 1000 || time.0 >= lease) {
        let text = format!(
            "rebind-time must be at least 1s and less than the lease time of {} s",
            lease / 1000
        );
        findings.error("N211", at("rebind-time"), text);
    } else if subnet.renew_time.is_some_and(|time| time.0 < 1000 || time.0 >= rebind) {
        let text = format!(
            "renew-time must be at least 1s and less than the rebind time of {} s",
            rebind / 1000
        );
        findings.error("N211", at("renew-time"), text);
    }
}

/// Rule N210: a boot file whose name a DHCP answer cannot carry. The `file` field has 128
/// bytes with its NUL (RFC 951), and `machine_url` leaves as much room in option 67, which
/// firmware takes from one option only.
pub(super) fn boot_file(name: &str, place: impl Into<FindingSubject>, findings: &mut Findings) {
    if name.len() > BOOT_FILE_BYTES {
        let bytes = name.len();
        let text = format!(
            "the boot file name has {bytes} bytes; a DHCP reply carries at most \
             {BOOT_FILE_BYTES}"
        );
        findings.error("N210", place, text);
    }
}

/// Rule N222: option 66 names another TFTP server than `siaddr`, which firmware takes.
pub(super) fn tftp_server(
    options: &DhcpOptions,
    next_server: Option<Ipv4Addr>,
    entry: Location,
    findings: &mut Findings,
) {
    let Some(named) = options.tftp_server() else { return };
    if next_server.is_some_and(|server| named.parse() == Ok(server)) {
        return;
    }
    let siaddr = next_server.map_or_else(|| "this server".to_owned(), |server| server.to_string());
    let text = format!(
        "option 66 names {named}, but firmware takes its boot file from the server in siaddr, which \
         is {siaddr}; set next-server: it fills both"
    );
    findings.warn("N222", entry.clone().at("dhcp-options"), text);
    if let Ok(server) = named.parse::<Ipv4Addr>() {
        findings.suggest(entry.at("next-server"), server);
    }
}

/// Rule N132 for one MTU of a link that carries the family of `address`.
pub(super) fn mtu_bounds(
    address: IpAddr,
    mtu: u32,
    place: impl Into<FindingSubject>,
    findings: &mut Findings,
) {
    // RFC 791 section 3.2 and RFC 8200 section 5.
    let (family, smallest) = if address.is_ipv4() { ("IPv4", 68) } else { ("IPv6", 1280) };
    if mtu < smallest {
        let text = format!("MTU {mtu} is too small: {family} needs at least {smallest}");
        let place = place.into();
        let at = place.at.clone();
        findings.error("N132", place, text);
        findings.suggest(at, smallest);
    } else if mtu > 65_535 {
        findings.error("N132", place, format!("MTU {mtu} exceeds the largest packet (65535)"));
    }
}

fn gateway(name: &str, subnet: &Subnet, findings: &mut Findings) {
    let Some(gateway) = subnet.gateway else { return };
    let at = || Location::of::<Subnet>(name).at("gateway");
    // A link-local router is on the link of every IPv6 subnet (RFC 4291 section 2.5.6).
    let is_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
    if is_local && subnet.cidr.addr().is_ipv6() {
        return;
    }
    if !subnet.cidr.contains(&gateway) {
        let text = format!(
            "gateway {gateway} is outside {}; networkd would wait for it for ever, without an error",
            subnet.cidr
        );
        findings.error("N150", at(), text);
        if let Some(inside) = moved_in(subnet.cidr, gateway) {
            findings.suggest(Location::of::<Subnet>(name).at("gateway"), inside);
        }
        return;
    }
    if let Some(word) = subnet.unusable(gateway) {
        findings.error(
            "N150",
            at(),
            format!("gateway {gateway} is the {word} address of {}", subnet.cidr),
        );
    }
    if let Some(range) =
        subnet.range_of(gateway).filter(|range| range.used_for != RangeUse::Reserved)
    {
        let text = format!(
            "gateway {gateway} is in the {} range {}-{} and would be given to a host",
            range.used_for.label(),
            range.from,
            range.to
        );
        findings.error("N143", at(), text);
    }
}

/// The address of the subnet with the same last part, if a router can have it.
fn moved_in(cidr: IpNet, gateway: IpAddr) -> Option<IpAddr> {
    let inside = match (cidr, gateway) {
        (IpNet::V4(net), IpAddr::V4(address)) => {
            let part = address.to_bits() & net.hostmask().to_bits();
            IpAddr::V4((net.network().to_bits() | part).into())
        }
        (IpNet::V6(net), IpAddr::V6(address)) => {
            let part = address.to_bits() & net.hostmask().to_bits();
            IpAddr::V6((net.network().to_bits() | part).into())
        }
        _ => return None,
    };
    (inside != cidr.network() && (inside != cidr.broadcast() || inside.is_ipv6())).then_some(inside)
}

fn ranges(name: &str, subnet: &Subnet, findings: &mut Findings) {
    let at = || Location::of::<Subnet>(name).at("ranges");
    let shown =
        |range: &Range| format!("{} range {}-{}", range.used_for.label(), range.from, range.to);
    for (index, range) in subnet.ranges.iter().enumerate() {
        if !subnet.cidr.contains(&range.from) || !subnet.cidr.contains(&range.to) {
            let text = format!("{} is outside {}", shown(range), subnet.cidr);
            findings.error("N148", at(), text);
        } else if range.from > range.to {
            findings.error("N148", at(), format!("{} ends before it begins", shown(range)));
        }
        let overlapping = |other: &&Range| range.from <= other.to && other.from <= range.to;
        for other in subnet.ranges[..index].iter().filter(overlapping) {
            let text = format!("{} overlaps the {}", shown(range), shown(other));
            findings.error("N148", at(), text);
        }
    }
}

fn tenant(site: &Site, name: &str, subnet: &Subnet, findings: &mut Findings) {
    let unknown = subnet.tenant.as_deref().filter(|tenant| !site.tenants.contains_key(*tenant));
    if let Some(tenant) = unknown {
        let hint = nearest::hint(tenant, site.tenants.keys().map(String::as_str));
        let place = Location::of::<Subnet>(name).at("tenant");
        findings.error("N180", place, format!("tenant \"{tenant}\" does not exist{hint}"));
    }
}

/// Rule N145: two subnets of one routing domain that hold the same addresses are mostly a typing
/// error, and with the same prefix they are one subnet; of two domains, they are nobody's business
/// but that of DHCP, which has no word for domains. Sorted by their first address, a subnet can only overlap what comes before it.
fn overlaps(site: &Site, findings: &mut Findings) {
    let mut subnets: Vec<(&String, &Subnet)> = site.subnets.iter().collect();
    subnets.sort_by_key(|(_, subnet)| (subnet.cidr.network(), subnet.cidr.prefix_len()));
    let served = served(site);
    // Prefixes are nested or apart: these are the ones around the present one, widest first.
    let mut around: Vec<(&String, &Subnet)> = Vec::new();
    for (name, subnet) in subnets {
        let cidr = subnet.cidr.trunc();
        while around.last().is_some_and(|(_, other)| !other.cidr.trunc().contains(&cidr)) {
            around.pop();
        }
        let at = || Location::of::<Subnet>(name).at("cidr");
        let text = |other: &String, net: IpNet| {
            format!("{cidr} overlaps {} of subnet \"{other}\"", net.trunc())
        };
        let same = around.iter().find(|(_, other)| other.vrf == subnet.vrf);
        if let Some((other, net)) = same {
            let place = FindingSubject::from(at()).and(Location::of::<Subnet>(*other));
            if net.cidr.trunc() == cidr {
                let text = format!(
                    "{cidr} is subnet \"{other}\" already; set vrf on one of them if they are separate \
                     networks, else use \"{other}\""
                );
                findings.error("N145", place, text);
            } else {
                findings.warn("N145", place, text(other, net.cidr));
            }
        }
        let is_served = |name: &String| served.contains(name.as_str());
        let mut elsewhere = around.iter().filter(|(_, other)| other.vrf != subnet.vrf);
        if let Some((other, net)) = elsewhere.find(|(other, _)| is_served(other) || is_served(name))
        {
            let text = format!(
                "{} of another VRF, and DHCP serves one of them; DHCP distinguishes subnets only by \
                 their addresses",
                text(other, net.cidr)
            );
            let place = FindingSubject::from(at()).and(Location::of::<Subnet>(*other));
            findings.error("N145", place, text);
        }
        around.push((name, subnet));
    }
}

/// The subnets in which DHCP gives addresses, of a site with more than one routing domain.
fn served(site: &Site) -> HashSet<&str> {
    if site.subnets.values().all(|subnet| subnet.vrf.is_none()) {
        return HashSet::new();
    }
    let dhcp = |range: &Range| range.used_for == RangeUse::Dhcp;
    let serves = |subnet: &Subnet| {
        let has_clients = !subnet.relay_addresses.is_empty() || subnet.shared_network.is_some();
        subnet.server.is_some() || has_clients || subnet.ranges.iter().any(dhcp)
    };
    let subnets = site.subnets.iter().filter(|(_, subnet)| serves(subnet)).map(|(name, _)| name);
    let reserved = site.hosts.values().flat_map(|host| host.reservations.keys());
    subnets.chain(reserved).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use crate::network::check_site;

    #[test]
    fn a_boot_file_that_no_answer_carries_is_named_before_anybody_boots() {
        let rules = |bytes: usize| {
            let name = format!("boot/{}", "x".repeat(bytes - 5));
            let text = format!(
                "{{subnets: {{p: {{cidr: 10.0.0.0/24, boot-files: {{x64: {name}}}}}}}, \
                 hosts: {{n1: {{nics: {{eth0: \"52:54:00:aa:00:01\"}}, boot-file: {name}}}}}}}"
            );
            let found = check_site(&serde_saphyr::from_str(&text).unwrap());
            let told = found.iter().filter(|one| one.rule == "N210");
            told.map(|one| one.path()).collect::<Vec<_>>()
        };
        assert_eq!(rules(127), [""; 0]);
        assert_eq!(rules(128), ["subnets.p.boot-files.x64", "hosts.n1.boot-file"]);
    }
}
