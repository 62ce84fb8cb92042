//! HTTP: the configuration of a host and a big initrd, beside nginx with files of the same size.

mod load;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contender::{Board, Effort, Findings, start};
use crate::figures::{Verdict, percentile};
use crate::lab::{CLIENT, Lab, SERVER};
use crate::ours;
use crate::process::{Process, Usage};

use load::{Outcome, Plan};

pub(crate) use load::fetch;

const OURS: &str = "rackstrap";
const NGINX: &str = "nginx";
/// nginx on a machine that sends by acknowledgements, as rackstrap does to nearby clients
/// whatever is usual: what is left is the servers' own difference.
const NGINX_RENO: &str = "nginx-reno";
const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
const CONFIG: &str = "/config/52:54:00:00:00:01";
const INITRD: &str = "/files/initrd.img";
const INITRD_BYTES: usize = 64 << 20;

const ONE: &str = "config, 1 connection, req/s";
const FORTY: &str = "40 connections, req/s";
const FORTY_CPU: &str = "CPU s/10k";
const MANY: &str = "400 connections, req/s";
const MANY_P99: &str = "p99 ms, 400";
const BIG: &str = "64 MiB, 1 connection, MB/s";
const BIG_CPU: &str = "CPU s/GB";
const BIG_FORTY: &str = "64 MiB, 40 connections, MB/s";
const BIG_FORTY_CPU: &str = "CPU s/GB, 40";
const MEMORY: &str = "RSS MB";

/// One client's rate swings by a third from one turn to the next, whoever serves it (nginx: 2,373
/// to 3,719 MB/s within a quiet quarter of an hour), so it has several turns in each round.
const TURNS_OF_ONE: usize = 3;

/// Runs every HTTP row.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let mut board = Board::default();
    let findings = Findings::default();
    let initrd: Vec<u8> = (0..INITRD_BYTES / 4).flat_map(|n| (n as u32).to_le_bytes()).collect();
    fs::write(lab.dir.join("files/initrd.img"), &initrd).expect("room on the disk");
    let config = match start_rackstrap(lab).and_then(|_server| lab.in_client(|| fetch(CONFIG))) {
        Ok(config) => config,
        Err(reason) => {
            board.skipped.insert(OURS, reason);
            // nginx alone is measured with a text of the usual size.
            vec![b'#'; 2048]
        }
    };
    let mut contest = Contest { lab, effort, config: &config, initrd: &initrd, board, findings };
    contest.turns(effort.rounds, &[NGINX, OURS], |turn, config, initrd| {
        turn.many_clients(config, initrd)
    });
    let turns = effort.rounds * TURNS_OF_ONE;
    contest.turns(turns, &[NGINX, NGINX_RENO, OURS], |turn, _, initrd| turn.one_big_file(initrd));
    let Contest { board, mut findings, .. } = contest;
    findings.verdicts = verdicts(&board);
    findings.tables.push(board.table(
        &format!("HTTP, configuration of a host ({} bytes), keep-alive", config.len()),
        &[NGINX, OURS],
        &[(ONE, 0), (FORTY, 0), (FORTY_CPU, 3), (MANY, 0), (MANY_P99, 1)],
    ));
    findings.tables.push(board.table(
        "HTTP, 64 MiB initrd",
        &[NGINX, NGINX_RENO, OURS],
        &[(BIG, 0), (BIG_CPU, 3), (BIG_FORTY, 0), (BIG_FORTY_CPU, 3), (MEMORY, 1)],
    ));
    findings
}

fn verdicts(board: &Board) -> Vec<Verdict> {
    let ratio = |column| board.ratio(OURS, NGINX, column);
    vec![
        Verdict::at_least("/config/MAC: >= nginx's file of that size", ratio(FORTY), 1.0),
        Verdict::at_least("64 MiB: rate >= nginx", ratio(BIG), 1.0),
        Verdict::at_most("64 MiB: CPU <= 1.3x nginx", ratio(BIG_CPU), 1.3),
        Verdict::at_most(
            "64 MiB over 40 connections: CPU <= 1.3x nginx",
            ratio(BIG_FORTY_CPU),
            1.3,
        ),
    ]
}

/// The servers, what they serve, and what came of it.
struct Contest<'a> {
    lab: &'a Lab,
    effort: Effort,
    config: &'a [u8],
    initrd: &'a [u8],
    board: Board,
    findings: Findings,
}

impl Contest<'_> {
    /// Starts the servers in turn, so many times, and measures each.
    fn turns(
        &mut self,
        rounds: usize,
        names: &[&'static str],
        measure: fn(&mut Turn<'_>, &[u8], &[u8]),
    ) {
        let Self { lab, effort, config, initrd, board, findings } = self;
        for _ in 0..rounds {
            for &name in names {
                let _reno = (name == NGINX_RENO).then(|| Reno::new(lab));
                let server = match name {
                    NGINX | NGINX_RENO => start_nginx(lab, name, config),
                    _ => start_rackstrap(lab),
                };
                match server {
                    Ok(server) => {
                        let limit = Duration::from_secs(2) / effort.divisor.min(2) as u32;
                        let faults = &mut findings.faults;
                        let mut turn = Turn { lab, server, name, limit, board, faults };
                        measure(&mut turn, config, initrd);
                    }
                    Err(reason) => {
                        board.skipped.insert(name, reason);
                    }
                }
            }
        }
    }
}

/// One server's turn in a round.
struct Turn<'a> {
    lab: &'a Lab,
    server: Process,
    name: &'static str,
    /// How long each load lasts.
    limit: Duration,
    board: &'a mut Board,
    faults: &'a mut Vec<String>,
}

