//! Where a boot has stopped, and the likely cause in words for whoever stands in the aisle. Pure.
//!
//! Nothing here is certain: it is what a person who has seen many racks would
//! look at first, given what the server saw and what it did not see.

use crate::lifecycle::{Event, EventKind};
use crate::model::{BondMode, Image, Mac, Site};

/// What the inventory says of a host, as far as it bears on its boot.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The MACs of NICs that are members of an LACP bond.
    pub lacp_macs: Vec<Mac>,
    /// What it boots.
    pub image: Option<Image>,
    /// The VLANs that its network is to come up on.
    pub vlans: Vec<u16>,
}

impl Facts {
    /// The facts of one host.
    pub fn of(site: &Site, host_name: &str) -> Self {
        let Some(host) = site.hosts.get(host_name) else { return Self::default() };
        let image = host.image.as_ref().and_then(|name| site.images.get(name)).cloned();
        let Some(resolution) = site.profile_of(host) else {
            return Self { image, ..Self::default() };
        };
        let profile = &resolution.profile;
        let lacp = profile.bonds.values().filter(|bond| bond.mode == BondMode::Lacp);
        let members = lacp.flat_map(|bond| &bond.nics);
        let vlans = profile.vlans.values().filter_map(|vlan| site.vlan_of(vlan));
        Self {
            lacp_macs: members.filter_map(|label| Some(host.nics.get(label)?.mac)).collect(),
            image,
            vlans: vlans.collect(),
        }
    }
}

/// A boot that goes on no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The last stage that it reached.
    pub after: EventKind,
    /// For how long nothing was heard of it.
    pub silent_seconds: i64,
    /// What is probably wrong, and what to do about it.
    pub cause: String,
}

/// How long silence after a stage is normal, in seconds.
///
/// EDK2 asks DHCP again after 4, 8, 16 and 32 s; the 2019 iPXE may spend 20 s
/// before its script; a server's firmware and kernel spend minutes.
fn patience_seconds(after: EventKind) -> i64 {
    match after {
        EventKind::Discover | EventKind::Offer => 20,
        EventKind::Request | EventKind::Ack | EventKind::Nak => 45,
        EventKind::Tftp | EventKind::Nbp => 60,
        EventKind::Script | EventKind::Kernel => 60,
        EventKind::Initrd | EventKind::Config => 300,
        _ => i64::MAX,
    }
}

/// Says where a boot has stopped, if it has. `boot` is all that was seen of one boot of
/// one host, oldest first; `now_ms` is the time in Unix milliseconds.
pub fn find(boot: &[Event], facts: &Facts, now_ms: i64) -> Option<Stall> {
    let seen = Seen::of(boot)?;
    let silent_seconds = (now_ms - seen.last_ms).max(0) / 1000;
    let cause = seen.refusal(facts).or_else(|| {
        let silent = silent_seconds >= patience_seconds(seen.reached);
        silent.then(|| seen.silence(facts)).flatten()
    })?;
    Some(Stall { after: seen.reached, silent_seconds, cause })
}

/// A boot in figures.
struct Seen<'a> {
    boot: &'a [Event],
    /// The furthest stage.
    reached: EventKind,
    last_ms: i64,
}

impl<'a> Seen<'a> {
    fn of(boot: &'a [Event]) -> Option<Self> {
        // Kinds are in the order of a boot, up to the report.
        let stages = || boot.iter().filter(|event| event.kind <= EventKind::Report);
        let reached = stages().map(|event| event.kind).max()?;
        let last_ms = stages().map(|event| event.at_ms).max()?;
        Some(Self { boot, reached, last_ms })
    }

    fn count(&self, kind: EventKind) -> usize {
        self.boot.iter().filter(|event| event.kind == kind).count()
    }

