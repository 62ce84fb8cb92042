//! A change on a page: first how much it is, then equal changes together, within a budget of
//! bytes however many hosts it concerns. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::inventory::{ChangeError, Tried};
use crate::model::natural;
use crate::model::{Difference, DifferenceKind, FieldDifference, Mac, Site, some_names};
use crate::network::{Consequences, Finding, Line, OwnValue};

/// What all differences of a page may take, in bytes of HTML.
const BUDGET: usize = 150_000;
/// What a line takes besides its text.
const LINE_MARKUP: usize = 40;
/// Lines of a group that are shown; the rest is counted.
const MOST_LINES: usize = 200;
/// Groups that are shown opened.
const OPEN: usize = 3;
/// Profiles and racks that are named.
const MOST_PLACES: usize = 12;
/// Messages of a rule that are shown opened.
const OPEN_MESSAGES: usize = 3;
/// Messages of a rule that are shown at all.
const MOST_MESSAGES: usize = 40;
/// The longest message, in characters.
const MOST_CHARACTERS: usize = 1000;

/// A change, summed up.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// Entries of the inventory by kind, such as `4,000 hosts`.
    pub entries: Vec<String>,
    /// How many hosts get other files.
    pub hosts: usize,
    /// How many switches get another configuration.
    pub switches: usize,
    pub by_profile: Spread,
    pub by_rack: Spread,
    pub differences: Vec<EntryGroup>,
    /// Groups of entries that are not shown.
    pub more_differences: usize,
    pub host_groups: Vec<FileGroup>,
    pub switch_groups: Vec<FileGroup>,
    /// Groups of hosts and switches that are not shown.
    pub more_groups: usize,
}

/// How many hosts are in each profile or rack.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    /// The largest first.
    pub counts: Vec<(String, usize)>,
    /// How many more there are.
    pub more: usize,
}

/// Entries of the inventory that change in the same way.
#[derive(Debug)]
pub(crate) struct EntryGroup {
    pub noun: &'static str,
    pub names: Vec<String>,
    /// `added`, `removed`, `was r1-n01`, or nothing for entries whose values change.
    pub verb: String,
    /// The values that change, of the first entry.
    pub fields: Vec<String>,
    pub more_fields: usize,
    /// Whether other entries have other values of their own in their place.
    pub is_example: bool,
}

impl EntryGroup {
    /// What several of them are called.
    pub(crate) fn kinds(&self) -> String {
        plural(self.noun)
    }

    /// How many there are, with commas.
    pub(crate) fn count(&self) -> String {
        thousands(self.names.len())
    }

    /// The first few entries by name.
    pub(crate) fn some(&self) -> String {
        some_names(&self.names)
    }
}

/// Hosts or switches whose files change in the same way.
#[derive(Debug)]
pub(crate) struct FileGroup {
    pub title: String,
    pub names: Vec<String>,
    pub facts: Vec<String>,
    pub own_values: Vec<OwnValue>,
    pub lines: Vec<Line>,
    /// Lines that are not shown.
    pub more_lines: usize,
    pub is_open: bool,
}

impl FileGroup {
    /// The first few by name.
    pub(crate) fn some(&self) -> String {
        some_names(&self.names)
    }
}

/// Messages of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageGroup {
    /// The rule that they are of; empty for what is no finding.
    pub rule: &'static str,
    pub first: Vec<String>,
    /// Those that are folded.
    pub folded: Vec<String>,
    /// Those that are not shown.
    pub hidden: usize,
}

impl MessageGroup {
    /// How many there are after the first.
    pub(crate) fn more(&self) -> usize {
        self.folded.len() + self.hidden
    }
}

/// Why something is refused, or what is warned about; messages of one kind together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Messages(Vec<MessageGroup>);

impl Messages {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &MessageGroup> {
        self.0.iter()
    }

    /// Those of findings, by rule.
    pub(crate) fn of_findings(findings: &[Finding]) -> Self {
        let mut messages = Self::default();
        for finding in findings {
            messages.add(finding.rule, finding.to_string());
        }
        messages
    }

