//! Whether a boot has stopped, and the likely cause. Pure.
//!
//! Nothing here is certain: it is what a person who has seen many racks would
//! look at first, given what the server saw and what it did not see.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::boot::Boot;
use super::event::{Nak, ReportResult, WaitReason};
use super::reason::Reason;
use crate::lifecycle::EventKind;
use crate::model::{BondMode, Image, Mac};
use crate::profile::ResolvedSite;

/// What the inventory says of a host that matters for its boot.
#[derive(Clone, Debug, Default)]
pub struct BootContext {
    /// The MACs of NICs that are members of an LACP bond.
    pub lacp_macs: Vec<Mac>,
    /// What it boots.
    pub image: Option<Image>,
    /// The VLANs that its network is to come up on.
    pub vlans: Vec<u16>,
}

impl BootContext {
    /// The context of one host.
    pub fn of(site: &ResolvedSite, host_name: &str) -> Self {
        let Some(host) = site.hosts.get(host_name) else { return Self::default() };
        let image =
            host.image.as_ref().and_then(|name| site.image_to_boot(name)).map(Cow::into_owned);
        let Some(resolution) = site.profile_of(host) else {
            return Self { image, ..Self::default() };
        };
        let profile = &resolution.profile;
        let lacp = profile.bonds.values().filter(|bond| bond.mode == BondMode::Lacp);
        let members = lacp.flat_map(|bond| &bond.nics);
        let vlans = profile.vlans.values().filter_map(|vlan| site.vlan_of(vlan));
        Self {
            lacp_macs: members.filter_map(|label| host.nics.get(label)?.mac()).collect(),
            image,
            vlans: vlans.collect(),
        }
    }

    /// Whether the host boots its local disk, which needs nothing more of this server.
    pub fn is_local(&self) -> bool {
        self.image.as_ref().is_some_and(|image| image.local)
    }
}

/// A boot that has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The furthest that it came.
    pub after: EventKind,
    /// For how long nothing was heard of it.
    pub silent_seconds: i64,
    /// What is probably wrong.
    pub cause: Cause,
}

/// What is probably wrong with a boot. Its sentence says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// The host reports a failure.
    HostFailed {
        /// Its words.
        text: String,
    },
    /// The installation failed.
    InstallFailed {
        /// Why.
        reason: String,
    },
    /// The host is installed, was sent to its disk, and its firmware asks the network again.
    ReturnedToPxe {
        /// How often.
        times: u32,
    },
    /// The same, and the firmware did not keep the boot entry for the disk.
    NoBootEntry {
        /// How often it came back.
        times: u32,
    },
    /// The host is installed, and the installed system has not reported for longer than a first
    /// boot takes.
    NeverReported,
    /// The script waits until something is done here.
    HostWaits {
        /// For what.
        waiting_for: Vec<WaitReason>,
    },
    /// The client took another server's offer.
    OtherServer,
    /// This server does not answer.
    Unanswered {
        /// Why not.
        reason: Reason,
    },
    /// Several offers, no request.
    OffersUnheard {
        /// How many offers.
        offers: u32,
        /// Whether the NIC is to be in an LACP bond.
        lacp: bool,
    },
    /// The client asks for a wrong address again and again.
    WrongAddress {
        /// The last refusal.
        nak: Nak,
    },
    /// The boot program was fetched several times, and no script.
    ProgramLoops {
        /// How many times.
        times: u32,
    },
    /// The client never heard a block of its boot program.
    TransferUnheard,
    /// One DISCOVER and no more.
    AskedOnce,
    /// One or two offers, no request.
    OfferUnheard,
    /// A REQUEST without an answer.
    RequestUnanswered,
    /// A NAK, and no further DISCOVER.
    NakUnheard,
    /// The client has its address and fetches nothing.
    FetchesNothing,
    /// The boot program came and did not start.
    ProgramDead,
    /// iPXE runs and does not fetch its script.
    ScriptUnreachable,
    /// The script came and the kernel does not.
    KernelMissing,
    /// The kernel came and the initrd does not.
    InitrdMissing,
    /// Everything was fetched and the system is silent.
    SystemSilent {
        /// Whether it is to come up on an LACP bond.
        lacp: bool,
        /// The VLANs that it is to come up on.
        vlans: Vec<u16>,
    },
}

