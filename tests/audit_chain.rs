//! The audit log cannot be rewritten: the database refuses it, and who gets around that is found.

use std::process::{Command, Output};

use rackstrap::inventory::portable::{self, ImportTarget, WAITING, read_preamble};
use rackstrap::inventory::{AuditQuery, Database, Fault, Head, Inventory};
use rackstrap::lifecycle::audit::{AuditAction, AuditEntry, HOUR_MS};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio_util::sync::CancellationToken;

use crate::common::store::Store;

const DAY_MS: i64 = 24 * HOUR_MS;

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Something that is an entry of its own.
fn logged_out(who: &str, at_ms: i64) -> AuditEntry {
    AuditEntry::new(who.into(), AuditAction::LoggedOut, at_ms)
}

/// Something that is counted.
fn refused(who: &str, at_ms: i64) -> AuditEntry {
    AuditEntry::new(who.into(), AuditAction::LoginRefused, at_ms)
}

/// Runs a statement by a connection that is not the program's.
async fn by_hand(store: &Store, sql: impl Into<String>) -> Result<u64, String> {
    let statement = AssertSqlSafe(sql.into());
    let done = if store.kind == "SQLite" {
        let mut connection = SqliteConnection::connect(&store.url).await.unwrap();
        let done = sqlx::query(statement).execute(&mut connection).await;
        done.map(|done| done.rows_affected())
    } else {
        let mut connection = PgConnection::connect(&store.url).await.unwrap();
        let done = sqlx::query(statement).execute(&mut connection).await;
        done.map(|done| done.rows_affected())
    };
    done.map_err(|error| error.to_string())
}

/// Takes the guards away, as somebody does who owns the database.
async fn unguard(store: &Store) {
    let names: &[&str] = match store.kind {
        "SQLite" => &[
            "audit_is_not_replaced",
            "audit_only_counts",
            "audit_is_only_trimmed",
            "audit_chain_is_not_replaced",
            "audit_chain_stays",
            "audit_chain_is_only_trimmed",
            "audit_chain_keeps_a_day",
        ],
        _ => &[
            "rackstrap_guard_audit ON audit",
            "rackstrap_guard_audit_whole ON audit",
            "rackstrap_guard_audit_chain ON audit_chain",
            "rackstrap_guard_audit_chain_whole ON audit_chain",
        ],
    };
    for name in names {
        by_hand(store, format!("DROP TRIGGER {name}")).await.unwrap();
    }
}

async fn fault(database: &Database) -> Option<Fault> {
    database.check_audit(None).await.unwrap().fault
}

async fn id_of(database: &Database, who: &str) -> String {
    let query = AuditQuery { who: Some(who.into()), limit: 1, ..AuditQuery::default() };
    database.page_audit(&query).await.unwrap().remove(0).id
}

