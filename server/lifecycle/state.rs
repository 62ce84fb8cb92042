//! The state of a host. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::boot::{Boot, position};
use super::client::Client;
use super::event::{Report, ReportResult};
use super::first_boot::FirstBoot;
use super::install::InstallTask;
use super::reason::Reason;
use super::stall::{self, BootContext, Cause, Patience};
use super::timeline::Stage;
use super::{Event, EventData};

/// The state of a host: never in the site file, only in the database.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// In the inventory, never seen.
    #[default]
    Waiting,
    /// Asked DHCP and is on its way up.
    Booting,
    /// Boots an image that installs.
    Installing,
    /// Reported that it is up.
    Up,
    /// Its boot has been silent for longer than its stage allows, or cannot go on.
    Stuck,
    /// Reported that something is wrong.
    Failed,
}

impl HostState {
    /// All states, in the order of a host's life.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Booting, Self::Installing, Self::Up, Self::Stuck, Self::Failed];

    /// The word shown and stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Booting => "booting",
            Self::Installing => "installing",
            Self::Up => "up",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a host state: waiting, booting, installing, up, stuck or failed")]
pub struct UnknownState(pub String);

impl FromStr for HostState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let named = Self::ALL.into_iter().find(|state| state.label() == text);
        named.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// What is known of a host: its state, and the figures of its latest boot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// Its state by its events. Never stuck: that is found by the clock.
    pub state: HostState,
    /// Since when, in Unix milliseconds; 0 if it was never seen.
    pub since_ms: i64,
    /// Its latest boot.
    pub boot: Boot,
    /// What brought it into this state, where a version without figures stored it.
    pub old_reason: Option<String>,
}

/// The state of a host at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostStatus {
    /// The state.
    pub state: HostState,
    /// Since when, in Unix milliseconds; 0 if the host was never seen.
    pub since_ms: i64,
    /// The last stage that its boot reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What is probably wrong, if it is stuck or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The cause or the report as a sentence; may hold words of the host.
    pub reason: String,
    /// Until when its next boot installs, in Unix milliseconds, if it is armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_until_ms: Option<i64>,
    /// `armed_until_ms` in Unix seconds, for older programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_until: Option<i64>,
}

impl HostStatus {
    /// The same of a host whose next boot installs until then (Unix seconds), if it does.
    #[must_use]
    pub fn armed(self, armed_until: Option<i64>) -> Self {
        let armed_until_ms = armed_until.map(|until| until.saturating_mul(1000));
        Self { armed_until_ms, armed_until, ..self }
    }

    /// The state, and whether the host is armed, in words.
    pub fn state_text(&self) -> String {
        match self.armed_until {
            Some(_) => format!("{}, armed", self.state),
            None => self.state.to_string(),
        }
    }

    /// Whether the host needs a person.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, HostState::Stuck | HostState::Failed)
    }
}

/// A host whose state, or its cause, has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StateChange {
    /// The host's name.
    pub host: String,
    /// Its state now.
    pub status: HostStatus,
}

impl Life {
    /// Takes an event of the host into account. `local` says whether its image is the local disk.
    /// Says whether it begins a new boot.
    pub fn note(&mut self, event: &Event, local: bool) -> bool {
        // It is never answered, so it neither boots nor stops.
        if matches!(&event.data, EventData::Discover(question) if question.unanswered == Some(Reason::HostOff))
        {
            return false;
        }
        let began = self.boot.note(event);
        match &event.data {
            EventData::InstallFailed { reason } => {
                self.boot.install_failure = Some(reason.clone());
            }
            EventData::InstallStarted { .. } | EventData::InstallCompleted { .. } => {
                self.boot.install_failure = None;
            }
            _ => {}
        }
        if let Some(state) = self.after(&event.data, began, local)
            && (state != self.state || matches!(event.data, EventData::Report(_)))
        {
            (self.state, self.since_ms, self.old_reason) = (state, event.at_ms, None);
        }
        began
    }

