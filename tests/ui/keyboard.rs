//! The keys of the list of hosts, its order, and its menus, in a browser.

use serde_json::json;

use super::browser::Browser;
use super::journey::log_in;
use super::server::Server;

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// The text of what has the focus.
async fn focused(browser: &Browser) -> String {
    let text = browser.run("return document.activeElement.textContent.trim()").await;
    text.as_str().unwrap().to_owned()
}

/// The hosts of the list, in its order.
async fn listed(browser: &Browser) -> serde_json::Value {
    let script =
        "return [...document.querySelectorAll('table.hosts tbody th a')].map((a) => a.textContent)";
    browser.run(script).await
}

async fn ticked(browser: &Browser) -> serde_json::Value {
    let script =
        "return [...document.querySelectorAll('input[name=host]:checked')].map((e) => e.value)";
    browser.run(script).await
}

/// Presses a key where the focus is.
async fn press(browser: &Browser, key: &str) {
    browser.client.active_element().await.unwrap().send_keys(key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_hosts_is_used_without_a_mouse() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    browser.find("table.hosts").await;
    // `/` searches; in a field it is a letter.
    press(&browser, "/").await;
    press(&browser, "n0/").await;
    let typed =
        browser.run("return [document.activeElement.id, document.activeElement.value]").await;
    assert_eq!(typed, json!(["text", "n0/"]));

    // j, k and x only while the table has the focus.
    browser.run("document.activeElement.blur()").await;
    press(&browser, "j").await;
    press(&browser, "x").await;
    assert_eq!(ticked(&browser).await, json!([]));
    browser.run("document.querySelector('table.hosts thead a').focus()").await;
    for (key, host) in
        [("j", "r1-n01"), ("j", "r1-n02"), ("j", "r1-n02"), ("k", "r1-n01"), ("k", "r1-n01")]
    {
        press(&browser, key).await;
        assert_eq!(focused(&browser).await, host, "{key}");
    }
    press(&browser, "x").await;
    assert_eq!(ticked(&browser).await, json!(["r1-n01"]));
    press(&browser, "jx").await;
    assert_eq!(ticked(&browser).await, json!(["r1-n01", "r1-n02"]));
    press(&browser, "x").await;
    assert_eq!(ticked(&browser).await, json!(["r1-n01"]));

    // All of the page, and none.
    browser.click("[data-tick-all] input").await;
    assert_eq!(ticked(&browser).await, json!(["r1-n01", "r1-n02"]));
    browser.click("[data-tick-all] input").await;
    assert_eq!(ticked(&browser).await, json!([]));

    browser.run("document.querySelector('table.hosts tbody th a').focus()").await;
    press(&browser, ENTER).await;
    browser.wait_for_text("h1", "r1-n01").await;
    press(&browser, ESCAPE).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_sorted_and_its_columns_and_views_are_chosen() {
    let server = Server::start().await;
    super::journey::fill(&server).await;
    server.app.inventory.events.settle().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    for (column, hosts, order) in [
        ("c-name", json!(["r1-n01", "r1-n02"]), "ascending"),
        // Something happened to the second one alone.
        ("c-event", json!(["r1-n02", "r1-n01"]), "descending"),
        ("c-place", json!(["r1-n01", "r1-n02"]), "ascending"),
        // Waiting comes before up.
        ("c-state", json!(["r1-n01", "r1-n02"]), "ascending"),
    ] {
        browser.click(&format!("thead .{column} a")).await;
        browser.find(&format!("thead .{column}[aria-sort={order}]")).await;
        assert_eq!(listed(&browser).await, hosts, "{column}");
    }

    // The order stays while columns are chosen.
    browser.click("nav.views summary").await;
    browser.click("input[name=cols][value=serial]").await;
    browser.click("input[name=cols][value=macs]").await;
    browser.click("nav.views form button").await;
    browser.wait_for_text("table.hosts thead", "Serial").await;
    browser.wait_for_text("table.hosts tbody", "CZ4711").await;
    browser.wait_for_text("table.hosts tbody", "52:54:00:aa:00:02").await;
    browser.find("thead .c-state[aria-sort=ascending]").await;
    browser.screenshot("hosts-columns").await;
    let boxes =
        "return [...document.querySelectorAll('input[name=cols]:checked')].map((e) => e.value)";
    assert_eq!(browser.run(boxes).await, json!(["serial", "macs"]));

    browser.click("nav.views a[href='/hosts?state=waiting']").await;
    browser.find("nav.views a[href='/hosts?state=waiting'][aria-current=page]").await;
    assert_eq!(listed(&browser).await, json!(["r1-n01"]));
    browser.click("nav.views a[href='/hosts']").await;
    browser.find("nav.views a[href='/hosts'][aria-current=page]").await;
    assert_eq!(listed(&browser).await, json!(["r1-n01", "r1-n02"]));
    browser.close().await;
}
