//! Medians, percentiles, tables and verdicts. Pure.

use std::fmt;

/// The middle one; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The value that `percent` of all do not exceed; 0 of none.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(index.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0.0)
}

/// A table of results, printed as Markdown.
pub(crate) struct Table {
    /// What was measured.
    pub title: String,
    /// The columns' names.
    pub columns: Vec<&'static str>,
    /// A row for each server.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self { title: title.into(), columns: columns.to_vec(), rows: Vec::new() }
    }

    /// A row that says only why there is nothing to say.
    pub(crate) fn skipped(&mut self, name: &str, reason: &str) {
        self.rows.push(vec![name.to_owned(), format!("skipped: {reason}")]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n### {}\n\n| {} |", self.title, self.columns.join(" | "))?;
        writeln!(f, "|{}", " --- |".repeat(self.columns.len()))?;
        for row in &self.rows {
            let missing = " |".repeat(self.columns.len() - row.len());
            writeln!(f, "| {} |{missing}", row.join(" | "))?;
        }
        Ok(())
    }
}

/// One target and how it was met.
pub(crate) struct Verdict {
    /// The target in words.
    pub target: String,
    /// What was measured, in words.
    pub measured: String,
    /// Whether it is met; none where it could not be judged.
    pub met: Option<bool>,
}

impl Verdict {
    /// A figure that must be at least `bound`.
    pub(crate) fn at_least(target: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self::judge(target, measured, measured >= bound)
    }

    /// A figure that must be at most `bound`.
    pub(crate) fn at_most(target: impl Into<String>, measured: f64, bound: f64) -> Self {
        Self::judge(target, measured, measured <= bound)
    }

    /// A target that nothing was measured for.
    pub(crate) fn open(target: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { target: target.into(), measured: reason.into(), met: None }
    }

    fn judge(target: impl Into<String>, measured: f64, met: bool) -> Self {
        let target = target.into();
        if !measured.is_finite() {
            return Self::open(target, "nothing to compare with");
        }
        Self { target, measured: format!("{measured:.2}"), met: Some(met) }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.met {
            Some(true) => "pass",
            Some(false) => "FAIL",
            None => "open",
        };
        write!(f, "| {word} | {} | {} |", self.target, self.measured)
    }
}
