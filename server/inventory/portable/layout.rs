//! Which tables and columns a schema has. A new migration is a new layout by itself: it is read
//! from an empty SQLite in memory that has seen the same migrations.

use std::collections::BTreeSet;

use sqlx::{Row as _, SqlitePool};

use crate::inventory::{Database, OpenError};

/// The tables of a schema, those first that others refer to.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub tables: Vec<TableLayout>,
}

/// A table, all of whose rows have a key.
#[derive(Clone, Debug)]
pub(super) struct TableLayout {
    pub name: String,
    pub columns: Vec<Column>,
}

/// A column of one of the types that both databases have.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub kind: Kind,
    /// Whether it is part of the primary key.
    pub is_key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Boolean,
}

impl Layout {
    /// The layout after the migrations up to `schema`.
    pub(super) async fn of_schema(schema: i64) -> Result<Self, OpenError> {
        let Database::Sqlite(sqlite) = Database::in_memory_at(schema).await? else {
            unreachable!("a database in memory is SQLite's");
        };
        let read = Self::read(&sqlite.pool).await;
        read.map_err(|source| OpenError::Connect { what: "memory".to_owned(), source })
    }

    async fn read(pool: &SqlitePool) -> sqlx::Result<Self> {
        const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' \
             AND name NOT LIKE 'sqlite%' AND name <> '_sqlx_migrations' ORDER BY name";
        const COLUMNS: &str = "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid";
        const PARENTS: &str = "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)";
        let names: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(pool).await?;
        let (mut waiting, mut tables) = (Vec::new(), Vec::new());
        for name in names {
            let parents: Vec<String> =
                sqlx::query_scalar(PARENTS).bind(&name).fetch_all(pool).await?;
            let rows = sqlx::query(COLUMNS).bind(&name).fetch_all(pool).await?;
            let column = |row: &sqlx::sqlite::SqliteRow| Column {
                name: row.get("name"),
                kind: match row.get::<String, _>("type").as_str() {
                    "TEXT" => Kind::Text,
                    "BOOLEAN" => Kind::Boolean,
                    _ => Kind::Integer,
                },
                is_key: row.get::<i64, _>("pk") > 0,
            };
            let columns = rows.iter().map(column).collect();
            waiting.push((TableLayout { name, columns }, parents));
        }
        let mut placed = BTreeSet::new();
        while !waiting.is_empty() {
            let is_next = |(_, parents): &(TableLayout, Vec<String>)| {
                parents.iter().all(|parent| placed.contains(parent))
            };
            // References never run in a circle: migrations are tested on an empty database.
            let next = waiting.iter().position(is_next).unwrap_or(0);
            let (table, _) = waiting.remove(next);
            placed.insert(table.name.clone());
            tables.push(table);
        }
        Ok(Self { tables })
    }

    pub(super) fn table(&self, name: &str) -> Option<&TableLayout> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl TableLayout {
    /// The names of its columns.
    pub(super) fn columns(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Reads all rows in the order of their key, which is the same in both databases: `collation`
    /// compares texts by their bytes.
    pub(super) fn select(&self, collation: &str) -> String {
        // An INTEGER of PostgreSQL is 32 bits wide.
        let value = |column: &Column| match column.kind {
            Kind::Integer => format!("CAST(\"{}\" AS BIGINT)", column.name),
            Kind::Text | Kind::Boolean => format!("\"{}\"", column.name),
        };
        let key = |column: &Column| match column.kind {
            Kind::Text => format!("\"{}\" COLLATE {collation}", column.name),
            Kind::Integer | Kind::Boolean => format!("\"{}\"", column.name),
        };
        let values: Vec<String> = self.columns.iter().map(value).collect();
        let keys: Vec<String> = self.columns.iter().filter(|c| c.is_key).map(key).collect();
        format!("SELECT {} FROM \"{}\" ORDER BY {}", values.join(", "), self.name, keys.join(", "))
    }

    /// The beginning of a statement that adds rows.
    pub(super) fn insert(&self) -> String {
        let names: Vec<String> = self.columns().iter().map(|name| format!("\"{name}\"")).collect();
        format!("INSERT INTO \"{}\" ({}) ", self.name, names.join(", "))
    }
}