    /// Why a change is refused.
    pub(crate) fn of_refusal(error: &ChangeError) -> Self {
        match error {
            ChangeError::Refused(findings) => Self::of_findings(findings),
            ChangeError::Rows(rows) => rows.iter().map(ToString::to_string).collect(),
            error => [error.to_string()].into_iter().collect(),
        }
    }

    /// Adds other messages.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn add(&mut self, rule: &'static str, text: String) {
        let text = match text.char_indices().nth(MOST_CHARACTERS) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        };
        let index = self.0.iter().position(|group| group.rule == rule).unwrap_or_else(|| {
            self.0.push(MessageGroup { rule, ..MessageGroup::default() });
            self.0.len() - 1
        });
        let group = &mut self.0[index];
        // What is no finding differs in kind from one to the next.
        if group.first.len() < if rule.is_empty() { MOST_MESSAGES } else { OPEN_MESSAGES } {
            group.first.push(text);
        } else if group.folded.len() < MOST_MESSAGES {
            group.folded.push(text);
        } else {
            group.hidden += 1;
        }
    }
}

impl FromIterator<String> for Messages {
    fn from_iter<T: IntoIterator<Item = String>>(texts: T) -> Self {
        let mut messages = Self::default();
        texts.into_iter().for_each(|text| messages.add("", text));
        messages
    }
}

/// The profile and the rack of each host that a change may concern.
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<String, (String, String)>);

impl Places {
    /// Those of the hosts of a site.
    pub(crate) fn of(site: &Site) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        let place = |(name, host): (&String, &crate::model::Host)| {
            (name.clone(), (text(&host.profile), text(&host.rack)))
        };
        Self(site.hosts.iter().map(place).collect())
    }

    /// Those of the hosts before and after a dry run.
    pub(crate) fn of_tried(tried: &Tried) -> Self {
        let mut places = Self::of(&tried.before);
        places.0.extend(Self::of(&tried.after).0);
        places
    }
}

/// Bytes that are left.
struct Budget(usize);

impl Budget {
    /// Whether so much is left; it is then taken.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

impl Overview {
    /// Sums a change up.
    pub(crate) fn new(
        differences: &[Difference],
        consequences: Consequences,
        places: &Places,
    ) -> Self {
        let names = consequences.hosts.iter().flat_map(|group| &group.hosts);
        let place = names.filter_map(|name| places.0.get(name)).collect::<Vec<_>>();
        let mut overview = Self {
            entries: entries(differences),
            hosts: consequences.host_count(),
            switches: consequences.switch_count(),
            by_profile: Spread::of(place.iter().map(|(profile, _)| profile)),
            by_rack: Spread::of(place.iter().map(|(_, rack)| rack)),
            ..Self::default()
        };
        let mut budget = Budget(BUDGET);
        overview.add_entries(entry_groups(differences), &mut budget);
        let Consequences { hosts, switches } = consequences;
        for group in hosts {
            let title = counted(group.hosts.len(), "host", "hosts");
            let own_values = group.own_values;
            let file_group =
                FileGroup::new(title, group.hosts, group.facts, own_values, group.lines);
            overview.add_files(file_group, &mut budget, true);
        }
        for change in switches {
            let title = match change.switches.as_slice() {
                [one] => format!("Switch {one}"),
                many => format!("{} switches", many.len()),
            };
            let (facts, own_values) = Default::default();
            let file_group =
                FileGroup::new(title, change.switches, facts, own_values, change.lines);
            overview.add_files(file_group, &mut budget, false);
        }
        overview
    }

    /// How many hosts get other files, with commas.
    pub(crate) fn host_count(&self) -> String {
        thousands(self.hosts)
    }

    /// How many switches get another configuration, with commas.
    pub(crate) fn switch_count(&self) -> String {
        thousands(self.switches)
    }

