//! `make bench`: rackstrap and its peers, in turn in one run, on the same two cores.
//!
//! Absolute rates say more about the machine than about a server. Trust processor
//! seconds and ratios within a run; README.md beside this file has the latest.
#![allow(missing_docs, clippy::unwrap_used)]

mod burst;
mod contender;
mod deploy;
mod dhcp;
mod figures;
mod http;
mod lab;
mod ours;
mod process;
mod render;
mod storm;
mod tftp;
mod viewers;

#[path = "../tests/common/netns.rs"]
#[allow(dead_code)]
mod netns;

use std::process::{Command, ExitCode};
use std::time::Instant;

use contender::{Effort, Findings};
use lab::Lab;

/// A part of the benchmark.
type Section = (&'static str, fn(&Lab, Effort) -> Findings);

const SECTIONS: &[Section] = &[
    ("dhcp", dhcp::bench),
    ("servers", dhcp::bench_many_servers),
    ("tftp", tftp::bench),
    ("http", http::bench),
    ("deploy", deploy::bench),
    ("render", render::bench),
    ("storm", storm::bench),
    ("viewers", viewers::bench),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if let (Some(tftp::ASYNC_TFTP), Some(files)) = (arguments.next().as_deref(), arguments.next()) {
        tftp::serve_async_tftp(&files);
    }
    let wanted = std::env::var("BENCH").unwrap_or_default();
    let quick = wanted == "quick";
    let all = quick || wanted.is_empty() || wanted == "all";
    if !all && !SECTIONS.iter().any(|(name, _)| *name == wanted) {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        eprintln!("BENCH={wanted} is unknown: quick, all, {} are known", names.join(", "));
        return ExitCode::FAILURE;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the benchmark makes network namespaces, which needs root");
        return ExitCode::FAILURE;
    }
    favour_ourselves();
    let effort =
        if quick { Effort { rounds: 1, divisor: 5 } } else { Effort { rounds: 3, divisor: 1 } };
    let effort = Effort {
        rounds: std::env::var("ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(effort.rounds),
        ..effort
    };
    let began = Instant::now();
    print_machine(effort);
    let lab = Lab::new();
    let mut verdicts = Vec::new();
    let mut faults = Vec::new();
    for (name, bench) in SECTIONS {
        if all || *name == wanted {
            let mut findings = bench(&lab, effort);
            for table in &findings.tables {
                print!("{table}");
            }
            verdicts.append(&mut findings.verdicts);
            faults.append(&mut findings.faults);
        }
    }
    println!("\n### Targets\n\n| | target | measured |\n| --- | --- | --- |");
    for verdict in &verdicts {
        println!("{verdict}");
    }
    let count = |met| verdicts.iter().filter(|verdict| verdict.met == met).count();
    println!(
        "\n{} targets met, {} missed, {} not judged, in {:.0} s.",
        count(Some(true)),
        count(Some(false)),
        count(None),
        began.elapsed().as_secs_f64()
    );
    for fault in &faults {
        println!("WRONG: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes generators and servers alike before whatever else runs on the machine.
fn favour_ourselves() {
    let _ =
        Command::new("renice").args(["-n", "-5", "-p", &std::process::id().to_string()]).output();
}

fn print_machine(effort: Effort) {
    let said = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output();
        output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
    };
    println!(
        "{}, {} cores, {}, Linux {}, load {}; medians of {} rounds",
        said("date -u '+%Y-%m-%d %H:%M UTC'"),
        said("nproc"),
        said("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1"),
        said("uname -r"),
        said("cut -d' ' -f1 /proc/loadavg"),
        effort.rounds
    );
}
