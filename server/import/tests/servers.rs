//! What DHCP servers say, line by line.

use super::{Shelf, imported, imported_with, site};
use crate::import::{Choices, Kind, Source, import};

/// A text, the site that it comes to, and the report without the file's name.
type Case = (&'static str, &'static str, &'static [&'static str]);

fn check(file: &str, cases: &[Case]) {
    for (text, expected, report) in cases {
        let (made, found) = imported(file, text);
        assert_eq!(made, site(expected), "{text}");
        let found: Vec<String> =
            found.iter().map(|line| line.replacen(&format!("{file}:"), "", 1)).collect();
        assert_eq!(found, *report, "{text}");
    }
}

/// A host in the same subnet, to hang settings on.
const NET: &str = "subnet 10.0.0.0 netmask 255.255.255.0 { }\n";

#[test]
fn dhcpd_subnets_and_scopes() {
    check(
        "dhcpd.conf",
        &[
            (
                "option domain-name-servers 10.0.0.2, 10.0.0.3; default-lease-time 600;\n\
             option domain-search \"a.example\", \"b.example\"; option ntp-servers 10.0.0.4;\n\
             shared-network \"hall 1\" { option domain-name \"a.example\"; option interface-mtu 9000;\n\
             subnet 10.0.0.0 netmask 255.255.255.0 { option routers 10.0.0.1; default-lease-time 900;\n\
             pool { range 10.0.0.10 10.0.0.20; deny unknown-clients; } }\n\
             subnet 10.0.1.0 netmask 255.255.255.0 { range dynamic-bootp 10.0.1.9; option subnet-mask 255.255.255.0;\n\
             option broadcast-address 10.0.1.255; } }",
                "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, mtu: 9000, dns: [10.0.0.2, 10.0.0.3], \
             domains: [a.example, b.example], ntp: [10.0.0.4], lease-time: 15m, unknown-clients: refuse, \
             shared-network: hall-1, ranges: [{from: 10.0.0.10, to: 10.0.0.20, for: dhcp}]}, \
             10.0.1.0-24: {cidr: 10.0.1.0/24, mtu: 9000, dns: [10.0.0.2, 10.0.0.3], domains: [a.example, b.example], \
             ntp: [10.0.0.4], lease-time: 10m, shared-network: hall-1, bootp: true, \
             ranges: [{from: 10.0.1.9, to: 10.0.1.9, for: dhcp}]}}",
                &[],
            ),
            (
                "subnet 10.0.0.0 netmask 255.255.255.0 { option routers 10.0.0.1, 10.0.0.254; option time-offset 3600;\n\
             option root-path \"nfs:/srv\"; option ip-forwarding off; option static-routes 10.1.0.1 10.0.0.9;\n\
             option subnet-mask 255.255.0.0; option dhcp-renewal-time 300; ping-check false; min-secs 3; }",
                "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, renew-time: 5m, conflict-probe: off, min-secs: 3, \
             dhcp-options: {routers: [10.0.0.1, 10.0.0.254], time-offset: 3600, root-path: \"nfs:/srv\", ip-forwarding: false, \
             static-routes: [10.1.0.1, 10.0.0.9]}}}",
                &["3: option subnet-mask 255.255.0.0;: the prefix of the subnet is 10.0.0.0/24"],
            ),
            (
                "subnet 10.0.0.0 netmask 255.255.255.0 {\n pool { range 10.0.0.9 10.0.0.11; default-lease-time 60; }\n\
             pool { range 10.0.0.20 10.0.0.30; allow members of \"phones\"; } }\n\
             subnet6 2001:db8::/64 { range6 2001:db8::1 2001:db8::9; }",
                "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, ranges: [{from: 10.0.0.9, to: 10.0.0.11, for: dhcp}, \
             {from: 10.0.0.20, to: 10.0.0.30, for: dhcp}]}}",
                &[
                    "2: default-lease-time 60;: holds for one pool only; a subnet has one set of options",
                    "3: allow members of \"phones\";: holds for one pool only; a subnet has one set of options",
                    "4: subnet6 2001:db8::/64: DHCPv6 of rackstrap gives no addresses",
                    "4: range6 2001:db8::1 2001:db8::9;: DHCPv6 of rackstrap gives no addresses",
                ],
            ),
            (
                "authoritative; log-facility local7; ddns-update-style interim; omapi-port 7911; use-host-decl-names on;\n\
             failover peer \"x\" { primary; }\nkey k { algorithm hmac-md5; secret abc; }\n\
             on commit { execute(\"x\"); }\nsubnet 10.0.0.0 netmask 255.255.255.0 { }",
                "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24}}",
                &[
                    "1: authoritative;: a setting of the old server itself; rackstrap's are in rackstrap.toml",
                    "1: log-facility local7;: a setting of the old server itself; rackstrap's are in rackstrap.toml",
                    "1: ddns-update-style interim;: a dynamic DNS update; rackstrap zone prints the zone instead",
                    "1: omapi-port 7911;: a setting of the old server itself; rackstrap's are in rackstrap.toml",
                    "2: failover peer \"x\": a site file has no word for this",
                    "2: primary;: a site file has no word for this",
                    "3: key k: a dynamic DNS update; rackstrap zone prints the zone instead",
                    "3: algorithm hmac-md5;: a dynamic DNS update; rackstrap zone prints the zone instead",
                    "3: secret abc;: a dynamic DNS update; rackstrap zone prints the zone instead",
                    "4: on commit: depends on what the client sends (on commit)",
                    "4: execute ( \"x\" );: depends on what the client sends (on commit)",
                ],
            ),
        ],
    );
}

