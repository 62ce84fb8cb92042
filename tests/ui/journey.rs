//! An operator's way through the pages, in a real browser with script.

use rackstrap::inventory::StoredReport;
use rackstrap::lifecycle::event::ReportResult;
use rackstrap::lifecycle::{EventKind, Progress};
use rackstrap::model::Mac;

use super::browser::Browser;
use super::server::{PASSWORD, Server};
use crate::common::boots;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_follows_a_boot_and_corrects_an_address() {
    let server = Server::start().await;
    fill(&server).await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.screenshot("fleet").await;
    audit(&browser, "the fleet").await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    browser.wait_for_text("#stream-state", "updates itself").await;
    browser.screenshot("hosts").await;

    browser.click("a[href='/hosts/r1-n01']").await;
    browser.wait_for_text("h1", "r1-n01").await;
    watch_boot(&browser, &server).await;
    correct_address(&browser).await;
    look_around(&browser, &server).await;
    go_anywhere(&browser).await;

    browser.click(".top form button").await;
    browser.find("#password").await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    browser.find("#password").await;
    browser.close().await;
}

pub(super) async fn log_in(browser: &Browser, server: &Server) {
    browser.client.goto(&server.url).await.unwrap();
    browser.screenshot("login").await;
    browser.fill("#name", "ada").await;
    browser.fill("#password", "wrong password").await;
    browser.click("button").await;
    browser.wait_for_text(".trouble-box", "Wrong name or password.").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("button").await;
    browser.wait_for_text("h1", "Fleet").await;
}

/// Things that happened before the operator came.
pub(super) async fn fill(server: &Server) {
    let events = &server.app.inventory.events;
    let mac = Mac([0x52, 0x54, 0, 0xaa, 0, 3]);
    let report = boots::report(ReportResult::Up, "revision 1: virbr0 up with 172.16.160.13");
    for data in [boots::discover(), boots::ack(), boots::tftp("ipxe.efi"), report] {
        events.record(Some("r1-n02"), Some(mac), data);
    }
    let stranger = Mac([0x52, 0x54, 0, 0xbb, 0, 1]);
    events.record(None, Some(stranger), boots::discover());
    let database = &server.app.inventory.database;
    let body = "bond0: 802.3ad, 2 ports, partner 02:00:00:00:00:01\nvirbr0: 172.16.160.12/24\n";
    let report = StoredReport { at_ms: 1_790_000_000_000, body: body.into() };
    database.set_report("r1-n01", &report).await.unwrap();
}

/// The timeline and the bars move while the page is open.
async fn watch_boot(browser: &Browser, server: &Server) {
    browser.wait_for_text("[data-live=timeline]", "Power it on").await;
    browser.wait_for_text("#stream-state", "updates itself").await;
    let events = &server.app.inventory.events;
    let mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);
    for data in [
        boots::discover(),
        boots::offer(),
        boots::request(),
        boots::ack(),
        boots::tftp("ipxe.efi"),
        boots::script("live"),
        boots::kernel("live/vmlinuz"),
        boots::initrd("live/initrd.img"),
    ] {
        events.record(Some("r1-n01"), Some(mac), data);
    }
    browser.wait_for_text(".timeline .now", "live/initrd.img").await;
    browser.wait_for_text("#announcer", "initrd").await;
    browser.wait_for_text("[data-live=state]", "booting").await;
    for percent in [12, 64] {
        events.progress(Progress {
            host: Some("r1-n01".into()),
            kind: EventKind::Initrd,
            file: "live/initrd.img".into(),
            sent_bytes: percent * 287_310,
            total_bytes: 28_731_000,
        });
        browser.wait_for_text(".timeline .transfer", &format!("{percent} %")).await;
    }
    let value = browser.run("return document.querySelector('.timeline progress').value").await;
    assert_eq!(value, 64);
    browser.click("details.file:nth-of-type(3) summary").await;
    browser.screenshot("host").await;
}

/// A wrong address is named at its field, nothing else is lost, and the right one is saved.
async fn correct_address(browser: &Browser) {
    const FIELD: &str = "[id='addresses.virbr0']";
    browser.click("a[href='/hosts/r1-n01/edit']").await;
    browser.fill("#serial", "CZ4712").await;
    browser.fill(FIELD, "172.16.160.13").await;
    browser.click(".head .first").await;
    browser.wait_for_text("[id='addresses.virbr0-wrong']", "r1-n02").await;
    browser.screenshot("edit-refused").await;
    let invalid = browser.find(FIELD).await.attr("aria-invalid").await.unwrap();
    assert_eq!(invalid.as_deref(), Some("true"));
    let serial = browser.find("#serial").await.prop("value").await.unwrap();
    assert_eq!(serial.as_deref(), Some("CZ4712"));
    browser.fill(FIELD, "172.16.160.14").await;
    browser.click(".head .first").await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    browser.wait_for_text("main", "172.16.160.14").await;
}

