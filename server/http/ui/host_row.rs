//! The moving cells of a host's row, as the page shows them and the stream sends them.

use std::collections::BTreeMap;

use askama::Template;

use super::clock::Moment;
use super::progress::percent;
use super::state::Ui;
use crate::inventory::Error;
use crate::lifecycle::{Event, HostState, HostStatus, Progress};

/// What moves in the rows of a list: read once, for all hosts.
pub(super) struct Board {
    statuses: BTreeMap<String, HostStatus>,
    last_events: BTreeMap<String, Event>,
}

impl Board {
    /// Reads state and last event of every host.
    pub(super) async fn read(ui: &Ui) -> Result<Self, Error> {
        let database = &ui.app.inventory.database;
        let statuses = ui.app.inventory.host_statuses(ui.now_ms());
        let last_events = database.list_last_events().await?;
        Ok(Self { statuses, last_events })
    }

    /// The states of all hosts.
    pub(super) fn statuses(&self) -> &BTreeMap<String, HostStatus> {
        &self.statuses
    }

    /// Why a host does not go on; empty where it does.
    pub(super) fn reason(&self, host: &str) -> String {
        let is_stopped = matches!(self.state(host), HostState::Stuck | HostState::Failed);
        let status = self.statuses.get(host).filter(|_| is_stopped);
        status.map(|status| status.reason.clone()).unwrap_or_default()
    }

    /// Since when a host is in its state, in Unix milliseconds; 0 if it was never seen.
    pub(super) fn since_ms(&self, host: &str) -> i64 {
        self.statuses.get(host).map_or(0, |status| status.since_ms)
    }

    /// The state of a host.
    pub(super) fn state(&self, host: &str) -> HostState {
        self.statuses.get(host).map(|status| status.state).unwrap_or_default()
    }

    /// When something happened to a host last, in Unix milliseconds; 0 for never.
    pub(super) fn last_ms(&self, host: &str) -> i64 {
        self.last_events.get(host).map_or(0, |event| event.at_ms)
    }

    /// The state cell of a host's row.
    pub(super) fn state_cell(&self, ui: &Ui, host: &str) -> StateCell {
        let state = self.state(host);
        let reason = self.reason(host);
        let transfers = ui.progress.of_host(host, ui.now_ms());
        let unfinished = transfers.iter().rev().find(|transfer| percent(transfer) < 100);
        let transfer = unfinished
            .filter(|_| matches!(state, HostState::Booting | HostState::Installing))
            .map(TransferProgress::of);
        let is_armed = self.statuses.get(host).is_some_and(|it| it.armed_until.is_some());
        StateCell { state, is_armed, reason, transfer }
    }

    /// The cell of a host's last event.
    pub(super) fn event_cell(&self, ui: &Ui, host: &str) -> EventCell {
        let event = self.last_events.get(host);
        EventCell {
            at: event.map(|event| ui.moment(event.at_ms)),
            kind: event.map(|event| event.kind().label()).unwrap_or_default(),
            is_failure: event.is_some_and(|event| event.data.is_failure()),
            text: event.map(Event::text).unwrap_or_default(),
        }
    }
}

/// Where a host is, with the bar of a long transfer.
#[derive(Template)]
#[template(path = "state_cell.html")]
pub(super) struct StateCell {
    state: HostState,
    /// Whether its next boot installs.
    is_armed: bool,
    /// Why it does not go on.
    reason: String,
    transfer: Option<TransferProgress>,
}

/// A transfer in a row.
struct TransferProgress {
    kind: &'static str,
    percent: u8,
}

impl TransferProgress {
    fn of(progress: &Progress) -> Self {
        Self { kind: progress.kind.label(), percent: percent(progress) }
    }
}

/// What happened last.
#[derive(Template)]
#[template(path = "event_cell.html")]
pub(super) struct EventCell {
    at: Option<Moment>,
    kind: &'static str,
    is_failure: bool,
    text: String,
}
