//! Checks a host's report against its layout. Pure.

use std::fmt::Write;

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
    /// `/proc/net/bonding` by bond.
    pub bonding: std::collections::BTreeMap<String, String>,
}

/// The active aggregator in `/proc/net/bonding/bond0`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Aggregator {
    ports: u32,
    partner: String,
}

impl HostReport {
    /// Checks for an 802.3ad bond with two ports in one aggregator and a partner, the address, and
    /// the gateway's answer.
    pub(super) fn check(&self, layout: Layout, address: &str) -> Result<String, String> {
        if self.state != "up" {
            return Err(self.text.clone());
        }
        let bond = self.bonding.get("bond0").ok_or("bond0 does not exist")?;
        let Aggregator { ports, partner } =
            aggregator(bond).ok_or("bond0 has no 802.3ad aggregator")?;
        if ports != 2 {
            return Err(format!("bond0 has {ports} port in its aggregator, expected 2"));
        }
        if partner == "00:00:00:00:00:00" {
            return Err("bond0 has no LACP partner".into());
        }
        let top = layout.top();
        let has_address = |line: &str| {
            let mut words = line.split_whitespace();
            // ip shows a VLAN as NAME@LINK.
            words.next().and_then(|name| name.split('@').next()) == Some(top)
                && words.any(|word| word.split_once('/').is_some_and(|(ip, _)| ip == address))
        };
        if !self.addresses.lines().any(has_address) {
            return Err(format!("{top} does not have address {address}"));
        }
        if !self.ping.contains(" 0% packet loss") {
            return Err("the gateway did not answer every ping".into());
        }
        Ok(format!("{address} on {top}, LACP with 2 ports, partner {partner}"))
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
        }
    }

    #[test]
    fn a_host_is_up_only_if_every_part_is_present() {
        let check = |report: HostReport| report.check(Layout::BondVlanBridge, "172.16.160.12");
        assert_eq!(
            check(report()).unwrap(),
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
