//! A roll-out: hosts apply their new network configuration in waves. Each wave waits for the one
//! before, and the first host that does not come through stops them all. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::Host;

/// A host that has not asked for so long is not waited for; it asks every five minutes.
pub const SILENT_MS: i64 = 15 * 60 * 1000;
/// How long a host may take from its script to its report: both checks of the script take a minute.
pub const ANSWER_MS: i64 = 10 * 60 * 1000;
/// The most waves, so that a page can show them.
pub const MOST_WAVES: usize = 500;

/// How far a roll-out is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RollOutState {
    /// Hosts of the open wave apply.
    Running,
    /// No host applies until somebody resumes or ends it.
    Halted {
        /// The host that stopped it; none if it is the whole wave.
        host: Option<String>,
        /// Why.
        cause: HaltCause,
    },
    /// Every wave is through.
    Done,
    /// Somebody ended it.
    Ended,
}

impl RollOutState {
    /// The word shown and stored.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted { .. } => "halted",
            Self::Done => "done",
            Self::Ended => "ended",
        }
    }

    /// Whether it can go on.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Running | Self::Halted { .. })
    }
}

/// When the hosts of an open wave apply.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyAt {
    /// When they ask.
    #[default]
    Now,
    /// When they ask for the first time after a boot; until then they are waited for.
    NextBoot,
}

impl ApplyAt {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Now, Self::NextBoot];

    /// The one that a word stands for.
    pub fn of_label(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.label() == word)
    }

    /// The word shown and stored.
    pub fn label(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::NextBoot => "next-boot",
        }
    }

    /// Whether a host that has been up for so long may apply, in a wave that opened at `opened_ms`.
    /// Durations only: the host's clock may be wrong.
    pub fn allows(self, opened_ms: i64, now_ms: i64, up: Option<Duration>) -> bool {
        let open_ms = u128::try_from(now_ms - opened_ms).unwrap_or_default();
        self == Self::Now || up.is_some_and(|up| up.as_millis() < open_ms)
    }
}

/// What stopped a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum HaltCause {
    /// The host returned to its previous configuration by itself, or reported another failure.
    Returned {
        /// What it reported.
        text: String,
    },
    /// The host took its configuration and has not reported since.
    Lost,
    /// The inventory has other files for the host than when the roll-out began.
    Moved,
    /// No host of the wave asks.
    Silent,
}

impl fmt::Display for HaltCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned { text } => f.write_str(text),
            Self::Lost => write!(
                f,
                "it took its configuration and has not reported for {} min",
                ANSWER_MS / 60_000
            ),
            Self::Moved => f.write_str(
                "the inventory has other files for it than when the roll-out began: \
                 end this roll-out and start another",
            ),
            Self::Silent => write!(
                f,
                "no host of this wave has asked for {} min: is the timer installed?",
                SILENT_MS / 60_000
            ),
        }
    }
}

/// What is known of a host of a roll-out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollOutHost {
    /// The host.
    pub name: String,
    /// Its wave, from 1.
    pub wave: i64,
    /// When it asked last whether to apply, in Unix milliseconds.
    pub asked_ms: Option<i64>,
    /// When it took its new configuration.
    pub given_ms: Option<i64>,
    /// What it reported as its failure since then.
    pub returned: Option<String>,
    /// Whether it has reported the files that the roll-out brings.
    pub is_current: bool,
    /// Whether the inventory has other files for it than when the roll-out began.
    pub has_moved: bool,
}

/// How far a host of a roll-out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostStep {
    /// It runs the new configuration.
    Current,
    /// It returned to the previous configuration, or failed otherwise.
    Returned,
    /// It took the new configuration and reports nothing.
    Lost,
    /// It applies the new configuration.
    Applying,
    /// It does not ask.
    Silent,
    /// It is asked for when its wave opens, or when it asks next.
    Waiting,
}

impl RollOutHost {
    /// How far it is, in a wave that opened at `opened_ms` and is open or through.
    pub fn step(&self, apply_at: ApplyAt, opened_ms: i64, now_ms: i64) -> HostStep {
        if self.is_current {
            return HostStep::Current;
        }
        if self.returned.is_some() {
            return HostStep::Returned;
        }
        if let Some(given_ms) = self.given_ms {
            let is_late = now_ms - given_ms >= ANSWER_MS;
            return if is_late { HostStep::Lost } else { HostStep::Applying };
        }
        if apply_at == ApplyAt::NextBoot {
            return HostStep::Waiting;
        }
        let heard_ms = self.asked_ms.unwrap_or_default().max(opened_ms);
        if now_ms - heard_ms >= SILENT_MS { HostStep::Silent } else { HostStep::Waiting }
    }
}

