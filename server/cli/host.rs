//! `rackstrap host ...`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::context::{Context, author, moment, operator, table};
use crate::cli::nouns::{self, Listed, Name, Remove, Set, or_dash};
use crate::inventory::{
    ChangeError, EventFilter, EventsOf, InstallError, InstallRequest, Inventory, Snapshot,
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
    /// Arm a host: its next boot installs its image. An installer of your own (boot: once) erases
    /// the disk; a disk image is not written to a disk that has data
    Install(Install),
    /// Arm a host: its next boot erases the data on the disk of its disk image, and installs it
    Reinstall(Erase),
    /// Arm a host: its next boot erases all of its disks and switches it off
    Erase(Erase),
    /// Remove hosts
    Remove(Remove),
}

/// `rackstrap host reinstall` and `rackstrap host erase`.
#[derive(Debug, Args)]
pub(super) struct Erase {
    /// Name or MAC address
    name: String,
    /// The host's name once more, because its data are lost
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
    /// Name or MAC address
    name: String,
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
    let Install { name, cancel, dry_run } = install;
    let inventory = context.inventory_for(dry_run).await?;
    let snapshot = inventory.snapshot();
    let name = name_of(&snapshot, &name);
    let (_, host) = nouns::find::<Host>(&snapshot.site, name)?;
    let task = InstallTask::Install;
    let image = host.image.as_ref().and_then(|image| snapshot.site.images.get(image));
    let effect = Effect::of(task, host, image);
    let operator = operator();
    let request = InstallRequest { host: name, author: author(&operator), task, dry_run };
    let any = |_: Option<&Armed>| Ok::<(), InstallError>(());
    if !cancel {
        return arm(context, &inventory, request, &effect).await;
    }
    let done = inventory.cancel_install_if(request, any).await?;
    inventory.events.settle().await;
    context.print(&done, || match dry_run {
        true => format!("{name}: the install would be cancelled; dry run: nothing changed\n"),
        false => format!("{name}: install cancelled\n"),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn erase(context: &Context, task: InstallTask, erase: Erase) -> anyhow::Result<ExitCode> {
    let Erase { name, confirm, dry_run } = erase;
    let inventory = context.inventory_for(dry_run).await?;
    let snapshot = inventory.snapshot();
    let name = name_of(&snapshot, &name);
    let (_, host) = nouns::find::<Host>(&snapshot.site, name)?;
    gate::check_task(&snapshot.site, name, task)?;
    let effect = Effect::of(task, host, None);
    if !dry_run && gate::check_confirmed(task, name, confirm.as_deref()).is_err() {
        bail!(
            "{task} destroys the data of host {name}: its next boot {effect}; confirm it with \
             --confirm {name}"
        );
    }
    let operator = operator();
    let request = InstallRequest { host: name, author: author(&operator), task, dry_run };
    arm(context, &inventory, request, &effect).await
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
