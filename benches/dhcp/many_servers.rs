//! DHCP with leases in PostgreSQL: one, two and three servers on one database, and Kea on one.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::load::{self, Ledger, Outcome, Pace, Plan};
use super::peers::{Pool, kea_with};
use super::{AGAIN, AGAIN_CPU, CLIENTS, CLOSED, LOST, NEW, NEW_CPU, NEW_P99, PORT, PROBE};
use crate::contender::{Board, Effort, Findings};
use crate::figures::{Verdict, percentile};
use crate::lab::{Lab, SERVER, SERVER_LINK, has_program};
use crate::netns::Netns;
use crate::ours;
use crate::process::{Process, wait_until};

const KEA: &str = "kea, PostgreSQL";
const OURS: [&str; 3] = ["one server", "two servers", "three servers"];
const DATABASE_CPU: &str = "of PostgreSQL";
const NAKS: &str = "NAKs";
const RESENT: &str = "sent again";
const AGAIN_DATABASE_CPU: &str = "PostgreSQL, again";
/// Kea's tables for its leases (Debian's kea-admin).
const KEA_SCHEMA: &str = "/usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql";

/// PostgreSQL as it comes, which waits for the disk at each commit. `$1` is its directory, `$2` where
/// its programs are.
const POSTGRES: &str = r#"
    cd "$1"
    as=; if [ "$(id -u)" = 0 ]; then chown postgres "$1"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"; fi
    $as "$2/initdb" -D "$1/data" -U postgres --auth=trust --no-sync >/dev/null || exit 1
    exec $as "$2/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c max_connections=200
"#;

/// A database server, of which each contender gets a new database.
struct Postgres {
    process: Process,
    directory: PathBuf,
    programs: PathBuf,
}

impl Postgres {
    fn start(lab: &Lab) -> Result<Self, String> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs = versions
            .map(|version| version.path().join("bin"))
            .find(|programs| programs.join("initdb").exists())
            .ok_or("PostgreSQL is not installed")?;
        let directory = lab.fresh_dir("postgresql");
        let mut command = Command::new("sh");
        command.args(["-c", POSTGRES, "postgres"]).args([&directory, &programs]);
        let log = lab.dir.join("postgresql.log");
        let process = Process::start(command, &log).map_err(|error| error.to_string())?;
        let server = Self { process, directory, programs };
        let up = wait_until(Duration::from_secs(60), || server.sql("postgres", "select 1").is_ok());
        if up { Ok(server) } else { Err(format!("PostgreSQL does not start: {}", log.display())) }
    }

    fn run(&self, database: &str, words: &[&str]) -> Result<(), String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-h"]);
        let output = psql.arg(&self.directory).args(words).output();
        let output = output.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    fn sql(&self, database: &str, text: &str) -> Result<(), String> {
        self.run(database, &["-c", text])
    }

    /// A new, empty database; its URL.
    fn create(&self, name: &str) -> Result<String, String> {
        self.sql("postgres", &format!("drop database if exists {name}"))?;
        self.sql("postgres", &format!("create database {name}"))?;
        Ok(format!("postgres://postgres@localhost/{name}?host={}", self.directory.display()))
    }
}

/// What answers, and where.
struct Contender {
    processes: Vec<Process>,
    addresses: Vec<Ipv4Addr>,
    /// Namespaces of those beside the first one.
    _others: Vec<Netns>,
}

/// Runs the rows.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let (mut board, mut findings) = (Board::default(), Findings::default());
    let names: Vec<&'static str> = [KEA].into_iter().chain(OURS).collect();
    match Postgres::start(lab) {
        Ok(database) => {
            for _ in 0..effort.rounds {
                for (number, name) in names.iter().enumerate() {
                    let started = start(lab, &database, name, number);
                    match started {
                        Ok(contender) => {
                            let turn = Turn { lab, database: &database, contender, name };
                            findings.faults.extend(turn.run(&mut board, effort));
                        }
                        Err(reason) => {
                            board.skipped.insert(name, reason);
                        }
                    }
                }
            }
        }
        Err(reason) => board.skipped.extend(names.iter().map(|name| (*name, reason.clone()))),
    }
    findings.verdicts = vec![Verdict::at_least(
        "one server, leases in PostgreSQL: >= 8x kea on it",
        board.ratio(OURS[0], KEA, NEW),
        8.0,
    )];
    findings.tables.push(board.table(
        "DHCP, leases in PostgreSQL, 64 clients outstanding, relayed, 10,000 clients",
        &names,
        &[
            (NEW, 0),
            (NEW_CPU, 3),
            (DATABASE_CPU, 3),
            (NEW_P99, 2),
            (AGAIN, 0),
            (AGAIN_CPU, 3),
            (AGAIN_DATABASE_CPU, 3),
            (NAKS, 0),
            (RESENT, 0),
            (LOST, 0),
        ],
    ));
    findings
}

