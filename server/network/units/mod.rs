//! Units of systemd for what networkd has no words for: each a service that runs a script once, and
//! a drop-in that has networkd start them. Pure.

mod auth;
mod namespaces;
mod nccl;
mod nics;
mod openvswitch;

use super::File;
use super::links::{HostNetwork, Kind, Link};
use crate::model::MatchBy;

/// Where services and their scripts are: systemd reads no file there that ends in `.sh`.
pub(crate) const DIRECTORY: &str = "/etc/systemd/system";
/// Where networkd is told to start them.
const DROP_IN: &str = "/etc/systemd/system/systemd-networkd.service.d";

/// A service that runs a script with `start`, and with `stop` where it has something to undo.
struct Service {
    /// The name without an ending, such as `rackstrap-namespaces`.
    name: &'static str,
    description: &'static str,
    /// Units that are started before it, beside networkd.
    after: &'static str,
    has_stop: bool,
    script: String,
}

/// All files of all units; none for a host that needs none.
pub(super) fn render(host: &HostNetwork) -> Vec<File> {
    let services: Vec<Service> =
        [namespaces::service(host), nics::service(host), openvswitch::service(host)]
            .into_iter()
            .flatten()
            .collect();
    let hints = nccl::render(host);
    let names = services.iter().map(|service| format!("{}.service", service.name));
    let names: Vec<String> = names.chain(auth::services(host)).collect();
    if names.is_empty() {
        return hints.into_iter().collect();
    }
    let wanted = format!("# {}\n[Unit]\nWants={}\n", host.origin(), names.join(" "));
    let mut files = vec![file(DROP_IN, "90-rackstrap-units.conf", 0o644, wanted)];
    for service in services {
        let name = service.name;
        files.push(file(DIRECTORY, &format!("{name}.service"), 0o644, unit(host, &service)));
        files.push(file(DIRECTORY, &format!("{name}.sh"), 0o644, service.script));
    }
    files.extend(auth::render(host));
    files.extend(hints);
    files
}

fn file(directory: &'static str, name: &str, mode: u32, text: String) -> File {
    File { name: name.to_owned(), directory: Some(directory.into()), mode, text }
}

fn unit(host: &HostNetwork, service: &Service) -> String {
    let Service { name, description, after, has_stop, .. } = service;
    let run = |key: &str, word: &str| format!("{key}=/bin/sh {DIRECTORY}/{name}.sh {word}\n");
    let stop = if *has_stop { run("ExecStop", "stop") } else { String::new() };
    // A NIC may be slow to appear: the script waits 60 s at most.
    format!(
        "# {}\n[Unit]\nDescription={description}\nAfter=systemd-networkd.service{after}\n\n[Service]\n\
         Type=oneshot\nRemainAfterExit=yes\nTimeoutStartSec=120s\n{}{stop}",
        host.origin(),
        run("ExecStart", "start"),
    )
}

/// The head of every script: how a NIC is found, whatever the kernel calls it.
fn head(host: &HostNetwork) -> String {
    format!("#!/bin/sh\n# {}\nset -eu\n\n{FIND}", host.origin())
}

/// A bond rewrites the MAC of its members, so a permanent one counts before a present one, and the
/// lowest link before those on it.
const FIND: &str = r#"# Prints the kernel's name of the NIC with a permanent MAC.
by_mac() {
    ip -o link show | awk -v mac="$1" '
        {
            split($2, name, /[:@]/); permanent = ""; present = ""
            for (i = 3; i < NF; i++) {
                if ($i == "permaddr") permanent = $(i + 1)
                if ($i ~ /^link\/(ether|infiniband)$/) present = $(i + 1)
            }
            if (permanent == mac) { print name[1]; found = 1; exit }
            if (permanent == "" && present == mac && first == "") first = name[1]
        }
        END { if (!found && first != "") print first; exit !(found || first != "") }'
}

# Prints the kernel's name of the NIC at a place, udev's ID_PATH.
by_path() {
    for nic in /sys/class/net/*; do
        udevadm info --query=property --path="$nic" 2>/dev/null | grep -qxF "ID_PATH=$1" || continue
        basename "$nic"
        return
    done
    return 1
}

# Prints a link that is there by this name.
by_name() {
    ip link show dev "$1" >/dev/null 2>&1 && echo "$1"
}

# Waits for a NIC, up to 60 s for all of them together, and prints its name.
began=$(date +%s)
find_link() {
    while :; do
        "$@" && return
        [ $(($(date +%s) - began)) -lt 60 ] || break
        sleep 1
    done
    echo "rackstrap: NIC $2 not found" >&2
    return 1
}

"#;

/// What prints the kernel's name of a link that is there without a unit: a command of the shell.
fn finder(host: &HostNetwork, link: &Link) -> String {
    let path = link.nic.as_ref().and_then(|nic| nic.path.as_deref());
    match (&link.kind, host.match_by, path) {
        _ if host.has_known_name(link) => format!("find_link by_name {}", link.device()),
        (Kind::Nic(_), MatchBy::Path, Some(path)) => format!("find_link by_path {}", quoted(path)),
        (Kind::Nic(Some(address)), ..) => format!("find_link by_mac {address}"),
        _ => format!("find_link by_name {}", link.device()),
    }
}

/// A word of the shell that stays a word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
