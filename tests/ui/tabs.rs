//! Many tabs, and a browser that does not trust the page's address.

use fantoccini::key::Key;

use super::browser::Browser;
use super::server::{PASSWORD, Server};
use crate::common::netns::Netns;

const TABS: usize = 20;

async fn log_in(browser: &Browser, url: &str) {
    browser.client.goto(url).await.unwrap();
    browser.fill("#name", "ada").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("button").await;
    browser.wait_for_text("h1", "Fleet").await;
}

/// A browser opens six connections to a server: each live page that nobody sees gives its own back.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_tabs_are_open_and_each_loads() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server.url).await;
    browser.client.goto(&format!("{}/hosts", server.url)).await.unwrap();
    let first = browser.client.window().await.unwrap();
    for _ in 1..TABS {
        let tab = browser.client.new_window(true).await.unwrap();
        browser.client.switch_to_window(tab.handle).await.unwrap();
        browser.client.goto(&format!("{}/hosts/r1-n01", server.url)).await.unwrap();
        browser.wait_for_text("h1", "r1-n01").await;
        browser.wait_for_text("#stream-state", "updates itself").await;
    }
    assert_eq!(browser.client.windows().await.unwrap().len(), TABS);
    browser.client.switch_to_window(first).await.unwrap();
    browser.wait_for_text("#stream-state", "updates itself").await;
    browser.client.refresh().await.unwrap();
    browser.wait_for_text("h1", "Hosts").await;
    browser.close().await;
}

/// `navigator.clipboard` exists only on HTTPS and on loopback, not on an address of a LAN.
#[tokio::test(flavor = "multi_thread")]
async fn copying_works_where_the_browser_has_no_clipboard_for_the_page() {
    let server = Server::at_all_addresses().await;
    let namespace = Netns::new("copy");
    let browser = Browser::inside(&namespace).await;
    let url = server.also_at(browser.near.unwrap()).await;
    log_in(&browser, &url).await;
    browser.client.goto(&format!("{url}/hosts/r1-n01")).await.unwrap();
    assert_eq!(browser.run("return typeof navigator.clipboard").await, "undefined");
    browser.click("button[data-copy]").await;
    browser.wait_for_text("button[data-copy]", "Copied").await;
    browser.client.goto(&format!("{url}/hosts")).await.unwrap();
    let paste = format!("{}v", char::from(Key::Control));
    browser.find("#text").await.send_keys(&paste).await.unwrap();
    let pasted = browser.run("return document.getElementById('text').value").await;
    assert!(pasted.as_str().unwrap().starts_with("curl http://"), "{pasted}");
    assert!(!pasted.as_str().unwrap().contains("127.0.0.1"), "{pasted}");
    browser.close().await;
}
