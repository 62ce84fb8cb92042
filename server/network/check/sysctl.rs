//! Rule N180 for kernel settings: names that no kernel has. Pure.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Findings, ProfileView};
use crate::network::nearest;

/// The directories of /proc/sys, and those of /proc/sys/net (Documentation/admin-guide/sysctl).
const ROOTS: [&str; 12] = [
    "abi", "crypto", "debug", "dev", "fs", "fscache", "kernel", "net", "sunrpc", "user", "vm",
    "xen",
];
const NET: [&str; 16] = [
    "bridge",
    "can",
    "core",
    "ieee802154",
    "ipv4",
    "ipv6",
    "llc",
    "mpls",
    "mptcp",
    "netfilter",
    "rds",
    "sctp",
    "smc",
    "unix",
    "vsock",
    "x25",
];

/// The settings in a directory that every kernel with the directory has: those of Linux 5.10 to
/// 6.18 (ip-sysctl.rst, net.rst and /proc/sys), with `*` for an interface.
static SETTINGS: LazyLock<BTreeMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let lines = include_str!("sysctl_names.txt").lines();
    let rows = lines.filter_map(|line| line.split_once(": "));
    rows.map(|(directory, names)| (directory, names.split(' ').collect())).collect()
});

/// The parts of a name as sysctl.d(5) reads it: what comes first, a dot or a slash, separates.
fn parts(name: &str) -> Vec<String> {
    let name = name.strip_prefix('-').unwrap_or(name);
    match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
        Some(b'/') => name.split('/').map(str::to_owned).collect(),
        _ => name.split('.').map(|part| part.replace('/', ".")).collect(),
    }
}

pub(super) fn check(view: &ProfileView<'_>, findings: &mut Findings) {
    for name in view.profile.sysctls.keys() {
        let parts = parts(name);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (root, area) = (parts[0], parts.get(1).copied().unwrap_or_default());
        let (wrong, known) = if !ROOTS.contains(&root) {
            (root, &ROOTS[..])
        } else if root == "net" && !NET.contains(&area) && !area.starts_with("nf_") {
            (area, &NET[..])
        } else {
            setting(view, name, &parts, findings);
            continue;
        };
        let hint = nearest::hint(wrong, known.iter().copied());
        let text = format!("the kernel has no setting {name}: unknown \"{wrong}\"{hint}");
        findings.error("N180", view.within(["sysctls"]), text);
    }
}

/// A setting in a directory whose settings are known. A warning: a kernel may have patches.
fn setting(view: &ProfileView<'_>, name: &str, parts: &[&str], findings: &mut Findings) {
    let place = || view.within(["sysctls"]);
    let Some((leaf, directory)) = parts.split_last() else { return };
    // A pattern of sysctl.d(5) is for whatever matches.
    if name.contains(['*', '?', '[']) {
        return;
    }
    let is_of_interfaces = matches!(directory, [_, "ipv4" | "ipv6", "conf" | "neigh", _, ..]);
    if let [_, family, kind, first, .., last] = directory
        && is_of_interfaces
    {
        let slashes = format!("net/{family}/{kind}/{}/{leaf}", directory[3..].join("."));
        let text = format!(
            "the kernel has no setting {name}: a dot in the interface name {first}...{last} separates \
             too; write {slashes}"
        );
        return findings.warn("N180", place(), text);
    }
    let key = match directory {
        [net, family, kind, _] if is_of_interfaces => format!("{net}.{family}.{kind}.*"),
        _ => directory.join("."),
    };
    let Some(known) = SETTINGS.get(key.as_str()) else { return };
    if !known.contains(leaf) {
        let hint = nearest::hint(leaf, known.iter().copied());
        let text = format!("no kernel has a setting {name}: unknown \"{leaf}\"{hint}");
        return findings.warn("N180", place(), text);
    }
    let links = &view.network.links;
    let Some(device) = directory.get(3).filter(|_| is_of_interfaces) else { return };
    let is_made =
        |name: &str| links.contains_key(name) || links.values().any(|link| link.device() == name);
    let names = links.values().map(|link| link.device()).chain(["all", "default", "lo"]);
    if !["all", "default", "lo"].contains(device)
        && !is_made(device)
        && let Some(meant) = nearest::nearest(device, names)
    {
        // An interface of another program's need not be in the profile.
        let text =
            format!("{name}: the profile has no link \"{device}\"; did you mean \"{meant}\"?");
        findings.warn("N180", place(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn names_are_split_as_sysctl_d_does() {
        let cases = [
            ("net.ipv4.ip_forward", vec!["net", "ipv4", "ip_forward"]),
            ("-net.ipv4.ip_forward", vec!["net", "ipv4", "ip_forward"]),
            (
                "net/ipv4/conf/eth0.10/rp_filter",
                vec!["net", "ipv4", "conf", "eth0.10", "rp_filter"],
            ),
            (
                "net.ipv4.conf.eth0/10.rp_filter",
                vec!["net", "ipv4", "conf", "eth0.10", "rp_filter"],
            ),
        ];
        for (name, expected) in cases {
            assert_eq!(parts(name), expected);
        }
    }
}
