//! Databases that earlier versions left behind: whichever migrations one has seen, it is
//! brought up to date, nothing in it is lost, and the program works on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rackstrap::inventory::{AuditQuery, Change, Database, EventFilter, Inventory};
use rackstrap::leases::LeaseBook;
use rackstrap::model::{ClientKey, Host, Identity, Lease, LeaseState, Role, Site};
use rackstrap::site_file;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio_util::sync::CancellationToken;

use crate::common::store::Store;

/// The site as the rows of the first migration have it.
const SITE: &str = r#"
racks: {r1: {}}
tenants: {acme: {}}
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.254
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
profiles: {plain: {nics: {eth0: {mtu: 9000}}}}
images: {live: {kernel: live/vmlinuz}}
hosts:
  n01:
    rack: r1
    tenant: acme
    profile: plain
    image: live
    nics: {eth0: "52:54:00:aa:00:01"}
    reservations: {provisioning: 10.77.0.10}
"#;

/// Rows in every table of the first migration, as its version wrote them.
const ROWS: &str = r#"
INSERT INTO racks (name, spec) VALUES ('r1', '{}');
INSERT INTO tenants (name, spec) VALUES ('acme', '{}');
INSERT INTO profiles (name, spec) VALUES ('plain', '{"nics":{"eth0":{"mtu":9000}}}');
INSERT INTO images (name, spec) VALUES ('live', '{"kernel":"live/vmlinuz"}');
INSERT INTO subnets (name, cidr, tenant, spec)
    VALUES ('provisioning', '10.77.0.0/24', NULL, '{"gateway":"10.77.0.254"}');
INSERT INTO subnet_ranges (subnet, position, first_address, last_address, used_for)
    VALUES ('provisioning', 0, '10.77.0.100', '10.77.0.199', 'dhcp');
INSERT INTO hosts (name, rack, tenant, profile, image, spec, state, state_at_ms, state_text)
    VALUES ('n01', 'r1', 'acme', 'plain', 'live', '{}', 'failed', 1700000000000, 'no kernel');
INSERT INTO nics (mac, host, label, position) VALUES ('52:54:00:aa:00:01', 'n01', 'eth0', 0);
INSERT INTO host_addresses (address, host, link, subnet)
    VALUES ('10.77.0.10', 'n01', NULL, 'provisioning');
INSERT INTO leases (address, client, mac, subnet, state, starts_at, expires_at) VALUES
    ('10.77.0.10', 'host:n01', '52:54:00:aa:00:01', 'provisioning', 'bound', 1700000000, 4000000000),
    ('10.77.0.100', 'mac:52:54:00:bb:00:01', '52:54:00:bb:00:01', 'provisioning', 'declined',
     1700000000, 4000000000),
    ('10.77.0.110', 'id:ff01', '00:00:00:00:00:00', 'provisioning', 'bound', 1700000000, 4000000000);
INSERT INTO events (id, at_ms, host, mac, kind, text)
    VALUES ('1790000000000-0000000000-00000001', 1790000000000, 'n01', '52:54:00:aa:00:01', 'ack', '10.77.0.10');
INSERT INTO events (id, at_ms, host, mac, kind, text)
    VALUES ('1780000000000-0000000000-00000001', 1780000000000, NULL, NULL, 'change', 'ann: apply (revision 7)');
INSERT INTO revisions (id, at, who, summary, before, after)
    VALUES (7, 1700000000, 'ann', 'apply site.yaml', '{}', 'racks: {r1: {}}');
INSERT INTO users (name, password_hash, created_at) VALUES ('ann', '$argon2id$', 1700000000);
INSERT INTO tokens (hash, name, may_change, created_at, expires_at) VALUES
    ('406ea0b9489c7b96ecc07af24dfbfa7c6037ad3ce8728b4f3fd4e01bb092a842', 'ci', true, 1700000000, NULL);
INSERT INTO sessions (id, data, expires_at) VALUES ('00', '{}', 4000000000);
INSERT INTO reports (host, at_ms, body) VALUES ('n01', 1700000000000, 'NIC eth0 up');
"#;

