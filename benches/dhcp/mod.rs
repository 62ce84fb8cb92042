//! DHCP: new leases, known clients, many relays, and a hundred thousand leases.

mod delay;
mod echo;
mod load;
mod many_servers;
pub(crate) mod packet;
mod peers;

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use crate::contender::{Board, Effort, Findings, start};
use crate::figures::{Verdict, percentile};
use crate::lab::{Lab, SERVER};
use crate::ours;
use crate::process::{Process, count_syncs};

use delay::{ECHO, EXCHANGE_P99, OFFER_P50, OFFER_P99, OFFER_WORST, STOLEN};
use load::{Ledger, Outcome, Pace, Plan};
use peers::{PEERS, Pool};

const OURS: &str = "rackstrap";
/// Where a DHCP server listens.
const PORT: u16 = 67;
/// A client number that no load uses.
const PROBE: u32 = u32::MAX;
const CLIENTS: u32 = 10_000;
/// So often is each server's delay measured in a round, for a second each: one pause of the
/// machine spoils one pass, and the median over the passes tells of the server.
const PASSES: usize = 4;
/// So many exchanges are outstanding at any time.
const CLOSED: Pace = Pace::Closed(64);

const NEW: &str = "new leases/s";
const NEW_CPU: &str = "CPU s/10k new";
const NEW_P99: &str = "p99 ms new";
const AGAIN: &str = "again/s";
const AGAIN_CPU: &str = "CPU s/10k again";
const RACKS: &str = "40 relays + option 82, /s";
const RACKS_CPU: &str = "CPU s/10k 40 relays";
const IDLE: &str = "RSS idle MB";
const LOADED: &str = "RSS 10k MB";
const SYNCS: &str = "syncs/1000 leases";
const LOST: &str = "gave up";
const LARGE: &str = "100k new leases/s";
const LARGE_CPU: &str = "CPU s/10k, 100k";
const LARGE_GROWTH: &str = "RSS over idle MB";
const LARGE_DONE: &str = "leases";

/// Runs every DHCP row.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let mut board = Board::default();
    let mut findings = Findings::default();
    let names: Vec<&'static str> = PEERS.iter().map(|peer| peer.name).chain([OURS]).collect();
    for round in 0..effort.rounds {
        for name in &names {
            let pools = Pool::SMALL.with_racks();
            match start_server(lab, name, &pools) {
                Ok(server) => {
                    let mut turn =
                        Turn { lab, server, name, board: &mut board, faults: Vec::new() };
                    turn.run(effort, round == 0);
                    findings.faults.append(&mut turn.faults);
                }
                Err(reason) => {
                    board.skipped.insert(name, reason);
                }
            }
        }
    }
    let mut large = Board::default();
    for name in ["kea", OURS] {
        findings.faults.append(&mut many_leases(lab, name, &mut large, effort));
    }
    for samples in board.servers.values_mut() {
        samples.add(OFFER_WORST, samples.worst(OFFER_P99));
    }
    findings.verdicts = verdicts(&board, &large);
    findings.tables.push(board.table(
        "DHCP, 64 clients outstanding, relayed, 10,000 clients",
        &names,
        &[
            (NEW, 0),
            (NEW_CPU, 3),
            (NEW_P99, 2),
            (AGAIN, 0),
            (AGAIN_CPU, 3),
            (RACKS, 0),
            (RACKS_CPU, 3),
            (SYNCS, 0),
            (LOST, 0),
            (IDLE, 1),
            (LOADED, 1),
        ],
    ));
    findings.tables.push(board.table(
        &format!(
            "DHCP, open loop at half of each server's own rate, known clients, {} passes",
            PASSES * effort.rounds
        ),
        &[&names[..], &[ECHO]].concat(),
        &[(OFFER_P50, 3), (OFFER_P99, 3), (OFFER_WORST, 3), (EXCHANGE_P99, 3), (STOLEN, 1)],
    ));
    findings.tables.push(large.table(
        "DHCP, 100,000 new leases in a pool of 131,072",
        &["kea", OURS],
        &[(LARGE, 0), (LARGE_CPU, 3), (LARGE_DONE, 0), (LARGE_GROWTH, 1)],
    ));
    findings
}

fn verdicts(board: &Board, large: &Board) -> Vec<Verdict> {
    let kept = large.median(OURS, LARGE) / board.median(OURS, NEW);
    let mut verdicts = vec![
        Verdict::at_least("new leases, durable: >= 2x kea", board.ratio(OURS, "kea", NEW), 2.0),
        Verdict::at_least(
            "new leases, durable: >= 10x dhcpd",
            board.ratio(OURS, "dhcpd", NEW),
            10.0,
        ),
        Verdict::at_most("CPU s per 10,000 exchanges <= 0.30", board.median(OURS, NEW_CPU), 0.30),
        Verdict::at_least(
            "40 relays with option 82: >= 0.95x the rate with one",
            board.median(OURS, RACKS) / board.median(OURS, NEW),
            0.95,
        ),
        Verdict::at_least("100,000 leases: >= 0.9x the rate at 10,000", kept, 0.9),
        Verdict::at_most(
            "100,000 leases: <= 35 MB over idle",
            large.median(OURS, LARGE_GROWTH),
            35.0,
        ),
        Verdict::at_most("idle <= 25 MB", board.median(OURS, IDLE), 25.0),
    ];
    verdicts.push(delay::verdict(board));
    verdicts
}

/// Clients of the small pool.
fn one_relay(clients: &[u32], pace: Pace, seconds: u64) -> Plan<'_> {
    const RELAY: [Ipv4Addr; 1] = [Pool::SMALL.relay];
    let limit = Duration::from_secs(seconds);
    Plan { clients, relays: &RELAY, circuit: false, servers: &[SERVER], port: PORT, pace, limit }
}

