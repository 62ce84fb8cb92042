//! `rackstrap check --fix`: applies the fixes of findings.

use std::collections::HashSet;
use std::io::{BufRead, Write};

use anyhow::bail;

use crate::cli::context::{change, is_interactive, operator};
use crate::inventory::{ChangeError, Inventory};
use crate::network::{Finding, Fix, Severity, check_site};
use crate::site_file::set_values;

/// Applies each fix as a revision of its own, after asking unless `yes`. Checks the site again
/// after each, because one fix often resolves several findings.
pub(crate) async fn run(inventory: &Inventory, yes: bool) -> anyhow::Result<()> {
    if !yes && !is_interactive() {
        bail!("--fix needs a terminal to ask; --fix --yes applies every fix without asking");
    }
    let mut seen: HashSet<String> = HashSet::new();
    loop {
        let findings = check_site(&inventory.snapshot().site);
        let is_new = |finding: &&Finding| {
            finding.severity != Severity::Silenced && !seen.contains(&finding.to_string())
        };
        let mut left = findings.iter().filter(is_new);
        let Some((finding, fix)) = left.find_map(|found| Some((found, found.fix.as_ref()?))) else {
            return Ok(());
        };
        // Offered once: the operator may decline it, or it may not help.
        seen.insert(finding.to_string());
        eprintln!("{}: {finding}", finding.severity.label());
        if yes || confirm(fix)? {
            apply(inventory, finding, fix).await?;
        }
    }
}

fn confirm(fix: &Fix) -> anyhow::Result<bool> {
    eprint!("  {fix}? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Applies a fix, or prints why the rules refuse it.
async fn apply(inventory: &Inventory, finding: &Finding, fix: &Fix) -> anyhow::Result<()> {
    let (who, summary) = (operator(), format!("fixed {}: {fix}", finding.rule));
    let edits = fix.edits.iter().map(|edit| (edit.at.path(), edit.value.clone()));
    let edits: Vec<(String, String)> = edits.collect();
    let made = inventory.change_site(change(&who, &summary, false), |site| {
        *site = set_values(Some(&*site), &edits)?;
        Ok(())
    });
    match made.await {
        Ok(done) => eprintln!("  {fix}: done (revision {})", done.revision),
        Err(ChangeError::Inventory(error)) => return Err(error.into()),
        Err(error) => eprintln!("  {fix}: refused: {error}"),
    }
    Ok(())
}
