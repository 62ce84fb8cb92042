//! The virtual rack: its processes, and its boot from power-on to the result.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use tokio::process::Child;
use tokio::time::sleep;

use super::boot::WatchedBoot;
use super::fabric::Fabric;
use super::forward::Forward;
use super::guest::{self, Accelerator, Firmware, Paused};
use super::inside::Inside;
use super::monitor::BootMonitor;
use super::namespace::WorkDirectory;
use super::sample_site::{self, Delivery, Layout};
use super::scenario::{self, Mark, RootCopy, Scenario};
use super::server::{ADMIN_PORT, MACHINE_PORT, Server, tail};
use super::verdict::{HostReport, Proof, Shortfall};
use crate::inventory::{
    Change, Database, InstallError, InstallRequest, Inventory, Snapshot, now_ms,
};
use crate::lifecycle::install::InstallTask;
use crate::lifecycle::stall::BootContext;
use crate::lifecycle::{EventKind, HostState};
use crate::live::GuestImage;
use crate::live::disk_image::DiskImage;
use crate::live::display::Display;
use crate::model::NetworkFormat;
use crate::site_file;

/// How often to check that the guests run.
const GUEST_CHECK: Duration = Duration::from_millis(500);
/// Lines of the console to print if a host does not come up.
const CONSOLE_LINES: usize = 12;

/// What is installed on the hosts.
#[derive(Clone, Debug)]
pub(super) struct InstallFiles {
    /// The path of the agent's initrd below the files directory.
    pub agent: String,
    /// The disk image.
    pub disk: DiskImage,
    /// Whether it is the user's own, in place of the one that the lab makes.
    pub is_own: bool,
    /// What reads its network.
    pub format: NetworkFormat,
}

/// The configuration of the rack.
#[derive(Clone, Debug)]
pub(super) struct RackPlan {
    /// Firmware of the hosts.
    pub firmware: Firmware,
    /// Network of the hosts.
    pub layout: Layout,
    /// How the hosts get their network configuration.
    pub delivery: Delivery,
    /// Number of hosts.
    pub hosts: usize,
    /// Accelerator of QEMU.
    pub accelerator: Accelerator,
    /// Whether a disk image is installed, and which.
    pub install: Option<InstallFiles>,
    /// What is odd about it.
    pub scenario: Option<Scenario>,
}

/// How a host came up, or where it stopped and why.
pub(super) type BootResult = Result<Proof, NotUp>;

/// Why a host is not up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotUp {
    /// It was not up in time; where it is, and the likely cause.
    #[error("{0}")]
    Late(String),
    #[error("{state} without a readable report")]
    NoReport { state: HostState },
    #[error("it was installed, and loaded the installer again when it was powered on")]
    Netbooted,
    #[error("its report says: {0}")]
    Report(#[from] Shortfall),
}

/// The result of the boot.
pub(super) struct BootResults {
    /// Result per host, by name.
    pub verdicts: Vec<(String, BootResult)>,
    /// Report of the first host, and the times of each host.
    pub reports: Vec<String>,
}

impl BootResults {
    /// Whether every host is up.
    pub(super) fn is_good(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| verdict.is_ok())
    }
}

/// The running rack. Fields drop in order: guests first, cables last.
pub(super) struct VirtualRack {
    plan: RackPlan,
    guests: Vec<(String, Child)>,
    server: Server,
    /// Local port of the web UI.
    pub admin: Forward,
    /// Local port of the listener for hosts.
    pub machine: Forward,
    password: Option<String>,
    database: Database,
    cables: Inside,
    fabric: Fabric,
    directory: WorkDirectory,
    /// Whether each host has lost its first disk.
    without_first_disk: bool,
}

impl VirtualRack {
    /// Creates cables and inventory, starts the switch and the server.
    pub(super) async fn build(
        plan: RackPlan,
        image: &GuestImage,
        display: &Display,
    ) -> anyhow::Result<Self> {
        let directory = WorkDirectory::new().context("cannot create the lab's directory")?;
        let fabric = Fabric::new(plan.hosts)?;
        let switch = guest::start_switch(&fabric, image, &plan, directory.path())?;
        display.say(&format!("switch: powered on, {} ports", 2 * plan.hosts));
        let database_url = format!("sqlite:{}", directory.path().join("rackstrap.db").display());
        let database = Database::open(&database_url).await?;
        fill(&database, &plan).await?;
        let password = database.add_first_user().await?;
        let (inside, cables) = (Inside::new(&fabric.server)?, Inside::new(&fabric.cables)?);
        let server = Server::start(&fabric, &inside, &image.files, directory.path()).await?;
        let admin = Forward::start(inside.clone(), 8080, ADMIN_PORT).await?;
        let machine = Forward::start(inside, admin.address.port() + 1, MACHINE_PORT).await?;
        display.say(&format!("server: runs as process {}", server.process()));
        let guests = vec![("the switch".to_owned(), switch)];
        let rack = Self {
            plan,
            guests,
            server,
            admin,
            machine,
            password,
            database,
            cables,
            fabric,
            directory,
            without_first_disk: false,
        };
        display.print(&rack.welcome());
        Ok(rack)
    }

