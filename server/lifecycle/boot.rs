//! What one boot of a host has shown so far, in figures: all that a diagnosis needs. Pure.

use serde::{Deserialize, Serialize};

use super::event::{Boots, Nak, Report, ScriptSays, Tftp, WaitReason};
use super::first_boot::FirstBoot;
use super::reason::Reason;
use super::stall::Patience;
use super::timeline::Stage;
use super::{Event, EventData, EventKind};
use crate::lifecycle::client::{Arch, Client};
use crate::model::Mac;

/// A client that was silent for so long begins a new boot when it asks again, in milliseconds.
const NEW_BOOT_MS: i64 = 15 * 60 * 1000;

/// The kinds of events that a boot consists of, in its order.
const ORDER: [EventKind; 12] = [
    EventKind::Discover,
    EventKind::Offer,
    EventKind::Request,
    EventKind::Ack,
    EventKind::Nak,
    EventKind::Tftp,
    EventKind::Nbp,
    EventKind::Script,
    EventKind::Kernel,
    EventKind::Initrd,
    EventKind::Config,
    EventKind::Report,
];

/// Where in a boot a kind of event comes; none for one that belongs to no boot.
pub fn position(kind: EventKind) -> Option<usize> {
    ORDER.iter().position(|known| *known == kind)
}

/// One boot. Made of its events, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Boot {
    /// When it began, in Unix milliseconds.
    pub began_ms: i64,
    /// When it was heard of last, in Unix milliseconds.
    pub last_ms: i64,
    /// The furthest kind of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<EventKind>,
    /// The MAC that was heard of last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The architecture that its firmware or iPXE named last; kept over all boots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// How many offers there were.
    pub offers: u32,
    /// How many NAKs there were.
    pub naks: u32,
    /// The last NAK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nak: Option<Nak>,
    /// How many boot programs were sent as a whole.
    pub programs: u32,
    /// Whether an address was given after the last boot program.
    pub ack_after_program: bool,
    /// Whether the last transfer by TFTP ended before anything was acknowledged.
    pub tftp_unheard: bool,
    /// Whether the last offer, lease or script sends it to its local disk.
    pub disk: bool,
    /// Whether there was a REQUEST.
    pub requested: bool,
    /// Why the last REQUEST, or the last DISCOVER where there was none, got no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<Reason>,
    /// What the last script waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Vec<WaitReason>>,
    /// The host's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// Why the installation failed that this boot, or the one before it, began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub install_failure: Option<String>,
    /// The host is installed, and its first boot from the disk is awaited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_boot: Option<FirstBoot>,
    /// What has happened since the host asked DHCP in a boot that has its kernel already: its
    /// system does so, or it was reset. A boot program or script decides which it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<Box<Self>>,
}

impl Boot {
    /// The boot that these events, oldest first, are of.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut boot = Self::default();
        for event in events {
            boot.count(event);
        }
        boot
    }

    /// The furthest stage.
    pub fn stage(&self) -> Option<Stage> {
        self.reached.and_then(Stage::of)
    }

    /// Whether it was sent to its local disk and has been silent for as long as a system takes to
    /// start.
    pub fn is_left_to_disk(&self, local: bool, patience: Patience, now_ms: i64) -> bool {
        let patience_ms = patience.milliseconds(EventKind::Initrd);
        (local || self.disk) && self.reached.is_some() && now_ms - self.last_ms >= patience_ms
    }

    /// Takes the next event of the host into account. Says whether it begins a new boot.
    pub fn note(&mut self, event: &Event) -> bool {
        let (awaited, arch) = (self.first_boot.take(), self.arch);
        let began = self.advance(event);
        self.arch = self.arch.or(arch);
        self.first_boot = FirstBoot::after(awaited, event, Patience::default());
        began
    }

    fn advance(&mut self, event: &Event) -> bool {
        let Some(stage) = Stage::of(event.kind()).filter(|_| position(event.kind()).is_some())
        else {
            return false;
        };
        let reached = self.stage();
        let asks = asks_to_boot(&event.data);
        let silent = event.at_ms.saturating_sub(self.last_ms) > NEW_BOOT_MS;
        if reached.is_none() || asks && (silent || reached == Some(Stage::Report)) {
            *self = Self::of([event]);
            return true;
        }
        // One boot asks DHCP three times (ROM, iPXE, system), so asking alone begins no new one;
        // fetching the boot program or script again after the kernel does.
        let again = stage <= Stage::Script && reached > Some(Stage::Script);
        if again && stage > Stage::Address {
            let mut boot = self.again.take().map_or_else(Self::default, |again| *again);
            boot.count(event);
            *self = boot;
            return true;
        }
        self.count(event);
        match &mut self.again {
            Some(boot) => boot.count(event),
            None if again && asks => self.again = Some(Box::new(Self::of([event]))),
            None => {}
        }
        false
    }

    /// Counts an event of this boot.
    fn count(&mut self, event: &Event) {
        let Some(position) = position(event.kind()) else { return };
        if self.reached.is_none() {
            self.began_ms = event.at_ms;
        }
        if self.reached.and_then(self::position).is_none_or(|reached| position > reached) {
            self.reached = Some(event.kind());
        }
        self.last_ms = self.last_ms.max(event.at_ms);
        self.mac = event.mac.or(self.mac);
        if let EventData::Discover(question) | EventData::Request(question) = &event.data {
            self.arch = question.client.arch().or(self.arch);
        }
        match &event.data {
            EventData::Discover(question) if !self.requested => {
                self.unanswered = question.unanswered;
            }
            EventData::Request(question) => {
                (self.requested, self.unanswered) = (true, question.unanswered);
            }
            EventData::Offer(offer) => {
                self.offers += 1;
                self.disk = offer.boots == Some(Boots::LocalDisk);
            }
            EventData::Ack(ack) => {
                self.ack_after_program = true;
                self.disk |= ack.boots == Some(Boots::LocalDisk);
            }
            EventData::Nak(nak) => {
                self.naks += 1;
                self.nak = Some(nak.clone());
            }
            EventData::Tftp(tftp) => {
                self.ack_after_program = false;
                let Tftp::Ended(end) = tftp else { return };
                self.programs += u32::from(end.ending.is_success());
                self.tftp_unheard = !end.ending.is_success() && end.sent_bytes == 0;
            }
            EventData::Nbp(_) => {
                self.ack_after_program = false;
                self.programs += 1;
            }
            EventData::Script(script) => {
                self.waiting_for = match &script.says {
                    ScriptSays::Boots(_) | ScriptSays::BootsDisk => None,
                    ScriptSays::WaitingFor(reasons) => Some(reasons.clone()),
                };
            }
            EventData::Report(report) => self.report = Some(report.clone()),
            _ => {}
        }
    }
}

/// Whether firmware or iPXE asks for an address. A running system asks too, and that is no boot.
pub fn asks_to_boot(data: &EventData) -> bool {
    match data {
        EventData::Discover(question) => question.client != Client::Plain,
        EventData::Recorded { of, .. } => *of == EventKind::Discover,
        _ => false,
    }
}