/// Rows in the tables and columns that later migrations made, as the version that made them
/// wrote them: the migration, the rows, and what the site file says since then.
const LATER: [(&str, &str, fn(Site) -> Site); 8] = [
    (
        "0002_host_identities.sql",
        // A UUID is one key for both orders of its bytes: the lesser one.
        r#"
        UPDATE hosts SET spec = '{"match":{"uuid":"4c4c4544-0042-3510-8054-b4c04f4d3032",
            "client-id":"hex:ff0102","circuit-id":"ge-0/0/1","remote-id":"sw1"}}';
        INSERT INTO host_identities (kind, value, host) VALUES
            ('uuid', '44454c4c420010358054b4c04f4d3032', 'n01'),
            ('client-id', 'ff0102', 'n01'),
            ('port', '67652d302f302f31 at 737731', 'n01');
        "#,
        |mut site| {
            let host = site.hosts.get_mut("n01").unwrap();
            let known_by = r#"{"uuid": "4c4c4544-0042-3510-8054-b4c04f4d3032",
                "client-id": "hex:ff0102", "circuit-id": "ge-0/0/1", "remote-id": "sw1"}"#;
            host.known_by = serde_json::from_str(known_by).unwrap();
            site
        },
    ),
    (
        "0003_site_wide.sql",
        r#"INSERT INTO site_wide (name, spec) VALUES
            ('site', '{"parameters":{"asn":65001},"network":{"nics":{"eth0":{"mtu":1500}}}}')"#,
        |mut site| {
            let wide = r#"{"parameters":{"asn":65001},"network":{"nics":{"eth0":{"mtu":1500}}}}"#;
            let wide: Site = serde_json::from_str(wide).unwrap();
            (site.parameters, site.network) = (wide.parameters, wide.network);
            site
        },
    ),
    (
        "0006_lease_removals.sql",
        // One whose address was leased anew since, and one whose address was not.
        "INSERT INTO lease_removals (address) VALUES ('10.77.0.10'), ('10.77.0.150')",
        |site| site,
    ),
    (
        "0007_switches.sql",
        r#"
        INSERT INTO switches (name, spec) VALUES ('leaf1', '{"vendor":"eos"}');
        UPDATE nics SET switch = 'leaf1', port = 'Ethernet1';
        "#,
        |mut site| {
            let nic = r#"{"mac": "52:54:00:aa:00:01", "switch": "leaf1", "port": "Ethernet1"}"#;
            let nic = serde_json::from_str(nic).unwrap();
            site.hosts.get_mut("n01").unwrap().nics.insert("eth0".into(), nic);
            let switch = serde_json::from_str(r#"{"vendor": "eos"}"#).unwrap();
            site.switches.insert("leaf1".into(), switch);
            site
        },
    ),
    (
        "0008_told_lease_ends.sql",
        r#"
        UPDATE hosts SET spec = '{"match":{"uuid":"4c4c4544-0042-3510-8054-b4c04f4d3032",
            "client-id":"hex:ff0102","circuit-id":"ge-0/0/1","remote-id":"sw1"},
            "leased-until":"2025-12-31"}';
        INSERT INTO told_lease_ends (host, tenant, until) VALUES ('n01', 'acme', 1767225600);
        "#,
        |mut site| {
            let host = site.hosts.get_mut("n01").unwrap();
            host.rented_until = Some("2025-12-31".parse().unwrap());
            site
        },
    ),
    (
        "0010_typed_events.sql",
        r#"
        INSERT INTO events (id, at_ms, host, mac, kind, text, data, address)
            VALUES ('1780000000001-0000000000-00000001', 1780000000001, NULL, NULL, 'login', '',
            '{"kind":"login","who":"bob","action":"login-refused","from":"10.0.0.5"}', '10.0.0.5');
        "#,
        |site| site,
    ),
    ("0071_roles.sql", "UPDATE tokens SET role = 'operator' WHERE name = 'ci';", |site| site),
    (
        "0009_address_domains.sql",
        // A subnet of a VRF, whose domain the database did not know.
        r#"INSERT INTO subnets (name, cidr, tenant, spec) VALUES ('red', '10.88.0.0/24', NULL, '{"vrf":"red"}');"#,
        |mut site| {
            let red = r#"{"cidr": "10.88.0.0/24", "vrf": "red"}"#;
            site.subnets.insert("red".into(), serde_json::from_str(red).unwrap());
            site
        },
    ),
];

