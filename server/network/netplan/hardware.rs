//! What netplan says of NICs, and of how links are announced and brought up. Pure.

use serde_json::json;

use super::{Writer, present};
use crate::model::{EapMethod, EmitLldp, MacPolicy, MatchBy, NicSpec, OffloadSpec, WakeOnLan};
use crate::network::PortAuth;

impl Writer<'_> {
    /// What is said of how the link is announced and brought up.
    pub(super) fn bringup(&mut self) {
        match self.link.settings.emit_lldp {
            EmitLldp::No => {}
            EmitLldp::Yes => self.set("emit-lldp", true),
            EmitLldp::NonTpmr | EmitLldp::Customer => self.lose(true, "emit-lldp by distance"),
        }
        self.lose(self.link.settings.lldp.is_some(), "lldp");
        self.losses.networkd_alone(self.link);
        // Without one, what netplan writes for networkd leaves the choice to that.
        let persistent = self.link.settings.mac_policy() == Some(MacPolicy::Persistent);
        self.beyond_cloud_init(persistent, "macaddress: persistent");
        if let Some(mode) = self.link.settings.activation_mode {
            self.set("activation-mode", mode.label());
        }
        self.beyond_cloud_init(self.link.settings.activation_mode.is_some(), "activation-mode");
        if self.link.settings.ignore_carrier {
            self.set("ignore-carrier", true);
        }
        self.beyond_cloud_init(self.link.settings.ignore_carrier, "ignore-carrier");
        if self.link.settings.critical {
            self.set("critical", true);
        }
        self.beyond_cloud_init(self.link.settings.critical, "critical");
    }

    /// How the NIC is let in by IEEE 802.1X.
    pub(super) fn auth(&mut self, auth: &PortAuth) {
        let PortAuth { spec, password, client_key_password, .. } = auth;
        let is_tls = spec.method == EapMethod::Tls;
        let text = |value: &dyn std::fmt::Display| json!(value.to_string());
        // Passed on to wpa_supplicant, whose words are in capitals.
        let inner = spec.phase2_auth.unwrap_or_default().label().to_ascii_uppercase();
        let keys = present([
            ("key-management", Some(json!(spec.key_management.label()))),
            ("method", Some(json!(spec.method.label()))),
            ("identity", Some(text(&spec.identity))),
            ("anonymous-identity", spec.anonymous_identity.as_ref().map(|name| text(name))),
            ("password", password.as_ref().map(|password| text(password))),
            ("phase2-auth", (!is_tls).then(|| json!(inner))),
            ("ca-certificate", spec.ca_certificate.as_ref().map(|path| text(path))),
            ("client-certificate", spec.client_certificate.as_ref().map(|path| text(path))),
            ("client-key", auth.key_path(&self.link.name).map(|path| json!(path))),
            ("client-key-password", client_key_password.as_ref().map(|password| text(password))),
        ]);
        self.set("auth", keys);
    }

    /// What is said of the hardware. `.link` files are netplan's as well: it writes them.
    pub(super) fn nic(&mut self, nic: &NicSpec) {
        let by_name = self.host.match_by == MatchBy::Name;
        if let Some(name) = &nic.set_name {
            self.lose(by_name, "set-name without a MAC");
            self.set("set-name", name.as_str());
        }
        let mut found = serde_json::Map::new();
        if let Some(name) = nic.match_name.as_deref().filter(|_| by_name) {
            found.insert("name".to_owned(), json!(name));
        }
        if let Some(driver) = nic.match_driver.as_deref().filter(|_| by_name) {
            self.beyond_cloud_init(true, "match-driver");
            found.insert("driver".to_owned(), json!(driver));
        }
        if !found.is_empty() {
            self.set("match", found);
        }
        match nic.wake_on_lan.as_deref() {
            None => {}
            Some([]) => self.set("wakeonlan", false),
            Some([WakeOnLan::Magic]) => self.set("wakeonlan", true),
            Some(_) => self.lose(true, "wake-on-lan but by magic"),
        }
        self.offload(&nic.offload);
        self.lose(nic.ring != Default::default(), "ring");
        self.lose(nic.channels != Default::default(), "channels");
        self.lose(nic.coalesce != Default::default(), "coalesce");
        let Some(sriov) = &nic.sriov else { return };
        self.beyond_cloud_init(true, "sriov");
        self.lose(!sriov.functions.is_empty(), "single virtual functions");
        self.set("virtual-function-count", sriov.count);
        if let Some(mode) = sriov.eswitch {
            self.set("embedded-switch-mode", mode.label());
        }
    }

    fn offload(&mut self, offload: &OffloadSpec) {
        let keys = [
            ("receive-checksum-offload", offload.rx_checksum),
            ("transmit-checksum-offload", offload.tx_checksum),
            ("tcp-segmentation-offload", offload.tso),
            ("tcp6-segmentation-offload", offload.tso6),
            ("generic-segmentation-offload", offload.gso),
            ("generic-receive-offload", offload.gro),
            ("large-receive-offload", offload.lro),
        ];
        for (key, value) in keys {
            let Some(value) = value else { continue };
            self.beyond_cloud_init(true, "offload");
            self.set(key, value);
        }
    }
}
