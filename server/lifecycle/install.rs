//! One install of a host: armed by a person, used by one boot, over when that boot says so. Pure.
//!
//! `docs/decisions/0201-boot-once.md` has the reasons. In short: an installer may run at most
//! once for each time that its host is armed. Everything before the installer runs may be
//! repeated by any number of boots; from then on only its own boot may go on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::InstallEnds;

/// How long a host stays armed, in seconds, unless a boot has begun to install it.
pub const ARMED_SECONDS: i64 = 24 * 3600;
/// How long the token of a boot is valid, in seconds: longer than any installer takes.
pub const TOKEN_SECONDS: i64 = 24 * 3600;

/// How far an install is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstallState {
    /// The next boot of the host installs.
    Armed,
    /// A boot has the script with its token and loads the installer. Nothing has run yet.
    Loading,
    /// The installer runs, or is about to: no other boot may install.
    Started,
    /// The installer reported success.
    Done,
    /// The installer reported a failure, or the host was powered on again before any report.
    Failed,
    /// Somebody called it off.
    Cancelled,
}

impl InstallState {
    /// All states, in order.
    pub const ALL: [Self; 6] =
        [Self::Armed, Self::Loading, Self::Started, Self::Done, Self::Failed, Self::Cancelled];

    /// The word that is stored and shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Armed => "armed",
            Self::Loading => "loading",
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for InstallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What a host is armed for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum InstallTask {
    /// Install its image. A disk image is not written to a disk that has data.
    #[default]
    Install,
    /// Install its image, and erase the data on the disk that it is written to.
    Reinstall,
    /// Erase all of its disks, and install nothing.
    Erase,
    /// Start the live system once, and leave all disks as they are.
    Rescue,
    /// Erase all of its disks, and remove what the host was used for from the inventory.
    Release,
}

impl InstallTask {
    /// All tasks.
    pub const ALL: [Self; 5] =
        [Self::Install, Self::Reinstall, Self::Erase, Self::Rescue, Self::Release];

    /// The word that is stored and shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Reinstall => "reinstall",
            Self::Erase => "erase",
            Self::Rescue => "rescue",
            Self::Release => "release",
        }
    }

    /// Whether it destroys data that it was told of, so that the host has to be named twice.
    pub fn erases(self) -> bool {
        matches!(self, Self::Reinstall | Self::Erase | Self::Release)
    }

    /// Whether nothing is left on the disks.
    pub fn empties(self) -> bool {
        matches!(self, Self::Erase | Self::Release)
    }
}

impl fmt::Display for InstallTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A word that is not a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a task: expected install, reinstall, erase, rescue or release")]
pub struct InvalidInstallTask(String);

impl FromStr for InstallTask {
    type Err = InvalidInstallTask;

    fn from_str(text: &str) -> Result<Self, InvalidInstallTask> {
        let found = Self::ALL.into_iter().find(|task| task.label() == text);
        found.ok_or_else(|| InvalidInstallTask(text.to_owned()))
    }
}

/// A word that is not the state of an install.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the state of an install")]
pub struct InvalidInstallState(String);

impl FromStr for InstallState {
    type Err = InvalidInstallState;

    fn from_str(text: &str) -> Result<Self, InvalidInstallState> {
        let found = Self::ALL.into_iter().find(|state| state.label() == text);
        found.ok_or_else(|| InvalidInstallState(text.to_owned()))
    }
}

/// The latest install of a host. Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Install {
    /// The image that installs.
    pub image: String,
    /// What is to be done.
    pub task: InstallTask,
    /// How far it is.
    pub state: InstallState,
    /// Since when it is in that state.
    pub since: i64,
    /// Who armed the host.
    pub armed_by: String,
    /// Until when a boot may begin to install.
    pub armed_until: i64,
    /// The hash of the token of the boot that installs, once there is one.
    #[serde(skip)]
    pub token_hash: Option<String>,
    /// Until when that token is valid.
    #[serde(skip)]
    pub token_until: i64,
    /// Why it failed; may contain words of the host.
    pub reason: String,
}

