//! What people see of a transfer: its end; of a long one its start too, and how
//! far it is in between.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::app::App;
use crate::lifecycle::{EventKind, Progress};
use crate::metrics::{TFTP_BYTES, TFTP_RUNNING, TFTP_TRANSFERS};
use crate::model::{ClientKey, Mac, size_text};
use crate::tftp::transfer::{Ending, Transfer};

/// Smaller files are through before anybody looks.
const WORTH_WATCHING_BYTES: u64 = 256 * 1024;
/// How often progress is told.
const EVERY: Duration = Duration::from_millis(250);

/// Who a client is, as far as its lease tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    host: Option<String>,
    mac: Option<Mac>,
}

impl Who {
    /// Finds the host that leases an address, or whose NIC made it by itself (RFC 4862).
    pub(super) fn at(app: &App, address: IpAddr) -> Self {
        let snapshot = app.inventory.snapshot();
        let address = match address {
            IpAddr::V4(address) => address,
            IpAddr::V6(address) => {
                let mac = Mac::of_interface_id(address);
                let host = mac.and_then(|mac| snapshot.host_of_mac(mac));
                return Self { host: host.map(|(name, _)| name.to_owned()), mac };
            }
        };
        let Some(lease) = app.leases.find(address) else { return Self::default() };
        let host = match lease.client {
            ClientKey::Host(name) => Some(name),
            _ => snapshot.host_of_mac(lease.mac).map(|(name, _)| name.to_owned()),
        };
        Self { host, mac: Some(lease.mac) }
    }

    /// Writes an event about this client; not all of a stranger.
    pub(super) fn record(&self, app: &App, text: impl FnOnce() -> String) {
        let events = &app.inventory.events;
        if self.host.is_some() || events.tells_of_stranger() {
            events.record(self.host.as_deref(), self.mac, EventKind::Tftp, text());
        }
    }
}

/// The report on one transfer.
pub(super) struct Report {
    who: Who,
    file: String,
    total_bytes: u64,
    /// When the client took up the offer.
    began: Option<Duration>,
    told_start: bool,
    told: Duration,
}

impl Report {
    pub(super) fn new(who: Who, file: String, total_bytes: u64) -> Self {
        TFTP_RUNNING.fetch_add(1, Ordering::Relaxed);
        Self { who, file, total_bytes, began: None, told_start: false, told: Duration::ZERO }
    }

    /// The name of what is sent.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Notes that the client acknowledged something.
    pub(super) fn moved(&mut self, app: &App, transfer: &Transfer, now: Duration) {
        let began = *self.began.get_or_insert(now);
        if self.total_bytes <= WORTH_WATCHING_BYTES {
            return;
        }
        if !self.told_start {
            self.tell_start(app);
            self.told = began;
        }
        if now >= self.told + EVERY {
            self.told = now;
            self.tell_progress(app, transfer.acked_bytes());
        }
    }

    /// Notes that the client is slow to answer: even a small file is worth a word now.
    pub(super) fn stalled(&mut self, app: &App) {
        if !self.told_start {
            self.tell_start(app);
        }
    }

    fn tell_start(&mut self, app: &App) {
        self.told_start = true;
        self.who.record(app, || format!("sends {} ({})", self.file, size_text(self.total_bytes)));
    }

    /// Notes the end; of a size probe nothing is told.
    pub(super) fn ended(&self, app: &App, transfer: &Transfer, ending: Ending, now: Duration) {
        TFTP_TRANSFERS.count(ending.label());
        TFTP_BYTES.add(ending.label(), transfer.acked_bytes());
        TFTP_RUNNING.fetch_sub(1, Ordering::Relaxed);
        if ending == Ending::Probed {
            return;
        }
        if self.total_bytes > WORTH_WATCHING_BYTES && ending.is_success() {
            self.tell_progress(app, self.total_bytes);
        }
        self.who.record(app, || self.end(transfer, ending, now));
    }

    fn end(&self, transfer: &Transfer, ending: Ending, now: Duration) -> String {
        let why = match ending {
            Ending::Complete | Ending::Unconfirmed => return self.success(transfer, ending, now),
            Ending::Refused(code) => {
                return self.failure(transfer, &format!("the client gave up with error {code}"));
            }
            Ending::Probed => "the client asked for its size only",
            Ending::Gone => "the client closed its port",
            Ending::Silent => "the client stopped answering",
            Ending::Superseded => "the client asked for something else",
            Ending::Unreadable => "the file was truncated meanwhile",
            Ending::Stopped => "the server stops",
        };
        self.failure(transfer, why)
    }

    fn success(&self, transfer: &Transfer, ending: Ending, now: Duration) -> String {
        let seconds = now.saturating_sub(self.began.unwrap_or(now)).as_secs_f64();
        let total = size_text(self.total_bytes);
        let mut text = format!("sent {} ({total}) in {seconds:.1} s", self.file);
        if transfer.resent_blocks() > 0 {
            text.push_str(&format!(", {} blocks again", transfer.resent_blocks()));
        }
        if ending == Ending::Unconfirmed {
            text.push_str("; its end was not acknowledged");
        }
        text
    }

    fn failure(&self, transfer: &Transfer, why: &str) -> String {
        let (sent, total) = (size_text(transfer.acked_bytes()), size_text(self.total_bytes));
        format!("{} stopped after {sent} of {total}: {why}", self.file)
    }

    fn tell_progress(&self, app: &App, sent_bytes: u64) {
        app.inventory.events.progress(Progress {
            host: self.who.host.clone(),
            kind: EventKind::Tftp,
            file: self.file.clone(),
            sent_bytes,
            total_bytes: self.total_bytes,
        });
    }
}