/// How long silence is normal, in per cent of what is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// 100: as long as firmware and kernels usually take.
    pub percent: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { percent: 100 }
    }
}

impl Patience {
    /// How long silence after a kind of event is normal, in milliseconds.
    ///
    /// EDK2 asks DHCP again after 4, 8, 16 and 32 s; the 2019 iPXE may spend 20 s
    /// before its script; a server's firmware and kernel spend minutes.
    pub fn milliseconds(self, after: EventKind) -> i64 {
        let seconds = match after {
            EventKind::Discover | EventKind::Offer => 20,
            EventKind::Request | EventKind::Ack | EventKind::Nak => 45,
            EventKind::Tftp | EventKind::Nbp => 60,
            EventKind::Script | EventKind::Kernel => 60,
            EventKind::Initrd | EventKind::Config => 300,
            _ => return i64::MAX,
        };
        seconds * 10 * i64::from(self.percent)
    }
}

/// Says where a boot has stopped, if it has. `now_ms` is the time in Unix milliseconds.
pub fn find(boot: &Boot, context: &BootContext, patience: Patience, now_ms: i64) -> Option<Stall> {
    let reached = boot.reached?;
    let silent_ms = (now_ms - boot.last_ms).max(0);
    let is_silent = silent_ms >= patience.milliseconds(reached);
    let cause = refusal(boot, reached, context)
        .or_else(|| is_silent.then(|| silence(boot, reached, context)).flatten())?;
    Some(Stall { after: reached, silent_seconds: silent_ms / 1000, cause })
}

/// What is wrong without any doubt, however short the silence.
fn refusal(boot: &Boot, reached: EventKind, context: &BootContext) -> Option<Cause> {
    match reached {
        EventKind::Report => {
            let report = boot.report.as_ref().filter(|r| r.verdict == ReportResult::Failed)?;
            Some(Cause::HostFailed { text: report.text.clone() })
        }
        EventKind::Script => Some(Cause::HostWaits { waiting_for: boot.waiting_for.clone()? }),
        EventKind::Discover | EventKind::Request => match boot.unanswered? {
            Reason::OtherServer => Some(Cause::OtherServer),
            // An answer follows, or is not wanted.
            Reason::TooEarly | Reason::BeingProbed => None,
            Reason::BootsNothing if context.is_local() => None,
            reason => Some(Cause::Unanswered { reason }),
        },
        EventKind::Offer if boot.offers >= 3 => {
            let lacp = boot.mac.is_some_and(|mac| context.lacp_macs.contains(&mac));
            Some(Cause::OffersUnheard { offers: boot.offers, lacp })
        }
        EventKind::Nak if boot.naks >= 3 => Some(Cause::WrongAddress { nak: boot.nak.clone()? }),
        EventKind::Tftp | EventKind::Nbp if boot.programs >= 3 => {
            Some(Cause::ProgramLoops { times: boot.programs })
        }
        EventKind::Tftp if boot.tftp_unheard => Some(Cause::TransferUnheard),
        _ => None,
    }
}

/// What silence means.
fn silence(boot: &Boot, reached: EventKind, context: &BootContext) -> Option<Cause> {
    if context.is_local() || boot.disk {
        return None;
    }
    let image = context.image.as_ref();
    Some(match reached {
        EventKind::Discover => Cause::AskedOnce,
        EventKind::Offer => Cause::OfferUnheard,
        EventKind::Request => Cause::RequestUnanswered,
        EventKind::Nak => Cause::NakUnheard,
        EventKind::Ack => Cause::FetchesNothing,
        EventKind::Tftp | EventKind::Nbp if boot.ack_after_program => Cause::ScriptUnreachable,
        EventKind::Tftp | EventKind::Nbp => Cause::ProgramDead,
        EventKind::Script if image.is_some_and(|image| image.kernel.is_some()) => {
            Cause::KernelMissing
        }
        EventKind::Script => return None,
        EventKind::Kernel if image.is_some_and(|image| !image.initrd.is_empty()) => {
            Cause::InitrdMissing
        }
        _ => Cause::SystemSilent {
            lacp: !context.lacp_macs.is_empty(),
            vlans: context.vlans.clone(),
        },
    })
}

#[cfg(test)]
mod tests;
