//! Backup, restore and the way from one database to another: the real commands, on real SQLite and
//! PostgreSQL.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rackstrap::inventory::portable::{Record, digests};
use rackstrap::inventory::{Access, Database};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection};
use tempfile::TempDir;

use crate::common::dhcp::Running;
use crate::common::store::Store;

const LEASES: usize = 5000;

/// A site of so many hosts.
fn site(hosts: usize) -> String {
    let mut text = "racks: {r1: {}}\nprofiles: {plain: {nics: {eth0: {mtu: 9000}}}}\n\
                    subnets: {p: {cidr: 10.64.0.0/12}, red: {cidr: 10.8.0.0/24, vrf: red}, \
                    blue: {cidr: 10.8.0.0/24, vrf: blue}}\nhosts:\n"
        .to_owned();
    for number in 0..hosts {
        let (high, low) = (number / 256, number % 256);
        text.push_str(&format!(
            "  n{number:04}: {{rack: r1, profile: plain, nics: {{eth0: \"52:54:00:aa:{high:02x}:{low:02x}\"}}}}\n"
        ));
    }
    text
}

/// A machine with a data directory and a configuration file of its own.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new(config: &str) -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("rackstrap.toml"), config).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--config").arg(self.path("rackstrap.toml"));
        command.arg("--data-dir").arg(self.path("data"));
        command.args(words.split(' ')).current_dir(self.dir.path());
        command.env("SUDO_USER", "ann").env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    fn good(&self, words: &str) -> String {
        let output = self.run(words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn bad(&self, words: &str) -> String {
        let output = self.run(words);
        assert!(!output.status.success(), "{words}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn json(&self, words: &str) -> Value {
        serde_json::from_str(&self.good(&format!("{words} --json"))).unwrap()
    }
}

/// Fills the database of a machine: hosts, users, tokens, leases, events, files.
async fn fill(machine: &Machine, hosts: usize) -> String {
    fs::write(machine.path("site.yaml"), site(hosts)).unwrap();
    machine.good("apply site.yaml");
    machine.good("tenant set acme contact=ops");
    let mut user = machine.command("user set bob").stdin(Stdio::piped()).spawn().unwrap();
    user.stdin.take().unwrap().write_all(b"a long password\n").unwrap();
    assert!(user.wait().unwrap().success());
    let token = machine.good("token add ci --may-change").trim().to_owned();
    let files = machine.path("data/files/live");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("vmlinuz"), b"0123456789").unwrap();
    let file = format!("sqlite:{}", machine.path("data/rackstrap.db").display());
    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    let mut begun = connection.begin().await.unwrap();
    for number in 0..LEASES {
        let (high, low) = (number / 256, number % 256);
        let lease = format!(
            "INSERT INTO leases (address, client, nic, subnet, state, starts_at, expires_at) VALUES \
             ('10.70.{high}.{low}', 'mac:52:54:00:bb:{high:02x}:{low:02x}', '52:54:00:bb:{high:02x}:{low:02x}', \
             'p', 'bound', 1700000000, 4000000000)"
        );
        begun.execute(AssertSqlSafe(lease)).await.unwrap();
    }
    // What texts may have: quotes, other alphabets, ends of lines; and an address of a file.
    let event = "INSERT INTO events (number, at_ms, host, mac, kind, address, data, text, begins_boot, server) \
                 VALUES (700000, 1790000000000, 'n0001', NULL, 'ack', '10.70.0.1', NULL, 'é \"quoted\"\n[line]', TRUE, 7)";
    begun.execute(event).await.unwrap();
    begun.execute("UPDATE event_numbers SET last = 700000").await.unwrap();
    begun.commit().await.unwrap();
    connection.close().await.unwrap();
    token
}

/// Counts and digests by table, without the audit log, which grows with each command.
fn tables(copied: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tables = copied["tables"].as_array().unwrap().iter();
    tables
        .map(|t| (text(&t["table"]), t["rows"].as_u64().unwrap(), text(&t["sha256"])))
        .filter(|(table, ..)| !table.starts_with("audit"))
        .collect()
}

fn rows(tables: &[(String, u64, String)], name: &str) -> u64 {
    tables.iter().find(|(table, ..)| table == name).unwrap().1
}

#[tokio::test]
async fn an_inventory_goes_from_sqlite_to_postgresql_and_back_unchanged() {
    let machine = Machine::new("");
    let token = fill(&machine, 300).await;
    let sqlite = format!("sqlite:{}", machine.path("data/rackstrap.db").display());
    let back = format!("sqlite:{}", machine.path("back.db").display());
    let postgres = Store::postgres().await.url;
    let there = machine.json(&format!("db migrate --from {sqlite} --to {postgres}"));
    let returned = machine.json(&format!("db migrate --from {postgres} --to {back}"));
    let (first, second) = (tables(&there), tables(&returned));
    assert_eq!(first, second);
    for (table, count) in [
        ("hosts", 300),
        ("nics", 300),
        ("leases", LEASES as u64),
        ("users", 1),
        ("tokens", 1),
        ("revisions", 2),
        ("events", 1),
    ] {
        assert_eq!(rows(&first, table), count, "{table}");
    }
    for url in [&postgres, &back] {
        let on = |words: &str| machine.good(&format!("--database {url} {words}"));
        assert_eq!(on("export"), machine.good("export"));
        assert!(on("token list").contains("ci") && on("user list").contains("bob"));
        assert!(on("audit --kind migrated").contains("ann copied the inventory from"));
        assert!(on("audit verify").contains("none of them changed"));
        // The next revision and the next event have numbers of their own.
        on("tenant set other contact=ops");
    }
    assert!(token.starts_with("rackstrap_"));
    // What has rows is not overwritten, and what is served is not copied.
    let refused = machine.bad(&format!("db migrate --from {sqlite} --to {postgres}"));
    assert!(
        refused.contains("is not empty") && refused.contains("nothing was changed"),
        "{refused}"
    );
    let server = serve(&machine);
    let end = Instant::now() + Duration::from_secs(30);
    let empty = format!("sqlite:{}", machine.path("empty.db").display());
    let served = loop {
        let output = machine.run(&format!("db migrate --from {sqlite} --to {empty}"));
        if !output.status.success() || Instant::now() > end {
            break String::from_utf8(output.stderr).unwrap();
        }
        fs::remove_file(machine.path("empty.db")).unwrap();
    };
    drop(server);
    assert!(served.contains("another rackstrap"), "{served}");
    let mut other = sqlx::PgConnection::connect(&postgres).await.unwrap();
    let new = format!("sqlite:{}", machine.path("new.db").display());
    let refused = machine.bad(&format!("db migrate --from {postgres} --to {new}"));
    assert!(refused.contains(" has 1 other connection: stop"), "{refused}");
    machine.good(&format!("db migrate --force --from {postgres} --to {new}"));
    other.execute("SELECT 1").await.unwrap();
}

/// A server on loopback; it ends with the value.
fn serve(machine: &Machine) -> Running {
    let mut server =
        machine.command("--admin-listen 127.0.0.1:0 --machine-listen 127.0.0.1:0 serve");
    Running(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// Makes a backup while a server runs and somebody changes the inventory.
async fn backed_up(hosts: usize) -> (Machine, Vec<(String, u64, String)>) {
    let machine = Machine::new("offer_seconds = 45\nadmin_names = [\"rack.example.net\"]\n");
    fill(&machine, hosts).await;
    let server = serve(&machine);
    std::thread::sleep(Duration::from_secs(1));
    let mut changing = machine.command("tenant set t1 contact=ops").spawn().unwrap();
    let begin = Instant::now();
    let copied = machine.json("backup site.backup");
    println!("backup of {hosts} hosts beside a server: {:.2} s", begin.elapsed().as_secs_f64());
    changing.wait().unwrap();
    drop(server);
    (machine, tables(&copied))
}

#[tokio::test]
async fn a_backup_restores_a_site_onto_a_new_machine() {
    restores(400).await;
}

#[tokio::test]
#[ignore = "takes minutes: make test-full"]
async fn a_backup_restores_4000_hosts_onto_a_new_machine() {
    restores(4000).await;
}

/// Backs a site of so many hosts up while somebody changes it, and restores it into either database.
async fn restores(hosts: usize) {
    let (old, expected) = backed_up(hosts).await;
    let mode = fs::metadata(old.path("site.backup")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(old.bad("backup site.backup").contains("already exists"));
    assert!(old.good("audit --kind backed-up").contains("ann wrote the backup site.backup"));
    let backup = old.path("site.backup").display().to_string();
    for store in Store::both().await {
        // The configuration of a package has comments only.
        let new = Machine::new("# comments only\n");
        let words = match store.kind {
            "SQLite" => format!("restore {backup}"),
            _ => format!("--database {} restore {backup}", store.url),
        };
        let begin = Instant::now();
        let said = new.good(&words);
        let took = begin.elapsed();
        println!("restore of {hosts} hosts into {}: {:.2} s", store.kind, took.as_secs_f64());
        assert!(said.contains(&format!("restored {hosts} hosts")), "{said}");
        assert!(said.contains("1 of 1 image files are not in"), "{said}");
        assert!(said.contains("live/vmlinuz"), "{said}");
        let config = fs::read_to_string(new.path("rackstrap.toml")).unwrap();
        assert_eq!(config, fs::read_to_string(old.path("rackstrap.toml")).unwrap());
        let database = match store.kind {
            "SQLite" => String::new(),
            _ => format!("--database {} ", store.url),
        };
        let again = new.json(&format!("{database}backup again.backup"));
        assert_eq!(tables(&again), expected, "{}", store.kind);
        // It is not done twice.
        let refused = new.bad(&words);
        assert!(refused.contains("is not empty"), "{refused}");
        let audit = new.good(&format!("{database}audit --kind restored"));
        assert!(audit.contains("ann restored"), "{audit}");
        let verified = new.good(&format!("{database}audit verify"));
        assert!(verified.contains("none of them changed"), "{verified}");
    }
}

#[tokio::test]
async fn a_backup_is_in_the_audit_log_whoever_holds_the_database_meanwhile() {
    let machine = Machine::new("");
    fill(&machine, 5).await;
    let file = format!("sqlite:{}", machine.path("data/rackstrap.db").display());
    let mut holder = SqliteConnection::connect(&file).await.unwrap();
    let held = holder.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut copying = machine.command("backup site.backup").stdout(Stdio::null()).spawn().unwrap();
    // Longer than an entry is waited for beside a server.
    tokio::time::sleep(Duration::from_secs(14)).await;
    held.rollback().await.unwrap();
    assert!(copying.wait().unwrap().success());
    let audit = machine.good("audit --kind backed-up");
    assert!(audit.contains("ann wrote the backup site.backup"), "{audit}");
}

/// A backup with other lines.
fn edited(from: &Path, to: &Path, edit: impl Fn(&mut Vec<String>)) {
    let text = zstd::decode_all(fs::File::open(from).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    fs::write(to, zstd::encode_all((lines.join("\n") + "\n").as_bytes(), 1).unwrap()).unwrap();
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let machine = Machine::new("");
    fill(&machine, 5).await;
    machine.good("backup good.backup");
    let good = machine.path("good.backup");
    let bytes = fs::read(&good).unwrap();
    fs::write(machine.path("cut.backup"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(machine.path("text.backup"), b"racks: {}\n").unwrap();
    let replaced = |from: &'static str, to: &'static str| {
        move |lines: &mut Vec<String>| {
            let line = lines.iter_mut().find(|line| line.contains(from)).unwrap();
            *line = line.replace(from, to);
        }
    };
    edited(&good, &machine.path("changed.backup"), replaced("10.70.0.9\"", "10.70.250.9\""));
    edited(&good, &machine.path("lost.backup"), |lines| {
        let at = lines.iter().position(|line| line.starts_with("[\"10.70.0.9\"")).unwrap();
        lines.remove(at);
    });
    edited(&good, &machine.path("short.backup"), |lines| drop(lines.pop()));
    edited(&good, &machine.path("newer.backup"), replaced("\"schema\":", "\"schema\":9"));
    edited(&good, &machine.path("format.backup"), replaced("\"format\":1", "\"format\":2"));
    edited(&good, &machine.path("column.backup"), replaced("\"password_hash\"", "\"password\""));
    edited(&good, &machine.path("line.backup"), replaced("[\"10.70.0.9\"", "[10.70.0.9"));
    for (file, expected) in [
        ("cut", "cannot read"),
        ("text", "cannot read"),
        ("changed", "table leases is damaged: expected 5000 rows"),
        ("lost", "found 4999"),
        ("short", "the end is missing"),
        ("newer", "install the newer version first"),
        ("format", "has format 2"),
        ("column", "table users is not a table of schema"),
        ("line", "is not a line of a backup"),
        ("absent", "No such file"),
    ] {
        let new = Machine::new("");
        let path = machine.path(&format!("{file}.backup"));
        let said = new.bad(&format!("restore {}", path.display()));
        assert!(said.contains(expected), "{file}: {said}");
        // The good one goes into what the bad one has left.
        new.good(&format!("restore {}", good.display()));
        assert_eq!(new.good("export"), machine.good("export"), "{file}");
    }
}

#[tokio::test]
async fn a_backup_of_an_earlier_version_is_brought_up_to_date() {
    const EARLIER: i64 = 30;
    let dir = TempDir::new().unwrap();
    let url = format!("sqlite:{}", dir.path().join("old.db").display());
    let old = Database::open_for(&url, Access::CreateAt(EARLIER)).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let header = json!({"record": "header", "format": 1, "program": "0.0.1", "schema": EARLIER,
                        "created_at": 1_790_000_000, "inventory_id": "0123456789abcdef"});
    let mut lines = vec![header.to_string()];
    connection.execute("INSERT INTO racks (name, spec) VALUES ('r7', '{}')").await.unwrap();
    for digest in digests(&old, EARLIER).await.unwrap() {
        let columns = "SELECT name FROM pragma_table_info($1) ORDER BY cid";
        let columns =
            sqlx::query(columns).bind(&digest.table).fetch_all(&mut connection).await.unwrap();
        let columns = columns.iter().map(|row| row.get("name")).collect();
        let table = Record::Table { name: digest.table.clone(), columns };
        lines.push(serde_json::to_string(&table).unwrap());
        match digest.table.as_str() {
            "racks" => lines.push(json!(["r7", "{}"]).to_string()),
            "event_numbers" => lines.push(json!(["events", 0]).to_string()),
            _ => assert_eq!(digest.rows, 0, "{}", digest.table),
        }
        lines.push(serde_json::to_string(&Record::TableEnd(digest)).unwrap());
    }
    lines.push(serde_json::to_string(&Record::End).unwrap());
    let file = dir.path().join("old.backup");
    fs::write(&file, zstd::encode_all((lines.join("\n") + "\n").as_bytes(), 1).unwrap()).unwrap();
    for store in Store::both().await {
        let new = Machine::new("");
        new.good(&format!("--database {} restore {}", store.url, file.display()));
        let racks = new.good(&format!("--database {} rack list", store.url));
        assert!(racks.contains("r7"), "{}: {racks}", store.kind);
    }
}
