//! Twenty hosts whose disks are written at the same time, over the real way: script, token, plan,
//! the image as a stream, reports. Beside nginx, which serves the same file to as many clients.

mod host;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use crate::contender::{Board, Effort, Findings, start};
use crate::dhcp::AddressPool;
use crate::dhcp::packet::mac_text;
use crate::figures::Verdict;
use crate::http::{fetch, start_nginx};
use crate::lab::{Lab, host_address};
use crate::ours;
use crate::process::Process;

use host::{deploy, download};

const OURS: &str = "rackstrap";
const NGINX: &str = "nginx";
/// How many disks are written at the same time.
const HOSTS: u32 = 20;
/// The length of the image's file in bytes.
const IMAGE_BYTES: usize = 256 << 20;
const IMAGE: &str = "bench.raw";

const DONE: &str = "disks written";
const RATE: &str = "MB/s";
const CPU: &str = "CPU s/GB";
const MEMORY: &str = "memory MB";
const SECONDS: &str = "all done s";

/// Writes the disks once in each round, and has nginx send the same bytes.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let (mut board, mut findings) = (Board::default(), Findings::default());
    let bytes = IMAGE_BYTES / effort.divisor;
    let image: Vec<u8> =
        (0..bytes / 4).flat_map(|n| (n as u32).wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    let files = lab.dir.join("files");
    fs::write(files.join(IMAGE), &image).expect("room on the disk");
    for name in ["deploy.kernel", "deploy.initrd"] {
        fs::write(files.join(name), vec![7; 1 << 20]).expect("room on the disk");
    }
    for _ in 0..effort.rounds {
        for name in [NGINX, OURS] {
            let server = match name {
                NGINX => start_nginx(lab, name, b"ready"),
                _ => start_rackstrap(lab),
            };
            match server {
                Ok(server) => turn(lab, name, &server, &image, &mut board, &mut findings),
                Err(reason) => {
                    board.skipped.insert(name, reason);
                }
            }
        }
    }
    findings.verdicts = vec![
        Verdict::at_least(
            format!("{HOSTS} deployments at once: every disk written"),
            board.median(OURS, DONE),
            f64::from(HOSTS),
        ),
        Verdict::at_most(
            format!("{HOSTS} deployments at once: CPU <= 1.3x nginx"),
            board.ratio(OURS, NGINX, CPU),
            1.3,
        ),
    ];
    let title = format!(
        "{HOSTS} hosts at once, each a disk image of {} MiB (rackstrap: with script, token, plan and \
         reports; nginx: the file alone)",
        bytes >> 20
    );
    let columns = [(DONE, 0), (RATE, 0), (CPU, 3), (MEMORY, 1), (SECONDS, 2)];
    findings.tables.push(board.table(&title, &[NGINX, OURS], &columns));
    findings
}

/// One server's turn in a round.
fn turn(
    lab: &Lab,
    name: &'static str,
    server: &Process,
    image: &[u8],
    board: &mut Board,
    findings: &mut Findings,
) {
    let work = || {
        let began = Instant::now();
        let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let hosts: Vec<_> = (0..HOSTS)
                .map(|number| {
                    scope.spawn(move || match name {
                        NGINX => download(host_address(number), &format!("/files/{IMAGE}"), image),
                        _ => deploy(host_address(number), &mac_text(number), image),
                    })
                })
                .collect();
            let ended = hosts.into_iter().map(|host| host.join());
            ended.map(|it| it.unwrap_or_else(|_| Err("its thread panicked".into()))).collect()
        });
        (results, began.elapsed().as_secs_f64())
    };
    let ((results, seconds), usage) = server.weigh(|| lab.in_client(work));
    let done = results.iter().filter(|result| result.is_ok()).count();
    let gigabytes = (done * image.len()).max(1) as f64 / 1e9;
    let samples = board.of(name);
    samples.add(DONE, done as f64);
    samples.add(RATE, gigabytes * 1e3 / seconds);
    samples.add(CPU, usage.cpu / gigabytes);
    samples.add(MEMORY, usage.anonymous_mb);
    samples.add(SECONDS, seconds);
    let faults = results.into_iter().filter_map(Result::err).take(5);
    findings.faults.extend(faults.map(|fault| format!("{name}: deploy: {fault}")));
}

/// A server whose hosts are all armed.
fn start_rackstrap(lab: &Lab) -> Result<Process, String> {
    let make = |dir: &Path| {
        let serve = ours::command(lab, dir, &site())?;
        let mut arm = Command::new(ours::PROGRAM);
        arm.arg("--config").arg(dir.join("rackstrap.toml"));
        let armed = arm.args(["host", "install", "--rack", "r1"]).output();
        let armed = armed.map_err(|error| error.to_string())?;
        match armed.status.success() {
            true => Ok(serve),
            false => Err(format!("not armed: {}", String::from_utf8_lossy(&armed.stderr).trim())),
        }
    };
    start(lab, OURS, ours::PROGRAM, make, || lab.in_client(|| fetch("/healthz")).is_ok())
}

fn site() -> Value {
    let pool = AddressPool::LARGE;
    let hosts: serde_json::Map<String, Value> = (0..HOSTS)
        .map(|number| {
            let host = json!({
                "rack": "r1", "image": "debian",
                "nics": {"eth0": mac_text(number)},
                "reservations": {"boot": host_address(number).to_string()},
            });
            (format!("h{number:02}"), host)
        })
        .collect();
    json!({
        "subnets": {
            "link": {"cidr": "10.80.0.0/24"},
            "boot": {"cidr": pool.cidr(), "gateway": pool.relay.to_string()},
        },
        "images": {
            "live": {"kernel": "deploy.kernel", "initrd": ["deploy.initrd"], "cmdline": "quiet"},
            "debian": {"disk": IMAGE},
        },
        "hosts": hosts,
    })
}
