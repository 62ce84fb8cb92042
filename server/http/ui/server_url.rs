//! The URL under which a host fetches from this server, for commands that people copy.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use axum::http::{HeaderMap, Uri, header};
use nix::ifaddrs::getifaddrs;

use super::state::Ui;
use crate::config::Config;
use crate::model::Host;
use crate::profile::ResolvedSite;

/// What a browser calls this server: an address, or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AskedFor(String);

impl AskedFor {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let given = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let parsed = given.and_then(|host| host.parse::<Uri>().ok());
        // A host of IPv6 keeps its brackets.
        let host = parsed.as_ref().and_then(Uri::host).unwrap_or("localhost");
        Self(host.to_owned())
    }
}

/// The URL for a host that has `leased` by DHCP. Where no configuration says it, it has the address
/// that the host reaches: the one that this server sends from to an address of the host, else one of
/// the interfaces that it serves, in a subnet of the host if there is one. What the browser calls
/// this server comes last, for its network may be another one.
pub(super) fn server_url(
    ui: &Ui,
    site: &ResolvedSite,
    host: &Host,
    leased: &[Ipv4Addr],
    asked: &AskedFor,
) -> String {
    let config = ui.app.config.now();
    let listening = config.machine_listen.ip();
    if config.machine_url.is_some() || !listening.is_unspecified() {
        return config.machine_base_url(listening);
    }
    let leased = leased.iter().copied().map(IpAddr::V4);
    // A host boots where it has a lease or a reservation; its own addresses may be elsewhere.
    let own = host.reservations.values().copied().chain(leased);
    let mut own = own.chain(host.addresses.values().copied());
    let found = own.find_map(address_towards).or_else(|| served(&config, site, host));
    match found {
        Some(address) => config.machine_base_url(address),
        None => of_name(&config, &asked.0),
    }
}

/// The source address that the kernel uses towards an address. Towards this server itself that is
/// an address of it too.
fn address_towards(address: IpAddr) -> Option<IpAddr> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    // Connecting a UDP socket sends nothing; it only asks the routing table.
    socket.connect(SocketAddr::new(address, 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback()).then_some(own)
}

/// An address of the served interfaces.
fn served(config: &Config, site: &ResolvedSite, host: &Host) -> Option<IpAddr> {
    let entries = getifaddrs().ok()?;
    let entries = entries.filter(|entry| config.interfaces.contains(&entry.interface_name));
    let own = entries.filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()));
    nearest(&own.collect::<Vec<_>>(), site, host).map(IpAddr::V4)
}

/// The first address in a subnet of the host, else the first one.
fn nearest(own: &[Ipv4Addr], site: &ResolvedSite, host: &Host) -> Option<Ipv4Addr> {
    let profile = site.profile_of(host);
    let of_profile = profile.iter().flat_map(|found| found.profile.subnets()).map(|(_, name)| name);
    let names = host.reservations.keys().map(String::as_str).chain(of_profile);
    let nets: Vec<_> = names.filter_map(|name| Some(site.subnets.get(name)?.cidr)).collect();
    let is_near = |own: &&Ipv4Addr| nets.iter().any(|net| net.contains(&IpAddr::V4(**own)));
    own.iter().find(is_near).or_else(|| own.first()).copied()
}

/// The URL with what a browser calls this server.
fn of_name(config: &Config, name: &str) -> String {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match (bare.parse(), config.machine_listen.port()) {
        (Ok(address), _) => config.machine_base_url(address),
        (Err(_), 80) => format!("http://{name}"),
        (Err(_), port) => format!("http://{name}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_calls_this_server_by_a_name_or_an_address() {
        let config = Config { machine_listen: ([0; 8], 8080).into(), ..Config::default() };
        for (host, url) in [
            ("rack.example:8000", "http://rack.example:8080"),
            ("10.0.0.9:8000", "http://10.0.0.9:8080"),
            ("10.0.0.9", "http://10.0.0.9:8080"),
            ("[2001:db8::1]:8000", "http://[2001:db8::1]:8080"),
            ("", "http://localhost:8080"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(of_name(&config, &AskedFor::read(&headers).0), url, "{host}");
        }
        let config = Config { machine_listen: ([0; 8], 80).into(), ..Config::default() };
        assert_eq!(of_name(&config, "rack.example"), "http://rack.example");
    }

    #[test]
    fn the_served_interface_in_a_subnet_of_the_host_comes_first() {
        let site: crate::model::Site = serde_json::from_value(serde_json::json!({
            "subnets": {"a": {"cidr": "10.1.0.0/24"}, "b": {"cidr": "10.2.0.0/24"}},
            "profiles": {"p": {"nics": {"eth0": {"subnet": "b", "dhcp4": true}}}},
            "hosts": {"n1": {"profile": "p", "nics": {"eth0": "52:54:00:00:00:01"}}, "n2": {}},
        }))
        .unwrap();
        let site = ResolvedSite::from(site);
        let own = [Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 2, 0, 1)];
        assert_eq!(nearest(&own, &site, &site.hosts["n1"]), Some(own[1]));
        assert_eq!(nearest(&own, &site, &site.hosts["n2"]), Some(own[0]));
        assert_eq!(nearest(&[], &site, &site.hosts["n1"]), None);
    }
}
