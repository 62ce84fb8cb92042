//! What a format cannot say of a host, by name: it is refused, never dropped. Pure.

use super::Format;
use super::links::{HostNetwork, Link};
use crate::model::{EmitLldp, MacPolicy, MatchBy};

/// What a format has no words for that knows NICs by their MAC.
pub(super) const INFINIBAND: &str = "a NIC of InfiniBand";

/// Features that would be lost, each once, as `LINK: FEATURE`.
#[derive(Debug, Default)]
pub(super) struct Losses {
    lost: Vec<String>,
    /// Those that the link does its work without.
    left_out: Vec<String>,
}

impl Losses {
    /// Notes that the format has no words for `feature` of `link`, if it is used.
    pub(super) fn add_if(&mut self, used: bool, link: &str, feature: &str) {
        let text = format!("{link}: {feature}");
        if used && !self.lost.contains(&text) {
            self.lost.push(text);
        }
    }

    /// Notes that the format has no words for `feature` of `link`, and that the link does its work
    /// without.
    pub(super) fn leave_out(&mut self, link: &str, feature: &str) {
        let text = format!("{link}: {feature}");
        if !self.left_out.contains(&text) {
            self.left_out.push(text);
        }
    }

    /// Notes what is said of how a link is announced and brought up.
    pub(super) fn bring_up(&mut self, link: &Link) {
        let words = [
            (link.settings.emit_lldp != EmitLldp::No, "emit-lldp"),
            (link.settings.lldp.is_some(), "lldp"),
            (link.settings.activation_mode.is_some(), "activation-mode"),
            (link.settings.mac_policy() == Some(MacPolicy::Persistent), "macaddress: persistent"),
            (link.settings.ignore_carrier, "ignore-carrier"),
            (link.settings.critical, "critical"),
            (link.settings.optional, "optional"),
        ];
        for (used, feature) in words {
            self.add_if(used, &link.name, feature);
        }
        self.networkd_alone(link);
        self.client(link);
    }

    /// Notes what is said of how addresses are made and asked for.
    pub(super) fn client(&mut self, link: &Link) {
        let settings = &link.settings;
        let words = [
            (settings.ipv6_token.is_some(), "ipv6-token"),
            (settings.ipv6_privacy.is_some(), "ipv6-privacy"),
            (settings.ipv6_address_generation.is_some(), "ipv6-address-generation"),
            (settings.dhcp_identifier.is_some(), "dhcp-identifier"),
            (settings.duid.is_some(), "duid"),
            (settings.vendor_class.is_some(), "vendor-class"),
        ];
        for (used, feature) in words {
            self.add_if(used, &link.name, feature);
        }
    }

    /// Notes what networkd has a word for, and most others have none.
    pub(super) fn networkd_alone(&mut self, link: &Link) {
        self.add_if(link.settings.description.is_some(), &link.name, "description");
        self.networkd_words(link);
    }

    /// Notes what only networkd has a word for.
    pub(super) fn networkd_words(&mut self, link: &Link) {
        let words = [
            (link.settings.duplicate_detection, "duplicate-detection"),
            (!link.settings.neighbors.is_empty(), "neighbors"),
            (!link.settings.forwarding.is_empty(), "forwarding"),
            (link.settings.online_state.is_some(), "online-state"),
            (link.settings.online_family.is_some(), "online-family"),
            (link.settings.group.is_some(), "group"),
            (link.settings.metric.is_some(), "metric"),
            (link.settings.qdisc.is_some(), "qdisc"),
            (link.settings.mac_policy() == Some(MacPolicy::Kernel), "macaddress: none"),
            (link.written().any(|written| written.peer.is_some()), "peer"),
            (link.written().any(|written| written.scope.is_some()), "scope of an address"),
        ];
        for (used, feature) in words {
            self.add_if(used, &link.name, feature);
        }
    }

    /// Notes what is said of a NIC's hardware besides its name.
    pub(super) fn hardware(&mut self, host: &HostNetwork, link: &Link) {
        self.add_if(link.is_nic() && host.match_by == MatchBy::Path, &link.name, "match by path");
        let driver = link.nic.as_ref().and_then(|nic| nic.match_driver.as_ref());
        self.add_if(driver.is_some(), &link.name, "match-driver");
        self.add_if(link.has_pattern(), &link.name, "match-name with a pattern");
        let Some(nic) = &link.nic else { return };
        let words = [
            (nic.wake_on_lan.is_some(), "wake-on-lan"),
            (nic.offload != Default::default(), "offload"),
            (nic.ring != Default::default(), "ring"),
            (nic.channels != Default::default(), "channels"),
            (nic.coalesce != Default::default(), "coalesce"),
            (nic.sriov.is_some(), "sriov"),
        ];
        for (used, feature) in words {
            self.add_if(used, &link.name, feature);
        }
    }

    /// Notes what units of systemd do for networkd.
    pub(super) fn units(&mut self, host: &HostNetwork, format: Format) {
        // Those have words of their own for it.
        let lets_in = matches!(format, Format::Netplan | Format::NetworkManager);
        for link in host.links.values() {
            let nic = link.nic.as_deref();
            let words = [
                (link.settings.namespace.is_some(), "namespace"),
                (!link.settings.multicast_macs.is_empty(), "multicast-macs"),
                (nic.is_some_and(|nic| nic.infiniband_mode.is_some()), "infiniband-mode"),
                (nic.is_some_and(|nic| nic.roce.is_some()), "roce"),
                (nic.is_some_and(|nic| nic.driver_override.is_some()), "driver-override"),
                (link.is_openvswitch(), "openvswitch"),
                (nic.is_some_and(|nic| nic.affinity != Default::default()), "affinity"),
                (link.auth.is_some() && !lets_in, "auth"),
            ];
            for (used, feature) in words {
                self.add_if(used, &link.name, feature);
            }
        }
        self.add_if(host.nccl.is_some(), "profile", "nccl");
    }

    /// The features that are left out, or those that would be lost, if there are any.
    pub(super) fn into_result(self) -> Result<Vec<String>, Vec<String>> {
        if self.lost.is_empty() { Ok(self.left_out) } else { Err(self.lost) }
    }
}
