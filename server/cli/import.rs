//! `rackstrap import`: hosts from a table, as they come with a rack.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::apply::read_text;
use crate::cli::context::{Context, change, operator};
use crate::cli::outcome::{refuse, refuse_change, tell};
use crate::inventory::ChangeError;
use crate::network::Finding;
use crate::site_file::{RowError, Rows};

/// What `import` is told.
#[derive(Debug, Args)]
pub struct Import {
    /// Comma-separated rows; the first names the columns: host, rack, unit, serial, tenant,
    /// leased-from, leased-until, profile, image, boot-file, macs, nics.LABEL, addresses.LINK, reservations.SUBNET.
    /// - reads standard input
    file: PathBuf,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    /// Adds and changes the hosts that the rows name; all of them or none.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let (name, text) = read_text(&self.file)?;
        let rows = match Rows::parse(&text) {
            Ok(rows) => rows,
            Err(errors) => return refuse(&context, &told(&name, &errors)),
        };
        let inventory = context.inventory().await?;
        let (who, summary) = (operator(), format!("import {name}"));
        let mut bad_rows = Vec::new();
        let outcome = inventory.change_site(change(&who, &summary, self.dry_run), |site| {
            rows.put_into(site).map_err(|errors| {
                bad_rows = errors;
                ChangeError::Edit(String::new())
            })
        });
        match outcome.await {
            Ok(committed) => tell(&context, committed, self.dry_run).await,
            Err(ChangeError::Edit(_)) => refuse(&context, &told(&name, &bad_rows)),
            Err(ChangeError::Refused(findings)) => refuse(
                &context,
                &findings.iter().map(|f| place(&name, &rows, f)).collect::<Vec<_>>(),
            ),
            Err(error) => refuse_change(&context, error),
        }
    }
}

fn told(file: &str, errors: &[RowError]) -> Vec<String> {
    errors.iter().map(|error| format!("{file}: {error}")).collect()
}

/// A finding at the row of its host, or at its place in the site.
fn place(file: &str, rows: &Rows, finding: &Finding) -> String {
    match rows.error_about(finding.host.as_deref(), finding.to_string()) {
        Some(error) => format!("{file}: {error}"),
        None => finding.to_string(),
    }
}
