//! `rackstrap lab`: a virtual rack on this machine, netbooted by the real server.
//!
//! Two network namespaces, the server in one, cables and QEMU guests in the
//! other; a guest is the switch that the hosts' bonds need as a partner. All of
//! it ends with this process, and what a killed one leaves the next one clears.

mod boot;
mod display;
mod fabric;
mod forward;
mod guest;
mod image;
mod inside;
mod namespace;
mod rack;
mod requirements;
mod server;
mod site;
mod switch;
mod traffic;
mod verdict;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};

use display::Display;
use guest::{Accelerator, Firmware};
use rack::{Outcome, Plan, Rack};
use site::{Delivery, Layout};

/// How many hosts fit on a desk's machine, and into the addresses of the sample site.
const MOST_HOSTS: u8 = 16;

/// What the virtual rack is to be.
#[derive(Clone, Debug, Args)]
pub struct LabArguments {
    /// What the hosts' mainboards run: bios, uefi or uefi-http
    #[arg(long, env, default_value = "bios", value_parser = choice::<Firmware>)]
    firmware: Firmware,
    /// What the hosts' network looks like: bond, bond-vlan or bond-vlan-bridge
    #[arg(long, env, default_value = "bond-vlan-bridge", value_parser = choice::<Layout>)]
    layout: Layout,
    /// How the hosts get their network configuration: initrd or fetch
    #[arg(long, default_value = "initrd", value_parser = choice::<Delivery>)]
    delivery: Delivery,
    /// How many hosts, 1 to 16
    #[arg(long, env, default_value = "1", value_parser = host_count)]
    hosts: u8,
    /// End as soon as the hosts are up or have failed, as without a terminal
    #[arg(long, env, value_parser = FalseyValueParser::new())]
    once: bool,
    /// How long the hosts may take to come up, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// Build the guests' image if it is not there, print where it is, and end
    #[arg(long)]
    build_image: bool,
    /// Where the guests' image is kept [default: rackstrap-lab in the user's cache directory]
    #[arg(long, value_name = "DIR", env = "LAB_CACHE")]
    cache: Option<PathBuf>,
}

/// Builds the rack, watches it boot and says how it went.
pub async fn run(arguments: LabArguments) -> anyhow::Result<ExitCode> {
    requirements::check()?;
    let display = Display::new();
    if arguments.build_image {
        let image = guest_image(&arguments, &display).await?;
        display.print(&image.files.display().to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let stay = display.is_terminal() && !arguments.once;
    let mut stop = Stop::new()?;
    let (rack, outcome) = tokio::select! {
        booted = boot(&arguments, &display) => booted?,
        () = stop.asked() => {
            display.say("asked to stop: everything is removed");
            return Ok(ExitCode::from(INTERRUPTED));
        }
    };
    report(&rack, &outcome, &display, stay).await;
    let mut rack = rack;
    if stay {
        display.say("the rack stays up until Ctrl-C");
        tokio::select! {
            () = stop.asked() => {}
            broken = rack.keep_up(&display) => display.say(&format!("{broken:#}")),
        }
    }
    rack.stop().await;
    display.say("everything is removed");
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The status of a program that a signal ended, as shells know it for Ctrl-C.
const INTERRUPTED: u8 = 130;

/// From nothing to hosts that are up, or have failed, or are late.
async fn boot(arguments: &LabArguments, display: &Display) -> anyhow::Result<(Rack, Outcome)> {
    let hosts = usize::from(arguments.hosts);
    let leftovers = namespace::remove_leftovers();
    if leftovers > 0 {
        display.say(&format!("removed what {leftovers} killed lab(s) left behind"));
    }
    let image = guest_image(arguments, display).await?;
    let accelerator = Accelerator::probe(&image).await;
    display.say(&format!("guests run on {accelerator}"));
    let LabArguments { firmware, layout, delivery, .. } = *arguments;
    let plan = Plan { firmware, layout, delivery, hosts, accelerator };
    let mut rack = Rack::build(plan, &image, display).await?;
    let patience = Duration::from_secs(arguments.patience);
    let outcome = rack.boot(&image, display, patience).await?;
    Ok((rack, outcome))
}

async fn guest_image(
    arguments: &LabArguments,
    display: &Display,
) -> anyhow::Result<image::GuestImage> {
    let cache = arguments.cache.clone().unwrap_or_else(requirements::default_cache);
    let display = display.clone();
    tokio::task::spawn_blocking(move || image::ensure(&cache, &display)).await?
}

/// Prints what the hosts said, and the one line that fetches a host's configuration.
async fn report(rack: &Rack, outcome: &Outcome, display: &Display, stay: bool) {
    for line in &outcome.reports {
        display.print(line);
    }
    let mac = site::host_mac(1, 0);
    let url = format!("http://{}/config/{mac}", rack.machine.address);
    display.print(&format!("\n$ curl {url}"));
    display.print(&fetch(&url).await);
    for (host, verdict) in &outcome.verdicts {
        match verdict {
            Ok(what) => display.print(&format!("{host} is up: {what}")),
            Err(why) => display.print(&format!("{host} is not up: {why}")),
        }
    }
    if stay {
        display.print(&rack.welcome());
    }
}

/// What curl gets.
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

/// The signals that ask to end.
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

    /// Waits for one of them.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Reads one of the words of `T`; nothing at all, which is how make hands on a variable
/// that nobody set, is the first of them.
fn choice<T: ValueEnum>(word: &str) -> Result<T, String> {
    if word.is_empty() {
        return T::value_variants().first().cloned().ok_or_else(|| "nothing to choose".to_owned());
    }
    let names = || T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    T::from_str(word, true).map_err(|_| {
        let names: Vec<String> = names().map(|value| value.get_name().to_owned()).collect();
        format!("it is one of {}", names.join(", "))
    })
}

/// Reads the number of hosts; nothing at all is 1.
fn host_count(word: &str) -> Result<u8, String> {
    let count = if word.is_empty() { Ok(1) } else { word.parse() };
    match count {
        Ok(count) if (1..=MOST_HOSTS).contains(&count) => Ok(count),
        _ => Err(format!("it is a number from 1 to {MOST_HOSTS}")),
    }
}
