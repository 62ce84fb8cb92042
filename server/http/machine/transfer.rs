//! A body that is watched on its way out: live progress, and an event at its end.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;

use super::record;
use crate::app::App;
use crate::lifecycle::event::{Sent, Warning};
use crate::lifecycle::{EventData, EventKind, Progress};

/// How much is handed to the connection at a time: whole packets but for the last of it.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// How often watchers hear of a transfer.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What is sent to whom.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The host that fetches, if it is known.
    pub host: Option<String>,
    /// The stage of the boot.
    pub kind: EventKind,
    /// The file's name.
    pub file: String,
    /// The client.
    pub to: IpAddr,
}

/// The bytes that are still to be sent. When it is dropped, all have left or the client went away.
struct WatchedBody {
    rest: Bytes,
    subject: Subject,
    total_bytes: u64,
    app: App,
    started: Instant,
    told: Instant,
    before_end: Option<BeforeEnd>,
}

/// What has to be done before the last bytes of a body leave.
pub(super) type BeforeEnd = BoxFuture<'static, io::Result<()>>;

/// How much of a body waits for [`BeforeEnd`], in bytes.
const HELD_BACK_BYTES: usize = 16 * 1024;

/// A body of `bytes` that says how far it is. The caller sets `Content-Length`:
/// a body without it would be chunked, which no firmware reads.
pub(super) fn watched(
    bytes: Bytes,
    subject: Subject,
    app: App,
    before_end: Option<BeforeEnd>,
) -> Body {
    let now = Instant::now();
    let total_bytes = bytes.len() as u64;
    let (started, told) = (now, now);
    Body::from_stream(WatchedBody {
        rest: bytes,
        subject,
        total_bytes,
        app,
        started,
        told,
        before_end,
    })
}

impl WatchedBody {
    fn sent_bytes(&self) -> u64 {
        self.total_bytes - self.rest.len() as u64
    }

    fn tell_progress(&self) {
        self.app.inventory.events.progress(Progress {
            host: self.subject.host.clone(),
            kind: self.subject.kind,
            file: self.subject.file.clone(),
            sent_bytes: self.sent_bytes(),
            total_bytes: self.total_bytes,
        });
    }
}

impl Stream for WatchedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let mut length = this.rest.len().min(CHUNK_BYTES);
        if let Some(before_end) = &mut this.before_end {
            let free = this.rest.len().saturating_sub(HELD_BACK_BYTES);
            if free == 0 {
                ready!(before_end.as_mut().poll(context))?;
                this.before_end = None;
            } else {
                length = length.min(free);
            }
        }
        let chunk = this.rest.split_to(length);
        if this.told.elapsed() >= PROGRESS_EVERY {
            this.told = Instant::now();
            this.tell_progress();
        }
        Poll::Ready(Some(Ok(chunk)))
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.tell_progress();
        let (sent_bytes, total_bytes) = (self.sent_bytes(), self.total_bytes);
        let milliseconds = self.started.elapsed().as_millis() as u64;
        let (to, file) = (self.subject.to, mem::take(&mut self.subject.file));
        let data = if sent_bytes == total_bytes {
            let milliseconds = Some(milliseconds);
            let sent = Sent { to, file, bytes: total_bytes, milliseconds };
            match self.subject.kind {
                EventKind::Nbp => EventData::Nbp(sent),
                EventKind::Kernel => EventData::Kernel(sent),
                EventKind::Initrd => EventData::Initrd(sent),
                _ => EventData::File(sent),
            }
        } else {
            let warning = Warning::BrokenOff { to, file, sent_bytes, total_bytes, milliseconds };
            EventData::Warning(warning)
        };
        let lease = match to {
            IpAddr::V4(address) => self.app.leases.find(address),
            IpAddr::V6(_) => None,
        };
        let host = self.subject.host.as_deref();
        let heard_last = || self.app.inventory.states.mac_of(host?);
        let mac = lease.and_then(|lease| lease.mac()).or_else(heard_last);
        record(&self.app, host, mac, data);
    }
}
