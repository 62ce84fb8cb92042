//! `rackstrap check`: the inventory or a site file against all rules.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::cli::apply::read_text;
use crate::cli::context::{Context, counted, operator, print, status};
use crate::cli::outcome::{in_file, refuse};
use crate::inventory::{Change, ChangeError, Inventory};
use crate::network::{Finding, Severity, check_site_within};
use crate::site_file::SiteFile;

/// `rackstrap check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Site file to check as apply --dry-run would, instead of the inventory; - for standard input
    file: Option<PathBuf>,
    /// The file may delete everything, or more than half of the hosts
    #[arg(long, requires = "file")]
    prune: bool,
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
        if let Some(path) = &self.file {
            return self.check_file(&context, path).await;
        }
        let inventory = match self.fix {
            true => context.inventory().await?,
            false => context.read_inventory().await?,
        };
        if self.fix {
            super::fix::run(&inventory, self.yes).await?;
        }
        let site = &inventory.snapshot().site;
        let findings = check_site_within(site, &inventory.surroundings());
        print_findings(&context, &findings, ToString::to_string)?;
        Ok(status(findings.iter().all(|finding| finding.severity != Severity::Error)))
    }

    /// Checks a file against what there is now, so that the result is that of `apply`.
    async fn check_file(&self, context: &Context, path: &Path) -> anyhow::Result<ExitCode> {
        let (name, text) = read_text(path)?;
        let file = match SiteFile::parse(&text, &name) {
            Ok(file) => file,
            Err(errors) => return refuse(context, &errors),
        };
        let inventory = context.try_inventory().await?;
        let review = inventory.review_site(file.site.clone().into_site()).await;
        if review.errors.is_empty()
            && let Some(error) = self.refusal(&inventory, &file).await?
        {
            return refuse(context, &[error]);
        }
        let new = review.errors.iter().chain(&review.warnings);
        print_findings(context, &review.findings, |finding| {
            let shown = in_file(&file, finding);
            match finding.severity == Severity::Silenced || new.clone().any(|one| one == finding) {
                true => shown,
                false => format!("{shown} (in the inventory already)"),
            }
        })?;
        Ok(status(review.errors.is_empty()))
    }

    /// Why the file would not be applied although no rule forbids it.
    async fn refusal(
        &self,
        inventory: &Inventory,
        file: &SiteFile,
    ) -> anyhow::Result<Option<String>> {
        let who = operator();
        let change = Change { who: &who, dry_run: true, prune: self.prune, ..Change::default() };
        let site = file.site.clone().into_site();
        match inventory.replace_site(change, site).await {
            Ok(_) => Ok(None),
            Err(ChangeError::Inventory(error)) => Err(error.into()),
            Err(ChangeError::MassRemoval(removal)) => {
                Ok(Some(format!("{removal}; check it with --prune if that is intended")))
            }
            Err(error) => Ok(Some(error.to_string())),
        }
    }
}

fn print_findings(
    context: &Context,
    findings: &[Finding],
    shown: impl Fn(&Finding) -> String,
) -> anyhow::Result<()> {
    if context.json {
        return context.print(&findings, String::new);
    }
    let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
    let line = |found: &Finding| {
        let fix = found.fix.as_ref().map(|fix| format!("  fix: {fix}\n")).unwrap_or_default();
        format!("{}: {}\n{fix}", found.severity.label(), shown(found))
    };
    print(&findings.iter().map(line).collect::<String>())?;
    let silenced = match count(Severity::Silenced) {
        0 => String::new(),
        silenced => format!(", {silenced} silenced"),
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let (errors, warnings) = (counted(errors, "error"), counted(warnings, "warning"));
    print(&format!("{errors}, {warnings}{silenced}\n"))
}
