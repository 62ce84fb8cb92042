//! `rackstrap check`: the inventory or a site file against all rules.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::apply::read_text;
use crate::cli::context::{Context, print, status};
use crate::cli::outcome::refuse;
use crate::network::{Finding, Severity, check_site};
use crate::site_file::SiteFile;

/// `rackstrap check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Site file to check instead of the inventory, or - for standard input
    file: Option<PathBuf>,
    /// Apply the available fixes, after asking for each
    #[arg(long, conflicts_with = "file")]
    fix: bool,
    /// With --fix: apply every fix without asking
    #[arg(long, requires = "fix")]
    yes: bool,
}

impl Check {
    /// Prints the findings; fails if one is an error.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Some(path) = self.file else {
            let inventory = match self.fix {
                true => context.inventory().await?,
                false => context.read_inventory().await?,
            };
            if self.fix {
                super::fix::run(&inventory, self.yes).await?;
            }
            let site = &inventory.snapshot().site;
            return print_findings(&context, &check_site(site), ToString::to_string);
        };
        let (name, text) = read_text(&path)?;
        match SiteFile::parse(&text, &name) {
            Ok(file) => print_findings(&context, &check_site(&file.site), |finding| {
                let message = format!("{} ({})", finding.text, finding.rule);
                file.error_at(&finding.path(), message).to_string()
            }),
            Err(errors) => refuse(&context, &errors),
        }
    }
}

fn print_findings(
    context: &Context,
    findings: &[Finding],
    shown: impl Fn(&Finding) -> String,
) -> anyhow::Result<ExitCode> {
    let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
    let errors = count(Severity::Error);
    if context.json {
        context.print(&findings, String::new)?;
        return Ok(status(errors == 0));
    }
    let line = |found: &Finding| {
        let fix = found.fix.as_ref().map(|fix| format!("  fix: {fix}\n")).unwrap_or_default();
        format!("{}: {}\n{fix}", found.severity.label(), shown(found))
    };
    print(&findings.iter().map(line).collect::<String>())?;
    let silenced = match count(Severity::Silenced) {
        0 => String::new(),
        silenced => format!(", {silenced} silenced"),
    };
    print(&format!("{errors} errors, {} warnings{silenced}\n", count(Severity::Warning)))?;
    Ok(status(errors == 0))
}
