//! Networks of hosts: one profile for those that agree, and the same meaning as before.

use super::{Shelf, imported, site};
use crate::import::networks::meaning::Meaning;
use crate::import::networks::{Dialect, read_host};
use crate::import::{Choices, Source, import};
use crate::model::{MatchBy, RouteKind, RouteSpec};
use crate::network::{Format, layout, render_host};
use crate::profile::ResolvedSite;

/// A host of a rack, as netplan has it.
fn netplan(n: u32) -> String {
    format!(
        "network:\n  version: 2\n  ethernets:\n    \
         eno1: {{match: {{macaddress: \"02:00:5e:60:{n:02x}:01\"}}, set-name: eno1, mtu: 9000}}\n    \
         eno2: {{match: {{macaddress: \"02:00:5e:60:{n:02x}:02\"}}, set-name: eno2, mtu: 9000}}\n  \
         bonds:\n    bond0: {{interfaces: [eno1, eno2], mtu: 9000, parameters: {{mode: 802.3ad, lacp-rate: fast, mii-monitor-interval: 100}}}}\n  \
         vlans:\n    bond0.120: {{id: 120, link: bond0, addresses: [10.60.0.{n}/24], routes: [{{to: default, via: 10.60.0.1}}, \
         {{to: 10.99.0.0/16, via: 10.60.0.2, metric: 50}}], nameservers: {{addresses: [10.60.0.2]}}}}\n"
    )
}

#[test]
fn a_bond_and_a_vlan_of_a_running_host() {
    let (made, found) = imported("n11.yaml", &netplan(11));
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(
        made,
        site(
            "subnets: {vlan120: {cidr: 10.60.0.0/24, vlan: 120, gateway: 10.60.0.1, mtu: 9000, dns: [10.60.0.2]}}\n\
             profiles:\n  bond-vlan:\n    nics: {eno1: {}, eno2: {}}\n    \
             bonds: {bond0: {nics: [eno1, eno2], mode: 802.3ad, lacp-rate: fast, mii-monitor: 100ms, transmit-hash-policy: layer2, mtu: 9000}}\n    \
             vlans: {bond0.120: {link: bond0, mtu: 9000, subnet: vlan120, routes: [{to: 10.99.0.0/16, via: 10.60.0.2, metric: 50}]}}\n\
             hosts: {n11: {profile: bond-vlan, nics: {eno1: \"02:00:5e:60:0b:01\", eno2: \"02:00:5e:60:0b:02\"}, \
             addresses: {bond0.120: 10.60.0.11}}}"
        )
    );
}

#[test]
fn files_of_one_name_in_several_directories_are_of_several_hosts() {
    let sources = ["web1", "web2"].map(|host| {
        let number = if host == "web1" { 11 } else { 12 };
        Source::new(&format!("racks/{host}/nics.yaml"), netplan(number))
    });
    let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
    let hosts: Vec<&String> = imported.site.hosts.keys().collect();
    assert_eq!(hosts, ["web1", "web2"], "{:?}", imported.not_taken);
}

#[test]
fn forty_hosts_that_agree_share_a_profile() {
    let mut sources: Vec<Source> =
        (1..=40).map(|n| Source::new(&format!("n{n}.yaml"), netplan(n + 10))).collect();
    let odd = netplan(90).replace("lacp-rate: fast, ", "");
    sources.push(Source::new("odd.yaml", odd));
    let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
    assert!(imported.not_taken.is_empty(), "{:?}", imported.not_taken);
    assert_eq!(imported.site.profiles.len(), 2);
    let of_first =
        imported.site.hosts.values().filter(|host| host.profile.as_deref() == Some("bond-vlan"));
    assert_eq!(of_first.count(), 40);
    assert_eq!(imported.site.hosts["odd"].profile.as_deref(), Some("bond-vlan-2"));
    // What is rendered says the same, in both notations that are read.
    let resolved = ResolvedSite::from(imported.site.clone());
    let file = |source: &Source| read_host(Dialect::Netplan, &[source]).unwrap().meaning;
    for (source, host) in
        sources.iter().map(|source| (source, source.name.trim_end_matches(".yaml")))
    {
        let before = file(source);
        for (format, dialect) in
            [(Format::Netplan, Dialect::Netplan), (Format::Networkd, Dialect::Networkd)]
        {
            let files = render_host(&resolved, host, format).unwrap();
            let again: Vec<Source> =
                files.iter().map(|file| Source::new(&file.name, file.text.clone())).collect();
            let again: Vec<&Source> = again.iter().collect();
            let after = read_host(dialect, &again).unwrap().meaning;
            let differences: Vec<String> =
                before.differences(&after).iter().map(ToString::to_string).collect();
            assert!(differences.is_empty(), "{host} {format}: {differences:#?}");
        }
        assert_eq!(before.differences(&Meaning::of(&layout(&resolved, host))), Vec::new());
    }
}

