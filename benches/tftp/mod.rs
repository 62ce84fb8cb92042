//! TFTP: a rack at once, windows, loss, four hundred clients, small files.

mod load;
mod peers;
pub(crate) mod transfer;

use std::time::Duration;

use crate::contender::{Board, Effort, Findings, start};
use crate::figures::{Verdict, percentile};
use crate::lab::Lab;
use crate::ours;
use crate::process::{Process, Usage};

use load::{Outcome, Plan};
use peers::PEERS;
use transfer::Request;

pub(crate) use peers::{ASYNC_TFTP, serve_async_tftp};

const OURS: &str = "rackstrap";
const MIB: usize = 1 << 20;

const ONE: &str = "1 client, MB/s";
const RACK: &str = "40 x 1 MiB, MB/s";
const RACK_CPU: &str = "CPU s/GB";
const SMALL: &str = "40 x 2 KB, transfers/s";
const WINDOW: &str = "40 x 64 MiB window 16, MB/s";
const WINDOW_CPU: &str = "window 16 CPU s/GB";
const LOSS: &str = "1 % loss, 4 x 1 MiB, MB/s";
const LOSS_WINDOW: &str = "1 % loss, window 16, MB/s";
const CROWD_FIRST: &str = "slowest first answer ms";
const CROWD_DONE: &str = "last done s";
const CROWD_CPU: &str = "CPU s/GB, 400";
const CROWD_MEMORY: &str = "memory over idle MB";
const CROWD_LEFT: &str = "not done";

/// The files that are downloaded.
struct Files {
    small: Vec<u8>,
    medium: Vec<u8>,
    large: Vec<u8>,
}

/// Runs every TFTP row.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let files = Files::make(lab);
    let mut board = Board::default();
    let mut findings = Findings::default();
    let names: Vec<&'static str> = PEERS.iter().map(|peer| peer.name).chain([OURS]).collect();
    for _ in 0..effort.rounds {
        for name in &names {
            match start_server(lab, name, &files) {
                Ok(server) => {
                    let faults = Vec::new();
                    let mut turn = Turn {
                        lab,
                        server,
                        name,
                        files: &files,
                        effort,
                        board: &mut board,
                        faults,
                    };
                    turn.run();
                    findings.faults.append(&mut turn.faults);
                }
                Err(reason) => {
                    board.skipped.insert(name, reason);
                }
            }
        }
    }
    findings.verdicts = verdicts(&board);
    findings.tables.push(board.table(
        "TFTP, block size 1468, every byte compared",
        &names,
        &[(RACK, 0), (RACK_CPU, 2), (ONE, 1), (SMALL, 0), (WINDOW, 0), (WINDOW_CPU, 2)],
    ));
    findings.tables.push(board.table(
        "TFTP, one packet in a hundred lost each way",
        &names,
        &[(LOSS, 2), (LOSS_WINDOW, 2)],
    ));
    findings.tables.push(board.table(
        "TFTP, 400 clients in the same instant, 1 MiB each",
        &names,
        &[(CROWD_FIRST, 1), (CROWD_DONE, 2), (CROWD_CPU, 2), (CROWD_MEMORY, 1), (CROWD_LEFT, 0)],
    ));
    findings
}

fn verdicts(board: &Board) -> Vec<Verdict> {
    let loss = board.median(OURS, LOSS) / board.best(&["tftpd-hpa", "dnsmasq"], LOSS);
    let ratio = |to, column| board.ratio(OURS, to, column);
    vec![
        Verdict::at_least("40 x 1 MiB: >= 1.1x dnsmasq's MB/s", ratio("dnsmasq", RACK), 1.1),
        Verdict::at_most("40 x 1 MiB: <= 0.85x dnsmasq's CPU", ratio("dnsmasq", RACK_CPU), 0.85),
        Verdict::at_most(
            "window 16: <= 0.35x the CPU per byte of the crate tftpd",
            ratio("tftpd (crate)", WINDOW_CPU),
            0.35,
        ),
        Verdict::at_least("1 % loss: >= 10x the best of tftpd-hpa and dnsmasq", loss, 10.0),
        Verdict::at_most(
            "400 at once: first answer <= 50 ms",
            board.median(OURS, CROWD_FIRST),
            50.0,
        ),
        Verdict::at_most(
            "400 at once: all done <= 0.9x dnsmasq",
            ratio("dnsmasq", CROWD_DONE),
            0.9,
        ),
        Verdict::at_most("400 at once: memory <= 16 MB", board.median(OURS, CROWD_MEMORY), 16.0),
    ]
}

impl Files {
    /// Fills the served directory with bytes that repeat nowhere near.
    fn make(lab: &Lab) -> Self {
        let make = |name: &str, size: usize| {
            let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ size as u64;
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            };
            let mut content: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| next()).collect();
            content.truncate(size);
            std::fs::write(lab.dir.join("files").join(name), &content).expect("room on the disk");
            content
        };
        Self {
            small: make("small.bin", 2000),
            medium: make("medium.bin", MIB),
            large: make("large.bin", 64 * MIB),
        }
    }
}

