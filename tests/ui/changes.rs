//! Changing the site as text: nothing is saved without its review, and all can be reverted.

use reqwest::header::LOCATION;

use super::browser::Browser;
use super::journey::log_in;
use super::server::{Server, Visitor, encode, fields};

/// Fetches an entry's form and sends it with a replacement in its text.
async fn send(
    visitor: &Visitor,
    url: &str,
    replaced: (&str, &str),
    action: &str,
) -> reqwest::Response {
    let form = fields(&visitor.page(url).await);
    resend(visitor, form, replaced, action).await
}

async fn resend(
    visitor: &Visitor,
    mut form: Vec<(String, String)>,
    (old, new): (&str, &str),
    action: &str,
) -> reqwest::Response {
    for (name, value) in &mut form {
        if name == "text" {
            assert!(value.contains(old), "{old} is not in {value}");
            *value = value.replace(old, new);
        }
    }
    form.push(("do".into(), action.into()));
    visitor.post("/change", encode(&form)).await
}

#[tokio::test]
async fn a_review_tells_what_would_change_and_saving_does_it() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let url = "/change?noun=subnets&name=internal";
    let answer = send(&operator, url, ("vlan: 500", "vlan: 501"), "review").await;
    assert_eq!(answer.status(), 200);
    let html = answer.text().await.unwrap();
    for word in [
        "Changes to save",
        "vlan: 500 -&#62; 501",
        "Generated files of 2 hosts change",
        "r1-n01, r1-n02",
        "+ Id=501",
    ] {
        assert!(html.contains(word), "{word} is not in {html}");
    }
    assert_eq!(server.app.inventory.snapshot().revision, 1);

    let answer = resend(&operator, fields(&html), ("", ""), "save").await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!(answer.headers()[LOCATION], "/subnets/internal");
    let html = operator.page("/subnets/internal").await;
    let notice = "Saved as revision 2. <a href=\"/revisions/2\">See what changed</a>";
    assert!(html.contains(notice), "{html}");
    assert_eq!(server.app.inventory.snapshot().site.subnets["internal"].vlan, Some(501));
}

#[tokio::test]
async fn what_was_not_reviewed_is_not_saved() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let url = "/change?noun=subnets&name=internal";
    let unseen = send(&operator, url, ("vlan: 500", "vlan: 501"), "save").await;
    assert_eq!(unseen.status(), 200);
    let reviewed = fields(&unseen.text().await.unwrap());
    let edited = resend(&operator, reviewed, ("vlan: 501", "vlan: 502"), "save").await;
    assert_eq!(edited.status(), 200);
    assert!(edited.text().await.unwrap().contains("500 -&#62; 502"));
    assert_eq!(server.app.inventory.snapshot().revision, 1);
}

#[tokio::test]
async fn wrong_texts_are_named_by_line_and_kept() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let cases = [
        ("/change?noun=subnets&name=internal", ("vlan: 500", "vlan: 5000"), "5000"),
        (
            "/change?noun=subnets&name=internal",
            ("vlan: 500", "vlam: 500"),
            "line 4: subnets.internal: unknown key",
        ),
        ("/change?noun=subnets&name=internal", ("cidr: ", "cidr: ["), "line "),
        ("/change?noun=profiles&name=hypervisor", ("link: bond0", "link: bond9"), "bond9"),
    ];
    for (url, replaced, text) in cases {
        let answer = send(&operator, url, replaced, "review").await;
        assert_eq!(answer.status(), 422, "{replaced:?}");
        let html = answer.text().await.unwrap();
        assert!(html.contains("Not saved") && html.contains(text), "{text}: {html}");
        assert!(fields(&html).iter().any(|(_, value)| value.contains(replaced.1)), "{replaced:?}");
    }
}

#[tokio::test]
async fn an_entry_in_use_is_not_removed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let mut form = fields(&operator.page("/change?noun=profiles&name=hypervisor").await);
    form.push(("remove".into(), "on".into()));
    let answer = operator.post("/change", encode(&form)).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("profile &#34;hypervisor&#34; does not exist"));
}

