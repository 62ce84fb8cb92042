//! Databases for tests: SQLite in a temporary directory, and PostgreSQL in a private
//! server that lives as long as the test program.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rackstrap::inventory::{Database, Inventory};
use tempfile::TempDir;

use super::netns::Netns;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An empty database of one kind.
pub(crate) struct Store {
    /// Which kind, for messages.
    pub kind: &'static str,
    /// What `--database` takes.
    pub url: String,
    _dir: Option<TempDir>,
}

/// SQLite of a server's own, and an empty PostgreSQL database: what a `DhcpServer` takes.
pub(crate) fn databases() -> [Option<String>; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    [None, Some(runtime.block_on(Store::postgres()).url)]
}

impl Store {
    /// An empty SQLite and an empty PostgreSQL database.
    pub(crate) async fn both() -> [Self; 2] {
        [Self::sqlite(), Self::postgres().await]
    }

    /// An empty SQLite database.
    pub(crate) fn sqlite() -> Self {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite:{}", dir.path().join("rackstrap.db").display());
        Self { kind: "SQLite", url, _dir: Some(dir) }
    }

    /// An empty PostgreSQL database: on the server that `TEST_POSTGRES_URL` names if it is
    /// set, else on one of our own.
    pub(crate) async fn postgres() -> Self {
        Self::postgres_with("").await
    }

    /// The same, with further words for `CREATE DATABASE`.
    pub(crate) async fn postgres_with(words: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rackstrap_test_{}_{number}", std::process::id());
        let base = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| own_server().to_owned());
        let mut connection =
            <sqlx::PgConnection as sqlx::Connection>::connect(&base).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name} {words}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        Self { kind: "PostgreSQL", url: with_database(&base, &name), _dir: None }
    }

    /// Opens the database; it may be opened several times, as by several servers.
    pub(crate) async fn open(&self) -> Database {
        Database::open(&self.url).await.unwrap()
    }

    /// Opens the inventory in it.
    pub(crate) async fn inventory(&self) -> Inventory {
        Inventory::open(self.open().await).await.unwrap()
    }
}

/// The URL with another database in it.
fn with_database(base: &str, name: &str) -> String {
    let (rest, query) = base.split_once('?').map_or((base, None), |(a, b)| (a, Some(b)));
    let (server, _) = rest.rsplit_once('/').unwrap();
    query.map_or_else(|| format!("{server}/{name}"), |query| format!("{server}/{name}?{query}"))
}

/// Sets up a server in `$1` with the programs in `$2`, says "ready", and waits for the end of
/// its input, which is the end of the test program, however that comes. `initdb` and
/// `postgres` refuse to be root. With `$3`, a directory with `tls.crt` and `tls.key`, it takes
/// connections by TLS, and by TCP no others. With `$4`, a network, it takes connections from there, and
/// with `$5` it is a standby of the server at that address.
const SERVER: &str = r#"
    dir=$1 bin=$2 tls=$3 network=$4 primary=$5
    as=; if [ "$(id -u)" = 0 ]; then
        chown postgres "$dir"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"
    fi
    cd "$dir"
    if [ "$primary" ]; then
        $as "$bin/pg_basebackup" -h "$primary" -U postgres -D "$dir/data" -R -c fast -N >"$dir/log" 2>&1 ||
            { cat "$dir/log"; exit 1; }
    else
        $as "$bin/initdb" -D "$dir/data" -U postgres --auth=trust --no-sync >"$dir/log" 2>&1 ||
            { cat "$dir/log"; exit 1; }
    fi
    set -- -c listen_addresses=
    if [ "$tls" ]; then
        owner=$(stat -c %U "$dir")
        install -m 600 -o "$owner" "$tls/tls.crt" "$tls/tls.key" "$dir/data"
        printf '%s\n' 'local all all trust' 'hostssl all all all trust' >"$dir/data/pg_hba.conf"
        set -- -c listen_addresses=127.0.0.1 -c ssl=on -c ssl_cert_file=tls.crt -c ssl_key_file=tls.key
    fi
    if [ "$network" ]; then
        # A server that was frozen accepts those who have gone meanwhile, and waits for their first words
        # before it ends; no signal goes to such a child.
        set -- -c 'listen_addresses=*' -c wal_sender_timeout=10s -c authentication_timeout=5s
        printf '%s\n' 'local all all trust' "host all all $network trust" \
            "host replication all $network trust" >"$dir/data/pg_hba.conf"
    fi
    $as "$bin/postgres" -D "$dir/data" -k "$dir" "$@" -c fsync=off \
        -c max_connections=400 >>"$dir/log" 2>&1 &
    server=$!
    until "$bin/pg_isready" -q -h "$dir" -U postgres; do
        kill -0 $server || { cat "$dir/log"; exit 1; }
        sleep 0.05
    done
    echo ready
    read -r line
    # Nothing of it is kept: it waits for no standby that is gone.
    kill -QUIT $server; wait $server
    rm -rf "$dir"
