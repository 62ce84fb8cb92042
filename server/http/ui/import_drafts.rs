//! What was sent to be taken in, while it is reviewed: in memory, as pages hold what they can and no
//! more. Whoever saves it sends its number, not the files again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::session::random_token;
use crate::import::{Choices, Source};

/// How long files are kept, in milliseconds.
const KEPT_MS: i64 = 60 * 60 * 1000;
/// How many of one user are kept: the review that is open, and the one before it.
const MOST_OF_ONE: usize = 2;
/// How many are kept.
const MOST: usize = 8;

/// Files that a user has sent, and what the user has answered.
#[derive(Clone, Debug)]
pub(crate) struct ImportDraft {
    pub user: String,
    pub sources: Vec<Source>,
    /// The text that was typed in place of a file, to be corrected.
    pub typed: Option<String>,
    pub choices: Choices,
    pub at_ms: i64,
}

/// The drafts of all users, by their numbers.
#[derive(Default)]
pub(crate) struct ImportDrafts(Mutex<HashMap<String, Arc<ImportDraft>>>);

impl ImportDrafts {
    /// Keeps one; gives its number, which nobody guesses.
    pub(crate) fn keep(&self, draft: ImportDraft) -> String {
        let mut all = self.lock();
        let (user, now_ms) = (draft.user.clone(), draft.at_ms);
        all.retain(|_, draft| now_ms - draft.at_ms < KEPT_MS);
        let is_own = |draft: &ImportDraft| draft.user == user;
        while all.values().filter(|draft| is_own(draft)).count() >= MOST_OF_ONE {
            remove_oldest(&mut all, is_own);
        }
        while all.len() >= MOST {
            remove_oldest(&mut all, |_| true);
        }
        let id = random_token();
        all.insert(id.clone(), Arc::new(draft));
        id
    }

    /// The one of a user with this number.
    pub(crate) fn find(&self, id: &str, user: &str, now_ms: i64) -> Option<Arc<ImportDraft>> {
        let found = self.lock().get(id).cloned();
        found.filter(|draft| draft.user == user && now_ms - draft.at_ms < KEPT_MS)
    }

    /// Replaces the answers of one.
    pub(crate) fn answer(&self, id: &str, draft: &ImportDraft, choices: Choices) {
        let changed = ImportDraft { choices, ..draft.clone() };
        if let Some(kept) = self.lock().get_mut(id) {
            *kept = Arc::new(changed);
        }
    }

    /// Forgets one that is saved.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<ImportDraft>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove_oldest(
    all: &mut HashMap<String, Arc<ImportDraft>>,
    is_meant: impl Fn(&ImportDraft) -> bool,
) {
    let meant = all.iter().filter(|(_, draft)| is_meant(draft));
    let oldest = meant.min_by_key(|(_, draft)| draft.at_ms).map(|(id, _)| id.clone());
    if let Some(id) = oldest {
        all.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(user: &str, at_ms: i64) -> ImportDraft {
        let (user, sources) = (user.to_owned(), Vec::new());
        ImportDraft { user, sources, typed: None, choices: Choices::default(), at_ms }
    }

    #[test]
    fn a_draft_is_its_users_for_an_hour() {
        let drafts = ImportDrafts::default();
        let id = drafts.keep(draft("ada", 0));
        assert!(drafts.find(&id, "ada", KEPT_MS - 1).is_some());
        assert!(drafts.find(&id, "ada", KEPT_MS).is_none());
        assert!(drafts.find(&id, "olaf", 1).is_none());
        drafts.forget(&id);
        assert!(drafts.find(&id, "ada", 1).is_none());
    }

    #[test]
    fn there_are_only_so_many() {
        let drafts = ImportDrafts::default();
        let first = drafts.keep(draft("ada", 0));
        for at_ms in 1..20 {
            drafts.keep(draft("ada", at_ms));
            drafts.keep(draft(&format!("user{at_ms}"), at_ms));
        }
        assert!(drafts.find(&first, "ada", 1).is_none());
        assert_eq!(drafts.lock().len(), MOST);
    }
}
