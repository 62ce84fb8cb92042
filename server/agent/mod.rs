//! `rackstrap agent`: what this program does on a host that runs the live system. It carries out
//! what `deploy` decides, and says each step to the server.

mod client;
mod configure;
mod inspect;
mod mirror;
mod network;
mod stream;
mod system;
mod tools;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use tokio::time::{Instant, sleep};

use crate::deploy::disk::{self, Disk, DiskRefusal, Target};
use crate::deploy::mirror::{MirrorRefusal, RESERVED_BYTES};
use crate::deploy::network_format::UnknownNetwork;
use crate::deploy::partitions;
use crate::deploy::removable::NoLoader;
use crate::deploy::{Plan, StepReport};
use crate::lifecycle::event::DeployStep;
use client::{DeployClient, ReportReply};

/// How long to ask for the plan, and to say how it ended.
const PATIENCE: Duration = Duration::from_secs(600);
/// Pause between two requests that got no answer.
const PAUSE: Duration = Duration::from_secs(2);

/// `rackstrap agent`.
#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Write this host's disk image, as the server says
    Deploy,
    /// Show the disks of this host, and what the agent knows of them
    Disks,
}

/// Runs a command of the agent.
pub(crate) async fn run(command: AgentCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgentCommand::Deploy => deploy().await,
        AgentCommand::Disks => {
            for disk in inspect::disks()? {
                println!("{disk:#?}");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Why a deployment failed. Whatever it is, the disk does not boot after one: [`undo`] sees to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
    #[error(transparent)]
    Refused(#[from] DiskRefusal),
    #[error(transparent)]
    DeployClient(#[from] client::ClientError),
    #[error(transparent)]
    Stream(#[from] stream::StreamError),
    #[error(transparent)]
    Table(#[from] partitions::InvalidTable),
    #[error(transparent)]
    Mirror(#[from] MirrorRefusal),
    #[error(transparent)]
    Tool(#[from] tools::ToolError),
    #[error(transparent)]
    Network(#[from] UnknownNetwork),
    #[error(transparent)]
    Loader(#[from] NoLoader),
    #[error("{error}; the disk could not be emptied afterwards and may boot: {wiping}")]
    MayBoot { error: Box<DeployError>, wiping: Box<DeployError> },
    #[error("{what}: {error}")]
    Io { what: String, error: std::io::Error },
}

/// Gives an error of the system its subject.
pub(crate) trait About<T> {
    fn about(self, what: impl fmt::Display) -> Result<T, DeployError>;
}

impl<T, E: Into<std::io::Error>> About<T> for Result<T, E> {
    fn about(self, what: impl fmt::Display) -> Result<T, DeployError> {
        self.map_err(|error| DeployError::Io { what: what.to_string(), error: error.into() })
    }
}

async fn deploy() -> anyhow::Result<ExitCode> {
    let line = std::fs::read_to_string("/proc/cmdline")?;
    let client = DeployClient::of_command_line(&line)?;
    let outcome = carry_out(&client).await;
    let text = match &outcome {
        Ok(TaskResult::Installed(done)) => format!("installed: {done}"),
        Ok(TaskResult::Erased(disks)) => format!("erased: {}", disks.join("; ")),
        Err(error) => format!("failed: {error}"),
    };
    println!("rackstrap: {text}");
    let told = report(&client, &text).await;
    match (outcome, told) {
        (Ok(TaskResult::Erased(_)), true) => {
            // It would ask the network for something to boot, for ever.
            tools::power_off()?;
            Ok(ExitCode::SUCCESS)
        }
        (Ok(_), true) => {
            tools::reboot()?;
            Ok(ExitCode::SUCCESS)
        }
        (Ok(_), false) => {
            println!("rackstrap: the server did not take the report; power the host on again");
            Ok(ExitCode::FAILURE)
        }
        // It stays as it is, so that a person can look at it.
        (Err(_), _) => Ok(ExitCode::FAILURE),
    }
}

/// Says how it ended, until the server answers. Whether it took the report.
async fn report(client: &DeployClient, text: &str) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.report(text).await {
            Ok(ReportReply::Taken) => return true,
            Ok(ReportReply::Refused(why)) => {
                println!("rackstrap: the server refuses the report: {why}");
                return false;
            }
            Err(error) if Instant::now() > deadline => {
                println!("rackstrap: {error}");
                return false;
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// What was done.
struct Done {
    image: String,
    disk: String,
    bytes: u64,
    seconds: u64,
    warnings: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, disk, bytes, seconds, warnings } = self;
        let size = crate::model::size_text(*bytes);
        write!(f, "{image} on {disk}, {size} in {seconds} s")?;
        warnings.iter().try_for_each(|warning| write!(f, "; warning: {warning}"))
    }
}

/// How it ended.
enum TaskResult {
    Installed(Done),
    /// What was done to each disk.
    Erased(Vec<String>),
}

async fn carry_out(client: &DeployClient) -> Result<TaskResult, DeployError> {
    let began = Instant::now();
    let plan = plan(client).await?;
    let disks = in_thread("the disks", inspect::settled_disks).await?;
    if plan.task.empties() {
        return erase(client, &disks).await;
    }
    let target = disk::select(&plan.disk, &disks)?;
    let disk = &target.disk;
    target.disks().try_for_each(|disk| disk::check_data(disk, plan.task.erases()))?;
    let head = client.head(&plan.source).await?;
    let image = stream::Image::of(&plan.source, head)?;
    let reserved = if target.mirror.is_some() { RESERVED_BYTES } else { 0 };
    disk::check_size(disk, image.unpacked_bytes.map(|bytes| bytes.saturating_add(reserved)))?;
    disk::check_sectors(disk, image.beginning.sector_bytes)?;
    disk::check_boot_code(configure::is_bios(), image.beginning.has_boot_code)?;
    client.step(&at(&target, DeployStep::Select)).await;
    // From here on the disk changes, and only if the server agrees.
    if let ReportReply::Refused(why) = ask_to_begin(client).await? {
        return Err(client::ClientError::Refused(why).into());
    }
    let (image_name, disk) = (plan.image.clone(), target.to_string());
    match install(client, plan, image, &target).await {
        Ok(Written { bytes, warnings }) => {
            let seconds = began.elapsed().as_secs();
            Ok(TaskResult::Installed(Done { image: image_name, disk, bytes, seconds, warnings }))
        }
        Err(error) => Err(undo(target, error).await),
    }
}

fn at(target: &Target, step: DeployStep) -> StepReport {
    StepReport { disk: Some(target.to_string()), ..StepReport::of(step) }
}

/// What became of an image that is on the disk.
struct Written {
    bytes: u64,
    warnings: Vec<String>,
}

/// Writes the image and makes it this host's: all that changes the disk.
async fn install(
    client: &DeployClient,
    plan: Plan,
    image: stream::Image,
    target: &Target,
) -> Result<Written, DeployError> {
    let disk = &target.disk;
    client.step(&at(target, DeployStep::Partition)).await;
    let own = target.clone();
    in_thread("erasing old data", move || wipe(&own)).await?;
    let bytes = stream::write(client, &plan.source, image, disk, &tools::device(disk)).await?;
    client.step(&at(target, DeployStep::Configure)).await;
    let (host, policy) = (plan.host.clone(), plan.boot_order);
    let (own, url, mac) = (target.clone(), client.base().to_owned(), client.mac().to_owned());
    let configure = move || configure::configure(&own, &plan, &url, &mac);
    let mut warnings = in_thread("configuring", configure).await?;
    client.step(&at(target, DeployStep::BootEntry)).await;
    let own = target.clone();
    let add_boot = move || configure::add_boot(&own, &host, policy);
    let added = in_thread("the boot entry", add_boot).await?;
    warnings.extend(added.warnings);
    // The image's UUIDs are known once it is on the disk.
    let own: Vec<&str> = target.disks().map(|disk| disk.name.as_str()).collect();
    match in_thread("the disks", inspect::disks).await {
        Ok(disks) => {
            warnings.extend(disk::older_copies(&own, &disks).iter().map(ToString::to_string));
        }
        // The host is installed all the same.
        Err(error) => warnings.push(format!("other disks may have older copies: {error}")),
    }
    let restart = StepReport::of(DeployStep::Restart);
    client.step(&StepReport { boot_entry: Some(added.entry), ..restart }).await;
    Ok(Written { bytes, warnings })
}

/// Empties the disks of a deployment that failed after it had begun to change them: an image that
/// is not whole, or not this host's, must not boot.
async fn undo(target: Target, error: DeployError) -> DeployError {
    match in_thread("emptying the disk", move || wipe(&target)).await {
        Ok(()) => error,
        Err(wiping) => DeployError::MayBoot { error: Box::new(error), wiping: Box::new(wiping) },
    }
}

/// Runs what waits for disks and programs in a thread that may wait.
async fn in_thread<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).about(what)?
}

/// Takes the signatures off all disks of a target, whatever became of one of them.
fn wipe(target: &Target) -> Result<(), DeployError> {
    let wiped: Vec<_> = target.disks().map(tools::wipe).collect();
    wiped.into_iter().collect()
}

/// Erases every disk that an image could be written to.
async fn erase(client: &DeployClient, disks: &[Disk]) -> Result<TaskResult, DeployError> {
    let own = disk::all_to_erase(disks)?;
    if let ReportReply::Refused(why) = ask_to_begin(client).await? {
        return Err(client::ClientError::Refused(why).into());
    }
    let mut erased = Vec::new();
    for disk in own {
        let step = StepReport { disk: Some(disk.to_string()), ..StepReport::of(DeployStep::Erase) };
        client.step(&step).await;
        let (began, disk) = (Instant::now(), disk.clone());
        let name = disk.to_string();
        let done = in_thread("erasing", move || tools::erase(&disk)).await?;
        erased.push(format!("{name} {done} in {} s", began.elapsed().as_secs()));
    }
    Ok(TaskResult::Erased(erased))
}

/// Asks for the plan until it comes: the network may still be on its way up.
async fn plan(client: &DeployClient) -> Result<Plan, DeployError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.plan().await {
            Ok(plan) => return Ok(plan),
            Err(error @ client::ClientError::Refused(_)) => return Err(error.into()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Asks whether the disk may be changed, until there is an answer.
async fn ask_to_begin(client: &DeployClient) -> Result<ReportReply, DeployError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.report("installing").await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
