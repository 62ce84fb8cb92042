//! `rackstrap doctor`: finds what prevents hosts from booting, with a fix for each problem.

mod firewall;
mod foreign;
mod links;
mod ports;
mod site;
mod store;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::causes::WithCauses;
use crate::cli::context::{Context, counted, print, status};
use crate::config::Config;
use crate::inventory::{Inventory, Snapshot};
use crate::leases::LeaseBook;

/// `rackstrap doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Send nothing on the network: do not search for other DHCP servers
    #[arg(long)]
    quiet: bool,
    /// How long to wait for other DHCP servers
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    wait: u64,
}

/// How serious a finding is, most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum CheckStatus {
    /// Hosts cannot boot.
    Error,
    /// Some hosts cannot boot, or may not.
    Warning,
    /// No problem.
    Ok,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Ok => "ok",
        })
    }
}

/// The result of a check.
#[derive(Debug, Serialize)]
struct CheckResult {
    /// Name of the check, such as `ports`.
    check: &'static str,
    verdict: CheckStatus,
    text: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl CheckResult {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: CheckStatus::Ok, text: text.into(), fix: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into());
        Self { check, verdict: CheckStatus::Warning, text: text.into(), fix }
    }

    fn error(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        let fix = Some(fix.into());
        Self { check, verdict: CheckStatus::Error, text: text.into(), fix }
    }
}

/// The installation to check.
struct Installation {
    config: Config,
    inventory: Inventory,
    leases: LeaseBook,
}

impl Installation {
    fn snapshot(&self) -> std::sync::Arc<Snapshot> {
        self.inventory.snapshot()
    }
}

impl Doctor {
    /// Runs all checks; fails if one finds an error.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let mut findings = match open(&context).await {
            Ok(target) => self.check(&target).await,
            Err(error) => vec![CheckResult::error(
                "database",
                WithCauses(error.as_ref()).to_string(),
                "repair the database; the server does not start without it",
            )],
        };
        findings.sort_by_key(|finding| finding.verdict);
        let passed = findings.iter().all(|finding| finding.verdict != CheckStatus::Error);
        if context.json {
            context.print(&findings, String::new)?;
        } else {
            print(&findings.iter().map(lines).collect::<String>())?;
            let count = |verdict| findings.iter().filter(|found| found.verdict == verdict).count();
            let (errors, warnings) = (count(CheckStatus::Error), count(CheckStatus::Warning));
            print(&format!("{}, {}\n", counted(errors, "error"), counted(warnings, "warning")))?;
        }
        Ok(status(passed))
    }

    async fn check(&self, target: &Installation) -> Vec<CheckResult> {
        let mut findings = Vec::new();
        let mut add = |found: Vec<CheckResult>| findings.extend(found);
        add(links::interfaces(target));
        add(ports::ports(&target.config));
        add(ports::capabilities(&target.config));
        if !self.quiet {
            add(foreign::servers(&target.config, Duration::from_secs(self.wait)).await);
        }
        add(firewall::rules(&target.config).await);
        add(store::boot_programs(target).await);
        add(store::images(target));
        add(store::key_file(target));
        add(store::database(target).await);
        add(store::clock(target).await);
        add(site::pools(target));
        add(site::hosts(target));
        add(site::relays(target));
        add(site::refused_relays(target).await);
        findings
    }
}

async fn open(context: &Context) -> anyhow::Result<Installation> {
    let inventory = context.try_inventory().await?;
    let leases = LeaseBook::open(inventory.database.clone()).await?;
    Ok(Installation { config: context.config.clone(), inventory, leases })
}

fn lines(finding: &CheckResult) -> String {
    let CheckResult { check, verdict, text, fix } = finding;
    let line = format!("{verdict:8} {check}: {text}\n");
    match fix {
        Some(fix) => format!("{line}         fix: {fix}\n"),
        None => line,
    }
}
