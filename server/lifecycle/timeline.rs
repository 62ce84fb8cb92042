//! A host's latest boot, told as stages. Pure.

use serde::{Deserialize, Serialize};

use super::boot::Boot;
use super::event::DeployStep;
use super::install::InstallTask;
use crate::lifecycle::{Event, EventData, EventKind};

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
    /// An installer selects the disk, and erases old data on it.
    Partition,
    /// An installer writes the disk.
    Write,
    /// The installed system becomes this host's, and the firmware gets its boot entry.
    Configure,
    /// The installation is complete, and the host restarts.
    Reboot,
    /// The host boots from its disk until the installed system reports.
    FirstBoot,
    /// The host says that it is up.
    Report,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 12] = [
        Self::Address,
        Self::Program,
        Self::Script,
        Self::Kernel,
        Self::Initrd,
        Self::Config,
        Self::Partition,
        Self::Write,
        Self::Configure,
        Self::Reboot,
        Self::FirstBoot,
        Self::Report,
    ];

    /// Whether only an installation has it.
    pub fn is_of_install(self) -> bool {
        (Self::Partition..=Self::FirstBoot).contains(&self)
    }

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
            | K::Syslog
            | K::Warning
            | K::Error => return None,
        })
    }

    /// The stage of a step that an installer reports.
    fn of_step(step: DeployStep) -> Self {
        match step {
            DeployStep::Erase | DeployStep::Select | DeployStep::Partition => Self::Partition,
            DeployStep::Write => Self::Write,
            DeployStep::Configure | DeployStep::BootEntry => Self::Configure,
            DeployStep::Restart => Self::Reboot,
            DeployStep::FirstBoot => Self::FirstBoot,
        }
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
            Self::Partition => "partition",
            Self::Write => "write",
            Self::Configure => "configure",
            Self::Reboot => "reboot",
            Self::FirstBoot => "first-boot",
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
            Self::Partition => "Disk",
            Self::Write => "Write",
            Self::Configure => "Configure",
            Self::Reboot => "Reboot",
            Self::FirstBoot => "First boot from disk",
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
    boots(events).pop().unwrap_or(events)
}

/// The boots among a host's events, both oldest first. An installation goes on until the installed
/// system reports, over as many boots as that takes. What came before the first boot is left out.
pub fn boots(events: &[Event]) -> Vec<&[Event]> {
    let mut boot = Boot::default();
    let mut starts: Vec<usize> = Vec::new();
    for event in events {
        let began = boot.note(event);
        let goes_on = boot.first_boot.is_some();
        if (began && !goes_on) || matches!(event.data, EventData::InstallStarted { .. }) {
            let is_first =
                |event: &Event| event.at_ms == boot.began_ms && Stage::of(event.kind()).is_some();
            starts.push(events.iter().position(is_first).unwrap_or_default());
        }
    }
    // An installation begins within a boot.
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([events.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| events.get(*start..end)).collect()
}

/// How long a boot was in each stage that it reached, in milliseconds: until the next one began. The
/// last one has no end.
pub fn durations(boot: &[Event]) -> Vec<(Stage, Option<i64>)> {
    let began = |step: StageProgress<'_>| Some((step.first?.at_ms, step.stage));
    let mut began: Vec<(i64, Stage)> = steps(boot).into_iter().filter_map(began).collect();
    began.sort();
    let nexts = began.iter().skip(1).map(|(at_ms, _)| Some(*at_ms)).chain([None]);
    let spent = |((at_ms, stage), next): (&(i64, Stage), Option<i64>)| {
        (*stage, next.map(|next| next - at_ms))
    };
    began.iter().zip(nexts).map(spent).collect()
}

/// The stages of a boot, from its events oldest first. Those of an installation are there if it
/// is one, and end with the report of the installed system.
pub fn steps(boot: &[Event]) -> Vec<StageProgress<'_>> {
    let staged = staged(boot);
    let installs = staged.iter().any(|(stage, _)| stage.is_of_install());
    let reached = staged.iter().map(|(stage, _)| *stage).max();
    let stages = Stage::ALL.into_iter().filter(|stage| match stage {
        Stage::Report => !installs,
        stage => installs || !stage.is_of_install(),
    });
    stages.map(|stage| step(stage, reached, &staged)).collect()
}

