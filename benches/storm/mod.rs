//! A storm: four thousand hosts powered on within ten seconds, each boots as hardware does.

mod host;

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use crate::contender::{Board, Effort, Findings, start};
use crate::dhcp::AddressPool;
use crate::dhcp::packet::mac_text;
use crate::figures::{Verdict, percentile};
use crate::http::fetch;
use crate::lab::{Lab, host_address};
use crate::ours;

use host::{Booted, Dhcp, boot};

const OURS: &str = "rackstrap";
const HOSTS: u32 = 4000;
/// Within this the last one is switched on.
const POWER_ON: Duration = Duration::from_secs(10);
/// When hosts that are not through are given up.
const LIMIT: Duration = Duration::from_secs(120);

const THROUGH: &str = "hosts through";
const ALL: &str = "last through s";
const CPU: &str = "server CPU s";
const MEMORY: &str = "memory MB";
const REPEATED: &str = "repeated packets";
const STAGES: [&str; 4] = ["3 x DHCP", "NBP by TFTP", "script", "configuration"];

/// Boots them all, once.
pub(crate) fn bench(lab: &Lab, effort: Effort) -> Findings {
    let count = HOSTS / effort.divisor as u32;
    let program = write_files(lab);
    let mut findings = Findings::default();
    let mut board = Board::default();
    let make = |dir: &Path| ours::command(lab, dir, &site(count));
    let ready = || lab.in_client(|| fetch("/healthz")).is_ok();
    let server = match start(lab, OURS, ours::PROGRAM, make, ready) {
        Ok(server) => server,
        Err(reason) => {
            findings.verdicts.push(Verdict::open("a storm: every host through", reason));
            return findings;
        }
    };
    let (booted, usage) = server.weigh(|| lab.in_client(|| boot_all(count, POWER_ON, &program)));
    let through: Vec<&Booted> = booted.iter().filter_map(|host| host.as_ref().ok()).collect();
    let times: Vec<f64> = through.iter().map(|host| host.total()).collect();
    let samples = board.of(OURS);
    samples.add(THROUGH, through.len() as f64);
    samples.add(ALL, through.iter().map(|host| host.ended).fold(0.0, f64::max));
    samples.add("a host p50 s", percentile(&times, 50.0));
    samples.add("p99 s", percentile(&times, 99.0));
    samples.add("longest s", percentile(&times, 100.0));
    samples.add(REPEATED, through.iter().map(|host| f64::from(host.repeated)).sum());
    samples.add(CPU, usage.cpu);
    samples.add(MEMORY, usage.anonymous_mb);
    for (number, stage) in STAGES.into_iter().enumerate() {
        let waits: Vec<f64> = through.iter().map(|host| host.stages[number]).collect();
        samples.add(stage, percentile(&waits, 99.0));
    }
    let title = format!(
        "A storm: {count} hosts on within 10 s, each 3 x DHCP, 1 MiB by TFTP, script, configuration"
    );
    findings.tables.push(board.table(
        &title,
        &[OURS],
        &[
            (THROUGH, 0),
            (ALL, 1),
            ("a host p50 s", 2),
            ("p99 s", 2),
            ("longest s", 2),
            (REPEATED, 0),
            (CPU, 1),
            (MEMORY, 1),
        ],
    ));
    let columns = STAGES.map(|stage| (stage, 3));
    findings.tables.push(board.table(
        "Where the time went: p99 of each stage, s",
        &[OURS],
        &columns,
    ));
    let share = through.len() as f64 / f64::from(count);
    findings.verdicts.push(Verdict::at_least("a storm: every host through (share)", share, 1.0));
    let faults = booted.into_iter().filter_map(Result::err).take(5);
    findings.faults.extend(faults.map(|fault| format!("storm: {fault}")));
    findings
}

/// Writes what hosts load, and gives the boot program.
pub(crate) fn write_files(lab: &Lab) -> Vec<u8> {
    let program: Vec<u8> =
        (0..1 << 18).flat_map(|n: u32| (n ^ 0x5a5a_1234).to_le_bytes()).collect();
    // The kernel and initrd are never fetched here, but a script names only files that are there.
    for name in ["storm.efi", "vmlinuz", "initrd.img"] {
        std::fs::write(lab.dir.join("files").join(name), &program).expect("room on the disk");
    }
    program
}

/// Runs all hosts on this thread; the last one is switched on after `power_on`.
pub(crate) fn boot_all(
    count: u32,
    power_on: Duration,
    program: &[u8],
) -> Vec<Result<Booted, String>> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hosts = tokio::task::LocalSet::new();
    let program: Rc<[u8]> = program.into();
    hosts.block_on(&runtime, async move {
        let began = tokio::time::Instant::now();
        let dhcp = Rc::new(Dhcp::start().await);
        let hosts: Vec<_> = (0..count)
            .map(|number| {
                let (dhcp, program) = (Rc::clone(&dhcp), Rc::clone(&program));
                tokio::task::spawn_local(async move {
                    tokio::time::sleep_until(began + power_on * number / count).await;
                    let name = format!("host {number}");
                    match tokio::time::timeout_at(began + LIMIT, boot(number, &dhcp, &program))
                        .await
                    {
                        Ok(Ok(booted)) => {
                            Ok(Booted { ended: began.elapsed().as_secs_f64(), ..booted })
                        }
                        Ok(Err(fault)) => Err(format!("{name}: {fault}")),
                        Err(_) => Err(format!("{name}: not through after {LIMIT:?}")),
                    }
                })
            })
            .collect();
        let mut booted = Vec::new();
        for host in hosts {
            booted.push(host.await.unwrap_or_else(|error| Err(error.to_string())));
        }
        booted
    })
}

/// A site of so many hosts.
pub(crate) fn site(count: u32) -> serde_json::Value {
    let pool = AddressPool::LARGE;
    let hosts: serde_json::Map<String, serde_json::Value> = (0..count)
        .map(|number| {
            let internal = std::net::Ipv4Addr::from(0x0a20_0000 + 256 + number);
            let host = json!({
                "rack": format!("r{:03}", number / 40), "unit": number % 40 + 1,
                "profile": "server", "image": "live",
                "nics": {"eth0": mac_text(number)},
                "addresses": {"vlan500": internal.to_string()},
                "reservations": {"boot": host_address(number).to_string()},
            });
            (format!("h{number:04}"), host)
        })
        .collect();
    json!({
        "subnets": {
            "link": {"cidr": "10.80.0.0/24"},
            "boot": {"cidr": pool.cidr(), "gateway": pool.relay.to_string()},
            "internal": {"cidr": "10.32.0.0/16", "vlan": 500, "gateway": "10.32.255.254"},
        },
        "profiles": {"server": {
            "bonds": {"bond0": {"nics": ["eth0"], "mode": "802.3ad"}},
            "vlans": {"vlan500": {"link": "bond0", "subnet": "internal"}},
        }},
        "images": {"live": {"kernel": "vmlinuz", "initrd": ["initrd.img"], "cmdline": "quiet"}},
        "hosts": hosts,
    })
}
