//! PostgreSQL by TLS: the real server with a certificate of an authority, which refuses everybody
//! else, under all that rackstrap connects for.

use std::fs;
use std::path::Path;
use std::process::Command;

use rackstrap::inventory::Database;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::common::dhcp::{Client, DhcpServer, PATIENCE, wait_for};
use crate::common::netns::{Netns, enter};
use crate::common::store::{PostgresServer, Store};

const SITE: &str = "subnets: {provisioning: {cidr: 10.77.0.0/24, ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]}}\n";

/// An authority, and a server's certificate for `localhost` that it signed; its own in `ca.crt`.
fn certify(directory: &Path) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let of_ca = ca.self_signed(&ca_key).unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    fs::write(directory.join("ca.crt"), of_ca.pem()).unwrap();
    fs::write(directory.join("tls.crt"), leaf.pem()).unwrap();
    fs::write(directory.join("tls.key"), key.serialize_pem()).unwrap();
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Why a database does not open.
fn refusal(url: &str) -> String {
    block_on(async { Database::open(url).await.map(drop).unwrap_err().to_string() })
}

/// How many connections of clients there are with TLS, and without.
fn connections(url: &str) -> (i64, i64) {
    const SQL: &str = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) \
         FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_as(SQL).fetch_one(&mut connection).await.unwrap()
    })
}

#[test]
fn a_server_has_only_encrypted_connections_to_a_postgresql_that_asks_for_them() {
    let (inside, clients) = (Netns::new("server"), Netns::new("clients"));
    inside.join("lan", &clients, "eth0");
    inside.ip("address add 10.77.0.1/24 dev lan");
    clients.ip("link set eth0 address 52:54:00:5c:00:01");
    enter(&inside.name);
    let files = TempDir::new().unwrap();
    certify(files.path());
    let postgres = PostgresServer::start_with(files.path());
    let url =
        |host: &str, parameters: &str| format!("postgres://postgres@{host}/postgres?{parameters}");
    let ca = |name: &str| format!("sslrootcert={}", files.path().join(name).display());

    // Which server is trusted.
    for (host, parameters, why) in [
        ("localhost", "sslmode=disable".to_owned(), "no pg_hba.conf entry"),
        (
            "localhost",
            "sslmode=verify-full".to_owned(),
            "the server's certificate is not signed by an authority in sslrootcert, nor by one of \
             this system",
        ),
        ("localhost", "sslmode=verify-ca".to_owned(), "verify-ca needs sslrootcert=FILE"),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&{}", ca("ca.crt")),
            "the server's certificate is for another name",
        ),
        ("localhost", format!("sslmode=verify-full&{}", ca("none.crt")), "none.crt: "),
        (
            "localhost",
            format!("sslmode=verify-full&{}", ca("tls.key")),
            "tls.key: has no certificate in PEM",
        ),
        (
            "localhost",
            "sslmode=verify_full".to_owned(),
            "sslmode \"verify_full\" is not one of disable, allow, prefer, require, verify-ca, \
             verify-full",
        ),
        (
            "localhost",
            "ssl_mode=require".to_owned(),
            "parameter \"ssl_mode\" is not supported: expected sslmode, sslrootcert, sslcert, sslkey",
        ),
    ] {
        let said = refusal(&url(host, &parameters));
        assert!(said.contains(why), "{host} {parameters}: {said}");
    }
    let other = TempDir::new().unwrap();
    certify(other.path());
    let other_ca = format!("sslrootcert={}", other.path().join("ca.crt").display());
    for mode in ["verify-ca", "verify-full"] {
        let said = refusal(&url("localhost", &format!("sslmode={mode}&{other_ca}")));
        assert!(said.contains("not signed by an authority in sslrootcert"), "{mode}: {said}");
    }
    for (host, parameters) in [
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=verify-ca&{}", ca("ca.crt"))),
        ("localhost", String::new()),
    ] {
        block_on(async { Database::open(&url(host, &parameters)).await.unwrap().close().await });
    }

    // Everything a server connects for: pages, leases, notifications, its upkeep.
    let wanted = url("localhost", &format!("sslmode=verify-full&{}", ca("ca.crt")));
    let mut server = DhcpServer::on(Some(&wanted), inside, SITE);
    server.start(&["lan"]);
    let client = Client::bind(&clients, [0, 0, 0, 0].into(), 68, Some("eth0"));
    assert!(client.acquire([0x52, 0x54, 0, 0x5c, 0, 1]).is_some(), "{}", server.log());
    assert_eq!(server.leases().len(), 1);
    wait_for("the server's connections are open", || connections(&wanted).0 >= 4);
    assert_eq!(connections(&wanted).1, 0);
    println!("{} connections, all encrypted, within {PATIENCE:?}", connections(&wanted).0);

    // And what commands connect for.
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        command.args(words).current_dir(&files).env("RACKSTRAP_DATA_DIR", files.path());
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {errors}");
    };
    run(&["--database", &wanted, "backup", "all.backup"]);
    server.kill();
    let sqlite = format!("sqlite:{}", files.path().join("copy.db").display());
    wait_for("PostgreSQL saw the server end", || connections(&wanted).0 == 0);
    run(&["db", "migrate", "--from", &wanted, "--to", &sqlite]);
    drop(postgres);
}

#[tokio::test]
async fn a_postgresql_without_tls_is_refused_where_tls_is_asked_for() {
    let store = Store::postgres().await;
    let separator = if store.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}sslmode=require", store.url);
    let said = Database::open(&url).await.map(drop).unwrap_err().to_string();
    assert!(said.contains("the server does not offer TLS: set ssl = on"), "{said}");
    assert!(!said.contains("passw"), "{said}");
}