#[test]
fn networkd_files_of_a_directory() {
    let files = [
        (
            "r1/n1/etc/systemd/network/10-eno1.network",
            "[Match]\nPermanentMACAddress=02:00:5e:60:00:01\n[Network]\nBond=bond0\n",
        ),
        (
            "r1/n1/etc/systemd/network/10-eno2.network",
            "[Match]\nPermanentMACAddress=02:00:5e:60:00:02\n[Network]\nBond=bond0\n",
        ),
        (
            "r1/n1/etc/systemd/network/20-bond0.netdev",
            "[NetDev]\nName=bond0\nKind=bond\n[Bond]\nMode=active-backup\nMIIMonitorSec=0.1s\n",
        ),
        (
            "r1/n1/etc/systemd/network/20-bond0.network",
            "[Match]\nName=bond0\n[Network]\nBridge=br0\n",
        ),
        (
            "r1/n1/etc/systemd/network/30-br0.netdev",
            "[NetDev]\nName=br0\nKind=bridge\n[Bridge]\nSTP=no\n",
        ),
        (
            "r1/n1/etc/systemd/network/30-br0.network",
            "[Match]\nName=br0\n[Network]\nAddress=10.1.0.7/24\nGateway=10.1.0.1\nDNS=10.1.0.2\n\
          Address=10.1.0.77/24\n[Route]\nDestination=10.8.0.0/16\nGateway=10.1.0.9\n[RoutingPolicyRule]\nFrom=10.1.0.77/32\nTable=100\nPriority=90\n[DHCPServer]\nPoolOffset=5\n",
        ),
    ];
    let sources: Vec<Source> = files.iter().map(|(name, text)| Source::new(name, *text)).collect();
    let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
    assert_eq!(
        crate::site_file::render(&imported.site),
        site(
            "subnets: {10.1.0.0-24: {cidr: 10.1.0.0/24, gateway: 10.1.0.1, dns: [10.1.0.2]}}\n\
             profiles:\n  bond-bridge:\n    nics: {eno1: {}, eno2: {}}\n    \
             bonds: {bond0: {mode: active-backup, mii-monitor: 100ms, nics: [eno1, eno2]}}\n    \
             bridges: {br0: {stp: false, interfaces: [bond0], subnet: 10.1.0.0-24, routes: [{to: 10.8.0.0/16, via: 10.1.0.9}], \
             routing-policy: [{from: 10.1.0.77/32, table: 100, priority: 90}]}}\n\
             hosts: {n1: {profile: bond-bridge, nics: {eno1: \"02:00:5e:60:00:01\", eno2: \"02:00:5e:60:00:02\"}, \
             addresses: {br0: 10.1.0.7}, network: {bridges: {br0: {addresses: [{address: 10.1.0.77/24, role: secondary}]}}}}}"
        )
    );
    let found: Vec<String> = imported.not_taken.iter().map(|one| one.text.clone()).collect();
    assert_eq!(found, ["[DHCPServer] PoolOffset=5"]);
}

#[test]
fn the_key_of_a_tunnel_is_not_a_vlan() {
    let directory = "r1/n1/etc/systemd/network";
    let files = [
        ("10-eno1.network", "[Match]\nName=eno1\n[Network]\nAddress=192.0.2.7/24\nTunnel=gre1\n"),
        (
            "20-gre1.netdev",
            "[NetDev]\nName=gre1\nKind=gre\n[Tunnel]\nLocal=192.0.2.7\nRemote=192.0.2.8\nKey=42\n",
        ),
        ("20-gre1.network", "[Match]\nName=gre1\n[Network]\nAddress=198.51.100.1/30\n"),
    ];
    let source = |(name, text): &(&str, &str)| Source::new(&format!("{directory}/{name}"), *text);
    let sources: Vec<Source> = files.iter().map(source).collect();
    let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
    assert!(imported.site.subnets.values().all(|subnet| subnet.vlan.is_none()));
    let written = crate::site_file::render(&imported.site);
    assert!(written.contains("id: 42"), "{written}");
}

