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
    assert_eq!(revision.matches("<summary>Switch leaf1a ").count(), 1, "{revision}");
    assert!(revision.contains("+ interface Ethernet7"), "{revision}");
    assert!(revision.contains("No generated file changes."), "{revision}");

    let form = [("nic.cable", "leaf1a"), ("do", "save")];
    let answer = operator.fill_in("/hosts/r1-n01/edit", &form).await;
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("is not a switch port"));

    let form = [("nic.cable", "leaf1a Ethernet2"), ("do", "save")];
    let answer = operator.fill_in("/hosts/r1-n01/edit", &form).await;
    assert!(answer.text().await.unwrap().contains("a port has one"));
}

/// Two switches of which one's name begins with the other's: a host is cabled to both.
const ALIKE: &str = r#"
subnets: {lan: {cidr: 10.0.0.0/24, vlan: 12}}
switches:
  leaf1: {vendor: eos, vlans: [12]}
  leaf10: {vendor: eos, vlans: [99]}
profiles: {p: {vlans: {v12: {link: eth0, subnet: lan}, w12: {link: eth1, id: 12}}}}
hosts:
  h1:
    profile: p
    addresses: {v12: 10.0.0.5}
    nics:
      eth0: {mac: "52:54:00:aa:00:01", switch: leaf1, port: Ethernet1}
      eth1: {mac: "52:54:00:aa:00:02", switch: leaf10, port: Ethernet1}
"#;

#[tokio::test]
async fn a_switch_does_not_show_the_problems_of_one_whose_name_begins_alike() {
    let server = Server::with_site(serde_saphyr::from_str(ALIKE).unwrap()).await;
    let operator = server.operator().await;
    assert!(operator.page("/switches/leaf10").await.contains("N114"));
    let page = operator.page("/switches/leaf1").await;
    assert!(!page.contains("N114") && !page.contains("leaf10"), "{page}");
}
