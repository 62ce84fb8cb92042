//! What the sections share: servers that take turns, and what was measured of each.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::figures::{Table, Verdict, median};
use crate::lab::{Lab, has_program};
use crate::process::{Process, wait_until};

/// How thorough a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often each server has its turn.
    pub rounds: usize,
    /// Divides the work of a turn.
    pub divisor: usize,
}

/// What a section found.
#[derive(Default)]
pub(crate) struct Findings {
    /// The tables, in order.
    pub tables: Vec<Table>,
    /// The targets, in order.
    pub verdicts: Vec<Verdict>,
    /// Wrong replies and bytes; empty when all is well.
    pub faults: Vec<String>,
}

/// One server's figures, several of each kind.
#[derive(Default)]
pub(crate) struct Samples {
    values: BTreeMap<&'static str, Vec<f64>>,
}

impl Samples {
    /// Notes one figure.
    pub(crate) fn add(&mut self, column: &'static str, value: f64) {
        self.values.entry(column).or_default().push(value);
    }

    /// The median of a column; NaN if nothing was noted.
    pub(crate) fn median(&self, column: &str) -> f64 {
        self.values.get(column).map_or(f64::NAN, |values| median(values))
    }

    /// The largest of a column; NaN if nothing was noted.
    pub(crate) fn worst(&self, column: &str) -> f64 {
        self.values.get(column).into_iter().flatten().copied().fold(f64::NAN, f64::max)
    }

    /// The median as a table shows it, with `digits` after the point.
    pub(crate) fn cell(&self, column: &str, digits: usize) -> String {
        let value = self.median(column);
        if value.is_nan() { "-".to_owned() } else { format!("{value:.digits$}") }
    }
}

/// The figures of all servers of a section.
#[derive(Default)]
pub(crate) struct Board {
    /// By the server's name.
    pub servers: BTreeMap<&'static str, Samples>,
    /// Why a server was left out, by its name.
    pub skipped: BTreeMap<&'static str, String>,
}

impl Board {
    /// The figures of one server, to add to.
    pub(crate) fn of(&mut self, name: &'static str) -> &mut Samples {
        self.servers.entry(name).or_default()
    }

    /// One server's median; NaN if it was not measured.
    pub(crate) fn median(&self, name: &str, column: &str) -> f64 {
        self.servers.get(name).map_or(f64::NAN, |samples| samples.median(column))
    }

    /// One server's median as a multiple of another's.
    pub(crate) fn ratio(&self, name: &str, to: &str, column: &str) -> f64 {
        self.median(name, column) / self.median(to, column)
    }

    /// The best median of some servers, the largest.
    pub(crate) fn best(&self, names: &[&str], column: &str) -> f64 {
        names.iter().map(|name| self.median(name, column)).fold(f64::NAN, f64::max)
    }

    /// A table with one row for each name: (column, digits) from the figures.
    pub(crate) fn table(
        &self,
        title: &str,
        names: &[&'static str],
        columns: &[(&'static str, usize)],
    ) -> Table {
        let heads: Vec<&'static str> =
            ["server"].into_iter().chain(columns.iter().map(|(column, _)| *column)).collect();
        let mut table = Table::new(title, &heads);
        for name in names {
            match (self.servers.get(name), self.skipped.get(name)) {
                (Some(samples), _) => {
                    let cells =
                        columns.iter().map(|(column, digits)| samples.cell(column, *digits));
                    table.rows.push([(*name).to_owned()].into_iter().chain(cells).collect());
                }
                (None, Some(reason)) => table.skipped(name, reason),
                (None, None) => {}
            }
        }
        table
    }
}

/// Starts a server and waits until it answers; an error says why it does not.
pub(crate) fn start(
    lab: &Lab,
    name: &str,
    program: &str,
    make: impl FnOnce(&Path) -> Result<Command, String>,
    mut answers: impl FnMut() -> bool,
) -> Result<Process, String> {
    if std::env::var("ONLY").is_ok_and(|only| !only.is_empty() && only != name) {
        return Err("ONLY asks for another".to_owned());
    }
    if !has_program(program) {
        return Err(format!("{program} is not installed"));
    }
    let dir = lab.fresh_dir(name);
    let log = lab.dir.join(format!("{name}.log"));
    let command = make(&dir)?;
    let mut process = Process::start(command, &log).map_err(|error| error.to_string())?;
    let mut gone = false;
    let up = wait_until(Duration::from_secs(10), || {
        gone = process.is_gone();
        gone || answers()
    });
    if up && !gone {
        return Ok(process);
    }
    let text = fs::read_to_string(&log).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output");
    let what = if gone { "it ended" } else { "it does not answer" };
    Err(format!("{what}: {}", last.chars().take(160).collect::<String>()))
}
