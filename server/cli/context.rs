//! What every command works with: the configuration, the inventory, and where it prints.

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::config::Config;
use crate::inventory::{Change, Database, Inventory};

/// What every command works with.
#[derive(Clone, Debug)]
pub struct Context {
    /// How rackstrap is configured.
    pub config: Config,
    /// Whether answers are JSON.
    pub json: bool,
}

impl Context {
    /// Opens the inventory. A server that runs on the same database sees every change at
    /// once, so that a command never needs to ask it.
    pub async fn inventory(&self) -> anyhow::Result<Inventory> {
        if self.config.database.is_empty() {
            let dir = &self.config.data_dir;
            std::fs::create_dir_all(dir)
                .with_context(|| format!("data_dir {} cannot be made", dir.display()))?;
        }
        let database = Database::open(&self.config.database_url()).await?;
        Ok(Inventory::open(database).await?)
    }

    /// Prints text, or a value as JSON if that was asked for.
    pub fn print<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            return print(&format!("{}\n", serde_json::to_string_pretty(value)?));
        }
        print(&text())
    }
}

/// Prints to standard output. A reader that has read enough, such as `head`, is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// A change that is made from the command line.
pub fn change<'a>(who: &'a str, summary: &'a str, dry_run: bool) -> Change<'a> {
    Change { who, summary, base: None, dry_run }
}

/// Who types: the login name, also behind sudo.
pub fn operator() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "root".into())
}

/// Success, or the status of a refusal.
pub fn status(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Rows under a header, each column as wide as its widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(header.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

/// A moment (Unix milliseconds) as `2026-11-21 20:55:42`, in the time zone of the machine.
pub fn moment(at_ms: i64) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(at_ms) else { return at_ms.to_string() };
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Whether somebody sits at a terminal and can be asked.
pub fn somebody_can_be_asked() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_columns_as_wide_as_needed() {
        let rows = [vec!["r1-n01".into(), "up".into()], vec!["é".into(), "waiting".into()]];
        let expected = "NAME    STATE\nr1-n01  up\né       waiting\n";
        assert_eq!(table(&["NAME", "STATE"], &rows), expected);
    }
}
