//! Whether a packet filter of this machine drops what clients send, or what they are sent.
//!
//! Rules are not read but tried: they are copied into a network namespace whose interfaces have
//! the names and addresses of this machine's, and packets are sent through them from a second
//! namespace. Sets, maps, jumps and policies then mean what they mean to the kernel, and nothing
//! is sent on a real network. XDP programs and `tc` filters are not copied.

mod bench;
mod exchange;
mod rules;

use std::collections::BTreeMap;
use std::fs;
use std::io;

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::unistd::geteuid;

use self::bench::Bench;
use self::exchange::{Dropped, Exchange};
use self::rules::Rules;
use super::CheckResult;
use crate::config::Config;

const CHECK: &str = "firewall";

/// Why the rules cannot be tested.
#[derive(Debug, thiserror::Error)]
enum TestError {
    #[error("{program} is not installed")]
    NoProgram { program: &'static str },
    #[error("`{command}` failed: {stderr}")]
    Failed { command: String, stderr: String },
    #[error("the interface belongs to {master}")]
    Enslaved { master: String },
    #[error("{net} has no address for a client")]
    NoClientAddress { net: Ipv4Net },
    #[error("packets are lost in the test network even without rules")]
    NoWay,
    #[error("the rules hand packets to a program (queue), which is not in the test network")]
    Queue,
    #[error("cannot make a test network: {0}")]
    Io(#[from] io::Error),
}

/// Sends packets through a copy of the rules, for every served interface.
pub(super) async fn rules(config: &Config) -> Vec<CheckResult> {
    let config = config.clone();
    let checked = tokio::task::spawn_blocking(move || check(&config)).await;
    checked.unwrap_or_else(|error| vec![not_tested(&error.to_string(), "report this")])
}

fn not_tested(why: &str, fix: &str) -> CheckResult {
    CheckResult::warning(CHECK, format!("packet filter rules are not tested: {why}"), fix)
}

fn check(config: &Config) -> Vec<CheckResult> {
    if config.interfaces.is_empty() {
        return Vec::new();
    }
    if !geteuid().is_root() {
        return vec![not_tested("this needs root", "sudo rackstrap doctor")];
    }
    let (rules, mut findings) = Rules::read();
    if rules.is_empty() {
        if findings.is_empty() {
            findings.push(CheckResult::ok(CHECK, "no packet filter has rules"));
        }
        return findings;
    }
    // `interfaces` has its own findings for those that are missing or have no address.
    for (interface, nets) in served(config) {
        match test_interface(&interface, &nets, &rules, config) {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(not_tested(
                &format!("{interface}: {error}"),
                "check by hand that UDP ports 67 and 69, their replies and HTTP pass",
            )),
        }
    }
    if findings.is_empty() {
        findings.push(CheckResult::ok(CHECK, "test packets of clients pass the rules"));
    }
    findings
}

/// The served interfaces with their IPv4 addresses.
fn served(config: &Config) -> BTreeMap<String, Vec<Ipv4Net>> {
    let mut served: BTreeMap<String, Vec<Ipv4Net>> = BTreeMap::new();
    for entry in getifaddrs().into_iter().flatten() {
        let address = entry.address.and_then(|address| Some(address.as_sockaddr_in()?.ip()));
        let mask = entry.netmask.and_then(|mask| Some(mask.as_sockaddr_in()?.ip()));
        let (Some(address), Some(mask)) = (address, mask) else { continue };
        let Ok(net) = Ipv4Net::with_netmask(address, mask) else { continue };
        if config.interfaces.contains(&entry.interface_name) {
            served.entry(entry.interface_name).or_default().push(net);
        }
    }
    served
}

fn test_interface(
    interface: &str,
    nets: &[Ipv4Net],
    rules: &Rules,
    config: &Config,
) -> Result<Vec<CheckResult>, TestError> {
    let exchanges = Exchange::of(config);
    // Without the rules first: what is lost then says nothing about them.
    let bare = Bench::new(interface, nets)?;
    for exchange in &exchanges {
        if exchange.run(&bare)?.is_some() {
            return Err(TestError::NoWay);
        }
    }
    let bench = Bench::new(interface, nets)?;
    rules.load(&bench)?;
    let mut findings: Vec<CheckResult> = Vec::new();
    let mut fixes: Vec<String> = Vec::new();
    for exchange in &exchanges {
        let Some(lost) = exchange.run(&bench)? else { continue };
        if rules.has_queue() {
            return Err(TestError::Queue);
        }
        let fix = fix(lost, interface, config);
        if fixes.contains(&fix) {
            continue;
        }
        let by = rules.dropping(&bench, || exchange.run(&bench).map(drop))?;
        let text = format!("{interface}: {lost} are dropped by {by}");
        findings.push(CheckResult::error(CHECK, text, format!("add a rule before it: {fix}")));
        fixes.push(fix);
    }
    Ok(findings)
}

/// The rule of nftables that lets such packets pass.
fn fix(lost: Dropped, interface: &str, config: &Config) -> String {
    let from_clients = |packets: &str| format!("iifname \"{interface}\" {packets} accept");
    let to_clients = |packets: &str| format!("oifname \"{interface}\" {packets} accept");
    match lost {
        Dropped::Discover | Dropped::Renewal => from_clients("udp dport 67"),
        Dropped::Relayed(relay) => from_clients(&format!("ip saddr {relay} udp dport 67")),
        Dropped::DhcpReply | Dropped::RenewalReply => to_clients("udp sport 67"),
        Dropped::TftpRequest => from_clients("udp dport 69"),
        Dropped::TftpData => to_clients(&format!("udp sport {}", transfer_ports(config))),
        Dropped::TftpAcknowledgement if config.tftp_ports.is_some() => {
            from_clients(&format!("udp dport {}", transfer_ports(config)))
        }
        // The data that this server sends first makes the flow an established one.
        Dropped::TftpAcknowledgement => from_clients("ct state established"),
        Dropped::HttpRequest(port) => from_clients(&format!("tcp dport {port}")),
        Dropped::HttpReply(port) => to_clients(&format!("tcp sport {port}")),
    }
}

/// The ports that TFTP data are sent from, as a rule of nftables has them.
fn transfer_ports(config: &Config) -> String {
    if let Some(ports) = config.tftp_ports {
        let (first, last) = (*ports.ports().start(), *ports.ports().end());
        return if first == last { first.to_string() } else { format!("{first}-{last}") };
    }
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let range: Vec<&str> = range.split_whitespace().collect();
    if range.len() == 2 { range.join("-") } else { "1024-65535".to_owned() }
}
