//! `rackstrap lab`: a virtual rack that boots from a real server.
//!
//! Two network namespaces: one with the server, one with cables and QEMU guests. One guest is
//! the switch, the LACP partner of the hosts' bonds. Everything ends with this process; the next
//! lab cleans up after one that was killed.

mod boot;
mod fabric;
mod forward;
mod guest;
mod inside;
mod monitor;
mod namespace;
mod rack;
mod requirements;
mod sample_site;
mod scenario;
mod server;
mod switch;
mod traffic;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::live::disk_image::{self, Flavour};
use crate::live::{Architecture, Display, GuestImage};
use crate::model::NetworkFormat;
use guest::{Accelerator, Firmware};
use rack::{BootResults, InstallFiles, RackPlan, VirtualRack};
use sample_site::{Delivery, Layout};
use scenario::Scenario;

/// The most hosts: what a workstation can run, and what the sample site has addresses for.
const MOST_HOSTS: u8 = 16;

/// `rackstrap lab`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LabArguments {
    /// Firmware of the hosts: bios, uefi or uefi-http [default: bios; uefi with --install]
    #[arg(long, env, value_parser = firmware)]
    firmware: Option<Chosen>,
    /// Network of the hosts: bond, bond-vlan or bond-vlan-bridge
    #[arg(long, env, default_value = "bond-vlan-bridge", value_parser = choice::<Layout>)]
    layout: Layout,
    /// How the hosts get their network configuration: initrd or fetch
    #[arg(long, default_value = "initrd", value_parser = choice::<Delivery>)]
    delivery: Delivery,
    /// Number of hosts, 1 to 16
    #[arg(long, env, default_value = "1", value_parser = host_count)]
    hosts: u8,
    /// Install a disk image on each host, and power it on once more from its disk
    #[arg(long, env, value_parser = FalseyValueParser::new())]
    install: bool,
    /// What reads the network of the disk image: networkd, netplan, networkmanager, ifupdown2 or
    /// cloud-init [default: networkd]
    #[arg(long, requires = "install", value_name = "FORMAT")]
    network_format: Option<NetworkFormat>,
    /// Install this disk image (its own network in networkd's format) in place of the one that the
    /// lab makes
    #[arg(long, requires = "install", conflicts_with = "network_format", value_name = "FILE")]
    disk_image: Option<PathBuf>,
    /// What is odd about the hosts' disks, or what is done to hosts that are installed
    #[arg(long, requires = "install", value_enum)]
    scenario: Option<Scenario>,
    /// Exit as soon as all hosts are up or have failed [default without a terminal]
    #[arg(long, env, value_parser = FalseyValueParser::new())]
    once: bool,
    /// How long to wait for the hosts to come up
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// Build the guest image, and with --install the disk image, if they are missing, print their
    /// paths, and exit
    #[arg(long)]
    build_image: bool,
    /// Directory of the guest image [default: rackstrap-lab in the user's cache directory]
    #[arg(long, value_name = "DIR", env = "LAB_CACHE")]
    cache: Option<PathBuf>,
}

