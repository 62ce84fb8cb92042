//! What a rule finds: where, how bad, in which words, and the edit that puts it right. Pure.

use std::fmt;

use serde::Serialize;

/// Whether a finding stops a host from being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// The rule's stable id, such as `N141`.
    pub rule: &'static str,
    /// Whether it stops the host.
    pub severity: Severity,
    /// The host, of a finding about one.
    pub host: Option<String>,
    /// The link, of a finding about one.
    pub link: Option<String>,
    /// The place in the site file: keys joined by dots, such as `hosts.r1-n01.addresses.virbr0`.
    pub path: String,
    /// What is wrong, why it matters and what to do.
    pub text: String,
    /// The edit that puts it right, where one can be computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.text, self.rule)
    }
}

/// Edits of the site that put one thing right.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Fix {
    /// What is set, in this order; never empty.
    pub edits: Vec<Edit>,
}

/// One value of the site, set or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Edit {
    /// Where: keys joined by dots, such as `subnets.internal.gateway`.
    pub path: String,
    /// The value in the site file's words; an empty one takes the key away.
    pub value: String,
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
            "" => write!(f, "take {} away", self.path),
            value => write!(f, "set {} to {value}", self.path),
        }
    }
}

/// Where a finding is.
pub(super) struct Place {
    pub host: Option<String>,
    pub link: Option<String>,
    pub path: String,
}

impl Place {
    /// A place that is about no host and no link.
    pub fn new(path: String) -> Self {
        Self { host: None, link: None, path }
    }
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub fn error(&mut self, rule: &'static str, place: Place, text: String) {
        self.add(rule, Severity::Error, place, text);
    }

    pub fn warn(&mut self, rule: &'static str, place: Place, text: String) {
        self.add(rule, Severity::Warning, place, text);
    }

    fn add(&mut self, rule: &'static str, severity: Severity, place: Place, text: String) {
        let Place { host, link, path } = place;
        self.0.push(Finding { rule, severity, host, link, path, text, fix: None });
    }

    /// Says what would put the newest finding right: `path` set to `value`, or taken away if
    /// that is empty.
    pub fn suggest(&mut self, path: impl Into<String>, value: impl fmt::Display) {
        let edit = Edit { path: path.into(), value: value.to_string() };
        if let Some(finding) = self.0.last_mut() {
            finding.fix.get_or_insert(Fix { edits: Vec::new() }).edits.push(edit);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those from the one with the number `start` on.
    pub fn since(&mut self, start: usize) -> &mut [Finding] {
        self.0.get_mut(start..).unwrap_or_default()
    }

    /// Errors first, each once, otherwise in the order of discovery.
    pub fn sorted(mut self) -> Vec<Finding> {
        let mut seen = std::collections::HashSet::new();
        self.0.retain(|finding| {
            seen.insert((finding.rule, finding.path.clone(), finding.text.clone()))
        });
        self.0.sort_by_key(|finding| finding.severity);
        self.0
    }
}
