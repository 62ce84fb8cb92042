//! A profile built from its drawing, by mouse, by keyboard and without script.

use fantoccini::Locator;
use rackstrap::network::Format;
use reqwest::header::LOCATION;
use serde_json::json;

use super::browser::Browser;
use super::journey::log_in;
use super::server::{Server, Visitor, encode, fields};

/// As somebody writes it in YAML.
const WRITTEN: &str = "{bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, mii-monitor: 100ms}}, \
    vlans: {vlan500: {link: bond0, subnet: internal}}, \
    bridges: {br0: {interfaces: [vlan500], subnet: internal}}}";

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

fn written() -> serde_json::Value {
    serde_saphyr::from_str(WRITTEN).unwrap()
}

/// The profile is the one that is written in YAML, and so are the files of a host that has it.
fn assert_built(server: &Server, name: &str) {
    let mut site = server.app.inventory.snapshot().site.clone();
    let built = serde_json::to_value(&site.profiles[name]).unwrap();
    assert_eq!(built, written());
    let by_hand = serde_json::from_value(written()).unwrap();
    site.profiles.insert("by-hand".into(), by_hand);
    let mut files = Vec::new();
    for profile in [name, "by-hand"] {
        let host = site.hosts.get_mut("r1-n01").unwrap();
        host.profile = Some(profile.to_owned());
        host.addresses = [("br0".to_owned(), "172.16.160.12".parse().unwrap())].into();
        files.push(rackstrap::network::render_host(&site, "r1-n01", Format::Networkd).unwrap());
    }
    assert!(files[0].len() > 5);
    // Files name their profile.
    let [built, by_hand] = [0, 1].map(|own: usize| format!("{:?}", files[own]));
    assert_eq!(built.replace(name, "by-hand"), by_hand);
}