/// What a host that fetches its script may boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptStep {
    /// Its local disk.
    Disk,
    /// Its local disk: the install that had started is over.
    Over(Install),
    /// The installer, in the boot that has the token already.
    Same,
    /// The installer, in a boot that is given this token.
    Boot(Install),
}

/// What an installer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallReport {
    /// It is about to change the disk.
    Begins,
    /// The host is installed.
    Succeeded,
    /// It gives up, and why.
    Failed(String),
}

/// Why the report of an installer is refused: it must not change the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefusal {
    /// The token is not that of the boot that may install.
    #[error("the token is not valid: it is of another boot, or has expired")]
    InvalidToken,
    /// The install is over.
    #[error("the install is {0}: nothing may be installed")]
    Over(InstallState),
}

impl Install {
    /// Until when the next boot installs, if it does at `now` (both in Unix seconds).
    pub fn armed_at(&self, now: i64) -> Option<i64> {
        let is_armed = self.state == InstallState::Armed && self.armed_until > now;
        is_armed.then_some(self.armed_until)
    }

    /// A host that was armed just now.
    pub fn armed(image: &str, by: &str, now: i64) -> Self {
        Self {
            image: image.to_owned(),
            task: InstallTask::Install,
            state: InstallState::Armed,
            since: now,
            armed_by: by.to_owned(),
            armed_until: now + ARMED_SECONDS,
            token_hash: None,
            token_until: 0,
            reason: String::new(),
        }
    }

    /// Whether a boot may begin to install `image`.
    pub fn may_begin(&self, image: &str, now: i64) -> bool {
        let waits = matches!(self.state, InstallState::Armed | InstallState::Loading);
        waits && self.image == image && now < self.armed_until
    }

    /// Whether the boot with the token of this hash may go on to install `image`.
    pub fn may_go_on(&self, image: &str, token_hash: &str, now: i64) -> bool {
        let runs = matches!(self.state, InstallState::Loading | InstallState::Started);
        runs && self.image == image && self.has_token(token_hash, now)
    }

    /// Whether an installer may be changing the disk.
    pub fn is_running(&self, now: i64) -> bool {
        self.state == InstallState::Started && now < self.token_until
    }

    fn has_token(&self, token_hash: &str, now: i64) -> bool {
        self.token_hash.as_deref() == Some(token_hash) && now < self.token_until
    }

    fn in_state(&self, state: InstallState, now: i64) -> Self {
        Self { state, since: now, ..self.clone() }
    }

    /// The host itself fetches its script. `proof` is the hash of the token that it shows, which
    /// only a repeated request of one boot has; `fresh` that of a token it may be given.
    pub fn on_script(
        &self,
        image: &str,
        proof: Option<&str>,
        fresh: &str,
        ends: InstallEnds,
        now: i64,
    ) -> ScriptStep {
        if proof.is_some_and(|proof| self.may_go_on(image, proof, now)) {
            return ScriptStep::Same;
        }
        if self.may_begin(image, now) {
            let token_hash = Some(fresh.to_owned());
            let loading = self.in_state(InstallState::Loading, now);
            return ScriptStep::Boot(Self {
                token_hash,
                token_until: now + TOKEN_SECONDS,
                ..loading
            });
        }
        match self.on_power_on(ends, now) {
            Some(over) => ScriptStep::Over(over),
            None => ScriptStep::Disk,
        }
    }

    /// The boot with this token is about to get the last byte of its installer. What is to be
    /// stored before that byte leaves, if anything changes. A live system that only runs is done.
    pub fn on_loaded(&self, proof: &str, now: i64) -> Option<Self> {
        let begins = self.state == InstallState::Loading && self.has_token(proof, now);
        let next = match self.task {
            InstallTask::Rescue => InstallState::Done,
            _ => InstallState::Started,
        };
        begins.then(|| self.in_state(next, now))
    }

