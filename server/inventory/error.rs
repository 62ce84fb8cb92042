//! What the inventory can fail with.

/// Why the inventory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or is gone.
    #[error("the inventory database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A row holds what this version of rackstrap cannot read.
    #[error("the database holds a {noun} \"{name}\" that cannot be read: {reason}")]
    Unreadable {
        /// What kind of row.
        noun: &'static str,
        /// Its key.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// A row that does not read as the model says.
    pub(crate) fn unreadable(noun: &'static str, name: &str, reason: impl ToString) -> Self {
        Self::Unreadable { noun, name: name.to_owned(), reason: reason.to_string() }
    }
}