/// Every page is looked at in light and dark: it has all that those need who do not see it
/// or use no mouse, and nothing on it was refused by the browser.
async fn look_around(browser: &Browser, server: &Server) {
    for (path, name) in [
        ("/", "fleet-after"),
        ("/hosts", "hosts-after"),
        ("/hosts/r1-n01", "host-after"),
        ("/hosts/r1-n01/edit", "edit"),
        ("/hosts/r1-n01/remove", "remove"),
        ("/edit-hosts?host=r1-n01&host=r1-n02", "bulk"),
        ("/install-hosts?host=r1-n01&host=r1-n02&task=erase", "bulk-install"),
        ("/racks", "racks"),
        ("/racks/r1", "rack"),
        ("/profiles", "profiles"),
        ("/profiles/hypervisor", "profile"),
        ("/keys", "keys"),
        ("/formats", "formats"),
        ("/images", "images"),
        ("/change?noun=profiles&name=hypervisor", "change"),
        ("/leases", "leases"),
        ("/revisions", "revisions"),
        ("/access", "access"),
        ("/switches", "switches"),
        ("/switches/leaf1a", "switch"),
        ("/tenants", "tenants"),
        ("/subnets", "subnets"),
        ("/subnets/internal", "subnet"),
        ("/discovered", "discovered"),
        ("/events", "events"),
        ("/revisions/2", "revision"),
        ("/revisions/2/revert", "revert"),
        ("/add-host", "add"),
        ("/hosts/nobody", "missing"),
    ] {
        browser.client.goto(&format!("{}{path}", server.url)).await.unwrap();
        browser.find("h1").await;
        audit(browser, path).await;
        browser.screenshot(name).await;
        browser.run("document.documentElement.style.colorScheme = 'dark'").await;
        audit(browser, &format!("{path} in the dark")).await;
        if matches!(name, "fleet-after" | "host-after" | "hosts-after" | "change") {
            browser.screenshot(&format!("{name}-dark")).await;
        }
    }
    watch_rack(browser, server).await;
    review(browser, server).await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    browser.find("h1").await;
}

/// The drawing of a rack moves too; and the search for barriers does find one.
async fn watch_rack(browser: &Browser, server: &Server) {
    browser.client.goto(&format!("{}/racks/r1", server.url)).await.unwrap();
    browser.wait_for_text("#stream-state", "updates itself").await;
    browser.wait_for_text("[data-live='rack r1-n01']", "booting").await;
    server.app.inventory.events.record(Some("r1-n01"), None, boots::report(ReportResult::Up, ""));
    browser.wait_for_text("[data-live='rack r1-n01']", "up").await;
    browser.run("document.querySelector('main').append(document.createElement('input'))").await;
    let wrong = browser.run(include_str!("audit.js")).await;
    assert_eq!(wrong, serde_json::json!(["no name: <input>"]));
}

/// Ctrl-K leads from any page to any other, without a mouse.
async fn go_anywhere(browser: &Browser) {
    const CTRL_K: &str = "\u{e009}k";
    const ENTER: &str = "\u{e007}";
    browser.find("body").await.send_keys(CTRL_K).await.unwrap();
    browser.wait_for_text(".palette li[aria-selected=true]", "Fleet").await;
    let word = browser.find(".palette input").await;
    word.send_keys("n02").await.unwrap();
    browser.wait_for_text(".palette li[aria-selected=true]", "r1-n02").await;
    audit(browser, "the palette").await;
    browser.screenshot("palette").await;
    word.send_keys(ENTER).await.unwrap();
    browser.wait_for_text("h1", "r1-n02").await;
}

/// A VLAN is changed in the text of its subnet, reviewed, and saved.
async fn review(browser: &Browser, server: &Server) {
    let url = format!("{}/change?noun=subnets&name=internal", server.url);
    browser.client.goto(&url).await.unwrap();
    let area = browser.find("#text").await;
    let text = area.prop("value").await.unwrap().unwrap();
    browser.fill("#text", &text.replace("vlan: 500", "vlan: 501")).await;
    browser.click(".head .first").await;
    browser.wait_for_text("#review", "Changes to save").await;
    browser.wait_for_text(".diff", "+ Id=501").await;
    audit(browser, "the review").await;
    browser.screenshot("review").await;
    browser.click(".head .first").await;
    browser.wait_for_text(".notice", "Saved as revision 3.").await;
    browser.wait_for_text("h1", "internal").await;
    // Taken back: one click only asks.
    browser.click(".notice a[href='/revisions/3']").await;
    browser.click("a[href='/revisions/3/revert']").await;
    browser.wait_for_text("h1", "Revert revision 3?").await;
    browser.wait_for_text("#review", "Changes to save").await;
    browser.wait_for_text(".diff", "+ Id=500").await;
    assert_eq!(server.app.inventory.snapshot().revision, 3);
    audit(browser, "the question").await;
    browser.screenshot("revert-asked").await;
    browser.click("main form .danger").await;
    browser.wait_for_text(".notice", "Reverted revision 3 in revision 4.").await;
}

pub(super) async fn audit(browser: &Browser, page: &str) {
    let wrong = browser.run(include_str!("audit.js")).await;
    assert_eq!(wrong, serde_json::json!([]), "{page}");
    let policy = "const done = arguments[0]; \
        const seen = new ReportingObserver((reports) => done(reports.map((r) => r.body.blockedURL)), \
            {buffered: true, types: ['csp-violation']}); \
        seen.observe(); setTimeout(() => done([]), 20)";
    let refused = browser.client.execute_async(policy, Vec::new()).await.unwrap();
    assert_eq!(refused, serde_json::json!([]), "{page}: refused by the policy");
}