    fn add_entries(&mut self, groups: Vec<EntryGroup>, budget: &mut Budget) {
        for mut group in groups {
            let names = group.some().len();
            let mut bytes = 200 + names;
            let fits = group.fields.iter().take_while(|field| {
                bytes += field.len() + LINE_MARKUP;
                bytes < budget.0 / 4
            });
            let kept = fits.count();
            group.more_fields = group.fields.len() - kept;
            group.fields.truncate(kept);
            let bytes: usize = group.fields.iter().map(|field| field.len() + LINE_MARKUP).sum();
            // Something is left for the files.
            if budget.0 > BUDGET / 2 && budget.take(200 + names + bytes) {
                self.differences.push(group);
            } else {
                self.more_differences += 1;
            }
        }
    }

    fn add_files(&mut self, mut group: FileGroup, budget: &mut Budget, is_host: bool) {
        let own = group.own_values.iter().map(|own| own.name.len() + own.value.len() + LINE_MARKUP);
        let facts = group.facts.iter().map(|fact| fact.len() + LINE_MARKUP);
        if !budget.take(300 + group.some().len() + own.chain(facts).sum::<usize>()) {
            self.more_groups += 1;
            return;
        }
        let all = group.lines.len();
        let bytes = |line: &Line| line.text.len() + LINE_MARKUP;
        let fits = group.lines.iter().take(MOST_LINES).take_while(|line| budget.take(bytes(line)));
        let kept = fits.count();
        group.lines.truncate(kept);
        group.more_lines = all - kept;
        let groups = if is_host { &mut self.host_groups } else { &mut self.switch_groups };
        group.is_open = groups.len() < OPEN;
        groups.push(group);
    }
}

impl FileGroup {
    fn new(
        title: String,
        names: Vec<String>,
        facts: Vec<String>,
        own_values: Vec<OwnValue>,
        lines: Vec<Line>,
    ) -> Self {
        let (more_lines, is_open) = Default::default();
        Self { title, names, facts, own_values, lines, more_lines, is_open }
    }
}

impl Spread {
    fn of<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let mut counts: HashMap<&String, usize> = HashMap::new();
        names.for_each(|name| *counts.entry(name).or_default() += 1);
        let mut counts: Vec<(String, usize)> =
            counts.into_iter().map(|(name, count)| (name.clone(), count)).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| natural(&a.0, &b.0)));
        let more = counts.len().saturating_sub(MOST_PLACES);
        counts.truncate(MOST_PLACES);
        Self { counts, more }
    }
}

/// A number with its noun, thousands apart: `4,000 hosts`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

/// A number with commas: `4,000`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn entries(differences: &[Difference]) -> Vec<String> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for difference in differences {
        match counts.iter_mut().find(|(noun, _)| *noun == difference.noun) {
            Some((_, count)) => *count += 1,
            None => counts.push((difference.noun, 1)),
        }
    }
    counts.into_iter().map(|(noun, count)| counted(count, noun, &plural(noun))).collect()
}

fn plural(noun: &str) -> String {
    if noun.ends_with("ch") { format!("{noun}es") } else { format!("{noun}s") }
}

