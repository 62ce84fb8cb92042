//! The records of files in the store of images.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::Row;

use crate::inventory::database::{Transaction, execute, with_connection};
use crate::inventory::revisions::tell_others;
use crate::inventory::{Error, Inventory};
use crate::model::StoredFile;

/// The records, as they were when the database was read last.
#[derive(Clone, Debug, Default)]
pub struct StoredFiles {
    by_path: BTreeMap<String, StoredFile>,
    mark: Mark,
}

/// Tells whether the table has changed: its newest version, and how many rows it has.
type Mark = (i64, i64);

impl StoredFiles {
    /// The record of a file, by its path below the files directory.
    pub fn of(&self, path: &str) -> Option<&StoredFile> {
        self.by_path.get(path.trim_start_matches('/'))
    }

    /// All records by path.
    pub fn iter(&self) -> impl Iterator<Item = &StoredFile> {
        self.by_path.values()
    }

    /// The record of the file with these contents.
    pub fn with_digest(&self, sha256: &str) -> Option<&StoredFile> {
        self.by_path.values().find(|file| file.sha256 == sha256)
    }
}

const COLUMNS: &str = "path, sha256, size_bytes, content, arch, kernel_version, origin, added_by, \
     added_at, modified_ms, verified_at, is_damaged, disk_bytes, disk_sha256";

/// Reads a row of either database: both have the same types.
macro_rules! read_row {
    ($row:expr) => {{
        let row = $row;
        let path: String = row.get("path");
        let unreadable =
            |error: crate::model::UnknownFileWord| Error::unreadable("stored file", &path, error);
        let word = |text: Option<String>| text.map(|text| text.parse()).transpose();
        let size: i64 = row.get("size_bytes");
        let disk: Option<i64> = row.get("disk_bytes");
        let content: String = row.get("content");
        Ok(StoredFile {
            sha256: row.get("sha256"),
            size_bytes: size.cast_unsigned(),
            content: content.parse().map_err(unreadable)?,
            arch: word(row.get("arch")).map_err(unreadable)?,
            kernel_version: row.get("kernel_version"),
            origin: row.get("origin"),
            added_by: row.get("added_by"),
            added_at: row.get("added_at"),
            modified_ms: row.get("modified_ms"),
            verified_at: row.get("verified_at"),
            is_damaged: row.get("is_damaged"),
            disk_bytes: disk.map(i64::cast_unsigned),
            disk_sha256: row.get("disk_sha256"),
            path,
        })
    }};
}

async fn list(transaction: &mut Transaction) -> Result<StoredFiles, Error> {
    let sql = || sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM stored_files"));
    let read: Result<Vec<StoredFile>, Error> = match &mut *transaction {
        Transaction::Sqlite(inner, _) => {
            let rows = sqlx::query(sql()).fetch_all(&mut **inner).await?;
            rows.iter().map(|row| read_row!(row)).collect()
        }
        Transaction::Postgres(inner, connections) => {
            let read = sqlx::query(sql()).fetch_all(&mut **inner);
            let rows = connections.wait_for(read).await?;
            rows.iter().map(|row| read_row!(row)).collect()
        }
    };
    let by_path = read?.into_iter().map(|file| (file.path.clone(), file)).collect();
    Ok(StoredFiles { by_path, mark: mark(transaction).await? })
}

async fn mark(transaction: &mut Transaction) -> Result<Mark, Error> {
    const MARK: &str = "SELECT COALESCE(MAX(version), 0), COUNT(*) FROM stored_files";
    Ok(with_connection!(transaction, connection =>
        sqlx::query_as(MARK).fetch_one(connection).await)?)
}

impl Inventory {
    /// The records as they are known now. Another process's are known half a second later.
    pub fn stored_files(&self) -> Arc<StoredFiles> {
        self.stored_files.load_full()
    }

    /// Reads the records anew if the table has changed.
    pub async fn reload_stored_files(&self) -> Result<(), Error> {
        let mut transaction = self.database.begin_reading().await?;
        if mark(&mut transaction).await? != self.stored_files.load().mark {
            self.stored_files.store(Arc::new(list(&mut transaction).await?));
        }
        Ok(transaction.commit().await?)
    }

    /// Records a file, or replaces the record of the same contents.
    pub async fn record_stored_file(&self, file: &StoredFile) -> Result<(), Error> {
        const SET: &str = "INSERT INTO stored_files (sha256, path, size_bytes, content, arch,
                 kernel_version, origin, added_by, added_at, modified_ms, verified_at, is_damaged,
                 disk_bytes, disk_sha256, version)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                 (SELECT COALESCE(MAX(version), 0) + 1 FROM stored_files)
             WHERE 1 = 1
             ON CONFLICT (sha256) DO UPDATE SET path = excluded.path,
                 size_bytes = excluded.size_bytes, content = excluded.content,
                 arch = excluded.arch, kernel_version = excluded.kernel_version,
                 origin = excluded.origin, added_by = excluded.added_by,
                 added_at = excluded.added_at, modified_ms = excluded.modified_ms,
                 verified_at = excluded.verified_at, is_damaged = excluded.is_damaged,
                 disk_bytes = excluded.disk_bytes, disk_sha256 = excluded.disk_sha256,
                 version = excluded.version";
        let mut transaction = self.database.begin_changing().await?;
        execute!(
            &mut transaction,
            SET,
            &file.sha256,
            &file.path,
            file.size_bytes.cast_signed(),
            file.content.label(),
            file.arch.map(crate::model::CpuArch::label),
            file.kernel_version.as_deref(),
            &file.origin,
            &file.added_by,
            file.added_at,
            file.modified_ms,
            file.verified_at,
            file.is_damaged,
            file.disk_bytes.map(u64::cast_signed),
            file.disk_sha256.as_deref(),
        )?;
        tell_others(&mut transaction).await?;
        transaction.commit().await?;
        self.reload_stored_files().await
    }

    /// Removes the record of a file, by its path.
    pub async fn forget_stored_file(&self, path: &str) -> Result<(), Error> {
        const REMOVE: &str = "DELETE FROM stored_files WHERE path = $1";
        // Else a record that is added next could have the version that others have seen.
        const TOUCH: &str = "UPDATE stored_files SET version = version + 1";
        let mut transaction = self.database.begin_changing().await?;
        execute!(&mut transaction, REMOVE, path)?;
        execute!(&mut transaction, TOUCH)?;
        tell_others(&mut transaction).await?;
        transaction.commit().await?;
        self.reload_stored_files().await
    }
}
