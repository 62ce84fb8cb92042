//! The home page and the list of events follow what happens.

use rackstrap::lifecycle::event::ReportResult;
use rackstrap::model::Mac;
use serde_json::json;

use super::browser::Browser;
use super::journey::log_in;
use super::server::Server;
use crate::common::boots;

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_follows_its_hosts() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.wait_for_text("#stream-state", "updates itself").await;
    browser.wait_for_text("[data-live=counts] a[href$='=waiting'] strong", "2").await;
    let events = &server.app.inventory.events;
    // A boot begins: it is counted, listed, and drawn.
    for data in [boots::discover(), boots::ack(), boots::kernel("live/vmlinuz")] {
        events.record(Some("r1-n01"), Some(Mac([0x52, 0x54, 0, 0xaa, 0, 1])), data);
    }
    browser.wait_for_text("[data-live=progress]", "r1-n01").await;
    browser.wait_for_text("[data-live=counts] a[href$='=booting'] strong", "1").await;
    browser.find("[data-live='picture r1'] path.booting").await;
    // The link that has the focus keeps it while its table is made anew.
    browser.run("document.querySelector('[data-live=progress] a').focus()").await;
    events.record(Some("r1-n02"), None, boots::report(ReportResult::Failed, "eth1 has no carrier"));
    browser.wait_for_text("[data-live=attention]", "eth1 has no carrier").await;
    browser.wait_for_text("[data-live=attention] .names", "r1-n02").await;
    browser.find("[data-live='picture r1'] path.failed").await;
    let focused = browser.run("return document.activeElement.textContent").await;
    assert_eq!(focused, "r1-n01");
    browser.screenshot("fleet-live").await;
    events.record(Some("r1-n01"), None, boots::report(ReportResult::Up, ""));
    browser.wait_for_text("[data-live=counts] a[href$='=up'] strong", "1").await;
    browser.wait_for_text("[data-live=progress]", "").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_events_follows_what_its_filter_finds() {
    let server = Server::start().await;
    let events = &server.app.inventory.events;
    events.record(Some("r1-n01"), None, boots::kernel("file-0"));
    events.settle().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/events?kind=kernel&host=r1-n01", server.url)).await.unwrap();
    browser.wait_for_text("#stream-state", "updates itself").await;
    let rows = "return [...document.querySelectorAll('tbody td.text')].map((e) => e.textContent.split(' ')[0])";
    assert_eq!(browser.run(rows).await, json!(["file-0"]));
    events.record(Some("r1-n01"), None, boots::script("live"));
    events.record(Some("r1-n02"), None, boots::kernel("file-of-another"));
    events.record(Some("r1-n01"), None, boots::kernel("file-1"));
    events.record(Some("r1-n01"), None, boots::kernel("file-2"));
    browser.wait_for_text("tbody", "file-2").await;
    assert_eq!(browser.run(rows).await, json!(["file-2", "file-1", "file-0"]));

    // Nothing comes while it is paused, and all of it once afterwards.
    browser.click("[data-pause]").await;
    browser.wait_for_text("#stream-state", "paused").await;
    events.record(Some("r1-n01"), None, boots::kernel("file-3"));
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert_eq!(browser.run(rows).await, json!(["file-2", "file-1", "file-0"]));
    browser.click("[data-pause]").await;
    browser.wait_for_text("tbody", "file-3").await;
    browser.screenshot("events-live").await;
    assert_eq!(browser.run(rows).await, json!(["file-3", "file-2", "file-1", "file-0"]));

    // A page of the past stands still; one that found nothing shows the first that comes.
    let operator = server.operator().await;
    for past in ["/events?until=2020-01-01", "/events?before=1"] {
        assert!(!operator.page(past).await.contains("data-stream"), "{past}");
    }
    browser.client.goto(&format!("{}/events?text=unheard", server.url)).await.unwrap();
    browser.wait_for_text("#stream-state", "updates itself").await;
    browser.wait_for_text("main", "No event matches").await;
    events.record(Some("r1-n01"), None, boots::kernel("unheard"));
    browser.wait_for_text("tbody", "unheard").await;
    browser.close().await;
}
