//! `rackstrap revision ...`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, change, moment, operator, table};
use crate::cli::outcome::{self, print_outcome, refuse, refuse_change};
use crate::inventory::{Change, ChangeError, Revision};

/// `rackstrap revision`.
#[derive(Debug, Subcommand)]
pub(crate) enum RevisionCommand {
    /// List revisions, newest last
    List(List),
    /// Show what a revision changed
    Show(Number),
    /// Undo a revision, unless a later one changed the same values
    Revert(Revert),
}

/// A text that is not the number of a revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the number of a revision, such as 12; rackstrap revision list shows them")]
struct InvalidNumber;

fn revision_number(text: &str) -> Result<i64, InvalidNumber> {
    text.parse().ok().filter(|number| *number > 0).ok_or(InvalidNumber)
}

/// `rackstrap revision list`.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// How many revisions to list
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: u32,
}

/// A revision by its number.
#[derive(Debug, Args)]
pub(crate) struct Number {
    /// Number of the revision
    #[arg(value_parser = revision_number)]
    revision: i64,
}

/// `rackstrap revision revert`.
#[derive(Debug, Args)]
pub(crate) struct Revert {
    /// Number of the revision
    #[arg(value_parser = revision_number)]
    revision: i64,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
    /// Allow it to delete everything, or more than half of the hosts
    #[arg(long)]
    prune: bool,
}

impl RevisionCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(List { limit }) => list(&context, limit).await,
            Self::Show(Number { revision }) => show(&context, revision).await,
            Self::Revert(revert) => self::revert(&context, revert).await,
        }
    }
}

async fn list(context: &Context, limit: u32) -> anyhow::Result<ExitCode> {
    let mut revisions = context.read_inventory().await?.database.list_revisions(limit).await?;
    revisions.reverse();
    context.print(&revisions, || {
        let row = |revision: &Revision| {
            let Revision { id, at, who, summary, .. } = revision;
            vec![id.to_string(), moment(at * 1000), who.clone(), summary.clone()]
        };
        let rows: Vec<_> = revisions.iter().map(row).collect();
        table(&["REVISION", "TIME", "WHO", "WHAT"], &rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(context: &Context, id: i64) -> anyhow::Result<ExitCode> {
    let inventory = context.read_inventory().await?;
    let Some(revision) = inventory.database.find_revision(id).await? else {
        bail!("revision {id} does not exist");
    };
    let differences = revision.differences()?;
    let consequences = inventory.find_consequences(id).await?;
    let Revision { at, who, summary, before, after, .. } = &revision;
    let value = json!({
        "id": id, "at": at, "who": who, "summary": summary,
        "differences": differences, "before": before, "after": after,
        "consequences": consequences,
    });
    context.print(&value, || {
        let mut lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        lines.extend(consequences.iter().flat_map(outcome::consequence_lines));
        format!("# {} {who}: {summary}\n{}\n", moment(at * 1000), lines.join("\n"))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn revert(context: &Context, revert: Revert) -> anyhow::Result<ExitCode> {
    let Revert { revision, dry_run, prune } = revert;
    let inventory = context.inventory_for(dry_run).await?;
    let (who, summary) = (operator(), format!("revert revision {revision}"));
    let change = Change { prune, ..change(&who, &summary, dry_run) };
    match inventory.revert(change, revision).await {
        Ok(committed) => print_outcome(context, committed, dry_run).await,
        Err(ChangeError::MassRemoval(removal)) => {
            let error = format!("{removal}; revert it with --prune if that is intended");
            refuse(context, &[error])
        }
        Err(error) => refuse_change(context, error),
    }
}