#[test]
fn what_netplan_says_and_a_profile_cannot_is_reported() {
    let text = "network:\n  version: 2\n  wifis: {w: {}}\n  ethernets:\n    eth0:\n      match: {driver: ixgbe}\n      addresses: [10.0.0.5/24, \"fd00::5/64\"]\n      \
                gateway4: 10.0.0.1\n      wakeonlan: true\n      routing-policy: [{from: 10.0.0.5/32, table: 5}]\n";
    let (_, found) = imported("n.yaml", text);
    let lines: Vec<&str> = found.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["n.yaml:3", "n.yaml:6", "n.yaml:10"], "{found:#?}");
}

/// The same network in every notation: a bond, a VLAN with an address, a default route and another one.
const EVERY: &[(&str, &[(&str, &str)])] = &[
    (
        "ifupdown",
        &[(
            "n1/etc/network/interfaces",
            "auto lo\niface lo inet loopback\nauto eno1\niface eno1 inet manual\n mtu 9000\niface eno2 inet manual\n mtu 9000\n\
       auto bond0\niface bond0 inet manual\n bond-slaves eno1 eno2\n bond-mode active-backup\n bond-miimon 100\n mtu 9000\n\
       iface bond0.120 inet static\n address 10.60.0.11\n netmask 255.255.255.0\n gateway 10.60.0.1\n dns-nameservers 10.60.0.2\n\
       up ip route add 10.99.0.0/16 via 10.60.0.2 metric 50\n post-up /usr/local/bin/thing\n",
        )],
    ),
    (
        "keyfile",
        &[
            (
                "n1/a.nmconnection",
                "[connection]\nid=eno1\ninterface-name=eno1\ntype=ethernet\nmaster=bond0\nslave-type=bond\n[ethernet]\nmtu=9000\n",
            ),
            (
                "n1/b.nmconnection",
                "[connection]\nid=eno2\ninterface-name=eno2\ntype=ethernet\nmaster=5d1b7e9c-0000-4000-8000-000000000001\nslave-type=bond\n[ethernet]\nmtu=9000\n",
            ),
            (
                "n1/c.nmconnection",
                "[connection]\nid=the bond\nuuid=5d1b7e9c-0000-4000-8000-000000000001\ninterface-name=bond0\ntype=bond\n[ethernet]\nmtu=9000\n[bond]\nmode=active-backup\nmiimon=100\n[ipv4]\nmethod=disabled\n",
            ),
            (
                "n1/d.nmconnection",
                "[connection]\nid=v\ninterface-name=bond0.120\ntype=vlan\n[vlan]\nid=120\nparent=bond0\n[ipv4]\nmethod=manual\naddress1=10.60.0.11/24,10.60.0.1\ndns=10.60.0.2;\nroute1=10.99.0.0/16,10.60.0.2,50\n[proxy]\n[ipv6]\nmethod=ignore\n[tc]\nqdisc.root=fq\n",
            ),
        ],
    ),
    (
        "nmstate",
        &[(
            "n1.yml",
            "interfaces:\n- {name: eno1, type: ethernet, state: up, mtu: 9000}\n- {name: eno2, type: ethernet, state: up, mtu: 9000}\n\
       - name: bond0\n  type: bond\n  state: up\n  mtu: 9000\n  link-aggregation: {mode: active-backup, port: [eno1, eno2], options: {miimon: 100}}\n\
       - name: bond0.120\n  type: vlan\n  state: up\n  vlan: {base-iface: bond0, id: 120}\n  ipv4: {enabled: true, address: [{ip: 10.60.0.11, prefix-length: 24}]}\n\
       routes:\n  config:\n  - {destination: 0.0.0.0/0, next-hop-address: 10.60.0.1, next-hop-interface: bond0.120}\n\
       \x20 - {destination: 10.99.0.0/16, next-hop-address: 10.60.0.2, next-hop-interface: bond0.120, metric: 50}\n\
       dns-resolver: {config: {server: [10.60.0.2]}}\novn: {x: 1}\n",
        )],
    ),
];

