//! Where a packet came from: which link, hence which subnet. Pure.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::wire::Packet;
use crate::leases::table::v4;
use crate::model::{Host, Site, Subnet, SubnetIndex};
use crate::options::code;
use crate::profile::ResolvedSite;
pub(crate) use crate::udp::Arrival;

/// An interface that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedLink {
    /// The name of the interface.
    pub interface: String,
    /// Its number in the kernel.
    pub index: u32,
    /// Its addresses with their prefixes, the kernel's first one first.
    pub addresses: Vec<Ipv4Net>,
    /// The largest packet in bytes.
    pub mtu: u32,
}

/// The names of the subnets of the client's link, all of IPv4: those around the link selection of the
/// relay (RFC 3527), else the subnet selection (RFC 3011), else those of the relay's
/// address, else those around the addresses of the receiving interface. A renewing client
/// behind a router is in the subnet of the address that it renews. The other subnets of a
/// shared network come after.
pub(crate) fn link_subnets<'a>(
    site: &'a ResolvedSite,
    index: &'a SubnetIndex,
    request: &Packet<'_>,
    link: &ServedLink,
    arrival: &Arrival,
) -> Vec<&'a str> {
    let relay = request.relay_address();
    // Option 82 counts only where a relay can have put it.
    let link_selection = relay.and_then(|_| request.relay_info()?.link_selection);
    let own: Vec<Ipv4Addr> = link.addresses.iter().map(Ipv4Net::addr).collect();
    let selection = subnet_selection(site, index, request, link);
    if let Some(address) = link_selection.or(selection) {
        return with_shared(site, around(index, &[address]));
    }
    if let Some(relay) = relay {
        return with_shared(site, relayed(site, index, relay));
    }
    if let Some(address) = request.client_address().filter(|_| arrival.is_unicast()) {
        let found = around(index, &[address]);
        if !found.is_empty() {
            return with_shared(site, found);
        }
    }
    with_shared(site, around(index, &own))
}

/// The subnet selection of a message (option 118), where it counts: from a relay, and on a link
/// one of whose subnets allows it. Anywhere else a client could take addresses of another link.
pub(crate) fn subnet_selection(
    site: &ResolvedSite,
    index: &SubnetIndex,
    request: &Packet<'_>,
    link: &ServedLink,
) -> Option<Ipv4Addr> {
    let selection = request.address_option(code::SUBNET_SELECTION)?;
    if request.relay_address().is_some() {
        return Some(selection);
    }
    let own: Vec<Ipv4Addr> = link.addresses.iter().map(Ipv4Net::addr).collect();
    let allows = |name: &&str| site.subnets.get(*name).is_some_and(|it| it.subnet_selection);
    around(index, &own).iter().any(allows).then_some(selection)
}

/// The subnets of a relay: those that list its address, else those around it.
fn relayed<'a>(site: &'a Site, index: &'a SubnetIndex, relay: Ipv4Addr) -> Vec<&'a str> {
    let lists = |subnet: &Subnet| subnet.relay_addresses.contains(&relay);
    let found = ipv4_subnets(site, lists);
    if found.is_empty() { around(index, &[relay]) } else { found }
}

/// Whether a relay is one of `listed` or, where none are, of the site: its address or its link
/// selection (RFC 3527) is in a subnet, or a subnet lists it.
pub(crate) fn allows_relay(
    site: &Site,
    index: &SubnetIndex,
    listed: &[Ipv4Addr],
    request: &Packet<'_>,
) -> bool {
    let Some(relay) = request.relay_address() else { return true };
    if !listed.is_empty() {
        return listed.contains(&relay);
    }
    let link_selection = request.relay_info().and_then(|info| info.link_selection);
    let is_known = |address: &Ipv4Addr| index.around(*address).next().is_some();
    [Some(relay), link_selection].iter().flatten().any(is_known)
        || site.subnets.values().any(|subnet| subnet.relay_addresses.contains(&relay))
}

/// The subnets with the other subnets of their links.
fn with_shared<'a>(site: &'a Site, mut names: Vec<&'a str>) -> Vec<&'a str> {
    let link_of = |name: &&str| site.subnets.get(*name)?.shared_network.as_deref();
    let links: Vec<&str> = names.iter().filter_map(link_of).collect();
    if links.is_empty() {
        return names;
    }
    let shares = |subnet: &Subnet| {
        subnet.shared_network.as_deref().is_some_and(|link| links.contains(&link))
    };
    let others = ipv4_subnets(site, shares).into_iter().filter(|name| !names.contains(name));
    let others: Vec<&str> = others.collect();
    names.extend(others);
    names
}