/// Builds the rack, boots it and prints the result.
pub(crate) async fn run(arguments: LabArguments) -> anyhow::Result<ExitCode> {
    requirements::check()?;
    let display = Display::new();
    if arguments.build_image {
        let image = guest_image(&arguments, &display).await?;
        display.print(&image.files.display().to_string());
        if arguments.install {
            let disk = install_files(&image, &arguments, &display).await?.disk;
            display.print(&image.files.join(disk.path).display().to_string());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let stay = display.is_terminal() && !arguments.once;
    let mut stop = Stop::new()?;
    let (rack, results) = tokio::select! {
        booted = boot(&arguments, &display) => booted?,
        () = stop.requested() => {
            display.say("interrupted: everything is removed");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    report(&rack, &results, &display, stay).await;
    let mut rack = rack;
    if stay {
        display.say("the rack runs until Ctrl-C");
        tokio::select! {
            () = stop.requested() => {}
            broken = rack.keep_up(&display) => display.say(&format!("{broken:#}")),
        }
    }
    rack.stop().await;
    display.say("everything is removed");
    Ok(if results.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The exit code that shells use for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Builds the rack and boots the hosts until each is up, has failed, or the time is over.
async fn boot(
    arguments: &LabArguments,
    display: &Display,
) -> anyhow::Result<(VirtualRack, BootResults)> {
    let hosts = usize::from(arguments.hosts);
    let leftovers = namespace::remove_leftovers();
    if leftovers > 0 {
        display.say(&format!("cleaned up after {leftovers} killed lab(s)"));
    }
    let image = guest_image(arguments, display).await?;
    let accelerator = Accelerator::probe(&image).await;
    display.say(&format!("guests run on {accelerator}"));
    let LabArguments { layout, delivery, scenario, .. } = *arguments;
    let unnamed = if arguments.install { Firmware::Uefi } else { Firmware::Bios };
    let firmware = arguments.firmware.and_then(|Chosen(firmware)| firmware).unwrap_or(unnamed);
    let mut install = match arguments.install {
        true => Some(install_files(&image, arguments, display).await?),
        false => None,
    };
    if let Some(files) = install.as_mut().filter(|_| scenario == Some(Scenario::TruncatedImage)) {
        files.disk.path = scenario::truncate(&image.files, &files.disk.path)?;
    }
    let plan = RackPlan { firmware, layout, delivery, hosts, accelerator, install, scenario };
    let mut rack = VirtualRack::build(plan, &image, display).await?;
    let patience = Duration::from_secs(arguments.patience);
    let results = rack.boot(&image, display, patience).await?;
    Ok((rack, results))
}

/// The agent and the disk image, built first if they are missing.
async fn install_files(
    image: &GuestImage,
    arguments: &LabArguments,
    display: &Display,
) -> anyhow::Result<InstallFiles> {
    let (image, display) = (image.clone(), display.clone());
    let format = arguments.network_format.unwrap_or(NetworkFormat::Networkd);
    let own = arguments.disk_image.clone();
    let build = move || {
        let disk = match &own {
            Some(file) => disk_image::copy(&image.files, file)?,
            None => disk_image::ensure(&image.files, Flavour::own(format), &display)?,
        };
        anyhow::Ok(InstallFiles { agent: image.agent()?, disk, is_own: own.is_some(), format })
    };
    tokio::task::spawn_blocking(build).await?
}

async fn guest_image(arguments: &LabArguments, display: &Display) -> anyhow::Result<GuestImage> {
    let cache = arguments.cache.clone().unwrap_or_else(requirements::default_cache);
    let display = display.clone();
    tokio::task::spawn_blocking(move || crate::live::ensure(&cache, Architecture::own(), &display))
        .await?
}

/// Prints the hosts' reports, a host's configuration and how to fetch it.
async fn report(rack: &VirtualRack, results: &BootResults, display: &Display, stay: bool) {
    for line in &results.reports {
        display.print(line);
    }
    let mac = sample_site::host_mac(1, 0);
    let url = format!("http://{}/config/{mac}", rack.machine.address);
    display.print(&format!("\n$ curl {url}"));
    display.print(&fetch(&url).await);
    for (host, verdict) in &results.verdicts {
        match verdict {
            Ok(what) => display.print(&format!("{host} is up: {what}")),
            Err(why) => display.print(&format!("{host} is not up: {why}")),
        }
    }
    if stay {
        display.print(&rack.welcome());
    }
}

/// The output of curl.
async fn fetch(url: &str) -> String {
    let curl = tokio::process::Command::new("curl")
        .args(["-sS", "--max-time", "10", url])
        .kill_on_drop(true)
        .output()
        .await;
    match curl {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("curl: {error}"),
    }
}

/// The signals that end the lab.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one of the signals.
    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// An invalid value of a flag.
#[derive(Debug, thiserror::Error)]
enum InvalidFlag {
    #[error("expected one of {0}")]
    Choice(String),
    #[error("expected a number from 1 to {MOST_HOSTS}")]
    HostCount,
}

/// A value of `T` by its name. An empty text, which make passes for an unset variable, is the
/// first value.
fn choice<T: ValueEnum>(word: &str) -> Result<T, InvalidFlag> {
    let values = T::value_variants();
    if let (true, Some(first)) = (word.is_empty(), values.first()) {
        return Ok(first.clone());
    }
    T::from_str(word, true).map_err(|_| {
        let names = values.iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|value| value.get_name().to_owned()).collect();
        InvalidFlag::Choice(names.join(", "))
    })
}

/// A firmware that was named, or an empty text.
#[derive(Clone, Copy, Debug)]
struct Chosen(Option<Firmware>);

fn firmware(word: &str) -> Result<Chosen, InvalidFlag> {
    if word.is_empty() { Ok(Chosen(None)) } else { choice(word).map(|it| Chosen(Some(it))) }
}

/// The number of hosts. An empty text is 1.
fn host_count(word: &str) -> Result<u8, InvalidFlag> {
    let count = if word.is_empty() { Ok(1) } else { word.parse() };
    match count {
        Ok(count) if (1..=MOST_HOSTS).contains(&count) => Ok(count),
        _ => Err(InvalidFlag::HostCount),
    }
}