#[test]
fn every_notation_of_a_network_is_the_same_profile() {
    for (notation, files) in EVERY {
        let sources: Vec<Source> =
            files.iter().map(|(name, text)| Source::new(name, *text)).collect();
        let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
        assert_eq!(
            imported.site,
            parsed(
                "subnets: {vlan120: {cidr: 10.60.0.0/24, vlan: 120, gateway: 10.60.0.1, mtu: 9000, dns: [10.60.0.2]}}\n\
                 profiles:\n  bond-vlan:\n    match: name\n    nics: {eno1: {}, eno2: {}}\n    \
                 bonds: {bond0: {mode: active-backup, mii-monitor: 100ms, mtu: 9000, nics: [eno1, eno2]}}\n    \
                 vlans: {bond0.120: {link: bond0, mtu: 9000, subnet: vlan120, routes: [{to: 10.99.0.0/16, via: 10.60.0.2, metric: 50}]}}\n\
                 hosts: {n1: {profile: bond-vlan, addresses: {bond0.120: 10.60.0.11}}}"
            ),
            "{notation}"
        );
        // One line of each is nothing that a profile has.
        assert_eq!(imported.not_taken.len(), 1, "{notation}: {:#?}", imported.not_taken);
    }
}

/// A site, to compare regardless of the order of its keys.
fn parsed(text: &str) -> crate::model::Site {
    crate::site_file::parse(text, "expected").unwrap()
}

/// What nmstate says for the host and a site for links: rules, routes that lead nowhere, resolvers,
/// search domains.
fn of_the_host(meaning: &mut Meaning) -> std::collections::BTreeSet<String> {
    let mut said = std::collections::BTreeSet::new();
    for link in meaning.links.values_mut() {
        said.extend(std::mem::take(&mut link.rules).iter().map(|rule| format!("{rule:?}")));
        said.extend(std::mem::take(&mut link.dns));
        let nowhere = |route: &RouteSpec| route.kind != RouteKind::default();
        let routes = link.routes.iter().filter(|route| nowhere(route));
        said.extend(routes.map(|route| format!("{route:?}")));
        link.routes.retain(|route| !nowhere(route));
        said.extend(std::mem::take(&mut link.domains));
    }
    said
}

#[test]
fn desired_states_that_are_rendered_mean_the_same_when_they_are_read() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (mut read, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let site = ResolvedSite::from(crate::site_file::parse(&text, "golden").unwrap());
        let Ok(files) = render_host(&site, "r1-n01", Format::Nmstate) else { continue };
        let file = files.iter().find(|file| file.name == "90-rackstrap.yml").unwrap();
        let source = Source::new("r1-n01.yml", file.text.clone());
        let again = read_host(Dialect::Nmstate, &[&source]).unwrap();
        let left: Vec<String> = again.left_out.iter().map(ToString::to_string).collect();
        let (mut before, mut after) = (Meaning::of(&layout(&site, "r1-n01")), again.meaning);
        let apart = (of_the_host(&mut before), of_the_host(&mut after));
        // Files that find NICs by their names say no MAC.
        if layout(&site, "r1-n01").match_by == MatchBy::Name {
            for (name, link) in &mut after.links {
                link.mac = before.links.get(name).and_then(|link| link.mac);
            }
        }
        let mut differences = before.differences(&after);
        // It asks DHCPv6 where routers say so, whether a site says it or not.
        differences.retain(|one| one.fact != "dhcp6");
        if !(left.is_empty() && differences.is_empty() && apart.0 == apart.1) {
            wrong.push(format!("{}: {left:#?} {differences:#?} {apart:#?}", path.display()));
        }
        read += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(read > 10, "only {read} sites");
}

