//! `rackstrap check --fix`: the edits that put findings right, one by one.

use std::collections::HashSet;
use std::io::{BufRead, Write};

use anyhow::bail;

use crate::cli::context::{change, operator, somebody_can_be_asked};
use crate::inventory::{ChangeError, Inventory};
use crate::network::{Finding, Fix, Severity, check_site};
use crate::site_file::set_values;

/// Makes every fix, each as a change of its own, after asking unless `yes`. After each the
/// site is looked at anew, because one fix often puts several findings right.
pub async fn run(inventory: &Inventory, yes: bool) -> anyhow::Result<()> {
    if !yes && !somebody_can_be_asked() {
        bail!("nobody can be asked here: --fix --yes makes every fix without asking");
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
        // Once each: a fix that is declined, or does not help, is not offered again.
        seen.insert(finding.to_string());
        eprintln!("{}: {finding}", finding.severity.label());
        if yes || is_wanted(fix)? {
            make(inventory, finding, fix).await?;
        }
    }
}

fn is_wanted(fix: &Fix) -> anyhow::Result<bool> {
    eprint!("  {fix}? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Makes one fix; one that the rules refuse is told, and nothing of it is done.
async fn make(inventory: &Inventory, finding: &Finding, fix: &Fix) -> anyhow::Result<()> {
    let (who, summary) = (operator(), format!("fixed {}: {fix}", finding.rule));
    let edits = fix.edits.iter().map(|edit| (edit.path.clone(), edit.value.clone()));
    let edits: Vec<(String, String)> = edits.collect();
    let made = inventory.change_site(change(&who, &summary, false), |site| {
        *site = set_values(Some(&*site), &edits).map_err(ChangeError::Edit)?;
        Ok(())
    });
    match made.await {
        Ok(done) => eprintln!("  {fix}: done (revision {})", done.revision),
        Err(ChangeError::Inventory(error)) => return Err(error.into()),
        Err(error) => eprintln!("  {fix}: refused: {error}"),
    }
    Ok(())
}
