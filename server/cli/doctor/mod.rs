//! `rackstrap doctor`: what would stop a boot here, each with its remedy.

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

use crate::cli::context::{Context, print, status};
use crate::config::Config;
use crate::inventory::{Inventory, Snapshot};
use crate::leases::LeaseBook;

/// What `doctor` is told.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Ask no question on the network: do not look for other DHCP servers
    #[arg(long)]
    quiet: bool,
    /// How many seconds other DHCP servers have to answer
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    wait: u64,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    /// It stops a boot.
    Trouble,
    /// It stops some boots, or may.
    Warning,
    /// It is as it should be.
    Good,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trouble => "trouble",
            Self::Warning => "warning",
            Self::Good => "good",
        })
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at, such as `ports`.
    check: &'static str,
    verdict: Verdict,
    text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, text: text.into(), remedy: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { check, verdict: Verdict::Warning, text: text.into(), remedy }
    }

    fn trouble(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { check, verdict: Verdict::Trouble, text: text.into(), remedy }
    }
}

/// What the checks look at.
struct Patient {
    config: Config,
    inventory: Inventory,
    leases: LeaseBook,
}

impl Patient {
    fn snapshot(&self) -> std::sync::Arc<Snapshot> {
        self.inventory.snapshot()
    }
}

impl Doctor {
    /// Looks at everything; fails if something would stop a boot.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let mut findings = match open(&context).await {
            Ok(patient) => self.look(&patient).await,
            Err(error) => vec![Finding::trouble(
                "database",
                format!("{error:#}"),
                "mend what it says; without the inventory nobody is served",
            )],
        };
        findings.sort_by_key(|finding| finding.verdict);
        let sound = findings.iter().all(|finding| finding.verdict != Verdict::Trouble);
        if context.json {
            context.print(&findings, String::new)?;
        } else {
            print(&findings.iter().map(told).collect::<String>())?;
            let count = |verdict| findings.iter().filter(|found| found.verdict == verdict).count();
            let (troubles, warnings) = (count(Verdict::Trouble), count(Verdict::Warning));
            print(&format!("{troubles} would stop a boot, {warnings} to look at\n"))?;
        }
        Ok(status(sound))
    }

    async fn look(&self, patient: &Patient) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut add = |found: Vec<Finding>| findings.extend(found);
        add(links::interfaces(patient));
        add(ports::ports(&patient.config));
        add(ports::capabilities(&patient.config));
        if !self.quiet {
            add(foreign::servers(&patient.config, Duration::from_secs(self.wait)).await);
        }
        add(firewall::rules(&patient.config).await);
        add(store::boot_programs(patient).await);
        add(store::images(patient).await);
        add(store::database(patient).await);
        add(store::clock(patient).await);
        add(site::pools(patient));
        add(site::hosts(patient));
        add(site::relays(patient));
        findings
    }
}

async fn open(context: &Context) -> anyhow::Result<Patient> {
    let inventory = context.inventory().await?;
    let leases = LeaseBook::open(inventory.database.clone()).await?;
    Ok(Patient { config: context.config.clone(), inventory, leases })
}

fn told(finding: &Finding) -> String {
    let Finding { check, verdict, text, remedy } = finding;
    let line = format!("{verdict:8} {check}: {text}\n");
    match remedy {
        Some(remedy) => format!("{line}         -> {remedy}\n"),
        None => line,
    }
}
