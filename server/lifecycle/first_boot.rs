//! The first boot of an installed host from its disk: awaited from the completion of its
//! installation until the installed system reports. Pure.

use serde::{Deserialize, Serialize};

use super::boot::asks_to_boot;
use super::client::Client;
use super::event::{BootEntry, Boots, DeployStep, ScriptSays};
use super::install::InstallTask;
use super::stall::{Cause, Patience};
use super::{Event, EventData, EventKind};
use crate::model::Mac;

/// A client that has its ACK or its script does not ask again by itself, in milliseconds.
const SURE_MS: i64 = 3 * 1000;
/// EDK2 repeats a DISCOVER for the last time after 28 s, where it did not hear the offer.
const UNSURE_MS: i64 = 40 * 1000;
/// No system is on its way up and down again within this time, in milliseconds.
const QUICK_MS: i64 = 60 * 1000;

/// An installation that is complete, and whose system has not reported yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstBoot {
    /// Since when it is awaited, in Unix milliseconds.
    pub since_ms: i64,
    /// Whether the installation is complete, and not only about to restart.
    pub is_due: bool,
    /// Whether the installed system has the report unit, as a disk image does.
    pub reports: bool,
    /// What became of the firmware's boot entry, if the installer said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<BootEntry>,
    /// How often the firmware asked the network again after it was sent to its disk.
    pub returns: u32,
    /// Whether it came back sooner than any system can have run.
    pub is_quick: bool,
    /// The firmware that asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Door>,
    /// When it was sent to its disk, unless it has come back since.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
}

/// By which of its boot options a firmware asks: each NIC has one for PXE and one for HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Door {
    mac: Mac,
    is_http: bool,
}

/// A firmware that was sent to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    at_ms: i64,
    by: Door,
    /// Whether it has taken the answer.
    is_sure: bool,
}

impl FirstBoot {
    /// What is awaited after an event, where `awaited` was before it.
    pub(super) fn after(awaited: Option<Self>, event: &Event, patience: Patience) -> Option<Self> {
        match &event.data {
            EventData::InstallStep(step) if step.step == DeployStep::Restart => Some(Self {
                since_ms: event.at_ms,
                reports: true,
                entry: step.boot_entry,
                ..Self::default()
            }),
            EventData::InstallCompleted {
                task: InstallTask::Install | InstallTask::Reinstall,
                ..
            } => Some(Self {
                since_ms: event.at_ms,
                is_due: true,
                // A report that is repeated changes nothing.
                ..awaited.unwrap_or_default()
            }),
            EventData::InstallStep(step) if step.step == DeployStep::FirstBoot => None,
            EventData::InstallStarted { .. }
            | EventData::InstallCompleted { .. }
            | EventData::InstallFailed { .. } => None,
            _ => awaited?.note(event, patience),
        }
    }

    fn note(mut self, event: &Event, patience: Patience) -> Option<Self> {
        let Some(mac) = event.mac else { return Some(self) };
        match &event.data {
            EventData::Discover(question) if asks_to_boot(&event.data) => {
                let door = self.door(mac, question.client);
                self.asked = Some(door);
                let Some(sent) = self.sent.filter(|sent| sent.by == door) else {
                    return Some(self);
                };
                let gap_ms = event.at_ms - sent.at_ms;
                if !self.reports && gap_ms >= patience.milliseconds(EventKind::Initrd) {
                    // It ran from its disk, and has no way to say so.
                    return None;
                }
                if gap_ms >= if sent.is_sure { SURE_MS } else { UNSURE_MS } {
                    self.returns += 1;
                    self.is_quick |= gap_ms < QUICK_MS;
                    self.sent = None;
                }
            }
            // The installed system asks: it runs.
            EventData::Discover(_) | EventData::Request(_) if !self.reports && is_plain(event) => {
                return None;
            }
            EventData::Offer(offer) if offer.boots == Some(Boots::LocalDisk) => {
                self.send(event.at_ms, mac, false);
            }
            EventData::Ack(ack) if ack.boots == Some(Boots::LocalDisk) => {
                self.send(event.at_ms, mac, true);
            }
            EventData::Script(script) if script.says == ScriptSays::BootsDisk => {
                self.send(event.at_ms, mac, true);
            }
            _ => {}
        }
        Some(self)
    }

    /// An iPXE came by the door of the firmware that loaded it.
    fn door(&self, mac: Mac, client: Client) -> Door {
        let is_ipxe = matches!(client, Client::Ipxe(_) | Client::IpxeWithoutHttp(_));
        match self.asked {
            Some(door) if is_ipxe && door.mac == mac => door,
            _ => Door { mac, is_http: matches!(client, Client::HttpBoot(_)) },
        }
    }

    fn send(&mut self, at_ms: i64, mac: Mac, is_sure: bool) {
        let Some(by) = self.asked.filter(|door| door.mac == mac) else { return };
        // A firmware tries its options one after the other: the first one is watched.
        if self.sent.is_none_or(|sent| sent.by == by) {
            self.sent = Some(Sent { at_ms, by, is_sure });
        }
    }

