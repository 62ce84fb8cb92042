//! The events of a transfer: its end, and of a long one its start and its progress.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::app::App;
use crate::lifecycle::event::{self, Tftp, TftpEnd};
use crate::lifecycle::{EventData, EventKind, Progress};
use crate::metrics::{TFTP_BYTES, TFTP_RUNNING, TFTP_TRANSFERS};
use crate::model::{ClientKey, Mac, NicAddress};
use crate::tftp::transfer::{Transfer, TransferEnd};

/// Smaller files are sent before a person could look.
const WORTH_WATCHING_BYTES: u64 = 256 * 1024;
/// How often progress is reported.
const EVERY: Duration = Duration::from_millis(250);

/// The client at an address, as far as its lease shows.
#[derive(Clone, Debug, Default)]
pub(super) struct TftpClient {
    host: Option<String>,
    mac: Option<Mac>,
}

impl TftpClient {
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
            _ => {
                lease.nic.and_then(|nic| snapshot.host_of_nic(nic)).map(|(name, _)| name.to_owned())
            }
        };
        Self { host, mac: lease.nic.and_then(NicAddress::mac) }
    }

    /// The host that the client is.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The client's MAC.
    pub(super) fn mac(&self) -> Option<Mac> {
        self.mac
    }

    /// Records an event of this client; not all of an unknown one.
    pub(super) fn record(&self, app: &App, tftp: impl FnOnce() -> Tftp) {
        let events = &app.inventory.events;
        if self.host.is_some() || events.tells_of_stranger() {
            events.record(self.host.as_deref(), self.mac, EventData::Tftp(tftp()));
        }
    }
}

/// What is recorded of one transfer.
pub(super) struct TransferLog {
    client: TftpClient,
    to: IpAddr,
    file: String,
    total_bytes: u64,
    /// When the client took up the offer.
    began: Option<Duration>,
    told_start: bool,
    told: Duration,
}

impl TransferLog {
    pub(super) fn new(app: &App, to: IpAddr, file: String, total_bytes: u64) -> Self {
        TFTP_RUNNING.fetch_add(1, Ordering::Relaxed);
        let client = TftpClient::at(app, to);
        Self { client, to, file, total_bytes, began: None, told_start: false, told: Duration::ZERO }
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

    /// Notes that the client is slow to answer: record the start even of a small file.
    pub(super) fn stalled(&mut self, app: &App) {
        if !self.told_start {
            self.tell_start(app);
        }
    }

    fn tell_start(&mut self, app: &App) {
        self.told_start = true;
        let Self { to, file, total_bytes, .. } = self;
        self.client.record(app, || Tftp::Started {
            to: *to,
            file: file.clone(),
            total_bytes: *total_bytes,
        });
    }

    /// Records the end; a size probe is not recorded.
    pub(super) fn ended(&self, app: &App, transfer: &Transfer, ending: TransferEnd, now: Duration) {
        TFTP_TRANSFERS.count(ending.label());
        TFTP_BYTES.add(ending.label(), transfer.acked_bytes());
        TFTP_RUNNING.fetch_sub(1, Ordering::Relaxed);
        let Some(how) = how(ending) else { return };
        if self.total_bytes > WORTH_WATCHING_BYTES && ending.is_success() {
            self.tell_progress(app, self.total_bytes);
        }
        self.client.record(app, || {
            let took = now.saturating_sub(self.began.unwrap_or(now));
            Tftp::Ended(TftpEnd {
                to: self.to,
                file: self.file.clone(),
                total_bytes: self.total_bytes,
                sent_bytes: transfer.acked_bytes(),
                ending: how,
                milliseconds: took.as_millis() as u64,
                block_size: transfer.block_size(),
                resent_blocks: transfer.resent_blocks(),
            })
        });
    }

    fn tell_progress(&self, app: &App, sent_bytes: u64) {
        app.inventory.events.progress(Progress {
            host: self.client.host.clone(),
            kind: EventKind::Tftp,
            file: self.file.clone(),
            sent_bytes,
            total_bytes: self.total_bytes,
        });
    }
}

/// How the transfer ended, as it is recorded; none for a size probe.
fn how(ending: TransferEnd) -> Option<event::Ending> {
    Some(match ending {
        TransferEnd::Complete => event::Ending::Complete,
        TransferEnd::Unconfirmed => event::Ending::Unconfirmed,
        TransferEnd::Probed => return None,
        TransferEnd::Refused(code) => event::Ending::Refused(code),
        TransferEnd::Gone => event::Ending::Gone,
        TransferEnd::Silent => event::Ending::Silent,
        TransferEnd::Superseded => event::Ending::Superseded,
        TransferEnd::Unreadable => event::Ending::Unreadable,
        TransferEnd::Stopped => event::Ending::Stopped,
    })
}