    /// URL and login of the web UI.
    pub(super) fn welcome(&self) -> String {
        let address = self.admin.address;
        let moved = if address.port() == 8080 { "" } else { " (port 8080 is in use)" };
        let login = self.password.as_ref();
        let login = login.map(|password| format!(", log in as admin with {password}"));
        format!("web UI: http://{address}/{moved}{}", login.unwrap_or_default())
    }

    /// Powers on the hosts and waits until each is up or has failed, `patience` at most.
    pub(super) async fn boot(
        &mut self,
        image: &GuestImage,
        display: &Display,
        patience: Duration,
    ) -> anyhow::Result<BootResults> {
        let start_ms = now_ms();
        for host in 1..=self.plan.hosts {
            let child = self.start_host(host)?;
            self.guests.push((sample_site::host_name(host), child));
        }
        display.say(&format!("{} host(s): powered on", self.plan.hosts));
        let marks = self.marks()?;
        let size = |path| std::fs::metadata(path).map_or(0, |file| file.len());
        let bytes = size(image.kernel()) + size(image.initrd());
        let (database, cables) = (self.database.clone(), self.cables.clone());
        let mut monitor = BootMonitor::new(database, cables, display, self.plan.hosts, bytes);
        if self.plan.install.is_some() {
            monitor.expect_disks();
        }
        tokio::select! {
            done = monitor.until_over(patience) => done?,
            broken = self.keep_up(display) => return Err(broken),
        }
        let again_ms = now_ms();
        let again = self.plan.install.is_some()
            && self.plan.scenario.is_none_or(Scenario::is_installed_as_usual)
            && monitor.boots().all(|(_, boot)| boot.is_over());
        if again {
            self.power_cycle(display).await?;
            monitor.restart();
            tokio::select! {
                done = monitor.until_over(patience) => done?,
                broken = self.keep_up(display) => return Err(broken),
            }
        }
        let mut results = BootResults { verdicts: Vec::new(), reports: Vec::new() };
        let task = self.plan.scenario.and_then(Scenario::task);
        if let Some(task) = task.filter(|_| monitor.boots().all(|(_, boot)| boot.is_over())) {
            results.reports = self.repeat(task, &mut monitor, display, patience).await?;
        }
        if self.plan.scenario.is_some_and(Scenario::is_refused) {
            results.reports = marks.iter().map(Mark::compare).collect::<anyhow::Result<_>>()?;
        }
        if again {
            let is_own = self.plan.install.as_ref().is_some_and(|files| files.is_own);
            let read = |disk: &RootCopy| Ok(format!("{}\n{}", disk.login()?, disk.network()?));
            results.reports.extend(match is_own {
                true => self
                    .installed_disks()?
                    .iter()
                    .map(|disk| scenario::root_size(disk))
                    .collect::<anyhow::Result<_>>()?,
                false => self.read_disks(read)?,
            });
            let others = marks.iter().filter(|mark| self.is_spare(mark.path()));
            results.reports.extend(others.map(Mark::compare).collect::<anyhow::Result<Vec<_>>>()?);
        }
        if again && self.plan.scenario == Some(Scenario::Raid1) {
            self.lose_first_disks(&mut monitor, display, patience).await?;
        }
        for (index, (name, boot)) in monitor.boots().enumerate() {
            let host = index + 1;
            let (verdict, report) = self.judge(host, name, boot, patience).await?;
            // The hosts are alike: print one report, and those of hosts that are not up.
            if let Some(report) = report.filter(|_| host == 1 || verdict.is_err()) {
                results.reports.push(format!("\n== {name} reported\n{}", report.render()));
            }
            results.reports.push(times(name, boot, start_ms));
            if again {
                results.reports.push(install_times(name, boot, start_ms, again_ms));
            }
            results.verdicts.push((name.to_owned(), verdict));
        }
        Ok(results)
    }

    /// The disks of all hosts.
    fn disks(&self) -> anyhow::Result<Vec<PathBuf>> {
        let of_host = |host| {
            let name = sample_site::host_name(host);
            scenario::disks(self.plan.scenario, self.directory.disks(), &name)
        };
        let all: Vec<Vec<PathBuf>> =
            (1..=self.plan.hosts).map(of_host).collect::<anyhow::Result<_>>()?;
        Ok(all.concat())
    }

