use super::*;
use crate::model::host_number::HostNumberError;
use crate::model::{Host, HostNumber};

const SITE: &str = r#"
parameters: {jumbo: 9000}
network: {systemd: 255, bonds: {bond0: {lacp-rate: slow, mii-monitor: 100ms}, bond9: {mtu: 1}}}
racks:
  r1: {parameters: {rails: 3}, network: {systemd: 257, nics: {eth0: {wakeonlan: false}}}}
  r2: {parameters: {jumbo: 8896}}
subnets:
  front: {cidr: 10.9.0.0/24, gateway: 10.9.0.1}
  rail0: {cidr: 10.10.0.0/24, gateway: 10.10.0.1}
  rail1: {cidr: 10.11.0.0/24, gateway: 10.11.0.1}
  rail2: {cidr: 10.12.0.0/24, gateway: 10.12.0.1}
profiles:
  base:
    bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, dhcp: true, mtu: 1500}}
    sysctls: {net.core.rmem_max: 1, net.core.wmem_max: 2}
  hypervisor:
    extends: base
    bonds: {bond0: {nics: [eth2, eth3], dhcp4: false, subnet: front, host-number: =index + 10}}
    sysctls: {net.core.rmem_max: ~}
  rails:
    parameters:
      rails: {type: number, min: 1, max: 8, help: how many rails there are}
      jumbo: {type: number, default: 1500}
      first: {type: number, default: 100}
    nics:
      rail1: {mark: 77}
    for-each:
      rail:
        count: =rails
        nics:
          rail<rail>:
            subnet: rail<rail>
            table: =first + rail
            mark: =rail + 1
            mtu: =jumbo
            host-number: =10 * (rail + 1) + index
            routes: [{to: default, via: =gateway of rail<rail>, table: =first + rail}]
    dummies: {all0: {addresses: [{for-each: {n: {from: 1, count: 2, item: {address: =address n + 1 of front, role: anycast}}}}]}}
hosts:
  a: {profile: hypervisor, unit: 7}
  b: {profile: hypervisor, unit: 8, index: 80}
  c: {profile: hypervisor, rack: r1}
  d: {profile: hypervisor, network: {bonds: {bond0: {lacp-rate: fast, mtu: ~}}}}
  e: {profile: rails, rack: r1, unit: 5}
  f: {profile: rails, rack: r1, unit: 6, parameters: {rails: 2, jumbo: 4000}}
  g: {profile: rails, rack: r2, unit: 6}
"#;

fn site() -> ResolvedSite {
    serde_saphyr::from_str(&SITE.replace(", nics: {eth0: {wakeonlan: false}}", "").replace(
        "item: {address: =address n + 1 of front, role: anycast}",
        "item: {address: 192.0.2.<n>/32, role: anycast}",
    ))
    .unwrap()
}

fn of(site: &ResolvedSite, host: &str) -> Arc<Resolution> {
    site.profile_of(&site.hosts[host]).unwrap()
}

fn profile(host: &str) -> Profile {
    let found = of(&site(), host);
    assert_eq!(found.faults, [], "{host}");
    found.profile.clone()
}

#[test]
fn a_profile_extends_another_as_a_tree() {
    let hypervisor = profile("a");
    let bond = &hypervisor.bonds["bond0"];
    assert_eq!(bond.nics, ["eth2", "eth3"], "a list replaces");
    assert_eq!(bond.mode, crate::model::BondMode::Lacp, "what is not said again stays");
    assert!(!bond.settings.dhcp4, "the other name of the key is the same key");
    assert_eq!(bond.settings.mtu, Some(1500));
    assert_eq!(
        hypervisor.sysctls.keys().collect::<Vec<_>>(),
        ["net.core.wmem_max"],
        "null takes away"
    );
}

#[test]
fn site_and_rack_hold_where_the_profile_is_silent_and_the_host_wins_over_all() {
    let bond = |host: &str| profile(host).bonds["bond0"].clone();
    assert_eq!((profile("a").systemd, profile("c").systemd), (Some(255), Some(257)));
    assert_eq!(bond("a").lacp_rate.map(|rate| rate.label()), Some("slow"));
    assert_eq!(bond("d").lacp_rate.map(|rate| rate.label()), Some("fast"));
    assert_eq!((bond("a").settings.mtu, bond("d").settings.mtu), (Some(1500), None));
    assert_eq!(profile("a").bonds.len(), 1, "what is said of a link is for those that have it");
}

