//! Files of other systems: a site file, what would change, and a report of what is not taken.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cli::context::{Context, change, counted, operator, status};
use crate::cli::import::Import;
use crate::cli::outcome::{print_outcome_with, refuse, refuse_change, refuse_for};
use crate::import::{Choices, Imported, Include, Library, NotTaken, Source, Unopened, import};
use crate::inventory::ChangeError;
use crate::model::Site;
use crate::network::{Finding, Severity};
use crate::site_file::{decode_any, lay_over, render};

/// Included files, where they are on this computer: by their own path, else beside the file that
/// includes them, as in a copy of the old server's directory.
struct Disk;

impl Library for Disk {
    fn open(&self, include: &Include) -> Result<Vec<Source>, Unopened> {
        let path = Path::new(&include.path);
        let beside = Path::new(&*include.from).parent().unwrap_or_else(|| Path::new(""));
        let name = path.file_name().map(Path::new).unwrap_or(path);
        let candidates = [path.to_owned(), beside.join(path), beside.join(name)];
        let found = candidates.iter().find(|path| path.exists()).unwrap_or(&candidates[0]);
        if include.is_directory && found.is_dir() {
            let entries = std::fs::read_dir(found).map_err(unopened)?;
            let mut paths: Vec<PathBuf> =
                entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
            paths.retain(|path| path.is_file());
            paths.sort();
            return paths.iter().map(|path| source(path)).collect();
        }
        source(found).map(|source| vec![source])
    }
}

fn unopened(error: impl std::error::Error) -> Unopened {
    Unopened { message: error.to_string() }
}

fn source(path: &Path) -> Result<Source, Unopened> {
    let bytes = std::fs::read(path).map_err(unopened)?;
    let text = decode_any(&bytes).map_err(unopened)?;
    Ok(Source::new(&path.display().to_string(), text))
}

/// The files in a directory and those below it, as in a copy of a host's `/etc`.
pub(in crate::cli) fn read_directory(path: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let mut paths = Vec::new();
    for entry in
        std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?
    {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_directory(&path, sources)?;
            continue;
        }
        // What is no text is no configuration.
        match source(&path) {
            Ok(source) => sources.push(Source { is_found: true, ..source }),
            Err(error) => eprintln!("{}: not read: {error}", path.display()),
        }
    }
    Ok(())
}

/// Prints the site file and the report, or with `--apply` changes the inventory.
pub(super) async fn run(
    context: &Context,
    arguments: &Import,
    sources: Vec<Source>,
) -> anyhow::Result<ExitCode> {
    let inventory = context.try_inventory().await?;
    let known = &inventory.snapshot().site.subnets;
    let choices = Choices {
        keeps_boot_server: arguments.keep_boot_server,
        subnets: arguments.subnet.clone(),
        columns: arguments.column.iter().map(|one| (one.name.clone(), one.key.clone())).collect(),
        host: arguments.host.clone(),
        known: known.iter().map(|(name, subnet)| (name.clone(), subnet.cidr)).collect(),
    };
    let imported = match import(&sources, &Disk, &choices) {
        Ok(imported) => imported,
        Err(error) => return refuse(context, &[error]),
    };
    let text = render(&imported.site);
    let output = arguments.output.as_ref().filter(|path| path.as_os_str() != "-");
    if let Some(path) = output {
        std::fs::write(path, &text)?;
    }
    report(&imported.not_taken);
    if arguments.apply || arguments.dry_run {
        return apply(context, arguments, &imported).await;
    }
    // What the rules say, before anybody applies it.
    let site = lay_over(&inventory.snapshot().site, &imported.site)?;
    let review = inventory.review_site(site).await;
    let findings = [review.errors.as_slice(), review.warnings.as_slice()].concat();
    if !context.json {
        for finding in &findings {
            eprintln!("{}: {}", finding.severity.label(), imported.placed(finding));
        }
        summary(&imported, &findings);
    }
    let value = json!({
        "site": &imported.site,
        "not_taken": not_taken(&imported.not_taken),
        "findings": findings,
    });
    let shown = if output.is_some() { String::new() } else { text };
    context.print(&value, || shown)?;
    Ok(status(review.errors.is_empty()))
}

async fn apply(
    context: &Context,
    arguments: &Import,
    imported: &Imported,
) -> anyhow::Result<ExitCode> {
    let inventory = context.inventory_for(arguments.dry_run).await?;
    let names: Vec<String> =
        arguments.files.iter().map(|path| path.display().to_string()).collect();
    let (who, text) = (operator(), format!("import {}", names.join(" ")));
    let outcome = inventory.change_site(change(&who, &text, arguments.dry_run), |site| {
        *site = lay_over(site, &imported.site)?;
        Ok(())
    });
    match outcome.await {
        Ok(committed) => {
            let shown = |finding: &Finding| imported.placed(finding);
            print_outcome_with(context, committed, arguments.dry_run, shown).await
        }
        Err(ChangeError::Refused(findings)) => {
            let errors: Vec<String> = findings.iter().map(|one| imported.placed(one)).collect();
            refuse_for(context, &errors, &findings)
        }
        Err(error) => refuse_change(context, error),
    }
}

/// The report, by line.
pub(super) fn report(all: &[NotTaken]) {
    all.iter().for_each(|one| eprintln!("not taken over: {one}"));
}

fn summary(imported: &Imported, findings: &[Finding]) {
    let errors = findings.iter().filter(|one| one.severity == Severity::Error).count();
    let Site { hosts, subnets, profiles, .. } = &imported.site;
    let entries = [
        counted(hosts.len(), "host"),
        counted(subnets.len(), "subnet"),
        counted(profiles.len(), "profile"),
    ];
    let left = counted(imported.not_taken.len(), "line");
    eprintln!("{}; {left} not taken over; {}", entries.join(", "), counted(errors, "error"));
    eprintln!(
        "nothing changed: --apply adds this to the inventory, --dry-run shows what that does"
    );
}

fn not_taken(all: &[NotTaken]) -> Vec<Value> {
    let one = |one: &NotTaken| {
        json!({
            "file": &*one.place.file,
            "line": one.place.line,
            "text": one.text,
            "reason": one.reason.to_string(),
        })
    };
    all.iter().map(one).collect()
}
