//! State and output that the commands share.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::config::Config;
use crate::files::FileStore;
use crate::images::{self, ImageStore};
use crate::inventory::{Access, Change, Database, Expected, Inventory, OpenError};
use crate::lifecycle::audit::{AuditAction, Author, Origin};
use crate::lifecycle::moment::InvalidMoment;
use crate::lifecycle::stall::Patience;
use crate::model::Limits;

/// The configuration and output format of a command.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// The merged configuration.
    pub config: Config,
    /// Whether to print JSON.
    pub json: bool,
}

impl Context {
    /// Opens the inventory to change it, and creates it if there was none. Commands work on the
    /// database; a running server notices their changes by itself.
    pub(super) async fn inventory(&self) -> anyhow::Result<Inventory> {
        let Config { data_dir, inventory_id, .. } = &self.config;
        let expected = Expected { data_dir, id: inventory_id.as_deref() };
        let database = Database::open_known(&self.config.database_url(), &expected).await?;
        self.open(database, true).await
    }

    /// Opens the inventory as it is. Nothing is created, and no schema is upgraded.
    pub(super) async fn read_inventory(&self) -> anyhow::Result<Inventory> {
        let Config { data_dir, inventory_id, .. } = &self.config;
        let expected = Expected { data_dir, id: inventory_id.as_deref() };
        let opened = Database::open_for(&self.config.database_url(), Access::Use).await;
        self.open(opened.map_err(|error| expected.explain(error))?, false).await
    }

    /// Opens the inventory to try something that is not kept: as it is, or an empty one in
    /// memory where there is none.
    pub(super) async fn try_inventory(&self) -> anyhow::Result<Inventory> {
        match Database::open_for(&self.config.database_url(), Access::Use).await {
            Err(OpenError::Missing { .. }) => self.open(Database::in_memory().await?, false).await,
            opened => self.open(opened?, false).await,
        }
    }

    /// Opens the inventory to change it, or with `dry_run` to try a change.
    pub(super) async fn inventory_for(&self, dry_run: bool) -> anyhow::Result<Inventory> {
        if dry_run { self.try_inventory().await } else { self.inventory().await }
    }

    async fn open(&self, database: Database, may_change: bool) -> anyhow::Result<Inventory> {
        let inventory = Inventory::open(database).await?;
        inventory.use_key_file(&self.config.secret_key_path(), may_change).await?;
        let percent = self.config.boot_patience_percent;
        inventory.states.set_patience(Patience { percent });
        inventory.set_servers(&self.config.reached_at(&[]));
        // Beside a database elsewhere there may be no files to look at.
        if self.config.files_path().is_dir() {
            let files = FileStore::new(vec![self.config.files_path()])
                .with_package(self.config.ipxe_dir.clone());
            let store = self.image_store();
            inventory.set_boot_files(move |name, record| {
                let of_record = images::file_fault(&store, record);
                of_record.or_else(|| files.fault(name).map(|fault| fault.to_string()))
            });
        }
        Ok(inventory)
    }

    /// The store of files that images name.
    pub(super) fn image_store(&self) -> ImageStore {
        ImageStore::new(self.config.files_path())
    }

    /// Prints the text, or with `--json` the value.
    pub(super) fn print<T: Serialize>(
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

/// A number of things: `1 host`, `2 hosts`.
pub(super) fn counted<N: Display + From<u8> + PartialEq>(count: N, noun: &str) -> String {
    format!("{count} {noun}{}", if count == N::from(1) { "" } else { "s" })
}

/// How long the audit log is waited for. A change of thousands of hosts takes seconds.
const AUDIT_WAITS: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

/// Prints to standard output. Ignores a closed pipe, as `| head` leaves it.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

/// The metadata of a change made from the command line.
pub(super) fn change<'a>(who: &'a str, summary: &'a str, dry_run: bool) -> Change<'a> {
    Change { who, origin: Origin::COMMAND_LINE, summary, dry_run, ..Change::default() }
}

/// Which hosts a user or a token may change.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct LimitArgs {
    /// Let it change only hosts of this tenant; repeat for more tenants
    #[arg(long = "tenant", value_name = "TENANT")]
    tenants: Vec<String>,
    /// Let it change only hosts in this rack; repeat for more racks
    #[arg(long = "rack", value_name = "RACK")]
    racks: Vec<String>,
    /// Let it change only hosts with this label; repeat for more labels
    #[arg(long = "label", value_name = "LABEL")]
    labels: Vec<String>,
}

impl LimitArgs {
    /// The limits, of names that the site has.
    pub(super) fn read(self, inventory: &Inventory) -> anyhow::Result<Limits> {
        let set = |names: Vec<String>| names.into_iter().collect();
        let (tenants, racks, labels) = (set(self.tenants), set(self.racks), set(self.labels));
        let limits = Limits { tenants, racks, labels };
        limits.check(&inventory.snapshot().site)?;
        Ok(limits)
    }
}

/// The login name of the operator, also under sudo.
pub(super) fn operator() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "root".into())
}

/// The operator, for the audit log.
pub(super) fn author(operator: &str) -> Author<'_> {
    Author { who: operator, origin: Origin::COMMAND_LINE }
}

/// Records in the audit log what the operator did. What waits in the memory of this process would be
/// lost with it, so it waits for whoever changes the inventory meanwhile.
pub(super) async fn audit(inventory: &Inventory, action: AuditAction) {
    inventory.audit(author(&operator()), action).await;
    let end = Instant::now() + AUDIT_WAITS;
    while inventory.audit_waits() && Instant::now() < end {
        tokio::time::sleep(AGAIN).await;
        inventory.settle_audit().await;
    }
    if inventory.audit_waits() {
        eprintln!(
            "warning: the audit log does not have what this command did: the database took no entry \
             for {} s; see rackstrap doctor",
            AUDIT_WAITS.as_secs()
        );
    }
}

/// The exit code of a command that ran but may have found errors.
pub(super) fn status(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A table with columns as wide as their widest cell.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
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

/// A time (Unix milliseconds) as `2026-11-21 20:55:42` in the system's time zone.
pub(super) fn moment(at_ms: i64) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(at_ms) else { return at_ms.to_string() };
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Reads a time that an operator typed, as Unix milliseconds.
pub(super) fn parse_moment(text: &str) -> Result<i64, InvalidMoment> {
    let now_ms = jiff::Timestamp::now().as_millisecond();
    crate::lifecycle::moment::parse(text, now_ms, &jiff::tz::TimeZone::system())
}

/// Whether standard input and standard error are a terminal.
pub(super) fn is_interactive() -> bool {
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
