//! What a format cannot say of a host, by name: it is refused, never dropped. Pure.

use super::links::{HostNetwork, Link};
use crate::model::{EmitLldp, MacPolicy, MatchBy};

/// What a format has no words for that knows NICs by their MAC.
pub(super) const INFINIBAND: &str = "a NIC of InfiniBand";

/// Features that would be lost, each once, as `LINK: FEATURE`.
#[derive(Debug, Default)]
pub(super) struct Losses(Vec<String>);

impl Losses {
    /// Notes that the format has no words for `feature` of `link`, if it is used.
    pub(super) fn add_if(&mut self, used: bool, link: &str, feature: &str) {
        let text = format!("{link}: {feature}");
        if used && !self.0.contains(&text) {
            self.0.push(text);
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
    }

    /// Notes what only networkd has a word for.
    pub(super) fn networkd_alone(&mut self, link: &Link) {
        let words = [
            (link.settings.duplicate_detection, "duplicate-detection"),
            (link.settings.online_state.is_some(), "online-state"),
            (link.settings.online_family.is_some(), "online-family"),
            (link.settings.description.is_some(), "description"),
            (link.settings.group.is_some(), "group"),
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
        self.add_if(link.has_pattern(), &link.name, "match-name with a pattern");
        let Some(nic) = &link.nic else { return };
        let words = [
            (nic.wake_on_lan.is_some(), "wake-on-lan"),
            (nic.offload != Default::default(), "offload"),
            (nic.ring != Default::default(), "ring"),
            (nic.channels != Default::default(), "channels"),
            (nic.sriov.is_some(), "sriov"),
        ];
        for (used, feature) in words {
            self.add_if(used, &link.name, feature);
        }
    }

    /// The features, if any would be lost.
    pub(super) fn into_result(self) -> Result<(), Vec<String>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
