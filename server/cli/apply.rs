//! `rackstrap apply`: replaces the inventory with a site file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::context::{Context, change, operator};
use crate::cli::outcome::{refuse, refuse_change, refuse_for, tell};
use crate::inventory::ChangeError;
use crate::site_file::SiteFile;

/// `rackstrap apply`.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Site file (YAML), or - for standard input
    file: PathBuf,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
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
        let site = file.site.clone().into_site();
        match inventory.replace_site(change(&who, &summary, self.dry_run), site).await {
            Ok(committed) => tell(&context, committed, self.dry_run).await,
            Err(ChangeError::Refused(findings)) => {
                let place = |finding: &crate::network::Finding| {
                    let message = format!("{} ({})", finding.text, finding.rule);
                    file.error_at(&finding.path(), message)
                };
                let errors: Vec<_> = findings.iter().map(place).collect();
                refuse_for(&context, &errors, &findings)
            }
            Err(error) => refuse_change(&context, error),
        }
    }
}

/// The name and text of a file, or of standard input for `-`.
pub(crate) fn read_text(path: &PathBuf) -> anyhow::Result<(String, String)> {
    if path.as_os_str() == "-" {
        let text = std::io::read_to_string(std::io::stdin())?;
        return Ok(("standard input".into(), text));
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok((name, text))
}