/// Lines of networkd's, by their beginnings, that are what a host does without them, or that another
/// line says as well.
const SAID_ANYWAY: [&str; 23] = [
    "MACVLAN Mode=bridge",
    "IPVLAN Mode=L2",
    "Match Name=",
    "Match Path=",
    "Match OriginalName=",
    "Match PermanentMACAddress=",
    "Link RequiredForOnline=",
    "Link MTUBytes=",
    "Link NamePolicy=",
    "Link MACAddressPolicy=",
    "Link AlternativeNamesPolicy=",
    "NetDev MTUBytes=",
    "NetDev MACAddress=",
    "VXLAN DestinationPort=4789",
    "VXLAN Local=",
    "VXLAN Independent=",
    "Tunnel Local=",
    "Tunnel Independent=",
    "GENEVE DestinationPort=6081",
    "DHCPv4 ClientIdentifier=mac",
    "Network DHCP=no",
    "Network VXLAN=",
    "Route Scope=link",
];

#[test]
fn every_line_of_networkds_files_is_taken_or_reported() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let (mut lines, mut silent) = (0, std::collections::BTreeSet::new());
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path().join("networkd");
        let Ok(files) = std::fs::read_dir(&path) else { continue };
        let sources: Vec<Source> = files
            .map(|file| file.unwrap().path())
            .filter(|file| {
                let ending = file.extension().and_then(|ending| ending.to_str());
                matches!(ending, Some("network" | "netdev" | "link"))
            })
            .map(|file| {
                let name =
                    format!("r1/etc/systemd/network/{}", file.file_name().unwrap().display());
                Source::new(&name, std::fs::read_to_string(file).unwrap())
            })
            .collect();
        let read = |sources: &[Source]| {
            let files: Vec<&Source> = sources.iter().collect();
            let read = read_host(Dialect::Networkd, &files).unwrap();
            (format!("{:?}", read.meaning), read.left_out)
        };
        let whole = read(&sources);
        for (index, source) in sources.iter().enumerate() {
            let mut section = String::new();
            for (number, line) in source.text.lines().enumerate() {
                if let Some(name) = line.strip_prefix('[') {
                    section = name.trim_end_matches(']').to_owned();
                }
                if !line.contains('=') || line.starts_with('#') {
                    continue;
                }
                lines += 1;
                // The line is empty, so that the others stay where they are.
                let others = source.text.lines().enumerate();
                let text: Vec<&str> =
                    others.map(|(other, line)| if other == number { "" } else { line }).collect();
                let mut without = sources.to_vec();
                without[index] = Source::new(&source.name, text.join("\n"));
                // A link of a kind that is not read, or that a pattern finds, is reported once, without
                // its keys.
                let is_reported = whole.1.iter().any(|one| {
                    let is_whole = one.text.starts_with("link of the kind")
                        || one.text.starts_with("[Match] ");
                    one.place.file == source.name && (is_whole || one.place.line == number + 1)
                });
                let shown = format!("{section} {line}");
                let said_anyway = SAID_ANYWAY.iter().any(|known| shown.starts_with(known));
                if !is_reported && !said_anyway && read(&without) == whole {
                    silent.insert(format!("{shown} ({})", source.name));
                }
            }
        }
    }
    assert!(silent.is_empty(), "passed over: {silent:#?}");
    assert!(lines > 1000, "only {lines} lines");
}

#[test]
fn keys_that_are_not_known_are_reported_by_line_in_every_section() {
    let sections = [
        ("network", "Match"),
        ("network", "Link"),
        ("network", "Network"),
        ("network", "Address"),
        ("network", "Neighbor"),
        ("network", "Route"),
        ("network", "RoutingPolicyRule"),
        ("network", "DHCPv4"),
        ("network", "DHCPv6"),
        ("network", "IPv6AcceptRA"),
        ("network", "Bridge"),
        ("network", "BridgeVLAN"),
        ("network", "SR-IOV"),
        ("network", "QDisc"),
        ("netdev", "NetDev"),
        ("netdev", "Bond"),
        ("netdev", "Bridge"),
        ("netdev", "Foo"),
        ("link", "Match"),
        ("link", "Link"),
    ];
    for (ending, section) in sections {
        let head = match ending {
            "netdev" => "[NetDev]\nName=eth0\nKind=bond\n",
            "link" => "[Match]\nMACAddress=02:00:5e:00:53:01\n[Link]\nName=eth0\n",
            _ => "[Match]\nName=eth0\n",
        };
        let text = format!("{head}[{section}]\nUnheardOf=1\n");
        let line = text.lines().count();
        let (_, found) = imported(&format!("n1/etc/systemd/network/10-eth0.{ending}"), &text);
        let at = format!("n1/etc/systemd/network/10-eth0.{ending}:{line}: ");
        assert!(found.iter().any(|one| one.starts_with(&at)), "{ending} [{section}]: {found:#?}");
    }
}

