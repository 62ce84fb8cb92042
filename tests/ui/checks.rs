//! The page of all findings, and the buttons that put them right.

use rackstrap::inventory::Change;
use rackstrap::model::Millis;
use rackstrap::profile::ResolvedSite;

use super::server::{Server, encode, fields};

/// A site with one thing to fix and one that somebody has looked at.
const SITE: &str = r#"
subnets:
  internal: {cidr: 10.0.0.0/24, gateway: 10.0.0.254, dns: [10.0.0.253], ranges: [{from: 10.0.0.1, to: 10.0.0.99, for: hosts}]}
profiles:
  hypervisor:
    bonds: {bond0: {nics: [eth0, eth1], mode: 802.3ad, up-delay: 250ms}}
    bridges: {br0: {interfaces: [bond0], subnet: internal, stp: true, allow: [N164]}}
hosts:
  n1: {profile: hypervisor, nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}}
"#;

fn up_delay(site: &ResolvedSite) -> Option<Millis> {
    site.profile_of(&site.hosts["n1"])?.profile.bonds["bond0"].up_delay
}

#[tokio::test]
async fn a_finding_is_shown_with_its_fix_and_a_button_makes_it() {
    let server = Server::with_site(serde_saphyr::from_str(SITE).unwrap()).await;
    let operator = server.operator().await;
    let html = operator.page("/checks").await;
    for words in [
        "Warnings",
        "up-delay 250ms is not a multiple of mii-monitor 100ms",
        "set profiles.hypervisor.bonds.bond0.up-delay to 200ms",
        "Silenced by allow",
        "spanning tree delays the network by 30 s",
    ] {
        assert!(html.contains(words), "{words} is not in {html}");
    }
    // The silenced one comes last and has a button as well: the form before it is the one.
    let first = &html[..html.find("Silenced by allow").unwrap()];
    let asked = operator.post("/checks/fix", encode(&fields(first))).await;
    assert_eq!(asked.status(), 200, "the button only asks");
    assert_eq!(server.app.inventory.snapshot().revision, 1);
    let html = asked.text().await.unwrap();
    assert!(html.contains("Changes to save") && html.contains("200ms"), "{html}");
    let form = encode(&fields(&html));
    let answer = operator.post("/checks/fix", form.clone()).await;
    assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
    assert_eq!(up_delay(&server.app.inventory.snapshot().site), Some(Millis(200)));
    assert_eq!(server.app.inventory.snapshot().revision, 2);
    let html = operator.page("/checks").await;
    assert!(html.contains("Fixed in revision 2") && !html.contains("Warnings"), "{html}");

    let again = operator.post("/checks/fix", form).await;
    assert_eq!(again.status(), 409, "a fix is not applied twice");
    assert_eq!(server.app.inventory.snapshot().revision, 2);
}

/// What the running server knows of its own address is told wherever findings are.
#[tokio::test]
async fn a_profile_without_a_way_to_the_running_server_is_shown_before_and_after_it_is_saved() {
    let server = Server::with_site(serde_saphyr::from_str(SITE).unwrap()).await;
    let words = "with this configuration the provisioning server (192.0.2.1) is unreachable: the \
                 host could never fetch a fix";
    let operator = server.operator().await;
    let pages = ["/checks", "/hosts/n1"];
    let servers = vec!["192.0.2.1".parse().unwrap()];
    server.app.inventory.set_servers(&servers);
    for page in pages {
        let html = operator.page(page).await;
        assert!(!html.contains(words), "a gateway leads there: {html}");
    }
    let gateway = "gateway: 10.0.0.254, ";
    let url = "/change?noun=subnets&name=internal";
    let mut form = fields(&operator.page(url).await);
    for (_, text) in form.iter_mut().filter(|(name, _)| name == "text") {
        let line = "    gateway: \"10.0.0.254\"\n";
        assert!(text.contains(line), "{text}");
        *text = text.replace(line, "");
    }
    form.push(("do".into(), "review".into()));
    let review = operator.post("/change", encode(&form)).await.text().await.unwrap();
    assert!(review.contains(words), "{review}");
    let site = serde_saphyr::from_str(&SITE.replace(gateway, "")).unwrap();
    let change = Change { who: "ada", summary: "no gateway", ..Change::default() };
    let committed = server.app.inventory.replace_site(change, site).await.unwrap();
    assert!(committed.warnings.iter().any(|warning| warning.text == words));
    for page in pages {
        let html = operator.page(page).await;
        assert!(html.contains(words), "{page}: {html}");
    }
}
