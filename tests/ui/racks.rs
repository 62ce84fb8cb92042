//! Hosts are placed in a rack and moved in it: by mouse, by keyboard and without script.

use std::time::Duration;

use fantoccini::actions::{InputSource, MouseActions, PointerAction};
use rackstrap::model::Site;
use reqwest::header::LOCATION;
use serde_json::json;

use super::browser::Browser;
use super::journey::{audit, log_in};
use super::server::Server;

fn site() -> Site {
    serde_json::from_value(json!({
        "racks": {"r1": {"units": 12}},
        "switches": {
            "leaf1a": {"vendor": "eos", "rack": "r1", "unit": 12},
            "leaf1b": {"vendor": "eos", "rack": "r1"},
        },
        "hosts": {
            "n1": {"rack": "r1", "unit": 1, "nics": {"eth0": "52:54:00:aa:00:01"}},
            "n2": {"rack": "r1", "unit": 4, "height": 2, "nics": {"eth0": "52:54:00:aa:00:02"}},
            "new": {"nics": {"eth0": "52:54:00:aa:00:03"}},
        },
    }))
    .unwrap()
}

fn unit_of(server: &Server, host: &str) -> Option<u16> {
    server.app.inventory.snapshot().site.hosts[host].unit
}

#[tokio::test]
async fn without_script_a_host_is_placed_in_a_free_unit_after_the_review() {
    let server = Server::with_site(site()).await;
    let operator = server.operator().await;
    let html = operator.page("/racks/r1?unit=7").await;
    let offered = |unit: u16| html.contains(&format!("data-unit=\"{unit}\""));
    let free: Vec<u16> = (1..=12).filter(|unit| offered(*unit)).collect();
    assert_eq!(free, [2, 3, 6, 7, 8, 9, 10, 11], "taken units are not offered: {html}");
    assert!(
        html.contains("<option selected>7</option>") && !html.contains("<option>12<"),
        "{html}"
    );
    assert!(html.contains("href=\"/switches/leaf1a\"") && html.contains(">leaf1b</a>"), "{html}");
    assert!(html.contains("href=\"/add-host?rack=r1&amp;unit=7\""), "{html}");

    for (query, wrong) in [
        ("host=&unit=7", "enter the name of a host"),
        ("host=n9&unit=7", "host &#34;n9&#34; does not exist"),
        ("host=new&unit=4", "unit 4 of r1 has no room: choose a free one"),
        ("host=new&unit=13", "unit 13 of r1 has no room"),
        ("host=new&unit=x", "&#34;x&#34; is not a unit"),
        ("host=n2&unit=11", "unit 11 of r1 has no room for 2 units"),
    ] {
        let answer = operator.get(&format!("/racks/r1/place?{query}")).await;
        assert_eq!(answer.status(), 422, "{query}");
        let html = answer.text().await.unwrap();
        assert!(html.contains(wrong) && html.contains("id=\"place-wrong\""), "{query}: {html}");
    }
    // A host that moves by one unit may keep the other.
    for (query, to) in [
        ("host=new&unit=7", "/hosts/new/edit?rack=r1&unit=7"),
        ("host=n2&unit=5", "/hosts/n2/edit?rack=r1&unit=5"),
    ] {
        let answer = operator.get(&format!("/racks/r1/place?{query}")).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap()),
            (303, to)
        );
        let html = operator.page(to).await;
        assert!(html.contains("Changes to save"), "{html}");
        assert_eq!(operator.fill_in(to, &[("do", "save")]).await.status(), 303);
    }
    assert_eq!((unit_of(&server, "new"), unit_of(&server, "n2")), (Some(7), Some(5)));

    let add = "/add-host?rack=r1&unit=9";
    let values =
        [("name", "n9"), ("height", "2"), ("nic.mac", "52:54:00:aa:00:09"), ("do", "save")];
    assert_eq!(operator.fill_in(add, &values).await.status(), 303);
    let snapshot = server.app.inventory.snapshot();
    let added = &snapshot.site.hosts["n9"];
    assert_eq!((added.unit, added.height), (Some(9), Some(2)));
}

/// Where the middle of an element is in the window.
async fn middle(browser: &Browser, css: &str) -> (i64, i64) {
    let script = "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'nearest'}); \
        const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]";
    let found = browser.client.execute(script, vec![json!(css)]).await.unwrap();
    let at = |index: usize| found[index].as_f64().unwrap() as i64;
    (at(0), at(1))
}

/// Drags an element onto another one.
async fn drag(browser: &Browser, from: &str, to: &str) {
    let (from, to) = (middle(browser, from).await, middle(browser, to).await);
    let go = |(x, y): (i64, i64), milliseconds| PointerAction::MoveTo {
        duration: Some(Duration::from_millis(milliseconds)),
        x: x as f64,
        y: y as f64,
    };
    let half = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
    let mouse = MouseActions::new("mouse".into())
        .then(go(from, 0))
        .then(PointerAction::Down { button: 0 })
        .then(go(half, 50))
        .then(go(to, 50))
        .then(PointerAction::Up { button: 0 });
    browser.client.perform_actions(mouse).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_moved_by_mouse_and_placed_by_keyboard() {
    let server = Server::with_site(site()).await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    let page = format!("{}/racks/r1", server.url);
    browser.client.goto(&page).await.unwrap();
    audit(&browser, "a rack").await;

    // Onto a taken unit nothing happens; onto free ones the review follows.
    drag(&browser, "[data-host=n1] .box", "[data-host=n2] .box").await;
    drag(&browser, "[data-host=n2] .box", "a[href='/switches/leaf1a'] .box").await;
    assert_eq!(browser.client.current_url().await.unwrap().as_str(), page);
    drag(&browser, "[data-host=n1] .box", "[data-unit='8']").await;
    browser.wait_for_text("main", "Changes to save").await;
    assert_eq!(unit_of(&server, "n1"), Some(1), "nothing is stored before");
    browser.click("button[value=save]").await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    assert_eq!(unit_of(&server, "n1"), Some(8));

    // A click is still a link: of a host, and of a free unit.
    browser.client.goto(&page).await.unwrap();
    browser.click("[data-host=n1] .box").await;
    browser.wait_for_text("h1", "n1").await;
    browser.client.goto(&page).await.unwrap();
    browser.click("[data-unit='6']").await;
    browser.wait_for_text("#place", "Place a host in unit 6").await;
    audit(&browser, "a free unit").await;
    browser.find("#place-host").await.send_keys("new\u{e007}").await.unwrap();
    browser.wait_for_text("main", "Changes to save").await;
    browser.click("button[value=save]").await;
    browser.wait_for_text(".notice", "Saved as revision 3.").await;
    assert_eq!(unit_of(&server, "new"), Some(6));

    for (name, width) in [("phone", 375), ("desk", 1280)] {
        for theme in ["light", "dark"] {
            browser.client.set_window_size(width, 1000).await.unwrap();
            browser.client.goto(&format!("{page}?unit=10")).await.unwrap();
            browser.run(&format!("document.documentElement.style.colorScheme = '{theme}'")).await;
            browser.screenshot(&format!("rack-{name}-{theme}")).await;
        }
    }
    browser.close().await;
}