#[tokio::test]
async fn the_database_refuses_to_rewrite_the_audit_log() {
    for store in Store::both().await {
        let kind = store.kind;
        let database = store.open().await;
        let now_ms = now_ms();
        database.add_audit(&[logged_out("ann", now_ms), refused("bob", now_ms)]).await.unwrap();
        let hour = now_ms / HOUR_MS;
        for statement in [
            "UPDATE audit SET who = 'mallory'".to_owned(),
            "UPDATE audit SET times = times + 1 WHERE who = 'ann'".to_owned(),
            "UPDATE audit SET times = times - 1 WHERE who = 'bob'".to_owned(),
            "UPDATE audit SET times = times + 1, who = 'x' WHERE who = 'bob'".to_owned(),
            "UPDATE audit SET times = times + 1, address = '10.0.0.1' WHERE who = 'bob'".to_owned(),
            format!(
                "UPDATE audit SET times = 9, last_ms = {} WHERE who = 'bob'",
                (hour + 1) * HOUR_MS
            ),
            "UPDATE audit_chain SET content = ''".to_owned(),
            "DELETE FROM audit".to_owned(),
            "DELETE FROM audit WHERE who = 'bob'".to_owned(),
            "DELETE FROM audit_chain".to_owned(),
            format!(
                "INSERT INTO audit_chain (number, what, id, content, base, base_hash, hash) \
                 VALUES (99, 'trimmed', '{}', '', 2, '', '')",
                now_ms - HOUR_MS
            ),
        ] {
            assert!(by_hand(&store, statement.clone()).await.is_err(), "{kind}: {statement}");
        }
        if kind == "SQLite" {
            let id = id_of(&database, "ann").await;
            let replace = format!(
                "INSERT OR REPLACE INTO audit (id, at_ms, last_ms, times, who, via, kind, data) \
                 VALUES ('{id}', 1, 1, 1, 'mallory', 'web', 'logged-out', '{{\"kind\":\"logged-out\"}}')"
            );
            assert!(by_hand(&store, replace).await.is_err());
        } else {
            assert!(by_hand(&store, "TRUNCATE audit").await.is_err());
            assert!(by_hand(&store, "TRUNCATE audit_chain").await.is_err());
        }
        // What a server of an earlier version does.
        let counts = "INSERT INTO audit (id, at_ms, last_ms, times, who, via, address, kind, data, same_as) \
             SELECT 'other', at_ms, last_ms, 5, who, via, address, kind, data, same_as FROM audit \
             WHERE who = 'bob' \
             ON CONFLICT (same_as) DO UPDATE SET times = audit.times + excluded.times, \
             last_ms = excluded.last_ms";
        assert_eq!(by_hand(&store, counts).await, Ok(1), "{kind}");
        let check = database.check_audit(None).await.unwrap();
        assert_eq!((check.fault, check.entries, check.head.number), (None, 2, 2), "{kind}");
        let page = database.page_audit(&AuditQuery { limit: 9, ..AuditQuery::default() }).await;
        let times: u64 = page.unwrap().iter().map(|stored| stored.entry.times).sum();
        assert_eq!(times, 1 + 6, "{kind}");
    }
}

#[tokio::test]
async fn what_was_changed_removed_or_inserted_without_the_guards_is_named() {
    let who = |name: &str, at_ms| [logged_out(name, at_ms)];
    for case in 0..7 {
        for store in Store::both().await {
            let kind = store.kind;
            let database = store.open().await;
            for name in ["ann", "bob", "eve"] {
                database.add_audit(&who(name, now_ms())).await.unwrap();
            }
            let head = database.audit_head().await.unwrap();
            let id = id_of(&database, "bob").await;
            unguard(&store).await;
            let number = 2;
            let (statement, expected) = match case {
                0 => (
                    "UPDATE audit SET who = 'mallory' WHERE who = 'bob'",
                    Fault::Changed { id, number },
                ),
                1 => (
                    "UPDATE audit SET address = '10.0.0.1' WHERE who = 'bob'",
                    Fault::Changed { id, number },
                ),
                2 => ("DELETE FROM audit WHERE who = 'bob'", Fault::Removed { id, number }),
                3 => (
                    "INSERT INTO audit (id, at_ms, last_ms, times, who, via, kind, data) VALUES \
                     ('1-x', 1, 1, 1, 'mallory', 'web', 'logged-out', '{\"kind\":\"logged-out\"}')",
                    Fault::Inserted { id: "1-x".into() },
                ),
                4 => (
                    "UPDATE audit_chain SET content = '' WHERE number = 2",
                    Fault::Broken { number },
                ),
                5 => ("DELETE FROM audit_chain WHERE number = 2", Fault::Broken { number }),
                _ => {
                    ("DELETE FROM audit_chain WHERE number = 3", Fault::Cut { last: 2, number: 3 })
                }
            };
            by_hand(&store, statement).await.unwrap();
            if case == 6 {
                by_hand(&store, "DELETE FROM audit WHERE who = 'eve'").await.unwrap();
                assert_eq!(fault(&database).await, None, "{kind}: what only the head shows");
            }
            let check = database.check_audit(Some(&head)).await.unwrap();
            assert_eq!(check.fault, Some(expected), "{kind}: {statement}");
        }
    }
}

