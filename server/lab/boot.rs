//! A boot by its events: stages reached, current stage, likely cause of a stop. Pure.

use crate::lifecycle::event::DeployStep;
use crate::lifecycle::install::InstallTask;
use crate::lifecycle::stall::{self, BootContext, Patience};
use crate::lifecycle::{self, Event, EventData, EventKind, HostState};

/// Longer than any stage may be silent, in milliseconds: whoever asks has lost patience.
const LONG_MS: i64 = 3_600_000;

/// What has been seen of one host's boot.
#[derive(Clone, Debug, Default)]
pub(super) struct WatchedBoot {
    /// Its events in order.
    events: Vec<Event>,
    /// What the host said of itself, or what the server thinks of it.
    pub state: HostState,
    /// Why it is in that state, in the server's words.
    pub reason: String,
    /// Whether it is to come up from its disk.
    pub expects_disk: bool,
    /// How many events it had when it was installed, or powered on again.
    since: usize,
}

impl WatchedBoot {
    /// Takes an event of this host into account.
    pub(super) fn note(&mut self, event: &Event) {
        self.events.push(event.clone());
        if event.kind() == EventKind::InstallCompleted {
            self.since = self.events.len();
        }
    }

    /// The last stage that was reached.
    pub(super) fn stage(&self) -> Option<EventKind> {
        self.stages().map(Event::kind).next_back()
    }

    /// Whether it is over, well or badly.
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            HostState::Failed => true,
            HostState::Up => !self.expects_disk || self.reports_from_disk(),
            _ => false,
        }
    }

    /// Takes note that it is powered on again.
    pub(super) fn restart(&mut self) {
        self.since = self.events.len();
        self.state = HostState::Booting;
    }

    /// Whether it was installed, or powered on again, and has asked for an address and reported
    /// since then.
    fn reports_from_disk(&self) -> bool {
        let installed = self.events.iter().any(|it| it.kind() == EventKind::InstallCompleted);
        let later = &self.events[self.since..];
        let asked = later.iter().position(|event| event.kind() == EventKind::Discover);
        installed
            && asked
                .is_some_and(|at| later[at..].iter().any(|event| event.kind() == EventKind::Report))
    }

    /// Whether it has reported since it was powered on that a task is done.
    pub(super) fn has_done(&self, wanted: InstallTask) -> bool {
        let is_done = |event: &Event| matches!(event.data, EventData::InstallCompleted { task, .. } if task == wanted);
        self.events.iter().any(is_done)
    }

    /// Whether it came up without loading a kernel from the server.
    pub(super) fn came_from_disk(&self) -> bool {
        let later = &self.events[self.since..];
        let loads = |event: &Event| matches!(event.kind(), EventKind::Kernel | EventKind::Initrd);
        self.reports_from_disk() && !later.iter().any(loads)
    }

    /// When each step of its installation was, in Unix milliseconds.
    pub(super) fn install_times(&self) -> Vec<(&'static str, i64)> {
        let mut times: Vec<(&'static str, i64)> = Vec::new();
        let mut installed = false;
        for event in &self.events {
            let what = match &event.data {
                EventData::InstallStep(report) => match report.step {
                    DeployStep::Erase => "erasing",
                    DeployStep::Select => "live system",
                    DeployStep::Partition => "erasing old data",
                    DeployStep::Write => "writing",
                    DeployStep::Configure => "written",
                    DeployStep::BootEntry => "configured",
                    DeployStep::Restart | DeployStep::FirstBoot => continue,
                },
                EventData::InstallCompleted { .. } => {
                    installed = true;
                    "installed"
                }
                EventData::Discover(_) if installed => "firmware again",
                EventData::Report(_) if times.iter().any(|(what, _)| *what == "firmware again") => {
                    "up from its disk"
                }
                _ => continue,
            };
            if !times.iter().any(|(seen, _)| *seen == what) {
                times.push((what, event.at_ms));
            }
        }
        times
    }

    /// When it reported last, in Unix milliseconds.
    pub(super) fn last_report_ms(&self) -> Option<i64> {
        let mut reports = self.events[self.since..].iter().rev();
        reports.find(|event| event.kind() == EventKind::Report).map(|event| event.at_ms)
    }

    /// Whether kernel and initrds are on their way now.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self.stage(), Some(EventKind::Script | EventKind::Kernel))
    }

    /// What it does now, in a few words.
    pub(super) fn doing(&self) -> &'static str {
        match self.stage() {
            None => "its firmware starts",
            Some(EventKind::Discover | EventKind::Offer | EventKind::Request | EventKind::Nak) => {
                "asks for an address"
            }
            Some(EventKind::Ack) => "has an address",
            Some(EventKind::Tftp | EventKind::Nbp) => "starts iPXE",
            Some(EventKind::Script | EventKind::Kernel) => "loads kernel and initrds",
            Some(EventKind::Initrd | EventKind::Config) => "boots Linux",
            Some(_) => "reported",
        }
    }

    /// What most likely keeps it where it is.
    pub(super) fn likely_cause(&self, context: &BootContext) -> String {
        let Some(last) = self.events.last() else {
            return "its firmware never asked for an address".to_owned();
        };
        let stall = stall::find(
            &lifecycle::boot::Boot::of(&self.events),
            context,
            Patience::default(),
            last.at_ms + LONG_MS,
        );
        stall.map_or_else(|| "the cause is not known".to_owned(), |stall| stall.cause.to_string())
    }

    /// Seconds from `start_ms` (Unix milliseconds) to each kind of stage, at its first time.
    pub(super) fn times(&self, start_ms: i64) -> Vec<(EventKind, f64)> {
        let mut times: Vec<(EventKind, f64)> = Vec::new();
        for event in self.stages() {
            if !times.iter().any(|(seen, _)| *seen == event.kind()) {
                times.push((event.kind(), (event.at_ms - start_ms) as f64 / 1000.0));
            }
        }
        times
    }

    /// The events that are stages of a boot.
    fn stages(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(|event| lifecycle::boot::position(event.kind()).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::samples;

    fn event(at_ms: i64, kind: EventKind) -> Event {
        Event { at_ms, host: None, mac: None, data: samples::data(kind) }
    }

    #[test]
    fn the_stage_is_the_last_event_that_belongs_to_a_boot() {
        let mut boot = WatchedBoot::default();
        assert_eq!(boot.doing(), "its firmware starts");
        assert!(boot.likely_cause(&BootContext::default()).contains("never asked"));
        for (at, kind) in [(1000, EventKind::Discover), (1500, EventKind::Ack)] {
            boot.note(&event(at, kind));
        }
        boot.note(&event(1600, EventKind::Warning));
        boot.note(&event(2000, EventKind::Discover));
        boot.note(&event(2500, EventKind::Script));
        assert_eq!(boot.stage(), Some(EventKind::Script));
        assert!(boot.is_loading() && !boot.is_over());
        let expected =
            [(EventKind::Discover, 0.5), (EventKind::Ack, 1.0), (EventKind::Script, 2.0)];
        assert_eq!(boot.times(500), expected);
    }
}