/// What follows for a roll-out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The wave with this number opens.
    Open(i64),
    /// It stops.
    Halt {
        /// At this host; none if it is the whole wave.
        host: Option<String>,
        /// Why.
        cause: HaltCause,
    },
    /// All waves are through.
    Finish,
}

/// What follows at `now_ms` for a roll-out whose wave `open` opened at `opened_ms`; none if it only
/// waits. Hosts that are not reachable are not waited for, unless all of the wave are; those that apply
/// at their next boot are, for as long as that takes.
pub fn next(
    hosts: &[RollOutHost],
    apply_at: ApplyAt,
    open: i64,
    opened_ms: i64,
    now_ms: i64,
) -> Option<NextStep> {
    let halt = |host: Option<&RollOutHost>, cause| {
        Some(NextStep::Halt { host: host.map(|host| host.name.clone()), cause })
    };
    // A host of an earlier wave may ask, apply and return late.
    let begun: Vec<(&RollOutHost, HostStep)> = hosts
        .iter()
        .filter(|host| host.wave <= open)
        .map(|host| (host, host.step(apply_at, opened_ms, now_ms)))
        .collect();
    for (host, step) in &begun {
        match step {
            HostStep::Returned => {
                let text = host.returned.clone().unwrap_or_default();
                return halt(Some(host), HaltCause::Returned { text });
            }
            HostStep::Lost => return halt(Some(host), HaltCause::Lost),
            HostStep::Waiting | HostStep::Applying if host.has_moved => {
                return halt(Some(host), HaltCause::Moved);
            }
            _ => {}
        }
    }
    let in_wave = || begun.iter().filter(|(host, _)| host.wave == open).map(|(_, step)| *step);
    if in_wave().any(|step| matches!(step, HostStep::Waiting | HostStep::Applying)) {
        return None;
    }
    // Nothing is proven by a wave of which nobody was heard.
    if in_wave().next().is_some() && in_wave().all(|step| step == HostStep::Silent) {
        return halt(None, HaltCause::Silent);
    }
    let following = hosts.iter().map(|host| host.wave).filter(|wave| *wave > open).min();
    Some(following.map_or(NextStep::Finish, NextStep::Open))
}

/// How hosts are divided into waves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Division {
    /// One wave.
    AtOnce,
    /// So many racks a wave, in the order of their names; hosts without a rack come last.
    Racks(usize),
    /// A wave for each of these labels, in their order; hosts with none of them come last.
    Labels(Vec<String>),
}

impl Division {
    /// By the labels in a text, separated by commas; none if it names none.
    pub fn by_labels(text: &str) -> Option<Self> {
        let labels = text.split(',').map(str::trim).filter(|label| !label.is_empty());
        let labels: Vec<String> = labels.map(str::to_owned).collect();
        (!labels.is_empty()).then_some(Self::Labels(labels))
    }
}

/// A wave that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWave {
    /// What its hosts have in common.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<String>,
}

