//! Secrets: sealed in the database, shown to nobody but the host that needs them.

use std::os::unix::fs::PermissionsExt;

use rackstrap::inventory::{AuditQuery, Change, Inventory, SecretError};
use rackstrap::network::{Format, render_host};
use serde_json::json;

use crate::api_server::ApiServer;
use crate::common::desk::Desk;
use crate::common::machine::Server;
use crate::common::store::Store;
use crate::ui;

const SITE: &str = r#"
subnets: {lan: {cidr: 10.0.0.0/24, gateway: 10.0.0.1, dns: [10.0.0.53]}}
profiles:
  leaf:
    nics: {eth0: {subnet: lan, host-number: 11}}
    bgp: {asn: 65001, neighbors: [{address: 10.0.0.1, remote-as: 65000, password: {secret: leaf-bgp}}]}
hosts:
  n1: {profile: leaf, nics: {eth0: "52:54:00:aa:00:01"}}
"#;
const VALUE: &str = "correct-horse-battery";

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_set_listed_used_and_removed_and_its_value_is_nowhere() {
    for store in Store::both().await {
        let desk = Desk::new(store);
        let site = desk.file("site.yaml", SITE);
        let site = site.display();
        // What is not there is named, with what to do.
        let refused = desk.bad(&format!("apply {site}")).join("\n");
        assert!(refused.contains("secret \"leaf-bgp\" does not exist"), "{refused}");
        assert!(refused.contains("rackstrap secret set leaf-bgp"), "{refused}");
        desk.good_with("secret set leaf-bgp", &format!("{VALUE}\n"));
        desk.good(&format!("apply {site}"));
        let listed = desk.json("secret list");
        assert_eq!(
            (&listed[0]["name"], &listed[0]["used_by"]),
            (&json!("leaf-bgp"), &json!(["profile leaf"]))
        );
        let rendered = desk.good("render n1 --format frr");
        assert!(rendered.contains("neighbor 10.0.0.1 password <secret leaf-bgp>"), "{rendered}");
        let in_use = desk.bad("secret remove leaf-bgp").join("\n");
        assert!(in_use.contains("in use by profile leaf"), "{in_use}");
        // A second value is a revision of its own, which says nothing of it.
        desk.good_with("secret set leaf-bgp", "another-value");
        let revisions = desk.good("revision list");
        assert_eq!(revisions.matches("set secret leaf-bgp").count(), 2, "{revisions}");
        let misfit = desk.good_with("secret set leaf-bgp", "two words");
        assert!(misfit.contains("set secret"), "{misfit}");
        let checked = desk.run("check", "");
        let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.contains("N241") && !checked.contains("two words"), "{checked}");
        desk.good_with("secret set leaf-bgp", "another-value");

        for words in ["export", "revision list", "audit", "secret list", "render n1 --format frr"] {
            let text = desk.good(words);
            assert!(!text.contains(VALUE) && !text.contains("another-value"), "{words}: {text}");
        }
        // The key file is its owner's alone, and a backup has sealed values.
        let key = desk.dir.path().join("data/secret.key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        desk.good("backup all.backup");
        let backup = std::fs::read(desk.dir.path().join("all.backup")).unwrap();
        let backup = zstd::decode_all(&backup[..]).unwrap();
        let backup = String::from_utf8_lossy(&backup);
        assert!(backup.contains("v1:") && !backup.contains("another-value"), "{}", desk.store.kind);

        let empty = desk.bad_with("secret set x", "").join("\n");
        assert!(empty.contains("0 bytes: expected 1 to 65536"), "{empty}");
        let name = desk.bad_with("secret set -- -x", "v").join("\n");
        assert!(name.contains("secret name"), "{name}");
        desk.file("none.yaml", "{}");
        desk.good("apply none.yaml --prune");
        desk.good("secret remove leaf-bgp");
        let gone = desk.bad("secret remove leaf-bgp").join("\n");
        assert!(gone.contains("does not exist"), "{gone}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_file_a_secret_is_a_finding_that_says_what_to_do() {
    let desk = Desk::new(Store::sqlite());
    desk.file("site.yaml", SITE);
    desk.good_with("secret set leaf-bgp", VALUE);
    desk.good("apply site.yaml");
    let key = desk.dir.path().join("data/secret.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let finding = desk.bad("render n1 --format frr").join("\n");
    for words in ["N240", "data/secret.key does not exist", "copy it from the server"] {
        assert!(finding.contains(words), "{words}: {finding}");
    }
    let refused = desk.bad_with("secret set leaf-bgp", "x").join("\n");
    assert!(refused.contains("does not exist: copy it"), "{refused}");
    assert!(!key.exists(), "a second key would hide that the first one is missing");
    // Another inventory's key is not taken for this one's.
    std::fs::write(&key, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
    let finding = desk.bad("render n1 --format frr").join("\n");
    assert!(finding.contains("is not the one that the secrets"), "{finding}");
    std::fs::write(&key, kept).unwrap();
    desk.good("render n1 --format frr");
    // Lost for good: it says what is lost, and begins anew.
    let told = desk.bad("secret reset").join("\n");
    assert!(told.contains("1 secret (leaf-bgp)"), "{told}");
    desk.good("secret reset --yes");
    assert_eq!(desk.json("secret list"), json!([]));
    desk.good_with("secret set leaf-bgp", VALUE);
    desk.good("render n1 --format frr");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_one_key_file_share_secrets_and_notice_new_ones() {
    for store in Store::both().await {
        let directory = tempfile::TempDir::new().unwrap();
        let key = directory.path().join("secret.key");
        let open = || async {
            let inventory = store.inventory().await;
            inventory.use_key_file(&key, true).await.unwrap();
            inventory
        };
        let (one, other) = (open().await, open().await);
        let change = Change { who: "ann", summary: "set secret leaf-bgp", ..Change::default() };
        one.set_secret(change, "leaf-bgp", VALUE).await.unwrap();
        let site = serde_saphyr::from_str(SITE).unwrap();
        one.replace_site(Change { summary: "apply", ..change }, site).await.unwrap();
        other.reload().await.unwrap();
        let text = |inventory: &Inventory, is_for_the_host: bool| {
            let site = inventory.snapshot().site.clone();
            let site = if is_for_the_host { site.for_the_host() } else { site };
            let files = render_host(&site, "n1", Format::Frr).unwrap();
            files.into_iter().find(|file| file.name == "frr.conf").unwrap()
        };
        for inventory in [&one, &other] {
            let file = text(inventory, true);
            assert!(file.text.contains(&format!("password {VALUE}")), "{}", store.kind);
            assert_eq!(file.mode, 0o600);
            assert!(!text(inventory, false).text.contains(VALUE));
        }
        // Somebody else's key opens nothing.
        let stranger = store.inventory().await;
        stranger.use_key_file(&directory.path().join("other.key"), true).await.unwrap();
        assert!(stranger.snapshot().site.keyring().value("leaf-bgp").is_none());
        let refused = stranger.set_secret(change, "x", "y").await.unwrap_err();
        assert!(matches!(refused, SecretError::Key(_)), "{refused}");
        let audit = AuditQuery { limit: 100, ..AuditQuery::default() };
        let entries = one.database.page_audit(&audit).await.unwrap();
        let said = format!("{entries:?}");
        assert!(said.contains("set secret leaf-bgp") && !said.contains(VALUE), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_notices_another_key_and_one_that_was_put_back() {
    let store = Store::sqlite();
    let directory = tempfile::TempDir::new().unwrap();
    let key = directory.path().join("secret.key");
    let (server, command) = (store.inventory().await, store.inventory().await);
    for inventory in [&server, &command] {
        inventory.use_key_file(&key, true).await.unwrap();
    }
    let change = Change { who: "ann", summary: "secrets", ..Change::default() };
    // A reset that cannot put the old file aside changes nothing.
    command.set_secret(change, "kept", VALUE).await.unwrap();
    let aside = directory.path().join("secret.key.old");
    std::fs::create_dir(&aside).unwrap();
    let file = std::fs::read(&key).unwrap();
    assert!(command.reset_secrets(change, &key).await.is_err());
    command.reload().await.unwrap();
    assert_eq!(command.snapshot().site.keyring().value("kept"), Some(VALUE));
    assert_eq!(std::fs::read(&key).unwrap(), file);
    std::fs::remove_dir(&aside).unwrap();

    command.reset_secrets(change, &key).await.unwrap();
    assert!(!aside.exists());
    // Before it has heard of the reset: what it seals is sealed with the new key.
    server.set_secret(change, "leaf-bgp", VALUE).await.unwrap();
    command.reload().await.unwrap();
    let value = |inventory: &Inventory| {
        let snapshot = inventory.snapshot();
        snapshot.site.keyring().value("leaf-bgp").map(ToString::to_string)
    };
    assert_eq!(value(&command).as_deref(), Some(VALUE));
    // The file goes away under a server that knows the key: hosts have their files still.
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    server.reload().await.unwrap();
    assert_eq!(value(&server).as_deref(), Some(VALUE));
    let late = store.inventory().await;
    late.use_key_file(&key, true).await.unwrap();
    assert_eq!(value(&late), None);
    std::fs::write(&key, kept).unwrap();
    late.reload().await.unwrap();
    assert_eq!(value(&late).as_deref(), Some(VALUE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_the_value_and_a_reader_of_the_api_does_not() {
    let server = ApiServer::start().await;
    let put = |name: &str, body: serde_json::Value| {
        server.request("PUT", &format!("/secrets/{name}")).json(&body)
    };
    let answer = put("leaf-bgp", json!({"value": VALUE})).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let again = put("leaf-bgp", json!({"value": VALUE})).send().await.unwrap();
    assert_eq!(again.status(), 200);
    for (name, body, status) in [
        ("leaf-bgp", json!({"value": ""}), 422),
        ("leaf-bgp", json!({"valu": "x"}), 400),
        ("_", json!({"value": "x"}), 400),
    ] {
        let answer = put(name, body.clone()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name} {body}");
    }
    let list = server.request("GET", "/secrets").send().await.unwrap().text().await.unwrap();
    assert!(list.contains("leaf-bgp") && !list.contains(VALUE), "{list}");
    let missing = server.request("DELETE", "/secrets/none").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    let gone = server.request("DELETE", "/secrets/leaf-bgp").send().await.unwrap();
    assert_eq!(gone.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_that_a_host_fetches_has_the_value() {
    let server = Server::start("{}").await;
    let inventory = &server.app.inventory;
    inventory.use_key_file(&server.directory.path().join("secret.key"), true).await.unwrap();
    let change = Change { who: "ann", summary: "set secret leaf-bgp", ..Change::default() };
    inventory.set_secret(change, "leaf-bgp", VALUE).await.unwrap();
    let site = serde_saphyr::from_str(SITE).unwrap();
    inventory.replace_site(Change { summary: "apply", ..change }, site).await.unwrap();
    let all = server.text("/config/52-54-00-aa-00-01").await;
    assert!(all.contains(&format!("password {VALUE}")), "{all}");
    let one = server.text("/config/52-54-00-aa-00-01/frr/frr.conf").await;
    assert!(one.contains(VALUE), "{one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_a_secret_on_a_page_that_never_shows_it() {
    let site = serde_saphyr::from_str(&SITE.replace(", password: {secret: leaf-bgp}", "")).unwrap();
    let server = ui::server::Server::with_site(site).await;
    let keys = tempfile::TempDir::new().unwrap();
    server.app.inventory.use_key_file(&keys.path().join("secret.key"), true).await.unwrap();
    let visitor = server.operator().await;
    let csrf = ui::server::fields(&visitor.page("/access").await)[0].1.clone();
    let body = |name: &str, value: &str| format!("csrf={csrf}&name={name}&value={value}");
    let set = visitor.post("/access/secrets", body("leaf-bgp", VALUE)).await;
    assert_eq!(set.status(), 303);
    assert_eq!(server.app.inventory.snapshot().site.keyring().value("leaf-bgp"), Some(VALUE));
    let page = visitor.page("/access").await;
    assert!(page.contains("Remove secret leaf-bgp") && !page.contains(VALUE), "{page}");
    let wrong = visitor.post("/access/secrets", body("leaf-bgp", "")).await;
    assert_eq!(wrong.status(), 422);
    let removed = visitor.post("/access/secrets/remove", body("leaf-bgp", "")).await;
    assert_eq!(removed.status(), 303);
    let again = visitor.post("/access/secrets/remove", body("leaf-bgp", "")).await;
    assert_eq!(again.status(), 422);
    assert!(again.text().await.unwrap().contains("does not exist"));
}