impl Turn<'_> {
    fn many_clients(&mut self, config: &[u8], initrd: &[u8]) {
        let small = Plan { path: CONFIG, body: config, connections: 1, limit: self.limit };
        let (one, _) = self.load(small);
        self.note(ONE, one.rate());
        let (forty, usage) = self.load(Plan { connections: 40, ..small });
        self.note(FORTY, forty.rate());
        self.note(FORTY_CPU, usage.cpu / forty.done.max(1) as f64 * 1e4);
        let (many, _) = self.load(Plan { connections: 400, ..small });
        self.note(MANY, many.rate());
        self.note(MANY_P99, percentile(&many.waits, 99.0));

        let big = Plan { path: INITRD, body: initrd, connections: 40, limit: self.limit };
        let (forty, usage) = self.load(big);
        self.note(BIG_FORTY, forty.megabytes());
        self.note(BIG_FORTY_CPU, per_gigabyte(usage, &forty));
        self.note(MEMORY, usage.resident_mb);
    }

    fn one_big_file(&mut self, initrd: &[u8]) {
        let big = Plan { path: INITRD, body: initrd, connections: 1, limit: self.limit };
        let (one, usage) = self.load(big);
        self.note(BIG, one.megabytes());
        self.note(BIG_CPU, per_gigabyte(usage, &one));
    }

    /// Runs a load; gives its outcome and what the server used.
    fn load(&mut self, plan: Plan<'_>) -> (Outcome, Usage) {
        let lab = self.lab;
        let (mut outcome, usage) = self.server.weigh(|| lab.in_client(|| load::run(plan)));
        let faults = outcome.faults.drain(..).map(|fault| format!("{}: HTTP: {fault}", self.name));
        self.faults.extend(faults);
        (outcome, usage)
    }

    fn note(&mut self, column: &'static str, value: f64) {
        self.board.of(self.name).add(column, value);
    }
}

fn per_gigabyte(usage: Usage, outcome: &Outcome) -> f64 {
    usage.cpu / (outcome.bytes.max(1) as f64 / 1e9)
}

fn answers(lab: &Lab, path: &str) -> bool {
    lab.in_client(|| fetch(path)).is_ok()
}

/// nginx as the distribution configures it, with two workers and the small file in its root.
pub(crate) fn start_nginx(lab: &Lab, name: &str, config: &[u8]) -> Result<Process, String> {
    let make = |dir: &Path| {
        let root = dir.join("root");
        let small = root.join(CONFIG.trim_start_matches('/'));
        fs::create_dir_all(root.join("config")).map_err(|error| error.to_string())?;
        fs::write(small, config).map_err(|error| error.to_string())?;
        std::os::unix::fs::symlink(lab.dir.join("files"), root.join("files"))
            .map_err(|error| error.to_string())?;
        let path = dir.join("nginx.conf");
        let (dir, root) = (dir.display(), root.display());
        let text = format!(
            "daemon off; worker_processes 2; pid {dir}/pid; error_log {dir}/error.log; user root;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             server {{ listen {SERVER}:80; root {root}; }} }}\n"
        );
        fs::write(&path, text).map_err(|error| error.to_string())?;
        let mut command: Command = lab.server.command("nginx");
        command.arg("-c").arg(path);
        Ok(command)
    };
    start(lab, name, NGINX, make, || answers(lab, CONFIG))
}

/// The servers' namespace with reno instead of what is usual here, until it is dropped. A
/// connection gets what is usual at the moment when it is accepted.
struct Reno<'a> {
    lab: &'a Lab,
    usual: String,
}

impl<'a> Reno<'a> {
    fn new(lab: &'a Lab) -> Self {
        let usual = lab.in_server(|| fs::read_to_string(CONGESTION)).expect("Linux has it");
        lab.in_server(|| fs::write(CONGESTION, "reno")).expect("everyone may choose reno");
        Self { lab, usual }
    }
}

impl Drop for Reno<'_> {
    fn drop(&mut self) {
        let _ = self.lab.in_server(|| fs::write(CONGESTION, &self.usual));
    }
}

fn start_rackstrap(lab: &Lab) -> Result<Process, String> {
    let make = |dir: &Path| ours::command(lab, dir, &site());
    start(lab, OURS, ours::PROGRAM, make, || answers(lab, CONFIG))
}

/// A hypervisor whose address is the generator's, so that it may read its configuration.
fn site() -> Value {
    json!({
        "subnets": {
            "link": {"cidr": "10.80.0.0/24"},
            "internal": {
                "cidr": "172.16.160.0/24", "vlan": 500, "gateway": "172.16.160.254", "mtu": 9000,
                "dns": ["223.5.5.5#dns.alidns.com"], "dns-over-tls": true,
                "domains": ["example.net."],
            },
        },
        "profiles": {"hypervisor": {
            "bonds": {"bond0": {"nics": ["eth0", "eth1"], "mode": "802.3ad"}},
            "vlans": {"vlan500": {"link": "bond0", "subnet": "internal"}},
            "bridges": {"virbr0": {"interfaces": ["vlan500"], "subnet": "internal"}},
        }},
        "hosts": {"r1-n01": {
            "profile": "hypervisor",
            "nics": {"eth0": "52:54:00:00:00:01", "eth1": "52:54:00:00:00:02"},
            "addresses": {"virbr0": "172.16.160.12"},
            "reservations": {"link": CLIENT.to_string()},
        }},
    })
}