#[test]
fn dhcpd_options_of_other_spaces_are_typed() {
    check(
        "dhcpd.conf",
        &[(
            "option space vend; option vend.image code 1 = text; option vend.port code 2 = unsigned integer 16;\n\
         option space ipxe; option ipxe-encap-opts code 175 = encapsulate ipxe; option ipxe.no-pxedhcp code 176 = unsigned integer 8;\n\
         option space pxelinux; option pxelinux.configfile code 209 = text;\n\
         option voip code 150 = array of ip-address; option flag200 code 200 = boolean; option raw code 201 = string;\n\
         subnet 10.0.0.0 netmask 255.255.255.0 { vendor-option-space vend; option vend.image \"i\"; option vend.port 513;\n\
         option ipxe.no-pxedhcp 1; option pxelinux.configfile \"c\"; option voip 10.0.0.7, 10.0.0.8; option flag200 true;\n\
         option raw 01:02:ff; option vendor-class-identifier \"x\"; option nonsense 5;\n\
         option host-name = concat(\"n\", hardware); }",
            "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, dhcp-options: {43.1: i, 43.2: \"hex:0201\", 175.176: \"hex:01\", \
         tftp-servers: [10.0.0.7, 10.0.0.8], 200: \"hex:01\", 201: \"hex:0102ff\", 60: x}}}",
            &[
                "6: option pxelinux.configfile \"c\";: option space pxelinux is sent inside no option",
                "7: option nonsense 5;: option nonsense is neither known nor declared",
                "8: option host-name = concat ( \"n\", hardware );: depends on what the client sends (concat ( n , hardware ))",
            ],
        )],
    );
}

#[test]
fn dhcpd_hosts_groups_and_bmcs() {
    let text = format!(
        "{NET}{}",
        "subnet 10.9.0.0 netmask 255.255.0.0 { }\n\
         group { option root-path \"/a\"; group { option root-path \"/b\";\n\
         host n1 { hardware ethernet 2:0:5E:10:1:1; fixed-address 10.0.0.11, 10.9.0.11; option time-offset 60; } }\n\
         host n1-eth1 { hardware ethernet 02:00:5e:10:01:02; fixed-address 10.0.0.11; }\n\
         host n1-bmc { hardware ethernet 02:00:5e:20:01:01; fixed-address 10.9.1.1; } }\n\
         host gpu_2.dc.example { hardware ethernet 02:00:5e:10:02:01; option host-name \"gpu_2\"; fixed-address n2.example; }\n\
         host n3 { hardware ethernet 02:00:5e:10:01:01; fixed-address 172.16.0.1; }\n\
         host n4 { option dhcp-client-identifier \"abc\"; fixed-address 10.0.0.14; deny booting; }\n\
         host n5 { host-identifier option agent.circuit-id 01:02; fixed-address 10.0.0.14; }\n\
         host n6 { fixed-address 10.0.0.16; }\n"
    );
    let (made, found) = imported("f", &text);
    assert_eq!(
        made,
        site(
            "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24}, 10.9.0.0-16: {cidr: 10.9.0.0/16}}\n\
             hosts:\n  n1: {nics: {eth0: \"02:00:5e:10:01:01\", eth1: \"02:00:5e:10:01:02\"}, \
             reservations: {10.0.0.0-24: 10.0.0.11, 10.9.0.0-16: 10.9.0.11}, \
             bmc: {mac: \"02:00:5e:20:01:01\", address: 10.9.1.1}, dhcp-options: {root-path: /a, time-offset: 60}}\n  \
             gpu-2: {nics: {eth0: \"02:00:5e:10:02:01\"}}\n  \
             n4: {match: {client-id: abc}, dhcp: off, reservations: {10.0.0.0-24: 10.0.0.14}}\n  \
             n5: {match: {circuit-id: \"hex:0102\"}}\n"
        )
    );
    assert_eq!(
        found,
        [
            "f:7: fixed-address n2.example;: a name instead of an address",
            "f:7: host gpu_2: taken over as gpu-2",
            "f:8: host n3 (02:00:5e:10:01:01): the same is in f:4 already",
            "f:10: host n5 (10.0.0.14): the same is in f:9 already",
            "f:11: host n6: has no MAC address",
        ]
    );
}