    /// The firmware of the host boots. Its installer, if one had started, is over: it cannot be
    /// told how far it came, so that nobody but a person may run it again. One that cannot report
    /// is taken at its word.
    pub fn on_power_on(&self, ends: InstallEnds, now: i64) -> Option<Self> {
        let over = || match ends {
            InstallEnds::Rebooted => self.in_state(InstallState::Done, now),
            InstallEnds::Reported => {
                let reason = "the host was powered on again before its installer reported";
                Self { reason: reason.to_owned(), ..self.in_state(InstallState::Failed, now) }
            }
        };
        (self.state == InstallState::Started).then(over)
    }

    /// The installer reports. What is to be stored, if anything changes: a report may be repeated.
    ///
    /// # Errors
    /// Whoever reports must not install.
    pub fn on_report(
        &self,
        proof: &str,
        report: &InstallReport,
        now: i64,
    ) -> Result<Option<Self>, ReportRefusal> {
        use InstallState as S;
        if !self.has_token(proof, now) {
            return Err(ReportRefusal::InvalidToken);
        }
        match (self.state, report) {
            (S::Loading, InstallReport::Begins) => Ok(Some(self.in_state(S::Started, now))),
            (S::Started, InstallReport::Begins) => Ok(None),
            // A second stage that runs from the disk reports after the host was powered on again.
            (S::Loading | S::Started | S::Failed, InstallReport::Succeeded) => {
                Ok(Some(Self { reason: String::new(), ..self.in_state(S::Done, now) }))
            }
            (S::Loading | S::Started, InstallReport::Failed(reason)) => {
                Ok(Some(Self { reason: reason.clone(), ..self.in_state(S::Failed, now) }))
            }
            (S::Done, InstallReport::Succeeded) | (S::Failed, InstallReport::Failed(_)) => Ok(None),
            (state, _) => Err(ReportRefusal::Over(state)),
        }
    }

