//! Properties of the network core over generated sites: what passes the checks renders, and
//! every breakage is caught.

use proptest::prelude::*;
use serde_json::{Value, json};

use rackstrap::network::{
    Format, RenderError, Severity, allocate, check_site, layout, render_host,
};
use rackstrap::profile::ResolvedSite;

/// What a good site is made of.
#[derive(Clone, Debug)]
struct Plan {
    hosts: u8,
    mode: &'static str,
    vlan: u16,
    mtu: u32,
    bridge: bool,
    verbatim: bool,
    table: Option<u32>,
    beside: usize,
}

/// A link beside the stack, as a section of the profile and what is in it.
const BESIDE: [(&str, &str); 8] = [
    ("nics", r#"{"eth2": {"set-name": "rail0", "wake-on-lan": ["magic"], "ring": {"rx": 512}}}"#),
    (
        "nics",
        r#"{"eth2": {"sriov-max": 8, "sriov": {"count": 2, "functions": {"1": {"vlan": 7}}}}}"#,
    ),
    ("veths", r#"{"v0": {"peer": "v1"}, "v1": {"peer": "v0"}}"#),
    ("veths", r#"{"v0": {"peer": "v1", "peer-macaddress": "02:00:00:00:00:01"}}"#),
    ("macvlans", r#"{"mv0": {"link": "bond0", "mode": "vepa"}, "mv1": {"link": "eth2"}}"#),
    (
        "ipvlans",
        r#"{"iv0": {"link": "eth2", "mode": "l3"}, "iv1": {"link": "eth2", "mode": "l3"}}"#,
    ),
    ("loopbacks", r#"{"lo": {"addresses": [{"address": "192.0.2.1/32", "role": "anycast"}]}}"#),
    ("dummies", r#"{"vip": {"addresses": [{"address": "192.0.2.1/32", "role": "vrrp"}]}}"#),
];

const MODES: [&str; 7] = [
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];

fn plans() -> impl Strategy<Value = Plan> {
    let modes = prop::sample::select(&MODES[..]);
    let table = prop::option::of(1u32..200);
    let stack = (1u16..4095, 68u32..9001, any::<bool>(), any::<bool>());
    (1u8..20, modes, stack, table, 0..BESIDE.len()).prop_map(
        |(hosts, mode, (vlan, mtu, bridge, verbatim), table, beside)| Plan {
            hosts,
            mode,
            vlan,
            mtu,
            bridge,
            verbatim,
            table,
            beside,
        },
    )
}

/// The good site of a plan, without addresses.
fn good(plan: &Plan) -> Value {
    let top = json!({"subnet": "internal", "table": plan.table});
    let mut vlan = json!({"link": "bond0", "subnet": "internal"});
    let mut profile = json!({
        "defaults": if plan.verbatim { "verbatim" } else { "safe" },
        "bonds": {"bond0": {"nics": ["eth0", "eth1"], "mode": plan.mode, "mii-monitor": "100ms"}},
    });
    if plan.bridge {
        let mut bridge = top;
        bridge["interfaces"] = json!(["vlan1"]);
        profile["bridges"] = json!({"br0": bridge});
    } else {
        vlan["table"] = json!(plan.table);
    }
    profile["vlans"] = json!({"vlan1": vlan});
    let (section, links) = BESIDE[plan.beside];
    profile[section] = serde_json::from_str(links).unwrap();
    let host = |number: u8| {
        let nics = json!({
            "eth0": format!("00:16:3e:00:00:{number:02x}"),
            "eth1": format!("00:16:3e:00:01:{number:02x}"),
            "eth2": format!("00:16:3e:00:02:{number:02x}"),
        });
        (format!("n{number}"), json!({"profile": "p", "nics": nics}))
    };
    json!({
        "subnets": {"internal": {
            "cidr": "10.0.0.0/24", "vlan": plan.vlan, "mtu": plan.mtu, "gateway": "10.0.0.254",
            "ranges": [
                {"from": "10.0.0.1", "to": "10.0.0.99", "for": "hosts"},
                {"from": "10.0.0.100", "to": "10.0.0.199", "for": "dhcp"},
            ],
        }},
        "profiles": {"p": profile},
        "hosts": serde_json::Map::from_iter((0..plan.hosts).map(host)),
    })
}

fn site(value: Value) -> ResolvedSite {
    let mut site: ResolvedSite = serde_json::from_value(value).unwrap();
    for made in allocate(&site) {
        site.hosts.get_mut(&made.host).unwrap().addresses.insert(made.link, made.address);
    }
    site
}

/// A way to break a good site: what is done to it, and the rule that must find it.
type Breakage = (&'static str, fn(&mut Value));

const BREAKAGES: &[Breakage] = &[
    ("N101", |site| site["profiles"]["p"]["loopbacks"] = json!({"lo1": {}})),
    ("N102", |site| site["profiles"]["p"]["nics"] = json!({"eth2": {"set-name": "eth0"}})),
    ("N104", |site| {
        let mac = site["hosts"]["n0"]["nics"]["eth0"].clone();
        site["hosts"]["n0"]["nics"]["eth1"] = mac;
    }),
    ("N106", |site| site["profiles"]["p"]["match"] = json!("mac")),
    ("N108", |site| site["profiles"]["p"]["match"] = json!("path")),
    ("N110", |site| site["subnets"]["internal"]["vlan"] = json!(4095)),
    ("N112", |site| site["profiles"]["p"]["vlans"]["vlan1"]["link"] = json!("eth0")),
    ("N112", |site| site["profiles"]["p"]["macvlans"] = json!({"mv9": {"link": "eth1"}})),
    ("N115", |site| {
        site["profiles"]["p"]["veths"] = json!({"a": {"peer": "b"}, "b": {"peer": "c"}});
    }),
    ("N116", |site| {
        site["profiles"]["p"]["macvlans"] = json!({"mv9": {"link": "eth2"}});
        site["profiles"]["p"]["ipvlans"] = json!({"iv9": {"link": "eth2"}});
    }),
    ("N120", |site| {
        site["profiles"]["p"]["bridges"]["br9"] = json!({"interfaces": ["eth0"]});
    }),
    ("N121", |site| site["profiles"]["p"]["nics"] = json!({"eth0": {"dhcp4": true}})),
    ("N122", |site| site["profiles"]["p"]["bonds"]["bond0"]["nics"] = json!([])),
    ("N123", |site| site["profiles"]["p"]["nics"] = json!({"eth1": {"bondable": false}})),
    ("N125", |site| site["profiles"]["p"]["bonds"]["bond0"]["mii-monitor"] = json!("0ms")),
    ("N130", |site| {
        site["profiles"]["p"]["bonds"]["bond0"]["mtu"] = json!(1400);
        site["profiles"]["p"]["vlans"]["vlan1"]["mtu"] = json!(1500);
    }),
    ("N132", |site| site["subnets"]["internal"]["mtu"] = json!(67)),
    ("N132", |site| {
        site["profiles"]["p"]["nics"] = json!({"eth2": {"mtu": 9000, "max-mtu": 8896}});
    }),
    ("N142", |site| {
        let ranges = site["subnets"]["internal"]["ranges"].as_array_mut().unwrap();
        ranges.push(json!({"from": "10.0.0.240", "to": "10.0.0.249", "for": "reserved"}));
        site["hosts"]["n0"]["reservations"] = json!({"internal": "10.0.0.245"});
    }),
    ("N143", |site| site["hosts"]["n0"]["reservations"] = json!({"internal": "10.0.0.254"})),
    ("N146", |site| site["subnets"]["internal"]["ranges"] = json!([])),
    ("N147", |site| site["hosts"]["n0"]["reservations"] = json!({"internal": "10.0.1.1"})),
    ("N148", |site| site["subnets"]["internal"]["ranges"][1]["to"] = json!("10.0.1.1")),
    ("N150", |site| site["subnets"]["internal"]["gateway"] = json!("10.0.1.254")),
    ("N153", |site| {
        site["subnets"]["internal"]["gateway"] = Value::Null;
        site["subnets"]["boot"] = json!({"cidr": "10.9.0.0/24", "server": "10.9.0.1"});
    }),
    ("N170", |site| {
        site["profiles"]["p"]["systemd"] = json!(250);
        site["profiles"]["p"]["nics"] = json!({"eth2": {"sriov": {"count": 1}}});
    }),
    ("N171", |site| {
        site["profiles"]["p"]["format"] = json!("netplan");
        site["profiles"]["p"]["nics"] = json!({"eth2": {"ring": {"rx": 512}}});
    }),
    ("N174", |site| {
        let shared = json!([{"address": "192.0.2.1/24", "role": "vrrp"}]);
        site["profiles"]["p"]["loopbacks"] = json!({"lo": {"addresses": shared}});
    }),
    ("N175", |site| {
        let functions = json!({"0": {"vlan": 4096}});
        let sriov = json!({"count": 1, "functions": functions});
        site["profiles"]["p"]["nics"] = json!({"eth2": {"sriov": sriov}});
    }),
    ("N180", |site| site["hosts"]["n0"]["profile"] = json!("q")),
    ("N181", |site| site["hosts"]["n0"]["nics"] = json!({"eth0": "00:16:3e:00:00:00"})),
    ("N190", |site| {
        site["tenants"] = json!({"acme": {}});
        site["subnets"]["internal"]["tenant"] = json!("acme");
    }),
];

fn errors(site: &ResolvedSite) -> Vec<&'static str> {
    let findings = check_site(site);
    findings.iter().filter(|one| one.severity == Severity::Error).map(|one| one.rule).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_site_that_passes_renders_and_stands_in_layers(plan in plans()) {
        let site = site(good(&plan));
        prop_assert_eq!(errors(&site), Vec::<&str>::new());
        for name in site.hosts.keys() {
            let files = render_host(&site, name, Format::Networkd).unwrap();
            let mut links = files.iter().filter(|file| file.directory.as_deref() == Format::Networkd.directory());
            prop_assert!(links.all(|file| file.text.contains("[Match]") || file.text.contains("[NetDev]")));
            for format in Format::ALL {
                let answer = render_host(&site, name, *format);
                let named = matches!(answer, Ok(_) | Err(RenderError::Unsupported { .. }));
                prop_assert!(named, "{:?}", answer);
            }
            let network = layout(&site, name);
            for link in network.links.values() {
                prop_assert!(network.below(link).all(|below| below.layer < link.layer));
            }
        }
    }

    #[test]
    fn every_breakage_is_caught(plan in plans(), which in 0..BREAKAGES.len()) {
        let (rule, break_it) = BREAKAGES[which];
        let mut broken = good(&plan);
        break_it(&mut broken);
        let site = site(broken);
        let found = errors(&site);
        prop_assert!(found.contains(&rule), "{} is not among {:?}", rule, found);
        let host = site.hosts.keys().next().unwrap();
        // What concerns two hosts, or a subnet that the profile does not name, is the site's.
        let refused = render_host(&site, host, Format::Networkd).is_err();
        prop_assert!(refused || rule == "N104", "{} is served all the same", rule);
    }
}
