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

    /// Whether the database does not answer now, and may do so a moment later: it is away, starts,
    /// has no room for a connection, or somebody holds a lock.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_of_a_moment(&code))
            }
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            ),
            Self::Unreadable { .. } => false,
        }
    }

    /// A row that does not read as the model says.
    pub(crate) fn unreadable(noun: &'static str, name: &str, reason: impl ToString) -> Self {
        Self::Unreadable { noun, name: name.to_owned(), reason: reason.to_string() }
    }
}

/// Whether a code is of a failure that passes: a SQLSTATE of five characters, or an extended result
/// code of SQLite in decimal digits.
fn is_of_a_moment(code: &str) -> bool {
    // 08: connection exception; 53: insufficient resources; 55P03: lock_not_available; 57: operator
    // intervention, such as query_canceled, admin_shutdown and cannot_connect_now.
    let is_state = ["08", "53", "55P03", "57"].iter().any(|class| code.starts_with(class));
    // SQLITE_BUSY and SQLITE_LOCKED, in the lowest byte.
    let is_result = code.parse::<u32>().is_ok_and(|result| matches!(result & 0xff, 5 | 6));
    if code.len() == 5 { is_state } else { is_result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_and_a_server_that_is_away_pass_and_wrong_data_does_not() {
        let cases = [
            ("08006", true),
            ("53300", true),
            ("55P03", true),
            ("57014", true),
            ("57P01", true),
            ("57P03", true),
            ("22P05", false),
            ("23505", false),
            ("42P01", false),
            ("5", true),
            ("517", true),
            ("6", true),
            ("2067", false),
            ("13", false),
        ];
        for (code, passes) in cases {
            assert_eq!(is_of_a_moment(code), passes, "{code}");
        }
    }

    #[test]
    fn a_connection_that_does_not_come_passes() {
        assert!(Error::from(sqlx::Error::PoolTimedOut).is_unavailable());
        assert!(!Error::from(sqlx::Error::RowNotFound).is_unavailable());
        assert!(!Error::unreadable("host", "n1", "no JSON").is_unavailable());
    }
}
