//! The ports that are listened on, and whether this user may.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::serve;

/// The bit of a capability in `/proc/self/status` (linux/capability.h).
const NET_BIND_SERVICE: u32 = 10;
const NET_RAW: u32 = 13;
/// The state of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";
const SERVE_UNIT: &str =
    "run it as root, or give it AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_RAW";

/// Whether every port is free, or rackstrap's already.
pub(super) fn ports(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let on_links = !config.interfaces.is_empty();
    for (port, what, served) in [(67, "DHCP", config.dhcp), (69, "TFTP", config.tftp)] {
        if served && on_links {
            let bound = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop);
            findings.push(port_finding("udp", port, what, bound));
        }
    }
    let listeners = [
        ("machine_listen", config.machine_listen, "HTTP for machines"),
        ("admin_listen", config.admin_listen, "the web UI"),
    ];
    for (key, address, what) in listeners {
        let what = format!("{what} ({key} {address})");
        let bound = serve::bind(address).map(drop);
        findings.push(port_finding("tcp", address.port(), &what, bound));
    }
    findings
}

fn port_finding(protocol: &str, port: u16, what: &str, bound: io::Result<()>) -> Finding {
    let check = "ports";
    let shown = format!("{} port {port} for {what}", protocol.to_uppercase());
    let Err(error) = bound else { return Finding::good(check, format!("{shown} is free")) };
    if error.kind() != io::ErrorKind::AddrInUse {
        return Finding::trouble(check, format!("{shown} cannot be used: {error}"), SERVE_UNIT);
    }
    match holder(protocol, port) {
        Some(program) if program == "rackstrap" => {
            Finding::good(check, format!("{shown} is rackstrap's"))
        }
        Some(program) => {
            let remedy =
                format!("stop {program}, or give one of the two another port or interface");
            Finding::trouble(check, format!("{shown} is taken by {program}"), remedy)
        }
        None => {
            let remedy = format!("find who has it (ss -lpn, as root) and stop it: port {port}");
            Finding::trouble(check, format!("{shown} is taken by another program"), remedy)
        }
    }
}

/// The name of the program that has a port.
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

/// The inode of a line of `/proc/net/udp` or `tcp` that is about a port.
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

/// Whether this user may bind low ports and open raw sockets.
pub(super) fn capabilities(config: &Config) -> Vec<Finding> {
    let check = "capabilities";
    let Some(held) = effective_capabilities() else { return Vec::new() };
    let has = |bit: u32| held & (1 << bit) != 0;
    let low = |address: SocketAddr| address.port() < 1024;
    let needs_low =
        !config.interfaces.is_empty() || low(config.machine_listen) || low(config.admin_listen);
    if needs_low && !has(NET_BIND_SERVICE) {
        let text = "this user may not bind ports below 1024 (CAP_NET_BIND_SERVICE)";
        return vec![Finding::trouble(check, text, SERVE_UNIT)];
    }
    if !has(NET_RAW) {
        let text = "this user may not open raw sockets (CAP_NET_RAW): clients without an address \
                    are answered by broadcast, and addresses are not probed";
        return vec![Finding::warning(check, text, SERVE_UNIT)];
    }
    vec![Finding::good(check, "low ports and raw sockets are allowed to this user")]
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