#[test]
fn dhcpd_boot_files_are_kept_where_that_is_wanted() {
    let text = "option arch code 93 = unsigned integer 16;\nnext-server 10.0.0.5;\n\
        if option arch = 00:07 { filename \"g.efi\"; } elsif option arch = 00:0b { filename \"a.efi\"; } else { filename \"p.0\"; }\n\
        class \"pxe\" { match if substring (option vendor-class-identifier, 0, 9) = \"PXEClient\"; option root-path \"x\"; }\n\
        subnet 10.0.0.0 netmask 255.255.255.0 { }\n\
        host n1 { hardware ethernet 02:00:5e:10:01:01; filename \"own.0\"; next-server 10.0.0.6; }\n";
    let keeping = Choices { keeps_boot_server: true, ..Choices::default() };
    let (made, found) = imported_with("f", text, Shelf::default(), keeping);
    assert_eq!(
        made,
        site(
            "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, next-server: 10.0.0.5, boot-files: {bios: p.0, x64: g.efi, arm64: a.efi}}}\n\
             hosts: {n1: {nics: {eth0: \"02:00:5e:10:01:01\"}, boot-file: own.0, next-server: 10.0.0.6}}\n"
        )
    );
    assert_eq!(found.len(), 1, "{found:?}");
    let (made, found) = imported("f", text);
    assert_eq!(
        made,
        site(
            "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24}}\nhosts: {n1: {nics: {eth0: \"02:00:5e:10:01:01\"}}}"
        )
    );
    let of_boot = found.iter().filter(|line| line.contains("--keep-boot-server")).count();
    assert_eq!((of_boot, found.len()), (6, 7), "{found:#?}");
}

