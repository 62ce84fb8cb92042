//! Transfers that are under way: they are shown live and stored nowhere, so a page
//! that is opened in the middle of one finds it here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::state::now_ms;
use crate::inventory::{EventBus, Live};
use crate::lifecycle::{EventKind, Progress};

/// A transfer that has not moved for so long is over, whatever became of it.
const STALE_MS: i64 = 60_000;

/// By host and stage: when it moved last, in Unix milliseconds, and how far it is.
type Transfers = HashMap<(String, EventKind), (i64, Progress)>;

/// The latest transfer of each host and stage. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct ProgressBoard {
    transfers: Arc<Mutex<Transfers>>,
}

impl ProgressBoard {
    /// Starts to follow the bus until `stop`.
    pub(crate) fn start(bus: &EventBus, stop: CancellationToken) -> Self {
        let board = Self::default();
        let (own, mut live) = (board.clone(), bus.watch());
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    () = stop.cancelled() => return,
                    message = live.recv() => message,
                };
                match message {
                    Ok(Live::Progress(progress)) => own.set((*progress).clone(), now_ms()),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        board
    }

    fn set(&self, progress: Progress, now_ms: i64) {
        let Some(host) = progress.host.clone() else { return };
        let mut transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.insert((host, progress.kind), (now_ms, progress));
        if transfers.len() > 10_000 {
            transfers.retain(|_, (at_ms, _)| now_ms - *at_ms < STALE_MS);
        }
    }

    /// The transfers of a host that moved in the last minute, in the order of a boot.
    pub(crate) fn of_host(&self, host: &str, now_ms: i64) -> Vec<Progress> {
        let transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |kind: &EventKind| {
            let (at_ms, progress) = transfers.get(&(host.to_owned(), *kind))?;
            (now_ms - at_ms < STALE_MS).then(|| progress.clone())
        };
        EventKind::ALL.iter().filter_map(fresh).collect()
    }
}

/// How much of a transfer is done, 0 to 100.
pub(crate) fn percent(progress: &Progress) -> u8 {
    let Progress { sent_bytes, total_bytes, .. } = progress;
    if *total_bytes == 0 {
        return 100;
    }
    (u128::from(*sent_bytes) * 100 / u128::from(*total_bytes)).min(100) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(kind: EventKind, sent_bytes: u64, total_bytes: u64) -> Progress {
        Progress { host: Some("n1".into()), kind, file: "f".into(), sent_bytes, total_bytes }
    }

    #[test]
    fn the_board_keeps_the_latest_and_forgets_the_stale() {
        let board = ProgressBoard::default();
        board.set(progress(EventKind::Initrd, 1, 10), 1000);
        board.set(progress(EventKind::Kernel, 10, 10), 1000);
        board.set(progress(EventKind::Initrd, 5, 10), 2000);
        let shown: Vec<_> =
            board.of_host("n1", 2500).iter().map(|p| (p.kind, percent(p))).collect();
        assert_eq!(shown, [(EventKind::Kernel, 100), (EventKind::Initrd, 50)]);
        assert!(board.of_host("n1", 2000 + STALE_MS).is_empty());
        assert!(board.of_host("n2", 2500).is_empty());
    }

    #[test]
    fn a_percentage_is_whole_and_honest() {
        assert_eq!(percent(&progress(EventKind::Kernel, 0, 0)), 100);
        assert_eq!(percent(&progress(EventKind::Kernel, u64::MAX, u64::MAX)), 100);
        assert_eq!(percent(&progress(EventKind::Kernel, 999, 1000)), 99);
    }
}
