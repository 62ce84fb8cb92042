//! Pages at 400 and at 4,000 hosts: how large they are, whatever changed.

use rackstrap::model::Site;
use serde_json::{Map, json};

use super::server::{Server, Visitor, encode, fields};

/// The most bytes of any page.
const MOST_BYTES: usize = 300_000;
/// The most elements of any page but the lists that say everything of something: what all keys mean,
/// and what all formats can say.
const MOST_NODES: usize = 5_000;
/// The most elements of those.
const MOST_NODES_OF_REFERENCE: usize = 12_000;

/// Racks of 40 hosts with a bond, a VLAN and a bridge each, two switches in each rack, 20 profiles and
/// 50 subnets.
fn site(racks_of_40: u32) -> Site {
    let (mut racks, mut switches, mut hosts) = (Map::new(), Map::new(), Map::new());
    let (mut subnets, mut profiles) = (Map::new(), Map::new());
    subnets.insert("prov".into(), json!({"cidr": "10.64.0.0/19", "gateway": "10.64.0.1"}));
    for number in 0..49_u16 {
        let cidr = format!("172.{}.{}.0/23", 16 + number / 20, number % 20 * 2);
        let from = format!("172.{}.{}.10", 16 + number / 20, number % 20 * 2);
        let to = format!("172.{}.{}.250", 16 + number / 20, number % 20 * 2 + 1);
        let range = json!({"from": from, "to": to, "for": "hosts"});
        let subnet = json!({"cidr": cidr, "vlan": 500 + number, "ranges": [range]});
        subnets.insert(format!("int{number:02}"), subnet);
    }
    for number in 0..20 {
        let profile = json!({
            "bonds": {"bond0": {"nics": ["eth0", "eth1"], "mode": "802.3ad", "lacp-rate": "fast"}},
            "vlans": {"vlan1": {"link": "bond0", "subnet": format!("int{number:02}")}},
            "bridges": {"br0": {"interfaces": ["vlan1"], "subnet": format!("int{number:02}")}},
        });
        profiles.insert(format!("kind{number:02}"), profile);
    }
    for rack in 1..=racks_of_40 {
        let name = format!("r{rack:03}");
        let location = format!("hall {} row {}", rack.div_ceil(50), rack.div_ceil(10));
        racks.insert(name.clone(), json!({"location": location, "units": 48}));
        for side in ["a", "b"] {
            let peer = if side == "a" { "b" } else { "a" };
            let switch = json!({
                "vendor": "eos", "rack": name, "mlag-peer": format!("leaf{rack:03}{peer}"),
            });
            switches.insert(format!("leaf{rack:03}{side}"), switch);
        }
        for unit in 1..=40_u32 {
            let nic = |side: &str, last: u32| {
                json!({
                    "mac": format!("52:54:{last:02x}:00:{rack:02x}:{unit:02x}"),
                    "switch": format!("leaf{rack:03}{side}"),
                    "port": format!("Ethernet{unit}"),
                })
            };
            let kind = (rack * 40 + unit) % 20;
            let at = (rack * 40 + unit) / 20;
            let octet = kind * 2 + at / 240;
            let host = json!({
                "rack": name, "unit": unit, "serial": format!("SN{rack:03}{unit:03}"),
                "profile": format!("kind{kind:02}"), "image": "live",
                "nics": {"eth0": nic("a", 0), "eth1": nic("b", 1)},
                "addresses": {"br0": format!("172.16.{octet}.{}", 10 + at % 240)},
            });
            hosts.insert(format!("{name}-n{unit:02}"), host);
        }
    }
    serde_json::from_value(json!({
        "racks": racks, "switches": switches, "subnets": subnets, "profiles": profiles,
        "images": {"live": {"kernel": "live/vmlinuz", "initrd": ["live/initrd.img"]},
                   "disk": {"local": true}},
        "hosts": hosts,
    }))
    .unwrap()
}

/// How many elements a page has, roughly.
fn nodes(html: &str) -> usize {
    html.matches('<').count() - html.matches("</").count()
}

