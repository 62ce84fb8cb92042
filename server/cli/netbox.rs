//! `rackstrap netbox`: an inventory in NetBox, taken over and completed.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, change, counted, operator, status};
use crate::cli::outcome::{print_outcome_with, refuse, refuse_change, refuse_for};
use crate::import::Imported;
use crate::import::netbox::{host_ids, host_roles, take_over};
use crate::inventory::ChangeError;
use crate::lifecycle::HostState;
use crate::netbox::push::{Plan, There, Verb, Wanted, plan, wanted};
use crate::netbox::records::{Device, Found, Prefix, Rack, Role, Site};
use crate::netbox::service::NetBox;
use crate::network::Finding;
use crate::site_file::lay_over;

/// The variable that has the token: an argument would be seen by every user of this computer.
const TOKEN: &str = "RACKSTRAP_NETBOX_TOKEN";

/// `rackstrap netbox`.
#[derive(Debug, Subcommand)]
pub(crate) enum NetBoxCommand {
    /// Take over racks, hosts with NICs and BMCs, cables, addresses and subnets; nothing is removed
    Pull(Pull),
    /// Write to NetBox what it lacks of the hosts: interfaces, MACs, addresses, cables. Nothing is
    /// deleted or replaced there
    Push(Push),
}

/// Which NetBox, and how it is asked.
#[derive(Debug, Args)]
struct Connection {
    /// URL of NetBox's home page, such as https://netbox.example.com
    #[arg(long)]
    url: String,
    /// File with an API token of NetBox [default: the token in the variable
    /// RACKSTRAP_NETBOX_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// `rackstrap netbox pull`.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    #[command(flatten)]
    connection: Connection,
    /// Take over this site of NetBox, by its slug; repeat for more. Without, all sites
    #[arg(long = "site", value_name = "SLUG")]
    sites: Vec<String>,
    /// Take devices of this role as hosts, by its slug; repeat for more. Without, the roles that
    /// sound like servers
    #[arg(long = "role", value_name = "SLUG")]
    roles: Vec<String>,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
}

/// `rackstrap netbox push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    #[command(flatten)]
    connection: Connection,
    /// Look for the devices of hosts in this site of NetBox, by its slug; repeat for more. Without, in
    /// all sites
    #[arg(long = "site", value_name = "SLUG")]
    sites: Vec<String>,
    /// Show what would be written, without writing it
    #[arg(long)]
    dry_run: bool,
}

impl NetBoxCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Pull(pull) => pull.run(context).await,
            Self::Push(push) => push.run(context).await,
        }
    }
}

impl Connection {
    async fn open(&self) -> anyhow::Result<NetBox> {
        let token = match &self.token_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the token in {}", path.display()))?,
            None => match std::env::var(TOKEN) {
                Ok(token) => token,
                Err(_) => bail!("no NetBox token: set {TOKEN}, or pass --token-file"),
            },
        };
        let netbox = NetBox::open(&self.url, token.trim()).await?;
        if netbox.is_open_to_listeners() {
            eprintln!(
                "warning: {} is not encrypted: others on the network can read the token",
                netbox.url()
            );
        }
        Ok(netbox)
    }
}

impl Pull {
    async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let netbox = self.connection.open().await?;
        let roles: Vec<Role> = netbox.list(&[]).await?;
        let roles = match host_roles(&roles, &self.roles) {
            Ok(roles) => roles,
            Err(error) => return refuse(&context, &[error]),
        };
        let found = read(&netbox, &self.sites, &roles).await?;
        eprintln!(
            "{}: {} of {}, {}, {} prefixes",
            netbox.url(),
            counted(host_ids(&found.devices, &roles).len(), "host"),
            counted(found.devices.len(), "device"),
            counted(found.interfaces.len(), "interface"),
            found.prefixes.len(),
        );
        let inventory = context.inventory_for(self.dry_run).await?;
        let (who, text) = (operator(), format!("netbox pull {}", netbox.url()));
        let mut imported = Imported::default();
        let outcome = inventory.change_site(change(&who, &text, self.dry_run), |site| {
            imported = take_over(&found, &roles, site);
            *site = lay_over(site, &imported.site)?;
            Ok(())
        });
        let outcome = outcome.await;
        for one in &imported.not_taken {
            eprintln!("not taken over: {one}");
        }
        let placed = |finding: &Finding| match imported.place(&finding.path()) {
            Some(place) => format!("{place}: {finding}"),
            None => finding.to_string(),
        };
        match outcome {
            Ok(committed) => print_outcome_with(&context, committed, self.dry_run, placed).await,
            Err(ChangeError::Refused(findings)) => {
                let errors: Vec<String> = findings.iter().map(placed).collect();
                refuse_for(&context, &errors, &findings)
            }
            Err(error) => refuse_change(&context, error),
        }
    }
}

