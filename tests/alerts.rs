//! The alert rules and the dashboard in packaging/: what Prometheus' own tool says of them, and of
//! what `/metrics` answers.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rackstrap::config::Config;
use rackstrap::http::health;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::machine::Server;
use crate::common::skip::skip;
use crate::common::tools::{self, Tool, feed};

const SITE: &str = "racks: {r1: {}}\nsubnets: {p: {cidr: 10.77.0.0/24, \
                    ranges: [{from: 10.77.0.100, to: 10.77.0.109, for: dhcp}]}}\n\
                    hosts: {n01: {rack: r1, nics: {eth0: \"52:54:00:aa:00:01\"}}}\n";

/// Situations, and which alerts they raise.
const SITUATIONS: &str = r#"
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'rackstrap_ready{instance="a"}', values: '1 0x10'}
      - {series: 'rackstrap_hosts{instance="a",state="stuck"}', values: '0 2x20'}
      - {series: 'rackstrap_pool_level{instance="a",subnet="p"}', values: '2x20'}
      - {series: 'rackstrap_roll_out{instance="a",state="halted"}', values: '0 0 1x20'}
      - {series: 'rackstrap_backup_timestamp_seconds{instance="a"}', values: '0x100'}
      - {series: 'rackstrap_lease_commits_total{instance="a",outcome="failed"}', values: '0 0 0 5x20'}
      - {series: 'rackstrap_certificate_expiry_timestamp_seconds{instance="a"}', values: '864000x100'}
      - {series: 'rackstrap_machine_certificate_expiry_timestamp_seconds{instance="b"}', values: '864000x100'}
    alert_rule_test:
      - eval_time: 80m
        alertname: RackstrapCertificateExpires
        exp_alerts:
          - exp_labels: {severity: warning, instance: a}
            exp_annotations: {summary: "the certificate of a expires in 9d 22h 40m 0s"}
          - exp_labels: {severity: warning, instance: b}
            exp_annotations: {summary: "the certificate of b expires in 9d 22h 40m 0s"}
      - {eval_time: 30m, alertname: RackstrapCertificateExpires, exp_alerts: []}
      - eval_time: 10m
        alertname: RackstrapNotReady
        exp_alerts:
          - exp_labels: {severity: critical, instance: a}
            exp_annotations: {summary: "a cannot write its database: no new leases; see /readyz"}
      - eval_time: 10m
        alertname: RackstrapHostStuck
        exp_alerts:
          - exp_labels: {severity: warning, instance: a, state: stuck}
            exp_annotations: {summary: "2 hosts stuck: see Hosts in the UI, or rackstrap host list"}
      - {eval_time: 1m, alertname: RackstrapHostStuck, exp_alerts: []}
      - eval_time: 5m
        alertname: RackstrapPoolExhausted
        exp_alerts:
          - exp_labels: {severity: critical, instance: a, subnet: p}
            exp_annotations: {summary: "no free DHCP address in p"}
      - eval_time: 5m
        alertname: RackstrapRollOutHalted
        exp_alerts:
          - exp_labels: {severity: warning, instance: a, state: halted}
            exp_annotations: {summary: "a roll-out is halted, says a: see Roll-out in the UI, or rackstrap roll-out show"}
      - {eval_time: 1m, alertname: RackstrapRollOutHalted, exp_alerts: []}
      - eval_time: 5m
        alertname: RackstrapLeaseCommitsFail
        exp_alerts:
          - exp_labels: {severity: critical, instance: a, outcome: failed}
            exp_annotations: {summary: "a cannot store leases (failed)"}
      - {eval_time: 20m, alertname: RackstrapLeaseCommitsFail, exp_alerts: []}
      - {eval_time: 10m, alertname: RackstrapBackupOld, exp_alerts: []}
"#;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn promtool(test: &str) -> Option<Tool> {
    let tool = tools::find("usr/bin/promtool", &["--version"]);
    if tool.is_none() {
        skip(test, "there is no promtool below target/tools: run `make tools`");
    }
    tool
}

#[test]
fn promtool_accepts_the_alert_rules_and_they_fire_when_they_should() {
    let test = "promtool_accepts_the_alert_rules_and_they_fire_when_they_should";
    let Some(promtool) = promtool(test) else { return };
    let rules = packaging().join("prometheus/rackstrap.rules.yml");
    let output = promtool.command().args(["check", "rules"]).arg(&rules).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("13 rules found"), "{said}");
    let dir = TempDir::new().unwrap();
    let situations = SITUATIONS.replace("RULES", rules.to_str().unwrap());
    std::fs::write(dir.path().join("situations.yml"), situations).unwrap();
    let mut run = promtool.command();
    run.args(["test", "rules", "situations.yml"]).current_dir(dir.path()).stdin(Stdio::null());
    let output = run.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// What `/metrics` answers, and its status, for who shows a token.
async fn scrape(config: Config, shown: Option<&str>) -> (u16, String) {
    let server = Server::start_with(SITE, config).await;
    let routes = axum::Router::new()
        .route("/metrics", axum::routing::get(health::metrics))
        .with_state(server.app.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut request = reqwest::Client::new().get(url);
    if let Some(token) = shown {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let test = "promtool_finds_nothing_wrong_with_the_metrics";
    let Some(promtool) = promtool(test) else { return };
    let (status, text) = scrape(Config::default(), None).await;
    assert_eq!(status, 200);
    let output = feed(promtool.command().args(["check", "metrics"]), &text);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    for name in [
        "rackstrap_backup_timestamp_seconds 0",
        "rackstrap_database_answer_seconds 0.",
        "process_open_fds ",
        "process_max_fds ",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "rackstrap_lease_commit_seconds_bucket{le=\"+Inf\"} ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
}

#[tokio::test]
async fn metrics_are_for_who_shows_the_token_if_there_is_one() {
    let token = "a-token-of-metrics";
    let config = || Config { metrics_token: token.to_owned(), ..Config::default() };
    for (shown, status) in
        [(None, 401), (Some("another"), 401), (Some(""), 401), (Some(token), 200)]
    {
        let (answered, text) = scrape(config(), shown).await;
        assert_eq!(answered, status, "{shown:?}");
        assert_eq!(text.contains("rackstrap_ready"), status == 200, "{text}");
    }
}

#[tokio::test]
async fn every_metric_of_the_dashboard_exists() {
    let (_, text) = scrape(Config::default(), None).await;
    let file = std::fs::read_to_string(packaging().join("grafana/rackstrap.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&file).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut count = 0;
    for target in targets {
        let expression = target["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let is_name = |word: &&str| word.starts_with("rackstrap_") || word.starts_with("process_");
        for name in words.filter(is_name) {
            let name = name.trim_end_matches("_bucket");
            assert!(
                text.contains(&format!("# TYPE {name} ")),
                "{name} does not exist: {expression}"
            );
            count += 1;
        }
    }
    assert!(count >= 20, "{count} metrics");
}