#[test]
fn a_loop_makes_a_subnet_a_table_and_a_mark_for_each_rail() {
    let rails = profile("e");
    assert_eq!(rails.nics.keys().collect::<Vec<_>>(), ["rail1", "rail0", "rail2"]);
    let facts = |label: &str| {
        let nic = &rails.nics[label];
        let via = nic.settings.routes[0].via.unwrap().to_string();
        (
            nic.settings.subnet.clone().unwrap(),
            nic.settings.table,
            nic.settings.mark,
            nic.settings.mtu,
            via,
        )
    };
    assert_eq!(
        facts("rail0"),
        ("rail0".into(), Some(100), Some(1), Some(9000), "10.10.0.1".into())
    );
    assert_eq!(
        facts("rail1"),
        ("rail1".into(), Some(101), Some(77), Some(9000), "10.11.0.1".into())
    );
    let number = |label: &str| rails.nics[label].settings.host_number.clone().unwrap();
    assert_eq!(number("rail2").to_string(), "=30 + index");
    assert_eq!(number("rail2").of(Some(5)), Ok(35));
    let shared = &rails.dummies["all0"].settings.addresses;
    let shared: Vec<String> = shared.iter().map(|shared| shared.address.to_string()).collect();
    assert_eq!(shared, ["192.0.2.1/32", "192.0.2.2/32"]);
    let fewer = profile("f");
    assert_eq!((fewer.nics.len(), fewer.nics["rail0"].settings.mtu), (2, Some(4000)));
}

#[test]
fn hosts_that_differ_in_their_index_alone_share_a_profile_and_a_changed_one_is_another() {
    let mut site = site();
    let before = of(&site, "a");
    assert!(Arc::ptr_eq(&before, &of(&site, "b")));
    assert!(Arc::ptr_eq(&before, &of(&site.clone(), "a")), "a copy of the site knows it too");
    assert!(!Arc::ptr_eq(&before, &of(&site, "c")));
    let base = site.profiles["base"].entries().clone();
    let base = base.into_iter().chain([("systemd".to_owned(), 249.into())]).collect::<Map<_, _>>();
    site.profiles.insert("base".into(), base.into());
    assert_eq!(of(&site, "a").profile.systemd, Some(249));
    let rails = of(&site, "e");
    site.subnets.get_mut("rail0").unwrap().gateway = "10.10.0.254".parse().ok();
    let via = of(&site, "e").profile.nics["rail0"].settings.routes[0].via.unwrap();
    assert_eq!(via.to_string(), "10.10.0.254", "what it asked a subnet is asked again");
    assert_ne!(rails.profile.nics["rail0"].settings.routes[0].via, Some(via));
}

#[test]
fn every_value_says_where_it_comes_from() {
    let site = site();
    let told = |host: &str, path: &str| {
        let found = site.explain(&site.hosts[host]);
        let found = found.into_iter().find(|explained| explained.path == path);
        found.map(|explained| explained.to_string()).unwrap_or_default()
    };
    let cases = [
        ("a", "bonds.bond0.mode", "bonds.bond0.mode: 802.3ad - from profile base via hypervisor"),
        ("a", "bonds.bond0.nics", "bonds.bond0.nics: [eth2, eth3] - from profile hypervisor"),
        ("a", "bonds.bond0.lacp-rate", "bonds.bond0.lacp-rate: slow - from site"),
        ("d", "bonds.bond0.lacp-rate", "bonds.bond0.lacp-rate: fast - from host"),
        ("c", "systemd", "systemd: 257 - from rack r1"),
        (
            "a",
            "sysctls.net.core.wmem_max",
            "sysctls.net.core.wmem_max: 2 - from profile base via hypervisor",
        ),
        ("e", "nics.rail2.table", "nics.rail2.table: 102 - from profile rails, =first + rail"),
        ("e", "nics.rail1.mark", "nics.rail1.mark: 77 - from profile rails"),
    ];
    for (host, path, expected) in cases {
        assert_eq!(told(host, path), expected);
    }
}

