//! What a rule finds: where, how bad, in which words, and the edit that puts it right. Pure.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, Serializer};

use crate::model::{Host, Location};

/// Whether a finding stops a host from being served.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The host is not served, and a change that brings it is refused.
    Error,
    /// The host is served; somebody should look.
    Warning,
    /// A warning that somebody has looked at: `allow` names its rule.
    Silenced,
}

impl Severity {
    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Silenced => "silenced",
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// The rule's stable id, such as `N141`.
    pub rule: &'static str,
    /// Whether it stops the host.
    pub severity: Severity,
    /// The value that is wrong.
    pub at: Location,
    /// What else it concerns: the other host with the same address, the switch at the other
    /// end of a cable.
    pub also: Vec<Location>,
    /// The link, of a finding about one.
    pub link: Option<String>,
    /// What is wrong, why it matters and what to do.
    pub text: String,
    /// The edit that puts it right, where one can be computed.
    pub fix: Option<Fix>,
}

impl Finding {
    /// The place in the site file: keys joined by dots, such as `hosts.r1-n01.addresses.virbr0`.
    pub fn path(&self) -> String {
        self.at.path()
    }

    /// The host whose entry is wrong, if it is a host's.
    pub fn host(&self) -> Option<&str> {
        self.at.name_of::<Host>()
    }

    /// Everything that it concerns, what is wrong first.
    pub fn subjects(&self) -> impl Iterator<Item = &Location> {
        std::iter::once(&self.at).chain(&self.also)
    }
}

/// A finding as programs read it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct ShownFinding<'a> {
    /// The rule's stable id, such as `N141`.
    rule: &'static str,
    /// Whether it stops the host.
    severity: Severity,
    /// The value that is wrong.
    at: &'a Location,
    /// What else it concerns.
    #[serde(skip_serializing_if = "<[Location]>::is_empty")]
    #[schemars(default)]
    also: &'a [Location],
    /// The host, of a finding about one.
    host: Option<&'a str>,
    /// The link, of a finding about one.
    link: Option<&'a str>,
    /// The place in the site file: keys joined by dots.
    path: String,
    /// What is wrong, why it matters and what to do.
    text: &'a str,
    /// The edit that puts it right, where one can be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    fix: Option<&'a Fix>,
}

impl JsonSchema for Finding {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        ShownFinding::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ShownFinding::json_schema(generator)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { rule, severity, at, also, link, text, fix } = self;
        let shown = ShownFinding {
            rule,
            severity: *severity,
            at,
            also,
            host: self.host(),
            link: link.as_deref(),
            path: self.path(),
            text,
            fix: fix.as_ref(),
        };
        shown.serialize(serializer)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path(), self.text, self.rule)
    }
}

/// Edits of the site that put one thing right.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Fix {
    /// What is set, in this order; never empty.
    pub edits: Vec<Edit>,
}

/// One value of the site, set or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Edit {
    /// Which value.
    pub at: Location,
    /// The value in the site file's words; an empty one takes the key away.
    pub value: String,
}

/// An edit as programs read it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Edit")]
struct ShownEdit<'a> {
    /// Which value.
    at: &'a Location,
    /// The place in the site file: keys joined by dots.
    path: String,
    /// The value in the site file's words; an empty one takes the key away.
    value: &'a str,
}

impl JsonSchema for Edit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        ShownEdit::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ShownEdit::json_schema(generator)
    }
}

impl Serialize for Edit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { at, value } = self;
        ShownEdit { at, path: at.path(), value }.serialize(serializer)
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edits: Vec<String> = self.edits.iter().map(ToString::to_string).collect();
        f.write_str(&edits.join(" and "))
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "remove {}", self.at.path()),
            value => write!(f, "set {} to {value}", self.at.path()),
        }
    }
}

/// What a finding is about.
#[derive(Clone)]
pub(super) struct FindingSubject {
    pub at: Location,
    pub also: Vec<Location>,
    pub link: Option<String>,
}

impl FindingSubject {
    /// The same, about a link.
    pub(super) fn of_link(self, link: impl Into<String>) -> Self {
        Self { link: Some(link.into()), ..self }
    }

    /// The same, which concerns another entry as well.
    pub(super) fn and(mut self, other: Location) -> Self {
        self.also.push(other);
        self
    }
}

impl From<Location> for FindingSubject {
    fn from(at: Location) -> Self {
        Self { at, also: Vec::new(), link: None }
    }
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn error(
        &mut self,
        rule: &'static str,
        place: impl Into<FindingSubject>,
        text: String,
    ) {
        self.add(rule, Severity::Error, place.into(), text);
    }

    pub(super) fn warn(
        &mut self,
        rule: &'static str,
        place: impl Into<FindingSubject>,
        text: String,
    ) {
        self.add(rule, Severity::Warning, place.into(), text);
    }

    fn add(&mut self, rule: &'static str, severity: Severity, place: FindingSubject, text: String) {
        let FindingSubject { at, also, link } = place;
        self.0.push(Finding { rule, severity, at, also, link, text, fix: None });
    }

    /// Says what would put the newest finding right: the value at `at` set to `value`, or
    /// removed if that is empty.
    pub(super) fn suggest(&mut self, at: Location, value: impl fmt::Display) {
        let edit = Edit { at, value: value.to_string() };
        if let Some(finding) = self.0.last_mut() {
            finding.fix.get_or_insert(Fix { edits: Vec::new() }).edits.push(edit);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those from the one with the number `start` on.
    pub(super) fn since(&mut self, start: usize) -> &mut [Finding] {
        self.0.get_mut(start..).unwrap_or_default()
    }

    /// Errors first, each once, otherwise in the order of discovery.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        let mut seen = std::collections::HashSet::new();
        self.0.retain(|finding| {
            seen.insert((finding.rule, finding.at.clone(), finding.text.clone()))
        });
        self.0.sort_by_key(|finding| finding.severity);
        self.0
    }
}
