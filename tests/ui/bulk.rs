//! Changing many hosts at once.

use super::server::{Server, encode, fields};

#[tokio::test]
async fn many_hosts_are_changed_after_one_review() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let url = "/edit-hosts?host=r1-n01&host=nobody&host=r1-n02";
    let answer = operator.fill_in(url, &[("image", "-"), ("do", "save")]).await;
    assert_eq!(answer.status(), 200, "nothing is saved without its review");
    let html = answer.text().await.unwrap();
    assert!(html.contains("Changes to save") && html.contains("image: live -&#62; none"), "{html}");
    assert!(html.contains("No generated file changes."), "{html}");
    assert_eq!(server.app.inventory.snapshot().revision, 1);

    let mut reviewed = fields(&html);
    reviewed.push(("do".into(), "save".into()));
    let mut edited = reviewed.clone();
    for (name, value) in &mut edited {
        if name == "profile" {
            *value = "-".into();
        }
    }
    assert_eq!(operator.post("/edit-hosts", encode(&edited)).await.status(), 200);
    assert_eq!(operator.post("/edit-hosts", encode(&reviewed)).await.status(), 303);
    let snapshot = server.app.inventory.snapshot();
    assert!(snapshot.site.hosts.values().all(|host| host.image.is_none()));
    assert!(operator.page("/revisions/2").await.contains("set no image on 2 hosts"));
}

#[tokio::test]
async fn a_rack_shows_its_hosts_from_the_top() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/racks/r1").await;
    let at =
        |word: &str| html.find(&format!(">{word}<")).unwrap_or_else(|| panic!("{word}: {html}"));
    assert!(at("42") < at("1") && at("r1-n02") < at("r1-n01"));
    assert!(html.contains("hall 2") && operator.page("/racks").await.contains("2 waiting"));
    assert_eq!(operator.get("/racks/r9").await.status(), 404);
}
