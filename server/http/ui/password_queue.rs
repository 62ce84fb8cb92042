//! Passwords are checked a few at a time: each check takes 19 MiB and tens of milliseconds of a
//! processor, which a flood of guesses must not multiply.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// How many checks may wait; more are refused at once.
const WAITING: usize = 16;

/// The queue for checks of passwords: one at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct PasswordQueue {
    turn: Arc<Mutex<()>>,
    waiting: Arc<AtomicUsize>,
}

/// Somebody's turn.
pub(crate) struct Turn<'a> {
    _turn: MutexGuard<'a, ()>,
}

/// Leaves the queue, also where the client has gone.
struct QueuePlace<'a>(&'a AtomicUsize);

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PasswordQueue {
    /// Waits for one's turn; none if too many wait already.
    pub(crate) async fn turn(&self) -> Option<Turn<'_>> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = QueuePlace(&self.waiting);
        if waiting >= WAITING {
            return None;
        }
        Some(Turn { _turn: self.turn.lock().await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bounded_number_waits() {
        let queue = PasswordQueue::default();
        let first = queue.turn().await.unwrap();
        let waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(queue.turn())).collect();
        let mut polled = Vec::new();
        for mut turn in waiting {
            assert!(futures_util::poll!(turn.as_mut()).is_pending());
            polled.push(turn);
        }
        assert!(queue.turn().await.is_none(), "one too many");
        drop(polled.pop());
        drop(first);
        assert!(polled.remove(0).await.is_some(), "who waited longest is next");
    }
}