/// Reads what becomes hosts, and what is around them.
async fn read(netbox: &NetBox, slugs: &[String], roles: &BTreeSet<u64>) -> anyhow::Result<Found> {
    let sites = sites(netbox, slugs).await?;
    let of_sites: Vec<_> = sites.iter().map(|site| ("site_id", site.id.to_string())).collect();
    let mut devices: Vec<Device> = netbox.list(&of_sites).await?;
    let ids = host_ids(&devices, roles);
    let (interfaces, addresses, prefixes, device_types) = tokio::try_join!(
        netbox.interfaces(&ids),
        netbox.list_by("device_id", &ids),
        netbox.list::<Prefix>(&[]),
        netbox.list(&[]),
    )?;
    // Cables may leave the site.
    let known: BTreeSet<u64> = devices.iter().map(|device| device.id).collect();
    let ends = interfaces.iter().flat_map(|one| one.connected_endpoints.iter().flatten());
    let ends = ends.filter_map(|end| end.device.as_ref()).map(|device| device.id);
    let away: BTreeSet<u64> = ends.filter(|id| !known.contains(id)).collect();
    let away: Vec<u64> = away.into_iter().collect();
    devices.extend(netbox.list_by::<Device, _>("id", &away).await?);
    let racks = devices.iter().filter_map(|device| device.rack.as_ref()).map(|rack| rack.id);
    let racks: Vec<u64> = racks.collect::<BTreeSet<_>>().into_iter().collect();
    Ok(Found {
        url: netbox.url().to_owned(),
        racks: netbox.list_by::<Rack, _>("id", &racks).await?,
        sites,
        devices,
        device_types,
        interfaces,
        addresses,
        prefixes,
    })
}

impl Push {
    async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let netbox = self.connection.open().await?;
        let inventory = context.read_inventory().await?;
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let states = inventory.host_statuses(now_ms);
        let snapshot = inventory.snapshot();
        let is_up =
            |name: &String| states.get(name).is_some_and(|status| status.state == HostState::Up);
        let names = snapshot.site.hosts.keys();
        let hosts: Vec<Wanted> =
            names.filter_map(|name| wanted(&snapshot.site, name, is_up(name))).collect();
        let there = read_hosts(&netbox, &self.sites, &hosts).await?;
        let plan = plan(&there, &hosts);
        for kept in &plan.kept {
            eprintln!("not written: {kept}");
        }
        let lines: Vec<String> = plan
            .stages
            .iter()
            .flat_map(|stage| {
                let sign = if stage.verb == Verb::Create { '+' } else { '~' };
                stage.writes.iter().map(move |write| format!("{sign} {}", write.what))
            })
            .collect();
        let failed = match self.dry_run {
            true => Vec::new(),
            false => carry_out(&netbox, &plan).await?,
        };
        for failure in &failed {
            eprintln!("refused by NetBox: {failure}");
        }
        let kept: Vec<String> = plan.kept.iter().map(ToString::to_string).collect();
        let value = json!({
            "dry_run": self.dry_run, "written": lines, "kept": kept, "refused": failed,
        });
        context.print(&value, || {
            let end = match (lines.len(), self.dry_run) {
                (0, _) => "no changes".to_owned(),
                (_, true) => "dry run: nothing written".to_owned(),
                (count, false) => format!("{} written", counted(count - failed.len(), "object")),
            };
            lines.iter().map(|line| format!("{line}\n")).collect::<String>() + &end + "\n"
        })?;
        Ok(status(failed.is_empty()))
    }
}

/// Reads what NetBox has of hosts, and of what they are cabled to.
async fn read_hosts(netbox: &NetBox, slugs: &[String], hosts: &[Wanted]) -> anyhow::Result<There> {
    let sites = sites(netbox, slugs).await?;
    let of_sites: Vec<_> = sites.iter().map(|site| ("site_id", site.id.to_string())).collect();
    let mut there = There {
        devices: netbox.list(&of_sites).await?,
        prefixes: netbox.list(&[]).await?,
        racks: netbox.list(&of_sites).await?,
        ..There::default()
    };
    let (ids, switches) = there.device_ids(hosts);
    (there.interfaces, there.ports, there.addresses) = tokio::try_join!(
        netbox.interfaces(&ids),
        netbox.list_by("device_id", &switches),
        netbox.list_by("device_id", &ids),
    )?;
    let (macs, addresses) = there.missing(hosts);
    there.macs = netbox.list_by("mac_address", &macs).await?;
    there.addresses.extend(netbox.list_by("address", &addresses).await?);
    Ok(there)
}

/// Writes what is planned; what NetBox refused.
async fn carry_out(netbox: &NetBox, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut made = HashMap::new();
    let mut failed = Vec::new();
    for stage in &plan.stages {
        let mut writes = Vec::new();
        let mut bodies = Vec::new();
        for write in &stage.writes {
            match write.body(&made) {
                Some(body) => {
                    writes.push(write);
                    bodies.push(body);
                }
                None => failed.push(format!("{}: what it is on was not made", write.what)),
            }
        }
        let written = netbox.write(stage.verb, stage.path, &bodies).await?;
        for (write, outcome) in writes.into_iter().zip(written) {
            match outcome {
                Ok(id) => write.note(id, &mut made),
                Err(why) => failed.push(format!("{}: {why}", write.what)),
            }
        }
    }
    Ok(failed)
}

/// The sites with these slugs.
async fn sites(netbox: &NetBox, slugs: &[String]) -> anyhow::Result<Vec<Site>> {
    if slugs.is_empty() {
        return Ok(Vec::new());
    }
    let all: Vec<Site> = netbox.list(&[]).await?;
    let mut sites = Vec::new();
    for slug in slugs {
        match all.iter().find(|site| site.slug == *slug) {
            Some(site) => sites.push(site.clone()),
            None => {
                let known: Vec<&str> = all.iter().map(|site| site.slug.as_str()).collect();
                bail!("NetBox has no site \"{slug}\"; it has {}", known.join(", "));
            }
        }
    }
    Ok(sites)
}