    /// The state after an event; none where the event says nothing about it.
    fn after(&self, data: &EventData, began: bool, local: bool) -> Option<HostState> {
        let installing = self.state == HostState::Installing;
        Some(match data {
            EventData::Report(Report { verdict: ReportResult::Failed, .. })
            | EventData::InstallFailed { .. } => HostState::Failed,
            // The system that installs is up; the installation is not complete.
            EventData::Report(_) if installing => return None,
            // The live system says that it is done, and restarts; the installed one is not up yet.
            EventData::Report(_) if self.awaits_report() => HostState::Booting,
            // Nothing is on its disks.
            EventData::InstallCompleted { task, .. } if task.empties() => HostState::Waiting,
            // The live system is on its way, and reports by itself.
            EventData::InstallCompleted { task: InstallTask::Rescue, .. } => return None,
            EventData::InstallCompleted { .. } if self.awaits_report() => HostState::Booting,
            EventData::Report(_) | EventData::InstallCompleted { .. } => HostState::Up,
            EventData::InstallStarted { .. } => HostState::Installing,
            data if position(data.kind()).is_none() || installing => return None,
            // The system on the disk asks: it runs. Nothing else is known of it.
            EventData::Discover(question) | EventData::Request(question)
                if question.client == Client::Plain && (local || self.boot.disk) =>
            {
                HostState::Up
            }
            _ => match self.state {
                // A running system that renews its lease goes on running; only a boot ends that.
                HostState::Up | HostState::Failed if !began => return None,
                _ => HostState::Booting,
            },
        })
    }

    /// Whether the host is installed, and the report of the installed system is still to come.
    fn awaits_report(&self) -> bool {
        self.boot.first_boot.as_ref().is_some_and(|first| first.is_due && first.reports)
    }

    /// Whether a report that comes now is of the first boot of an installed system.
    pub fn awaits_first_boot(&self) -> bool {
        self.boot.first_boot.as_ref().is_some_and(|first| first.is_due)
    }

    /// The state at `now_ms` (Unix milliseconds): a boot that has been silent for longer than its
    /// stage allows, or that cannot go on, is stuck.
    pub fn status(&self, context: &BootContext, patience: Patience, now_ms: i64) -> HostStatus {
        let boot = &self.boot;
        let (mut state, mut since_ms) = (self.state, self.since_ms);
        let first_boot = boot.first_boot.as_ref().filter(|first| first.is_due);
        let stage = first_boot.map(|_| Stage::FirstBoot).or_else(|| boot.stage());
        let is_late = |first: &FirstBoot| first.cause(boot.last_ms, patience, now_ms);
        let text = |report: &Report| report.text.clone();
        let (mut cause, mut reason) = (None, String::new());
        match state {
            HostState::Booting => {
                if let Some(late) = first_boot.and_then(is_late) {
                    (state, since_ms) = (HostState::Stuck, boot.last_ms);
                    reason = late.to_string();
                    cause = Some(late);
                } else if let Some(stall) = stall::find(boot, context, patience, now_ms) {
                    state = HostState::Stuck;
                    since_ms = boot.last_ms;
                    reason = stall.cause.to_string();
                    cause = Some(stall.cause);
                } else if !self.awaits_report()
                    && boot.is_left_to_disk(context.is_local(), patience, now_ms)
                {
                    (state, since_ms) = (HostState::Up, boot.last_ms);
                    reason = "it was left to its local disk and has not asked again".into();
                } else if let Some(stage) = stage {
                    reason = stage.label().to_lowercase();
                }
            }
            HostState::Failed => {
                let failed = stall::find(boot, context, patience, now_ms).map(|stall| stall.cause);
                cause = failed.filter(|cause| matches!(cause, Cause::HostFailed { .. }));
                reason = boot.report.as_ref().map(text).unwrap_or_default();
                if let Some(failure) = &boot.install_failure {
                    let failed = Cause::InstallFailed { reason: failure.clone() };
                    reason = failed.to_string();
                    cause = Some(failed);
                }
            }
            HostState::Up => reason = boot.report.as_ref().map(text).unwrap_or_default(),
            HostState::Waiting | HostState::Installing | HostState::Stuck => {}
        }
        if let Some(old) = self.old_reason.as_ref().filter(|_| reason.is_empty()) {
            reason.clone_from(old);
        }
        HostStatus {
            state,
            since_ms,
            stage,
            cause,
            reason,
            armed_until_ms: None,
            armed_until: None,
        }
    }

