//! A server remembers its inventory: one that finds none where it had one, because a disk is not
//! mounted or a file was lost, refuses to start instead of serving an empty one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::database::{Database, execute, with_pool};
use super::open::{Access, OpenError, create_private_directory, give_to_owner_of, shown};

/// The file in the data directory that holds the id of the inventory.
const FILE: &str = "inventory.id";

/// Where the configuration says it.
const CONFIGURED: &str = "inventory_id of the configuration";

/// What a process expects to find in its database.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The data directory, which is created if it does not exist.
    pub data_dir: &'a Path,
    /// The id of the inventory, if the configuration says it.
    pub id: Option<&'a str>,
}

impl Expected<'_> {
    /// Why there is no inventory: there never was one, or it is gone.
    pub fn explain(&self, error: OpenError) -> OpenError {
        let OpenError::Missing { what } = &error else { return error };
        let file = self.data_dir.join(FILE);
        let (id, known_by) = match (self.id, read(&file)) {
            (Some(id), _) => (id.to_owned(), CONFIGURED.to_owned()),
            (None, Ok(Some(id))) => (id, file.display().to_string()),
            (None, _) => return error,
        };
        OpenError::Gone { what: what.clone(), id, known_by }
    }
}

impl Database {
    /// Opens the database for a process that may create one, unless another inventory or none
    /// was found where there was one before. Remembers it in the data directory.
    ///
    /// # Errors
    /// [`OpenError::Gone`], or any other of [`OpenError`].
    pub async fn open_known(url: &str, expected: &Expected<'_>) -> Result<Self, OpenError> {
        let Expected { data_dir, id: configured } = expected;
        create_private_directory(data_dir)
            .map_err(|source| OpenError::Create { path: data_dir.display().to_string(), source })?;
        let file = data_dir.join(FILE);
        let remembered = read(&file)?;
        let wanted = configured.map(str::to_owned).or_else(|| remembered.clone());
        let gone = |id: &str| OpenError::Gone {
            what: shown(url),
            id: id.to_owned(),
            known_by: match configured {
                Some(_) => CONFIGURED.to_owned(),
                None => file.display().to_string(),
            },
        };
        if let Some(wanted) = &wanted
            && !Self::exists(url).await?
        {
            return Err(gone(wanted));
        }
        let database = Self::open_for(url, Access::Manage).await?;
        let found = database.inventory_id().await.map_err(|error| failed(url, error))?;
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found)
            && (configured.is_some() || database.is_empty().await.map_err(|e| failed(url, e))?)
        {
            database.close().await;
            return Err(gone(&wanted));
        }
        if remembered.as_ref() != Some(&found) {
            fs::write(&file, format!("{found}\n"))
                .map_err(|source| OpenError::Create { path: file.display().to_string(), source })?;
            give_to_owner_of(data_dir, &file);
        }
        Ok(database)
    }

    /// The id of the inventory. It gets one when it is first asked for.
    ///
    /// # Errors
    /// The database's.
    pub async fn inventory_id(&self) -> sqlx::Result<String> {
        const READ: &str = "SELECT id FROM inventory_id";
        const ADD: &str =
            "INSERT INTO inventory_id (one, id) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";
        let id: Option<String> =
            with_pool!(self, pool => sqlx::query_scalar(READ).fetch_optional(pool).await)?;
        if let Some(id) = id {
            return Ok(id);
        }
        let mut transaction = self.begin_changing().await?;
        let id: String =
            rand::random::<[u8; 8]>().iter().map(|byte| format!("{byte:02x}")).collect();
        execute!(&mut transaction, ADD, id)?;
        transaction.commit().await?;
        // Another server may have been faster.
        with_pool!(self, pool => sqlx::query_scalar(READ).fetch_one(pool).await)
    }

    /// Whether the inventory has neither hosts nor subnets.
    async fn is_empty(&self) -> sqlx::Result<bool> {
        const SQL: &str = "SELECT (SELECT count(*) FROM hosts) + (SELECT count(*) FROM subnets)";
        let count: i64 = with_pool!(self, pool => sqlx::query_scalar(SQL).fetch_one(pool).await)?;
        Ok(count == 0)
    }
}

fn read(file: &Path) -> Result<Option<String>, OpenError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|id| !id.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            Err(OpenError::Unreadable { path: PathBuf::from(file).display().to_string(), source })
        }
    }
}

fn failed(url: &str, source: sqlx::Error) -> OpenError {
    OpenError::Connect { what: shown(url), source }
}
