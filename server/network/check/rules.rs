//! Every rule: what it finds, why that matters, and what to do about it. Pure data.

use serde::Serialize;

use super::Severity;

/// One rule of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its stable id, such as `N150`.
    pub id: &'static str,
    /// How bad its findings are.
    pub severities: &'static [Severity],
    /// What it finds, in a few words.
    pub title: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

impl Rule {
    /// The rule with this id.
    pub fn find(id: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.id == id)
    }

    /// How bad its findings are, in words: `error`, `warning`, or `error or warning`.
    pub fn severity_text(&self) -> String {
        self.severities.iter().map(|one| one.label()).collect::<Vec<_>>().join(" or ")
    }
}

const ERROR: &[Severity] = &[Severity::Error];
const WARNING: &[Severity] = &[Severity::Warning];
const EITHER: &[Severity] = &[Severity::Error, Severity::Warning];

const fn rule(
    id: &'static str,
    severities: &'static [Severity],
    title: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Rule {
    Rule { id, severities, title, why, fix }
}

/// Every rule, by id.
#[rustfmt::skip] // a table: a rule a line
pub const RULES: &[Rule] = &[
    rule("N101", ERROR, "Invalid name", "Linux, DNS or a URL cannot carry the name, or a text has a control character.", "Interfaces: 1 to 15 characters. Hosts: RFC 1123. The loopback is always lo."),
    rule("N102", ERROR, "Two links with one name", "The kernel allows each interface name once per host.", "Rename one of the links."),
    rule("N103", WARNING, "Contested name", "Another program on the host, or the kernel itself, claims the name.", "Choose a name that nothing else uses, such as br0 or nic0."),
    rule("N104", EITHER, "MAC address not unique or not unicast", "A host is recognised by its MAC addresses.", "Use the NIC's permanent unicast MAC address, once in the whole site."),
    rule("N105", WARNING, "Locally administered MAC address", "The permanent MAC address of a NIC is assigned by its vendor; a local one was usually copied from a bond.", "Use the permanent one: ip -d link shows it as permaddr."),
    rule("N106", ERROR, "match: mac matches two links", "A bond or bridge inherits the NIC's MAC address, so networkd would configure the wrong link.", "Set match: permanent-mac."),
    rule("N107", WARNING, "Pattern matches another link", "A pattern in match-name also matches another link of the host.", "Narrow the pattern."),
    rule("N108", EITHER, "NIC cannot be found or named", "The files cannot find the NIC, or refer to a kernel name that nothing sets.", "Set path, set-name or a MAC address, or match: name."),
    rule("N109", ERROR, "Identity of two hosts", "A UUID, client identifier or switch port identifies one host.", "Remove it from one of the hosts."),
    rule("N110", ERROR, "Invalid VLAN id", "A VLAN needs an id from 1 to 4094.", "Set id, or the vlan of its subnet."),
    rule("N111", ERROR, "VLAN id twice on one link", "Two VLANs with one id on one parent receive the same packets, and so does a link without a tag.", "Change one id or one parent."),
    rule("N112", ERROR, "Parent is a member of a bond or bridge", "A bond or bridge takes all packets of its members.", "Put the link on the bond or bridge."),
    rule("N113", EITHER, "Unusable VXLAN", "The VNI has 24 bits, the outer headers take 50 or 70 bytes, and the tunnel needs a source address.", "Correct vni, raise the MTU below, or give the link below an address."),
    rule("N114", WARNING, "VLAN not carried by the switch", "The switch drops packets of VLANs that it does not carry.", "Add the VLAN to the switch's vlans."),
    rule("N115", ERROR, "Ends of a virtual cable do not match", "A veth pair has two ends, and each names the other.", "Correct peer."),
    rule("N116", EITHER, "Links that exclude each other on one parent", "The kernel does not allow them together, or DHCP would give them one address.", "Use one kind and one mode, or a MACVLAN instead."),
    rule("N117", WARNING, "DHCP with a MAC address of no NIC", "The server recognises the host by its NICs' MAC addresses.", "Set macaddress: inherit."),
    rule("N118", ERROR, "Invalid port name", "The switch's vendor does not use such port names.", "Use Ethernet12 (EOS, SONiC) or swp12 (NVUE)."),
    rule("N119", ERROR, "Two cables to one switch port", "A switch port has one cable.", "Correct switch and port of one of the NICs."),
    rule("N120", ERROR, "Impossible stack of links", "A link can be in one bond, bridge or VRF, once, and never in itself.", "Remove it from one of them."),
    rule("N121", ERROR, "Address on a member", "Packets of a member belong to the bond or bridge, so addresses and routes on it are lost.", "Move them to the bond or bridge."),
    rule("N122", EITHER, "Too few members", "A bond needs a member; with one it gives no redundancy.", "Add members."),
    rule("N123", EITHER, "Members that do not fit together", "A bond uses members of one speed, rail, NUMA node and GPU alike.", "Choose other members."),
    rule("N124", ERROR, "Bond parameter of another mode", "The kernel ignores or refuses the parameter in this mode.", "Remove it, or change mode."),
    rule("N125", ERROR, "No usable link monitoring", "Without it, or with two kinds of it, a dead link keeps receiving traffic.", "Set either mii-monitor or arp-interval."),
    rule("N126", WARNING, "Delay rounded by the kernel", "Delays are counted in intervals of mii-monitor.", "Use a multiple of mii-monitor."),
    rule("N127", EITHER, "Members that cannot form one bond", "min-links exceeds the number of members, or cables end on switches that are not an MLAG pair.", "Lower min-links, or move the cables."),
    rule("N128", ERROR, "Bond value out of range", "The kernel refuses the value.", "Use a value in the range that the message names."),
    rule("N129", ERROR, "Inconsistent MLAG pair", "Both switches of a pair name each other and have one vendor.", "Correct mlag-peer on both."),
    rule("N130", ERROR, "MTU larger than below", "The link below drops packets that are larger than its MTU.", "Raise the MTU below, or lower this one."),
    rule("N131", WARNING, "Ports with different MTUs", "A bridge passes packets that its smaller port drops.", "Give all ports one MTU."),
    rule("N132", EITHER, "MTU out of range", "Protocol, hardware or switch port cannot carry it.", "IPv4 needs at least 68 bytes, IPv6 1280; hardware and switch set the maximum."),
    rule("N133", WARNING, "MTU differs from the subnet's", "Other hosts of the subnet cannot receive larger packets.", "Set the MTU of the subnet."),
    rule("N140", ERROR, "Unusable address", "The network or broadcast address, host bits in a prefix, or an address that is its own peer.", "Choose another address."),
    rule("N141", ERROR, "Address of two hosts", "An address belongs to one host of its routing domain.", "Change one of the addresses."),
    rule("N142", ERROR, "Address in another range", "The range gives its addresses to somebody else.", "Choose an address outside it."),
    rule("N143", ERROR, "Address of the gateway or the server", "The address is in use.", "Choose another address."),
    rule("N144", ERROR, "Two links in one subnet", "The kernel answers ARP for both on either link.", "Give each link a routing table, or use a bond."),
    rule("N145", EITHER, "Overlapping subnets, or a subnet of another rail", "An address would belong to two networks.", "Correct cidr, or set vrf on both; cable the NIC to the right rail."),
    rule("N146", ERROR, "Missing address", "The link needs an address.", "Set one, or give the subnet a range for hosts."),
    rule("N147", ERROR, "Address outside its subnet", "Packets to it never reach the host.", "Choose an address inside the subnet."),
    rule("N148", ERROR, "Invalid range", "It lies outside the subnet, ends before it begins, or overlaps another.", "Correct from and to."),
    rule("N149", ERROR, "Invalid name of a shared network", "It is shown in URLs and metrics.", "Use letters, digits, dots, hyphens and underscores."),
    rule("N150", ERROR, "Unreachable router", "networkd waits for such a route for ever, without an error.", "Correct the address, or set on-link: true."),
    rule("N151", EITHER, "Two default routes", "Which one is used depends on the order in which links come up.", "Set default-route: false on one of the links."),
    rule("N152", WARNING, "No way out", "The host has no address, default route or resolver.", "Add it, or allow N152 for an isolated host."),
    rule("N153", EITHER, "Server unreachable", "The host could neither report nor fetch a fix.", "Add a route or a link to the server's subnet."),
    rule("N154", EITHER, "Table without routes or without rules", "A rule leads to an empty table, or no rule leads to a table.", "Add the route or the rule."),
    rule("N155", EITHER, "Unusable rule priority", "It is outside 1 to 32765, used twice, or the rule never matches.", "Choose another priority."),
    rule("N156", ERROR, "Table in use", "The table belongs to the kernel or to a VRF.", "Choose a free table from 100 on."),
    rule("N157", WARNING, "Kernel setting in the way", "The profile's routes do not work with it.", "Set the value that the message names."),
    rule("N158", EITHER, "Unusable route", "Its routers contradict each other or cannot be reached.", "Correct the route; put routes over several links under loopbacks: {lo: ...}."),
    rule("N159", ERROR, "cpus, users or slices without a way out", "Their connections leave by a mark, a table and an address.", "Set table and mark, and an address; list each processor, user and slice once."),
    rule("N160", WARNING, "Unusable resolver", "No route leads to it, or nothing verifies its certificate.", "Add a route, or the name: ADDRESS#NAME."),
    rule("N161", WARNING, "Setting without effect", "It is about DHCP or router advertisements, which the link does not use.", "Remove it."),
    rule("N162", WARNING, "Never considered configured", "systemd 257 waits for router advertisements on a link that only carries others.", "Set accept-ra: false."),
    rule("N163", WARNING, "Waits too long or not at all", "systemd-networkd-wait-online waits 120 s for a link without an address, or for nothing.", "Set or remove optional."),
    rule("N164", EITHER, "Spanning tree on a host", "The network is delayed, and a switch port with BPDU guard shuts down.", "Set stp: false."),
    rule("N165", ERROR, "Bridge value out of range", "The kernel refuses it, or ignores it without vlan-filtering.", "Use a value in the range that the message names."),
    rule("N166", EITHER, "Loop through the host", "A bridge over two ways to the network sends a broadcast round for ever, and takes down every switch on the way.", "Use a bond, a bridge for each VLAN, or stp: true."),
    rule("N167", EITHER, "Bridge outside its own VLANs", "A bridge with vlan-filtering filters what is for the host itself as well.", "Add the VLAN to the bridge's own entry under its ports."),
    rule("N168", ERROR, "InfiniBand where Ethernet is needed", "An IPoIB link carries IP without Ethernet frames: bridges, VLANs and MACVLANs cannot be on it, and bonds only as active-backup.", "Give the port an address of its own, or use an Ethernet NIC."),
    rule("N170", ERROR, "Too new for the host's systemd", "The host would skip the line.", "Remove the setting, or set systemd to the hosts' version."),
    rule("N171", EITHER, "Format cannot express it", "It would be lost, or is left out where the link does its work without it.", "Use another format, or remove the setting."),
    rule("N172", WARNING, "Firmware cannot boot from the port", "Firmware speaks no LACP and sends no VLAN tags.", "Enable LACP fallback and set a native VLAN."),
    rule("N173", WARNING, "Root file system on the network", "Reconfiguring the link would remove the host's root.", "Set critical: true."),
    rule("N174", ERROR, "Shared address announced too widely", "The host would answer ARP for the whole prefix, or for an address of another host.", "Use a /32 or /128, and the kernel settings that the message names."),
    rule("N175", EITHER, "Impossible virtual functions", "The device does not have them, or the kernel refuses the value.", "Correct count or the function's values."),
    rule("N176", ERROR, "Unusable extra key or file", "A section, key or path that cannot be written, or that has no effect on such a link.", "Correct the name or the path; what extra keys mean is not checked."),
    rule("N177", ERROR, "Extra file in place of a generated one", "The host would have only one of the two files.", "Choose another name for the file, or add keys with extra of the link."),
    rule("N180", EITHER, "Unknown name", "Nothing has this name.", "Correct the spelling; the message proposes the nearest name."),
    rule("N181", EITHER, "Missing NIC", "The profile needs a NIC that the host does not have.", "Add the NIC to the host."),
    rule("N182", ERROR, "Setting without meaning", "It cannot apply to this link.", "Remove it."),
    rule("N183", ERROR, "Image that cannot boot", "An image boots exactly one thing, and its installer needs its recipe filled in.", "Set one of kernel, efi, script, disk and local; correct the recipe at the line that the message names."),
    rule("N184", WARNING, "Rack unit in use", "A unit holds one host or switch, and a rack has a fixed number of units.", "Correct unit or rack."),
    rule("N185", WARNING, "Error in allow", "An error cannot be silenced.", "Fix the error and remove the rule from allow."),
    rule("N186", ERROR, "Unreadable profile", "It cannot be resolved for the host.", "Correct the profile at the named place."),
    rule("N187", EITHER, "Parameter without value or without profile", "A profile needs a value, or no profile takes the parameter.", "Set it at the host, its rack or the site, or remove it."),
    rule("N188", ERROR, "Address cannot be computed", "The number does not fit the subnet.", "Correct the expression, or set the address on the host."),
    rule("N189", WARNING, "Address differs from the computed one", "The host keeps the address that it was given.", "Remove the address from the host."),
    rule("N190", ERROR, "Network of another tenant", "VLANs and subnets keep tenants apart.", "Use a subnet of the host's tenant."),
    rule("N191", ERROR, "Tenant without the role", "The profile uses tenant/ROLE, and no subnet of the tenant has that role.", "Set role on one of the tenant's subnets."),
    rule("N192", ERROR, "Invalid rental period", "It ends before it begins, or belongs to no tenant.", "Correct the days, or set tenant."),
    rule("N193", ERROR, "Role of two subnets", "tenant/ROLE would be ambiguous.", "Change one role."),
    rule("N201", ERROR, "Reserved AS number", "Routers refuse it.", "Use 4200000000 to 4294967294 or an assigned number."),
    rule("N202", ERROR, "No router id", "BGP needs an IPv4 address of the host's own as identifier.", "Set router-id to a link with such an address."),
    rule("N203", EITHER, "Unusable BGP neighbor", "No session can be established.", "Correct link or address."),
    rule("N204", ERROR, "Announced prefix does not end here", "Packets to it would be dropped by the host.", "Announce a prefix that a link has."),
    rule("N205", ERROR, "max-paths out of range", "FRR is built for at most 128.", "Use 1 to 128."),
    rule("N206", ERROR, "Redistribution without a guard", "Every route of the host would be announced, or none.", "Name the networks of the guests in within, each source once."),
    rule("N207", ERROR, "Unusable timers of BGP", "They are whole seconds, and a sign of life comes within the hold time.", "Set hold to 3 s or more, and keepalive to a third of it."),
    rule("N208", ERROR, "Unusable route map", "FRR refuses every route of a map that does not exist.", "Add the map to route-maps, or correct its name."),
    rule("N209", EITHER, "EVPN without its VXLAN or VRF", "MACs and routes would have no tunnel to travel in.", "Add a VXLAN without remote and with mac-learning: false, and the VRF."),
    rule("N210", ERROR, "Boot file name too long", "A DHCP answer carries 127 bytes.", "Use a shorter name."),
    rule("N211", ERROR, "Unusable lease times", "A lease lasts at least 60 s; it is renewed before it is rebound, and rebound before it ends.", "Set lease-time, renew-time and rebind-time in that order of size."),
    rule("N212", EITHER, "BMC among the NICs", "DHCP would give it the host's address.", "Move it to bmc: {mac: ...}."),
    rule("N213", ERROR, "Relay of two subnets", "A relay selects one subnet by its address.", "Remove the relay address from one, or name the link of both with shared-network."),
    rule("N214", WARNING, "BMC outside every subnet", "DHCP gives addresses of subnets only.", "Add the subnet, or correct the BMC's address."),
    rule("N215", WARNING, "Racks with almost the same name", "A typo in a host's rack makes another rack.", "Correct the rack of the hosts, then remove the other rack."),
    rule("N216", WARNING, "Cable to another rack", "A host that was moved keeps the cables of its old place in the inventory.", "Set the ports that it is cabled to now."),
    rule("N217", WARNING, "One VLAN with two subnets", "Both are one broadcast domain: DHCP and ARP of each reach the other.", "Give each subnet a VLAN, or both the same shared-network."),
    rule("N218", WARNING, "Unequal rails", "Flows of one rail would cross the spines, or a host has fewer rails than the others, and the slowest sets the pace.", "Cable the NIC to the switch of the others; give hosts with other rails a profile of their own."),
    rule("N219", WARNING, "Number of BGP that several hosts have", "A host refuses routes with its own AS number; a switch takes one router id for one router.", "Compute asn, and give each host an address of its own."),
    rule("N220", WARNING, "File of an image is missing or changed", "A host that boots the image waits until the file is there, or boots something else than what was added.", "Copy the file below files_dir, correct its name, or add it again: rackstrap image add NAME --replace."),
    rule("N221", WARNING, "Anycast address of one host", "Nobody else answers when the host is down.", "Give it to another host, or set role: secondary."),
    rule("N222", WARNING, "Option 66 beside another siaddr", "Firmware takes its boot file from siaddr.", "Set next-server: it fills both."),
    rule("N223", WARNING, "Packets larger than the path takes", "A switch or the other host drops them without a message: small packets pass, and transfers stop.", "Give all hosts of the subnet one MTU, and its switches room for it."),
    rule("N230", ERROR, "Unusable network namespace", "The link would not be there, or what networkd does on other links is not done in a namespace.", "Give the namespace a NIC, VLAN, veth, MACVLAN or IPVLAN with addresses and routes."),
    rule("N231", EITHER, "Unusable settings of RDMA", "Packets of RDMA would be lost or sent as others, or NCCL would look for what is not there.", "Use priorities 0 to 7 and a DSCP of 0 to 63, and name NICs that have an rdma-device."),
    rule("N232", ERROR, "Setting that Open vSwitch does not have", "The bridge is made by ovs-vsctl, and such a setting would be lost.", "Remove it, or openvswitch."),
    rule("N240", ERROR, "Secret that is missing or sealed", "The host would get a file without its password or key.", "Set it with rackstrap secret set, or copy the key file to this server."),
    rule("N241", ERROR, "Secret that does not fit", "The program that reads it would refuse it.", "Set another value with rackstrap secret set."),
    rule("N242", EITHER, "WireGuard that cannot connect", "One network is behind one peer, and one of two ends calls the other. A network that the host is in is not behind a peer, and packets that do not fit are cut.", "Set listen-port and link, or the endpoint of the peer; give each network to one peer; lower the MTU."),
    rule("N245", EITHER, "MACsec that hears nobody", "The kernel would not make the link, or would drop every frame of a peer.", "Put it on a NIC, bond, VLAN or bridge; give it mesh or peers with different MACs."),
    rule("N246", EITHER, "NIC that the switch would not let in", "The program that asks to be let in (IEEE 802.1X) would lack something, or show a password to anybody.", "Give the method what it needs: password for peap and ttls, client-certificate and client-key for tls; set ca-certificate."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::RULES;

    /// What the sources of the rules say: the ids that they report, and how.
    fn reported() -> BTreeMap<String, (bool, bool)> {
        let mut found: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/server/network/check");
        for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if !file.is_file() || file.ends_with("rules.rs") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for (call, is_error) in [(".error(", true), (".warn(", false)] {
                for after in code.split(call).skip(1) {
                    let Some(id) = after.trim_start().strip_prefix("\"N") else { continue };
                    let (errors, warnings) = found.entry(format!("N{}", &id[..3])).or_default();
                    *(if is_error { errors } else { warnings }) = true;
                }
            }
        }
        found
    }

    #[test]
    fn the_list_has_every_rule_that_is_reported_with_its_severity() {
        let reported = reported();
        assert!(RULES.is_sorted_by_key(|rule| rule.id));
        for rule in RULES {
            // These two choose their id by what they find.
            if ["N186", "N187"].contains(&rule.id) {
                continue;
            }
            let (errors, warnings) = reported.get(rule.id).copied().unwrap_or_default();
            let expected = match (errors, warnings) {
                (true, true) => "error or warning",
                (true, false) => "error",
                (false, true) => "warning",
                (false, false) => "never reported",
            };
            assert_eq!(rule.severity_text(), expected, "{}", rule.id);
        }
        for id in reported.keys() {
            assert!(super::Rule::find(id).is_some(), "{id} is not in the list");
        }
    }

    #[test]
    fn the_guide_explains_every_rule_and_no_other() {
        let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/rules.md");
        let guide = fs::read_to_string(guide).unwrap();
        let sections = guide.lines().filter_map(|line| line.strip_prefix("### "));
        let mut explained: Vec<&str> = sections.filter(|title| title.starts_with('N')).collect();
        explained.sort_unstable();
        explained.dedup();
        assert_eq!(explained, RULES.iter().map(|rule| rule.id).collect::<Vec<_>>());
    }
}