    /// Somebody calls it off. What is to be stored; none if it is over already.
    pub fn on_cancel(&self, now: i64) -> Option<Self> {
        let cancelled = || Self { token_hash: None, ..self.in_state(InstallState::Cancelled, now) };
        (!self.state.is_over()).then(cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InstallState as S;

    const NOW: i64 = 1_800_000_000;

    fn install(state: S) -> Install {
        let token_hash = (state != S::Armed && state != S::Cancelled).then(|| "own".to_owned());
        let token_until = NOW + 60;
        Install { state, token_hash, token_until, ..Install::armed("debian", "test", NOW) }
    }

    #[test]
    fn a_script_is_for_an_armed_host_and_for_the_boot_that_has_it() {
        let steps = |state, image, proof: Option<&str>, now| match install(state).on_script(
            image,
            proof,
            "new",
            InstallEnds::Reported,
            now,
        ) {
            ScriptStep::Disk => "disk",
            ScriptStep::Over(next) => {
                assert_eq!(next.state, S::Failed);
                "interrupted"
            }
            ScriptStep::Same => "same",
            ScriptStep::Boot(next) => {
                assert_eq!((next.state, next.token_hash.as_deref()), (S::Loading, Some("new")));
                "boot"
            }
        };
        let later = NOW + ARMED_SECONDS;
        #[rustfmt::skip]
        let cases = [
            (S::Armed, "debian", None, NOW, "boot"),
            (S::Armed, "debian", Some("old"), NOW, "boot"),
            (S::Armed, "other", None, NOW, "disk"),
            (S::Armed, "debian", None, later, "disk"),
            (S::Loading, "debian", None, NOW, "boot"),
            (S::Loading, "debian", Some("own"), NOW, "same"),
            (S::Loading, "debian", Some("old"), NOW, "boot"),
            (S::Loading, "debian", None, later, "disk"),
            (S::Started, "debian", Some("own"), NOW, "same"),
            (S::Started, "debian", Some("own"), NOW + 60, "interrupted"),
            (S::Started, "debian", Some("old"), NOW, "interrupted"),
            (S::Started, "debian", None, NOW, "interrupted"),
            (S::Done, "debian", Some("own"), NOW, "disk"),
            (S::Failed, "debian", Some("own"), NOW, "disk"),
            (S::Cancelled, "debian", Some("own"), NOW, "disk"),
        ];
        for (state, image, proof, now, expected) in cases {
            assert_eq!(
                steps(state, image, proof, now),
                expected,
                "{state} {image} {proof:?} {now}"
            );
        }
    }

    #[test]
    fn only_the_boot_that_loads_begins_by_its_last_byte() {
        for state in S::ALL {
            let next = install(state).on_loaded("own", NOW).map(|next| next.state);
            assert_eq!(next, (state == S::Loading).then_some(S::Started), "{state}");
            assert_eq!(install(state).on_loaded("old", NOW), None, "{state}");
        }
    }

    #[test]
    fn a_rescue_is_over_when_its_live_system_is_loaded() {
        for state in S::ALL {
            let rescue = Install { task: InstallTask::Rescue, ..install(state) };
            let next = rescue.on_loaded("own", NOW).map(|next| next.state);
            assert_eq!(next, (state == S::Loading).then_some(S::Done), "{state}");
        }
        let done = Install { task: InstallTask::Rescue, ..install(S::Done) };
        assert_eq!(
            done.on_script("debian", Some("own"), "new", InstallEnds::Reported, NOW),
            ScriptStep::Disk
        );
        for task in InstallTask::ALL {
            assert_eq!(task.label().parse(), Ok(task));
        }
    }

    #[test]
    fn a_report_counts_once_and_only_with_the_token_of_its_boot() {
        let begins = InstallReport::Begins;
        let succeeded = InstallReport::Succeeded;
        let failed = InstallReport::Failed("no disk".into());
        let over = |state| Err(ReportRefusal::Over(state));
        #[rustfmt::skip]
        let cases = [
            (S::Loading, &begins, Ok(Some(S::Started))),
            (S::Loading, &succeeded, Ok(Some(S::Done))),
            (S::Loading, &failed, Ok(Some(S::Failed))),
            (S::Started, &begins, Ok(None)),
            (S::Started, &succeeded, Ok(Some(S::Done))),
            (S::Started, &failed, Ok(Some(S::Failed))),
            (S::Done, &begins, over(S::Done)),
            (S::Done, &succeeded, Ok(None)),
            (S::Done, &failed, over(S::Done)),
            (S::Failed, &begins, over(S::Failed)),
            (S::Failed, &succeeded, Ok(Some(S::Done))),
            (S::Failed, &failed, Ok(None)),
            (S::Armed, &begins, Err(ReportRefusal::InvalidToken)),
            (S::Cancelled, &begins, Err(ReportRefusal::InvalidToken)),
        ];
        for (state, report, expected) in cases {
            let answer = install(state).on_report("own", report, NOW);
            let answer = answer.map(|next| next.map(|next| next.state));
            assert_eq!(answer, expected, "{state} {report:?}");
            for (proof, now) in [("old", NOW), ("own", NOW + 60)] {
                let refused = install(state).on_report(proof, report, now);
                assert_eq!(refused, Err(ReportRefusal::InvalidToken), "{state} {report:?}");
            }
        }
    }

    #[test]
    fn a_power_on_ends_what_had_started_and_nothing_else() {
        for state in S::ALL {
            for (ends, end) in
                [(InstallEnds::Reported, S::Failed), (InstallEnds::Rebooted, S::Done)]
            {
                let next = install(state).on_power_on(ends, NOW).map(|next| next.state);
                assert_eq!(next, (state == S::Started).then_some(end), "{state} {ends:?}");
            }
        }
    }

    #[test]
    fn what_is_over_cannot_be_called_off() {
        for state in S::ALL {
            let next = install(state).on_cancel(NOW).map(|next| (next.state, next.token_hash));
            assert_eq!(next, (!state.is_over()).then_some((S::Cancelled, None)), "{state}");
        }
    }
}