/// What later migrations moved: the migration, the rows before it and after it.
const MOVED: [(&str, &str, &str); 7] = [
    ("0014_told_rental_ends.sql", "told_lease_ends", "told_rental_ends"),
    (
        "0017_numbered_events.sql",
        "INSERT INTO events (id, at_ms, host, mac, kind, text)
    VALUES ('1790000000000-0000000000-00000001', 1790000000000, 'n01', '52:54:00:aa:00:01', 'ack', '10.77.0.10');",
        "INSERT INTO events (number, at_ms, host, mac, kind, text, begins_boot, server)
    VALUES (1, 1790000000000, 'n01', '52:54:00:aa:00:01', 'ack', '10.77.0.10', FALSE, 0);
UPDATE event_numbers SET last = 1;",
    ),
    (
        "0016_audit_log.sql",
        "INSERT INTO events (id, at_ms, host, mac, kind, text)
    VALUES ('1780000000000-0000000000-00000001', 1780000000000, NULL, NULL, 'change', 'ann: apply (revision 7)');",
        r#"INSERT INTO audit (id, at_ms, last_ms, times, who, via, kind, data)
    VALUES ('1780000000000-1', 1780000000000, 1780000000000, 1, '', 'unknown', 'recorded',
    '{"kind":"recorded","text":"ann: apply (revision 7)"}');"#,
    ),
    (
        "0016_audit_log.sql",
        r#"INSERT INTO events (id, at_ms, host, mac, kind, text, data, address)
            VALUES ('1780000000001-0000000000-00000001', 1780000000001, NULL, NULL, 'login', '',
            '{"kind":"login","who":"bob","action":"login-refused","from":"10.0.0.5"}', '10.0.0.5');"#,
        r#"INSERT INTO audit (id, at_ms, last_ms, times, who, via, address, kind, data)
            VALUES ('1780000000001-1', 1780000000001, 1780000000001, 1, 'bob', 'unknown', '10.0.0.5',
            'login-refused', '{"kind":"login-refused"}');"#,
    ),
    (
        "0061_lease_nics.sql",
        "INSERT INTO leases (address, client, mac,",
        "INSERT INTO leases (address, client, nic,",
    ),
    ("0061_lease_nics.sql", "'00:00:00:00:00:00'", "''"),
    (
        "0015_host_states.sql",
        "profile, image, spec, state, state_at_ms, state_text)
    VALUES ('n01', 'r1', 'acme', 'plain', 'live', '{}', 'failed', 1700000000000, 'no kernel');",
        "profile, image, spec)
    VALUES ('n01', 'r1', 'acme', 'plain', 'live', '{}');
INSERT INTO host_states (host, state, since_ms, boot, old_reason)
    VALUES ('n01', 'failed', 1700000000000, '{}', 'no kernel');",
    ),
];

/// What of these a database has that saw some migrations.
fn later(
    migrations: &[PathBuf],
) -> impl Iterator<Item = &'static (&'static str, &'static str, fn(Site) -> Site)> {
    let is_there = |name: &str| migrations.iter().any(|file| file.ends_with(name));
    LATER.iter().filter(move |(name, ..)| is_there(name))
}

/// The token whose hash stands in the rows.
fn token() -> String {
    format!("rackstrap_{}", "a".repeat(40))
}