    fn last(&self, kind: EventKind) -> Option<&'a Event> {
        self.boot.iter().rev().find(|event| event.kind == kind)
    }

    /// Whether something of this kind came after the last boot program.
    fn after_program(&self, kind: EventKind) -> bool {
        let is_program = |event: &Event| matches!(event.kind, EventKind::Tftp | EventKind::Nbp);
        let since = self.boot.iter().rposition(is_program).unwrap_or_default();
        self.boot.iter().skip(since).any(|event| event.kind == kind)
    }

    /// The MAC that asked last.
    fn mac(&self) -> Option<Mac> {
        self.boot.iter().rev().find_map(|event| event.mac)
    }

    /// What is wrong without any doubt, however short the silence.
    fn refusal(&self, facts: &Facts) -> Option<String> {
        match self.reached {
            EventKind::Report => {
                let text = &self.last(EventKind::Report)?.text;
                text.starts_with("failed").then(|| format!("the host says: {text}"))
            }
            EventKind::Script => {
                let (_, reasons) = self.last(EventKind::Script)?.text.split_once(": waits, ")?;
                Some(format!("the host waits for you: {reasons}"))
            }
            EventKind::Discover | EventKind::Request => self.no_answer(),
            EventKind::Offer => self.offers_unheard(facts),
            EventKind::Nak if self.count(EventKind::Nak) >= 3 => {
                let text = &self.last(EventKind::Nak)?.text;
                Some(format!("it asks for the wrong address again and again: {text}"))
            }
            EventKind::Tftp | EventKind::Nbp => self.program_trouble(),
            _ => None,
        }
    }

    /// DISCOVERs or REQUESTs that were not answered say why themselves.
    fn no_answer(&self) -> Option<String> {
        let asked = self.last(EventKind::Request).or_else(|| self.last(EventKind::Discover))?;
        let (_, reason) = asked.text.split_once("; not answered: ")?;
        if reason == "the client chose another server" {
            return Some(
                "another DHCP server on this network answered it, and it took that one's offer: \
                 find that server and switch it off here, or let it name this one as boot server"
                    .into(),
            );
        }
        Some(format!("this server does not answer it: {reason}"))
    }

    /// Offers that are never taken up.
    fn offers_unheard(&self, facts: &Facts) -> Option<String> {
        let offers = self.count(EventKind::Offer);
        if offers < 3 {
            return None;
        }
        let bonded = self.mac().is_some_and(|mac| facts.lacp_macs.contains(&mac));
        Some(if bonded {
            format!(
                "{offers} offers, no request, and this NIC is to be in an LACP bond: its switch \
                 port drops traffic until LACP is up, which no firmware speaks; set LACP fallback \
                 (\"lacp fallback\", \"no lacp suspend-individual\", \"lacp-bypass\") on the port"
            )
        } else {
            format!(
                "{offers} offers, no request: another DHCP server answered sooner, or the offers \
                 do not reach it (wrong VLAN on its port, spanning tree still blocking, a relay \
                 or firewall that drops the way back; try always_broadcast)"
            )
        })
    }

    fn program_trouble(&self) -> Option<String> {
        let programs = self.count(EventKind::Nbp) + self.sent_by_tftp();
        if programs >= 3 {
            return Some(format!(
                "the boot program was fetched {programs} times and no script: it starts and is \
                 sent itself again (another DHCP server answers iPXE?), or it crashes and the \
                 firmware tries anew: give the host another boot-file, such as ipxe.efi or snponly.efi"
            ));
        }
        let last = self.last(EventKind::Tftp)?;
        last.text.contains("stopped after 0 B").then(|| {
            "it asked for its boot program and heard nothing more: a firewall between drops UDP \
             from the transfer ports (1024 and up; tftp_ports narrows them)"
                .into()
        })
    }

    fn sent_by_tftp(&self) -> usize {
        let sent =
            |event: &&Event| event.kind == EventKind::Tftp && event.text.starts_with("sent ");
        self.boot.iter().filter(sent).count()
    }

    /// What silence after a stage means.
    fn silence(&self, facts: &Facts) -> Option<String> {
        let image = facts.image.as_ref();
        if image.is_some_and(|image| image.local) {
            return None;
        }
        let cause = match self.reached {
            EventKind::Discover => {
                "it asked once and gave up before the answer: look at its link and its switch port"
            }
            EventKind::Offer => {
                "it did not take up the offer: another DHCP server answered sooner, or the offer \
                 did not reach it"
            }
            EventKind::Request => "it asked for the address and was not answered: see the log",
            EventKind::Nak => "it was told that its address is wrong here and did not ask anew",
            EventKind::Ack => {
                "it has its address and fetches nothing: network boot is not what it wants (boot \
                 order, an installed system), or UDP port 69 and the HTTP port of this server are \
                 blocked on the way"
            }
            EventKind::Tftp | EventKind::Nbp => self.silent_program(),
            EventKind::Script => match image {
                Some(image) if image.kernel.is_some() => {
                    "it has its script and the kernel does not come through: large packets are \
                     lost on the way (MTU), or its console shows an error of iPXE"
                }
                _ => return None,
            },
            EventKind::Kernel if image.is_some_and(|image| !image.initrd.is_empty()) => {
                "the kernel came and its initrd does not: look at its console, and at the link for \
                 errors"
            }
            _ => return Some(silent_system(facts)),
        };
        Some(cause.to_owned())
    }

    fn silent_program(&self) -> &'static str {
        if !self.after_program(EventKind::Ack) {
            return "the boot program came and did not start: Secure Boot refuses unsigned programs, \
                    or it is one for another architecture, or its driver hangs: try another \
                    boot-file, such as snponly.efi for ipxe.efi";
        }
        "iPXE runs and has an address, and does not fetch its script: TCP to the HTTP port of this \
         server is blocked on the way, or machine_url names an address that it cannot reach"
    }
}

/// A system that was started and says nothing.
fn silent_system(facts: &Facts) -> String {
    let mut cause =
        "everything was fetched and the system does not report: the kernel stopped (its \
                     console says where), it has no driver for the NIC"
            .to_owned();
    if !facts.lacp_macs.is_empty() {
        cause.push_str(", the switch does not run LACP on both ports of the bond");
    }
    if !facts.vlans.is_empty() {
        let vlans: Vec<String> = facts.vlans.iter().map(u16::to_string).collect();
        cause.push_str(&format!(", VLAN {} is not on the port", vlans.join(", ")));
    }
    cause.push_str(", or the image does not report at all");
    cause
}

#[cfg(test)]
mod tests;
