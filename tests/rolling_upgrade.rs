//! Servers of two adjacent versions on one PostgreSQL: this program is the earlier one, and the newer
//! one's migrations are applied while it runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rackstrap::inventory::{Database, OpenError};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;
use tempfile::TempDir;

use crate::common::dhcp::{Client, DhcpServer, wait_for};
use crate::common::store::{PostgresServer, Store};
use crate::virtual_address::{MAC, RELAY, SERVERS, lease, two_servers};

/// What a newer version adds to tables that are written all the time, and one of its own.
const ADDS: (&str, &str) = (
    "0998_adds.sql",
    "ALTER TABLE hosts ADD COLUMN of_the_next_version TEXT NOT NULL DEFAULT 'none';\n\
     ALTER TABLE leases ADD COLUMN of_the_next_version BIGINT;\n\
     CREATE TABLE next_things (id BIGINT PRIMARY KEY);\n",
);
/// What begins the next thousand.
const BREAKS: (&str, &str) = ("1000_breaks.sql", "DROP TABLE next_things;\n");

/// The migrations of this version, and more.
async fn migrations(more: &[(&str, &str)]) -> Migrator {
    let directory = TempDir::new().unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in fs::read_dir(own).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
    }
    for (name, sql) in more {
        fs::write(directory.path().join(name), sql).unwrap();
    }
    Migrator::new(directory.path()).await.unwrap()
}

/// Why a statement cannot stand in a migration that only adds; none if it can.
fn takes_away(statement: &str) -> Option<&'static str> {
    let words: Vec<String> =
        statement.split_whitespace().map(|word| word.to_ascii_uppercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let has = |pair: [&str; 2]| words.windows(2).any(|next| next == pair);
    match words[..] {
        ["CREATE", "TABLE", ..] | ["CREATE", "INDEX", ..] => None,
        ["ALTER", "TABLE", _, "ADD", "COLUMN", ..] if has(["NOT", "NULL"]) => {
            (!words.contains(&"DEFAULT")).then_some("a column that older programs do not fill")
        }
        ["ALTER", "TABLE", _, "ADD", "COLUMN", ..] => None,
        _ => Some("neither a table, an index nor a column"),
    }
}

#[test]
fn new_migrations_of_the_first_thousand_only_add() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in fs::read_dir(own).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let number = name.split_once('_').and_then(|(number, _)| number.parse::<u32>().ok());
        // Those before it were there when servers of two versions did not share a database.
        if !number.is_some_and(|number| (112..1000).contains(&number)) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let statements = lines.collect::<Vec<_>>().join("\n");
        for statement in statements.split(';').filter(|text| !text.trim().is_empty()) {
            assert_eq!(takes_away(statement), None, "{name}: {statement}");
        }
    }
    for (statement, may_stand) in [
        (ADDS.1.split(';').next().unwrap(), true),
        ("CREATE INDEX x ON hosts (rack)", true),
        ("alter table hosts add column note text", true),
        ("ALTER TABLE hosts ADD COLUMN note TEXT NOT NULL", false),
        ("ALTER TABLE hosts RENAME COLUMN note TO notes", false),
        ("DROP TABLE hosts", false),
        ("CREATE UNIQUE INDEX x ON hosts (rack)", false),
        ("UPDATE hosts SET rack = ''", false),
    ] {
        assert_eq!(takes_away(statement).is_none(), may_stand, "{statement}");
    }
}

async fn upgrade(url: &str, more: &[(&str, &str)]) {
    let migrations = migrations(more).await;
    if url.starts_with("postgres") {
        let pool = PgPool::connect(url).await.unwrap();
        migrations.run(&pool).await.unwrap();
        pool.close().await;
    } else {
        let pool = SqlitePool::connect(url).await.unwrap();
        migrations.run(&pool).await.unwrap();
        pool.close().await;
    }
}

#[tokio::test]
async fn a_database_that_a_newer_version_upgraded_is_used_within_its_thousand() {
    for store in Store::both().await {
        Database::open(&store.url).await.unwrap().close().await;
        upgrade(&store.url, &[ADDS]).await;
        let database = Database::open(&store.url).await.expect(store.kind);
        let hosts = rackstrap::inventory::Inventory::open(database.clone()).await.unwrap();
        assert!(hosts.snapshot().site.hosts.is_empty());
        database.close().await;
        upgrade(&store.url, &[ADDS, BREAKS]).await;
        match Database::open(&store.url).await {
            Err(OpenError::ProgramTooOld { found: 1000, .. }) => {}
            Err(error) => panic!("{}: {error}", store.kind),
            Ok(_) => panic!("{}: a schema of the next thousand is used", store.kind),
        }
    }
}

fn rackstrap(url: &str, server: &DhcpServer, words: &[&str]) -> Output {
    let mut command = server.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path()).args(["--database", url]);
    command.args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn servers_of_the_version_before_go_on_while_others_are_upgraded() {
    let postgres = PostgresServer::start();
    let url = postgres.url();
    let (core, mut servers) = two_servers(&url);
    let relay = Client::bind(&core, RELAY, 67, None);
    let first = lease(&relay, 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(upgrade(&url, &[ADDS]));

    // Both go on as they are, and after a restart.
    for (server, client) in servers.iter_mut().zip(10..) {
        server.kill();
        lease(&relay, client);
        server.start(&[]);
        server.wait_for_log("goes on with it; upgrade it too");
    }
    assert_eq!(lease(&relay, 1), first);
    let changed = rackstrap(&url, &servers[0], &["subnet", "set", "rack-a", "mtu=1400"]);
    assert!(changed.status.success(), "{}", said(&changed));
    for server in SERVERS {
        let line = format!("curl -sf -m 5 --interface 10.78.0.11 http://{server}/config/{MAC}");
        wait_for("a change by the earlier version is everywhere", || {
            String::from_utf8_lossy(&core.sh(&line).stdout).contains("MTUBytes=1400")
        });
    }
    let backup = servers[0].directory.path().join("backup");
    let refused = rackstrap(&url, &servers[0], &["backup", backup.to_str().unwrap()]);
    assert!(!refused.status.success() && !backup.exists());
    assert!(said(&refused).contains("use the newer version, which has upgraded it"), "{refused:?}");

    // One that takes away: who runs goes on, and nobody starts.
    runtime.block_on(upgrade(&url, &[ADDS, BREAKS]));
    assert_eq!(lease(&relay, 1), first);
    lease(&relay, 20);
    servers[0].kill();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(servers[0].directory.path()).args(["--database", &url]);
    let refused = command.arg("serve").output().unwrap();
    assert!(said(&refused).contains("is older than its database"), "{refused:?}");
    lease(&relay, 21);
}
