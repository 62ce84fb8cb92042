//! Writes a host's network as the kernel command line that an initramfs made by dracut reads
//! (dracut.cmdline(7)): one bond, one VLAN, and NICs. Pure.
//!
//! What is written is what its three readers agree on: dracut's own scripts, NetworkManager's
//! generator and systemd's. systemd's leaves a bond at the kernel's defaults.

use std::net::IpAddr;

use super::bond;
use super::links::{HostNetwork, Kind, Link, Role};
use super::losses::{INFINIBAND, Losses};
use super::{File, Format};
use crate::model::{
    BondSpec, Destination, Family, MatchBy, Overrides, RouteKind, RouteSpec, VlanProtocol,
};

/// The one line.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    losses.add_if(host.bgp.is_some(), "profile", "bgp");
    losses.add_if(!host.sysctls.is_empty(), "profile", "sysctls");
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    let links: Vec<&Link> = host.links.values().filter(managed).collect();
    for (is_kind, name) in [(is_bond as fn(&Link) -> bool, "bond"), (is_vlan, "VLAN")] {
        for link in links.iter().filter(|link| is_kind(link)).skip(1) {
            losses.add_if(true, &link.name, &format!("a second {name}"));
        }
    }
    let mut words = vec!["rd.neednet=1".to_owned()];
    // More than one `ip=` asks for it.
    let routed = links.iter().find(|link| !link.layer3.gateways.is_empty());
    let main = routed.or_else(|| links.iter().find(|link| link.role == Role::Addressed));
    words.extend(main.map(|link| format!("bootdev={}", device(host, link))));
    for link in &links {
        let mut writer = Writer { host, link, losses, words: Vec::new() };
        writer.link();
        words.append(&mut writer.words);
    }
    vec![File::of(Format::Dracut, "cmdline", words.join(" ") + "\n")]
}

fn is_bond(link: &Link) -> bool {
    matches!(link.kind, Kind::Bond(_))
}

fn is_vlan(link: &Link) -> bool {
    matches!(link.kind, Kind::Vlan { .. })
}

/// The number in a name that the kernel gives by itself.
fn kernel_number(name: &str) -> Option<&str> {
    let number = name.strip_prefix("eth")?;
    (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then_some(number)
}

/// Whether a NIC is given a name by its MAC.
fn is_named_by_mac(host: &HostNetwork, link: &Link) -> bool {
    link.is_nic() && matches!(host.match_by, MatchBy::PermanentMac | MatchBy::Mac)
}

/// What a link is called in the initramfs. A NIC that is found by its MAC may be called
/// anything but what the kernel calls another at that moment: `eth0` becomes `nic0`.
fn device(host: &HostNetwork, link: &Link) -> String {
    match kernel_number(link.device()).filter(|_| is_named_by_mac(host, link)) {
        Some(number) => format!("nic{number}"),
        None => link.device().to_owned(),
    }
}

/// One link under construction.
struct Writer<'a> {
    host: &'a HostNetwork,
    link: &'a Link,
    losses: &'a mut Losses,
    words: Vec<String>,
}