"#;

/// A PostgreSQL server of a test's own, which it may stop. It ends when it is dropped.
pub(crate) struct PostgresServer {
    directory: PathBuf,
    child: Child,
}

impl PostgresServer {
    /// Starts one with an empty database `postgres`.
    pub(crate) fn start() -> Self {
        Self::start_with(Path::new(""))
    }

    /// Starts one at 127.0.0.1:5432 of this thread's namespace, with the certificate and key in a
    /// directory; it refuses connections without TLS there.
    pub(crate) fn start_with(tls: &Path) -> Self {
        Self::spawn(Command::new("sh"), tls, ["", ""])
    }

    /// Starts one in a namespace, for connections from a network (an IPv4 prefix); a standby of the
    /// server at `primary`, if one is given.
    pub(crate) fn start_in(inside: &Netns, network: &str, primary: Option<Ipv4Addr>) -> Self {
        let primary = primary.map(|address| address.to_string()).unwrap_or_default();
        Self::spawn(inside.command("sh"), Path::new(""), [network, &primary])
    }

    fn spawn(mut shell: Command, tls: &Path, more: [&str; 2]) -> Self {
        let directory = TempDir::new().unwrap().keep();
        let mut child = shell
            .args(["-c", SERVER, "postgres-for-tests"])
            .args([&directory, &programs()])
            .arg(tls)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !said.ends_with("ready\n") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "PostgreSQL does not start: {said}");
        }
        Self { directory, child }
    }

    /// What `--database` takes.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@localhost/postgres?host={}", self.directory.display())
    }

    /// Where its socket is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// A program of PostgreSQL, for its database.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command.arg("--host").arg(&self.directory);
        command.args(["--username", "postgres", "--dbname", "postgres"]);
        command
    }

    /// What a query of one value gives, as text.
    pub(crate) fn sql(&self, query: &str) -> String {
        let mut psql = Command::new(programs().join("psql"));
        psql.arg("-h").arg(&self.directory).args(["-U", "postgres", "-XAtc", query, "postgres"]);
        let output = psql.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{query}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The server's processes: the first is the one that starts the others.
    fn processes(&self) -> Vec<Pid> {
        let file = std::fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap();
        let first: i32 = file.lines().next().unwrap().trim().parse().unwrap();
        let children = format!("/proc/{first}/task/{first}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let children = children.split_whitespace().map(|id| id.parse::<i32>().unwrap());
        [first].into_iter().chain(children).map(Pid::from_raw).collect()
    }

    /// Stops every process of it: it keeps its connections and answers nothing, as a host that
    /// lost its network.
    pub(crate) fn freeze(&self) {
        for process in self.processes() {
            kill(process, Signal::SIGSTOP).unwrap();
        }
    }

    /// Lets them go on.
    pub(crate) fn thaw(&self) {
        for process in self.processes().into_iter().rev() {
            let _ = kill(process, Signal::SIGCONT);
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        // The end of its input is the end of the server.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The URL of our own server, which the first caller starts.
fn own_server() -> &'static str {
    static OWN: OnceLock<(String, PostgresServer)> = OnceLock::new();
    let (url, _) = OWN.get_or_init(|| {
        let server = PostgresServer::start();
        (server.url(), server)
    });
    url
}

/// Where the newest PostgreSQL that is installed has its programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max_by_key(|bin| version_of(bin));
    newest.expect("no PostgreSQL server: install postgresql, or set TEST_POSTGRES_URL")
}

fn version_of(bin: &Path) -> Option<u32> {
    bin.parent()?.file_name()?.to_str()?.parse().ok()
}
