//! A host's latest boot, told as stages. Pure.

use serde::{Deserialize, Serialize};

use super::boot::Boot;
use crate::lifecycle::{Event, EventKind};

/// The stages of a boot, in order.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// DHCP gives the address.
    Address,
    /// The network boot program goes out.
    Program,
    /// iPXE fetches the host's script.
    Script,
    /// The kernel goes out.
    Kernel,
    /// The initrds go out.
    Initrd,
    /// The generated network configuration goes out.
    Config,
    /// The host says that it is up.
    Report,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 7] = [
        Self::Address,
        Self::Program,
        Self::Script,
        Self::Kernel,
        Self::Initrd,
        Self::Config,
        Self::Report,
    ];

    /// The stage that an event belongs to, if it is one of a boot.
    pub fn of(kind: EventKind) -> Option<Self> {
        use EventKind as K;
        Some(match kind {
            K::Discover | K::Offer | K::Request | K::Ack | K::Nak | K::Decline => Self::Address,
            K::Tftp | K::Nbp => Self::Program,
            K::Script => Self::Script,
            K::Kernel => Self::Kernel,
            K::Initrd => Self::Initrd,
            K::Config => Self::Config,
            K::Report => Self::Report,
            K::Release
            | K::File
            | K::InstallArmed
            | K::InstallStarted
            | K::InstallStep
            | K::InstallCompleted
            | K::InstallFailed
            | K::Warning
            | K::Error => return None,
        })
    }

    /// The word in `/metrics`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Program => "program",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
            Self::Config => "config",
            Self::Report => "report",
        }
    }

    /// What the stage is called on the page.
    pub fn label(self) -> &'static str {
        match self {
            Self::Address => "Address",
            Self::Program => "Boot program",
            Self::Script => "Boot script",
            Self::Kernel => "Kernel",
            Self::Initrd => "Initrd",
            Self::Config => "Configuration",
            Self::Report => "Report",
        }
    }
}

/// What is known of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageProgress<'a> {
    /// Which stage.
    pub stage: Stage,
    /// How far it is.
    pub standing: Standing,
    /// Its first event.
    pub first: Option<&'a Event>,
    /// Its latest event.
    pub last: Option<&'a Event>,
    /// How many events it has.
    pub count: usize,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Passed.
    Done,
    /// The boot is here.
    Now,
    /// Something was refused or failed here.
    Trouble,
    /// Left out: a later stage came without it.
    Skipped,
    /// Not yet.
    Pending,
}

impl Standing {
    /// The word that the page shows and the style sheet knows.
    pub fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Trouble => "failed",
            Self::Skipped => "not used",
            Self::Pending => "to come",
        }
    }

    /// The style sheet's class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Trouble => "trouble",
            Self::Skipped => "skipped",
            Self::Pending => "pending",
        }
    }
}

/// The latest boot among a host's events, which come oldest first.
pub fn latest_boot(events: &[Event]) -> &[Event] {
    let mut boot = Boot::default();
    let mut began_ms = None;
    for event in events {
        if boot.note(event) {
            began_ms = Some(boot.began_ms);
        }
    }
    let start = began_ms.map_or(0, |began_ms| {
        let began = |event: &Event| event.at_ms == began_ms && Stage::of(event.kind()).is_some();
        events.iter().position(began).unwrap_or_default()
    });
    events.get(start..).unwrap_or_default()
}

/// The stages of a boot, from its events oldest first.
pub fn steps(boot: &[Event]) -> Vec<StageProgress<'_>> {
    let reached = boot.iter().filter_map(|event| Stage::of(event.kind())).max();
    Stage::ALL.iter().map(|stage| step(*stage, reached, boot)).collect()
}

