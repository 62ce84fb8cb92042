//! `rackstrap import`: hosts from a CSV file, such as a delivery list, and the leases of another
//! DHCP server.

mod leases;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::apply::read_bytes;
use crate::cli::context::{Context, change, operator};
use crate::cli::outcome::{print_outcome, refuse, refuse_change, refuse_for};
use crate::inventory::ChangeError;
use crate::leases::foreign_file::LeaseFile;
use crate::network::Finding;
use crate::site_file::{RowError, Rows, decode};

/// `rackstrap import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// CSV file with commas, semicolons or tabs, or - for standard input. The first row names the columns: host,
    /// rack, unit, serial, tenant, rented-from, rented-until, profile, image, boot-file, local-boot, protected,
    /// labels, macs, nics.LABEL, addresses.LINK, reservations.SUBNET. Or the lease file of another DHCP server:
    /// dhcpd.leases (ISC dhcpd), kea-leases4.csv (Kea), dnsmasq.leases (dnsmasq).
    file: PathBuf,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    /// Adds or changes the hosts of all rows, or of none; leases each by itself.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let (name, bytes) = read_bytes(&self.file)?;
        let text = match decode(&bytes) {
            Ok(text) => text,
            Err(error) => return refuse(&context, &located(&name, &[error])),
        };
        if let Some(writer) = LeaseFile::writer(&text) {
            return leases::import(&context, &name, &text, writer, self.dry_run).await;
        }
        let rows = match Rows::parse(&text) {
            Ok(rows) => rows,
            Err(errors) => return refuse(&context, &located(&name, &errors)),
        };
        let inventory = context.inventory_for(self.dry_run).await?;
        let (who, summary) = (operator(), format!("import {name}"));
        let outcome = inventory.change_site(change(&who, &summary, self.dry_run), |site| {
            rows.put_into(site).map_err(ChangeError::Rows)
        });
        match outcome.await {
            Ok(committed) => print_outcome(&context, committed, self.dry_run).await,
            Err(ChangeError::Rows(errors)) => refuse(&context, &located(&name, &errors)),
            Err(ChangeError::Refused(findings)) => {
                let errors: Vec<_> = findings.iter().map(|f| place(&name, &rows, f)).collect();
                refuse_for(&context, &errors, &findings)
            }
            Err(error) => refuse_change(&context, error),
        }
    }
}

fn located(file: &str, errors: &[RowError]) -> Vec<String> {
    errors.iter().map(|error| format!("{file}: {error}")).collect()
}

/// A finding with the row of its host, or with its path in the site.
fn place(file: &str, rows: &Rows, finding: &Finding) -> String {
    match rows.error_about(finding.host(), finding.to_string()) {
        Some(error) => format!("{file}: {error}"),
        None => finding.to_string(),
    }
}
