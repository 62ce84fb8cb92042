//! The ports to listen on, and the capabilities that they need.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use super::CheckResult;
use crate::config::Config;
use crate::serve;

/// Bits of `CapEff` in `/proc/self/status` (linux/capability.h).
const NET_BIND_SERVICE: u32 = 10;
const NET_RAW: u32 = 13;
/// State of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";
const GRANT: &str =
    "run as root, or set AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_RAW in the unit file";

/// Checks that every port is free, or in use by rackstrap.
pub(super) fn ports(config: &Config) -> Vec<CheckResult> {
    let mut findings = Vec::new();
    let on_links = !config.interfaces.is_empty();
    for (port, what, served) in [(67, "DHCP", config.dhcp), (69, "TFTP", config.tftp)] {
        if served && on_links {
            let bound = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop);
            findings.push(port_finding("udp", port, what, bound));
        }
    }
    let listeners = [
        ("machine_listen", Some(config.machine_listen), "HTTP for hosts"),
        ("machine_tls_listen", config.machine_tls_listen, "HTTPS for hosts"),
        ("admin_listen", Some(config.admin_listen), "the web UI"),
    ];
    let set = |(key, address, what): (_, Option<SocketAddr>, _)| Some((key, address?, what));
    for (key, address, what) in listeners.into_iter().filter_map(set) {
        let what = format!("{what} ({key} {address})");
        let bound = serve::bind(address).map(drop);
        findings.push(port_finding("tcp", address.port(), &what, bound));
    }
    findings
}

fn port_finding(protocol: &str, port: u16, what: &str, bound: io::Result<()>) -> CheckResult {
    let check = "ports";
    let shown = format!("{} port {port} for {what}", protocol.to_uppercase());
    let Err(error) = bound else { return CheckResult::ok(check, format!("{shown} is free")) };
    if error.kind() != io::ErrorKind::AddrInUse {
        return CheckResult::error(check, format!("{shown} is not available: {error}"), GRANT);
    }
    match holder(protocol, port) {
        Some(program) if program == "rackstrap" => {
            CheckResult::ok(check, format!("{shown} is in use by rackstrap"))
        }
        Some(program) => {
            let fix =
                format!("stop {program}, or move one of the two to another port or interface");
            CheckResult::error(check, format!("{shown} is in use by {program}"), fix)
        }
        None => {
            let fix =
                format!("find the program that uses port {port} (ss -lpn, as root) and stop it");
            CheckResult::error(check, format!("{shown} is in use by another program"), fix)
        }
    }
}

/// The name of the process that listens on a port, if /proc shows it.
fn holder(protocol: &str, port: u16) -> Option<String> {
    let tables = [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")];
    let inode = tables.iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| inode_of(line, protocol, port))
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let found = processes.map(|entry| entry.path()).find(|process| has_open(process, &socket))?;
    Some(fs::read_to_string(found.join("comm")).ok()?.trim().to_owned())
}

/// The socket inode in a line of `/proc/net/udp` or `tcp`, if the line is for the port.
fn inode_of(line: &str, protocol: &str, port: u16) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let is_port = local.rsplit_once(':')?.1 == format!("{port:04X}");
    (is_port && (protocol == "udp" || *state == LISTENING)).then(|| (*inode).to_owned())
}

fn has_open(process: &Path, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to == Path::new(socket)))
}

/// Checks that this user can bind low ports and open raw sockets.
pub(super) fn capabilities(config: &Config) -> Vec<CheckResult> {
    let check = "capabilities";
    let Some(held) = effective_capabilities() else { return Vec::new() };
    let has = |bit: u32| held & (1 << bit) != 0;
    let low = |address: SocketAddr| address.port() < 1024;
    let needs_low = !config.interfaces.is_empty()
        || low(config.machine_listen)
        || low(config.admin_listen)
        || config.machine_tls_listen.is_some_and(low);
    if needs_low && !has(NET_BIND_SERVICE) {
        let text = "this user cannot bind ports below 1024 (CAP_NET_BIND_SERVICE)";
        return vec![CheckResult::error(check, text, GRANT)];
    }
    if !has(NET_RAW) {
        let text = "this user cannot open raw sockets (CAP_NET_RAW): replies to clients without an \
                    address are broadcast, and addresses are not probed";
        return vec![CheckResult::warning(check, text, GRANT)];
    }
    vec![CheckResult::ok(check, "this user can bind low ports and open raw sockets")]
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
