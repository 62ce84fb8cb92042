//! Switches: their ports, and hosts and switches that change together.

use super::server::Server;

#[tokio::test]
async fn a_switch_shows_its_ports_and_a_change_of_a_host_shows_its_switch() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let page = operator.page("/switches/leaf1a").await;
    for word in ["Ethernet2", "/hosts/r1-n02", "LACP, slow, fallback", "interface Port-Channel2"] {
        assert!(page.contains(word), "{word} is not in {page}");
    }
    assert!(operator.page("/switches").await.contains("/switches/leaf1a"));
    assert_eq!(operator.get("/switches/leaf9z").await.status(), 404);
    assert!(operator.page("/hosts/r1-n02").await.contains("leaf1a Ethernet2"));

    let form = [("nic.cable", "leaf1a Ethernet7"), ("do", "review")];
    let answer = operator.fill_in("/hosts/r1-n01/edit", &form).await;
    let html = answer.text().await.unwrap();
    assert!(html.contains("Switch leaf1a") && html.contains("+ interface Ethernet7"), "{html}");

    let form = [("nic.cable", "leaf1a Ethernet7"), ("do", "save")];
    assert_eq!(operator.fill_in("/hosts/r1-n01/edit", &form).await.status(), 303);
    let revision = operator.page("/revisions/2").await;
    assert_eq!(revision.matches("<h3>Switch leaf1a</h3>").count(), 1, "{revision}");
    assert!(revision.contains("+ interface Ethernet7"), "{revision}");
    assert!(revision.contains("The generated files of no host change."), "{revision}");

    let form = [("nic.cable", "leaf1a"), ("do", "save")];
    let answer = operator.fill_in("/hosts/r1-n01/edit", &form).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("is no switch port"));

    let form = [("nic.cable", "leaf1a Ethernet2"), ("do", "save")];
    let answer = operator.fill_in("/hosts/r1-n01/edit", &form).await;
    assert!(answer.text().await.unwrap().contains("a port has one"));
}