/// What entries of one group have in common.
type EntryChange = (&'static str, String, Vec<(String, String)>);

fn entry_groups(differences: &[Difference]) -> Vec<EntryGroup> {
    let mut groups: Vec<EntryGroup> = Vec::new();
    let mut by_change: BTreeMap<EntryChange, usize> = BTreeMap::new();
    for Difference { noun, name, kind, fields } in differences {
        let verb = match kind {
            DifferenceKind::Added => "added".to_owned(),
            DifferenceKind::Removed => "removed".to_owned(),
            DifferenceKind::Changed => String::new(),
            DifferenceKind::Renamed { from } => format!("was {from}"),
        };
        let change =
            (*noun, verb.clone(), fields.iter().map(|field| generic(name, field)).collect());
        let texts = || fields.iter().map(ToString::to_string).collect::<Vec<_>>();
        if let Some(index) = by_change.get(&change) {
            let group = &mut groups[*index];
            group.is_example = group.is_example || group.fields != texts();
            group.names.push(name.clone());
            continue;
        }
        by_change.insert(change, groups.len());
        let (more_fields, is_example) = Default::default();
        let (names, fields) = (vec![name.clone()], texts());
        groups.push(EntryGroup { noun, names, verb, fields, more_fields, is_example });
    }
    groups
}

/// A changed value without what is each entry's own: addresses, MACs, its place and its number.
fn generic(name: &str, field: &FieldDifference) -> (String, String) {
    let FieldDifference { path, before, after } = field;
    let is_own_key = matches!(path.as_str(), "unit" | "index" | "serial" | "sha256")
        || (path.starts_with("nics.") && path.ends_with(".port"));
    let own = |value: &Option<String>| match value {
        None => "none".to_owned(),
        Some(value) if is_own_key || value == name || is_own_value(value) => "own".to_owned(),
        Some(value) => format!("={value}"),
    };
    (path.clone(), format!("{} {}", own(before), own(after)))
}

fn is_own_value(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok() || value.parse::<Mac>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;

    fn hosts(address: impl Fn(u8) -> String, profile: &str) -> Site {
        let mut site = Site::default();
        for number in 1..=40_u8 {
            let host: Host = serde_json::from_value(serde_json::json!({
                "rack": format!("r{}", number % 2),
                "profile": profile,
                "addresses": {"br0": address(number)},
            }))
            .unwrap();
            site.hosts.insert(format!("n{number:02}"), host);
        }
        site
    }

    #[test]
    fn equal_changes_of_entries_are_one_whatever_their_addresses() {
        let before = hosts(|number| format!("10.0.0.{number}"), "a");
        let after = hosts(|number| format!("10.0.1.{number}"), "b");
        let differences = crate::model::diff(&before, &after);
        let overview = Overview::new(&differences, Consequences::default(), &Places::default());
        assert_eq!(overview.entries, ["40 hosts"]);
        assert_eq!(overview.differences.len(), 1, "{overview:?}");
        let group = &overview.differences[0];
        assert_eq!(group.fields, ["addresses.br0: 10.0.0.1 -> 10.0.1.1", "profile: a -> b"]);
        assert!(group.is_example && group.some().ends_with("and 32 more"));

        let differences = crate::model::diff(&Site::default(), &after);
        let overview = Overview::new(&differences, Consequences::default(), &Places::default());
        assert_eq!(overview.differences[0].verb, "added");
        assert!(!overview.differences[0].is_example);
    }

    #[test]
    fn a_page_has_a_budget_however_much_changes() {
        let line = |n| Line { class: "added", text: format!("{n} {}", "x".repeat(100)) };
        let group = |n: usize| crate::network::Group {
            hosts: vec![format!("n{n}")],
            is_new: false,
            facts: Vec::new(),
            lines: (0..500).map(|l| line(n * 1000 + l)).collect(),
            own_values: Vec::new(),
        };
        let consequences =
            Consequences { hosts: (0..4000).map(group).collect(), switches: Vec::new() };
        let places = Places::of(&hosts(|_| "10.0.0.1".into(), "a"));
        let overview = Overview::new(&[], consequences, &places);
        let lines: usize = overview.host_groups.iter().map(|group| group.lines.len()).sum();
        assert!(lines * 140 < BUDGET, "{lines}");
        assert_eq!(overview.hosts, 4000);
        assert_eq!(overview.host_groups.len() + overview.more_groups, 4000);
        assert_eq!(overview.host_groups[0].more_lines, 300);
    }

    #[test]
    fn messages_of_a_rule_are_told_together() {
        let finding = |n: usize| Finding {
            rule: "N147",
            severity: crate::network::Severity::Error,
            at: crate::model::Location::of::<Host>(format!("n{n}")),
            also: Vec::new(),
            link: None,
            text: "wrong".into(),
            fix: None,
        };
        let findings: Vec<_> = (0..4000).map(finding).collect();
        let messages = Messages::of_findings(&findings);
        let groups: Vec<_> = messages.iter().collect();
        assert_eq!((groups.len(), groups[0].first.len(), groups[0].more()), (1, 3, 3997));
        let long: Messages = [String::from("\u{e4}").repeat(5000)].into_iter().collect();
        assert_eq!(long.iter().next().unwrap().first[0].chars().count(), MOST_CHARACTERS + 3);
    }

    #[test]
    fn large_numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
