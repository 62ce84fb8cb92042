//! Profiles that come with the program, and the document of a cluster, as operators and hosts get them.

use crate::common::desk::Desk;
use crate::common::machine::Server;
use crate::common::store::Store;

const MICROCLOUD: &str = include_str!("golden/ready-microcloud.yaml");

#[tokio::test]
async fn a_ready_profile_is_shown_extended_and_explained() {
    let desk = Desk::new(Store::sqlite());
    assert!(desk.good("profile ready").contains("ready/microcloud"));
    assert!(desk.good("profile ready ready/bond").contains("mode: 802.3ad"));
    assert!(desk.bad("profile ready ready/bold")[0].contains("ready/bond-vlan"));
    desk.file("site.yaml", MICROCLOUD);
    desk.good("apply site.yaml");
    let explained = desk.good("render r1-n01 --explain");
    let line = "nics.eth1.set-name: uplink0 - from profile ready/microcloud via own\n";
    assert!(explained.contains(line), "{explained}");
    assert!(explained.contains("nics.eth0.subnet: management - from"), "{explained}");

    let formats = desk.good("formats");
    assert!(formats.starts_with("FEATURE") && formats.contains("networkd 257"), "{formats}");
    let rows = desk.json("formats");
    let bridge = rows.as_array().unwrap().iter().find(|row| row["feature"] == "bridge").unwrap();
    assert!(bridge["refusals"]["netplan"].is_null(), "{bridge}");
    assert!(bridge["refusals"]["network-data"].as_str().unwrap().contains("br0"), "{bridge}");

    let words = "render --profile own --format microcloud-preseed --session-passphrase x";
    let text = desk.good(words);
    assert!(text.contains("  ipv4_range: \"10.0.1.101-10.0.1.150\"\n"), "{text}");
    assert!(text.contains("  - name: r1-n01\n    ovn_uplink_interface: uplink0\n"), "{text}");
    assert_eq!(desk.json(words)[0]["text"], text);
    assert!(desk.bad("render r1-n01 r1-n01")[0].contains("--format microcloud-preseed"));
}

#[tokio::test]
async fn a_member_fetches_the_document_of_its_cluster() {
    let second = r#"  r1-n02:
    profile: own
    index: 3
    nics: {eth0: "52:54:00:aa:00:04", eth1: "52:54:00:aa:00:05", eth2: "52:54:00:aa:00:06"}
  r1-n03: {profile: own, tenant: acme, index: 4, nics: {eth0: "52:54:00:aa:00:07", eth1: "52:54:00:aa:00:08", eth2: "52:54:00:aa:00:09"}}
tenants: {acme: {}}
"#;
    let server = Server::start(&format!("{MICROCLOUD}{second}")).await;
    let url = "/config/52:54:00:aa:00:04/microcloud-preseed.yaml";
    let text = server.text(url).await;
    assert!(text.contains("initiator: r1-n01\n"), "{text}");
    assert!(text.contains("ovn_underlay_ip: \"10.0.2.13\"\n"), "{text}");
    assert!(text.contains("# Write a session_passphrase"), "URLs are logged: {text}");
    assert!(!text.contains("r1-n03"), "another tenant's is no member: {text}");
    let text =
        server.text(&format!("{url}?initiator=r1-n02&ovn-range=10.0.1.110-10.0.1.120")).await;
    assert!(text.contains("initiator: r1-n02\n"), "{text}");
    assert!(text.contains("ipv4_range: \"10.0.1.110-10.0.1.120\"\n"), "{text}");
    let cases = [
        ("?initiator=r1-n03", 409, "not one of the members"),
        ("?ovn-range=some", 400, "FROM-TO"),
        ("?uplink=eth0", 409, "eth0"),
    ];
    for (words, status, sentence) in cases {
        let answer = server.get(&format!("{url}{words}")).await;
        assert_eq!(answer.status(), status, "{words}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(sentence), "{words}: {text}");
    }
}