#[test]
fn dhcpd_includes_are_read_and_what_is_broken_is_refused() {
    let mut shelf = Shelf::default();
    shelf.0.insert(
        "/etc/dhcp/hosts.conf",
        "host n1 { hardware ethernet 02:00:5e:10:01:01; filename \"x\"; }\n",
    );
    shelf.0.insert("loop.conf", "include \"loop.conf\";");
    let text =
        "include \"/etc/dhcp/hosts.conf\";\ninclude \"loop.conf\";\ninclude \"gone.conf\";\n";
    let (made, found) = imported_with("f", text, shelf, Choices::default());
    assert_eq!(made, site("hosts: {n1: {nics: {eth0: \"02:00:5e:10:01:01\"}}}"));
    assert!(found[0].starts_with("/etc/dhcp/hosts.conf:1: filename \"x\";:"), "{found:?}");
    assert_eq!(
        found[1..],
        [
            "f:3: include \"gone.conf\";: cannot read it: No such file or directory",
            "loop.conf:1: include \"loop.conf\";: includes itself",
        ]
    );
    for (text, expected) in [
        ("subnet 10.0.0.0 netmask 255.0.0.0 {\n range 10.0.0.1;\n", "f:1: the brace is not closed"),
        (
            "host a { hardware ethernet 2:0:0:0:0:1 }",
            "f:1: a semicolon is missing before the brace",
        ),
        ("authoritative;\n}\n", "f:2: no brace is open here"),
        ("option domain-name \"a;\n", "f:1: the quote is not closed"),
        ("group { }\noption domain-name \"a\"", "f:2: the last statement has no semicolon"),
    ] {
        let error = import(&[Source::new("f", text)], &Shelf::default(), &Choices::default());
        assert_eq!(error.err().map(|error| error.to_string()).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn dnsmasq_lines() {
    check(
        "dnsmasq.conf",
        &[
            (
                "# comment\ndomain=a.example # behind\ndhcp-range=set:lab,10.0.0.50,10.0.0.99,255.255.255.0,45m\n\
             dhcp-range=10.1.0.0,static,255.255.0.0\ndhcp-option=3,10.0.0.1\ndhcp-option=tag:lab,option:dns-server,10.0.0.2,10.0.0.3\n\
             dhcp-option=option:ntp-server,0.0.0.0\ndhcp-option=tag:lab,128,ab:cd\ndhcp-option=tag:lab,200,7\n\
             dhcp-option=121,10.9.0.0/16,10.0.0.9\ndhcp-option=tag:nobody,42,10.0.0.1\ndhcp-ignore=tag:!known\nno-ping",
                "subnets: {lab: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns: [10.0.0.2, 10.0.0.3], domains: [a.example], lease-time: 45m, \
             unknown-clients: refuse, conflict-probe: off, dhcp-options: {classless-routes: 10.9.0.0/16 via 10.0.0.9, \
             128: \"hex:abcd\", 200: \"hex:07\"}, ranges: [{from: 10.0.0.50, to: 10.0.0.99, for: dhcp}]}, \
             10.1.0.0-16: {cidr: 10.1.0.0/16, domains: [a.example], unknown-clients: refuse, conflict-probe: off, \
             dhcp-options: {classless-routes: 10.9.0.0/16 via 10.0.0.9}}}",
                &[
                    "5: dhcp-option=3,10.0.0.1: the router is not in 10.1.0.0/16",
                    "7: dhcp-option=option:ntp-server,0.0.0.0: the old server's own address, which the file does not say",
                    "11: dhcp-option=tag:nobody,42,10.0.0.1: no client has the tag nobody",
                ],
            ),
            (
                "dhcp-range=10.0.0.50,10.0.0.99,255.255.255.0\ndhcp-host=02:00:5e:00:00:01,10.0.0.11,n1,infinite\n\
             dhcp-host=02:00:5e:00:00:02,02:00:5e:00:00:03,set:gpu,n2,10.0.0.12\ndhcp-option=tag:gpu,option:root-path,/x\n\
             dhcp-host=02:00:5e:*:*:*,10.0.0.13\ndhcp-host=02:00:5e:00:00:05,ignore\ndhcp-host=id:01:02,n6,10.0.0.16\n\
             dhcp-host=02:00:5e:00:00:07,n1-bmc,10.0.0.17\naddress=/x/10.0.0.1\ninterface=eth0\ndhcp-range=::10,::20,ra-names",
                "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, ranges: [{from: 10.0.0.50, to: 10.0.0.99, for: dhcp}]}}\n\
             hosts: {n1: {nics: {eth0: \"02:00:5e:00:00:01\"}, reservations: {10.0.0.0-24: 10.0.0.11}, \
             bmc: {mac: \"02:00:5e:00:00:07\", address: 10.0.0.17}}, \
             n2: {labels: [gpu], nics: {eth0: \"02:00:5e:00:00:02\", eth1: \"02:00:5e:00:00:03\"}, \
             reservations: {10.0.0.0-24: 10.0.0.12}, dhcp-options: {root-path: /x}}, \
             host-02-00-5e-00-00-05: {nics: {eth0: \"02:00:5e:00:00:05\"}, dhcp: off}, \
             n6: {match: {client-id: \"hex:0102\"}, reservations: {10.0.0.0-24: 10.0.0.16}}}",
                &[
                    "2: dhcp-host=02:00:5e:00:00:01,10.0.0.11,n1,infinite: lease times belong to the subnet",
                    "5: dhcp-host=02:00:5e:*:*:*,10.0.0.13: stands for several clients; a host has whole addresses",
                    "9: address=/x/10.0.0.1: a setting of the DNS server; rackstrap answers no DNS",
                    "10: interface=eth0: a setting of the old server itself; rackstrap's are in rackstrap.toml",
                    "11: dhcp-range=::10,::20,ra-names: DHCPv6 of rackstrap gives no addresses",
                ],
            ),
        ],
    );
}

#[test]
fn dnsmasq_joins_its_files() {
    let mut shelf = Shelf::default();
    shelf.0.insert(
        "/etc/dnsmasq.d/a.conf",
        "dhcp-range=10.0.0.0,static,255.255.255.0\ndhcp-match=set:efi,option:client-arch,7\n",
    );
    shelf.0.insert("/etc/dnsmasq.d/b.conf~", "dhcp-range=10.2.0.0,static,255.255.255.0\n");
    shelf.0.insert("/etc/dnsmasq.d/c.dpkg", "dhcp-range=10.3.0.0,static,255.255.255.0\n");
    shelf.0.insert("/etc/ethers", "02:00:5e:00:00:01 n1\n02:00:5e:00:00:02 10.0.0.12\n");
    shelf.0.insert(
        "/etc/hosts.lab",
        "127.0.0.1 localhost\n10.0.0.11 n1 n1.example\n10.0.0.12 n2\n10.0.0.99 printer\n",
    );
    let text = "conf-dir=/etc/dnsmasq.d,.dpkg\nread-ethers\naddn-hosts=/etc/hosts.lab\ndhcp-boot=tag:efi,s.efi,boot,10.0.0.5\n";
    let keeping = Choices { keeps_boot_server: true, ..Choices::default() };
    let (made, found) = imported_with("f", text, shelf, keeping);
    assert_eq!(
        made,
        site(
            "subnets: {10.0.0.0-24: {cidr: 10.0.0.0/24, next-server: 10.0.0.5, boot-files: {x64: s.efi}}}\n\
             hosts: {n1: {nics: {eth0: \"02:00:5e:00:00:01\"}, reservations: {10.0.0.0-24: 10.0.0.11}}, \
             n2: {nics: {eth0: \"02:00:5e:00:00:02\"}, reservations: {10.0.0.0-24: 10.0.0.12}}}"
        )
    );
    assert_eq!(found, ["/etc/hosts.lab:4: 10.0.0.99 printer: has no MAC address"]);
}

#[test]
fn a_range_without_a_netmask_is_a_question() {
    let source = [Source::new("f", "dhcp-range=10.0.0.50,10.0.0.99,12h\n")];
    let error = import(&source, &Shelf::default(), &Choices::default()).unwrap_err().to_string();
    assert_eq!(
        error,
        "f:1: dhcp-range=10.0.0.50,10.0.0.99,12h: the netmask is that of the old server's interface: give the \
         subnet of 10.0.0.50 by --subnet, such as --subnet 10.0.0.0/24"
    );
    let answered = Choices { subnets: vec!["10.0.0.0/23".parse().unwrap()], ..Choices::default() };
    let made = import(&source, &Shelf::default(), &answered).unwrap();
    assert_eq!(made.site.subnets["10.0.0.0-23"].ranges.len(), 1);
}

#[test]
fn kea_with_comments_and_includes() {
    let text = r#"// comment
{ # another
"Dhcp4": { /* and
 another */ "valid-lifetime":4000, "renew-timer": 1000,
  "interfaces-config": { "interfaces": ["eth0"] },
  "option-def": [{"name": "vlan", "code": 132, "type": "uint16"}],
  "option-data": [{"name": "domain-name-servers", "data": "10.0.0.2, 10.0.0.3"},
                  {"name": "domain-name", "data": "a.example"}],
  "client-classes": [
    {"name": "efi", "test": "option[93].hex == 0x0007", "boot-file-name": "g.efi", "next-server": "10.0.0.5"},
    {"name": "phones", "test": "substring(option[60].hex,0,5) == 'Phone'", "option-data": [{"name": "vlan", "data": "12"}]}],
  "shared-networks": [{"name": "hall", "subnet4": [
	<?include "one.json"?> ] }],
  "subnet4": [{"id": 2, "subnet": "10.1.0.0/24", "comment": "lab", "relay": {"ip-addresses": ["192.0.2.1"]},
    "pools": [{"pool": "10.1.0.0/28", "client-class": "phones"}],
    "option-data": [{"name": "routers", "data": "10.1.0.1"}, {"code": 43, "csv-format": false, "data": "0102ff"},
                    {"name": "vlan", "data": "12"}],
    "reservations": [
      {"hw-address": "02:00:5e:00:00:01", "ip-address": "10.1.0.11", "hostname": "n1", "client-classes": ["gpu"]},
      {"client-id": "01:02:03", "ip-address": "10.1.0.12", "hostname": "n2"},
      {"flex-id": "'x'", "ip-address": "10.1.0.13"},
      {"hw-address": "02:00:5e:00:00:09", "hostname": "n1-ipmi", "ip-address": "10.1.0.14"},
    ]}]
}, "Dhcp6": {} }"#;
    let mut shelf = Shelf::default();
    shelf.0.insert("one.json", "{\"id\": 1, \"subnet\": \"10.0.0.0/24\",\n \"valid-lifetime\": 60, \"ddns-send-updates\": true,\n \"pools\": [{\"pool\": \"10.0.0.9-10.0.0.20\"}]}");
    let keeping = Choices { keeps_boot_server: true, ..Choices::default() };
    let (made, found) = imported_with("kea.conf", text, shelf, keeping);
    assert_eq!(
        made,
        site(
            "subnets:\n  10.0.0.0-24: {cidr: 10.0.0.0/24, dns: [10.0.0.2, 10.0.0.3], domains: [a.example], lease-time: 60s, \
             renew-time: 1000s, shared-network: hall, next-server: 10.0.0.5, boot-files: {x64: g.efi}, \
             ranges: [{from: 10.0.0.9, to: 10.0.0.20, for: dhcp}]}\n  \
             10.1.0.0-24: {cidr: 10.1.0.0/24, notes: lab, gateway: 10.1.0.1, dns: [10.0.0.2, 10.0.0.3], domains: [a.example], \
             lease-time: 4000s, renew-time: 1000s, relay-addresses: [192.0.2.1], next-server: 10.0.0.5, boot-files: {x64: g.efi}, \
             dhcp-options: {43: \"hex:0102ff\", 132: \"hex:000c\"}, ranges: [{from: 10.1.0.0, to: 10.1.0.15, for: dhcp}]}\n\
             hosts: {n1: {labels: [gpu], nics: {eth0: \"02:00:5e:00:00:01\"}, reservations: {10.1.0.0-24: 10.1.0.11}, \
             bmc: {mac: \"02:00:5e:00:00:09\", address: 10.1.0.14}}, \
             n2: {match: {client-id: \"hex:010203\"}, reservations: {10.1.0.0-24: 10.1.0.12}}}"
        )
    );
    assert_eq!(
        found,
        [
            "kea.conf:5: \"interfaces-config\": a setting of the old server itself; rackstrap's are in rackstrap.toml",
            "kea.conf:11: option vlan = 12: depends on what the client sends (class phones: substring(option[60].hex,0,5) == 'Phone')",
            "kea.conf:15: \"client-class\": phones: depends on what the client sends (the range is for one class)",
            "kea.conf:21: \"flex-id\": 'x': a site file has no word for this",
            "kea.conf:21: reservation 10.1.0.13: has no MAC address",
            "kea.conf:24: \"Dhcp6\": DHCPv6 of rackstrap gives no addresses",
            "one.json:2: \"ddns-send-updates\": true: a dynamic DNS update; rackstrap zone prints the zone instead",
        ]
    );
    let error =
        import(&[Source::new("k", "{\"Dhcp4\":\n [}")], &Shelf::default(), &Choices::default());
    assert!(error.unwrap_err().to_string().starts_with("k:2: "));
}

#[test]
fn files_are_recognised_by_what_is_in_them() {
    let cases = [
        ("# x\nauthoritative;\n", Some(Kind::Dhcpd)),
        ("host a {\n hardware ethernet 2:0:0:0:0:1;\n}\n", Some(Kind::Dhcpd)),
        ("interface=eth0\ndhcp-range=10.0.0.1,10.0.0.2\n", Some(Kind::Dnsmasq)),
        ("127.0.0.1 localhost\n", Some(Kind::Dnsmasq)),
        ("02:00:5e:00:00:01 n1\n", Some(Kind::Dnsmasq)),
        ("02:00:5e:00:00:01,set:a,10.0.0.1,n1\n", Some(Kind::Dnsmasq)),
        ("{ \"Dhcp4\": {} }", Some(Kind::Kea)),
        ("host,mac\nn1,02:00:5e:00:00:01\n", None),
        ("hostname;mac;ip\nn1;02:00:5e:90:00:01;10.90.0.11\n", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(Kind::of("f", text), expected, "{text}");
    }
}
