//! `rackstrap apply`: replaces the inventory with a site file.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::context::{Context, change, operator};
use crate::cli::outcome::{
    WARNINGS, in_file, print_outcome_with, refuse, refuse_change, refuse_for, warn,
};
use crate::inventory::{Change, ChangeError};
use crate::network::{Finding, Severity};
use crate::site_file::SiteFile;

/// `rackstrap apply`.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Site file (YAML), or - for standard input
    file: PathBuf,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
    /// Allow it to delete everything, or more than half of the hosts
    #[arg(long)]
    prune: bool,
}

impl Apply {
    /// Applies the file and prints the differences.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let (name, text) = read_text(&self.file)?;
        let file = match SiteFile::parse(&text, &name) {
            Ok(file) => file,
            Err(errors) => return refuse(&context, &errors),
        };
        let inventory = context.inventory_for(self.dry_run).await?;
        let (who, summary) = (operator(), format!("apply {name}"));
        let site = || file.site.clone().into_site();
        let change = Change { prune: self.prune, ..change(&who, &summary, self.dry_run) };
        match inventory.replace_site(change, site()).await {
            Ok(committed) => {
                let shown = |finding: &Finding| in_file(&file, finding);
                let dry_run = self.dry_run;
                let new = committed.warnings.clone();
                let done = print_outcome_with(&context, committed, dry_run, shown).await?;
                if dry_run && !context.json {
                    let review = inventory.review_site(site()).await;
                    tell_of_old(&file, &review.findings, &new);
                }
                Ok(done)
            }
            Err(ChangeError::Refused(findings)) => {
                let errors: Vec<_> = findings.iter().map(|one| in_file(&file, one)).collect();
                let refused = refuse_for(&context, &errors, &findings)?;
                if !context.json {
                    let review = inventory.review_site(site()).await;
                    let warnings = review.warnings.iter().map(|finding| in_file(&file, finding));
                    warn(&warnings.collect::<Vec<_>>(), WARNINGS);
                    tell_of_old(
                        &file,
                        &review.findings,
                        &[review.errors, review.warnings].concat(),
                    );
                }
                Ok(refused)
            }
            Err(ChangeError::MassRemoval(removal)) => {
                let error = format!("{removal}; apply it with --prune if that is intended");
                refuse(&context, &[error])
            }
            Err(error) => refuse_change(&context, error),
        }
    }
}

/// What a dry run shows besides what is new: findings that the inventory has already, which do not
/// refuse the change.
fn tell_of_old(file: &SiteFile, findings: &[Finding], new: &[Finding]) {
    let is_old =
        |finding: &&Finding| finding.severity != Severity::Silenced && !new.contains(finding);
    let old: Vec<&Finding> = findings.iter().filter(is_old).collect();
    for finding in old.iter().take(WARNINGS) {
        let (severity, shown) = (finding.severity.label(), in_file(file, finding));
        eprintln!("{severity}: {shown} (in the inventory already)");
    }
    if old.len() > WARNINGS {
        let more = old.len() - WARNINGS;
        eprintln!("{more} more that are in the inventory already; list them with rackstrap check");
    }
}

/// The name and text of a file, or of standard input for `-`.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<(String, String)> {
    let (name, bytes) = read_bytes(path)?;
    let text = String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))?;
    Ok((name, text))
}

/// The name and bytes of a file, or of standard input for `-`.
pub(crate) fn read_bytes(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(("standard input".into(), bytes));
    }
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    Ok((name, bytes))
}
