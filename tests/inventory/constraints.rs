//! Every constraint of the schema: a rule says in words what it would refuse, before it does, or the
//! program alone writes the rows.

use std::collections::BTreeSet;

use rackstrap::inventory::Database;
use sqlx::{AssertSqlSafe, PgPool, Row, SqlitePool};

use super::*;
use crate::common::desk::Desk;

/// Why nobody meets a constraint.
enum Guard {
    /// A site file that would break it, and what is said of that.
    Site(&'static str, &'static str),
    /// A site file that would break it, and for which what is missing is made.
    Made(&'static str),
    /// Command lines, and what the last one is told.
    Commands(&'static [&'static str], &'static str),
    /// Only the program writes the rows, and never such ones.
    Program,
}
use Guard::{Commands, Made, Program};

const NIC: &str = "52:54:00:aa:00:01";

#[rustfmt::skip] // a table: a constraint a line
const GUARDS: &[(&str, Guard)] = &[
    ("racks key name", Guard::Site("racks: {a: {}, a: {}}", "racks.a: the key is in line 1 already")),
    ("tenants key name", Guard::Site("tenants: {a: {}, a: {}}", "tenants.a: the key is in line 1 already")),
    ("profiles key name", Guard::Site("profiles: {a: {}, a: {}}", "profiles.a: the key is in line 1 already")),
    ("images key name", Guard::Site("images: {a: {local: true}, a: {local: true}}", "images.a: the key is in line 1 already")),
    ("switches key name", Guard::Site("switches: {a: {vendor: eos}, a: {vendor: eos}}", "switches.a: the key is in line 1 already")),
    ("subnets key name", Guard::Site("subnets: {a: {cidr: 10.0.0.0/24}, a: {cidr: 10.0.1.0/24}}", "subnets.a: the key is in line 1 already")),
    ("subnets key cidr, vrf", Guard::Site("subnets: {a: {cidr: 10.0.0.0/24, vrf: x}, b: {cidr: 10.0.0.0/24, vrf: x}}", "subnets.b.cidr: 10.0.0.0/24 is subnet \"a\" already; set vrf on one of them if they are separate networks, else use \"a\" (N145)")),
    ("subnets tenant of tenants", Guard::Site("subnets: {a: {cidr: 10.0.0.0/24, tenant: t}}", "subnets.a.tenant: tenant \"t\" does not exist; none are defined (N180)")),
    ("subnet_ranges key subnet, position", Program),
    ("subnet_ranges subnet of subnets", Program),
    ("subnet_ranges check", Guard::Site("subnets: {a: {cidr: 10.0.0.0/24, ranges: [{from: 10.0.0.1, to: 10.0.0.2, for: x}]}}", "ranges.0.for: unknown value \"x\"; expected one of: dhcp, hosts, reserved")),
    ("hosts key name", Guard::Site("hosts: {a: {}, a: {}}", "hosts.a: the key is in line 1 already")),
    ("hosts rack of racks", Made("hosts: {a: {rack: r9}}")),
    ("hosts tenant of tenants", Guard::Site("hosts: {a: {tenant: t}}", "hosts.a.tenant: tenant \"t\" does not exist; none are defined (N180)")),
    ("hosts profile of profiles", Guard::Site("hosts: {a: {profile: t}}", "hosts.a.profile: profile \"t\" does not exist; none are defined (N180)")),
    ("hosts image of images", Guard::Site("hosts: {a: {image: t}}", "hosts.a.image: image \"t\" does not exist; none are defined (N180)")),
    ("nics key mac", Guard::Site("hosts: {a: {nics: {eth0: \"NIC\"}}, b: {nics: {eth0: \"NIC\"}}}", "a MAC address identifies one host (N104)")),
    ("nics key host, label", Guard::Site("hosts: {a: {nics: {eth0: \"NIC\", eth0: \"NIC\"}}}", "nics.eth0: the key is in line 1 already")),
    ("nics host of hosts", Program),
    ("nics switch of switches", Guard::Site("hosts: {a: {nics: {eth0: {mac: \"NIC\", switch: l, port: x}}}}", "switch \"l\" does not exist; none are defined (N180)")),
    ("nics key switch, port", Guard::Site("switches: {l: {vendor: eos}}\nhosts: {a: {nics: {eth0: {mac: \"NIC\", switch: l, port: Ethernet1}, eth1: {mac: \"52:54:00:aa:00:02\", switch: l, port: Ethernet1}}}}", "l Ethernet1 is already connected to eth0 of a; a port has one cable (N119)")),
    ("host_addresses key vrf, address", Guard::Site("hosts: {a: {addresses: {x: 10.0.0.1}}, b: {addresses: {x: 10.0.0.1}}}", "10.0.0.1 is on a x and on b x (N141)")),
    ("host_addresses key host, link", Guard::Site("hosts: {a: {addresses: {x: 10.0.0.1, x: 10.0.0.2}}}", "addresses.x: the key is in line 1 already")),
    ("host_addresses key host, subnet", Guard::Site("hosts: {a: {reservations: {x: 10.0.0.1, x: 10.0.0.2}}}", "reservations.x: the key is in line 1 already")),
    ("host_addresses host of hosts", Program),
    ("host_addresses subnet of subnets", Guard::Site("hosts: {a: {reservations: {x: 10.0.0.1}}}", "reservations.x: subnet \"x\" does not exist; none are defined (N180)")),
    ("host_addresses check", Program),
    ("host_identities key kind, value", Guard::Site("hosts: {a: {match: {client-id: \"hex:0102\"}}, b: {match: {client-id: \"hex:0102\"}}}", "it must be unique (N109)")),
    ("host_identities check", Program),
    ("host_identities host of hosts", Program),
    ("site_wide key name", Program),
    ("users key name", Commands(&["user set bob", "user set bob"], "set the password of bob")),
    ("users key issuer, subject", Program),
    ("completed_logins key state_hash", Program),
    ("tokens key hash", Program),
    ("tokens key name", Commands(&["token add ci", "token add ci"], "token \"ci\" already exists")),
    ("sessions key id", Program),
    // What a server writes: its keys are numbers and addresses of its own, or a newer row replaces the older one.
    ("leases key address", Program),
    ("leases check", Program),
    ("lease_removals key address", Program),
    ("reports key host", Program),
    ("reports host of hosts", Program),
    ("host_states key host", Program),
    ("host_states host of hosts", Program),
    ("installs key host", Program),
    ("installs host of hosts", Program),
    ("installs check", Program),
    ("revisions key id", Program),
    ("events key number", Program),
    ("event_numbers key name", Program),
    ("event_segments key segment", Program),
    ("event_terms key segment, term", Program),
    ("audit key id", Program),
    ("audit key same_as", Program),
    ("audit_carried_over key id", Program),
    ("audit_chain key number", Program),
    ("audit_chain check", Program),
    ("told_rental_ends key host, tenant, until", Program),
    ("roll_outs key id", Program),
    ("roll_outs key open_slot", Program),
    ("roll_outs check", Program),
    ("roll_out_hosts key roll_out, host", Program),
    ("roll_out_hosts roll_out of roll_outs", Program),
    ("roll_out_hosts host of hosts", Program),
    ("followers key host", Program),
    ("followers host of hosts", Program),
    ("inventory_id key one", Program),
    ("inventory_id check", Program),
    ("stored_files key sha256", Program),
    ("stored_files key path", Program),
    ("unknown_clients key client", Program),
    ("webhook_messages key id, url", Program),
    ("dns_records key zone, owner, kind, data", Program),
    ("dns_zones key zone", Program),
    ("secrets key name", Program),
    ("second_factors key username", Program),
    ("second_factors username of users", Program),
    ("recovery_codes key username, hash", Program),
    ("recovery_codes username of second_factors", Program),
    ("secret_key key id", Program),
];

/// The constraints of SQLite, in the words of the table.
async fn of_sqlite(pool: &SqlitePool) -> BTreeSet<String> {
    const TABLES: &str = "SELECT name, sql FROM sqlite_master WHERE type = 'table'
         AND name NOT LIKE 'sqlite%' AND name <> '_sqlx_migrations'";
    let mut found = BTreeSet::new();
    for row in sqlx::query(TABLES).fetch_all(pool).await.unwrap() {
        let (table, sql): (String, String) = (row.get("name"), row.get("sql"));
        if sql.contains("CHECK") {
            found.insert(format!("{table} check"));
        }
        let indexes = AssertSqlSafe(format!("PRAGMA index_list({table})"));
        for index in sqlx::query(indexes).fetch_all(pool).await.unwrap() {
            if index.get::<i64, _>("unique") == 1 {
                let of =
                    AssertSqlSafe(format!("PRAGMA index_info({})", index.get::<String, _>("name")));
                let columns = sqlx::query(of).fetch_all(pool).await.unwrap();
                let columns: Vec<String> = columns.iter().map(|row| row.get("name")).collect();
                found.insert(format!("{table} key {}", columns.join(", ")));
            }
        }
        let own = AssertSqlSafe(format!("PRAGMA table_info({table})"));
        let mut own = sqlx::query(own).fetch_all(pool).await.unwrap();
        own.retain(|column| column.get::<i64, _>("pk") > 0);
        own.sort_by_key(|column| column.get::<i64, _>("pk"));
        let columns: Vec<String> = own.iter().map(|row| row.get("name")).collect();
        found.insert(format!("{table} key {}", columns.join(", ")));
        let foreign = AssertSqlSafe(format!("PRAGMA foreign_key_list({table})"));
        for key in sqlx::query(foreign).fetch_all(pool).await.unwrap() {
            let (column, of): (String, String) = (key.get("from"), key.get("table"));
            found.insert(format!("{table} {column} of {of}"));
        }
    }
    found
}

/// Those of PostgreSQL.
async fn of_postgres(pool: &PgPool) -> BTreeSet<String> {
    const KEYS: &str = "SELECT i.indrelid::regclass::text AS name, (SELECT string_agg(a.attname, ', ' ORDER BY k.n)
         FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, n)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number) AS columns
         FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
         WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND c.relname <> '_sqlx_migrations'";
    const OTHERS: &str = "SELECT c.conrelid::regclass::text AS name, c.contype::text AS kind,
         c.confrelid::regclass::text AS parent, (SELECT string_agg(a.attname, ', ')
         FROM pg_attribute a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)) AS columns
         FROM pg_constraint c WHERE c.contype IN ('f', 'c') AND c.connamespace = 'public'::regnamespace";
    let keys = sqlx::query(KEYS).fetch_all(pool).await.unwrap();
    let text = |row: &sqlx::postgres::PgRow, column: &str| row.get::<String, _>(column);
    let keys = keys.iter().map(|row| format!("{} key {}", text(row, "name"), text(row, "columns")));
    let others = sqlx::query(OTHERS).fetch_all(pool).await.unwrap();
    let others = others.iter().map(|row| match text(row, "kind").as_str() {
        "c" => format!("{} check", text(row, "name")),
        _ => format!("{} {} of {}", text(row, "name"), text(row, "columns"), text(row, "parent")),
    });
    keys.chain(others).collect()
}

