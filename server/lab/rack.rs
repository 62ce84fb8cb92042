//! The virtual rack: everything of it that runs, and its boot from power-on to the verdict.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::process::Child;
use tokio::time::sleep;

use super::boot::Boot;
use super::display::Display;
use super::fabric::Fabric;
use super::forward::Forward;
use super::guest::{self, Accelerator, Firmware};
use super::image::GuestImage;
use super::inside::Inside;
use super::namespace::WorkDirectory;
use super::server::{ADMIN_PORT, MACHINE_PORT, Server, tail};
use super::site::{self, Delivery, Layout};
use super::verdict::HostReport;
use super::watch::Watch;
use crate::inventory::{Change, Database, Inventory, Snapshot, now_ms};
use crate::lifecycle::stall::Facts;
use crate::lifecycle::{EventKind, HostState};
use crate::site_file;

/// How often is looked whether the guests still run.
const GUEST_CHECK: Duration = Duration::from_millis(500);
/// How much of a console is shown when its host did not come up.
const CONSOLE_LINES: usize = 12;

/// What the rack is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the hosts' mainboards run.
    pub firmware: Firmware,
    /// What the hosts' network looks like.
    pub layout: Layout,
    /// How they get its configuration.
    pub delivery: Delivery,
    /// How many there are.
    pub hosts: usize,
    /// What runs their instructions.
    pub accelerator: Accelerator,
}

/// What makes a host up, or the stage it stopped at and why.
pub type Verdict = Result<String, String>;

/// How the boot went.
pub struct Outcome {
    /// The verdict on every host, by its name.
    pub verdicts: Vec<(String, Verdict)>,
    /// What the first host reported, and how long each host took.
    pub reports: Vec<String>,
}

impl Outcome {
    /// Whether every host is up.
    pub fn is_good(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| verdict.is_ok())
    }
}

/// Everything that runs. Dropped in this order: the guests first, their cables last.
pub struct Rack {
    plan: Plan,
    guests: Vec<(String, Child)>,
    server: Server,
    /// Where the operator's own machine reaches the UI.
    pub admin: Forward,
    /// Where it reaches what machines fetch.
    pub machine: Forward,
    password: Option<String>,
    database: Database,
    cables: Inside,
    fabric: Fabric,
    directory: WorkDirectory,
}

