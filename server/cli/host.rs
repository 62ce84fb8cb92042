//! `rackstrap host ...`.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::context::{Context, author, moment, operator, table};
use crate::cli::nouns::{self, Listed, Name, Remove, Set, or_dash};
use crate::inventory::{
    ArmedHost, ChangeError, EventFilter, EventsOf, InstallError, InstallRequest, Inventory,
    Snapshot,
};
use crate::lifecycle::effect::{self, Effect};
use crate::lifecycle::gate;
use crate::lifecycle::install::{Install as Armed, InstallTask};
use crate::lifecycle::{Event, HostStatus};
use crate::model::{Host, NicAddress, Noun};
use crate::profile::ResolvedSite;
use crate::site_file;

/// `rackstrap host`.
#[derive(Debug, Subcommand)]
pub(super) enum HostCommand {
    /// List hosts with their state
    List,
    /// Show a host (by name or MAC address) with its state and latest events
    Show(Name),
    /// Set keys of a host, or add it
    Set(Set),
    /// Rename a host; its state, addresses and history stay
    Rename(Rename),
    /// Arm hosts: the next boot installs the image. An installer of your own (boot: once) erases
    /// the disk; a disk image is not written to a disk that has data
    Install(Install),
    /// Arm hosts: the next boot erases the data on the disk of the disk image, and installs it
    Reinstall(Erase),
    /// Arm hosts: the next boot erases all disks and switches the host off
    Erase(Erase),
    /// Arm hosts: the next boot starts the live system once and leaves all disks as they are
    Rescue(Rescue),
    /// Arm hosts: the next boot erases all disks; then nothing is left of what the host was used for
    /// (image, profile, tenant, labels, addresses)
    Release(Erase),
    /// Remove hosts
    Remove(Remove),
}

/// Which hosts are armed.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Names or MAC addresses
    #[arg(value_name = "NAME", required_unless_present_any = ["label", "rack"])]
    names: Vec<String>,
    /// All hosts with this label
    #[arg(long)]
    label: Option<String>,
    /// All hosts of this rack
    #[arg(long)]
    rack: Option<String>,
}

impl Selection {
    /// The names of the hosts, each once, in order.
    fn hosts(&self, snapshot: &Snapshot) -> anyhow::Result<Vec<String>> {
        let site = &snapshot.site;
        let mut hosts = Vec::new();
        for name in &self.names {
            let (name, _) = nouns::find::<Host>(site, name_of(snapshot, name))?;
            hosts.push(name.to_owned());
        }
        hosts.extend(site.hosts_of(self.label.as_deref(), self.rack.as_deref()));
        let mut known = HashSet::new();
        hosts.retain(|name| known.insert(name.clone()));
        match (&self.label, &self.rack) {
            _ if !hosts.is_empty() => Ok(hosts),
            (Some(label), None) => bail!("no host has the label \"{label}\""),
            (None, Some(rack)) => bail!("no host is in rack \"{rack}\""),
            _ => bail!("no host is selected"),
        }
    }
}

/// `rackstrap host rescue`.
#[derive(Debug, Args)]
pub(super) struct Rescue {
    #[command(flatten)]
    selection: Selection,
    /// Show what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
}

/// `rackstrap host reinstall`, `rackstrap host erase` and `rackstrap host release`.
#[derive(Debug, Args)]
pub(super) struct Erase {
    #[command(flatten)]
    selection: Selection,
    /// What is lost: the name of one host once more, or "3 hosts" of several
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Show what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
}

/// `rackstrap host rename`.
#[derive(Debug, Args)]
pub(super) struct Rename {
    /// Current name
    from: String,
    /// New name
    to: String,
    /// Show what would change, without changing it
    #[arg(long)]
    dry_run: bool,
}

/// `rackstrap host install`.
#[derive(Debug, Args)]
pub(super) struct Install {
    #[command(flatten)]
    selection: Selection,
    /// Cancel: the next boot goes to the local disk, and an installer that runs is refused
    #[arg(long)]
    cancel: bool,
    /// Show what would be done, without doing it
    #[arg(long)]
    dry_run: bool,
}

impl HostCommand {
    /// Runs the command.
    pub(super) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List => list(&context).await,
            Self::Show(Name { name }) => show(&context, &name).await,
            Self::Set(set) => nouns::set_by(&context, set, site_file::set_host).await,
            Self::Rename(rename) => self::rename(&context, rename).await,
            Self::Install(install) => self::install(&context, install).await,
            Self::Reinstall(erase) => self::erase(&context, InstallTask::Reinstall, erase).await,
            Self::Erase(erase) => self::erase(&context, InstallTask::Erase, erase).await,
            Self::Release(erase) => self::erase(&context, InstallTask::Release, erase).await,
            Self::Rescue(Rescue { selection, dry_run }) => {
                let erase = Erase { selection, confirm: None, dry_run };
                self::erase(&context, InstallTask::Rescue, erase).await
            }
            Self::Remove(remove) => nouns::remove::<Host>(&context, remove).await,
        }
    }
}

