//! Lays the keys that an operator adds over the files of a link. Pure.
//!
//! The result is predictable: keys stand at the end of the first section of their name, below a
//! comment, and a section that may stand several times, or is not there, is added at the end. Of a
//! key that is read once, networkd and NetworkManager take the last.

use std::fmt::Write as _;

use super::links::HostNetwork;
use super::losses::Losses;
use super::{File, Format};
use crate::model::{ExtraSection, LinkExtra, Sections};

/// Stands above what is added.
pub(super) const COMMENT: &str = "# extra, not checked";

/// Sections that networkd reads several times, each for itself (systemd.network(5),
/// systemd.netdev(5)).
const REPEATED: [&str; 22] = [
    "Address",
    "BridgeFDB",
    "BridgeMDB",
    "BridgeVLAN",
    "DHCPServerStaticLease",
    "DeficitRoundRobinSchedulerClass",
    "HierarchyTokenBucketClass",
    "IPv6AddressLabel",
    "IPv6Prefix",
    "IPv6PREF64Prefix",
    "IPv6RoutePrefix",
    "L2TPSession",
    "MACsecReceiveAssociation",
    "MACsecReceiveChannel",
    "MACsecTransmitAssociation",
    "Neighbor",
    "NextHop",
    "QuickFairQueueingClass",
    "Route",
    "RoutingPolicyRule",
    "SR-IOV",
    "WireGuardPeer",
];

/// Whether a section may stand several times, each for itself.
pub(super) fn may_repeat(section: &str) -> bool {
    REPEATED.contains(&section)
}

/// The text of a file with the sections added.
pub(super) fn merged(mut text: String, extra: &Sections) -> String {
    let each = |(section, copies): (&String, &ExtraSection)| {
        let keys = copies.copies().iter().cloned();
        keys.map(|keys| (section.clone(), keys)).collect::<Vec<_>>()
    };
    for (section, keys) in extra.iter().flat_map(each) {
        let mut added = format!("{COMMENT}\n");
        for (key, value) in keys {
            for line in value.lines() {
                let _ = writeln!(added, "{key}={line}");
            }
        }
        match end_of(&text, &section).filter(|_| !may_repeat(&section)) {
            Some(end) => text.insert_str(end, &added),
            None => {
                let gap = if text.is_empty() { "" } else { "\n" };
                let _ = write!(text, "{gap}[{section}]\n{added}");
            }
        }
    }
    text
}

/// Where the first section of a name ends: behind its last line.
fn end_of(text: &str, section: &str) -> Option<usize> {
    let header = format!("[{section}]");
    let (mut at, mut end, mut is_inside) = (0, None, false);
    for line in text.split_inclusive('\n') {
        at += line.len();
        let line = line.trim_end();
        if line.starts_with('[') {
            if is_inside {
                break;
            }
            is_inside = line == header;
        }
        if is_inside && !line.is_empty() {
            end = Some(at);
        }
    }
    end
}

/// Refuses what is meant for other formats alone, and whole files where a format is not files.
pub(super) fn losses(host: &HostNetwork, format: Format, losses: &mut Losses) {
    for link in host.links.values() {
        let extra = &link.settings.extra;
        if extra.is_empty() {
            continue;
        }
        let LinkExtra { network, netdev, link: udev, keyfile, interfaces } = extra;
        let has_own = match format {
            Format::Networkd | Format::Ignition | Format::NixOs => {
                !(network.is_empty() && netdev.is_empty() && udev.is_empty())
            }
            Format::NetworkManager => !(keyfile.is_empty() && udev.is_empty()),
            Format::Nmstate => !udev.is_empty(),
            Format::Ifupdown2 => !(interfaces.is_empty() && udev.is_empty()),
            // Those are not a link's.
            Format::Frr | Format::Sysctl => true,
            _ => false,
        };
        losses.add_if(!has_own, &link.name, "extra");
    }
    let keeps_files = matches!(
        format,
        Format::Networkd
            | Format::Netplan
            | Format::Ignition
            | Format::NetworkManager
            | Format::Nmstate
            | Format::Ifupdown2
            | Format::NixOs
            | Format::Frr
            | Format::Sysctl
    );
    losses.add_if(!keeps_files && !host.extra_files.is_empty(), "profile", "extra files");
}

/// The whole files of a host.
pub(super) fn files(host: &HostNetwork) -> Vec<File> {
    let file = |(path, file): (&String, &crate::model::ExtraFile)| {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut text = file.text.clone();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        File {
            name: name.to_owned(),
            directory: Some(directory.to_owned().into()),
            mode: file.mode(),
            text,
        }
    };
    host.extra_files.iter().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_at_the_end_of_their_section() {
        let text = "# head\n\n[Match]\nName=eth0\n\n[Network]\nDNS=10.0.0.1\n\n[Address]\nAddress=10.0.0.2/24\n";
        let extra: Sections = serde_json::from_value(serde_json::json!({
            "Network": {"DHCP": "no", "DNS": ["10.0.0.3", "10.0.0.4"]},
            "Address": [{"Address": "10.0.0.9/32"}, {"Address": "10.0.0.8/32", "Scope": "link"}],
            "QDisc": {"Parent": "root"},
        }))
        .unwrap();
        let expected = "# head\n\n[Match]\nName=eth0\n\n[Network]\nDNS=10.0.0.1\n\
                        # extra, not checked\nDHCP=no\nDNS=10.0.0.3\nDNS=10.0.0.4\n\n\
                        [Address]\nAddress=10.0.0.2/24\n\n\
                        [Address]\n# extra, not checked\nAddress=10.0.0.9/32\n\n\
                        [Address]\n# extra, not checked\nAddress=10.0.0.8/32\nScope=link\n\n\
                        [QDisc]\n# extra, not checked\nParent=root\n";
        assert_eq!(merged(text.to_owned(), &extra), expected);
        assert_eq!(merged(text.to_owned(), &Sections::default()), text);
    }
}
