//! Applying and checking whole files: what would empty an inventory is refused, what is no site
//! file is named, and `check FILE` says what `apply --dry-run FILE` would.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::api_server::ApiServer;
use crate::common::desk::Desk;
use crate::common::store::Store;

const SITE: &str = r#"
subnets:
  internal:
    cidr: 172.16.160.0/24
    ranges: [{from: 172.16.160.10, to: 172.16.160.99, for: hosts}]
profiles: {p: {nics: {eth0: {subnet: internal}}}}
hosts:
  a: {profile: p, nics: {eth0: "52:54:00:aa:00:01"}}
  b: {profile: p, nics: {eth0: "52:54:00:aa:00:02"}}
  c: {profile: p, nics: {eth0: "52:54:00:aa:00:03"}}
"#;

const NETPLAN: &str = "network:\n  version: 2\n  ethernets: {eno1: {dhcp4: true}}\n  bonds: {}\n";

#[tokio::test]
async fn what_is_no_site_file_is_refused_and_changes_nothing() {
    for desk in Store::both().await.map(Desk::new) {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        let before = desk.good("export");
        let cases = [
            ("netplan.yaml", NETPLAN, "netplan.yaml:2:3: network: this is a netplan file"),
            ("empty.yaml", "", "empty.yaml:1:1: the file is empty"),
            ("comment.yaml", "# nothing here\n\n", "comment.yaml:1:1: the file is empty"),
            ("key.yaml", "network: {mtu: 9000}\n", "key.yaml:1:11: network: unknown key \"mtu\""),
            (
                "rack.yaml",
                "racks:\n  r:\n    network:\n      nics: {eth0: {mut: 1}}\n",
                "rack.yaml:4:21: racks.r.network.nics.eth0: unknown key \"mut\"",
            ),
            (
                "host.yaml",
                "hosts:\n  a: {network: {links: {}}}\n",
                "host.yaml:2:17: hosts.a.network: unknown key \"links\"",
            ),
        ];
        for (name, text, expected) in cases {
            desk.file(name, text);
            for command in ["apply", "apply --dry-run", "apply --prune", "check"] {
                let errors = desk.bad(&format!("{command} {name}"));
                assert!(errors[0].starts_with(expected), "{command}: {errors:?}");
            }
            assert_eq!(desk.good("export"), before, "{name}");
        }
    }
}

#[tokio::test]
async fn deleting_most_of_an_inventory_needs_prune() {
    for desk in Store::both().await.map(Desk::new) {
        desk.file("site.yaml", SITE);
        desk.good("apply site.yaml");
        let before = desk.good("export");
        desk.file("nothing.yaml", "{}\n");
        let one =
            SITE.lines().filter(|line| !line.starts_with("  b:") && !line.starts_with("  c:"));
        desk.file("one.yaml", &one.collect::<Vec<_>>().join("\n"));
        let cases = [
            (
                "nothing.yaml",
                "this would delete everything: 1 of 1 subnets (internal), 1 of 1 profiles (p), \
                 3 of 3 hosts (a, b, c)",
            ),
            ("one.yaml", "this would delete 2 of 3 hosts (b, c)"),
        ];
        for (file, expected) in cases {
            for command in ["apply", "apply --dry-run", "check"] {
                let errors = desk.bad(&format!("{command} {file}"));
                assert!(errors[0].starts_with(expected), "{command}: {errors:?}");
                assert!(errors[0].contains("--prune"), "{command}: {errors:?}");
            }
            assert_eq!(desk.good("export"), before, "{file}");
            desk.good(&format!("check {file} --prune"));
            let tried = desk.good(&format!("apply --dry-run --prune {file}"));
            assert!(tried.contains("- host b\n"), "{tried}");
        }
        assert_eq!(desk.good("export"), before);
        // One of three may go.
        let two = SITE.lines().filter(|line| !line.starts_with("  c:")).collect::<Vec<_>>();
        desk.file("two.yaml", &two.join("\n"));
        assert!(desk.good("apply two.yaml").contains("- host c\n"));
        assert!(desk.good("apply --prune nothing.yaml").contains("- subnet internal\n"));
        assert_eq!(desk.good("export"), "{}\n");
    }
}

