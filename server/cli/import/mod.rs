//! `rackstrap import`: hosts from a CSV file, such as a delivery list, the leases of another DHCP
//! server, and the configuration of other systems.

mod foreign;
mod leases;

pub(super) use foreign::read_directory;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::apply::read_bytes;
use crate::cli::context::{Context, change, operator};
use crate::cli::outcome::{print_outcome, refuse, refuse_change, refuse_for};
use crate::import::{HostTable, Source};
use crate::inventory::ChangeError;
use crate::leases::foreign_file::LeaseFile;
use crate::site_file::decode_any;

/// `rackstrap import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// CSV file with commas, semicolons or tabs, or - for standard input. The first row names the columns: host,
    /// rack, unit, serial, tenant, rented-from, rented-until, profile, image, boot-file, local-boot, protected,
    /// labels, macs, nics.LABEL, addresses.LINK, reservations.SUBNET. Or the lease file of another DHCP server:
    /// dhcpd.leases (ISC dhcpd), kea-leases4.csv (Kea), dnsmasq.leases (dnsmasq).
    /// Or files of other systems, which are recognised by what is in them: dhcpd.conf, dnsmasq.conf with
    /// its hosts files, Kea's JSON; CSV with other columns; inventories of Ansible, Warewulf and MAAS; the
    /// netplan files or the networkd directories of hosts. They become a site file on standard output, with a report of every line
    /// that was not taken over on standard error.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
    /// Add what files of other systems say to the inventory; nothing is removed
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// Write the site file here instead of to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take over boot files and next-server: hosts go on booting from the old TFTP server
    #[arg(long)]
    keep_boot_server: bool,
    /// A subnet that the files leave out, because the old server took it from its interface
    #[arg(long, value_name = "CIDR")]
    subnet: Vec<ipnet::IpNet>,
    /// What a column of a table is, such as "Mgmt IP=bmc.address"; - leaves it out
    #[arg(long, value_name = "NAME=KEY", value_parser = column)]
    column: Vec<ColumnKey>,
    /// The host whose network the files say, where their paths do not tell
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

/// What a column is.
#[derive(Clone, Debug)]
struct ColumnKey {
    name: String,
    key: String,
}

fn column(text: &str) -> Result<ColumnKey, clap::Error> {
    let missing = || clap::Error::raw(clap::error::ErrorKind::ValueValidation, "expected NAME=KEY");
    let (name, key) = text.rsplit_once('=').ok_or_else(missing)?;
    Ok(ColumnKey { name: name.trim().to_owned(), key: key.trim().to_owned() })
}

impl Import {
    /// Adds or changes the hosts of all rows, or of none; leases each by itself.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let mut sources = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                read_directory(path, &mut sources)?;
                continue;
            }
            let (name, bytes) = read_bytes(path)?;
            match decode_any(&bytes) {
                Ok(text) => sources.push(Source::new(&name, text)),
                Err(error) => return refuse(&context, &[format!("{name}: {error}")]),
            }
        }
        if let [one] = sources.as_slice()
            && let Some(writer) = LeaseFile::writer(&one.text)
        {
            let name = one.name.to_string();
            return leases::import(&context, &name, &one.text, writer, self.dry_run).await;
        }
        match HostTable::of(&sources) {
            Some(Ok(table)) => hosts(&context, &self, &table).await,
            Some(Err(errors)) => refuse(&context, &errors.texts()),
            None => foreign::run(&context, &self, sources).await,
        }
    }
}

/// Adds or changes the hosts of a table.
async fn hosts(
    context: &Context,
    arguments: &Import,
    table: &HostTable,
) -> anyhow::Result<ExitCode> {
    let HostTable { file, rows } = table;
    let inventory = context.inventory_for(arguments.dry_run).await?;
    let (who, summary) = (operator(), format!("import {file}"));
    let outcome = inventory.change_site(change(&who, &summary, arguments.dry_run), |site| {
        rows.put_into(site).map_err(ChangeError::Rows)
    });
    foreign::report(&table.not_taken());
    match outcome.await {
        Ok(committed) => print_outcome(context, committed, arguments.dry_run).await,
        Err(ChangeError::Rows(errors)) => {
            let errors: Vec<_> = errors.iter().map(|error| format!("{file}: {error}")).collect();
            refuse(context, &errors)
        }
        Err(ChangeError::Refused(findings)) => {
            let errors: Vec<_> = findings.iter().map(|one| table.placed(one)).collect();
            refuse_for(context, &errors, &findings)
        }
        Err(error) => refuse_change(context, error),
    }
}