    fn marks(&self) -> anyhow::Result<Vec<Mark>> {
        if self.plan.install.is_none() {
            return Ok(Vec::new());
        }
        self.disks()?.iter().map(|disk| Mark::of(disk)).collect()
    }

    /// Arms the hosts for a task, powers them on again and waits until it is done: what became of
    /// their disks.
    async fn repeat(
        &mut self,
        task: InstallTask,
        monitor: &mut BootMonitor,
        display: &Display,
        patience: Duration,
    ) -> anyhow::Result<Vec<String>> {
        let disks = self.disks()?;
        let before = self.read_disks(RootCopy::machine_id)?;
        let inventory = Inventory::open(self.database.clone()).await?;
        for host in 1..=self.plan.hosts {
            let host = sample_site::host_name(host);
            let author = "lab".into();
            let request = InstallRequest { host: &host, author, limits: &[], task, dry_run: false };
            inventory.arm_install_if(request, |_| Ok::<(), InstallError>(())).await?;
        }
        self.power_cycle(display).await?;
        monitor.restart();
        if task == InstallTask::Erase {
            monitor.until_done(task, patience).await?;
            let told = |disk: &PathBuf| {
                let blank = if scenario::is_blank(disk)? { "blank" } else { "not blank" };
                anyhow::Ok(format!("the disk {} is {blank}", disk.display()))
            };
            return disks.iter().map(told).collect();
        }
        tokio::select! {
            done = monitor.until_over(patience) => done?,
            broken = self.keep_up(display) => return Err(broken),
        }
        let after = self.read_disks(RootCopy::machine_id)?;
        let told = |(disk, changed): (&PathBuf, bool)| {
            let system = if changed { "another system" } else { "the same system" };
            format!("the disk {} has {system}", disk.display())
        };
        let changed = before.iter().zip(&after).map(|(before, after)| before != after);
        Ok(disks.iter().zip(changed).map(told).collect())
    }

    /// Reads the root file system of every disk. The guests stand still until all are read.
    fn read_disks<T>(
        &self,
        read: impl Fn(&RootCopy) -> anyhow::Result<T>,
    ) -> anyhow::Result<Vec<T>> {
        let _still = self.guests.iter().map(|(_, guest)| Paused::new(guest)).collect::<Vec<_>>();
        self.installed_disks()?.iter().map(|disk| read(&RootCopy::of(disk)?)).collect()
    }

    /// The disks that an image is written to.
    fn installed_disks(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut disks = self.disks()?;
        disks.retain(|disk| !self.is_spare(disk));
        Ok(disks)
    }

    /// Whether a disk is one that the host's rule leaves alone.
    fn is_spare(&self, disk: &Path) -> bool {
        let is_second = disk.extension().is_some_and(|name| name == "disk2");
        self.plan.scenario == Some(Scenario::ServerHardware) && is_second
    }

    /// Restarts the server when it exits. Returns when it keeps exiting, or when a guest exits.
    pub(super) async fn keep_up(&mut self, display: &Display) -> anyhow::Error {
        let Self { server, guests, .. } = self;
        tokio::select! {
            broken = server.keep_up(display) => broken,
            broken = first_end(guests) => broken,
        }
    }

    /// Waits until every second disk has a copy, takes the first one out of each host and powers it
    /// on again.
    async fn lose_first_disks(
        &mut self,
        monitor: &mut BootMonitor,
        display: &Display,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let (began, disks) = (tokio::time::Instant::now(), self.disks()?);
        for disk in &disks {
            while !scenario::is_synchronised(disk)? {
                ensure!(began.elapsed() < patience, "{} is not complete", disk.display());
                sleep(GUEST_CHECK).await;
            }
        }
        display.say("every mirror is complete: the first disks are taken out");
        self.without_first_disk = true;
        self.power_cycle(display).await?;
        monitor.restart();
        tokio::select! {
            done = monitor.until_over(patience) => Ok(done?),
            broken = self.keep_up(display) => Err(broken),
        }
    }

    /// Powers on a host with the disks that it has now.
    fn start_host(&self, host: usize) -> anyhow::Result<Child> {
        let mut disks = Vec::new();
        if self.plan.install.is_some() {
            let name = sample_site::host_name(host);
            disks = scenario::disks(self.plan.scenario, self.directory.disks(), &name)?;
            disks.drain(..usize::from(self.without_first_disk));
        }
        guest::start_host(&self.fabric, &self.plan, host, self.directory.path(), &disks)
    }

    /// Stops the server and removes everything.
    pub(super) async fn stop(self) {
        let Self { guests, server, fabric, directory, database, .. } = self;
        drop(guests);
        server.stop().await;
        database.close().await;
        drop(fabric);
        drop(directory);
    }

