//! Fills an empty database.

use sqlx::{AssertSqlSafe, Database as Engine, QueryBuilder};
use tokio::sync::mpsc::Receiver;

use super::layout::{Layout, TableLayout};
use super::{
    BATCH, Cell, FORMAT, Header, ImageFile, Piece, Record, Row, TableDigest, Tally, TransferError,
};
use crate::inventory::database::{Transaction, execute, with_pool};
use crate::inventory::open::{latest_schema, shown};
use crate::inventory::{Access, Database};

/// How many values a statement may have: SQLite allows 32,766, PostgreSQL 65,535.
const VALUES: usize = 30_000;
/// Rows that migrations themselves add.
const MADE_BY_MIGRATIONS: &str = "event_numbers";

/// What comes before the rows.
#[derive(Clone, Debug)]
pub struct Preamble {
    /// What the rows are of.
    pub header: Header,
    /// The configuration file, if it is there.
    pub configuration: Option<String>,
    /// The files of images.
    pub files: Vec<ImageFile>,
    /// The first record after it, which names a table.
    next: Option<Record>,
}

/// Reads what comes before the rows, and refuses what a later version wrote.
pub async fn read_preamble(source: &mut Receiver<Piece>) -> Result<Preamble, TransferError> {
    let Some(Piece::Record(Record::Header(header))) = source.recv().await else {
        return Err(TransferError::Truncated("the header"));
    };
    if header.format > FORMAT || header.schema > latest_schema() {
        let Header { program, format, schema, .. } = header;
        return Err(TransferError::TooNew { program, format, schema, known: latest_schema() });
    }
    let mut preamble = Preamble { header, configuration: None, files: Vec::new(), next: None };
    loop {
        match source.recv().await {
            Some(Piece::Record(Record::Configuration { text })) => {
                preamble.configuration = Some(text);
            }
            Some(Piece::Record(Record::File(file))) => preamble.files.push(file),
            Some(Piece::Record(next)) => {
                preamble.next = Some(next);
                return Ok(preamble);
            }
            Some(Piece::Rows(_)) | None => return Err(TransferError::Truncated("the first table")),
        }
    }
}

/// An empty database that rows of a schema may go into.
pub struct ImportTarget {
    database: Database,
    schema: i64,
}

impl ImportTarget {
    /// Creates the database, unless it is there and empty. One that has rows is refused.
    pub async fn create(url: &str, schema: i64) -> Result<Self, TransferError> {
        let database = match Database::exists(url).await? {
            // What a restore that failed has left, or what an administrator has prepared.
            true => Database::open_for(url, Access::AtSchema(schema)).await?,
            false => Database::open_for(url, Access::CreateAt(schema)).await?,
        };
        const SCHEMA: &str = "SELECT max(version) FROM _sqlx_migrations";
        let found: i64 =
            with_pool!(&database, pool => sqlx::query_scalar(SCHEMA).fetch_one(pool).await)?;
        if found != schema {
            database.close().await;
            return Err(TransferError::OtherSchema { what: shown(url), found, schema });
        }
        for table in Layout::of_schema(schema).await?.tables {
            let count = AssertSqlSafe(format!("SELECT count(*) FROM \"{}\"", table.name));
            let rows: i64 =
                with_pool!(&database, pool => sqlx::query_scalar(count).fetch_one(pool).await)?;
            if rows > 0 && table.name != MADE_BY_MIGRATIONS {
                database.close().await;
                return Err(TransferError::NotEmpty { what: shown(url), table: table.name });
            }
        }
        Ok(Self { database, schema })
    }
}