/// The findings in an output: lines that name the file.
fn findings(text: &str) -> Vec<String> {
    let of_file = text.lines().filter(|line| line.contains("site.yaml:"));
    let mut found: Vec<String> = of_file
        .map(|line| line.trim_start_matches("error: ").trim_start_matches("warning: ").to_owned())
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn check_of_a_file_is_the_dry_run_of_its_application() {
    let missing = "images: {x: {kernel: none}}\n";
    let repeated = "images: {x: {kernel: k, cmdline: \"quiet ${net0/ip} {hots} #x\"}}\n";
    let cases = [
        // Addresses that the inventory allocates: nothing is wrong.
        (SITE.to_owned(), 0),
        (format!("{SITE}{missing}"), 0),
        (format!("{SITE}{repeated}"), 3),
        (SITE.replace("aa:00:02", "aa:00:01"), 1),
        (SITE.replace("10, to: 172.16.160.99", "10, to: 172.16.160.11"), 1),
        ("hosts: {a: {profile: none}}".to_owned(), 1),
    ];
    for known in [false, true] {
        for (text, errors) in &cases {
            // Hosts that have addresses keep them in a smaller range.
            let errors = if known && text.contains("16.160.11,") { &0 } else { errors };
            let desk = Desk::new(Store::sqlite());
            if known {
                desk.file("first.yaml", SITE);
                desk.good("apply first.yaml");
            }
            desk.file("site.yaml", text);
            let checked = desk.run("check site.yaml", "");
            let applied = desk.run("apply --dry-run --prune site.yaml", "");
            let pruned = desk.run("check --prune site.yaml", "");
            assert_eq!(applied.status.code(), pruned.status.code(), "{text}");
            let [checked, applied] = [&checked, &applied]
                .map(|output| [output.stdout.clone(), output.stderr.clone()].concat())
                .map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(findings(&checked), findings(&applied), "{text}\n{checked}\n{applied}");
            let is_error = |line: &&str| line.starts_with("error: site.yaml");
            assert_eq!(checked.lines().filter(is_error).count(), *errors, "{text}\n{checked}");
        }
    }
}

#[test]
fn a_missing_kernel_is_one_finding_wherever_findings_are_shown() {
    let dir = tempfile::TempDir::new().unwrap();
    let run = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--data-dir").arg(dir.path()).args(words.split(' ')).current_dir(&dir);
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    fs::create_dir(dir.path().join("files")).unwrap();
    fs::write(dir.path().join("site.yaml"), "images: {x: {kernel: live/vmlinuz}}\n").unwrap();
    let expected = "no file \"live/vmlinuz\" here";
    for command in [
        "check site.yaml",
        "apply --dry-run site.yaml",
        "apply site.yaml",
        "check",
        "doctor --quiet",
    ] {
        let said = run(command);
        assert!(said.contains(expected), "{command}: {said}");
    }
    fs::create_dir_all(dir.path().join("files/live")).unwrap();
    fs::write(dir.path().join("files/live/vmlinuz"), "kernel").unwrap();
    for command in ["check site.yaml", "check", "doctor --quiet"] {
        let said = run(command);
        assert!(!said.contains(expected), "{command}: {said}");
    }
}

#[test]
fn commands_that_read_create_nothing() {
    let dir = tempfile::TempDir::new().unwrap();
    let data = dir.path().join("data");
    fs::write(dir.path().join("site.yaml"), SITE).unwrap();
    for words in [
        "export",
        "host list",
        "subnet list",
        "event list",
        "lease list",
        "revision list",
        "check",
        "check site.yaml",
        "apply --dry-run site.yaml",
        "user list",
        "token list",
        "audit",
        "audit verify",
        "doctor --quiet",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--data-dir").arg(&data).args(words.split(' ')).current_dir(&dir);
        let output = command.output().unwrap();
        assert!(!data.exists(), "{words} made {data:?}: {output:?}");
    }
}

#[tokio::test]
async fn the_api_asks_for_prune_too() {
    let server = ApiServer::start().await;
    let put = async |query: &str, body: &str| {
        let request = server.request("PUT", &format!("/site{query}")).body(body.to_owned());
        let response = request.header("content-type", "application/yaml").send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|_| json!(text)))
    };
    for query in ["", "?dry-run"] {
        let (status, body) = put(query, "{}").await;
        assert_eq!((status, &body["type"]), (409, &json!("urn:rackstrap:problem:mass-removal")));
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains("this would delete everything: 1 of 1 racks (r1)"), "{detail}");
        assert!(detail.contains("2 of 2 hosts (r1-n01, r1-n02)") && detail.contains("prune=true"));
    }
    for body in ["", "# nothing", NETPLAN] {
        let (status, answer) = put("?prune=true", body).await;
        assert!((400..=422).contains(&status), "{body:?}: {answer}");
    }
    assert_eq!(server.app.inventory.snapshot().site.hosts.len(), 2);
    assert_eq!(put("?prune&dry-run", "{}").await.0, 200);
    assert_eq!(server.app.inventory.snapshot().site.hosts.len(), 2);
    assert_eq!(put("?prune=true", "{}").await.0, 200);
    assert_eq!(server.app.inventory.snapshot().site.hosts.len(), 0);
}