/// Starts Kea (0) or so many servers of ours, on a database of their own.
fn start(lab: &Lab, database: &Postgres, name: &str, number: usize) -> Result<Contender, String> {
    let pools = [Pool::SMALL];
    let url = database.create("bench")?;
    let mut contender =
        Contender { processes: Vec::new(), addresses: vec![SERVER], _others: Vec::new() };
    if number == 0 {
        for needed in ["kea-dhcp4", KEA_SCHEMA] {
            if !has_program(needed) {
                return Err(format!("{needed} is not installed"));
            }
        }
        database.run("bench", &["-f", KEA_SCHEMA])?;
        let dir = lab.fresh_dir("kea");
        let leases = serde_json::json!({"type": "postgresql", "name": "bench",
                                        "user": "postgres", "host": database.directory});
        let command = kea_with(lab, &dir, &pools, &leases);
        contender.processes.push(begin(command, lab, "kea")?);
    } else {
        let mut site = ours::dhcp_site(&pools);
        for other in 1..number {
            let cidr = format!("10.80.{other}.0/24");
            site["subnets"][format!("link{other}")] = serde_json::json!({"cidr": cidr});
        }
        ours::store(&url, &site)?;
        for server in 0..number {
            let label = format!("server{server}");
            let dir = lab.fresh_dir(&label);
            let address = Ipv4Addr::new(10, 80, server as u8, 1);
            let command = if server == 0 {
                ours::serve(lab, &lab.server, &dir, &url, SERVER)?
            } else {
                let inside = join(lab, server, address);
                let command = ours::serve(lab, &inside, &dir, &url, address)?;
                contender.addresses.push(address);
                contender._others.push(inside);
                command
            };
            contender.processes.push(begin(command, lab, &label)?);
        }
    }
    for address in &contender.addresses {
        if !wait_until(Duration::from_secs(20), || answers(lab, *address)) {
            return Err(format!("{name}: {address} does not answer"));
        }
    }
    Ok(contender)
}

fn begin(command: Command, lab: &Lab, label: &str) -> Result<Process, String> {
    Process::start(command, Path::new(&lab.dir.join(format!("{label}.log"))))
        .map_err(|error| error.to_string())
}

/// A namespace of another server, on a link of its own to the clients.
fn join(lab: &Lab, number: usize, address: Ipv4Addr) -> Netns {
    let inside = Netns::new("server");
    let link = format!("cl{number}");
    inside.join(SERVER_LINK, &lab.client, &link);
    inside.ip(&format!("address add {address}/24 dev {SERVER_LINK}"));
    lab.client.ip(&format!("address add 10.80.{number}.2/24 dev {link}"));
    inside.ip(&format!("link set {SERVER_LINK} mtu 9000"));
    lab.client.ip(&format!("link set {link} mtu 9000"));
    inside.ip(&format!("route add 10.81.0.0/16 via 10.80.{number}.2"));
    inside
}

fn answers(lab: &Lab, server: Ipv4Addr) -> bool {
    let (clients, servers) = ([PROBE], [server]);
    let plan = plan(&clients, &servers, Pace::Closed(1), Duration::from_millis(200));
    lab.in_client(|| load::run(&plan, &mut Ledger::new())).done == 1
}

fn plan<'a>(clients: &'a [u32], servers: &'a [Ipv4Addr], pace: Pace, limit: Duration) -> Plan<'a> {
    const RELAY: [Ipv4Addr; 1] = [Pool::SMALL.relay];
    Plan { clients, relays: &RELAY, circuit: false, servers, port: PORT, pace, limit }
}

/// One contender's turn in a round.
struct Turn<'a> {
    lab: &'a Lab,
    database: &'a Postgres,
    contender: Contender,
    name: &'static str,
}

impl Turn<'_> {
    fn run(&self, board: &mut Board, effort: Effort) -> Vec<String> {
        let mut clients: Vec<u32> = (0..CLIENTS / effort.divisor as u32).collect();
        let (mut ledger, mut faults) = (Ledger::new(), Vec::new());
        let samples = board.of(self.name);

        let (outcome, cpu, of_database) = self.load(&clients, 10, &mut ledger);
        let per_10k = 1e4 / outcome.done.max(1) as f64;
        samples.add(NEW, outcome.rate());
        samples.add(NEW_CPU, cpu * per_10k);
        samples.add(DATABASE_CPU, of_database * per_10k);
        samples.add(NEW_P99, percentile(&outcome.exchanges, 99.0));
        samples.add(NAKS, outcome.naks as f64);
        samples.add(RESENT, outcome.resent as f64);
        samples.add(LOST, outcome.failed as f64);
        faults.extend(outcome.faults);

        // Only those that have a lease: a slow server was cut off.
        clients.truncate(outcome.done.max(1));
        clients.shuffle(&mut SmallRng::seed_from_u64(7));
        let (outcome, cpu, of_database) = self.load(&clients, 6, &mut ledger);
        let per_10k = 1e4 / outcome.done.max(1) as f64;
        samples.add(AGAIN, outcome.rate());
        samples.add(AGAIN_CPU, cpu * per_10k);
        samples.add(AGAIN_DATABASE_CPU, of_database * per_10k);
        faults.extend(outcome.faults);
        faults.into_iter().map(|fault| format!("{}: {fault}", self.name)).collect()
    }

    /// Runs a load; gives its outcome, and the processor seconds of the servers and of PostgreSQL.
    fn load(&self, clients: &[u32], seconds: u64, ledger: &mut Ledger) -> (Outcome, f64, f64) {
        let Self { lab, database, contender, .. } = self;
        let used = || contender.processes.iter().map(Process::cpu).sum::<f64>();
        let before = (used(), database.process.cpu());
        let limit = Duration::from_secs(seconds);
        let plan = plan(clients, &contender.addresses, CLOSED, limit);
        let outcome = lab.in_client(|| load::run(&plan, ledger));
        (outcome, used() - before.0, database.process.cpu() - before.1)
    }
}