#[test]
fn drop_ins_and_directories_of_systemd_are_laid_over_each_other() {
    let base = "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.5/24\nDNS=192.0.2.8\n[Link]\nMTUBytes=1500\n";
    let files = [
        ("n1/usr/lib/systemd/network/10-eth0.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"),
        ("n1/etc/systemd/network/10-eth0.network", base),
        ("n1/etc/systemd/network/10-eth0.network.d/20-mtu.conf", "[Link]\nMTUBytes=9000\n"),
        (
            "n1/run/systemd/network/10-eth0.network.d/10-dns.conf",
            "[Network]\nDNS=\nDNS=192.0.2.9\n",
        ),
        (
            "n1/etc/systemd/network/10-eth0.network.d/30-routes.conf",
            "[Route]\nDestination=198.51.100.0/24\nGateway=192.0.2.1\n[Route]\nDestination=203.0.113.0/24\nGateway=192.0.2.2\n\
             [RoutingPolicyRule]\nFrom=192.0.2.5\nTable=7\nPriority=9\n",
        ),
    ];
    let sources: Vec<Source> = files.iter().map(|(name, text)| Source::new(name, *text)).collect();
    let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
    assert_eq!(imported.not_taken, [], "{:#?}", imported.not_taken);
    assert_eq!(
        imported.site,
        parsed(
            "subnets: {192.0.2.0-24: {cidr: 192.0.2.0/24, mtu: 9000, dns: [192.0.2.9]}}\n\
             profiles:\n  plain:\n    match: name\n    nics: {eth0: {mtu: 9000, subnet: 192.0.2.0-24, routes: \
             [{to: 198.51.100.0/24, via: 192.0.2.1}, {to: 203.0.113.0/24, via: 192.0.2.2}], \
             routing-policy: [{from: 192.0.2.5/32, table: 7, priority: 9}]}}\n\
             hosts: {n1: {profile: plain, addresses: {eth0: 192.0.2.5}}}"
        )
    );
}

/// What files of networkd come to: the site, and the report.
fn networkd(files: &[(&str, &str)]) -> (String, Vec<String>) {
    let source = |(name, text): &(&str, &str)| Source::new(&format!("n1/{name}"), *text);
    let sources: Vec<Source> = files.iter().map(source).collect();
    let imported = import(&sources, &Shelf::default(), &Choices::default()).unwrap();
    let report = imported.not_taken.iter().map(ToString::to_string).collect();
    (crate::site_file::render(&imported.site), report)
}

#[test]
fn an_empty_file_masks_those_of_its_name_and_their_drop_ins() {
    let (made, found) = networkd(&[
        ("usr/lib/systemd/network/10-eth0.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n"),
        ("etc/systemd/network/10-eth0.network", ""),
        ("etc/systemd/network/10-eth0.network.d/20-mtu.conf", "[Link]\nMTUBytes=9000\n"),
        ("usr/lib/systemd/network/20-eth1.network", "[Match]\nName=eth1\n[Network]\nDHCP=yes\n"),
        ("usr/lib/systemd/network/20-eth1.network.d/20-mtu.conf", "[Link]\nMTUBytes=9000\n"),
        ("etc/systemd/network/20-eth1.network.d/20-mtu.conf", ""),
        ("etc/systemd/network/30-gone.network.d/20-mtu.conf", "[Link]\nMTUBytes=9000\n"),
    ]);
    let expected = "profiles: {plain: {nics: {eth1: {dhcp4: true, dhcp6: true}}, match: name}}\n\
                    hosts: {n1: {profile: plain}}";
    assert_eq!(made, site(expected));
    assert_eq!(
        found,
        [
            "n1/etc/systemd/network/10-eth0.network.d/20-mtu.conf:1: 20-mtu.conf: 10-eth0.network, which it adds to, is masked or not given",
            "n1/etc/systemd/network/30-gone.network.d/20-mtu.conf:1: 20-mtu.conf: 30-gone.network, which it adds to, is masked or not given",
        ]
    );
}