    /// Whether the clock alone may change the state that is shown.
    pub fn waits_for_clock(&self) -> bool {
        self.state == HostState::Booting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::EventKind;
    use crate::lifecycle::samples::{self, data, question, report};
    use crate::model::Image;
    use EventKind::*;
    use HostState as S;

    fn plain(kind: EventKind) -> EventData {
        let question = question(Client::Plain, None);
        match kind {
            Discover => EventData::Discover(question),
            _ => EventData::Request(question),
        }
    }

    fn image(local: bool) -> BootContext {
        let kernel = (!local).then(|| "k".to_owned());
        let image = Image { local, kernel, initrd: vec!["i".into()], ..Image::default() };
        BootContext { image: Some(image), ..BootContext::default() }
    }

    #[test]
    fn a_state_follows_from_events_image_and_clock() {
        let (live, disk) = (image(false), image(true));
        let up = || vec![data(Discover), data(Script), data(Kernel), data(Report)];
        let and = |mut events: Vec<EventData>, more: &[EventData]| {
            events.extend_from_slice(more);
            events
        };
        let failed = report(ReportResult::Failed, "no partner");
        // Events a second apart, then so many seconds of silence.
        let cases: Vec<(&str, Vec<EventData>, &BootContext, i64, S)> = vec![
            ("never seen", vec![], &live, 9999, S::Waiting),
            ("a warning", vec![data(Warning)], &live, 9999, S::Waiting),
            ("firmware asks", vec![data(Discover)], &live, 0, S::Booting),
            ("a host that reports", up(), &live, 99_999, S::Up),
            (
                "a running host that asks",
                and(up(), &[plain(Discover), data(Offer)]),
                &live,
                999,
                S::Up,
            ),
            (
                "a running host that renews",
                and(up(), &[plain(Request), data(Ack)]),
                &live,
                999,
                S::Up,
            ),
            ("a running host that reboots", and(up(), &[data(Discover)]), &live, 1, S::Booting),
            (
                "a host that reports a failure",
                and(up(), std::slice::from_ref(&failed)),
                &live,
                999,
                S::Failed,
            ),
            (
                "a failed host whose system asks",
                and(up(), &[failed.clone(), plain(Discover)]),
                &live,
                999,
                S::Failed,
            ),
            (
                "a failed host that reboots",
                and(up(), &[failed.clone(), data(Discover)]),
                &live,
                1,
                S::Booting,
            ),
            (
                "a failed host that recovers",
                and(up(), &[failed.clone(), data(Report)]),
                &live,
                1,
                S::Up,
            ),
            ("an offer that is not heard", vec![data(Discover), data(Offer)], &live, 20, S::Stuck),
            ("one that may still be", vec![data(Discover), data(Offer)], &live, 19, S::Booting),
            (
                "a boot that goes on after all",
                vec![data(Discover), data(Offer), data(Discover)],
                &live,
                1,
                S::Booting,
            ),
            (
                "a system that is silent",
                vec![data(Script), data(Kernel), data(Initrd)],
                &live,
                300,
                S::Stuck,
            ),
            (
                "a boot whose system asks",
                vec![data(Script), data(Kernel), plain(Discover), data(Ack)],
                &live,
                9,
                S::Booting,
            ),
            ("a host sent to its disk", vec![data(Discover), data(Offer)], &disk, 30, S::Booting),
            ("one that stays there", vec![data(Discover), data(Offer)], &disk, 300, S::Up),
            ("one whose system asks", vec![data(Discover), plain(Discover)], &disk, 0, S::Up),
            ("an armed host", vec![data(InstallArmed)], &live, 99, S::Waiting),
            ("an armed host that runs", and(up(), &[data(InstallArmed)]), &live, 99, S::Up),
            (
                "one that installs",
                vec![data(Discover), data(InstallStarted), data(Script), data(Kernel)],
                &live,
                999,
                S::Installing,
            ),
            (
                "one whose installer reports",
                vec![data(InstallStarted), data(Script), data(Kernel), data(Report)],
                &live,
                999,
                S::Installing,
            ),
            (
                "one that has installed",
                vec![data(InstallStarted), data(InstallCompleted)],
                &live,
                9,
                S::Up,
            ),
            (
                "one that was erased",
                vec![
                    data(InstallStarted),
                    EventData::InstallCompleted { image: "x".into(), task: InstallTask::Erase },
                ],
                &live,
                9,
                S::Waiting,
            ),
            (
                "one that has not",
                vec![data(InstallStarted), data(InstallFailed)],
                &live,
                9,
                S::Failed,
            ),
        ];
        for (name, events, context, silent, expected) in cases {
            let mut life = Life::default();
            let events = samples::events((0..).zip(events));
            for event in &events {
                life.note(event, context.is_local());
            }
            let now_ms = events.last().map_or(0, |event| event.at_ms) + silent * 1000;
            let status = life.status(context, Patience::default(), now_ms);
            assert_eq!(status.state, expected, "{name}: {status:?}");
            let has_cause = matches!(expected, S::Stuck) || name == "one that has not";
            assert!(!has_cause || status.cause.is_some() && !status.reason.is_empty(), "{name}");
        }
    }
}
