//! Prints the result of a change, or why it was refused.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::context::{Context, status};
use crate::inventory::{ChangeError, Committed};
use crate::network::{Consequences, Finding};
use crate::site_file::SiteFile;

/// A finding with its place in the file.
pub(super) fn in_file(file: &SiteFile, finding: &Finding) -> String {
    let message = format!("{} ({})", finding.text, finding.rule);
    file.error_at(&finding.path(), message).to_string()
}

/// The most warnings printed after a change.
pub(super) const WARNINGS: usize = 20;

/// Prints the differences of a change, its consequences on a dry run, and its warnings.
pub(crate) async fn print_outcome(
    context: &Context,
    committed: Committed,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    print_outcome_with(context, committed, dry_run, ToString::to_string).await
}

/// [`print_outcome`] with warnings as `shown` writes them.
pub(super) async fn print_outcome_with(
    context: &Context,
    mut committed: Committed,
    dry_run: bool,
    shown: impl Fn(&Finding) -> String,
) -> anyhow::Result<ExitCode> {
    let consequences = committed.take_consequences().await;
    let Committed { revision, differences, warnings, .. } = &committed;
    let mut value = json!({
        "revision": revision,
        "dry_run": dry_run,
        "differences": differences,
        "warnings": warnings,
    });
    if dry_run {
        value["consequences"] = json!(consequences);
    }
    context.print(&value, || {
        let mut lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        lines.extend(consequence_lines(&consequences));
        lines.push(match (differences.is_empty(), dry_run) {
            (true, _) => "no changes".into(),
            (false, true) => "dry run: nothing changed".into(),
            (false, false) => format!("revision {revision}"),
        });
        lines.join("\n") + "\n"
    })?;
    if !context.json {
        let warnings: Vec<_> = warnings.iter().map(shown).collect();
        warn(&warnings, if dry_run { usize::MAX } else { WARNINGS });
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines that a change adds and removes in generated files. Hosts that had none are only counted.
pub(super) fn consequence_lines(consequences: &Consequences) -> Vec<String> {
    let mut lines = Vec::new();
    for group in consequences.hosts.iter().filter(|group| !group.is_new) {
        lines.push(format!("network of {}:", group.some_hosts()));
        let own = group.own_values.iter().map(|own| format!("{{{}}} {}", own.name, own.value));
        let own: Vec<String> = own.collect();
        if let Some(first) = group.hosts.first().filter(|_| !own.is_empty()) {
            lines.push(format!("  ({first}: {})", own.join(", ")));
        }
        lines.extend(group.facts.iter().map(|fact| format!("  {fact}")));
        lines.extend(group.lines.iter().map(|line| format!("  {}", line.text)));
    }
    for change in &consequences.switches {
        let word = if change.switches.len() == 1 { "switch" } else { "switches" };
        lines.push(format!("{word} {}:", change.some_switches()));
        lines.extend(change.lines.iter().map(|line| format!("  {}", line.text)));
    }
    let first: usize =
        consequences.hosts.iter().filter(|group| group.is_new).map(|group| group.hosts.len()).sum();
    let hosts = if first == 1 { "host" } else { "hosts" };
    lines.extend((first > 0).then(|| format!("first network configuration of {first} {hosts}")));
    lines
}

/// Prints warnings, each on a line.
pub(super) fn warn(warnings: &[String], most: usize) {
    for warning in warnings.iter().take(most) {
        eprintln!("warning: {warning}");
    }
    if warnings.len() > most {
        eprintln!("{} more warnings; list them with rackstrap check", warnings.len() - most);
    }
}

/// Prints the errors of a change that was refused.
pub(crate) fn refuse<T: ToString>(context: &Context, errors: &[T]) -> anyhow::Result<ExitCode> {
    refuse_for(context, errors, &[])
}

/// Tells the errors for which nothing was done; programs get the findings behind them, with
/// their locations, as well.
pub(crate) fn refuse_for<T: ToString>(
    context: &Context,
    errors: &[T],
    findings: &[Finding],
) -> anyhow::Result<ExitCode> {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    for error in &errors {
        eprintln!("{error}");
    }
    if context.json {
        let mut value = json!({"errors": errors});
        if !findings.is_empty() {
            value["findings"] = json!(findings);
        }
        context.print(&value, String::new)?;
    } else {
        let count = errors.len();
        eprintln!("{count} error{}; nothing changed", if count == 1 { "" } else { "s" });
    }
    Ok(status(false))
}

/// Prints why a change was refused.
///
/// # Errors
/// Returns database failures to the caller.
pub(crate) fn refuse_change(context: &Context, error: ChangeError) -> anyhow::Result<ExitCode> {
    match error {
        ChangeError::Refused(findings) => refuse_for(context, &findings, &findings),
        ChangeError::Inventory(error) => Err(error.into()),
        other => refuse(context, &[other]),
    }
}
