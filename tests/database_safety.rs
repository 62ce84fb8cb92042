//! An inventory that is gone, copied, older or newer than the program: each is said plainly, and
//! nothing is made or changed before. The real program, on both databases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::store::Store;

const SITE: &str = "racks: {r1: {}}\nsubnets: {p: {cidr: 10.77.0.0/24}}\nhosts:\n  n01: {rack: r1, \
                    nics: {eth0: \"52:54:00:aa:00:01\"}}\n";

/// Runs a command on a data directory, and with a database of its own if it is given.
fn rackstrap(data: &Path, database: Option<&str>, words: &str) -> Output {
    let mut command = program(data, database);
    command.args(words.split_whitespace()).output().unwrap()
}

fn program(data: &Path, database: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--config").arg("/dev/null").arg("--data-dir").arg(data);
    if let Some(database) = database {
        command.args(["--database", database]);
    }
    command
}

fn apply(data: &Path, database: Option<&str>) {
    let site = data.with_extension("yaml");
    fs::write(&site, SITE).unwrap();
    let done = program(data, database).arg("apply").arg(&site).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    )
}

/// A server without interfaces. It is ended when it is dropped.
struct Server(Child);

impl Server {
    fn start(data: &Path, database: Option<&str>) -> Self {
        let mut command = program(data, database);
        command.args(["--admin-listen", "127.0.0.1:0", "--machine-listen", "127.0.0.1:0", "serve"]);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.0.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve_fails(data: &Path, database: Option<&str>) -> String {
    let mut command = program(data, database);
    command.args(["--admin-listen", "127.0.0.1:0", "--machine-listen", "127.0.0.1:0", "serve"]);
    error_of(&command.output().unwrap())
}

#[test]
fn processes_that_create_one_database_at_once_all_use_it() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let add = |number| {
        let mut command = program(&data, None);
        command.args(["tenant", "set", &format!("t{number}"), "contact=ops"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let adding: Vec<Child> = (0..8).map(add).collect();
    for process in adding {
        let done = process.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let listed = rackstrap(&data, None, "tenant list");
    assert_eq!(String::from_utf8_lossy(&listed.stdout).matches("ops").count(), 8, "{listed:?}");
}

#[test]
fn a_copy_of_the_file_of_a_running_server_has_its_inventory() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let _server = Server::start(&data, None);
    apply(&data, None);
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        fs::copy(data.join("rackstrap.db"), copy.join("rackstrap.db")).unwrap();
        let listed = rackstrap(&copy, None, "host list");
        if String::from_utf8_lossy(&listed.stdout).contains("n01") {
            return;
        }
        assert!(Instant::now() < end, "the copy has no host: {listed:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_server_whose_file_is_gone_or_empty_does_not_start() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    apply(&data, None);
    let file = data.join("rackstrap.db");
    let moved = dir.path().join("moved.db");
    fs::rename(&file, &moved).unwrap();
    for name in ["rackstrap.db-wal", "rackstrap.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    for is_empty in [false, true] {
        if is_empty {
            fs::write(&file, "").unwrap();
        }
        let told = serve_fails(&data, None);
        assert!(told.contains("is gone") && told.contains("restore a backup"), "{told}");
        assert!(told.contains("inventory.id"), "{told}");
        let told = error_of(&rackstrap(&data, None, "tenant set acme contact=ops"));
        assert!(told.contains("is gone"), "{told}");
        let length = fs::metadata(&file).map(|file| file.len()).ok();
        assert_eq!(length, is_empty.then_some(0), "nothing is created");
    }
    fs::rename(&moved, &file).unwrap();
    let listed = rackstrap(&data, None, "host list");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("n01"), "{listed:?}");
    fs::remove_file(&file).unwrap();
    fs::remove_file(data.join("inventory.id")).unwrap();
    assert!(
        rackstrap(&data, None, "tenant set acme contact=ops").status.success(),
        "it may start anew"
    );
}

#[tokio::test]
async fn a_server_that_finds_another_empty_inventory_does_not_start() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let (first, second) = (Store::postgres().await, Store::postgres().await);
    apply(&data, Some(&first.url));
    let told = serve_fails(&data, Some(&second.url));
    assert!(told.contains("is gone"), "{told}");
    drop(second.open().await);
    let told = serve_fails(&data, Some(&second.url));
    assert!(told.contains("is gone"), "{told}");
    let id = first.open().await.inventory_id().await.unwrap();
    let elsewhere = dir.path().join("elsewhere");
    let mut command = program(&elsewhere, Some(&second.url));
    command.env("RACKSTRAP_INVENTORY_ID", &id).args(["tenant", "set", "acme", "contact=ops"]);
    let told = error_of(&command.output().unwrap());
    assert!(told.contains("inventory_id of the configuration") && told.contains(&id), "{told}");
}

#[tokio::test]
async fn a_program_older_than_its_database_says_so() {
    for store in Store::both().await {
        let database = store.open().await;
        const SQL: &str = "INSERT INTO _sqlx_migrations \
            (version, description, installed_on, success, checksum, execution_time) \
            SELECT 9999, 'later', installed_on, success, checksum, execution_time \
            FROM _sqlx_migrations WHERE version = 1";
        match &database {
            rackstrap::inventory::Database::Sqlite(sqlite) => {
                sqlx::query(SQL).execute(&sqlite.pool).await.map(drop).unwrap();
            }
            rackstrap::inventory::Database::Postgres(postgres) => {
                sqlx::query(SQL).execute(&postgres.pool()).await.map(drop).unwrap();
            }
        }
        database.close().await;
        let dir = TempDir::new().unwrap();
        for words in ["serve", "host list", "doctor", "tenant set acme contact=ops"] {
            let told = error_of(&rackstrap(dir.path(), Some(&store.url), words));
            assert!(told.contains("older than its database"), "{} {words}: {told}", store.kind);
            assert!(told.contains("9999"), "{} {words}: {told}", store.kind);
        }
    }
}

#[tokio::test]
async fn a_command_that_reads_neither_creates_nor_upgrades() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    for words in ["host list", "export", "check", "render x", "user list", "token list"] {
        let told = error_of(&rackstrap(&data, None, words));
        assert!(told.contains("no inventory in"), "{words}: {told}");
    }
    let site = dir.path().join("site.yaml");
    fs::write(&site, SITE).unwrap();
    for words in ["apply --dry-run", "check"] {
        let done = rackstrap(&data, None, &format!("{words} {}", site.display()));
        assert!(done.status.success(), "{words}: {done:?}");
    }
    assert!(!data.exists(), "nothing is created");
    for store in Store::both().await {
        let database = store.open().await;
        const SQL: &str = "DELETE FROM _sqlx_migrations WHERE version > 1";
        match &database {
            rackstrap::inventory::Database::Sqlite(sqlite) => {
                sqlx::query(SQL).execute(&sqlite.pool).await.map(drop).unwrap();
            }
            rackstrap::inventory::Database::Postgres(postgres) => {
                sqlx::query(SQL).execute(&postgres.pool()).await.map(drop).unwrap();
            }
        }
        database.close().await;
        let told = error_of(&rackstrap(&data, Some(&store.url), "host list"));
        assert!(told.contains("of an earlier rackstrap"), "{}: {told}", store.kind);
    }
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_name_is_refused() {
    let store =
        Store::postgres_with("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
            .await;
    let dir = TempDir::new().unwrap();
    let told = error_of(&rackstrap(dir.path(), Some(&store.url), "tenant set acme contact=ops"));
    assert!(told.contains("LATIN1") && told.contains("UTF8"), "{told}");
}

#[test]
fn what_init_writes_is_not_for_every_user() {
    let dir = TempDir::new().unwrap();
    let (data, config) = (dir.path().join("data"), dir.path().join("etc/rackstrap.toml"));
    let mut init = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    init.arg("--config").arg(&config).arg("--data-dir").arg(&data);
    init.args(["--interface", "lo", "init", "--subnet", "10.77.0.0/24"]);
    let done = init.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let text = fs::read_to_string(&config).unwrap();
    let id = fs::read_to_string(data.join("inventory.id")).unwrap();
    assert!(text.contains(&format!("inventory_id = \"{}\"", id.trim())), "{text}");
    for path in [data.clone(), config, data.join("rackstrap.db")] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{} has mode {mode:o}", path.display());
    }
    // A file that an earlier version left readable.
    let file = data.join("rackstrap.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(rackstrap(&data, None, "tenant set acme contact=ops").status.success());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_file_of_another_user_is_named_with_its_remedy() {
    if !nix::unistd::Uid::effective().is_root() {
        return crate::common::skip::skip(
            "a_file_of_another_user",
            "only root can become another user",
        );
    }
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    apply(&data, None);
    for path in [dir.path(), data.as_path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = dir.path().join("rackstrap");
    fs::copy(env!("CARGO_BIN_EXE_rackstrap"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&program);
    command.args(["--config", "/dev/null", "--data-dir"]).arg(&data).args([
        "tenant",
        "set",
        "acme",
        "contact=ops",
    ]);
    let told = error_of(&command.output().unwrap());
    assert!(told.contains("belongs to user root, and rackstrap runs as nobody"), "{told}");
    assert!(told.contains("chown -R nobody"), "{told}");
    // The server, in a directory that it may read, and in one that it may not even enter.
    for mode in [0o755, 0o750] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
        let mut serve = Command::new("setpriv");
        serve.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&program);
        serve.args(["--config", "/dev/null", "--data-dir"]).arg(&data).arg("serve");
        let told = error_of(&serve.output().unwrap());
        assert!(told.contains("belongs to user root, and rackstrap runs as nobody"), "{told}");
        assert!(told.contains("chown -R nobody"), "{told}");
    }
}

/// What a service prints is in a journal that others can read.
#[test]
fn the_first_password_is_in_a_file_of_its_owner_and_nowhere_else() {
    let dir = TempDir::new().unwrap();
    let (data, said) = (dir.path().join("data"), dir.path().join("said"));
    let out = fs::File::create(&said).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.args(["--config", "/dev/null", "--data-dir"]).arg(&data);
    command.args(["--admin-listen", "127.0.0.1:0", "--machine-listen", "127.0.0.1:0", "serve"]);
    command.stdout(out.try_clone().unwrap()).stderr(out);
    let server = crate::common::dhcp::Running(command.spawn().unwrap());
    crate::common::dhcp::wait_for("the server serves", || {
        fs::read_to_string(&said).unwrap().contains("web UI at")
    });
    drop(server);
    let (file, said) = (data.join("first-password"), fs::read_to_string(&said).unwrap());
    let password = fs::read_to_string(&file).unwrap();
    assert!(password.trim().len() >= 12, "{password:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!said.contains(password.trim()), "{said}");
    assert!(said.contains(&format!("its password is in {}", file.display())), "{said}");
}

#[test]
fn sighup_ends_nothing() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let mut server = Server::start(&data, None);
    let end = Instant::now() + Duration::from_secs(20);
    while !data.join("inventory.id").exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    server.signal(Signal::SIGHUP);
    assert!(!server.ended_within(Duration::from_secs(1)), "SIGHUP ended the server");
    server.signal(Signal::SIGTERM);
    assert!(server.ended_within(Duration::from_secs(10)), "SIGTERM did not end the server");
}
