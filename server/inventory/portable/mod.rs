//! The whole database as portable rows: the one way out of a database and into another, of the
//! same kind or not. Backups are these rows in a file ([`file`]); a migration hands them on.
//! See docs/decisions/1002.

mod export;
mod file;
mod import;
mod layout;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::inventory::OpenError;

pub use export::{check_schema, digests, export};
pub use file::{read, write};
pub use import::{ImportTarget, Preamble, import, read_preamble};

/// The version of the format of rows and records.
const FORMAT: u32 = 1;
/// How many rows go from hand to hand at a time.
const BATCH: usize = 500;
/// How many batches may wait: what is read faster than it is written stays in the database.
pub const WAITING: usize = 8;

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// NULL.
    Null,
    /// A BOOLEAN.
    Boolean(bool),
    /// A BIGINT or INTEGER.
    Integer(i64),
    /// A TEXT.
    Text(String),
}

/// A row, its values in the order of its table's columns.
pub type Row = Vec<Cell>;

/// What comes before, between and after the rows. As JSON an object whose `record` names the
/// variant, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// The first.
    Header(Header),
    /// The configuration file, as it was.
    Configuration {
        /// Its text.
        text: String,
    },
    /// A file below the files directory. Its bytes are not here.
    File(ImageFile),
    /// The rows of a table follow.
    Table {
        /// The table.
        name: String,
        /// Its columns, in the order of the values of a row.
        columns: Vec<String>,
    },
    /// The rows of a table end.
    TableEnd(TableDigest),
    /// The last.
    End,
}

/// What the rows are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub format: u32,
    /// The version of the program that wrote it.
    pub program: String,
    /// The latest migration of the database.
    pub schema: i64,
    /// When, in Unix seconds.
    pub created_at: i64,
    /// The inventory, which its servers know it by.
    pub inventory_id: String,
}

/// A file that images may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Below the files directory.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its contents, hexadecimal.
    pub sha256: String,
}

/// How many rows a table has, and a digest of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigest {
    /// The table.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// SHA-256 of the rows as lines of JSON, in the order of the table's key; hexadecimal.
    pub sha256: String,
}

/// A record, or rows of the table that was named last.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A record.
    Record(Record),
    /// Rows.
    Rows(Vec<Row>),
}

/// Why rows did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A database cannot be opened or created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The file cannot be read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is cut off.
    #[error("the backup is incomplete: {0} is missing")]
    Truncated(&'static str),
    /// The file is not a backup, or was changed.
    #[error("line {line} is not a line of a backup: {reason}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A table's rows are not those that were written.
    #[error(
        "table {table} is damaged: expected {} rows with SHA-256 {}, found {} with {}",
        expected.rows, expected.sha256, found.rows, found.sha256
    )]
    Damaged {
        /// The table.
        table: String,
        /// What was written.
        expected: TableDigest,
        /// What was read.
        found: TableDigest,
    },
    /// A table is not one of its schema.
    #[error("table {table} is not a table of schema {schema} with columns {}", columns.join(", "))]
    UnknownTable {
        /// The table.
        table: String,
        /// Its columns.
        columns: Vec<String>,
        /// The schema.
        schema: i64,
    },
    /// The database has columns or tables that this version does not know, which would be left out.
    #[error(
        "the database has schema {found}, and this version knows schemas up to {known}: use the \
         newer version, which has upgraded it"
    )]
    NewerSchema {
        /// The database's latest migration.
        found: i64,
        /// The program's latest migration.
        known: i64,
    },
    /// The rows are of a later version.
    #[error(
        "the backup has format {format} and schema {schema} (rackstrap {program}), and this version \
         knows format {FORMAT} and schemas up to {known}: install the newer version first"
    )]
    TooNew {
        /// The version of the program that wrote it.
        program: String,
        /// Its format.
        format: u32,
        /// Its schema.
        schema: i64,
        /// The program's latest migration.
        known: i64,
    },
    /// An empty database has another schema than the rows.
    #[error(
        "{what} is empty and has schema {found}, and the rows have {schema}: remove that database, or \
         name another one"
    )]
    OtherSchema {
        /// The database, without its password.
        what: String,
        /// Its latest migration.
        found: i64,
        /// That of the rows.
        schema: i64,
    },
    /// Something is where the rows are to go.
    #[error(
        "{what} is not empty (table {table} has rows): nothing was changed; move that database away, \
         or name another one"
    )]
    NotEmpty {
        /// The database, without its password.
        what: String,
        /// A table that has rows.
        table: String,
    },
}

/// Counts rows, and digests them.
struct Tally {
    table: String,
    rows: u64,
    sha256: Sha256,
}

impl Tally {
    fn new(table: &str) -> Self {
        Self { table: table.to_owned(), rows: 0, sha256: Sha256::new() }
    }

    fn add(&mut self, row: &Row) {
        self.rows += 1;
        self.sha256.update(line_of(row));
        self.sha256.update(b"\n");
    }

    fn finish(self) -> TableDigest {
        let digest = self.sha256.finalize();
        let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        TableDigest { table: self.table, rows: self.rows, sha256 }
    }
}

/// A row as a line of JSON, without its end.
fn line_of(row: &Row) -> String {
    serde_json::to_string(row).expect("texts, numbers and booleans are JSON")
}