#[tokio::test]
async fn a_rewritten_chain_has_other_heads() {
    let [store, _] = Store::both().await;
    let database = store.open().await;
    let entries = ["ann", "bob", "eve"].map(|name| logged_out(name, now_ms()));
    database.add_audit(&entries[..2]).await.unwrap();
    let head = database.audit_head().await.unwrap();
    database.add_audit(&entries[2..]).await.unwrap();
    assert_eq!(database.check_audit(Some(&head)).await.unwrap().fault, None);
    unguard(&store).await;
    for statement in ["UPDATE audit SET who = 'mallory'", "DELETE FROM audit_chain"] {
        by_hand(&store, statement).await.unwrap();
    }
    // Whoever opens it finds a log without a chain, as after an upgrade.
    let again = store.inventory().await;
    let check = again.database.check_audit(None).await.unwrap();
    assert_eq!((check.fault, check.entries, check.adopted), (None, 3, 3));
    let number = 2;
    let check = again.database.check_audit(Some(&head)).await.unwrap();
    assert_eq!(check.fault, Some(Fault::Rewritten { number }));
    let later = Head { number: 9, ..head };
    let check = again.database.check_audit(Some(&later)).await.unwrap();
    assert_eq!(check.fault, Some(Fault::Cut { last: 3, number: 9 }));
}

/// Runs what a server does with the log when it starts.
async fn serve(store: &Store, keep_days: u32) -> Inventory {
    let inventory = store.inventory().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(inventory.clone().run_audit(move || keep_days, stop.clone()));
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    inventory
}

#[tokio::test]
async fn trimming_keeps_the_chain() {
    for store in Store::both().await {
        let kind = store.kind;
        let database = store.open().await;
        let now_ms = now_ms();
        let old = now_ms - 20 * DAY_MS + HOUR_MS;
        for day in 0..10 {
            let entries =
                [logged_out("ann", old + day * DAY_MS), refused("bob", old + day * DAY_MS)];
            database.add_audit(&entries).await.unwrap();
        }
        // Stored late, and out of the order of time.
        database.add_audit(&[logged_out("eve", now_ms), logged_out("late", old)]).await.unwrap();
        let head = database.audit_head().await.unwrap();
        let check = serve(&store, 15).await.database.check_audit(Some(&head)).await.unwrap();
        assert_eq!((check.fault, check.entries), (None, 11), "{kind}");
        assert!(check.trimmed_before_ms.is_some(), "{kind}");
        // Again, when all but one are too old, and links go whose entries went before.
        let check = serve(&store, 1).await.database.check_audit(Some(&head)).await.unwrap();
        assert_eq!((check.fault, check.entries), (None, 1), "{kind}");
        let first = Head { number: 1, hash: "00".repeat(32) };
        let check = database.check_audit(Some(&first)).await.unwrap();
        assert_eq!(check.fault, Some(Fault::TooOld { number: 1 }), "{kind}");
        database.add_audit(&[logged_out("zoe", now_ms - 2 * HOUR_MS)]).await.unwrap();
        assert_eq!(fault(&database).await, None, "{kind}");
        // The last day stays, whatever is asked for.
        assert!(database.remove_audit_before(now_ms - HOUR_MS).await.is_err(), "{kind}");
        unguard(&store).await;
        by_hand(&store, "DELETE FROM audit WHERE who = 'eve'").await.unwrap();
        assert!(matches!(fault(&database).await, Some(Fault::Removed { .. })), "{kind}");
    }
}

#[tokio::test]
async fn what_was_counted_is_closed_when_its_hour_is_over() {
    for store in Store::both().await {
        let kind = store.kind;
        let database = store.open().await;
        let at_ms = now_ms() - 5 * HOUR_MS;
        for _ in 0..7 {
            database.add_audit(&[refused("bob", at_ms)]).await.unwrap();
        }
        let inventory = serve(&store, 730).await;
        assert_eq!(inventory.database.audit_head().await.unwrap().number, 2, "{kind}");
        // A count that comes too late is an entry of its own; one of an earlier version is dropped.
        database.add_audit(&[refused("bob", at_ms)]).await.unwrap();
        let late = "UPDATE audit SET times = times + 1 WHERE same_as IS NOT NULL";
        assert!(by_hand(&store, late).await.is_ok(), "{kind}");
        let query = AuditQuery { limit: 9, ..AuditQuery::default() };
        let page = database.page_audit(&query).await.unwrap();
        let mut times: Vec<u64> = page.iter().map(|stored| stored.entry.times).collect();
        times.sort_unstable();
        assert_eq!(times, [1, 7], "{kind}");
        assert_eq!(fault(&database).await, None, "{kind}");
        unguard(&store).await;
        by_hand(&store, late).await.unwrap();
        assert!(matches!(fault(&database).await, Some(Fault::Changed { .. })), "{kind}");
    }
}

