//! Reads a database as it is at one moment.

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::sync::mpsc::Sender;

use super::layout::{Column, Kind, Layout, TableLayout};
use super::{BATCH, Cell, FORMAT, Header, Piece, Record, Row, TableDigest, Tally, TransferError};
use crate::inventory::Database;
use crate::inventory::database::{Transaction, execute, with_pool};
use crate::inventory::open::latest_schema;

/// Hands on all tables, between whatever `preamble` says and the end. A server may go on writing:
/// what is read is what was committed when it began.
pub async fn export(
    database: &Database,
    preamble: Vec<Record>,
    sink: Sender<Piece>,
) -> Result<Vec<TableDigest>, TransferError> {
    let header = Header {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        schema: latest_schema(),
        created_at: jiff::Timestamp::now().as_second(),
        inventory_id: database.inventory_id().await?,
    };
    let mut transaction = begin(database).await?;
    check_schema(database).await?;
    send(&sink, Piece::Record(Record::Header(header))).await?;
    for record in preamble {
        send(&sink, Piece::Record(record)).await?;
    }
    let mut all = Vec::new();
    for table in Layout::of_schema(latest_schema()).await?.tables {
        let columns = table.columns();
        send(&sink, Piece::Record(Record::Table { name: table.name.clone(), columns })).await?;
        let digest = read_table(&mut transaction, &table, Some(&sink)).await?;
        send(&sink, Piece::Record(Record::TableEnd(digest.clone()))).await?;
        all.push(digest);
    }
    send(&sink, Piece::Record(Record::End)).await?;
    transaction.roll_back().await?;
    Ok(all)
}

/// Refuses a database of which a part would be left out. Asked before a file is begun, too.
pub async fn check_schema(database: &Database) -> Result<(), TransferError> {
    const SQL: &str = "SELECT max(version) FROM _sqlx_migrations";
    let found: i64 = with_pool!(database, pool => sqlx::query_scalar(SQL).fetch_one(pool).await)?;
    let known = latest_schema();
    if found > known { Err(TransferError::NewerSchema { found, known }) } else { Ok(()) }
}

/// Counts and digests the tables of a database that has seen the migrations up to `schema`.
pub async fn digests(database: &Database, schema: i64) -> Result<Vec<TableDigest>, TransferError> {
    let mut transaction = begin(database).await?;
    let mut all = Vec::new();
    for table in Layout::of_schema(schema).await?.tables {
        all.push(read_table(&mut transaction, &table, None).await?);
    }
    transaction.roll_back().await?;
    Ok(all)
}

/// One state of the database throughout, however long it takes to write it down.
async fn begin(database: &Database) -> sqlx::Result<Transaction> {
    let mut transaction = database.begin_reading().await?;
    if let Transaction::Postgres(..) = &transaction {
        for limit in ["statement_timeout", "idle_in_transaction_session_timeout"] {
            execute!(&mut transaction, AssertSqlSafe(format!("SET LOCAL {limit} = 0")))?;
        }
    }
    Ok(transaction)
}

/// Nobody takes the rows: whoever wrote them has failed, and says why.
async fn send(sink: &Sender<Piece>, piece: Piece) -> Result<(), TransferError> {
    sink.send(piece).await.map_err(|_| std::io::Error::other("the writer has ended").into())
}

/// Reads rows of either database: both have the same types.
macro_rules! read_rows {
    ($connection:expr, $sql:expr, $table:expr, $sink:expr, $tally:expr) => {{
        let mut rows = sqlx::query(AssertSqlSafe($sql)).fetch($connection);
        let mut batch = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let value = |(index, column): (usize, &Column)| {
                Ok(match column.kind {
                    Kind::Text => row.try_get::<Option<String>, _>(index)?.map(Cell::Text),
                    Kind::Integer => row.try_get::<Option<i64>, _>(index)?.map(Cell::Integer),
                    Kind::Boolean => row.try_get::<Option<bool>, _>(index)?.map(Cell::Boolean),
                }
                .unwrap_or(Cell::Null))
            };
            let row: Row =
                $table.columns.iter().enumerate().map(value).collect::<sqlx::Result<_>>()?;
            $tally.add(&row);
            let Some(sink) = $sink else { continue };
            batch.push(row);
            if batch.len() == BATCH {
                send(sink, Piece::Rows(std::mem::take(&mut batch))).await?;
            }
        }
        if let (Some(sink), false) = ($sink, batch.is_empty()) {
            send(sink, Piece::Rows(batch)).await?;
        }
    }};
}

async fn read_table(
    transaction: &mut Transaction,
    table: &TableLayout,
    sink: Option<&Sender<Piece>>,
) -> Result<TableDigest, TransferError> {
    let mut tally = Tally::new(&table.name);
    match transaction {
        Transaction::Sqlite(inner, _) => {
            read_rows!(&mut **inner, table.select("BINARY"), table, sink, tally);
        }
        Transaction::Postgres(inner, _) => {
            read_rows!(&mut **inner, table.select("\"C\""), table, sink, tally);
        }
    }
    Ok(tally.finish())
}