fn step(stage: Stage, reached: Option<Stage>, boot: &[Event]) -> StageProgress<'_> {
    let events = || boot.iter().filter(|event| Stage::of(event.kind()) == Some(stage));
    let last = events().next_back();
    let refused = last.is_some_and(|event| event.data.is_failure());
    let standing = match reached {
        _ if refused => Standing::Trouble,
        Some(reached) if stage < reached && last.is_none() => Standing::Skipped,
        Some(reached) if stage < reached || stage == Stage::Report && last.is_some() => {
            Standing::Done
        }
        Some(reached) if stage == reached => Standing::Now,
        _ => Standing::Pending,
    };
    StageProgress { stage, standing, first: events().next(), last, count: events().count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Client;
    use crate::lifecycle::event::{Ending, Verdict};
    use crate::lifecycle::{EventData, samples};
    use EventKind::*;

    fn events(kinds: &[(i64, EventKind)]) -> Vec<Event> {
        samples::events(kinds.iter().map(|(at, kind)| (*at, samples::data(*kind))))
    }

    #[test]
    fn a_boot_begins_where_a_person_would_say() {
        let cases = [
            ("nothing happened", vec![], 0),
            (
                "one boot asks three times",
                vec![
                    (0, Discover),
                    (1, Ack),
                    (2, Tftp),
                    (3, Discover),
                    (4, Script),
                    (9, Kernel),
                    (12, Discover),
                    (20, Report),
                ],
                0,
            ),
            (
                "after a report asking is a new boot",
                vec![(0, Discover), (5, Report), (60, Discover)],
                2,
            ),
            ("after a long silence too", vec![(0, Discover), (2, Tftp), (2000, Discover)], 2),
            (
                "a reset in the middle is a new boot",
                vec![
                    (0, Discover),
                    (2, Tftp),
                    (3, Script),
                    (4, Kernel),
                    (30, Discover),
                    (31, Ack),
                    (32, Tftp),
                ],
                4,
            ),
            ("a reset without DHCP too", vec![(0, Script), (4, Kernel), (30, Script)], 2),
            ("a warning is not a boot", vec![(0, Warning), (1, Discover)], 1),
        ];
        for (name, kinds, start) in cases {
            let all = events(&kinds);
            assert_eq!(latest_boot(&all).len(), all.len() - start, "{name}");
        }
    }

    #[test]
    fn stages_stand_where_the_boot_is() {
        use Standing as S;
        let cases = [
            (vec![], [S::Pending; 7]),
            (
                vec![(0, Discover)],
                [S::Now, S::Pending, S::Pending, S::Pending, S::Pending, S::Pending, S::Pending],
            ),
            (
                vec![(0, Discover), (1, Nak)],
                [
                    S::Trouble,
                    S::Pending,
                    S::Pending,
                    S::Pending,
                    S::Pending,
                    S::Pending,
                    S::Pending,
                ],
            ),
            (
                vec![(0, Discover), (1, Ack), (2, Script), (3, Kernel)],
                [S::Done, S::Skipped, S::Done, S::Now, S::Pending, S::Pending, S::Pending],
            ),
            (
                vec![
                    (0, Ack),
                    (1, Tftp),
                    (2, Script),
                    (3, Kernel),
                    (4, Initrd),
                    (5, Config),
                    (6, Report),
                ],
                [S::Done; 7],
            ),
        ];
        for (kinds, expected) in cases {
            let all = events(&kinds);
            let standings: Vec<_> = steps(&all).iter().map(|step| step.standing).collect();
            assert_eq!(standings, expected, "{kinds:?}");
        }
    }
    #[test]
    fn a_running_system_that_asks_begins_no_boot() {
        let plain = EventData::Discover(samples::question(Client::Plain, None));
        let mut all = events(&[(0, Discover), (5, Report)]);
        all.extend(samples::events([(60, plain), (61, samples::data(Ack))]));
        assert_eq!(latest_boot(&all).len(), all.len());
    }

    #[test]
    fn a_failed_report_is_a_failed_step() {
        let all = samples::events([
            (0, samples::data(Config)),
            (1, samples::report(Verdict::Failed, "no partner")),
        ]);
        let step = *steps(&all).last().map(|step| &step.standing).unwrap();
        assert_eq!((step, step.label(), step.class()), (Standing::Trouble, "failed", "trouble"));
        let stopped = samples::events([(0, samples::tftp_end(Ending::Silent, 0))]);
        assert_eq!(steps(&stopped)[1].standing, Standing::Trouble);
    }
}