    /// Cuts the power of all hosts, and switches it on again.
    async fn power_cycle(&mut self, display: &Display) -> anyhow::Result<()> {
        for host in 1..=self.plan.hosts {
            let name = sample_site::host_name(host);
            let guest = self.guests.iter_mut().find(|(own, _)| *own == name);
            let (_, child) = guest.context("the host's QEMU is not known")?;
            child.kill().await?;
            let started = self.start_host(host)?;
            let guest = self.guests.iter_mut().find(|(own, _)| *own == name);
            let (_, child) = guest.context("the host's QEMU is not known")?;
            *child = started;
        }
        display.say(&format!("{} host(s): powered off and on again", self.plan.hosts));
        Ok(())
    }

    /// Whether a host has the network of its layout, and its report.
    async fn judge(
        &self,
        host: usize,
        name: &str,
        boot: &WatchedBoot,
        patience: Duration,
    ) -> anyhow::Result<(BootResult, Option<HostReport>)> {
        if !boot.is_over() {
            return Ok((Err(NotUp::Late(self.late(host, name, boot, patience).await?)), None));
        }
        let report = self.database.find_report(name).await?;
        let report = report.map(|report| serde_json::from_str::<HostReport>(&report.body));
        let Some(Ok(report)) = report else {
            return Ok((Err(NotUp::NoReport { state: boot.state }), None));
        };
        let verdict = report.check(self.plan.layout, &sample_site::host_address(host));
        let verdict =
            verdict.map_err(NotUp::from).and_then(|proof| match self.plan.install.is_some() {
                true if !boot.came_from_disk() => Err(NotUp::Netbooted),
                true => Ok(report.check_installed(name).map(|()| proof)?),
                false => Ok(proof),
            });
        Ok((verdict, Some(report)))
    }

    /// Where a host is that is not up in time, and the likely cause.
    async fn late(
        &self,
        host: usize,
        name: &str,
        boot: &WatchedBoot,
        patience: Duration,
    ) -> anyhow::Result<String> {
        let site = Snapshot::load(&self.database).await?.site;
        let cause = boot.likely_cause(&BootContext::of(&site, name));
        let console = tail(&guest::console(self.directory.path(), host), CONSOLE_LINES);
        let stage = boot.stage().map_or("power-on", EventKind::label);
        let seconds = patience.as_secs();
        Ok(format!(
            "after {seconds} s it {} (stage {stage}): {cause}; end of its console:\n{console}",
            boot.doing()
        ))
    }
}

/// Applies the sample site.
async fn fill(database: &Database, plan: &RackPlan) -> anyhow::Result<()> {
    let text = sample_site::site(plan);
    let site = site_file::parse(&text, "site.yaml").map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("invalid sample site: {}", lines.join("; "))
    })?;
    let inventory = Inventory::open(database.clone()).await?;
    let change = Change { who: "lab", summary: "sample site", ..Change::default() };
    inventory.replace_site(change, site).await?;
    if plan.install.is_some() {
        for host in 1..=plan.hosts {
            inventory.arm_install(&sample_site::host_name(host), "lab").await?;
        }
    }
    Ok(())
}

/// Waits until a guest exits, which none should do.
async fn first_end(guests: &mut [(String, Child)]) -> anyhow::Error {
    loop {
        for (name, child) in guests.iter_mut() {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return anyhow!("QEMU of {name} exited ({status})"),
                Err(error) => return error.into(),
            }
        }
        sleep(GUEST_CHECK).await;
    }
}

/// The seconds of an installation, and of the power-on that follows it.
fn install_times(name: &str, boot: &WatchedBoot, start_ms: i64, again_ms: i64) -> String {
    let seconds = |at_ms: i64, from_ms: i64| (at_ms - from_ms) as f64 / 1000.0;
    let steps = boot.install_times();
    let steps: Vec<String> = steps
        .iter()
        .map(|(what, at_ms)| format!("{what} {:.1}", seconds(*at_ms, start_ms)))
        .collect();
    let again = boot.last_report_ms().map(|at_ms| seconds(at_ms, again_ms));
    let again = again.map_or_else(|| "not".into(), |seconds| format!("{seconds:.1} s after that"));
    format!("{name}: seconds from power-on: {}; powered on again: up {again}", steps.join(", "))
}

/// The seconds from power-on to each stage.
fn times(name: &str, boot: &WatchedBoot, start_ms: i64) -> String {
    let stages = boot.times(start_ms);
    let stages: Vec<String> =
        stages.iter().map(|(kind, seconds)| format!("{kind} {seconds:.1}")).collect();
    let mark = if boot.state == HostState::Up { "up" } else { "not up" };
    format!("{name}: seconds from power-on: {} ({mark})", stages.join(", "))
}