/// A page within the budget.
async fn lean(operator: &Visitor, path: &str) -> String {
    let begin = std::time::Instant::now();
    let html = operator.page(path).await;
    println!("{path}: {} bytes, {} nodes, {:?}", html.len(), nodes(&html), begin.elapsed());
    let is_reference = matches!(path, "/keys" | "/formats");
    let most = if is_reference { MOST_NODES_OF_REFERENCE } else { MOST_NODES };
    assert!(nodes(&html) <= most, "{path}: {} nodes", nodes(&html));
    let most = if is_reference { 3 * MOST_BYTES } else { MOST_BYTES };
    assert!(html.len() <= most, "{path}: {} bytes", html.len());
    html
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_hundreds_of_hosts_is_a_page_that_can_be_read() {
    pages_can_be_read(10, "400").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make test-full"]
async fn a_change_of_four_thousand_hosts_is_a_page_that_can_be_read() {
    pages_can_be_read(100, "4,000").await;
}

/// Looks at every page of a site with so many racks, and changes a tenth of its hosts.
async fn pages_can_be_read(racks: u32, hosts: &str) {
    let (of_a_profile, switches) = (racks * 2, racks * 2);
    let server = Server::with_site(site(racks)).await;
    let operator = server.operator().await;
    let html = lean(&operator, "/").await;
    assert!(html.len() < 180_000, "{} bytes", html.len());
    for path in [
        "/hosts?page=40&rack=r010&rack=r009",
        "/hosts",
        "/import",
        "/hosts/r007-n12",
        "/hosts/r007-n12/edit",
        "/edit-hosts?which=all&query=",
        "/racks",
        "/racks/r005",
        "/switches",
        "/switches/leaf005a",
        "/subnets",
        "/subnets/int03",
        "/profiles",
        "/profiles/kind03",
        "/images/live",
        "/checks",
        "/discovered",
        "/revisions",
        "/leases",
        "/events",
        "/audit",
        "/tenants",
        "/images",
        "/users",
        "/roll-out",
        "/find?text=n",
        "/keys",
        "/formats",
        "/access",
        "/hosts/r007-n12/install",
        "/install-hosts?which=all&query=",
    ] {
        lean(&operator, path).await;
    }
    let html = lean(&operator, "/revisions/1").await;
    for words in [
        format!("{hosts} hosts"),
        format!("{switches} switches"),
        "50 subnets".to_owned(),
        format!("kind00 <strong>{of_a_profile}</strong>"),
    ] {
        assert!(html.contains(&words), "{words} is not in {html}");
    }

    // A VLAN of every host of a profile: one change of these hosts, and one of their switches.
    let mut form = fields(&operator.page("/change?noun=subnets&name=int03").await);
    for (name, value) in &mut form {
        if name == "text" {
            *value = value.replace("vlan: 503", "vlan: 903");
        }
    }
    form.push(("do".into(), "review".into()));
    let answer = operator.post("/change", encode(&form)).await;
    assert_eq!(answer.status(), 200);
    let html = answer.text().await.unwrap();
    println!("review: {} bytes, {} nodes", html.len(), nodes(&html));
    assert!(html.len() < MOST_BYTES / 4, "{} bytes", html.len());
    for words in [
        &format!("Generated files of {of_a_profile} hosts change"),
        &format!("{switches} switches"),
        "+ Id=903",
        "interface Port-Channel{number}",
        "2 times on each",
        "by rack",
    ] {
        assert!(html.to_lowercase().contains(&words.to_lowercase()), "{words} is not in {html}");
    }
    assert_eq!(html.matches("<details class=\"group\"").count(), 2, "{html}");

    // Renumbering is refused for all of them: that is one reason, not a line for each.
    let mut form = fields(&operator.page("/change?noun=subnets&name=int03").await);
    for (name, value) in &mut form {
        if name == "text" {
            *value = value.replace("172.16.6.0/23", "172.30.6.0/23");
        }
    }
    form.push(("do".into(), "review".into()));
    let answer = operator.post("/change", encode(&form)).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    assert!(html.len() < MOST_BYTES / 4, "{} bytes", html.len());
    assert!(html.contains("more of N"), "{html}");

    // Everything is there as text.
    let whole = operator.page("/revisions/1/files.diff").await;
    assert!(whole.contains("{address of br0}"), "{}", &whole[..whole.len().min(3000)]);
    let one = operator.page("/revisions/1/files.diff?host=r007-n12").await;
    assert!(one.contains("172.16.") && !one.contains('{'), "{one}");
    let site = operator.page("/revisions/1/site.diff").await;
    assert!(site.contains("+   r007-n12:"), "{} bytes", site.len());
}
