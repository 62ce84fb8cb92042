//! Configurations as they were last rendered. Hosts that boot, retry and poll
//! ask for the same one many times; it changes only with the site's revision.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderValue;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::error::Error;

/// How many answers are kept; when there are more, all are forgotten.
const KEPT: usize = 1024;
/// The same answer to the same host within this time is not news, in milliseconds.
const NEWS_MS: i64 = 1000;

/// A configuration in one form, ready to be sent.
#[derive(Debug)]
pub(crate) struct RenderedConfig {
    /// All of it.
    pub body: Bytes,
    /// Its strong entity tag, with quotes.
    pub etag: String,
    told_ms: AtomicI64,
}

impl RenderedConfig {
    /// An answer with its entity tag.
    pub(crate) fn new(body: Bytes) -> Self {
        use std::fmt::Write;
        let digest = Sha256::digest(&body);
        let etag = digest[..16].iter().fold(String::from("\""), |mut etag, byte| {
            let _ = write!(etag, "{byte:02x}");
            etag
        });
        Self { body, etag: etag + "\"", told_ms: AtomicI64::new(0) }
    }

    /// Whether people should hear that it was fetched at `now_ms` (Unix milliseconds). A
    /// host that fetches it in a loop must not fill the timeline.
    pub(crate) fn is_news(&self, now_ms: i64) -> bool {
        let told_ms = self.told_ms.load(Ordering::Relaxed);
        let news = now_ms - told_ms >= NEWS_MS;
        if news {
            self.told_ms.store(now_ms, Ordering::Relaxed);
        }
        news
    }

    /// The entity tag as a header.
    pub(crate) fn etag_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}

/// The answers of one revision, by host and form. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Rendered<Form>(Arc<Mutex<Present<Form>>>);

#[derive(Debug)]
struct Present<Form> {
    revision: i64,
    count: usize,
    hosts: HashMap<String, Vec<(Form, Arc<RenderedConfig>)>>,
}

impl<Form> Default for Rendered<Form> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Present { revision: 0, count: 0, hosts: HashMap::new() })))
    }
}

impl<Form: Copy + PartialEq> Rendered<Form> {
    /// The answer of this revision, made by `make` if it is not there yet.
    pub(crate) fn find_or_make(
        &self,
        revision: i64,
        host: &str,
        form: Form,
        make: impl FnOnce() -> Result<Bytes, Error>,
    ) -> Result<Arc<RenderedConfig>, Error> {
        if let Some(answer) = self.find(revision, host, form) {
            return Ok(answer);
        }
        // Without the lock: two may make the same one, which does no harm.
        let answer = Arc::new(RenderedConfig::new(make()?));
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if present.revision != revision || present.count >= KEPT {
            *present = Present { revision, count: 0, hosts: HashMap::new() };
        }
        present.count += 1;
        present.hosts.entry(host.to_owned()).or_default().push((form, answer.clone()));
        Ok(answer)
    }

    fn find(&self, revision: i64, host: &str, form: Form) -> Option<Arc<RenderedConfig>> {
        let present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if present.revision != revision {
            return None;
        }
        let answers = present.hosts.get(host)?;
        answers.iter().find(|(kept, _)| *kept == form).map(|(_, answer)| answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_made_once_per_revision_host_and_form() {
        let rendered = Rendered::<u8>::default();
        let ask = |revision, host, form, text: &'static str| {
            let made = rendered.find_or_make(revision, host, form, || Ok(text.into())).unwrap();
            String::from_utf8(made.body.to_vec()).unwrap()
        };
        assert_eq!(ask(1, "a", 0, "first"), "first");
        assert_eq!(ask(1, "a", 0, "again"), "first");
        assert_eq!(ask(1, "a", 1, "other form"), "other form");
        assert_eq!(ask(1, "b", 0, "other host"), "other host");
        assert_eq!(ask(2, "a", 0, "other revision"), "other revision");
        assert!(rendered.find_or_make(2, "c", 0, || Err(Error::Nowhere)).is_err());
        assert_eq!(ask(2, "c", 0, "after a failure"), "after a failure");
    }

    #[test]
    fn no_more_answers_are_kept_than_memory_is_meant_for_them() {
        let rendered = Rendered::<u8>::default();
        for host in 0..3 * KEPT {
            rendered.find_or_make(1, &host.to_string(), 0, || Ok(Bytes::new())).unwrap();
        }
        assert!(rendered.0.lock().unwrap().hosts.len() <= KEPT);
    }

    #[test]
    fn fetching_in_a_loop_is_told_once_a_second() {
        let answer = RenderedConfig::new("x".into());
        let told = [10_000, 10_001, 10_999, 11_000, 11_500, 12_000].map(|now| answer.is_news(now));
        assert_eq!(told, [true, false, false, true, false, true]);
        assert_eq!(answer.etag.len(), 34);
    }
}
