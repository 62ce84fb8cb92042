//! Leased hosts: whose they are, until when, and a move to another tenant that is seen first.

use rackstrap::model::Site;

use super::browser::Browser;
use super::server::{PASSWORD, Server};

const SITE: &str = r#"
tenants: {acme: {contact: ops@acme.example}, globex: {}}
subnets:
  acme-internal: {cidr: 10.0.0.0/24, vlan: 500, tenant: acme, role: internal, gateway: 10.0.0.1, ranges: [{from: 10.0.0.10, to: 10.0.0.99, for: hosts}]}
  globex-internal: {cidr: 10.0.1.0/24, vlan: 501, tenant: globex, role: internal, gateway: 10.0.1.1, ranges: [{from: 10.0.1.10, to: 10.0.1.99, for: hosts}]}
  acme-guests: {cidr: 10.0.2.0/24, vlan: 600, tenant: acme, role: guests}
  globex-guests: {cidr: 10.0.3.0/24, vlan: 601, tenant: globex, role: guests}
profiles:
  leased: {vlans: {lan: {link: eth0, subnet: tenant/internal}, vms: {link: eth0, id: tenant/guests}}}
hosts:
  n1: {tenant: acme, rented-until: 2025-12-31, profile: leased, nics: {eth0: "52:54:00:aa:00:01"}}
  n2: {tenant: acme, profile: leased, nics: {eth0: "52:54:00:aa:00:02"}}
"#;

async fn start() -> Server {
    let site: Site = serde_saphyr::from_str(SITE).unwrap();
    Server::with_site(site).await
}

#[tokio::test]
async fn a_tenants_page_shows_its_hosts_and_their_leases() {
    let server = start().await;
    let operator = server.operator().await;
    let list = operator.page("/tenants").await;
    assert!(list.contains("ops@acme.example") && list.contains("1 ended"), "{list}");
    let page = operator.page("/tenants/acme").await;
    assert!(page.contains("/hosts/n2") && page.contains("2025-12-31"), "{page}");
    assert!(page.contains("ended") && page.contains("/subnets/acme-internal"), "{page}");
    assert_eq!(operator.get("/tenants/initech").await.status(), 404);
    assert!(operator.page("/hosts/n1").await.contains("rental ended"));
    let hosts = operator.page("/hosts").await;
    assert_eq!(hosts.matches("rental ended").count(), 1, "{hosts}");
    assert_eq!(server.app.inventory.tell_rental_ends(i64::from(u32::MAX)).await.unwrap(), 1);
    assert!(server.app.inventory.events.flush(std::time::Duration::from_secs(10)).await);
    let host = operator.page("/hosts/n1").await;
    assert!(host.contains("the rental of tenant acme has ended (2025-12-31)"), "{host}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_given_to_another_tenant_after_its_move_was_seen() {
    let server = start().await;
    let browser = Browser::start().await;
    let page = format!("{}/hosts/n1/edit", server.url);
    browser.client.goto(&page).await.unwrap();
    browser.fill("#name", "ada").await;
    browser.fill("#password", PASSWORD).await;
    browser.click("button").await;
    browser.wait_for_text("h1", "Edit n1").await;
    browser.click("#tenant option[value=globex]").await;
    browser.fill("[id='rented-until']", "2031-12-31").await;
    browser.click(".head .first").await;

    browser.wait_for_text("#review", "Changes to save").await;
    browser.wait_for_text(".facts-changed", "VLAN of lan: 500 -> 501").await;
    browser.wait_for_text(".facts-changed", "VLAN of vms: 600 -> 601").await;
    browser.wait_for_text(".facts-changed", "address of lan: 10.0.0.10/24 -> 10.0.1.10/24").await;
    browser.wait_for_text(".diff", "+ Gateway=10.0.1.1").await;
    assert_eq!(server.app.inventory.snapshot().revision, 1);
    let wrong = browser.run(include_str!("audit.js")).await;
    assert_eq!(wrong, serde_json::json!([]));
    browser.screenshot("tenant-move").await;

    browser.click(".head .first").await;
    browser.wait_for_text(".notice", "Saved as revision 2.").await;
    let snapshot = server.app.inventory.snapshot();
    let host = &snapshot.site.hosts["n1"];
    assert_eq!(host.addresses["lan"].to_string(), "10.0.1.10");
    assert_eq!(host.rented_until.unwrap().to_string(), "2031-12-31");
    browser.client.goto(&format!("{}/tenants/globex", server.url)).await.unwrap();
    browser.wait_for_text("main", "2031-12-31").await;
    browser.screenshot("tenant").await;
    browser.close().await;
}