impl Listed for Host {
    const COLUMNS: &'static [&'static str] = &["rack", "unit", "profile", "image", "addresses"];
    fn cells(&self, _name: &str, _site: &ResolvedSite) -> Vec<String> {
        let mut addresses: Vec<String> = self
            .addresses
            .values()
            .chain(self.reservations.values())
            .map(ToString::to_string)
            .collect();
        addresses.dedup();
        vec![
            or_dash(self.rack.as_ref()),
            or_dash(self.unit),
            or_dash(self.profile.as_ref()),
            or_dash(self.image.as_ref()),
            addresses.join(", "),
        ]
    }
}

async fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let inventory = context.read_inventory().await?;
    let snapshot = inventory.snapshot();
    let status = inventory.host_statuses(jiff::Timestamp::now().as_millisecond());
    let status_of = |name: &String| status.get(name).cloned().unwrap_or_default();
    let hosts = &snapshot.site.hosts;
    let values: Vec<Value> =
        hosts.iter().map(|(name, host)| as_json(name, host, &status_of(name))).collect();
    context.print(&values, || {
        let row = |(name, host): (&String, &Host)| {
            let status = status_of(name);
            let state = status.state_text();
            let cause = if status.is_stopped() { status.reason } else { String::new() };
            let cells = host.cells(name, &snapshot.site);
            [vec![name.clone(), state], cells, vec![cause]].concat()
        };
        let header = ["NAME", "STATE", "RACK", "UNIT", "PROFILE", "IMAGE", "ADDRESSES", "CAUSE"];
        table(&header, &hosts.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn as_json(name: &str, host: &Host, status: &HostStatus) -> Value {
    let mut value = host.named(name);
    value["state"] = json!(status.state);
    value["state-since-ms"] = json!(status.since_ms);
    value["state-reason"] = json!(status.reason);
    value["state-stage"] = json!(status.stage);
    value["state-cause"] = json!(status.cause);
    value["armed-until"] = json!(status.armed_until);
    value
}

async fn show(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    const EVENTS: u32 = 10;
    let inventory = context.read_inventory().await?;
    let snapshot = inventory.snapshot();
    let name = name_of(&snapshot, name);
    let (name, host) = nouns::find::<Host>(&snapshot.site, name)?;
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let status = inventory.host_status(name, now_ms).unwrap_or_default();
    let filter = EventFilter {
        host: Some(EventsOf::host(&snapshot.site, name)),
        limit: EVENTS,
        ..EventFilter::default()
    };
    let events = inventory.database.list_events(&filter).await?;
    let mut value = as_json(name, host, &status);
    value["events"] = json!(events);
    context.print(&value, || {
        let since = match status.since_ms {
            0 => String::new(),
            at => format!(" since {}: {}", moment(at), status.reason),
        };
        let events: String = events.iter().rev().map(event_line).collect();
        let entry = site_file::render(&nouns::fragment(name, host));
        format!("# {}{since}\n{events}{entry}", status.state_text())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The name of the host with this MAC address, its BMC's too, or the text itself.
pub(super) fn name_of<'a>(snapshot: &'a Snapshot, text: &'a str) -> &'a str {
    let of_nic =
        |nic: NicAddress| snapshot.host_of_nic(nic).or_else(|| snapshot.host_of_bmc(nic.mac()?));
    let by_mac = text.parse().ok().and_then(of_nic);
    by_mac.map_or(text, |(name, _)| name)
}

fn event_line(event: &Event) -> String {
    format!("# {} {} {}\n", moment(event.at_ms), event.kind(), event.text())
}

async fn install(context: &Context, install: Install) -> anyhow::Result<ExitCode> {
    let Install { selection, cancel, dry_run } = install;
    if !cancel {
        let erase = Erase { selection, confirm: None, dry_run };
        return self::erase(context, InstallTask::Install, erase).await;
    }
    let inventory = context.inventory_for(dry_run).await?;
    let hosts = selection.hosts(&inventory.snapshot())?;
    let (operator, task) = (operator(), InstallTask::Install);
    let any = |_: Option<&Armed>| Ok::<(), InstallError>(());
    let mut cancelled = Vec::new();
    for name in &hosts {
        let request =
            InstallRequest { host: name, author: author(&operator), limits: &[], task, dry_run };
        match inventory.cancel_install_if(request, any).await {
            Ok(install) => cancelled.push(ArmedHost { name: name.clone(), install }),
            // Of several hosts those that are armed are meant.
            Err(InstallError::NothingToCancel(_)) if hosts.len() > 1 => {}
            Err(error) => return Err(error.into()),
        }
    }
    inventory.events.settle().await;
    let text = || {
        let line = |ArmedHost { name, .. }: &ArmedHost| match dry_run {
            true => format!("{name}: the install would be cancelled; dry run: nothing changed\n"),
            false => format!("{name}: install cancelled\n"),
        };
        cancelled.iter().map(line).collect()
    };
    match &cancelled[..] {
        [] => bail!("none of {} hosts is armed or being installed", hosts.len()),
        [ArmedHost { install, .. }] if hosts.len() == 1 => context.print(install, text)?,
        _ => context.print(&cancelled, text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Arms hosts for a task; what destroys data is said before, and has to be confirmed.
async fn erase(context: &Context, task: InstallTask, erase: Erase) -> anyhow::Result<ExitCode> {
    let Erase { selection, confirm, dry_run } = erase;
    let inventory = context.inventory_for(dry_run).await?;
    let snapshot = inventory.snapshot();
    let site = &snapshot.site;
    let hosts = selection.hosts(&snapshot)?;
    let effect = |name: &String| {
        let host = &site.hosts[name];
        let image = host.image.as_ref().and_then(|image| site.images.get(image));
        Effect::of(task, host, image)
    };
    for name in &hosts {
        gate::check_task(site, name, task)?;
    }
    if !dry_run && gate::check_all_confirmed(task, &hosts, confirm.as_deref()).is_err() {
        match &hosts[..] {
            [name] => bail!(
                "{task} destroys the data of host {name}: its next boot {}; confirm it with \
                 --confirm {name}",
                effect(name)
            ),
            hosts => {
                let line = |name| format!("\n  the next boot of {name} {}", effect(name));
                let lines: String = hosts.iter().map(line).collect();
                let confirmation = gate::confirmation(hosts);
                bail!(
                    "{task} destroys the data of {confirmation}; confirm it with \
                     --confirm \"{confirmation}\":{lines}"
                )
            }
        }
    }
    let operator = operator();
    let request =
        InstallRequest { host: "", author: author(&operator), limits: &[], task, dry_run };
    if let [name] = &hosts[..] {
        let request = InstallRequest { host: name, ..request };
        return arm(context, &inventory, request, &effect(name)).await;
    }
    let armed = match inventory.arm_installs(&hosts, request).await {
        Ok(armed) => armed,
        Err(refusals) => {
            let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            bail!(
                "no host is armed: {} of {} cannot be:\n  {}",
                lines.len(),
                hosts.len(),
                lines.join("\n  ")
            );
        }
    };
    inventory.events.settle().await;
    context.print(&armed, || {
        let is = if dry_run { "would be" } else { "is" };
        let line = |ArmedHost { name, install }: &ArmedHost| {
            let until = moment(install.armed_until * 1000);
            format!("{name} {is} armed until {until}: its next boot {}\n", effect(name))
        };
        let lines: String = armed.iter().map(line).collect();
        match dry_run {
            true => lines + "dry run: nothing changed\n",
            false => lines + "Cancel with: rackstrap host install NAME... --cancel\n",
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Arms a host, or with a dry run says what that would do, and what it replaces.
async fn arm(
    context: &Context,
    inventory: &Inventory,
    request: InstallRequest<'_>,
    effect: &Effect,
) -> anyhow::Result<ExitCode> {
    let InstallRequest { host: name, task, dry_run, .. } = request;
    let now = jiff::Timestamp::now().as_second();
    let mut replaced = None;
    let note = |stored: Option<&Armed>| {
        replaced = effect::replaced(stored, task, now);
        Ok::<(), InstallError>(())
    };
    let armed = inventory.arm_install_if(request, note).await?;
    inventory.events.settle().await;
    context.print(&armed, || {
        let until = moment(armed.armed_until * 1000);
        let (is, replaces, end) = match dry_run {
            true => ("would be", "would replace", "dry run: nothing changed\n".to_owned()),
            false => {
                ("is", "replaces", format!("Cancel with: rackstrap host install {name} --cancel\n"))
            }
        };
        let before = replaced.map_or_else(String::new, |task| {
            format!("This {replaces} what {name} was armed for: {task}\n")
        });
        format!("{name} {is} armed until {until}: its next boot {effect}\n{before}{end}")
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn rename(context: &Context, rename: Rename) -> anyhow::Result<ExitCode> {
    let Rename { from, to, dry_run } = rename;
    if from == to {
        bail!("host {from} already has that name");
    }
    let summary = format!("rename host {from} to {to}");
    nouns::commit(context, &summary, dry_run, |site| {
        nouns::find::<Host>(site, &from)?;
        if site.hosts.contains_key(&to) {
            return Err(ChangeError::Exists { noun: Host::NOUN, name: to.clone() });
        }
        if let Some(host) = site.hosts.remove(&from) {
            site.hosts.insert(to.clone(), host);
        }
        Ok(())
    })
    .await
}