/// One server's turn in a round.
struct Turn<'a> {
    lab: &'a Lab,
    server: Process,
    name: &'static str,
    files: &'a Files,
    effort: Effort,
    board: &'a mut Board,
    faults: Vec<String>,
}

impl<'a> Turn<'a> {
    fn run(&mut self) {
        let files = self.files;
        let medium = self.plan("medium.bin", &files.medium);
        let (crowd, usage) = self.crowd(Plan {
            concurrent: 400,
            total: Some(400),
            limit: Duration::from_secs(12),
            ..medium
        });
        self.note(CROWD_CPU, per_gigabyte(usage.cpu, &crowd));

        let (rack, usage) = self.load(Plan { concurrent: 40, ..medium });
        self.note(RACK, rack.rate());
        self.note(RACK_CPU, per_gigabyte(usage.cpu, &rack));
        let (one, _) = self.load(medium);
        self.note(ONE, one.rate());
        let (small, _) = self.load(Plan { concurrent: 40, ..self.plan("small.bin", &files.small) });
        self.note(SMALL, small.done as f64 / small.elapsed.as_secs_f64());

        let mut large = self.plan("large.bin", &files.large);
        large.request.window = 16;
        let has_windows = PEERS.iter().all(|peer| peer.name != self.name || peer.has_windows);
        if has_windows {
            let (window, usage) = self.load(Plan { concurrent: 40, ..large });
            self.note(WINDOW, window.rate());
            self.note(WINDOW_CPU, per_gigabyte(usage.cpu, &window));
        }
        let _loss = self.lab.with_loss(100);
        let limit = Duration::from_secs(8) / self.effort.divisor.min(2) as u32;
        let lossy = Plan { concurrent: 4, limit, ..medium };
        self.note_loss(LOSS, lossy);
        if has_windows {
            let mut lossy = lossy;
            lossy.request.window = 16;
            self.note_loss(LOSS_WINDOW, lossy);
        }
    }

    /// One client for two seconds, window 1.
    fn plan(&self, name: &'a str, content: &'a [u8]) -> Plan<'a> {
        let request = Request { name, content, block_size: 1468, window: 1 };
        let limit = Duration::from_secs(2) / self.effort.divisor.min(2) as u32;
        Plan { request, concurrent: 1, total: None, limit }
    }

    fn crowd(&mut self, plan: Plan<'_>) -> (Outcome, Usage) {
        let (_, idle) = self.server.memory();
        let (outcome, usage) = self.load(plan);
        self.note(CROWD_FIRST, percentile(&outcome.first_answers, 100.0));
        self.note(CROWD_DONE, outcome.elapsed.as_secs_f64());
        self.note(CROWD_MEMORY, usage.anonymous_mb - idle);
        self.note(CROWD_LEFT, (400 - outcome.done.min(400)) as f64);
        (outcome, usage)
    }

    fn note_loss(&mut self, column: &'static str, plan: Plan<'_>) {
        let (outcome, _) = self.load(plan);
        self.note(column, outcome.rate());
    }

    /// Runs a load; gives its outcome and what the server used.
    fn load(&mut self, plan: Plan<'_>) -> (Outcome, Usage) {
        let lab = self.lab;
        let (mut outcome, usage) = self.server.weigh(|| lab.in_client(|| load::run(plan)));
        let faults = outcome.faults.drain(..).map(|fault| format!("{}: TFTP: {fault}", self.name));
        self.faults.extend(faults);
        (outcome, usage)
    }

    fn note(&mut self, column: &'static str, value: f64) {
        let forks = PEERS.iter().any(|peer| peer.name == self.name && !peer.has_cpu);
        if forks && [RACK_CPU, WINDOW_CPU, CROWD_CPU].contains(&column) {
            return;
        }
        self.board.of(self.name).add(column, value);
    }
}

fn per_gigabyte(cpu: f64, outcome: &Outcome) -> f64 {
    cpu / (outcome.bytes.max(1) as f64 / 1e9)
}

/// Starts one of the contenders and waits for its first file.
fn start_server(lab: &Lab, name: &str, files: &Files) -> Result<Process, String> {
    let answers = || {
        let request =
            Request { name: "small.bin", content: &files.small, block_size: 1468, window: 1 };
        let limit = Duration::from_millis(200);
        let plan = Plan { request, concurrent: 1, total: Some(1), limit };
        lab.in_client(|| load::run(plan)).done == 1
    };
    let directory = lab.dir.join("files");
    if let Some(peer) = PEERS.iter().find(|peer| peer.name == name) {
        let make = |dir: &std::path::Path| Ok((peer.command)(lab, dir, &directory));
        return start(lab, name, &(peer.program)(), make, answers);
    }
    let make = |dir: &std::path::Path| ours::command(lab, dir, &ours::dhcp_site(&[]));
    start(lab, name, ours::PROGRAM, make, answers)
}
