//! What many open pages show is read once for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

/// A value that is read anew once it is older than its readers accept. Concurrent readers wait
/// for one read.
pub(crate) struct Recent<T>(tokio::sync::Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::new(None))
    }
}

impl<T> Recent<T> {
    /// The value, read by `read` if it is older than `age`.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) async fn get<E>(
        &self,
        age: Duration,
        read: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let mut latest = self.0.lock().await;
        if let Some((at, value)) = &*latest
            && at.elapsed() < age
        {
            return Ok(value.clone());
        }
        let value = Arc::new(read.await?);
        *latest = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

/// Recent values by name; each is kept for as long as somebody holds it.
pub(crate) struct RecentByName<T>(Mutex<HashMap<String, Weak<Recent<T>>>>);

impl<T> Default for RecentByName<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> RecentByName<T> {
    /// The value of this name, shared with everybody who holds it.
    pub(crate) fn of(&self, name: &str) -> Arc<Recent<T>> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(name).and_then(Weak::upgrade) {
            return value;
        }
        values.retain(|_, value| value.strong_count() > 0);
        let value = Arc::default();
        values.insert(name.to_owned(), Arc::downgrade(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn readers_share_a_value_until_it_is_old() {
        let (recent, reads) = (Recent::default(), AtomicU32::new(0));
        let get = |age| {
            recent.get(age, async { Ok::<_, Infallible>(reads.fetch_add(1, Ordering::Relaxed)) })
        };
        let (first, second) = tokio::join!(get(HOUR), get(HOUR));
        assert_eq!((first, second), (Ok(Arc::new(0)), Ok(Arc::new(0))));
        assert_eq!(get(Duration::ZERO).await, Ok(Arc::new(1)));
        assert_eq!(get(HOUR).await, Ok(Arc::new(1)));
    }

    #[tokio::test]
    async fn a_failed_read_is_repeated() {
        let recent = Recent::default();
        assert_eq!(recent.get(HOUR, async { Err::<u8, _>("down") }).await, Err("down"));
        assert_eq!(recent.get(HOUR, async { Ok::<u8, &str>(1) }).await, Ok(Arc::new(1)));
    }

    #[test]
    fn a_name_is_forgotten_with_its_last_holder() {
        let names = RecentByName::<u8>::default();
        let held = names.of("n1");
        assert!(Arc::ptr_eq(&held, &names.of("n1")));
        drop(held);
        names.of("n2");
        assert!(!names.0.lock().unwrap().contains_key("n1"));
    }
}
