//! Changing many hosts at once.

use super::server::{Server, encode, fields};

#[tokio::test]
async fn many_hosts_are_changed_after_one_review() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let url = "/edit-hosts?which=selected&host=r1-n01&host=nobody&host=r1-n02";
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

/// The query is sent, not the names, and it is asked again before anything is saved.
#[tokio::test]
async fn all_hosts_that_match_are_changed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let html = operator.page("/hosts?rack=r1").await;
    assert!(html.contains("Edit all 2 that match"), "{html}");
    let url = "/edit-hosts?which=all&query=rack%3Dr1";
    let values = [("add-label", "gold"), ("notes", "loud fans"), ("do", "review")];
    let answer = operator.fill_in(url, &values).await;
    let html = answer.text().await.unwrap();
    assert!(!html.contains("name=\"host\""), "no names are sent: {html}");
    let reviewed = fields(&html);
    let save = |fields: &[(String, String)]| {
        let mut fields = fields.to_vec();
        fields.push(("do".into(), "save".into()));
        encode(&fields)
    };
    // One host leaves the rack meanwhile: nothing is saved before that is seen.
    assert_eq!(operator.fill_in("/hosts/r1-n02/edit", &[("rack", "r2")]).await.status(), 303);
    let answer = operator.post("/edit-hosts", save(&reviewed)).await;
    assert_eq!(answer.status(), 422);
    let html = answer.text().await.unwrap();
    assert!(html.contains("Nothing is saved") && html.contains("1 match now"), "{html}");
    let answer = operator.post("/edit-hosts", save(&fields(&html))).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    let snapshot = server.app.inventory.snapshot();
    let host = &snapshot.site.hosts["r1-n01"];
    assert_eq!((host.labels.join(" "), host.notes.as_deref()), ("gold".into(), Some("loud fans")));
    assert!(snapshot.site.hosts["r1-n02"].labels.is_empty());
    for query in ["label=gold", "text=loud+FANS", "text=label:gold+r1"] {
        let html = operator.page(&format!("/hosts?{query}")).await;
        assert!(html.contains("1 of 2 match") && html.contains(">r1-n01<"), "{query}: {html}");
    }

    // Removal asks for the number.
    let url = "/edit-hosts?which=all&query=";
    let answer = operator.fill_in(url, &[("remove", "on"), ("do", "review")]).await;
    let mut reviewed = fields(&answer.text().await.unwrap());
    let unsure = operator.post("/edit-hosts", save(&reviewed)).await;
    assert_eq!(unsure.status(), 422);
    assert!(unsure.text().await.unwrap().contains("Type 2"));
    reviewed.retain(|(name, _)| name != "count");
    reviewed.push(("count".into(), "2".into()));
    assert_eq!(operator.post("/edit-hosts", save(&reviewed)).await.status(), 303);
    assert!(server.app.inventory.snapshot().site.hosts.is_empty());
}

#[tokio::test]
async fn a_list_of_hosts_is_a_table_of_a_spreadsheet() {
    let server = Server::start().await;
    let mac = rackstrap::model::Mac([0x52, 0x54, 0, 0xaa, 0, 1]);
    let lease = rackstrap::model::Lease {
        address: [10, 77, 0, 150].into(),
        client: rackstrap::model::ClientKey::Host("r1-n01".into()),
        nic: Some(mac.into()),
        subnet: "provisioning".into(),
        state: rackstrap::model::LeaseState::Bound,
        starts_at: 1,
        expires_at: 4_000_000_000,
        taken_over: false,
    };
    server.app.leases.commit(lease, 1).await.unwrap();
    let operator = server.operator().await;
    // The address that a host has now by DHCP finds it, in words, as a prefix and in the columns.
    for text in ["10.77.0.150", "10.77.0.128%2F25"] {
        let html = operator.page(&format!("/hosts?text={text}&cols=lease,serial")).await;
        assert!(html.contains("1 of 2 match") && html.contains("CZ4711"), "{text}: {html}");
    }
    let answer = operator.get("/hosts.csv?rack=r1").await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let text = answer.text().await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("name,rack,unit,state,cause,addresses,serial"), "{text}");
    assert!(lines[1].starts_with("r1-n01,r1,1,waiting,,172.16.160.12 10.77.0.11,CZ4711"), "{text}");
    assert_eq!(operator.page("/hosts.csv?rack=r9").await.lines().count(), 1);
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
