//! Shell commands that bring up what of a host's network an installer needs to reach its server: the
//! link with its own address and what lies below it. For installers whose own network setup knows
//! neither bonds nor VLANs, by the `ip` of busybox and sysfs. Pure.
//!
//! `nic MAC` prints the name of a NIC; whoever runs the commands defines it. A bridge is left out:
//! its one port takes the address. What else a profile has comes up with the installed system.

use super::bond::{self, Value};
use super::checked;
use super::links::{HostNetwork, Kind, Link};
use crate::model::VlanProtocol;
use crate::profile::ResolvedSite;

/// The commands; none for a host without an address of its own, or with links that cannot be made so.
pub(crate) fn commands(site: &ResolvedSite, host_name: &str) -> Option<Vec<String>> {
    let network = checked(site, host_name).ok()?;
    let has_address = |link: &&Link| link.all_addresses().next().is_some();
    let links = || network.links.values().filter(has_address);
    let home = links().find(|link| !link.layer3.gateways.is_empty()).or_else(|| links().next())?;
    let mut writer = Writer { network: &network, commands: Vec::new() };
    let device = writer.bring_up(home)?;
    let mut commands = writer.commands;
    for address in home.all_addresses() {
        commands.push(format!("ip address add {address} dev {device}"));
    }
    for gateway in &home.layer3.gateways {
        commands.push(format!("ip route add default via {gateway} dev {device}"));
    }
    for server in &home.layer3.dns {
        commands.push(format!("echo nameserver {} >>/etc/resolv.conf", server.address));
    }
    Some(commands)
}

struct Writer<'a> {
    network: &'a HostNetwork,
    commands: Vec<String>,
}

impl Writer<'_> {
    /// Brings up a link and all below it; gives the word that names it in a command.
    fn bring_up(&mut self, link: &Link) -> Option<String> {
        let device = match &link.kind {
            Kind::Nic(address) => format!("$(nic {})", address.as_ref()?.mac()?),
            Kind::Bridge(_) => {
                let mut ports = self.network.members(&link.name);
                let (port, None) = (ports.next()?, ports.next()) else { return None };
                return self.bring_up(port);
            }
            Kind::Bond(_) => {
                self.bond(link)?;
                link.name.clone()
            }
            Kind::Vlan { parent, id: Some(id), protocol, .. }
                if *protocol == VlanProtocol::default() =>
            {
                let parent = self.bring_up(self.network.links.get(parent)?)?;
                let name = &link.name;
                self.commands
                    .push(format!("ip link add link {parent} name {name} type vlan id {id}"));
                name.clone()
            }
            _ => return None,
        };
        if let Some(mtu) = link.settings.mtu {
            self.commands.push(format!("ip link set {device} mtu {mtu}"));
        }
        self.commands.push(format!("ip link set {device} up"));
        Some(device)
    }

    fn bond(&mut self, link: &Link) -> Option<()> {
        let (Kind::Bond(spec), name) = (&link.kind, &link.name) else { return None };
        self.commands.push(format!("ip link add {name} type bond"));
        let spelled = bond::spell(spec, |names| names.dracut, &[]);
        let mut after = Vec::new();
        for written in &spelled.written {
            // dracut's names are those of sysfs, but a member has to be one first.
            let file = format!("/sys/class/net/{name}/bonding/{}", written.name);
            match written.value {
                Value::Member(member) => {
                    let Kind::Nic(address) = &self.network.links.get(member)?.kind else {
                        return None;
                    };
                    after.push(format!("echo $(nic {}) >{file}", address.as_ref()?.mac()?));
                }
                value => self.commands.push(format!("echo {value} >{file}")),
            }
        }
        let mac = link.mac.map(|mac| format!("ip link set {name} address {mac}"));
        self.commands.extend(mac);
        for member in self.network.members(name) {
            let Kind::Nic(address) = &member.kind else { return None };
            // By its name from now on: as a member it has the bond's address.
            let mac = address.as_ref()?.mac()?;
            self.commands
                .push(format!("n=$(nic {mac}); ip link set $n down; ip link set $n master {name}"));
        }
        self.commands.append(&mut after);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site_file;

    fn of(profile: &str, addresses: &str) -> Option<Vec<String>> {
        let site = format!(
            "subnets: {{internal: {{cidr: 10.0.0.0/24, vlan: 500, gateway: 10.0.0.254, dns: [10.0.0.53]}}}}\n\
             profiles: {{p: {profile}}}\n\
             hosts: {{n: {{profile: p, addresses: {addresses}, \
             nics: {{eth0: \"52:54:00:aa:00:01\", eth1: \"52:54:00:aa:00:02\"}}}}}}\n"
        );
        commands(&site_file::parse(&site, "site.yaml").unwrap().into(), "n")
    }

    #[test]
    fn an_installer_comes_up_over_bond_vlan_and_bridge() {
        let profile = "{bonds: {bond0: {nics: [eth0, eth1], mode: active-backup, primary: eth1}}, \
                       vlans: {vlan500: {link: bond0, id: 500}}, bridges: {br0: {interfaces: [vlan500], subnet: internal}}}";
        let commands = of(profile, "{br0: 10.0.0.11}").unwrap();
        let position = |text: &str| {
            let found = commands.iter().position(|command| command.contains(text));
            found.unwrap_or_else(|| panic!("{text}: {commands:#?}"))
        };
        let order = [
            "ip link add bond0 type bond",
            "echo active-backup >/sys/class/net/bond0/bonding/mode",
            "n=$(nic 52:54:00:aa:00:01); ip link set $n down; ip link set $n master bond0",
            "n=$(nic 52:54:00:aa:00:02); ip link set $n down; ip link set $n master bond0",
            "echo $(nic 52:54:00:aa:00:02) >/sys/class/net/bond0/bonding/primary",
            "ip link set bond0 up",
            "ip link add link bond0 name vlan500 type vlan id 500",
            "ip link set vlan500 up",
            "ip address add 10.0.0.11/24 dev vlan500",
            "ip route add default via 10.0.0.254 dev vlan500",
            "echo nameserver 10.0.0.53 >>/etc/resolv.conf",
        ];
        let positions: Vec<usize> = order.iter().map(|text| position(text)).collect();
        assert!(positions.is_sorted(), "{commands:#?}");
    }

    #[test]
    fn what_cannot_be_made_so_has_no_commands() {
        for (profile, addresses) in [
            ("{nics: {eth0: {}}}", "{}"),
            ("{bridges: {br0: {interfaces: [eth0, eth1], subnet: internal}}}", "{br0: 10.0.0.11}"),
        ] {
            assert_eq!(of(profile, addresses), None, "{profile}");
        }
        let plain = of("{nics: {eth0: {subnet: internal}}}", "{eth0: 10.0.0.11}").unwrap();
        assert!(plain.contains(&"ip link set $(nic 52:54:00:aa:00:01) up".to_owned()), "{plain:?}");
    }
}