#[test]
fn a_line_of_networkd_goes_on_behind_a_backslash() {
    let text = "[Match]\nName=eth0\n[Network]\nDomains=a.example \\\n# between\n  b.example \\\n  c.example\n\
                Description=x\\\\\nDNS=192.0.2.1\nDescription of nothing\n";
    let source = Source::new("10-eth0.network", text);
    let read = read_host(Dialect::Networkd, &[&source]).unwrap();
    let link = &read.meaning.links["eth0"];
    assert_eq!(link.domains, ["a.example", "b.example", "c.example"]);
    // Two of them are one that is meant.
    assert_eq!(link.dns, ["192.0.2.1"]);
    let found: Vec<String> = read.left_out.iter().map(ToString::to_string).collect();
    let not_one_line = "\"x\\\\\\\\\" is not allowed in a file: expected one line of at most";
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().any(|line| line.contains(not_one_line)), "{found:#?}");
    let stray = "10-eth0.network:10: Description of nothing: neither a section nor KEY=VALUE";
    assert!(found.iter().any(|line| line == stray), "{found:#?}");
}

#[test]
fn an_address_beside_dhcp_stays_beside_it() {
    let text = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nAddress=192.0.2.5/24\nGateway=192.0.2.1\n\
                Address=2001:db8::5/64\n";
    let (made, found) = networkd(&[("etc/systemd/network/10-eth0.network", text)]);
    assert_eq!(found, Vec::<String>::new());
    assert!(made.contains("eth0/192.0.2.0-24: \"192.0.2.5\""), "{made}");
    let resolved = ResolvedSite::from(crate::site_file::parse(&made, "made").unwrap());
    let files = render_host(&resolved, "n1", Format::Networkd).unwrap();
    let network = files.iter().find(|file| file.name == "01-eth0.network").unwrap();
    for line in ["DHCP=ipv4", "Address=192.0.2.5/24", "Gateway=192.0.2.1", "Address=2001:db8::5/64"]
    {
        assert!(network.text.contains(line), "{line}: {}", network.text);
    }
}

#[test]
fn netplan_in_any_style_with_what_it_overrides_and_rules_of_single_addresses() {
    let text = "network: {version: 2, ethernets: {eth0: {dhcp4: true, dhcp4-overrides: {use-dns: false, route-metric: 50, hostname: x}, \
                wakeonlan: true, tcp-segmentation-offload: false, routing-policy: [{from: 192.0.2.5, table: 7, priority: 9}]}}}\n";
    for text in [
        text.to_owned(),
        format!("{{{}}}", text.trim_end()),
        text.replace("{version", "\n  {version"),
    ] {
        let (made, found) = imported("n1.yaml", &text);
        assert_eq!(
            made,
            site(
                "profiles: {plain: {nics: {eth0: {dhcp4: true, dhcp4-overrides: {use-dns: false, route-metric: 50}, \
                 wake-on-lan: [magic], offload: {tso: false}, routing-policy: [{from: 192.0.2.5/32, table: 7, priority: 9}]}}, match: name}}\n\
                 hosts: {n1: {profile: plain}}"
            ),
            "{text}"
        );
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].contains("eth0.dhcp4-overrides.hostname: x: a site file has no word"),
            "{found:#?}"
        );
    }
}

#[test]
fn nmstate_in_one_line() {
    let text = "{interfaces: [{name: eth0, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true, auto-dns: false}}], \
                \"route-rules\": {config: [{ip-from: 192.0.2.5, route-table: 7, priority: 9}]}}\n";
    let (made, found) = imported("n1.yml", text);
    assert!(
        made.contains("dhcp4-overrides: {use-dns: false}") || made.contains("use-dns: false"),
        "{made}"
    );
    // Nothing tells of which link the rule is.
    assert_eq!(found.len(), 1, "{found:#?}");
}

