//! A running server knows where hosts reach it, and says so before a configuration cuts one off.

use serde_json::Value;

use crate::common::dhcp::{DhcpServer, lan, wait_for};

/// `n1` boots from the server's link and is to come up on another one alone.
const SITE: &str = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24, gateway: 10.77.0.254}
  storage: {cidr: 10.9.0.0/24}
profiles:
  both: {nics: {eth0: {subnet: provisioning}, eth1: {subnet: storage}}}
  alone: {nics: {eth1: {subnet: storage}}}
hosts:
  n1:
    profile: both
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {eth0: 10.77.0.12, eth1: 10.9.0.12}
"#;
const WORDS: &str = "with this configuration the provisioning server (10.77.0.1) is unreachable: the \
                     host could never fetch a fix";

/// Asks `/api/v1`; `options` are curl's.
fn ask(server: &DhcpServer, token: &str, options: &str, path: &str) -> Value {
    let line = format!(
        "curl -sS -m 20 -H 'Authorization: Bearer {token}' {options} \
         'http://127.0.0.1:8080/api/v1{path}'"
    );
    let output = server.inside.sh(&line);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{line}: {}", String::from_utf8_lossy(&output.stdout)))
}

fn told(findings: &Value) -> Vec<(&str, &str)> {
    let findings = findings.get("items").unwrap_or(findings);
    let own = findings.as_array().unwrap().iter().filter(|one| one["rule"] == "N153");
    own.map(|one| (one["severity"].as_str().unwrap(), one["text"].as_str().unwrap())).collect()
}

#[test]
fn who_cuts_a_host_off_from_the_running_server_is_warned() {
    let (mut server, _clients) = lan(SITE, &["52:54:00:aa:00:01"]);
    let token = server.token();
    server.start(&["lan"]);
    assert_eq!(
        told(&ask(&server, &token, "", "/check")),
        [("warning", WORDS)],
        "the profile alone"
    );
    // Nobody has the profile yet; once a host gets it the change says so.
    server.set_site(&SITE.replace("  alone: {nics: {eth1: {subnet: storage}}}\n", ""));
    wait_for("the server sees the site", || told(&ask(&server, &token, "", "/check")).is_empty());
    let changed = SITE.replace("profile: both", "profile: alone").replace("eth0: 10.77.0.12, ", "");
    let file = server.directory.path().join("site.yaml");
    std::fs::write(&file, changed).unwrap();
    let put = format!("-X PUT --data-binary @{}", file.display());
    let answer = ask(&server, &token, &put, "/site?dry_run=true");
    assert_eq!(told(&answer["warnings"]), [("warning", WORDS)], "{answer}");
    // The server moves to the subnet that is left.
    server.inside.ip("address add 10.9.0.1/24 dev lan");
    let changed = ask(&server, &token, &put, "/site");
    assert!(changed["revision"].is_number(), "{changed}");
    wait_for("the new address is known", || told(&ask(&server, &token, "", "/check")).is_empty());
}