#[tokio::test]
async fn a_change_that_was_overtaken_is_told() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let url = "/change?noun=subnets&name=internal";
    let vlan = || server.app.inventory.snapshot().site.subnets["internal"].vlan;
    let opened = fields(&operator.page(url).await);
    let reviewed = send(&operator, url, ("vlan: 500", "vlan: 501"), "review").await;
    let reviewed = fields(&reviewed.text().await.unwrap());
    // What somebody changes elsewhere is no reason to refuse it.
    assert_eq!(operator.fill_in("/hosts/r1-n01/edit", &[("unit", "9")]).await.status(), 303);
    let answer = resend(&operator, reviewed.clone(), ("", ""), "save").await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!(vlan(), Some(501));

    // The same subnet: neither what was reviewed nor what was only opened is saved over it.
    for old in [opened.clone(), reviewed] {
        let answer = resend(&operator, old, ("", ""), "save").await;
        assert_eq!(answer.status(), 200);
        let html = answer.text().await.unwrap();
        for words in [
            "subnet internal was changed since you opened this form, by ada at",
            "revision 3: vlan: 500 -&#62; 501. That is kept.",
            "No changes",
        ] {
            assert!(html.contains(words), "{words} is not in {html}");
        }
    }
    assert_eq!(server.app.inventory.snapshot().revision, 3);
    // Another value goes together with it; it is reviewed before it is saved.
    let answer = resend(&operator, opened.clone(), ("mtu: 9000", "mtu: 1500"), "save").await;
    let html = answer.text().await.unwrap();
    assert!(html.contains("mtu: 9000 -&#62; 1500") && html.contains("That is kept"), "{html}");
    let answer = resend(&operator, fields(&html), ("", ""), "save").await;
    assert_eq!(answer.status(), 303);
    let subnet = server.app.inventory.snapshot().site.subnets["internal"].clone();
    assert_eq!((subnet.vlan, subnet.mtu), (Some(501), Some(1500)));
    // The same value, in the text and in the form: both are shown, and mine is kept if I say so.
    let mut form = fields(&operator.page("/change?noun=subnets&name=internal&view=fields").await);
    for (name, value) in &mut form {
        match name.as_str() {
            "key.vlan" => "502".clone_into(value),
            // As whoever opened the form at revision 1.
            "was" | "seen" => {
                let (_, old) = opened.iter().find(|(other, _)| other == name).unwrap();
                value.clone_from(old);
            }
            "key.mtu" => "9000".clone_into(value),
            _ => {}
        }
    }
    for (form, label) in [(opened, "vlan: was 500"), (form, ">VLAN</a>: was 500")] {
        let answer = resend(&operator, form, ("vlan: 500", "vlan: 502"), "review").await;
        assert_eq!(answer.status(), 422);
        let html = answer.text().await.unwrap();
        assert!(html.contains(label), "{label}: {html}");
        let said = "; you entered 502. Review again to keep yours.";
        assert!(html.contains("; now 501 (ada at ") && html.contains(said), "{html}");
        let again = resend(&operator, fields(&html), ("", ""), "review").await;
        assert_eq!(again.status(), 200);
        let html = again.text().await.unwrap();
        assert!(html.contains("vlan: 501 -&#62; 502") && !html.contains("mtu: 9000"), "{html}");
        // Back to the form, with what was typed.
        let form = resend(&operator, fields(&html), ("", ""), "more").await.text().await.unwrap();
        assert!(form.contains("502") && !form.contains("Changes to save"), "{form}");
    }
}

#[tokio::test]
async fn a_revision_is_reverted_unless_it_was_overtaken() {
    let server = Server::start().await;
    let operator = server.operator().await;
    assert_eq!(operator.fill_in("/hosts/r1-n01/edit", &[("unit", "9")]).await.status(), 303);
    assert_eq!(operator.fill_in("/hosts/r1-n01/edit", &[("unit", "10")]).await.status(), 303);
    let refused = operator.fill_in("/revisions/2", &[]).await;
    assert_eq!(refused.status(), 405, "the page itself takes no form");
    assert!(refused.headers().contains_key("allow"));
    let text = refused.text().await.unwrap();
    assert!(text.contains("/revisions/2 does not take POST") && text.contains("<h1>"), "{text}");

    let answer = operator.get("/revisions/2/revert").await;
    assert_eq!(answer.status(), 409);
    let html = answer.text().await.unwrap();
    assert!(html.contains("host r1-n01"), "{html}");
    assert!(!html.contains(">Revert</button>"), "nothing can be confirmed: {html}");
    // A button of another page only asks, and what was seen is what is done.
    let html = operator.page("/revisions/3/revert").await;
    assert!(html.contains("Changes to save") && html.contains("9"), "{html}");
    let csrf = fields(&html)[0].1.clone();
    let answer = operator.post("/revisions/3/revert", format!("csrf={csrf}")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(server.app.inventory.snapshot().revision, 3);
    let stale = format!("csrf={csrf}&do=save&base=2");
    let answer = operator.post("/revisions/3/revert", stale).await;
    assert_eq!(answer.status(), 409);
    assert!(answer.text().await.unwrap().contains("ada changed the inventory meanwhile"));
    assert_eq!(server.app.inventory.snapshot().revision, 3);
    let answer = operator.fill_in("/revisions/3/revert", &[]).await;
    assert_eq!(answer.headers()[LOCATION], "/revisions/4");
    assert_eq!(server.app.inventory.snapshot().site.hosts["r1-n01"].unit, Some(9));
    assert!(operator.page("/revisions/4").await.contains("Reverted revision 3 in revision 4."));
}

/// "Back" after a review shows what was typed: the browser may keep the form of a change.
#[tokio::test(flavor = "multi_thread")]
async fn back_from_a_review_shows_what_was_typed() {
    let server = Server::start().await;
    let browser = Browser::start().await;
    log_in(&browser, &server).await;
    browser.client.goto(&format!("{}/change?noun=subnets&view=fields", server.url)).await.unwrap();
    browser.fill("#entry-name", "storage").await;
    browser.fill("#cidr", "10.20.0.0/24").await;
    browser.click(".head .first").await;
    browser.wait_for_text("#review", "Changes to save").await;
    browser.screenshot("review-back").await;
    browser.client.back().await.unwrap();
    browser.wait_for_text("h1", "New subnet").await;
    let name = browser.find("#entry-name").await.prop("value").await.unwrap();
    assert_eq!(name.as_deref(), Some("storage"));
    // By the button, too.
    browser.click(".head .first").await;
    browser.wait_for_text("#review", "Changes to save").await;
    browser.click(".head button[value=more]").await;
    browser.wait_for_text(".head .first", "Review").await;
    let cidr = browser.find("#cidr").await.prop("value").await.unwrap();
    assert_eq!(cidr.as_deref(), Some("10.20.0.0/24"));
    browser.close().await;
}
