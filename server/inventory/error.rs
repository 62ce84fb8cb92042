//! The error of the inventory.

/// Why the inventory cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
    /// A row that this version of rackstrap cannot read.
    #[error("cannot read {noun} \"{name}\" from the database: {reason}")]
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