impl Rack {
    /// Lays the cables, fills the inventory, starts the server and the switch.
    pub async fn build(plan: Plan, image: &GuestImage, display: &Display) -> anyhow::Result<Self> {
        let directory = WorkDirectory::new().context("no directory for the lab's files")?;
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
        };
        display.print(&rack.welcome());
        Ok(rack)
    }

    /// Where the UI is and how to log in.
    pub fn welcome(&self) -> String {
        let address = self.admin.address;
        let moved = if address.port() == 8080 { "" } else { " (port 8080 is taken)" };
        let login = self.password.as_ref();
        let login = login.map(|password| format!(", log in as admin with {password}"));
        format!("web UI: http://{address}/{moved}{}", login.unwrap_or_default())
    }

    /// Powers the hosts on and waits until each is up, has failed, or is late.
    pub async fn boot(
        &mut self,
        image: &GuestImage,
        display: &Display,
        patience: Duration,
    ) -> anyhow::Result<Outcome> {
        let start_ms = now_ms();
        for host in 1..=self.plan.hosts {
            let child = guest::start_host(&self.fabric, &self.plan, host, self.directory.path())?;
            self.guests.push((site::host_name(host), child));
        }
        display.say(&format!("{} host(s): powered on", self.plan.hosts));
        let size = |path| std::fs::metadata(path).map_or(0, |file| file.len());
        let bytes = size(image.kernel()) + size(image.initrd());
        let (database, cables) = (self.database.clone(), self.cables.clone());
        let mut watch = Watch::new(database, cables, display, self.plan.hosts, bytes);
        tokio::select! {
            done = watch.until_over(patience) => done?,
            broken = self.keep_up(display) => return Err(broken),
        }
        let mut outcome = Outcome { verdicts: Vec::new(), reports: Vec::new() };
        for (index, (name, boot)) in watch.boots().enumerate() {
            let host = index + 1;
            let (verdict, report) = self.judge(host, name, boot, patience).await?;
            // One host's report says how all of them look; of the others only a bad one matters.
            if let Some(report) = report.filter(|_| host == 1 || verdict.is_err()) {
                outcome.reports.push(format!("\n== {name} reported\n{}", report.render()));
            }
            outcome.reports.push(times(name, boot, start_ms));
            outcome.verdicts.push((name.to_owned(), verdict));
        }
        Ok(outcome)
    }

    /// Keeps the server up; ends with the reason when it or a guest does not stay.
    pub async fn keep_up(&mut self, display: &Display) -> anyhow::Error {
        let Self { server, guests, .. } = self;
        tokio::select! {
            broken = server.keep_up(display) => broken,
            broken = first_end(guests) => broken,
        }
    }

    /// Asks the server to stop, and removes everything.
    pub async fn stop(self) {
        let Self { guests, server, fabric, directory, database, .. } = self;
        drop(guests);
        server.stop().await;
        database.close().await;
        drop(fabric);
        drop(directory);
    }

    /// Whether a host is up as its layout promises, and what it reported.
    async fn judge(
        &self,
        host: usize,
        name: &str,
        boot: &Boot,
        patience: Duration,
    ) -> anyhow::Result<(Verdict, Option<HostReport>)> {
        if !boot.is_over() {
            return Ok((Err(self.late(host, name, boot, patience).await?), None));
        }
        let report = self.database.find_report(name).await?;
        let report = report.map(|report| serde_json::from_str::<HostReport>(&report.body));
        let Some(Ok(report)) = report else {
            return Ok((Err(format!("{} without a report that can be read", boot.state)), None));
        };
        let verdict = report.check(self.plan.layout, &site::host_address(host));
        let verdict = verdict.map_err(|why| format!("at the stage of its report: {why}"));
        Ok((verdict, Some(report)))
    }

    /// Says where a host is that did not come up in time, and why it probably is there.
    async fn late(
        &self,
        host: usize,
        name: &str,
        boot: &Boot,
        patience: Duration,
    ) -> anyhow::Result<String> {
        let site = Snapshot::load(&self.database).await?.site;
        let cause = boot.likely_cause(&Facts::of(&site, name));
        let console = tail(&guest::console(self.directory.path(), host), CONSOLE_LINES);
        let stage = boot.stage().map_or("power-on", EventKind::label);
        let seconds = patience.as_secs();
        Ok(format!(
            "after {seconds} s it {} (stage {stage}): {cause}; its console ends:\n{console}",
            boot.doing()
        ))
    }
}

/// Makes the sample site the inventory's.
async fn fill(database: &Database, plan: &Plan) -> anyhow::Result<()> {
    let text = site::site(plan.layout, plan.delivery, plan.hosts);
    let site = site_file::parse(&text, "site.yaml").map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow!("the sample site is not one: {}", lines.join("; "))
    })?;
    let inventory = Inventory::open(database.clone()).await?;
    let change = Change { who: "lab", summary: "sample site", ..Change::default() };
    inventory.replace_site(change, site).await?;
    Ok(())
}

/// Waits until the first guest ends, which none is to do.
async fn first_end(guests: &mut [(String, Child)]) -> anyhow::Error {
    loop {
        for (name, child) in guests.iter_mut() {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return anyhow!("QEMU of {name} ended ({status})"),
                Err(error) => return error.into(),
            }
        }
        sleep(GUEST_CHECK).await;
    }
}

/// The seconds from power-on to each stage, in one line.
fn times(name: &str, boot: &Boot, start_ms: i64) -> String {
    let stages = boot.times(start_ms);
    let stages: Vec<String> =
        stages.iter().map(|(kind, seconds)| format!("{kind} {seconds:.1}")).collect();
    let mark = if boot.state == HostState::Up { "up" } else { "not up" };
    format!("{name}: seconds from power-on: {} ({mark})", stages.join(", "))
}
