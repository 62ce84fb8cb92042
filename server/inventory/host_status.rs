//! Where each host is in its life, and what it said of itself last.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::inventory::database::{Transaction, execute, with_pool};
use crate::inventory::{Database, Error};
use crate::lifecycle::HostState;

/// Where a host is in its life, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct HostStatus {
    /// Where it is.
    pub state: HostState,
    /// Since when, in Unix milliseconds; 0 if it was never seen.
    pub since_ms: i64,
    /// What brought it there, in a few words; may hold words of the host.
    pub reason: String,
}

/// What a host said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// When, in Unix milliseconds.
    pub at_ms: i64,
    /// What it sent.
    pub body: String,
}

type StatusRow = (String, String, i64, String);

fn read((name, state, since_ms, reason): StatusRow) -> Result<(String, HostStatus), Error> {
    let state = state.parse().map_err(|error| Error::unreadable("host", &name, error))?;
    Ok((name, HostStatus { state, since_ms, reason }))
}

impl Database {
    /// The status of every host, by name.
    pub async fn list_host_status(&self) -> Result<BTreeMap<String, HostStatus>, Error> {
        const LIST: &str = "SELECT name, state, state_at_ms, state_text FROM hosts";
        let rows: Vec<StatusRow> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        rows.into_iter().map(read).collect()
    }

    /// The status of one host, if there is such a host.
    pub async fn find_host_status(&self, host: &str) -> Result<Option<HostStatus>, Error> {
        const FIND: &str = "SELECT name, state, state_at_ms, state_text FROM hosts WHERE name = $1";
        let row: Option<StatusRow> =
            with_pool!(self, pool => sqlx::query_as(FIND).bind(host).fetch_optional(pool).await)?;
        Ok(row.map(read).transpose()?.map(|(_, status)| status))
    }

    /// Puts a host into a state, unless a later moment did already. Whether there is such a host.
    pub async fn set_host_status(&self, host: &str, status: &HostStatus) -> Result<bool, Error> {
        let mut transaction = self.begin_writing().await?;
        let known = set_status(&mut transaction, host, status).await?;
        transaction.commit().await?;
        Ok(known)
    }

    /// Keeps what a host said of itself, in place of what it said before.
    pub async fn set_report(&self, host: &str, report: &Report) -> Result<(), Error> {
        const SET: &str = "INSERT INTO reports (host, at_ms, body)
             SELECT name, $2, $3 FROM hosts WHERE name = $1
             ON CONFLICT (host) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body";
        with_pool!(self, pool => sqlx::query(SET)
            .bind(host)
            .bind(report.at_ms)
            .bind(&report.body)
            .execute(pool)
            .await
            .map(drop))?;
        Ok(())
    }

    /// What a host said of itself last.
    pub async fn find_report(&self, host: &str) -> Result<Option<Report>, Error> {
        const FIND: &str = "SELECT at_ms, body FROM reports WHERE host = $1";
        let row: Option<(i64, String)> =
            with_pool!(self, pool => sqlx::query_as(FIND).bind(host).fetch_optional(pool).await)?;
        Ok(row.map(|(at_ms, body)| Report { at_ms, body }))
    }
}

/// Puts a host into a state, unless a later moment did already. Whether there is such a host.
pub(crate) async fn set_status(
    transaction: &mut Transaction,
    host: &str,
    status: &HostStatus,
) -> Result<bool, Error> {
    const SET: &str = "UPDATE hosts SET
         state = CASE WHEN state_at_ms > $3 THEN state ELSE $2 END,
         state_text = CASE WHEN state_at_ms > $3 THEN state_text ELSE $4 END,
         state_at_ms = CASE WHEN state_at_ms > $3 THEN state_at_ms ELSE $3 END
         WHERE name = $1";
    let (state, reason) = (status.state.label(), &status.reason);
    let rows = execute!(transaction, SET, host, state, status.since_ms, reason)?;
    Ok(rows == 1)
}