/// The files of the migrations, in their order.
fn migrations() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Makes the database as it was when only these migrations existed.
async fn leave_behind(store: &Store, migrations: &[PathBuf]) {
    let directory = tempfile::tempdir().unwrap();
    for file in migrations {
        fs::copy(file, directory.path().join(file.file_name().unwrap())).unwrap();
    }
    let rows = later(migrations).fold(ROWS.to_owned(), |rows, (_, own, _)| rows + own + ";");
    // A row is of the version that made its table; what later ones renamed or moved is written
    // as they would.
    let mut rows = rows;
    for (name, was, is) in MOVED {
        if migrations.iter().any(|file| file.ends_with(name)) {
            rows = rows.replace(was, is);
        }
    }
    let rows = sqlx::AssertSqlSafe(rows);
    let migrator = Migrator::new(directory.path()).await.unwrap();
    if let Some(path) = store.url.strip_prefix("sqlite:") {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        migrator.run(&pool).await.unwrap();
        sqlx::raw_sql(rows).execute(&pool).await.unwrap();
        pool.close().await;
    } else {
        let pool = sqlx::PgPool::connect(&store.url).await.unwrap();
        migrator.run(&pool).await.unwrap();
        sqlx::raw_sql(rows).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

fn site(text: &str) -> Site {
    site_file::parse(text, "site.yaml").unwrap()
}

/// The site with something in it that only the newest version can say: what a host is known
/// by (0002), what is said site-wide (0003), a switch and a cable to it (0007).
fn grown() -> Site {
    let text = SITE.replace(
        "    nics: {eth0: \"52:54:00:aa:00:01\"}\n",
        "    nics: {eth0: {mac: \"52:54:00:aa:00:01\", switch: leaf1, port: Ethernet1}}\n    \
         match: {uuid: 4c4c4544-0042-3510-8054-b4c04f4d3032}\n",
    );
    site(&format!("{text}switches: {{leaf1: {{vendor: eos}}}}\nparameters: {{asn: 65001}}\n"))
}

async fn check_kept(database: &Database, migrations: &[PathBuf]) {
    let inventory = Inventory::open(database.clone()).await.unwrap();
    let snapshot = inventory.snapshot();
    let expected = later(migrations).fold(site(SITE), |site, (_, _, add)| add(site));
    assert_eq!((snapshot.revision, &*snapshot.site), (7, &expected));
    let leases = LeaseBook::open(database.clone()).await.unwrap();
    let own = leases.find("10.77.0.10".parse().unwrap()).unwrap();
    let nic = "52:54:00:aa:00:01".parse().ok();
    let expected = (ClientKey::Host("n01".into()), nic, 4_000_000_000, false);
    assert_eq!((own.client, own.nic, own.expires_at, own.taken_over), expected);
    assert_eq!(leases.find("10.77.0.110".parse().unwrap()).unwrap().nic, None);
    let quarantine = leases.find("10.77.0.100".parse().unwrap()).unwrap();
    assert_eq!(quarantine.state, LeaseState::Declined);
    let status = inventory.states.find("n01", 0).unwrap();
    assert_eq!((status.state.label(), status.reason.as_str()), ("failed", "no kernel"));
    assert_eq!(database.find_report("n01").await.unwrap().unwrap().body, "NIC eth0 up");
    let filter = EventFilter { limit: 10, ..EventFilter::default() };
    let events = database.list_events(&filter).await.unwrap();
    assert_eq!(events.iter().map(|event| event.text()).collect::<Vec<_>>(), ["10.77.0.10"]);
    let query = AuditQuery { until_ms: Some(1_790_000_000_000), limit: 9, ..AuditQuery::default() };
    let audit = database.page_audit(&query).await.unwrap();
    let audit: Vec<_> = audit.iter().map(|stored| stored.entry.text()).collect();
    let typed = migrations.iter().any(|file| file.ends_with("0010_typed_events.sql"));
    let login = typed.then_some("login as \"bob\" failed from 10.0.0.5");
    let expected: Vec<_> = login.into_iter().chain(["ann: apply (revision 7)"]).collect();
    assert_eq!(audit, expected);
    // Whoever could log in could do everything.
    let user = database.find_user("ann").await.unwrap().unwrap();
    assert_eq!((user.role, user.is_disabled), (Role::Admin, false));
    let token = database.find_token(&token()).await.unwrap().unwrap();
    assert!(token.may_change && token.role == Role::Operator && token.owner.is_none());
    assert_eq!(database.find_revision(7).await.unwrap().unwrap().who, "ann");
}

/// What the rows of later migrations are for still holds.
async fn check_meant(store: &Store, database: &Database, migrations: &[PathBuf]) {
    let inventory = Inventory::open(database.clone()).await.unwrap();
    for (name, ..) in later(migrations) {
        match *name {
            "0002_host_identities.sql" => check_identities(&inventory).await,
            "0006_lease_removals.sql" => check_removals(store, database).await,
            "0007_switches.sql" => check_port(&inventory).await,
            "0009_address_domains.sql" => check_domains(&inventory).await,
            "0008_told_lease_ends.sql" => {
                let after = 1_767_225_600 + 60;
                assert_eq!(inventory.tell_rental_ends(after).await.unwrap(), 0, "told already");
            }
            _ => {}
        }
    }
}

/// Tries to give what is `n01`'s to another host as well; gives why that is refused.
async fn second_owner(inventory: &Inventory, host: &str) -> String {
    let host: Host = serde_json::from_str(host).unwrap();
    let change = Change { who: "test", summary: "twice", ..Change::default() };
    let outcome = inventory.change_site(change, |site| {
        site.hosts.insert("n02".into(), host);
        Ok(())
    });
    outcome.await.map(|done| done.revision).unwrap_err().to_string()
}

/// The host is found by each, in either byte order of the UUID, and each is its alone.
async fn check_identities(inventory: &Inventory) {
    let snapshot = inventory.snapshot();
    let uuid = 0x4445_4c4c_4200_1035_8054_b4c0_4f4d_3032_u128;
    let (circuit, remote) = (Some(b"ge-0/0/1".to_vec()), Some(b"sw1".to_vec()));
    let known_by = [
        Identity::uuid(uuid.to_be_bytes()),
        Identity::ClientId(vec![0xff, 1, 2]),
        Identity::Port { circuit, remote },
    ];
    for identity in known_by {
        let found = snapshot.host_of_identity(&identity).map(|(name, _)| name);
        assert_eq!(found, Some("n01"), "{identity}");
    }
    let said = second_owner(inventory, r#"{"match": {"client-id": "hex:ff0102"}}"#).await;
    assert!(said.contains("n01"), "{said}");
}

/// A server on SQLite takes the notes, and heeds none about an address that was leased since.
async fn check_removals(store: &Store, database: &Database) {
    if store.kind != "SQLite" {
        return;
    }
    let leases = LeaseBook::open(database.clone()).await.unwrap();
    let before = leases.list();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(leases.clone().run_watch(stop.clone()));
    let path = store.url.strip_prefix("sqlite:").unwrap();
    let pool = SqlitePool::connect(&format!("sqlite:{path}")).await.unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM lease_removals");
        let count: i64 = count.fetch_one(&pool).await.unwrap();
        if count == 0 {
            break;
        }
        assert!(Instant::now() < end, "{count} notes are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    watch.await.unwrap().unwrap();
    pool.close().await;
    assert_eq!(leases.list(), before);
}

/// The port is that NIC's alone.
async fn check_port(inventory: &Inventory) {
    let nic = r#"{"nics": {"eth0":
        {"mac": "52:54:00:aa:00:02", "switch": "leaf1", "port": "Ethernet1"}}}"#;
    let said = second_owner(inventory, nic).await;
    assert!(said.contains("n01"), "{said}");
}

/// The prefix of a subnet in a VRF is free in another, and stays its own in that one.
async fn check_domains(inventory: &Inventory) {
    let add = async |name: &str, vrf: &str| {
        let subnet = serde_json::json!({"cidr": "10.88.0.0/24", "vrf": vrf});
        let subnet = serde_json::from_value(subnet).unwrap();
        let change =
            Change { who: "test", summary: "a domain", dry_run: true, ..Change::default() };
        let add = |site: &mut Site| {
            site.subnets.insert(name.to_owned(), subnet);
            Ok(())
        };
        inventory.change_site(change, add).await.map(|done| done.revision)
    };
    assert_eq!(add("blue", "blue").await.unwrap(), 7);
    let twice = add("twice", "red").await.unwrap_err().to_string();
    assert!(twice.contains("already belongs to subnet red"), "{twice}");
}

async fn check_works(database: &Database) {
    let inventory = Inventory::open(database.clone()).await.unwrap();
    let change = Change { who: "test", summary: "grow", ..Change::default() };
    inventory.replace_site(change, grown()).await.unwrap();
    assert_eq!(inventory.snapshot().site, grown());
    let leases = LeaseBook::open(database.clone()).await.unwrap();
    let mac = "52:54:00:bb:00:02".parse().unwrap();
    let lease = Lease {
        address: "10.77.0.101".parse().unwrap(),
        client: ClientKey::Mac(mac),
        nic: Some(mac.into()),
        subnet: "provisioning".into(),
        state: LeaseState::Bound,
        starts_at: 1_800_000_000,
        expires_at: 4_000_000_000,
        taken_over: false,
    };
    assert_eq!(leases.commit(lease.clone(), 1_800_000_000).await, Ok(lease));
    leases.remove("10.77.0.100".parse().unwrap()).await.unwrap();
}

/// What the program itself prints of the database.
fn program(store: &Store, words: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(directory.path()).args(["--database", &store.url]).args(words);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {words:?}: {said}", store.kind);
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_database_of_any_earlier_version_keeps_its_rows_and_works() {
    let all = migrations();
    for count in 1..=all.len() {
        for store in Store::both().await {
            println!("{} after {}", store.kind, all[count - 1].display());
            leave_behind(&store, &all[..count]).await;
            let database = store.open().await;
            check_kept(&database, &all[..count]).await;
            check_meant(&store, &database, &all[..count]).await;
            check_works(&database).await;
            database.close().await;
            assert_eq!(site(&program(&store, &["export"])), grown(), "{}", store.kind);
            let leases = program(&store, &["lease", "list"]);
            assert!(leases.contains("10.77.0.101") && !leases.contains("10.77.0.100"), "{leases}");
        }
    }
}