/// Takes all rows in, or none. Reads them back, compares counts and digests, and closes the
/// database; whoever opens it next brings its schema up to date.
pub async fn import(
    target: ImportTarget,
    preamble: Preamble,
    mut source: Receiver<Piece>,
) -> Result<Vec<TableDigest>, TransferError> {
    let ImportTarget { database, schema } = target;
    let layout = Layout::of_schema(schema).await?;
    let taken = async {
        let mut transaction = database.begin_changing().await?;
        let taken = take(&mut transaction, &layout, schema, preamble.next, &mut source).await?;
        transaction.commit().await?;
        for (expected, found) in taken.iter().zip(super::digests(&database, schema).await?) {
            compare(expected.clone(), found)?;
        }
        Ok(taken)
    };
    let taken = taken.await;
    database.close().await;
    taken
}

async fn take(
    transaction: &mut Transaction,
    layout: &Layout,
    schema: i64,
    first: Option<Record>,
    source: &mut Receiver<Piece>,
) -> Result<Vec<TableDigest>, TransferError> {
    let clear = format!("DELETE FROM \"{MADE_BY_MIGRATIONS}\"");
    if layout.table(MADE_BY_MIGRATIONS).is_some() {
        execute!(&mut *transaction, AssertSqlSafe(clear))?;
    }
    let mut next = first.map(Piece::Record);
    let mut all = Vec::new();
    loop {
        let piece = match next.take() {
            Some(piece) => Some(piece),
            None => source.recv().await,
        };
        match piece {
            Some(Piece::Record(Record::Table { name, columns })) => {
                let table = layout.table(&name).filter(|table| table.columns() == columns);
                let unknown =
                    || TransferError::UnknownTable { table: name.clone(), columns, schema };
                let table = table.ok_or_else(unknown)?;
                all.push(take_table(transaction, table, source).await?);
            }
            Some(Piece::Record(Record::End)) if all.len() == layout.tables.len() => return Ok(all),
            Some(_) | None => return Err(TransferError::Truncated("the end")),
        }
    }
}

async fn take_table(
    transaction: &mut Transaction,
    table: &TableLayout,
    source: &mut Receiver<Piece>,
) -> Result<TableDigest, TransferError> {
    let mut tally = Tally::new(&table.name);
    loop {
        match source.recv().await {
            Some(Piece::Rows(rows)) => {
                rows.iter().for_each(|row| tally.add(row));
                for chunk in rows.chunks((VALUES / table.columns.len()).min(BATCH)) {
                    match transaction {
                        Transaction::Sqlite(inner, _) => {
                            let mut insert = insertion::<sqlx::Sqlite>(table, chunk);
                            insert.build().persistent(false).execute(&mut **inner).await?;
                        }
                        Transaction::Postgres(inner, _) => {
                            let mut insert = insertion::<sqlx::Postgres>(table, chunk);
                            insert.build().persistent(false).execute(&mut **inner).await?;
                        }
                    }
                }
            }
            Some(Piece::Record(Record::TableEnd(expected))) => {
                let found = tally.finish();
                compare(expected, found.clone())?;
                return Ok(found);
            }
            Some(Piece::Record(_)) | None => {
                return Err(TransferError::Truncated("the end of a table"));
            }
        }
    }
}

/// A statement that adds rows.
fn insertion<E: Engine>(table: &TableLayout, rows: &[Row]) -> QueryBuilder<E>
where
    E::Arguments: Default,
    for<'q> String: sqlx::Encode<'q, E> + sqlx::Type<E>,
    for<'q> i64: sqlx::Encode<'q, E> + sqlx::Type<E>,
    for<'q> bool: sqlx::Encode<'q, E> + sqlx::Type<E>,
{
    let mut builder = QueryBuilder::new(table.insert());
    builder.push_values(rows, |mut values, row| {
        for cell in row {
            match cell {
                Cell::Null => values.push("NULL"),
                Cell::Boolean(value) => values.push_bind(*value),
                Cell::Integer(value) => values.push_bind(*value),
                Cell::Text(value) => values.push_bind(value.clone()),
            };
        }
    });
    builder
}

fn compare(expected: TableDigest, found: TableDigest) -> Result<(), TransferError> {
    if expected == found {
        return Ok(());
    }
    Err(TransferError::Damaged { table: expected.table.clone(), expected, found })
}