#[tokio::test]
async fn entries_of_an_earlier_version_get_their_links_when_a_server_starts() {
    for store in Store::both().await {
        let kind = store.kind;
        let database = store.open().await;
        database.add_audit(&[logged_out("ann", now_ms())]).await.unwrap();
        let earlier = "INSERT INTO audit (id, at_ms, last_ms, times, who, via, kind, data) VALUES \
             ('1790000000000-1', 1790000000000, 1790000000000, 1, 'bob', 'web', 'logged-out', \
              '{\"kind\":\"logged-out\"}')";
        by_hand(&store, earlier).await.unwrap();
        assert!(matches!(fault(&database).await, Some(Fault::Inserted { .. })), "{kind}");
        let check = serve(&store, 36_500).await.database.check_audit(None).await.unwrap();
        assert_eq!((check.fault, check.entries, check.adopted), (None, 2, 1), "{kind}");
        assert_eq!(check.last_adopted.as_deref(), Some("1790000000000-1"), "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_append_to_one_chain() {
    let [_, store] = Store::both().await;
    let servers = [store.open().await, store.open().await, store.open().await];
    let tasks = servers.iter().cloned().enumerate().map(|(server, database)| {
        tokio::spawn(async move {
            for _ in 0..40 {
                let own = logged_out(&format!("user{server}"), now_ms());
                database.add_audit(&[own, refused("all", now_ms())]).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let check = servers[0].check_audit(None).await.unwrap();
    assert_eq!(check.fault, None);
    assert!((121..=122).contains(&check.entries), "{}", check.entries);
}

#[tokio::test]
async fn a_copy_of_the_database_has_the_same_chain() {
    for (from, to) in
        [(Store::sqlite(), Store::postgres().await), (Store::postgres().await, Store::sqlite())]
    {
        let database = from.open().await;
        let at_ms = now_ms() - 30 * DAY_MS + HOUR_MS;
        for day in 0..20 {
            let entries =
                [refused("bob", at_ms + day * DAY_MS), logged_out("ann", at_ms + day * DAY_MS)];
            database.add_audit(&entries).await.unwrap();
        }
        database.close().await;
        let source = serve(&from, 20).await.database;
        let head = source.audit_head().await.unwrap();
        let (sink, mut pieces) = tokio::sync::mpsc::channel(WAITING);
        let exporting =
            tokio::spawn(async move { portable::export(&source, Vec::new(), sink).await });
        let preamble = read_preamble(&mut pieces).await.unwrap();
        let target = ImportTarget::create(&to.url, preamble.header.schema).await.unwrap();
        portable::import(target, preamble, pieces).await.unwrap();
        exporting.await.unwrap().unwrap();
        let copy = serve(&to, 15).await.database;
        let check = copy.check_audit(Some(&head)).await.unwrap();
        assert_eq!((check.fault, check.adopted), (None, 0), "{}", to.kind);
        assert_eq!(check.entries, 10, "{}", to.kind);
        assert!(by_hand(&to, "UPDATE audit SET who = 'mallory'").await.is_err(), "{}", to.kind);
    }
}

fn rackstrap(store: &Store, words: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(directory.path()).args(["--database", &store.url]);
    command.args(words).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_it_found() {
    for store in Store::both().await {
        let database = store.open().await;
        database.add_audit(&["ann", "bob"].map(|who| logged_out(who, now_ms()))).await.unwrap();
        let head = database.audit_head().await.unwrap().to_string();
        let good = rackstrap(&store, &["audit", "verify", "--head", &head]);
        let said = String::from_utf8(good.stdout).unwrap();
        assert!(good.status.success() && said.starts_with("2 entries, none of them"), "{said}");
        assert!(said.contains(&format!("head {head}")), "{said}");
        unguard(&store).await;
        by_hand(&store, "UPDATE audit SET who = 'mallory' WHERE who = 'bob'").await.unwrap();
        let id = id_of(&database, "mallory").await;
        let bad = rackstrap(&store, &["audit", "verify"]);
        let said = String::from_utf8(bad.stdout).unwrap();
        assert_eq!(bad.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("error: entry {id} was changed (link 2)")), "{said}");
        let json = rackstrap(&store, &["--json", "audit", "verify"]);
        let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!((&json["fault"], &json["id"]), (&"changed".into(), &id.into()), "{json}");
    }
}