async fn send(visitor: &Visitor, mut form: Vec<(String, String)>, button: &str) -> (u16, String) {
    form.retain(|(name, _)| name != "do");
    form.push(("do".into(), button.into()));
    let answer = visitor.post("/change", encode(&form)).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn set(form: &mut [(String, String)], name: &str, value: &str) {
    let found = form.iter_mut().find(|(own, _)| own == name);
    found.unwrap_or_else(|| panic!("no {name}")).1 = value.to_owned();
}

#[tokio::test]
async fn without_script_each_step_is_a_form_and_errors_stand_at_their_fields() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut form = fields(&operator.page("/change?noun=profiles&view=build").await);
    let (status, html) = send(&operator, form.clone(), "review").await;
    assert!(status == 422 && html.contains("id=\"entry-name-wrong\""), "{html}");

    set(&mut form, "entry-name", "built");
    let (_, html) = send(&operator, form, "add bonds").await;
    let (_, html) = send(&operator, fields(&html), "add vlans").await;
    let (status, html) = send(&operator, fields(&html), "review").await;
    assert_eq!(status, 422);
    assert!(html.contains("vlans.vlan0.id-wrong") && html.contains("has no VLAN id"), "{html}");
    // It is at its field also if another link was shown.
    let (_, other) = send(&operator, fields(&html), "select bond0").await;
    assert!(other.contains("id=\"bonds.bond0.mode\""), "{other}");
    let (_, html) = send(&operator, fields(&other), "review").await;
    let mut form = fields(&html);
    set(&mut form, "set.id", "nine");
    let (status, html) = send(&operator, form, "review").await;
    assert!(status == 422 && html.contains("vlans.vlan0.id-wrong"), "{html}");
    let mut form = fields(&html);
    set(&mut form, "set.id", "");
    set(&mut form, "set.subnet", "internal");
    set(&mut form, "link-name", "vlan500");
    let (_, html) = send(&operator, form, "add bridges").await;

    // The text is in step, there and back.
    let (_, html) = send(&operator, fields(&html), "text").await;
    assert!(html.contains("vlan500") && html.contains("<textarea"), "{html}");
    let (_, html) = send(&operator, fields(&html), "build").await;
    let (status, html) = send(&operator, fields(&html), "review").await;
    assert!(status == 200 && html.contains("Changes to save"), "{html}");
    assert_eq!(server.app.inventory.snapshot().revision, 1, "nothing is stored before");
    let answer = operator
        .post("/change", encode(&[fields(&html), vec![("do".into(), "save".into())]].concat()))
        .await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap()),
        (303, "/profiles/built")
    );
    assert_built(&server, "built");

    let form = fields(&operator.page("/change?noun=profiles&name=hypervisor&view=build").await);
    let (status, html) = send(&operator, form, "review").await;
    assert!(status == 200 && html.contains("No changes"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bond_with_a_vlan_and_a_bridge_is_built_by_mouse() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/profiles", server.url)).await.unwrap();
    browser.click(".head a[href$='view=build']").await;
    browser.fill("#entry-name", "built").await;
    browser.click("button[value='add bonds']").await;
    browser.find("[id='bonds.bond0.mode']").await;
    browser.click("button[value='add vlans']").await;
    browser.fill("[id='vlans.vlan0']", "vlan500").await;
    browser.click("[id='vlans.vlan0.subnet'] option[value=internal]").await;
    browser.click("button[value='add bridges']").await;
    browser.find("[id='bridges.br0.stp']").await;
    browser.screenshot("profile-builder").await;
    browser.click("button.link-box[value='select bond0']").await;
    browser.find("[id='bonds.bond0.mode']").await;
    browser.client.set_window_size(375, 1000).await.unwrap();
    browser.screenshot("profile-builder-375").await;
    browser.client.set_window_size(1280, 1000).await.unwrap();
    browser.screenshot("profile-builder-1280").await;
    browser.click(".head button[value=review]").await;
    browser.wait_for_text("#review", "Changes to save").await;
    browser.click(".head button[value=save]").await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    browser.close().await;
    assert_built(&server, "built");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bond_with_a_vlan_and_a_bridge_is_built_by_keyboard() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/change?noun=profiles&view=build", server.url)).await.unwrap();
    reach(&browser, "#entry-name").await;
    press(&browser, "built").await;
    reach(&browser, "button[value='add bonds']").await;
    press(&browser, ENTER).await;
    browser.find("[id='bonds.bond0.mode']").await;
    reach(&browser, "button[value='add vlans']").await;
    press(&browser, SPACE).await;
    browser.find("[id='vlans.vlan0']").await;
    reach(&browser, "[id='vlans.vlan0']").await;
    press(&browser, "vlan500").await;
    reach(&browser, "[id='vlans.vlan0.subnet']").await;
    press(&browser, "internal").await;
    // Enter draws; the link is chosen in the drawing.
    reach(&browser, "[id='vlans.vlan0.mtu']").await;
    press(&browser, ENTER).await;
    browser.find("[id='vlans.vlan500']").await;
    reach(&browser, "button.link-box[value='select vlan500']").await;
    press(&browser, ENTER).await;
    browser.find("[id='vlans.vlan500']").await;
    reach(&browser, "button[value='add bridges']").await;
    press(&browser, ENTER).await;
    browser.find("[id='bridges.br0.stp']").await;
    reach(&browser, ".head button[value=review]").await;
    press(&browser, ENTER).await;
    browser.wait_for_text("#review", "Changes to save").await;
    reach(&browser, ".head button[value=save]").await;
    press(&browser, ENTER).await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    browser.close().await;
    assert_built(&server, "built");
}

/// Goes on with the tabulator until the element has the focus.
async fn reach(browser: &Browser, css: &str) {
    browser.find(css).await;
    for _ in 0..120 {
        press(browser, TAB).await;
        let script = "return document.activeElement === document.querySelector(arguments[0])";
        let is_there = browser.client.execute(script, vec![json!(css)]).await.unwrap();
        if is_there == json!(true) {
            return;
        }
    }
    panic!("{css} is not reached by the tabulator");
}

/// Presses keys where the focus is.
async fn press(browser: &Browser, keys: &str) {
    let focused = browser.client.active_element().await;
    let element = match focused {
        Ok(element) => element,
        Err(_) => browser.client.find(Locator::Css("body")).await.unwrap(),
    };
    element.send_keys(keys).await.unwrap();
}
