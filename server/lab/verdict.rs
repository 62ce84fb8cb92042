//! Checks a host's report against its layout. Pure.

use std::fmt::{self, Write};

use serde::Deserialize;

use super::sample_site::Layout;

/// The report of a lab host (`guest/rackstrap-report.sh`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct HostReport {
    /// `up` or `failed`.
    pub state: String,
    /// Summary.
    pub text: String,
    /// Addresses by link.
    pub addresses: String,
    /// Output of ping to the gateway.
    pub ping: String,
    /// The device of its root file system.
    pub root: String,
    /// Its host name.
    pub hostname: String,
    /// `/proc/net/bonding` by bond.
    pub bonding: std::collections::BTreeMap<String, String>,
}

/// The active aggregator in `/proc/net/bonding/bond0`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aggregator {
    ports: u32,
    partner: String,
}

/// What a report shows of a host that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The address, and the link that has it.
    pub address: String,
    pub link: &'static str,
    /// The MAC of the LACP partner.
    pub partner: String,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, link, partner } = self;
        write!(f, "{address} on {link}, LACP with 2 ports, partner {partner}")
    }
}

/// What a report lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Shortfall {
    /// The host reported a failure, with this summary.
    #[error("{0}")]
    Failed(String),
    #[error("bond0 does not exist")]
    NoBond,
    #[error("bond0 has no 802.3ad aggregator")]
    NoAggregator,
    #[error("bond0 has {ports} port in its aggregator, expected 2")]
    Ports { ports: u32 },
    #[error("bond0 has no LACP partner")]
    NoPartner,
    #[error("{link} does not have address {address}")]
    NoAddress { link: &'static str, address: String },
    #[error("the gateway did not answer every ping")]
    Ping,
    #[error("its root file system is on {0:?}, expected its disk")]
    Root(String),
    #[error("its host name is {0:?}")]
    HostName(String),
}

impl HostReport {
    /// Checks for an 802.3ad bond with two ports in one aggregator and a partner, the address, and
    /// the gateway's answer.
    pub(super) fn check(&self, layout: Layout, address: &str) -> Result<Proof, Shortfall> {
        if self.state != "up" {
            return Err(Shortfall::Failed(self.text.clone()));
        }
        let bond = self.bonding.get("bond0").ok_or(Shortfall::NoBond)?;
        let Aggregator { ports, partner } = aggregator(bond).ok_or(Shortfall::NoAggregator)?;
        if ports != 2 {
            return Err(Shortfall::Ports { ports });
        }
        if partner == "00:00:00:00:00:00" {
            return Err(Shortfall::NoPartner);
        }
        let top = layout.top();
        let has_address = |line: &str| {
            let mut words = line.split_whitespace();
            // ip shows a VLAN as NAME@LINK.
            words.next().and_then(|name| name.split('@').next()) == Some(top)
                && words.any(|word| word.split_once('/').is_some_and(|(ip, _)| ip == address))
        };
        if !self.addresses.lines().any(has_address) {
            return Err(Shortfall::NoAddress { link: top, address: address.to_owned() });
        }
        if !self.ping.contains(" 0% packet loss") {
            return Err(Shortfall::Ping);
        }
        Ok(Proof { address: address.to_owned(), link: top, partner })
    }

    /// Checks that the system runs from the host's own disk, under its own name.
    pub(super) fn check_installed(&self, name: &str) -> Result<(), Shortfall> {
        if !["/dev/vd", "/dev/md", "/dev/nvme"].iter().any(|disk| self.root.starts_with(disk)) {
            return Err(Shortfall::Root(self.root.clone()));
        }
        match self.hostname == name {
            true => Ok(()),
            false => Err(Shortfall::HostName(self.hostname.clone())),
        }
    }

    /// The report as text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let mut part = |title: &str, body: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "-- {title}");
            for line in body.trim_matches('\n').lines() {
                let _ = writeln!(text, "   {line}");
            }
        };
        for (bond, body) in &self.bonding {
            part(&format!("/proc/net/bonding/{bond}"), body);
        }
        part("ip -br address", &self.addresses);
        part("ping of the gateway", &self.ping);
        text
    }
}

/// Parses the active aggregator in `/proc/net/bonding`.
fn aggregator(bond: &str) -> Option<Aggregator> {
    let active = bond.split_once("Active Aggregator Info:")?.1;
    let value = |key: &str| {
        active.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "))
    };
    Some(Aggregator {
        ports: value("Number of ports")?.parse().ok()?,
        partner: value("Partner Mac Address")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOND: &str = "Ethernet Channel Bonding Driver: v6.1.0\n\n\
                        Bonding Mode: IEEE 802.3ad Dynamic link aggregation\n\
                        802.3ad info\nLACP active: on\n\
                        Active Aggregator Info:\n\tAggregator ID: 1\n\tNumber of ports: 2\n\
                        \tActor Key: 21\n\tPartner Key: 21\n\
                        \tPartner Mac Address: 52:54:00:5c:01:00\n";

    fn report() -> HostReport {
        HostReport {
            state: "up".into(),
            text: "fine".into(),
            addresses: "lo UNKNOWN 127.0.0.1/8\nvirbr0 UP 172.16.160.12/24\n".into(),
            ping: "3 packets transmitted, 3 received, 0% packet loss, time 400ms".into(),
            bonding: [("bond0".to_owned(), BOND.to_owned())].into(),
            root: "/dev/vda3".into(),
            hostname: "r1-n01".into(),
        }
    }

    #[test]
    fn an_installed_host_runs_from_its_disk() {
        assert_eq!(report().check_installed("r1-n01"), Ok(()));
        let mirror = HostReport { root: "/dev/md127".into(), ..report() };
        assert_eq!(mirror.check_installed("r1-n01"), Ok(()));
        let live = HostReport { root: "none".into(), ..report() };
        assert_eq!(live.check_installed("r1-n01"), Err(Shortfall::Root("none".into())));
        let other = Shortfall::HostName("r1-n01".into());
        assert_eq!(report().check_installed("r1-n02"), Err(other));
    }

    #[test]
    fn a_host_is_up_only_if_every_part_is_present() {
        let check = |report: HostReport| report.check(Layout::BondVlanBridge, "172.16.160.12");
        assert_eq!(
            check(report()).unwrap().to_string(),
            "172.16.160.12 on virbr0, LACP with 2 ports, partner 52:54:00:5c:01:00"
        );
        let with_bond = |from: &str, to: &str| HostReport {
            bonding: [("bond0".to_owned(), BOND.replace(from, to))].into(),
            ..report()
        };
        let broken = [
            HostReport { state: "failed".into(), ..report() },
            HostReport { bonding: Default::default(), ..report() },
            with_bond("ports: 2", "ports: 1"),
            with_bond("52:54:00:5c:01:00", "00:00:00:00:00:00"),
            with_bond("Active Aggregator Info", "No"),
            HostReport { addresses: "vlan500 UP 172.16.160.12/24".into(), ..report() },
            HostReport { addresses: "virbr0 UP 172.16.160.120/24".into(), ..report() },
            HostReport { ping: "3 received, 100% packet loss".into(), ..report() },
        ];
        for report in broken {
            assert!(check(report.clone()).is_err(), "{report:?}");
        }
    }

    #[test]
    fn a_report_is_rendered_part_by_part() {
        let text = report().render();
        assert!(text.starts_with("-- /proc/net/bonding/bond0\n   Ethernet"), "{text}");
        assert!(text.contains("-- ip -br address\n   lo UNKNOWN"), "{text}");
    }
}