/// One server's turn in a round.
struct Turn<'a> {
    lab: &'a Lab,
    server: Process,
    name: &'static str,
    board: &'a mut Board,
    faults: Vec<String>,
}

impl Turn<'_> {
    fn run(&mut self, effort: Effort, first: bool) {
        let mut clients: Vec<u32> = (0..CLIENTS / effort.divisor as u32).collect();
        let mut ledger = Ledger::new();
        self.note(IDLE, self.server.memory().0);

        let (outcome, cpu) = self.load(&one_relay(&clients, CLOSED, 6), &mut ledger);
        let rate = outcome.rate();
        self.note(NEW, rate);
        self.note(NEW_CPU, cpu / outcome.done.max(1) as f64 * 1e4);
        self.note(NEW_P99, percentile(&outcome.exchanges, 99.0));
        self.note(LOST, outcome.failed as f64);
        self.note(LOADED, self.server.memory().0);

        // Only those that have a lease: a slow server was cut off.
        clients.truncate(outcome.done.max(1));
        clients.shuffle(&mut SmallRng::seed_from_u64(7));
        let (outcome, cpu) = self.load(&one_relay(&clients, CLOSED, 4), &mut ledger);
        self.note(AGAIN, outcome.rate());
        self.note(AGAIN_CPU, cpu / outcome.done.max(1) as f64 * 1e4);

        self.delays(&mut clients, rate / 2.0, &mut ledger);
        self.many_relays(effort);
        if first {
            self.syncs(&mut ledger);
        }
    }

    fn many_relays(&mut self, effort: Effort) {
        let relays: Vec<_> = (0..40).map(|number| Pool::rack(number).relay).collect();
        let clients: Vec<u32> = (100_000..100_000 + CLIENTS / effort.divisor as u32).collect();
        let plan = Plan {
            clients: &clients,
            relays: &relays,
            circuit: true,
            servers: &[SERVER],
            port: PORT,
            pace: CLOSED,
            limit: Duration::from_secs(3),
        };
        let (outcome, cpu) = self.load(&plan, &mut Ledger::new());
        self.note(RACKS, outcome.rate());
        self.note(RACKS_CPU, cpu / outcome.done.max(1) as f64 * 1e4);
    }

    /// How often 1,000 new leases wait for the disk.
    fn syncs(&mut self, ledger: &mut Ledger) {
        let clients: Vec<u32> = (200_000..201_000).collect();
        let plan = one_relay(&clients, CLOSED, 10);
        let mut done = 0;
        let calls = count_syncs(self.server.id(), &self.lab.dir, || {
            done = self.lab.in_client(|| load::run(&plan, ledger)).done;
        });
        if let Some(calls) = calls.filter(|_| done > 0) {
            self.note(SYNCS, calls as f64 * 1000.0 / done as f64);
        }
    }

    /// Runs a load; gives its outcome and the server's processor seconds.
    fn load(&mut self, plan: &Plan<'_>, ledger: &mut Ledger) -> (Outcome, f64) {
        let before = self.server.cpu();
        let mut outcome = self.lab.in_client(|| load::run(plan, ledger));
        let cpu = self.server.cpu() - before;
        let faults = outcome.faults.drain(..).map(|fault| format!("{}: {fault}", self.name));
        self.faults.extend(faults);
        (outcome, cpu)
    }

    fn note(&mut self, column: &'static str, value: f64) {
        self.board.of(self.name).add(column, value);
    }
}

fn many_leases(lab: &Lab, name: &'static str, board: &mut Board, effort: Effort) -> Vec<String> {
    let server = match start_server(lab, name, &Pool::LARGE.with_racks()) {
        Ok(server) => server,
        Err(reason) => {
            board.skipped.insert(name, reason);
            return Vec::new();
        }
    };
    let idle = server.memory().0;
    let clients: Vec<u32> = (0..100_000 / effort.divisor as u32).collect();
    let plan = Plan {
        clients: &clients,
        relays: &[Pool::LARGE.relay],
        circuit: false,
        servers: &[SERVER],
        port: PORT,
        pace: CLOSED,
        limit: Duration::from_secs(25),
    };
    let before = server.cpu();
    let outcome = lab.in_client(|| load::run(&plan, &mut Ledger::new()));
    let cpu = server.cpu() - before;
    let samples = board.of(name);
    samples.add(LARGE, outcome.rate());
    samples.add(LARGE_CPU, cpu / outcome.done.max(1) as f64 * 1e4);
    samples.add(LARGE_DONE, outcome.done as f64);
    samples.add(LARGE_GROWTH, server.memory().0 - idle);
    outcome.faults.into_iter().map(|fault| format!("{name}: {fault}")).collect()
}

/// Starts one of the contenders and waits for its first OFFER.
fn start_server(lab: &Lab, name: &str, pools: &[Pool]) -> Result<Process, String> {
    let answers = || {
        let plan = Plan {
            clients: &[PROBE],
            relays: &[pools[0].relay],
            circuit: false,
            servers: &[SERVER],
            port: PORT,
            pace: Pace::Closed(1),
            limit: Duration::from_millis(200),
        };
        lab.in_client(|| load::run(&plan, &mut Ledger::new())).done == 1
    };
    if let Some(peer) = PEERS.iter().find(|peer| peer.name == name) {
        return start(lab, name, peer.program, |dir| Ok((peer.command)(lab, dir, pools)), answers);
    }
    let make = |dir: &std::path::Path| ours::command(lab, dir, &ours::dhcp_site(pools));
    start(lab, name, ours::PROGRAM, make, answers)
}

pub(crate) use many_servers::bench as bench_many_servers;
pub(crate) use peers::Pool as AddressPool;