impl Writer<'_> {
    fn lose(&mut self, lost: bool, feature: &str) {
        self.losses.add_if(lost, &self.link.name, feature);
    }

    /// What the link is called in the initramfs, whether it is `self` or another.
    fn device(&self, name: &str) -> String {
        self.host.links.get(name).map_or_else(|| name.to_owned(), |link| device(self.host, link))
    }

    fn link(&mut self) {
        let (host, link) = (self.host, self.link);
        self.losses.bring_up(link);
        self.losses.hardware(host, link);
        let name = device(host, link);
        match &link.kind {
            Kind::Nic(mac) => {
                let by_mac = is_named_by_mac(host, link);
                let renamed = link.nic.as_ref().is_some_and(|nic| nic.set_name.is_some());
                self.lose(by_mac && mac.is_none(), "a NIC without a MAC");
                self.lose(renamed && name != link.device(), "set-name that the kernel gives too");
                self.lose(renamed && !by_mac, "set-name of a NIC that is found by its name");
                let taken =
                    name != link.device() && host.links.values().any(|l| l.device() == name);
                self.lose(taken, &format!("{name} is another link's name"));
                self.lose(link.mac.is_some(), "macaddress of a NIC");
                self.lose(link.is_infiniband(), INFINIBAND);
                let mac = mac.filter(|_| by_mac);
                self.words.extend(mac.map(|mac| format!("ifname={name}:{mac}")));
            }
            Kind::Bond(spec) => self.bond(spec),
            Kind::Vlan { parent, id, protocol, qos } => {
                self.lose(qos.is_some(), "priorities of tags");
                self.lose(*protocol != VlanProtocol::default(), "protocol 802.1ad");
                // The id is read from the name.
                let id = id.map_or_else(String::new, |id| id.to_string());
                let tells = name == format!("vlan{id}") || name.ends_with(&format!(".{id}"));
                self.lose(!tells, "a VLAN whose name does not end in its id");
                self.words.push(format!("vlan={name}:{}", self.device(parent)));
            }
            other => self.lose(true, other.label()),
        }
        if host.owner(link).is_none() {
            self.layer3();
        } else {
            let of_bond = host.owner(link).and_then(|owner| owner.settings.mtu);
            self.lose(
                link.settings.mtu.is_some() && link.settings.mtu != of_bond,
                "an MTU unlike the bond's",
            );
        }
    }

    fn bond(&mut self, spec: &BondSpec) {
        let spelled = bond::spell(spec, |names| names.dracut, &[]);
        for lost in spelled.lost {
            self.lose(true, &lost);
        }
        let option = |written: &bond::SpelledParameter<'_>| match written.value {
            bond::Value::Member(member) => format!("{}={}", written.name, self.device(member)),
            value => format!("{}={value}", written.name),
        };
        let options: Vec<String> = spelled.written.iter().map(option).collect();
        let nics: Vec<String> = spec.nics.iter().map(|name| self.device(name)).collect();
        let mtu = self.link.settings.mtu.map(|mtu| format!(":{mtu}")).unwrap_or_default();
        let name = self.link.device();
        self.words.push(format!("bond={name}:{}:{}{mtu}", nics.join(","), options.join(",")));
    }

    /// `ip=`, `rd.route=` and `nameserver=`.
    fn layer3(&mut self) {
        let (link, layer3) = (self.link, &self.link.layer3);
        let settings = &link.settings;
        self.layer3_losses();
        let name = device(self.host, link);
        let mut hardware = link.settings.mtu.map(|mtu| format!(":{mtu}")).unwrap_or_default();
        let mac = link.mac.filter(|_| !link.is_nic());
        if let Some(mac) = mac {
            hardware = link.settings.mtu.map_or_else(String::new, |mtu| mtu.to_string());
            hardware = format!(":{hardware}:{mac}");
        }
        let learned = [
            (settings.dhcp4, "dhcp"),
            (settings.dhcp6, "dhcp6"),
            (settings.accept_ra == Some(true) && !settings.dhcp6, "auto6"),
        ];
        let learned: Vec<&str> =
            learned.into_iter().filter_map(|(used, word)| used.then_some(word)).collect();
        let several = learned.len() + usize::from(link.all_addresses().next().is_some()) > 1;
        self.lose(several, "more than one of addresses, dhcp4, dhcp6 and accept-ra");
        self.words.extend(learned.iter().map(|word| format!("ip={name}:{word}{hardware}")));
        self.addresses(&name, &hardware);
        let bears = !learned.is_empty() || link.all_addresses().next().is_some();
        // Without it the bond would have the MAC of whichever NIC is first.
        let pinned = !bears && mac.is_some();
        self.words.extend(pinned.then(|| format!("ip={name}:off{hardware}")));
        let carries = is_bond(link) || self.host.children(&link.name).next().is_some();
        self.lose(!bears && !carries, "a link without an address");
        for route in &layer3.routes {
            let (Destination::Net(to), Some(via)) = (route.to, route.via) else { continue };
            let to = bracketed(to.to_string());
            self.words.push(format!("rd.route={to}:{}:{name}", bracketed(via.to_string())));
        }
        let servers = layer3.dns.iter().map(|server| bracketed(server.address.to_string()));
        self.words.extend(servers.map(|server| format!("nameserver={server}")));
    }

    /// `ip=ADDRESS::ROUTER:MASK::LINK:none`, the router with the address that reaches it.
    fn addresses(&mut self, name: &str, hardware: &str) {
        let mut gateways: Vec<IpAddr> = self.link.layer3.gateways.clone();
        for net in self.link.all_addresses() {
            let found = gateways.iter().position(|gateway| net.contains(gateway));
            let gateway = found.map(|at| bracketed(gateways.remove(at).to_string()));
            let mask = match net {
                ipnet::IpNet::V4(net) => net.netmask().to_string(),
                ipnet::IpNet::V6(net) => net.prefix_len().to_string(),
            };
            let address = bracketed(net.addr().to_string());
            let gateway = gateway.unwrap_or_default();
            self.words.push(format!("ip={address}::{gateway}:{mask}::{name}:none{hardware}"));
        }
        self.lose(!gateways.is_empty(), "a router that no address reaches");
    }

    fn layer3_losses(&mut self) {
        let (layer3, settings) = (&self.link.layer3, &self.link.settings);
        let overrides = [settings.dhcp4_overrides, settings.dhcp6_overrides, settings.ra_overrides];
        let local = settings.link_local.as_deref();
        let lost = [
            (overrides.iter().any(|one| *one != Overrides::default()), "overrides"),
            (local.is_some_and(|families| families != [Family::Ipv6]), "link-local"),
            (settings.accept_ra == Some(false), "accept-ra: false"),
            (!layer3.domains.is_empty(), "search domains"),
            (!layer3.ntp.is_empty(), "time servers"),
            (!layer3.rules.is_empty(), "policy rules"),
        ];
        for (lost, feature) in lost.into_iter().chain(layer3.resolver_words()) {
            self.lose(lost, feature);
        }
        for route in &layer3.routes {
            self.lose(route.via.is_none(), "routes without a router");
            self.lose(!route.next_hops.is_empty(), "several routers for one route");
            self.lose(route.kind != RouteKind::default(), "routes with a type");
            self.lose(route.to == Destination::Default, "routes to everywhere");
            let plain = RouteSpec { via: route.via, ..RouteSpec::to(route.to) };
            let plain = RouteSpec { next_hops: route.next_hops.clone(), kind: route.kind, ..plain };
            let features = "routes with metric, table, from, on-link, mtu, advertised-mss or congestion-window";
            self.lose(plain != *route, features);
        }
    }
}

/// An IPv6 address or network in brackets, for its colons.
fn bracketed(text: String) -> String {
    if text.contains(':') { format!("[{text}]") } else { text }
}