/// The subnets around any of some addresses, in the order of the site.
fn around<'a>(index: &'a SubnetIndex, addresses: &[Ipv4Addr]) -> Vec<&'a str> {
    let mut names: Vec<&str> =
        addresses.iter().flat_map(|address| index.around(*address)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The subnets of IPv4 that are so, in the order of the site.
fn ipv4_subnets(site: &Site, is_so: impl Fn(&Subnet) -> bool) -> Vec<&str> {
    let found = site.subnets.iter().filter(|(_, it)| is_so(it) && ipv4_net(it).is_some());
    found.map(|(name, _)| name.as_str()).collect()
}

/// The prefix of a subnet, if that is of IPv4.
pub(crate) fn ipv4_net(subnet: &Subnet) -> Option<Ipv4Net> {
    match subnet.cidr {
        IpNet::V4(net) => Some(net.trunc()),
        IpNet::V6(_) => None,
    }
}

/// The address that a host owns in a subnet.
pub(crate) fn owned_address(
    site: &ResolvedSite,
    host: &Host,
    subnet_name: &str,
) -> Option<Ipv4Addr> {
    let address = v4(site.address_on(host, subnet_name)?)?;
    let net = ipv4_net(site.subnets.get(subnet_name)?)?;
    net.contains(&address).then_some(address)
}

impl ServedLink {
    /// The address of ours that a client reaches us by: the interface's own one in
    /// the client's network, else the one that the packet came to.
    pub(crate) fn address_for(
        &self,
        request: &Packet<'_>,
        arrival: &Arrival,
        net: Ipv4Net,
    ) -> Ipv4Addr {
        let own = self.addresses.iter().map(Ipv4Net::addr).find(|own| net.contains(own));
        own.filter(|_| request.relay_address().is_none()).unwrap_or(arrival.local)
    }
}

/// The server identifier on the client's link (option 54): what the relay
/// says (RFC 5107), else the address that the client reaches it by.
pub(crate) fn server_id(request: &Packet<'_>, local: Ipv4Addr) -> Ipv4Addr {
    let said = request.relay_info().and_then(|info| info.server_id_override);
    request.relay_address().and(said).unwrap_or(local)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;

    use super::*;
    use crate::dhcp::test_packets::{message, subnet};
    use crate::dhcp::wire::Packet;

    const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn site() -> ResolvedSite {
        let mut site = ResolvedSite::default();
        for (name, cidr) in [
            ("link", "10.0.0.0/24"),
            ("relay", "10.1.0.0/24"),
            ("selected", "10.2.0.0/24"),
            ("chosen", "10.3.0.0/24"),
        ] {
            site.subnets.insert(name.into(), subnet(cidr, &[]));
        }
        site
    }

    fn place_of(bytes: &[u8], destination: Ipv4Addr) -> Option<String> {
        let request = Packet::parse(bytes).unwrap();
        request.check_request().unwrap();
        let link = ServedLink {
            interface: "eth0".into(),
            index: 2,
            addresses: vec!["10.0.0.1/24".parse().unwrap()],
            mtu: 1500,
        };
        let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
        let arrival = Arrival { source, destination, local: LOCAL, port: 67 };
        let site = site();
        let index = SubnetIndex::new(&site);
        let found = link_subnets(&site, &index, &request, &link, &arrival);
        found.first().map(|name| (*name).to_owned())
    }

    /// RFC 3527 (82.5) before RFC 3011 (118) before `giaddr` before the interface.
    #[test]
    fn the_most_exact_word_about_the_link_counts() {
        let link_selection: &[u8] = &[82, 6, 5, 4, 10, 2, 0, 0];
        let elsewhere: &[u8] = &[82, 6, 5, 4, 192, 168, 0, 0];
        let subnet_selection: &[u8] = &[118, 4, 10, 3, 0, 0];
        let relay: Option<[u8; 4]> = Some([10, 1, 0, 254]);
        #[rustfmt::skip]
        let cases: &[(&str, Option<[u8; 4]>, &[&[u8]], Option<&str>)] = &[
            ("the receiving interface", None, &[], Some("link")),
            ("the relay's address", relay, &[], Some("relay")),
            ("subnet selection beats the relay's address", relay, &[subnet_selection], Some("chosen")),
            ("link selection beats subnet selection", relay, &[subnet_selection, link_selection], Some("selected")),
            ("link selection without a relay is not believed", None, &[link_selection], Some("link")),
            ("subnet selection where no subnet of the link allows it", None, &[subnet_selection], Some("link")),
            ("a relay of nowhere", Some([192, 168, 9, 9]), &[], None),
            ("link selection of nowhere", relay, &[elsewhere], None),
        ];
        for (name, relay, options, expected) in cases {
            let mut bytes = message(1, options);
            if let Some(relay) = relay {
                bytes[24..28].copy_from_slice(relay);
            }
            let found = place_of(&bytes, Ipv4Addr::BROADCAST);
            assert_eq!(found.as_deref(), *expected, "{name}");
        }
    }

    /// A subnet lists the relays of its clients, and a link may let clients choose.
    #[test]
    fn relays_are_listed_by_their_subnet_and_clients_choose_where_they_may() {
        let mut site = site();
        let loopback = Ipv4Addr::new(10, 255, 0, 9);
        site.subnets.get_mut("chosen").unwrap().relay_addresses = vec![loopback];
        let index = SubnetIndex::new(&site);
        let link = ServedLink {
            interface: "eth0".into(),
            index: 2,
            addresses: vec!["10.0.0.1/24".parse().unwrap()],
            mtu: 1500,
        };
        let arrival = Arrival {
            source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 67),
            destination: Ipv4Addr::BROADCAST,
            local: LOCAL,
            port: 67,
        };
        let selection: &[u8] = &[82, 6, 5, 4, 10, 2, 0, 0];
        let elsewhere: &[u8] = &[82, 6, 5, 4, 192, 168, 0, 0];
        let relays: [(&str, [u8; 4], &[&[u8]], &[Ipv4Addr], bool, Option<&str>); 7] = [
            ("in a subnet", [10, 1, 0, 254], &[], &[], true, Some("relay")),
            ("a loopback that a subnet lists", [10, 255, 0, 9], &[], &[], true, Some("chosen")),
            ("another loopback", [10, 255, 0, 8], &[], &[], false, None),
            (
                "it selects a link of the site",
                [10, 255, 0, 8],
                &[selection],
                &[],
                true,
                Some("selected"),
            ),
            (
                "a listed one selects another link",
                [10, 255, 0, 9],
                &[selection],
                &[],
                true,
                Some("selected"),
            ),
            ("it selects a link of nowhere", [10, 255, 0, 8], &[elsewhere], &[], false, None),
            ("relays lists others", [10, 1, 0, 254], &[], &[LOCAL], false, Some("relay")),
        ];
        for (name, relay, options, listed, is_allowed, expected) in relays {
            let mut bytes = message(1, options);
            bytes[24..28].copy_from_slice(&relay);
            let request = Packet::parse(&bytes).unwrap();
            assert_eq!(allows_relay(&site, &index, listed, &request), is_allowed, "{name}");
            let found = link_subnets(&site, &index, &request, &link, &arrival);
            assert_eq!(found.first().copied(), expected, "{name}");
        }
        let chooses = message(1, &[&[118, 4, 10, 3, 0, 0]]);
        let request = Packet::parse(&chooses).unwrap();
        for (allowed, expected) in [(false, "link"), (true, "chosen")] {
            site.subnets.get_mut("link").unwrap().subnet_selection = allowed;
            let found = link_subnets(&site, &index, &request, &link, &arrival);
            assert_eq!(found.first().copied(), Some(expected));
            let selected = subnet_selection(&site, &index, &request, &link);
            assert_eq!(selected.is_some(), allowed, "what goes back to the client");
        }
    }

    #[test]
    fn the_subnets_of_a_shared_network_come_after_the_one_that_was_named() {
        let mut site = site();
        for name in ["chosen", "relay", "selected"] {
            site.subnets.get_mut(name).unwrap().shared_network = Some("row1".into());
        }
        let index = SubnetIndex::new(&site);
        let found = around(&index, &[Ipv4Addr::new(10, 1, 0, 254)]);
        assert_eq!(with_shared(&site, found), ["relay", "chosen", "selected"]);
        let alone = around(&index, &[LOCAL, LOCAL]);
        assert_eq!(with_shared(&site, alone), ["link"]);
    }

    #[test]
    fn a_client_that_renews_through_a_router_is_in_its_own_subnet() {
        let mut bytes = message(3, &[]);
        bytes[12..16].copy_from_slice(&[10, 3, 0, 7]);
        assert_eq!(place_of(&bytes, LOCAL).as_deref(), Some("chosen"));
        // Rebinding is broadcast: the link tells, for the client may have moved.
        assert_eq!(place_of(&bytes, Ipv4Addr::BROADCAST).as_deref(), Some("link"));
    }
}
