//! The TFTP service: one thread with all sockets, around the pure transfers.
//!
//! A block is answered on the thread that received its acknowledgement: no task,
//! no lock and no copy lies between. Only opening a file waits for a disk, and
//! that happens elsewhere.

mod clients;
mod engine;
mod library;
mod listeners;
mod outbox;
mod report;
mod requests;
mod sessions;
mod sockets;
mod timers;
mod transfer_sockets;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::priority;
use engine::Engine;

/// Serves TFTP on the configured interfaces until `stop`; transfers that run then
/// may finish. If the future is dropped they are aborted with an ERROR.
pub async fn run(app: App, stop: CancellationToken) -> io::Result<()> {
    if app.config.now().interfaces.is_empty() {
        tracing::warn!("TFTP is off: no interface is configured");
        stop.cancelled().await;
        return Ok(());
    }
    let signal = Arc::new(Signal::new()?);
    let _cut_off = CutOff(Arc::clone(&signal));
    let engine = Engine::open(app, Arc::clone(&signal))?;
    let (sender, mut ended) = oneshot::channel();
    std::thread::Builder::new().name("tftp".into()).spawn(move || {
        priority::answer_soon();
        let _ = sender.send(engine.run());
    })?;
    let lost = |_| io::Error::other("the TFTP thread stopped unexpectedly");
    tokio::select! {
        result = &mut ended => result.map_err(lost)?,
        () = stop.cancelled() => {
            signal.raise(Stop::Drain);
            ended.await.map_err(lost)?
        }
    }
}

/// How the service is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    /// Not at all.
    Serve = 0,
    /// When the running transfers are done.
    Drain = 1,
    /// At once.
    CutOff = 2,
}

/// Wakes the service's thread from elsewhere.
struct Signal {
    event: EventFd,
    stop: AtomicU8,
}

impl Signal {
    fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_value_and_flags(0, flags)?;
        Ok(Self { event, stop: AtomicU8::new(Stop::Serve as u8) })
    }

    fn raise(&self, stop: Stop) {
        self.stop.fetch_max(stop as u8, Ordering::Release);
        self.wake();
    }

    /// Makes the thread look at what it waits for. Fails only if the counter is
    /// full, and then the thread is awake.
    fn wake(&self) {
        let _ = self.event.write(1);
    }

    fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::Serve,
            1 => Stop::Drain,
            _ => Stop::CutOff,
        }
    }
}

/// Ends the thread when its owner is dropped.
struct CutOff(Arc<Signal>);

impl Drop for CutOff {
    fn drop(&mut self) {
        self.0.raise(Stop::CutOff);
    }
}