#[tokio::test]
async fn every_constraint_has_words_that_come_first() {
    let listed: BTreeSet<String> = GUARDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for store in Store::both().await {
        let database = store.open().await;
        let found = match &database {
            Database::Sqlite(file) => of_sqlite(&file.pool).await,
            Database::Postgres(postgres) => of_postgres(&postgres.pool()).await,
        };
        database.close().await;
        assert_eq!(found, listed, "{}", store.kind);
        let desk = Desk::new(store);
        for (constraint, guard) in GUARDS {
            let told = match guard {
                Guard::Site(site, expected) => {
                    desk.file("site.yaml", &site.replace("NIC", NIC));
                    let checked = desk.run("check site.yaml", "");
                    assert!(!checked.status.success(), "{constraint}");
                    let checked = [checked.stdout, checked.stderr].concat();
                    let checked = String::from_utf8(checked).unwrap();
                    assert!(checked.contains(expected), "{constraint}: check: {checked}");
                    let told = desk.bad("apply site.yaml").join("\n");
                    assert!(told.contains(expected), "{constraint}: {told}");
                    told
                }
                Made(site) => {
                    desk.file("site.yaml", site);
                    desk.good("apply site.yaml --dry-run")
                }
                Commands(lines, expected) => {
                    let said: Vec<_> =
                        lines.iter().map(|line| desk.run(line, "a long password\n")).collect();
                    let last = said.into_iter().next_back().unwrap();
                    let told = String::from_utf8([last.stdout, last.stderr].concat()).unwrap();
                    assert!(told.contains(expected), "{constraint}: {told}");
                    told
                }
                Program => continue,
            };
            let raw = told.to_lowercase().contains("constraint");
            assert!(!raw && !told.contains("database failed"), "{constraint}: {told}");
        }
    }
}
