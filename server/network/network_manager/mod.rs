//! Writes a host's links as NetworkManager keyfiles (nm-settings-keyfile(5)), in the
//! vocabulary of NetworkManager 1.42 (Debian 12). Pure. What udev sets on a NIC stays in
//! `.link` files, which are udev's whatever brings the links up.

mod addresses;
mod kinds;
mod routes;

use sha1::{Digest, Sha1};

use super::links::{HostNetwork, Kind, Link, Role};
use super::losses::{INFINIBAND, Losses};
use super::unit::Unit;
use super::{File, Format, PortAuth, extra, networkd};
use crate::model::{
    DnsOverTls, EapMethod, EmitLldp, Eswitch, Mac, MacPolicy, MatchBy, NicAddress, NicSpec,
    ReceiveLldp,
};

/// The namespace of the connections' UUIDs, a random one.
const NAMESPACE: [u8; 16] = *b"\x8e\x1d\x6a\x52\x0c\x3f\x4b\x97\xa4\x5e\x21\xd0\x7b\x94\xc6\x38";

/// What NetworkManager does by itself, and a connection for every link.
pub(super) fn render(host: &HostNetwork, losses: &mut Losses) -> Vec<File> {
    let managed = |link: &&Link| !matches!(link.role, Role::Unused | Role::Unmanaged);
    let mut files = networkd::link_files(host);
    files.push(settings(host));
    for link in host.links.values().filter(managed) {
        let text = Keyfile { host, link, unit: Unit::default(), losses }.write();
        let text = extra::merged(text, &link.settings.extra.keyfile);
        let name = format!("{}.nmconnection", link.name);
        files.push(File::of(Format::NetworkManager, name, text));
    }
    files
}

/// What holds whatever connection a link has. Without it, every NIC that has none gets one
/// that asks DHCP.
pub(super) fn settings(host: &HostNetwork) -> File {
    let mut unit = Unit::default();
    unit.comment(&host.origin());
    unit.section("main");
    unit.set("no-auto-default", "*");
    for link in host.links.values() {
        let unmanaged = link.role == Role::Unmanaged;
        if !unmanaged && !link.settings.ignore_carrier {
            continue;
        }
        unit.section(&format!("device-rackstrap-{}", link.name));
        match known_by(host, link) {
            KnownBy::Mac(mac) => unit.set("match-device", format!("mac:{mac}")),
            _ => unit.set("match-device", format!("interface-name:{}", link.device())),
        }
        match unmanaged {
            true => unit.set("managed", 0),
            false => unit.set("ignore-carrier", 1),
        }
    }
    File {
        name: "90-rackstrap-devices.conf".into(),
        directory: Some("/etc/NetworkManager/conf.d".into()),
        mode: 0o644,
        text: unit.finish(),
    }
}

/// How a connection finds its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownBy<'a> {
    /// By the permanent MAC of a NIC, whatever it is called.
    Mac(Mac),
    /// By the place of a NIC, whatever it is called.
    Path(&'a str),
    /// By name.
    Name,
}

pub(super) fn known_by<'a>(host: &HostNetwork, link: &'a Link) -> KnownBy<'a> {
    let path = link.nic.as_ref().and_then(|nic| nic.path.as_deref());
    match (&link.kind, host.match_by, path) {
        (Kind::Nic(Some(NicAddress::Mac(mac))), MatchBy::PermanentMac | MatchBy::Mac, _) => {
            KnownBy::Mac(*mac)
        }
        (Kind::Nic(_), MatchBy::Path, Some(path)) => KnownBy::Path(path),
        _ => KnownBy::Name,
    }
}

/// The UUID of a link's connection, the same whenever it is rendered (RFC 9562 section 5.5).
fn uuid(host: &HostNetwork, link: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(NAMESPACE);
    hash.update(format!("{}/{link}", host.host));
    let mut bytes: [u8; 16] = std::array::from_fn({
        let hash = hash.finalize();
        move |index| hash[index]
    });
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// One connection under construction.
struct Keyfile<'a> {
    host: &'a HostNetwork,
    link: &'a Link,
    unit: Unit,
    losses: &'a mut Losses,
}

