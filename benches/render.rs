//! The domain core: checks and files of a site of four thousand hosts with four NICs each, on one core.

use rackstrap::network::{Format, Severity, check_site, render_host};
use rackstrap::profile::ResolvedSite;
use serde_json::json;

use crate::contender::{Board, Effort, Findings};
use crate::figures::Verdict;
use crate::lab::Lab;

const HOSTS: usize = 4000;
const CHECK: &str = "check_site CPU s";
const RENDER: &str = "render_host of all CPU s";
const ALL: &str = "in all CPU s";
const KILOBYTES: &str = "kB written";

/// Processor seconds of this thread so far (`/proc/thread-self/schedstat`, its first figure):
/// others on the machine do not count.
fn thread_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

/// Measures both in this process.
pub(crate) fn bench(_lab: &Lab, effort: Effort) -> Findings {
    let mut board = Board::default();
    let mut findings = Findings::default();
    let site = site();
    for _ in 0..effort.rounds {
        let samples = board.of("rackstrap");
        let began = thread_cpu();
        let found = check_site(&site);
        let checked = thread_cpu() - began;
        let mut bytes = 0;
        for name in site.hosts.keys() {
            match render_host(&site, name, Format::Networkd) {
                Ok(files) => bytes += files.iter().map(|file| file.text.len()).sum::<usize>(),
                Err(error) => findings.faults.push(format!("render: {error}")),
            }
        }
        let all = thread_cpu() - began;
        samples.add(CHECK, checked);
        samples.add(RENDER, all - checked);
        samples.add(ALL, all);
        samples.add(KILOBYTES, bytes as f64 / 1e3);
        let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
        findings.faults.extend(errors.take(3).map(|finding| format!("check: {finding}")));
        findings.faults.truncate(5);
    }
    findings.tables.push(board.table(
        "Checks and networkd files of 4,000 hosts x 4 NICs",
        &["rackstrap"],
        &[(CHECK, 3), (RENDER, 3), (ALL, 3), (KILOBYTES, 0)],
    ));
    let seconds = board.median("rackstrap", ALL);
    findings.verdicts.push(Verdict::at_most(
        "render + check 4,000 hosts <= 1 s of one core",
        seconds,
        1.0,
    ));
    findings
}

/// Two bonds, a VLAN and a bridge on each host.
fn site() -> ResolvedSite {
    let hosts: serde_json::Map<String, serde_json::Value> = (0..HOSTS).map(host).collect();
    let site = json!({
        "subnets": {
            "provisioning": {"cidr": "10.64.0.0/16"},
            "internal": {"cidr": "10.32.0.0/16", "vlan": 500, "gateway": "10.32.255.254", "mtu": 9000,
                         "dns": ["10.32.255.253"], "domains": ["example.net."]},
            "storage": {"cidr": "10.33.0.0/16", "mtu": 9000},
        },
        "profiles": {"hypervisor": {
            "bonds": {
                "bond0": {"nics": ["eth0", "eth1"], "mode": "802.3ad", "lacp-rate": "fast"},
                "bond1": {"nics": ["eth2", "eth3"], "mode": "802.3ad", "subnet": "storage"},
            },
            "vlans": {"vlan500": {"link": "bond0", "subnet": "internal"}},
            "bridges": {"virbr0": {"interfaces": ["vlan500"], "subnet": "internal"}},
        }},
        "hosts": hosts,
    });
    serde_json::from_value(site).expect("the site above is one")
}

fn host(number: usize) -> (String, serde_json::Value) {
    let (high, low) = (number / 250, number % 250 + 1);
    let mac = |nic: usize| format!("0c:42:a1:{nic:02x}:{high:02x}:{low:02x}");
    let host = json!({
        "rack": format!("r{:03}", number / 40),
        "unit": number % 40 + 1,
        "profile": "hypervisor",
        "nics": {"eth0": mac(0), "eth1": mac(1), "eth2": mac(2), "eth3": mac(3)},
        "addresses": {"virbr0": format!("10.32.{high}.{low}"), "bond1": format!("10.33.{high}.{low}")},
        "reservations": {"provisioning": format!("10.64.{high}.{low}")},
    });
    (format!("r{:03}-n{:02}", number / 40, number % 40 + 1), host)
}
