//! `rackstrap db`: what concerns the database itself.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use tokio::sync::mpsc::channel;

use crate::cli::backup::Copied;
use crate::cli::context::{Context, audit, counted};
use crate::config::DatabaseUrl;
use crate::inventory::portable::{self, ImportTarget, WAITING, read_preamble};
use crate::inventory::{Access, Database, Inventory, shown};
use crate::lifecycle::audit::AuditAction;
use crate::serve;

/// `rackstrap db`.
#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Copy the inventory with leases, users, tokens, revisions and events into an empty database
    Migrate(Migrate),
}

/// `rackstrap db migrate`. No server may run on either database.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Database to read: sqlite:PATH or postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL")]
    from: DatabaseUrl,
    /// Empty database to fill; SQLite's file is created
    #[arg(long, value_name = "URL")]
    to: DatabaseUrl,
    /// Copy although other programs are connected to the PostgreSQL that is read
    #[arg(long)]
    force: bool,
}

impl DatabaseCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Migrate(migrate) => migrate.run(context).await,
        }
    }
}

impl Migrate {
    async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let begin = Instant::now();
        let (from, to) = (self.from.to_string(), self.to.to_string());
        let (read, written) = (shown(&from), shown(&to));
        // What a server acknowledges while its database is copied would be lost.
        let source = Database::open_for(&from, Access::Use).await?;
        let _from_lock = serve::lock_database(&from)?;
        let others = other_connections(&source).await?;
        if others > 0 && !self.force {
            bail!(
                "{read} has {}: stop every rackstrap there first, because leases that are given \
                 meanwhile would be lost (--force copies nevertheless)",
                counted(others, "other connection")
            );
        }
        portable::check_schema(&source).await?;
        let (sink, mut pieces) = channel(WAITING);
        let exporting = {
            let source = source.clone();
            tokio::spawn(async move { portable::export(&source, Vec::new(), sink).await })
        };
        let preamble = read_preamble(&mut pieces).await?;
        let target = ImportTarget::create(&to, preamble.header.schema).await?;
        let _to_lock = serve::lock_database(&to)?;
        let imported = portable::import(target, preamble, pieces).await;
        let tables = imported.with_context(|| format!("cannot copy {read} to {written}"))?;
        exporting.await??;
        source.close().await;
        let inventory = Inventory::open(Database::open(&to).await?).await?;
        audit(&inventory, AuditAction::Migrated { from: read.clone() }).await;
        inventory.database.close().await;
        let copied = Copied { tables, seconds: begin.elapsed().as_secs_f64() };
        context.print(&copied, || {
            format!(
                "{}copied {} rows from {read} to {written} in {:.1} s; both have these counts and digests\n\
                 next: set database in the configuration to the new URL and start the server; {read} is \
                 as it was\n",
                copied.table(),
                copied.rows(),
                copied.seconds
            )
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// How many connections others have; the first look may see one of this process that is ending.
async fn other_connections(source: &Database) -> anyhow::Result<i64> {
    for _ in 0..5 {
        if source.other_connections().await? == 0 {
            return Ok(0);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(source.other_connections().await?)
}