/// The events that belong to a stage, each with its own.
fn staged(boot: &[Event]) -> Vec<(Stage, &Event)> {
    let (mut staged, mut is_complete, mut is_up) = (Vec::new(), false, false);
    let mut furthest = None;
    for event in boot {
        let stage = match &event.data {
            EventData::InstallStarted { .. } => {
                // A host that is installed once more begins again.
                (is_complete, is_up) = (false, false);
                staged.retain(|(stage, _): &(Stage, &Event)| !stage.is_of_install());
                None
            }
            EventData::InstallStep(step) => {
                is_up |= step.step == DeployStep::FirstBoot;
                Some(Stage::of_step(step.step))
            }
            EventData::InstallCompleted {
                task: InstallTask::Install | InstallTask::Reinstall,
                ..
            } => {
                is_complete = true;
                Some(Stage::Reboot)
            }
            EventData::InstallFailed { .. } => furthest.max(Some(Stage::Partition)),
            // The installer says that it is done before the host restarts.
            EventData::Report(_) if is_complete && !is_up => Some(Stage::Reboot),
            data => match Stage::of(data.kind()) {
                Some(_) if is_complete => Some(Stage::FirstBoot),
                stage => stage,
            },
        };
        if let Some(stage) = stage {
            furthest = furthest.max(Some(stage).filter(|it| it.is_of_install()));
            staged.push((stage, event));
        }
    }
    staged
}