    /// Why the installed system does not come up, if that can be told. `heard_ms` is when the host
    /// was heard of last, in Unix milliseconds.
    pub fn cause(&self, heard_ms: i64, patience: Patience, now_ms: i64) -> Option<Cause> {
        if self.returns >= 2 || (self.returns == 1 && self.is_quick) {
            let times = self.returns;
            return Some(match self.entry {
                Some(BootEntry::Refused) => Cause::NoBootEntry { times },
                _ => Cause::ReturnedToPxe { times },
            });
        }
        // A server's firmware takes minutes, and so does a first boot with its checks.
        let silent_ms = now_ms - heard_ms.max(self.since_ms);
        let is_silent = silent_ms >= 3 * patience.milliseconds(EventKind::Initrd);
        (self.reports && is_silent).then_some(Cause::NeverReported)
    }
}

fn is_plain(event: &Event) -> bool {
    match &event.data {
        EventData::Discover(question) | EventData::Request(question) => {
            question.client == Client::Plain
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Arch;
    use crate::lifecycle::event::{Ack, AckKind, Offer, ReportResult, Script, StepReport};
    use crate::lifecycle::stall::BootContext;
    use crate::lifecycle::state::{HostState, Life};
    use crate::lifecycle::{samples, timeline};
    use HostState as S;

    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);
    const OTHER: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 2]);
    const PXE: Client = Client::Pxe(Arch::X64Efi);
    const HTTP: Client = Client::HttpBoot(Arch::X64Efi);
    const IPXE: Client = Client::Ipxe(Arch::X64Efi);

    /// What happens to the host, at its second.
    enum Step {
        /// A client asks, and is sent to its disk.
        Asks(i64, Mac, Client),
        /// It asks, and the offer is the last that is heard.
        Offered(i64, Mac, Client),
        /// iPXE asks, and its script sends it to its disk.
        Scripted(i64, Mac),
        /// The installed system reports.
        Reports(i64, ReportResult),
    }
    use Step::{Asks, Offered, Reports, Scripted};

    fn at(seconds: i64, mac: Mac, data: EventData) -> Event {
        Event { at_ms: seconds * 1000, host: Some("n1".into()), mac: Some(mac), data }
    }

    /// The end of an installation: by the live system that writes disk images, or by an installer.
    fn installed(entry: Option<BootEntry>, by_image: bool) -> Vec<Event> {
        let image = || "debian".to_owned();
        let task = InstallTask::Install;
        let started = EventData::InstallStarted { image: image(), task };
        let restart = StepReport { boot_entry: entry, ..StepReport::of(DeployStep::Restart) };
        let mut data = vec![samples::data(EventKind::Discover), started];
        data.extend(by_image.then_some(EventData::InstallStep(restart)));
        data.push(EventData::InstallCompleted { image: image(), task });
        data.push(samples::report(ReportResult::Up, "installed: debian on vda"));
        data.into_iter().map(|data| at(0, MAC, data)).collect()
    }

    fn events(step: &Step) -> Vec<Event> {
        let asks = |seconds, mac, client| {
            at(seconds, mac, EventData::Discover(samples::question(client, None)))
        };
        let boots = || Some(Boots::LocalDisk);
        let offer = || EventData::Offer(Offer { address: None, boots: boots(), redirected: false });
        let ack = || {
            let grant = AckKind::Given;
            EventData::Ack(Ack { grant, address: None, seconds: None, boots: boots() })
        };
        match *step {
            Asks(seconds, mac, client) => {
                vec![asks(seconds, mac, client), at(seconds, mac, offer()), at(seconds, mac, ack())]
            }
            Offered(seconds, mac, client) => {
                vec![asks(seconds, mac, client), at(seconds, mac, offer())]
            }
            Scripted(seconds, mac) => {
                let says = ScriptSays::BootsDisk;
                let script = EventData::Script(Script { to: samples::ADDRESS.into(), says });
                vec![asks(seconds, mac, IPXE), at(seconds, mac, script)]
            }
            Reports(seconds, verdict) => {
                let step = StepReport::of(DeployStep::FirstBoot);
                let report = samples::report(verdict, "bond0");
                vec![at(seconds, MAC, EventData::InstallStep(step)), at(seconds, MAC, report)]
            }
        }
    }

    #[test]
    fn an_installed_host_comes_up_from_its_disk_or_the_cause_is_told() {
        let returned = "returned to PXE";
        #[rustfmt::skip]
        let cases: Vec<(&str, Vec<Step>, i64, S, &str)> = vec![
            ("installed", vec![], 60, S::Booting, "first boot from disk"),
            ("never heard of again", vec![], 900, S::Stuck, "has not reported"),
            ("sent to its disk", vec![Asks(60, MAC, PXE)], 800, S::Booting, "first boot from disk"),
            ("silent after that", vec![Asks(60, MAC, PXE)], 900, S::Stuck, "has not reported"),
            ("reports", vec![Asks(60, MAC, PXE), Reports(99, ReportResult::Up)], 9999, S::Up, ""),
            ("reports without asking", vec![Reports(99, ReportResult::Up)], 9999, S::Up, ""),
            ("reports a failure", vec![Asks(60, MAC, PXE), Reports(99, ReportResult::Failed)], 9, S::Failed, "bond0"),
            ("comes back at once", vec![Asks(60, MAC, PXE), Asks(65, MAC, PXE)], 1, S::Stuck, "returned to PXE 1 time"),
            ("comes back twice", vec![Asks(60, MAC, PXE), Asks(90, MAC, PXE), Asks(120, MAC, PXE)], 1, S::Stuck, "returned to PXE 2 times"),
            ("comes back, and comes up", vec![Asks(60, MAC, PXE), Asks(90, MAC, PXE), Reports(150, ReportResult::Up)], 9999, S::Up, ""),
            ("restarts once by itself", vec![Asks(60, MAC, PXE), Asks(260, MAC, PXE)], 1, S::Booting, "first boot from disk"),
            ("restarts for ever", vec![Asks(60, MAC, PXE), Asks(260, MAC, PXE), Asks(460, MAC, PXE)], 1, S::Stuck, returned),
            ("asks by its other NIC", vec![Asks(60, MAC, PXE), Asks(65, OTHER, PXE)], 1, S::Booting, "first boot"),
            ("asks by HTTP after PXE", vec![Asks(60, MAC, PXE), Asks(69, MAC, HTTP)], 1, S::Booting, "first boot"),
            ("and by PXE again", vec![Asks(60, MAC, PXE), Asks(69, MAC, HTTP), Asks(90, MAC, PXE)], 1, S::Stuck, returned),
            ("repeats a question", vec![Offered(60, MAC, PXE), Offered(88, MAC, PXE)], 1, S::Booting, "first boot"),
            ("loops by iPXE", vec![Scripted(60, MAC), Scripted(75, MAC)], 1, S::Stuck, returned),
        ];
        for (name, steps, silent, state, reason) in cases {
            let mut life = Life::default();
            let mut last_ms = 0;
            for event in installed(None, true)
                .iter()
                .chain(&steps.iter().flat_map(events).collect::<Vec<_>>())
            {
                last_ms = event.at_ms;
                life.note(event, false);
            }
            let context = BootContext::default();
            let status = life.status(&context, Patience::default(), last_ms + silent * 1000);
            assert_eq!(status.state, state, "{name}: {status:?}");
            assert!(status.reason.contains(reason), "{name}: {status:?}");
            let is_awaited = !steps.iter().any(|step| matches!(step, Reports(..)));
            let is_stage = status.stage == Some(timeline::Stage::FirstBoot);
            assert_eq!((life.awaits_first_boot(), is_stage), (is_awaited, is_awaited), "{name}");
        }
    }

    #[test]
    fn a_firmware_without_a_boot_entry_is_told_by_its_name() {
        for (entry, expected) in [
            (Some(BootEntry::Refused), "has no boot entry for the disk"),
            (Some(BootEntry::Added), "returned to PXE"),
            (Some(BootEntry::NotNeeded), "returned to PXE"),
            (None, "returned to PXE"),
        ] {
            let mut life = Life::default();
            let steps = [Asks(60, MAC, PXE), Asks(70, MAC, PXE)];
            let all = installed(entry, true).into_iter().chain(steps.iter().flat_map(events));
            for event in all {
                life.note(&event, false);
            }
            let status = life.status(&BootContext::default(), Patience::default(), 71_000);
            assert!(status.reason.contains(expected), "{entry:?}: {status:?}");
        }
    }

    #[test]
    fn a_system_that_cannot_report_is_not_awaited_for_ever() {
        let plain =
            |seconds| at(seconds, MAC, EventData::Discover(samples::question(Client::Plain, None)));
        let cases: [(&str, Vec<Event>, S, bool); 4] = [
            ("installed", vec![], S::Up, true),
            (
                "its system asks",
                [events(&Asks(60, MAC, PXE)), vec![plain(99)]].concat(),
                S::Up,
                false,
            ),
            (
                "powered on a day later",
                [events(&Asks(60, MAC, PXE)), events(&Asks(90_000, MAC, PXE))].concat(),
                S::Booting,
                false,
            ),
            (
                "comes back at once",
                [events(&Asks(60, MAC, PXE)), events(&Asks(70, MAC, PXE))].concat(),
                S::Stuck,
                true,
            ),
        ];
        for (name, more, state, is_awaited) in cases {
            let mut life = Life::default();
            let all: Vec<Event> = installed(None, false).into_iter().chain(more).collect();
            for event in &all {
                life.note(event, false);
            }
            let last_ms = all.last().map_or(0, |event| event.at_ms);
            let status = life.status(&BootContext::default(), Patience::default(), last_ms + 1000);
            assert_eq!(
                (status.state, life.awaits_first_boot()),
                (state, is_awaited),
                "{name}: {status:?}"
            );
        }
    }
}
