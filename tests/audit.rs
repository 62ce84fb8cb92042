//! The audit log: what is recorded, who sees it, and that what repeats is counted.

use std::process::{Command, Stdio};

use rackstrap::inventory::{AuditQuery, Database};
use rackstrap::lifecycle::audit::{ActionKind, AuditAction, AuditEntry, Author, Entrance, Origin};
use serde_json::Value;

use crate::api_server::ApiServer;
use crate::common::store::Store;

/// An entry of two days ago.
fn old(who: &str, action: AuditAction, now_ms: i64) -> AuditEntry {
    AuditEntry::new(who.into(), action, now_ms - 172_800_000)
}

async fn all(database: &Database, query: AuditQuery) -> Vec<AuditEntry> {
    let found = database.page_audit(&AuditQuery { limit: 1000, ..query }).await.unwrap();
    found.into_iter().map(|stored| stored.entry).collect()
}

#[tokio::test]
async fn entries_are_filtered_paged_counted_and_removed_by_age() {
    for store in Store::both().await {
        let database = store.open().await;
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let address = Some("10.0.0.9".parse().unwrap());
        let origin = Origin { via: Entrance::Api, address };
        let uses = |at_ms| {
            let author = Author { who: "token ci", origin };
            AuditEntry::new(author, AuditAction::TokenUsed { token: "ci".into() }, at_ms)
        };
        database.add_audit(&[old("ann", AuditAction::LoggedOut, now_ms)]).await.unwrap();
        for second in 0..40 {
            database.add_audit(&[uses(3_600_000_000 + second * 1000)]).await.unwrap();
        }
        let changed =
            |revision| AuditAction::Changed { revision, summary: "set host \"é\"".into() };
        let changes: Vec<_> =
            (1..=5).map(|n| AuditEntry::new("bob".into(), changed(n), now_ms + n)).collect();
        database.add_audit(&changes).await.unwrap();

        let entries = all(&database, AuditQuery::default()).await;
        assert_eq!(entries.len(), 7, "{}: {entries:?}", store.kind);
        assert_eq!(entries[0], changes[4], "{}", store.kind);
        let counted = entries.last().unwrap();
        assert_eq!(counted.times, 40, "{}", store.kind);
        assert_eq!(counted.last_ms - counted.at_ms, 39_000, "{}", store.kind);
        assert_eq!(counted.text(), "token ci was used from 10.0.0.9 (40 times)");

        let who = |who: &str| AuditQuery { who: Some(who.into()), ..AuditQuery::default() };
        let kind = |kind| AuditQuery { kind: Some(kind), ..AuditQuery::default() };
        let cases = [
            (who("bob"), 5),
            (who("b"), 0),
            (kind(ActionKind::TokenUsed), 1),
            (AuditQuery { address, ..AuditQuery::default() }, 1),
            (AuditQuery { from_ms: Some(now_ms + 4), ..AuditQuery::default() }, 2),
            (AuditQuery { until_ms: Some(now_ms), ..AuditQuery::default() }, 2),
            (AuditQuery { until_ms: Some(now_ms + 2), ..who("bob") }, 1),
        ];
        for (query, count) in cases {
            assert_eq!(all(&database, query.clone()).await.len(), count, "{query:?}");
        }
        let mut paged = Vec::new();
        let mut query = AuditQuery { limit: 2, ..AuditQuery::default() };
        loop {
            let page = database.page_audit(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            query.before = Some(last.id.clone());
            paged.extend(page.into_iter().map(|stored| stored.entry));
        }
        assert_eq!(paged, entries, "{}", store.kind);

        assert_eq!(
            database.remove_audit_before(now_ms - 86_400_000).await.unwrap(),
            2,
            "{}",
            store.kind
        );
        assert_eq!(all(&database, AuditQuery::default()).await.len(), 5, "{}", store.kind);
    }
}

/// Runs the program on a database; the password is for `user set`.
fn program(url: &str, words: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(directory.path()).args(["--database", url]).args(words);
    command.env("SUDO_USER", "ann").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    use std::io::Write;
    child.stdin.take().unwrap().write_all(b"long enough\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn kinds(entries: &Value) -> Vec<(String, String, String)> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let entries = entries.as_array().unwrap();
    entries.iter().map(|e| (text(e, "kind"), text(e, "who"), text(e, "via"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_and_programs_do_is_in_the_audit_log() {
    for store in Store::both().await {
        let (kind, url) = (store.kind, store.url.clone());
        let server = ApiServer::with_store(store).await;
        for _ in 0..30 {
            assert_eq!(server.request("GET", "/racks").send().await.unwrap().status(), 200);
        }
        let body = r#"{"location": "hall 4"}"#;
        let put = server.request("PUT", "/racks/r7").body(body);
        assert_eq!(put.send().await.unwrap().status(), 201);
        let http = reqwest::Client::new();
        let stranger = || http.get(format!("{}/racks", server.url)).bearer_auth("rackstrap_no");
        for _ in 0..3 {
            assert_eq!(stranger().send().await.unwrap().status(), 401);
        }
        let reader = server
            .app
            .inventory
            .database
            .add_token(&rackstrap::inventory::NewToken::new(
                "reader",
                rackstrap::model::Role::Viewer,
            ))
            .await
            .unwrap();
        let change = http.delete(format!("{}/racks/r7", server.url)).bearer_auth(reader);
        assert_eq!(change.send().await.unwrap().status(), 403);
        program(&url, &["user", "set", "eve"]);
        program(&url, &["user", "set", "eve"]);
        program(&url, &["user", "remove", "eve"]);
        program(&url, &["token", "add", "ci", "--may-change"]);
        program(&url, &["token", "remove", "ci"]);
        program(&url, &["rack", "set", "r8", "location=hall 5"]);

        let answer = server.request("GET", "/audit?limit=100").send().await.unwrap();
        let page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let mut found = kinds(&page["items"]);
        found.reverse();
        let expected = [
            ("changed", "ada", "server"),
            ("token-used", "token writer", "api"),
            ("changed", "token writer", "api"),
            ("token-refused", "unknown token", "api"),
            ("token-read-only", "token reader", "api"),
            ("user-added", "ann", "command-line"),
            ("password-changed", "ann", "command-line"),
            ("user-removed", "ann", "command-line"),
            ("token-added", "ann", "command-line"),
            ("token-removed", "ann", "command-line"),
            ("changed", "ann", "command-line"),
        ];
        let expected = expected.map(|(kind, who, via)| (kind.into(), who.into(), via.into()));
        assert_eq!(found, expected, "{kind}");
        let used = server.request("GET", "/audit?kind=token-used").send().await.unwrap();
        let used: Value = serde_json::from_str(&used.text().await.unwrap()).unwrap();
        assert_eq!(used["items"].as_array().unwrap().len(), 1, "{kind}: {used}");
        assert_eq!(used["items"][0]["times"], 33, "{kind}: {used}");
        assert_eq!(used["items"][0]["address"], "127.0.0.1", "{kind}: {used}");
        let wrong = server.request("GET", "/audit?kind=x").send().await.unwrap();
        assert_eq!(wrong.status(), 400, "{kind}");
        let first = server.request("GET", "/audit?limit=1").send().await.unwrap();
        let first: Value = serde_json::from_str(&first.text().await.unwrap()).unwrap();
        let next = first["next"].as_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned();
        let second = server.request("GET", &next).send().await.unwrap();
        let second: Value = serde_json::from_str(&second.text().await.unwrap()).unwrap();
        assert_eq!(second["items"][0]["kind"], "token-removed", "{kind}: {second}");

        let listed = program(&url, &["audit", "--who", "ann", "--json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 6, "{kind}: {listed}");
        let text = program(&url, &["audit", "--kind", "changed", "--from", "1h"]);
        assert!(text.contains("set rack r8 (revision 3)"), "{kind}: {text}");
        let events = program(&url, &["event", "list"]);
        assert!(!events.contains("revision"), "{kind}: {events}");
    }
}
