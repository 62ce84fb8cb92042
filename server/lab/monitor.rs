//! Shows the boots: polls the events and states in the server's database.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::boot::WatchedBoot;
use super::inside::Inside;
use super::sample_site::host_name;
use super::traffic;
use crate::inventory::{Database, Error, EventFilter};
use crate::lifecycle::install::InstallTask;
use crate::lifecycle::state::Life;
use crate::lifecycle::{Event, EventKind, HostState};
use crate::live::display::{Display, Task};

/// How often to poll the database.
const TICK: Duration = Duration::from_millis(250);
/// How many more polls for the events of hosts that are up.
const LAST_POLLS: usize = 20;
/// Events are stored in batches, so an earlier one can appear after a later one. Each poll reads
/// this far back again, in milliseconds.
const OVERLAP_MS: i64 = 5_000;
/// More events than all hosts together can cause in that time.
const NEWEST: u32 = 10_000;

/// A host on the screen.
struct Row {
    name: String,
    boot: WatchedBoot,
    step: Option<Task>,
    /// Bytes it had received when its kernel began to come.
    base: Option<u64>,
}

/// All hosts on the screen.
pub(crate) struct BootMonitor {
    database: Database,
    cables: Inside,
    display: Display,
    rows: Vec<Row>,
    /// Bytes of kernel and initrd that each host loads.
    image_bytes: u64,
    last_ms: i64,
    seen: HashSet<String>,
}

impl BootMonitor {
    /// Follows the first `hosts` hosts.
    pub(crate) fn new(
        database: Database,
        cables: Inside,
        display: &Display,
        hosts: usize,
        image_bytes: u64,
    ) -> Self {
        let row = |host| {
            let name = host_name(host);
            let step = Some(display.step(&name));
            Row { name, boot: WatchedBoot::default(), step, base: None }
        };
        let rows = (1..=hosts).map(row).collect();
        let (display, seen) = (display.clone(), HashSet::new());
        Self { database, cables, display, rows, image_bytes, last_ms: 0, seen }
    }

    /// Counts a host as up when it has come up from its disk.
    pub(crate) fn expect_disks(&mut self) {
        self.rows.iter_mut().for_each(|row| row.boot.expects_disk = true);
    }

    /// Follows hosts that are powered on again.
    pub(crate) fn restart(&mut self) {
        for row in &mut self.rows {
            row.boot.restart();
            row.step = Some(self.display.step(&row.name));
        }
    }

    /// Waits until every host is up or has failed, `patience` at most.
    pub(crate) async fn until_over(&mut self, patience: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            self.poll().await?;
            if self.rows.iter().all(|row| row.boot.is_over()) {
                return self.catch_up().await;
            }
            sleep(TICK).await;
        }
        Ok(())
    }

    /// Waits until the last host has reported that it is done with a task, `patience` at most: one
    /// that was erased switches itself off.
    pub(crate) async fn until_done(
        &mut self,
        task: InstallTask,
        patience: Duration,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && !self.rows.iter().all(|row| row.boot.has_done(task)) {
            self.poll().await?;
            sleep(TICK).await;
        }
        Ok(())
    }

    /// Reads the last events: a host's state is stored at once, the event of its report with the
    /// next batch.
    async fn catch_up(&mut self) -> Result<(), Error> {
        for _ in 0..LAST_POLLS {
            if self.rows.iter().all(|row| row.boot.stage() == Some(EventKind::Report)) {
                break;
            }
            sleep(TICK).await;
            self.poll().await?;
        }
        Ok(())
    }

    /// Name and boot of every host, in order.
    pub(crate) fn boots(&self) -> impl Iterator<Item = (&str, &WatchedBoot)> {
        self.rows.iter().map(|row| (row.name.as_str(), &row.boot))
    }

    async fn poll(&mut self) -> Result<(), Error> {
        let after_ms = self.last_ms - OVERLAP_MS;
        let filter = EventFilter { host: None, after_ms, limit: NEWEST };
        let mut events = self.database.list_events(&filter).await?;
        events.reverse();
        for event in &events {
            self.last_ms = self.last_ms.max(event.at_ms);
            let Event { at_ms, host, data, .. } = event;
            if self.seen.insert(format!("{at_ms} {host:?} {data:?}")) {
                self.note(event);
            }
        }
        let lives = self.database.list_lives().await?.into_iter();
        let states: HashMap<String, Life> =
            lives.map(|stored| (stored.host, stored.life)).collect();
        let received = traffic::bytes_into_hosts(&self.cables, self.rows.len()).await;
        for (index, row) in self.rows.iter_mut().enumerate() {
            if let Some(life) = states.get(&row.name) {
                let report = life.boot.report.as_ref();
                row.boot.reason = report.map(|report| report.text.clone()).unwrap_or_default();
                row.boot.state = life.state;
            }
            let received = received.as_ref().map_or(0, |bytes| bytes[index]);
            row.show(received, self.image_bytes);
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        let Some(name) = event.host.as_deref() else { return };
        let Some(row) = self.rows.iter_mut().find(|row| row.name == name) else { return };
        row.boot.note(event);
        self.display.say(&format!("{name}: {:8} {}", event.kind().label(), event.text()));
    }
}

impl Row {
    /// Updates the bar.
    fn show(&mut self, received: u64, image_bytes: u64) {
        if self.boot.is_over() {
            if let Some(step) = self.step.take() {
                let mark = if self.boot.state == HostState::Up { "up" } else { "failed" };
                step.done(&format!("{mark}, {}", self.boot.reason));
            }
            return;
        }
        let Some(step) = &self.step else { return };
        if !self.boot.is_loading() {
            self.base = None;
            step.show(None, self.boot.doing());
            return;
        }
        let base = *self.base.get_or_insert(received);
        // With headers, a few percent more than the files cross the cable.
        let loaded = (received.saturating_sub(base) * 100 / image_bytes.max(1)).min(99);
        step.show(Some(loaded), self.boot.doing());
    }
}
