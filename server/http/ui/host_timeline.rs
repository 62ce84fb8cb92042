//! A host's boot timeline as the page shows it and the stream sends it.

use std::time::Duration;

use askama::Template;
use serde::Deserialize;

use super::clock::{Moment, span};
use super::progress::percent;
use super::state::Ui;
use crate::inventory::{Error, EventFilter};
use crate::lifecycle::boot::Boot;
use crate::lifecycle::stall::{self, BootContext};
use crate::lifecycle::timeline::{Stage, StageProgress, Standing, latest_boot, steps};
use crate::lifecycle::{Event, EventKind, Progress};
use crate::model::size_text;

/// How many of a host's events are looked at: a boot has some dozen, and what it sends by syslog.
const EVENTS: u32 = 600;
/// A boot that said nothing for so long has probably stopped.
const SILENCE: Duration = Duration::from_secs(120);

/// The stages of the latest boot.
#[derive(Template)]
#[template(path = "timeline.html")]
pub(super) struct Timeline {
    started: Option<Moment>,
    summary: String,
    cause: Option<String>,
    /// That the host has returned to the network that it had before.
    returned: Option<Returned>,
    rows: Vec<Row>,
}

/// What a report says of a network that did not work.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Returned {
    /// The revision that the host tried.
    revision: i64,
    /// Why it did not stay.
    rolled_back: String,
}

struct Row {
    label: &'static str,
    standing: Standing,
    at: Option<Moment>,
    after: String,
    text: String,
    count: usize,
    bars: Vec<Bar>,
}

impl Row {
    fn mark(&self) -> &'static str {
        match self.standing {
            Standing::Done => "\u{2713}",
            Standing::Trouble => "!",
            Standing::Skipped => "\u{2013}",
            Standing::Now | Standing::Pending => "",
        }
    }
}

struct Bar {
    file: String,
    percent: u8,
    size: String,
}

impl Timeline {
    /// Reads a host's timeline.
    pub(super) async fn read(ui: &Ui, host: &str) -> Result<Self, Error> {
        // A BMC that asks for an address is no stage of a boot.
        let filter =
            EventFilter { host: Some(host.into()), limit: EVENTS, ..EventFilter::default() };
        let mut events = ui.app.inventory.database.list_events(&filter).await?;
        events.reverse();
        let boot = latest_boot(&events);
        let site = &ui.app.inventory.snapshot().site;
        let began_ms = boot.first().map_or(0, |event| event.at_ms);
        let mut transfers = ui.progress.of_host(host, ui.now_ms());
        transfers.retain(|_| !boot.is_empty());
        let states = &ui.app.inventory.states;
        let status = states.find(host, ui.now_ms());
        // An installer is silent for as long as it likes, once it has begun.
        let is_installing = boot.iter().any(|event| {
            matches!(event.kind(), EventKind::InstallStep | EventKind::InstallCompleted)
        });
        let find = || {
            let (boot, context) = (Boot::of(boot), BootContext::of(site, host));
            let stall = stall::find(&boot, &context, states.patience(), ui.now_ms());
            stall.filter(|_| !is_installing).map(|stall| stall.cause)
        };
        let report = ui.app.inventory.database.find_report(host).await?;
        let report = report.filter(|report| report.at_ms >= began_ms);
        // Any other report says nothing of it.
        let returned: Option<Returned> =
            report.and_then(|report| serde_json::from_str(&report.body).ok());
        let row = |step: &StageProgress| row(ui, step, &transfers, began_ms);
        Ok(Self {
            started: boot.first().map(|event| ui.moment(event.at_ms)),
            summary: summary(boot, ui.now_ms()),
            cause: status
                .and_then(|status| status.cause)
                .or_else(find)
                .filter(|_| returned.is_none())
                .map(|cause| cause.to_string()),
            returned,
            rows: steps(boot).iter().map(row).collect(),
        })
    }
}

fn row(ui: &Ui, step: &StageProgress, transfers: &[Progress], began_ms: i64) -> Row {
    let own = transfers.iter().filter(|transfer| Stage::of(transfer.kind) == Some(step.stage));
    let bar = |progress: &Progress| Bar {
        file: progress.file.clone(),
        percent: percent(progress),
        size: size_text(progress.total_bytes),
    };
    let after = step.first.map(|event| (event.at_ms - began_ms) as f64 / 1000.0);
    Row {
        label: step.stage.label(),
        standing: step.standing,
        at: step.first.map(|event| ui.moment(event.at_ms)),
        after: after.map(|seconds| format!("+{seconds:.1} s")).unwrap_or_default(),
        text: step.last.map(Event::text).unwrap_or_default(),
        count: step.count,
        bars: own.map(bar).collect(),
    }
}

/// How long the boot took, or has said nothing.
fn summary(boot: &[Event], now_ms: i64) -> String {
    let (Some(first), Some(last)) = (boot.first(), boot.last()) else {
        return "This host has not asked for anything yet. Power it on with network boot first in \
                its boot order."
            .into();
    };
    let silent = Duration::from_millis(now_ms.saturating_sub(last.at_ms).max(0) as u64);
    let newest = |kind| boot.iter().rfind(|event| event.kind() == kind);
    let after = |event: &Event| span((event.at_ms - first.at_ms) / 1000);
    let report = newest(EventKind::Report);
    if let Some(completed) = newest(EventKind::InstallCompleted) {
        let up = steps(boot).into_iter().find(|step| step.stage == Stage::FirstBoot);
        return match up.map(|step| step.standing) {
            Some(Standing::Done | Standing::Trouble) => {
                let report = report.unwrap_or(last);
                format!("installed, and reported from its disk after {}", after(report))
            }
            Some(_) => format!("installed; {} so far", span((now_ms - first.at_ms).max(0) / 1000)),
            None => format!("done after {}", after(completed)),
        };
    }
    if let Some(report) = report {
        return format!("reported after {}", after(report));
    }
    if silent > SILENCE {
        return format!("silent for {}", span(silent.as_secs() as i64));
    }
    format!("{} so far", span((now_ms - first.at_ms).max(0) / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::samples;

    #[test]
    fn the_summary_says_where_the_boot_is() {
        let event = |seconds: i64, kind| Event {
            at_ms: seconds * 1000,
            host: None,
            mac: None,
            data: samples::data(kind),
        };
        let boot = [event(0, EventKind::Discover), event(20, EventKind::Kernel)];
        assert_eq!(summary(&boot, 21_000), "21 s so far");
        assert_eq!(summary(&boot, 620_000), "silent for 10 min");
        let up = [event(0, EventKind::Discover), event(31, EventKind::Report)];
        assert_eq!(summary(&up, 900_000_000), "reported after 31 s");
        assert!(summary(&[], 0).contains("Power it on"));
    }
}