/// Divides hosts, which are in their natural order, into waves. `first` goes before all others, alone.
pub fn plan(hosts: &[(&str, &Host)], first: Option<&str>, division: &Division) -> Vec<PlannedWave> {
    let (alone, others): (Vec<_>, Vec<_>) =
        hosts.iter().copied().partition(|(name, _)| Some(*name) == first);
    let mut waves: BTreeMap<usize, PlannedWave> = BTreeMap::new();
    let mut put = |key: usize, wave: String, host: &str| {
        let wave = waves.entry(key).or_insert(PlannedWave { name: wave, hosts: Vec::new() });
        wave.hosts.push(host.to_owned());
    };
    for (name, _) in alone {
        put(0, name.to_owned(), name);
    }
    match division {
        Division::AtOnce => others.iter().for_each(|(name, _)| put(1, "all".into(), name)),
        Division::Racks(size) => {
            let mut racks: Vec<&str> = Vec::new();
            for (_, host) in &others {
                let rack = host.rack.as_deref();
                racks.extend(rack.filter(|rack| !racks.contains(rack)));
            }
            let size = (*size).max(1).max(racks.len().div_ceil(MOST_WAVES));
            for (name, host) in &others {
                let index = racks.iter().position(|rack| host.rack.as_deref() == Some(rack));
                let wave = index.map(|index| index / size);
                let title = match wave {
                    None => "without a rack".to_owned(),
                    Some(wave) => {
                        let of_wave = racks.iter().skip(wave * size).take(size);
                        match of_wave.copied().collect::<Vec<&str>>()[..] {
                            [one] => one.to_owned(),
                            [first, .., last] => format!("{first} to {last}"),
                            [] => String::new(),
                        }
                    }
                };
                put(wave.map_or(usize::MAX, |wave| wave + 1), title, name);
            }
        }
        Division::Labels(labels) => {
            for (name, host) in &others {
                let index = labels.iter().position(|label| host.labels.contains(label));
                let title = index.map_or("others", |index| labels[index].as_str()).to_owned();
                put(index.map_or(usize::MAX, |index| index + 1), title, name);
            }
        }
    }
    waves.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: i64 = 1_000_000_000;
    const MINUTE: i64 = 60_000;

    fn host(name: &str, wave: i64) -> RollOutHost {
        RollOutHost { name: name.into(), wave, ..RollOutHost::default() }
    }

    fn current(name: &str, wave: i64) -> RollOutHost {
        RollOutHost { is_current: true, ..host(name, wave) }
    }

    fn given(name: &str, wave: i64, minute: i64) -> RollOutHost {
        RollOutHost { given_ms: Some(OPENED + minute * MINUTE), ..host(name, wave) }
    }

    fn asked(name: &str, wave: i64, minute: i64) -> RollOutHost {
        RollOutHost { asked_ms: Some(OPENED + minute * MINUTE), ..host(name, wave) }
    }

    fn returned(name: &str, wave: i64) -> RollOutHost {
        RollOutHost { returned: Some("rolled back".into()), ..given(name, wave, 0) }
    }

    fn moved(of: RollOutHost) -> RollOutHost {
        RollOutHost { has_moved: true, ..of }
    }

    #[test]
    fn what_follows_is_decided_by_facts_and_time() {
        let halt = |host: &str, cause| Some(NextStep::Halt { host: Some(host.to_owned()), cause });
        let silent = Some(NextStep::Halt { host: None, cause: HaltCause::Silent });
        let back = || HaltCause::Returned { text: "rolled back".into() };
        let cases = [
            (
                "a wave waits for its hosts",
                vec![current("a", 1), host("b", 1), host("c", 2)],
                1,
                None,
            ),
            (
                "a wave that is through opens the next",
                vec![current("a", 1), host("c", 2)],
                1,
                Some(NextStep::Open(2)),
            ),
            (
                "numbers of waves without hosts are skipped",
                vec![current("a", 1), host("c", 4)],
                1,
                Some(NextStep::Open(4)),
            ),
            ("after the last it is done", vec![current("a", 1)], 1, Some(NextStep::Finish)),
            ("without hosts it is done", vec![], 1, Some(NextStep::Finish)),
            (
                "an automatic return halts it at once",
                vec![host("a", 1), returned("b", 1), host("c", 2)],
                1,
                halt("b", back()),
            ),
            (
                "a host that came through after a failure does not",
                vec![RollOutHost { is_current: true, ..returned("b", 1) }],
                1,
                Some(NextStep::Finish),
            ),
            ("a host that applies is waited for", vec![given("a", 1, 0)], 9, None),
            (
                "a host that does not report is lost",
                vec![given("a", 1, 0), current("b", 1)],
                10,
                halt("a", HaltCause::Lost),
            ),
            (
                "an unreachable host is not waited for",
                vec![current("a", 1), host("b", 1), host("c", 2)],
                15,
                Some(NextStep::Open(2)),
            ),
            (
                "one that asked lately is",
                vec![current("a", 1), asked("b", 1, 14), host("c", 2)],
                15,
                None,
            ),
            ("a wave of which nobody is heard halts", vec![host("a", 1), host("b", 1)], 15, silent),
            (
                "a late host of an earlier wave halts, too",
                vec![returned("a", 1), current("b", 1), host("c", 2)],
                1,
                halt("a", back()),
            ),
            (
                "another change of the inventory halts",
                vec![moved(host("a", 1)), host("b", 2)],
                1,
                halt("a", HaltCause::Moved),
            ),
            (
                "a host that has what the roll-out brings does not",
                vec![moved(current("a", 1)), host("b", 2)],
                1,
                Some(NextStep::Open(2)),
            ),
            ("nor one of a wave that is shut", vec![host("a", 1), moved(host("b", 2))], 1, None),
        ];
        for (sentence, hosts, minutes, expected) in cases {
            let found = next(&hosts, ApplyAt::Now, 1, OPENED, OPENED + minutes * MINUTE);
            assert_eq!(found, expected, "{sentence}");
        }
        let late = [returned("a", 1), current("b", 2)];
        assert_eq!(next(&late, ApplyAt::Now, 2, OPENED, OPENED), halt("a", back()));
    }

    #[test]
    fn at_their_next_boot_hosts_are_waited_for() {
        let month = 30 * 24 * 60 * MINUTE;
        let at_boot = |hosts: &[RollOutHost], minutes: i64| {
            next(hosts, ApplyAt::NextBoot, 1, OPENED, OPENED + minutes * MINUTE)
        };
        assert_eq!(at_boot(&[current("a", 1), host("b", 1), host("c", 2)], month), None);
        assert_eq!(at_boot(&[current("a", 1), host("c", 2)], 1), Some(NextStep::Open(2)));
        let lost = NextStep::Halt { host: Some("a".into()), cause: HaltCause::Lost };
        assert_eq!(at_boot(&[given("a", 1, 0), host("b", 1)], 10), Some(lost));
        let up = |minutes: u64| Some(Duration::from_mins(minutes));
        let now = OPENED + 10 * MINUTE;
        for (up, expected) in [(up(9), true), (up(10), false), (up(11), false), (None, false)] {
            assert_eq!(ApplyAt::NextBoot.allows(OPENED, now, up), expected, "{up:?}");
            assert!(ApplyAt::Now.allows(OPENED, now, up));
        }
        assert!(!ApplyAt::NextBoot.allows(now, OPENED, up(0)), "a clock that went back");
        assert!(ApplyAt::ALL.iter().all(|one| ApplyAt::of_label(one.label()) == Some(*one)));
        assert_eq!(ApplyAt::of_label("noon"), None);
    }

    #[test]
    fn hosts_are_divided_in_their_order() {
        let of = |rack: Option<&str>, labels: &[&str]| Host {
            rack: rack.map(str::to_owned),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            ..Host::default()
        };
        let hosts = [
            ("a", of(Some("r1"), &["web"])),
            ("b", of(Some("r2"), &["db", "canary"])),
            ("c", of(None, &[])),
            ("d", of(Some("r3"), &["canary"])),
        ];
        let hosts: Vec<(&str, &Host)> = hosts.iter().map(|(name, host)| (*name, host)).collect();
        let labels = |words: &str| Division::Labels(words.split(' ').map(str::to_owned).collect());
        for (first, division, expected) in [
            (None, Division::AtOnce, "all: a b c d"),
            (Some("d"), Division::AtOnce, "d: d; all: a b c"),
            (Some("x"), Division::AtOnce, "all: a b c d"),
            (None, Division::Racks(1), "r1: a; r2: b; r3: d; without a rack: c"),
            (Some("a"), Division::Racks(2), "a: a; r2 to r3: b d; without a rack: c"),
            (None, Division::Racks(0), "r1: a; r2: b; r3: d; without a rack: c"),
            (None, labels("canary web"), "canary: b d; web: a; others: c"),
        ] {
            let waves = plan(&hosts, first, &division);
            let line = |wave: &PlannedWave| format!("{}: {}", wave.name, wave.hosts.join(" "));
            let found: Vec<String> = waves.iter().map(line).collect();
            assert_eq!(found.join("; "), expected, "{first:?} {division:?}");
        }
        assert_eq!(plan(&[], None, &Division::AtOnce), []);
        assert_eq!(Division::by_labels(" canary,, web "), Some(labels("canary web")));
        assert_eq!(Division::by_labels(" ,"), None);
    }
}
