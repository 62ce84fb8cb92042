//! A roll-out is begun, halts, goes on and ends by its pages.

use reqwest::header::LOCATION;

use super::browser::Browser;
use super::journey::{audit, log_in};
use super::server::{Server, Visitor};

async fn follow(server: &Server, host: &str) -> bool {
    let inventory = &server.app.inventory;
    inventory.may_apply(&inventory.snapshot(), host, None).await.unwrap()
}

async fn confirm(operator: &Visitor, path: &str, values: &[(&str, &str)]) {
    let answer = operator.fill_in(path, values).await;
    assert_eq!(answer.status(), 303, "{path}: {}", answer.text().await.unwrap());
}

#[tokio::test]
async fn each_turn_of_a_roll_out_is_reviewed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/roll-out").await;
    assert!(html.contains("<strong>2</strong> have not reported theirs"), "{html}");
    let answer = operator.get("/roll-out/start?by=racks&size=1").await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("install the timer on them first"));
    assert_eq!(operator.get("/roll-out/end").await.status(), 409);

    for host in ["r1-n01", "r1-n02"] {
        assert!(!follow(&server, host).await);
    }
    for (query, wrong) in [
        ("by=racks&size=none", "&#34;none&#34; is not a number of racks"),
        ("by=labels&labels=", "enter the labels"),
        ("by=labels&labels=db", "has the label &#34;db&#34;"),
        ("by=rows", "&#34;rows&#34; is unknown: expected racks, labels or all"),
        ("by=all&apply=noon", "&#34;noon&#34; is unknown: expected now or next-boot"),
        ("by=all&first=r9", "host &#34;r9&#34; cannot go first"),
    ] {
        let answer = operator.get(&format!("/roll-out/start?{query}")).await;
        assert_eq!(answer.status(), 422, "{query}");
        let html = answer.text().await.unwrap();
        assert!(html.contains(wrong), "{query}: {html}");
    }
    let start = "/roll-out/start?first=r1-n02&by=racks&size=1";
    let html = operator.page(start).await;
    assert!(
        html.contains("<th scope=\"row\">r1-n02</th>")
            && html.contains("Roll out revision 1 to 2 hosts?")
            && !html.contains("Hosts that take no part"),
        "{html}"
    );
    // Who takes no part is named, with the reason; a host of it that never asks, too.
    let html_of_one = {
        let change =
            rackstrap::inventory::Change { who: "ada", summary: "one more", ..Default::default() };
        let inventory = &server.app.inventory;
        let added = inventory.change_site(change, |site| {
            let host: rackstrap::model::Host =
                serde_json::from_value(serde_json::json!({"rack": "r1", "unit": 9})).unwrap();
            site.hosts.insert("r1-n09".into(), host);
            Ok(())
        });
        added.await.unwrap();
        operator.page(start).await
    };
    for words in ["Hosts that take no part", "<strong>1 host</strong>: no profile", "r1-n09"] {
        assert!(html_of_one.contains(words), "{words} is not in {html_of_one}");
    }
    // Whoever reviewed other hosts or files is asked again.
    let answer = operator.fill_in(start, &[("digest", "00")]).await;
    assert_eq!(answer.status(), 409);
    confirm(&operator, start, &[]).await;
    assert!(!follow(&server, "r1-n01").await && follow(&server, "r1-n02").await);
    let inventory = &server.app.inventory;
    inventory.note_roll_out_failure("r1-n02", "rolled back: no gateway").await.unwrap();
    let html = operator.page("/roll-out").await;
    assert!(
        html.contains("Halted at <a href=\"/hosts/r1-n02\">r1-n02</a>: rolled back: no gateway"),
        "{html}"
    );
    assert!(!html.contains("Start a roll-out"), "one at a time");
    let html = operator.page("/roll-out/resume").await;
    assert!(html.contains("Halted at r1-n02: rolled back: no gateway."), "{html}");
    confirm(&operator, "/roll-out/resume", &[]).await;
    assert!(follow(&server, "r1-n02").await, "it may try again");
    let answer = operator.fill_in("/roll-out/end", &[]).await;
    assert_eq!(answer.headers()[LOCATION].to_str().unwrap(), "/roll-out");
    let html = operator.page("/roll-out").await;
    assert!(html.contains(": ended</h2>") && html.contains("Start a roll-out"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_begun_in_a_browser() {
    let server = Server::start().await;
    for host in ["r1-n01", "r1-n02"] {
        assert!(!follow(&server, host).await);
    }
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.click("a[href='/roll-out']").await;
    browser.fill("#first", "r1-n02").await;
    audit(&browser, "the roll-out").await;
    browser.click("form[action='/roll-out/start'] button").await;
    browser.wait_for_text("h1", "to 2 hosts?").await;
    audit(&browser, "the review of a roll-out").await;
    browser.click("form[method=post][action='/roll-out/start'] button").await;
    browser.wait_for_text(".notice", "Roll-out 1 has begun.").await;
    assert!(follow(&server, "r1-n02").await);
    let inventory = &server.app.inventory;
    inventory.note_roll_out_failure("r1-n02", "rolled back: no gateway").await.unwrap();
    let page = format!("{}/roll-out", server.url);
    for (name, width) in [("phone", 375), ("desk", 1280)] {
        for theme in ["light", "dark"] {
            browser.client.set_window_size(width, 1000).await.unwrap();
            browser.client.goto(&page).await.unwrap();
            browser.run(&format!("document.documentElement.style.colorScheme = '{theme}'")).await;
            browser.screenshot(&format!("roll-out-{name}-{theme}")).await;
        }
    }
    audit(&browser, "a halted roll-out").await;
    browser.close().await;
}