#[test]
fn a_link_of_a_kind_that_is_not_read_is_no_nic() {
    let wireguard = "[NetDev]\nName=wg0\nKind=wireguard\n[WireGuard]\nListenPort=51820\n";
    let (made, found) = networkd(&[
        ("etc/systemd/network/10-eth0.network", "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n"),
        ("etc/systemd/network/20-wg0.netdev", wireguard),
        (
            "etc/systemd/network/20-wg0.network",
            "[Match]\nName=wg0\n[Network]\nAddress=10.5.0.1/24\n",
        ),
    ]);
    let expected = "profiles: {plain: {nics: {eth0: {dhcp4: true}}, match: name}}\nhosts: {n1: {profile: plain}}";
    assert_eq!(made, site(expected));
    assert_eq!(
        found,
        [
            "n1/etc/systemd/network/20-wg0.netdev:2: link of the kind wireguard: the importer does not read it; a site file has wireguards, whose keys are its own",
            "n1/etc/systemd/network/20-wg0.network:2: [Match] Name=wg0: link wg0 is not taken over",
        ]
    );
    // Nor where another link has it, or is on it.
    let others = [
        (
            "n1.yaml",
            "network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n  tunnels: {wg0: {mode: wireguard, key: x}}\n  \
             vlans: {v5: {id: 5, link: wg0}}\n  bridges: {br0: {interfaces: [wg0, eth0]}}\n",
        ),
        (
            "n1.yml",
            "interfaces:\n- {name: eth0, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true}}\n- {name: wg0, type: wireguard, state: up}\n\
             - {name: v5, type: vlan, state: up, vlan: {base-iface: wg0, id: 5}}\n\
             - {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: wg0}, {name: eth0}]}}\n",
        ),
        (
            "n1/etc/network/interfaces",
            "iface eth0 inet dhcp\niface wg0 inet static\n address 10.5.0.1/24\n pre-up ip link add wg0 type wireguard\n\
             iface v5 inet manual\n vlan-raw-device wg0\niface br0 inet manual\n bridge-ports wg0 eth0\n",
        ),
    ];
    for (name, text) in others {
        let (made, found) = imported(name, text);
        assert!(!made.contains("wg0") && !made.contains("v5"), "{name}: {made}");
        let says = |text: &str| found.iter().any(|line| line.contains(text));
        assert!(says("a site file has wireguards"), "{name}: {found:#?}");
        assert!(says("v5 on wg0: link wg0 is not taken over"), "{name}: {found:#?}");
        assert!(says("wg0 in br0: link wg0 is not taken over"), "{name}: {found:#?}");
    }
}

#[test]
fn vlans_of_a_bridge_of_proxmox_are_its_own_as_well() {
    let text = "iface eno1 inet manual\n mtu 9000\niface eno2 inet manual\n bridge-vids 7\n\
                iface bond0 inet manual\n bond-slaves eno1\n bond-mode active-backup\n bond-miimon 100\n\
                iface vmbr0 inet manual\n bridge-ports bond0\n bridge-vlan-aware yes\n bridge-vids 2-4094\n bridge-stp off\n\
                iface vmbr0.10 inet static\n address 10.30.0.12/24\n gateway 10.30.0.1\n up ip rule add from 10.30.0.12 lookup 7 prio 9\n";
    let (made, found) = imported("n1/etc/network/interfaces", text);
    let of = ResolvedSite::from(crate::site_file::parse(&made, "made").unwrap());
    let network = layout(&of, "n1");
    let crate::network::Kind::Bridge(bridge) = &network.links["vmbr0"].kind else {
        panic!("{made}")
    };
    assert_eq!(bridge.ports["vmbr0"].tagged.to_string(), "10", "{made}");
    assert_eq!(bridge.ports["bond0"].pvid, Some(1), "{made}");
    assert_eq!(
        network.links["vmbr0.10"].layer3.rules[0].from.unwrap().to_string(),
        "10.30.0.12/32"
    );
    assert_eq!(
        found,
        [
            "n1/etc/network/interfaces:1: eno1: MTU 9000: a member of bond0 has the MTU of bond0, 1500",
            "n1/etc/network/interfaces:4: bridge-vids 7: VLANs of a port have a meaning on a bridge with bridge-vlan-aware yes alone",
        ]
    );
}
