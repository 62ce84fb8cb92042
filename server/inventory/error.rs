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
    /// Whether it is the data that the database does not take, rather than that it fails.
    pub(crate) fn is_about_data(&self) -> bool {
        // SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation).
        let is_refused =
            |code: std::borrow::Cow<'_, str>| code.starts_with("22") || code.starts_with("23");
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().is_some_and(is_refused),
            Self::Database(sqlx::Error::Encode(_)) | Self::Unreadable { .. } => true,
            Self::Database(_) => false,
        }
    }

    /// A row that does not read as the model says.
    pub(crate) fn unreadable(noun: &'static str, name: &str, reason: impl ToString) -> Self {
        Self::Unreadable { noun, name: name.to_owned(), reason: reason.to_string() }
    }
}
