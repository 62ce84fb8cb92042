//! Pages on a phone and on a very wide screen, with the longest names and the least usual ones.

use rackstrap::model::Site;
use serde_json::json;

use super::browser::Browser;
use super::journey::log_in;
use super::server::Server;
use crate::common::boots;

/// Names of 63 letters, without a place to break, and texts that turn the direction of writing.
fn site() -> Site {
    let long = |letter: &str| letter.repeat(63);
    let turned = "r1\u{202e}gnp.exe";
    serde_json::from_value(json!({
        "racks": {long("r"): {"location": turned, "labels": [long("l")], "notes": long("n")}},
        "switches": {long("s"): {"vendor": "eos", "rack": long("r"), "notes": turned}},
        "subnets": {long("u"): {
            "cidr": "10.77.0.0/24", "gateway": "10.77.0.1",
            "ranges": [{"from": "10.77.0.100", "to": "10.77.0.199", "for": "dhcp"}],
        }},
        "tenants": {long("t"): {"contact": turned}},
        "images": {long("i"): {"kernel": format!("{}/vmlinuz", long("k")), "initrd": ["live/initrd.img"]}},
        "profiles": {long("p"): {"nics": {"eth0": {"dhcp4": true}, "eth1": {}}}},
        "hosts": {
            long("h"): {
                "rack": long("r"), "unit": 3, "profile": long("p"), "image": long("i"),
                "tenant": long("t"), "serial": long("S"), "labels": [long("l"), turned],
                "notes": format!("{turned} {}", long("n")),
                "nics": {"eth0": {"mac": "52:54:00:aa:00:01", "switch": long("s"), "port": "Ethernet1"},
                         "eth1": "52:54:00:aa:00:02"},
                "reservations": {long("u"): "10.77.0.11"},
            },
            "n2": {"nics": {"eth0": "52:54:00:aa:00:03"}},
        },
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone_and_a_wide_screen() {
    let server = Server::with_site(site()).await;
    let host = "h".repeat(63);
    let events = &server.app.inventory.events;
    for data in [boots::discover(), boots::ack(), boots::kernel(&"f".repeat(120))] {
        events.record(Some(&host), None, data);
    }
    events.settle().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    let of = |section: &str, letter: &str| format!("/{section}/{}", letter.repeat(63));
    let mut paths: Vec<String> = [
        "/",
        "/hosts",
        "/racks",
        "/discovered",
        "/subnets",
        "/leases",
        "/switches",
        "/tenants",
        "/profiles",
        "/images",
        "/roll-out",
        "/revisions",
        "/events",
        "/checks",
        "/audit",
        "/access",
        "/users",
        "/find",
        "/find?text=l",
        "/keys",
        "/formats",
        "/add-host",
        "/add-image",
        "/import",
        "/change?noun=profiles&view=build",
        "/change?noun=subnets&view=fields",
        "/revisions/1",
    ]
    .map(str::to_owned)
    .into();
    paths.extend([
        of("hosts", "h"),
        of("hosts", "h") + "/edit",
        of("hosts", "h") + "/install",
        of("hosts", "h") + "/boots",
        format!("/edit-hosts?host={host}"),
        of("racks", "r"),
        of("subnets", "u"),
        of("switches", "s"),
        of("tenants", "t"),
        of("profiles", "p"),
        of("images", "i"),
    ]);
    let mut wrong: Vec<String> = Vec::new();
    for width in [375, 2560] {
        browser.client.set_window_size(width, 812).await.unwrap();
        for path in &paths {
            browser.client.goto(&format!("{}{path}", server.url)).await.unwrap();
            browser.find("h1").await;
            let wide = browser.run("return document.documentElement.scrollWidth").await;
            if wide.as_u64().unwrap() > u64::from(width) {
                wrong.push(format!("{path} is {wide} px wide on a screen of {width}"));
            }
            if width > 400 {
                continue;
            }
            let script = "return [...document.querySelectorAll('input, select, textarea')] \
                .filter((e) => !['hidden', 'checkbox', 'radio'].includes(e.type) \
                    && parseFloat(getComputedStyle(e).fontSize) < 16).map((e) => e.name || e.id)";
            let small = browser.run(script).await;
            if small != json!([]) {
                wrong.push(format!("{path}: fields below 16 px: {small}"));
            }
        }
        browser.client.goto(&format!("{}{}", server.url, of("hosts", "h"))).await.unwrap();
        browser.find("#boot").await;
        browser.screenshot(&format!("host-{width}")).await;
        browser.client.goto(&server.url).await.unwrap();
        browser.find("h1").await;
        browser.screenshot(&format!("fleet-{width}")).await;
    }
    assert_eq!(wrong, [""; 0]);

    browser.client.set_window_size(375, 812).await.unwrap();
    browser.client.goto(&format!("{}{}", server.url, of("hosts", "h"))).await.unwrap();
    browser.find("#boot").await;
    let top = "return document.getElementById('boot').getBoundingClientRect().top / innerHeight";
    let screens = browser.run(top).await.as_f64().unwrap();
    assert!(screens < 1.5, "the boot begins {screens} screens down");
    browser.close().await;
}
