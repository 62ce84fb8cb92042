//! `rackstrap check`: every rule over the whole site.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::apply::read_text;
use crate::cli::context::{Context, print, status};
use crate::cli::outcome::refuse;
use crate::network::{Finding, Severity, check_site};
use crate::site_file::SiteFile;

/// What `check` is told.
#[derive(Debug, Args)]
pub struct Check {
    /// A site file to check instead of the inventory
    file: Option<PathBuf>,
}

impl Check {
    /// Prints what is wrong; fails if something is an error.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Some(path) = self.file else {
            let snapshot = context.inventory().await?.snapshot();
            return tell(&context, &check_site(&snapshot.site), ToString::to_string);
        };
        let (name, text) = read_text(&path)?;
        match SiteFile::parse(&text, &name) {
            Ok(file) => tell(&context, &check_site(&file.site), |finding| {
                let message = format!("{} ({})", finding.text, finding.rule);
                file.error_at(&finding.path, message).to_string()
            }),
            Err(errors) => refuse(&context, &errors),
        }
    }
}

fn tell(
    context: &Context,
    findings: &[Finding],
    shown: impl Fn(&Finding) -> String,
) -> anyhow::Result<ExitCode> {
    let errors = findings.iter().filter(|found| found.severity == Severity::Error).count();
    if context.json {
        context.print(&findings, String::new)?;
        return Ok(status(errors == 0));
    }
    let line = |found: &Finding| format!("{}: {}\n", found.severity.label(), shown(found));
    print(&findings.iter().map(line).collect::<String>())?;
    print(&format!("{errors} errors, {} warnings\n", findings.len() - errors))?;
    Ok(status(errors == 0))
}