/// The faults of host `x` of a site, each with its place.
fn faults(text: &str) -> Vec<String> {
    let site: ResolvedSite = serde_saphyr::from_str(text).unwrap();
    let found = of(&site, "x");
    found
        .faults
        .iter()
        .map(|fault| format!("{}: {}", fault.location("x").path(), fault.text))
        .collect()
}

#[test]
fn what_is_wrong_is_told_where_it_was_written() {
    let cases = [
        (
            "profiles: {a: {extends: b}, b: {extends: a}}\nhosts: {x: {profile: a}}",
            "profiles.b.extends: profiles extend each other in a cycle: a -> b -> a",
        ),
        (
            "profiles: {a: {extends: bass}, base: {}}\nhosts: {x: {profile: a}}",
            "profiles.a.extends: profile \"bass\" does not exist; did you mean \"base\"?",
        ),
        (
            "profiles: {a: {extends: b}, b: {nics: {eth0: {mtu: high}}}}\nhosts: {x: {profile: a}}",
            "profiles.b.nics.eth0.mtu: expected a number from 0 to 4294967295, found \"high\"",
        ),
        (
            "profiles: {a: {parameters: {n: {type: number}}, systemd: =n}}\nhosts: {x: {profile: a}}",
            "hosts.x.parameters.n: profile \"a\" needs the parameter \"n\": set it for the host, its rack or the site",
        ),
        (
            "profiles: {a: {parameters: {n: {type: number, max: 4}}, systemd: =n}}\nracks: {r: {parameters: {n: 5}}}\nhosts: {x: {profile: a, rack: r}}",
            "hosts.x.parameters.n: parameter \"n\" of rack r: expected a number up to 4, found \"5\"",
        ),
        (
            "profiles: {a: {}}\nhosts: {x: {profile: a, parameters: {n: 1}}}",
            "hosts.x.parameters.n: profile \"a\" has no parameter \"n\"; none are defined",
        ),
        (
            "profiles: {a: {systemd: =indx}}\nhosts: {x: {profile: a}}",
            "profiles.a.systemd: parameter \"indx\" does not exist; did you mean \"index\"?",
        ),
        (
            "profiles: {a: {systemd: =index}}\nhosts: {x: {profile: a}}",
            "hosts.x.index: profile \"a\" uses the host's index: set index or unit",
        ),
        (
            "profiles: {a: {for-each: {r: {count: 5000}}}}\nhosts: {x: {profile: a}}",
            "profiles.a.for-each.r.count: expected a number from 0 to 4096, found 5000",
        ),
        (
            "profiles: {a: {domains: [{for-each: {r: {count: 4096, item: [{for-each: {s: {count: 4096, item: x}}}]}}}]}}\nhosts: {x: {profile: a}}",
            "profiles.a.domains.0.r.item.0.s: the loops go round more than 16384 times",
        ),
        (
            "profiles: {a: {for-each: {r: {count: 2, nics: {n<r>: {table: =r * 9223372036854775807 * 2}}}}}}\nhosts: {x: {profile: a}}",
            "profiles.a.for-each.r.nics.n<r>.table: 9223372036854775807 * 2 is too large",
        ),
        (
            "profiles: {a: {parameters: {n: {type: colour}}}}\nhosts: {x: {profile: a}}",
            "profiles.a.parameters.n.type: unknown value \"colour\"; expected one of: number, word, subnet, address, address-and-length, mac, boolean, text",
        ),
        (
            "profiles: {a: {}}\nhosts: {x: {profile: a, network: {extends: b}}}",
            "hosts.x.network.extends: \"extends\" belongs in a profile",
        ),
        (
            "profiles: {a: {nics: {eth0: {}}}}\nhosts: {x: {profile: a, network: {nics: {eth0: {mtu: x}}}}}",
            "hosts.x.network.nics.eth0.mtu: expected a number from 0 to 4294967295, found \"x\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(text), [expected], "{text}");
    }
}

#[test]
fn a_host_number_needs_the_hosts_own() {
    let number: HostNumber = serde_json::from_str("\"=index + 10\"").unwrap();
    assert_eq!(number.of(Some(7)), Ok(17));
    assert_eq!(number.of(None), Err(HostNumberError::NoIndex));
    assert_eq!(serde_json::from_str::<HostNumber>("5").unwrap().of(None), Ok(5));
    assert!(serde_json::from_str::<HostNumber>("\"index\"").is_err());
}

#[test]
fn one_profile_serves_every_tenant() {
    let site: ResolvedSite = serde_json::from_value(serde_json::json!({
        "subnets": {
            "a": {"cidr": "10.0.0.0/24", "tenant": "acme", "role": "internal"},
            "g": {"cidr": "10.0.1.0/24", "tenant": "globex", "role": "internal"},
            "spare": {"cidr": "10.0.2.0/24", "role": "internal"},
        },
        "profiles": {"p": {"nics": {"eth0": {"subnet": "tenant/internal"}, "eth1": {"subnet": "a"}}}},
    }))
    .unwrap();
    let cases = [
        (Some("acme"), "a"),
        (Some("globex"), "g"),
        (None, "spare"),
        (Some("initech"), "tenant/internal"),
    ];
    for (tenant, expected) in cases {
        let host = Host {
            profile: Some("p".into()),
            tenant: tenant.map(str::to_owned),
            ..Host::default()
        };
        let found = site.profile_of(&host).unwrap();
        let subnets: Vec<&str> = found.profile.subnets().map(|(_, subnet)| subnet).collect();
        assert_eq!(subnets, [expected, "a"], "{tenant:?}");
    }
}

#[test]
fn who_may_log_in_is_said_by_the_nearest_layer() {
    const SITE: &str = r#"
network: {ssh-authorized-keys: [KEY site], root-password-hash: locked}
racks:
  r1: {network: {ssh-authorized-keys: [KEY rack]}}
  r2: {}
profiles:
  plain: {nics: {eth0: {}}}
  own: {extends: plain, ssh-authorized-keys: [KEY profile], root-password-hash: $5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.}
hosts:
  a: {rack: r1, profile: own, network: {ssh-authorized-keys: [KEY host, KEY second]}}
  b: {rack: r1, profile: own}
  c: {rack: r1, profile: plain}
  d: {rack: r2, profile: plain}
  e: {rack: r1}
  f: {rack: r2, network: {root-password-hash: }}
  g: {network: {ssh-authorized-keys: []}}
"#;
    let site = SITE.replace("KEY", crate::model::login::SAMPLE_KEY.rsplit_once(' ').unwrap().0);
    let site = ResolvedSite::from(crate::site_file::parse(&site, "site.yaml").unwrap());
    let of = |name: &str| {
        let login = site.login_of(&site.hosts[name]);
        let keys = login.ssh_authorized_keys.iter();
        let keys: Vec<&str> = keys.map(|key| key.as_str().rsplit(' ').next().unwrap()).collect();
        let field = login.root_password_hash.as_ref().map(|it| it.shadow_field()[..1].to_owned());
        (keys.join(" "), field.unwrap_or_default())
    };
    for (host, keys, password) in [
        ("a", "host second", "$"),
        ("b", "profile", "$"),
        ("c", "rack", "*"),
        ("d", "site", "*"),
        ("e", "rack", "*"),
        ("f", "site", ""),
        ("g", "", "*"),
    ] {
        assert_eq!(of(host), (keys.to_owned(), password.to_owned()), "{host}");
    }
    for wrong in [
        "network: {ssh-authorized-keys: [nonsense]}",
        "racks: {r1: {network: {root-password-hash: secret}}}",
        "profiles: {p: {root-password-hash: secret}}\nhosts: {a: {profile: p}}",
        "hosts: {a: {network: {root-password-hash: $1$a$b}}}",
    ] {
        let refusals = crate::site_file::parse(wrong, "site.yaml").unwrap_err();
        assert_eq!(refusals.len(), 1, "{wrong}");
        assert!(!refusals[0].to_string().contains("secret"), "{}", refusals[0]);
    }
}