fn step<'a>(
    stage: Stage,
    reached: Option<Stage>,
    staged: &[(Stage, &'a Event)],
) -> StageProgress<'a> {
    let own: Vec<&'a Event> =
        staged.iter().filter(|(of, _)| *of == stage).map(|(_, event)| *event).collect();
    let last = own.last().copied();
    let is_over = match stage {
        Stage::Report => last.is_some(),
        Stage::FirstBoot => own.iter().any(|event| {
            matches!(&event.data, EventData::InstallStep(it) if it.step == DeployStep::FirstBoot)
        }),
        _ => false,
    };
    let refused = last.is_some_and(|event| event.data.is_failure());
    let standing = match reached {
        _ if refused => Standing::Trouble,
        Some(reached) if stage < reached && last.is_none() => Standing::Skipped,
        Some(reached) if stage < reached || is_over => Standing::Done,
        Some(reached) if stage == reached => Standing::Now,
        _ => Standing::Pending,
    };
    StageProgress { stage, standing, first: own.first().copied(), last, count: own.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::client::Client;
    use crate::lifecycle::event::StepReport;
    use crate::lifecycle::event::{Ending, ReportResult};
    use crate::lifecycle::samples;
    use EventKind::*;

    fn events(kinds: &[(i64, EventKind)]) -> Vec<Event> {
        samples::events(kinds.iter().map(|(at, kind)| (*at, samples::data(*kind))))
    }

    #[test]
    fn boots_are_told_apart_and_timed() {
        let kinds = [
            (0, Report),
            (10, Discover),
            (11, Ack),
            (12, Script),
            (30, Kernel),
            (34, Report),
            (90, Discover),
            (92, Script),
        ];
        let events = events(&kinds);
        let boots = boots(&events);
        assert_eq!(boots.iter().map(|boot| boot.len()).collect::<Vec<_>>(), [1, 5, 2]);
        assert_eq!(latest_boot(&events), &events[6..]);
        let spent: Vec<_> = boots.iter().skip(1).map(|boot| durations(boot)).collect();
        let second = |seconds: i64| Some(seconds * 1000);
        let first = [
            (Stage::Address, second(2)),
            (Stage::Script, second(18)),
            (Stage::Kernel, second(4)),
            (Stage::Report, None),
        ];
        assert_eq!(spent[0], first);
        assert_eq!(spent[1], [(Stage::Address, second(2)), (Stage::Script, None)]);
        assert!(super::boots(&[]).is_empty());
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
            (1, samples::report(ReportResult::Failed, "no partner")),
        ]);
        let step = *steps(&all).last().map(|step| &step.standing).unwrap();
        assert_eq!((step, step.label(), step.class()), (Standing::Trouble, "failed", "trouble"));
        let stopped = samples::events([(0, samples::tftp_end(Ending::Silent, 0))]);
        assert_eq!(steps(&stopped)[1].standing, Standing::Trouble);
    }

    /// A disk image from the first question of the firmware on, and what comes after it.
    fn deployment(more: &[EventData]) -> Vec<Event> {
        let step = |step| EventData::InstallStep(StepReport::of(step));
        let mut data: Vec<EventData> =
            [Discover, Ack, Tftp, Script, Kernel, InstallStarted, Initrd].map(samples::data).into();
        data.extend([DeployStep::Select, DeployStep::Partition].map(step));
        data.extend([samples::data(InstallStep), step(DeployStep::Configure)]);
        data.extend([step(DeployStep::BootEntry), step(DeployStep::Restart)]);
        data.extend([samples::data(InstallCompleted), samples::data(Report)]);
        data.extend_from_slice(more);
        samples::events((0..).zip(data))
    }

    #[test]
    fn an_installation_goes_on_until_the_first_boot_from_disk() {
        use Standing as S;
        let first = || EventData::InstallStep(StepReport::of(DeployStep::FirstBoot));
        let of = |kind| samples::data(kind);
        let first_boot = |events: &[Event]| {
            let boot = latest_boot(events);
            let steps = steps(boot);
            let last = steps.last().unwrap();
            assert_eq!(last.stage, Stage::FirstBoot, "{events:?}");
            (events.len() - boot.len(), last.standing, last.count)
        };
        for (more, start, standing, count) in [
            (vec![], 0, S::Pending, 0),
            (vec![of(Discover), of(Ack)], 0, S::Now, 2),
            (vec![of(Discover), of(Ack), of(Discover), of(Ack)], 0, S::Now, 4),
            (vec![of(Discover), of(Ack), first(), of(Report)], 0, S::Done, 4),
            (
                vec![of(Discover), first(), samples::report(ReportResult::Failed, "no partner")],
                0,
                S::Trouble,
                3,
            ),
        ] {
            assert_eq!(first_boot(&deployment(&more)), (start, standing, count), "{more:?}");
        }
        // The next boot is one like any other.
        let all = deployment(&[of(Discover), first(), of(Report), of(Discover)]);
        assert_eq!(latest_boot(&all).len(), 1);
        assert_eq!(steps(latest_boot(&all)).len(), 7);
    }

    #[test]
    fn the_stages_of_an_installation_have_their_own_rows() {
        use Standing as S;
        let all = deployment(&[]);
        let rows = steps(&all);
        let told: Vec<_> = rows.iter().map(|step| (step.stage, step.standing)).collect();
        let done = |stage| (stage, S::Done);
        assert_eq!(told[..2], [done(Stage::Address), done(Stage::Program)]);
        let expected = [
            done(Stage::Partition),
            done(Stage::Write),
            done(Stage::Configure),
            (Stage::Reboot, S::Now),
            (Stage::FirstBoot, S::Pending),
        ];
        assert_eq!(told[6..], expected);
        let mut failed = all[..10].to_vec();
        failed.extend(samples::events([(99, samples::data(InstallFailed))]));
        let standings = steps(&failed).iter().map(|step| step.standing).collect::<Vec<_>>();
        assert_eq!(standings[6..], [S::Done, S::Trouble, S::Pending, S::Pending, S::Pending]);
    }
}