impl Keyfile<'_> {
    fn lose(&mut self, lost: bool, feature: &str) {
        self.losses.add_if(lost, &self.link.name, feature);
    }

    fn write(mut self) -> String {
        self.unit.comment(&self.host.origin());
        self.connection();
        if let KnownBy::Path(path) = known_by(self.host, self.link) {
            self.unit.section("match");
            self.unit.set("path", path);
        }
        self.ethernet();
        self.auth();
        self.kind();
        self.port();
        if let Some(nic) = &self.link.nic {
            self.virtual_functions(nic);
        }
        // What a bond or a bridge has taken in has no addresses.
        if self.host.owner(self.link).is_none() {
            self.addresses();
        }
        self.unit.finish()
    }

    fn connection(&mut self) {
        let link = self.link;
        self.lose(link.is_infiniband(), INFINIBAND);
        let (layer3, settings) = (&link.layer3, &link.settings);
        let learns = settings.dhcp4 || self.host.accept_ra(link) == Some(true) || settings.dhcp6;
        self.lose(link.settings.optional && learns, "optional (it waits for what it asks)");
        self.lose(link.settings.critical, "critical");
        self.losses.networkd_alone(link);
        self.lose(link.settings.activation_mode.is_some(), "activation-mode");
        let persistent = link.settings.mac_policy() == Some(MacPolicy::Persistent);
        self.lose(persistent, "macaddress: persistent");
        self.lose(link.has_pattern(), "match-name with a pattern");
        self.lose(!layer3.ntp.is_empty(), "time servers");
        self.unit.section("connection");
        self.unit.set("id", &link.name);
        self.unit.set("uuid", uuid(self.host, &link.name));
        self.unit.set("type", kind_word(&link.kind));
        if known_by(self.host, link) == KnownBy::Name {
            self.unit.set("interface-name", link.device());
        }
        // A link with static addresses is waited for only as long as its device may take to appear.
        if link.settings.optional {
            self.unit.set("wait-device-timeout", 0);
        }
        if let Some(master) = link.master.as_deref().and_then(|name| self.host.links.get(name)) {
            self.unit.set("master", &master.name);
            self.unit.set("slave-type", kind_word(&master.kind));
        }
        match layer3.dns_over_tls {
            DnsOverTls::No => {}
            DnsOverTls::Opportunistic => self.unit.set("dns-over-tls", 1),
            DnsOverTls::Yes => self.unit.set("dns-over-tls", 2),
        }
        let own = layer3.resolver_words().into_iter().filter(|(_, words)| *words != "DNS over TLS");
        for (said, words) in own {
            self.lose(said, words);
        }
        self.lldp();
    }

    /// It hears LLDP and cannot speak it.
    fn lldp(&mut self) {
        self.lose(self.link.settings.emit_lldp != EmitLldp::No, "emit-lldp");
        self.lose(self.link.settings.lldp == Some(ReceiveLldp::Routers), "lldp: routers-only");
        let received =
            self.link.settings.lldp.map(|received| u8::from(received != ReceiveLldp::No));
        self.unit.set_some("lldp", received);
    }

    /// The MTU and the MAC, which every kind of link has here but the loopback.
    fn ethernet(&mut self) {
        let is_loopback = self.link.kind == Kind::Loopback;
        self.lose(is_loopback && self.link.mac.is_some(), "macaddress of the loopback");
        if let Kind::Tunnel { .. } = self.link.kind {
            // It has a key of its own for the MTU, and no MAC.
            self.lose(self.link.mac.is_some(), "macaddress of a tunnel");
            self.unit.section("ip-tunnel");
            return self.unit.set_some("mtu", self.link.settings.mtu);
        }
        if let Kind::Wireguard { .. } = self.link.kind {
            return self.lose(self.link.mac.is_some(), "macaddress of a tunnel");
        }
        self.unit.section(if is_loopback { "loopback" } else { "ethernet" });
        if let KnownBy::Mac(mac) = known_by(self.host, self.link) {
            self.unit.set("mac-address", mac);
        }
        self.unit.set_some("cloned-mac-address", self.link.mac);
        self.unit.set_some("mtu", self.link.settings.mtu);
    }

    /// How a NIC is let in by IEEE 802.1X.
    fn auth(&mut self) {
        let Some(auth) = &self.link.auth else { return };
        let PortAuth { spec, password, client_key_password, .. } = &**auth;
        let unit = &mut self.unit;
        unit.section("802-1x");
        unit.set("eap", format!("{};", spec.method));
        unit.set("identity", escaped(&spec.identity));
        unit.set_some("anonymous-identity", spec.anonymous_identity.as_ref().map(escaped));
        unit.set_some("password", password.as_ref().map(escaped));
        let is_tls = spec.method == EapMethod::Tls;
        let inner = spec.phase2_auth.unwrap_or_default();
        unit.set_some("phase2-auth", (!is_tls).then_some(inner));
        unit.set_some("ca-cert", spec.ca_certificate.as_ref());
        unit.set_some("client-cert", spec.client_certificate.as_ref());
        unit.set_some("private-key", auth.key_path(&self.link.name));
        unit.set_some("private-key-password", client_key_password.as_ref().map(escaped));
        if is_tls && client_key_password.is_none() {
            // It has none, and nobody is asked for it.
            unit.set("private-key-password-flags", 4);
        }
    }

    /// Their number is in the `.link` file.
    fn virtual_functions(&mut self, nic: &NicSpec) {
        let Some(sriov) = &nic.sriov else { return };
        self.lose(sriov.eswitch == Some(Eswitch::Switchdev), "eswitch switchdev");
        self.lose(!sriov.functions.is_empty(), "single virtual functions");
    }
}

/// A value in which GLib reads no escape.
fn escaped(value: &impl std::fmt::Display) -> String {
    value.to_string().replace('\\', "\\\\")
}

fn kind_word(kind: &Kind) -> &'static str {
    let found = || if matches!(kind, Kind::Loopback) { "loopback" } else { "ethernet" };
    match kind {
        Kind::Tunnel { .. } => "ip-tunnel",
        _ => kind.kernel_kind().unwrap_or_else(found),
    }
}
