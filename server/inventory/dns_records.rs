//! What this inventory has put into zones, and which server keeps a zone up to date.

use std::collections::BTreeMap;

use crate::inventory::database::{execute, with_pool};
use crate::inventory::{Database, Error, now_ms};
use crate::model::HostRecord;

impl Database {
    /// The records that this inventory has put into a zone, or tried to, with whether the name server
    /// has them.
    pub(crate) async fn list_dns_records(
        &self,
        zone: &str,
    ) -> Result<BTreeMap<HostRecord, bool>, Error> {
        const LIST: &str = "SELECT owner, kind, data, is_set FROM dns_records WHERE zone = $1";
        let rows: Vec<(String, String, String, bool)> = with_pool!(self, pool =>
            sqlx::query_as(LIST).bind(zone).fetch_all(pool).await)?;
        let read = |(owner, kind, data, is_set): (String, String, String, bool)| {
            let kind = kind.parse();
            let kind = kind.map_err(|error| Error::unreadable("DNS record", &owner, error))?;
            Ok((HostRecord { owner, kind, data }, is_set))
        };
        rows.into_iter().map(read).collect()
    }

    /// Notes records before they are sent: whatever becomes of that, they are known as ours.
    pub(crate) async fn note_dns_records(
        &self,
        zone: &str,
        records: &[HostRecord],
    ) -> Result<(), Error> {
        const ADD: &str =
            "INSERT INTO dns_records (zone, owner, kind, data) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING";
        let mut transaction = self.begin_writing().await?;
        for HostRecord { owner, kind, data } in records {
            execute!(&mut transaction, ADD, zone, owner, kind.label(), data)?;
        }
        Ok(transaction.commit().await?)
    }

    /// Notes what the name server took.
    pub(crate) async fn settle_dns_records(
        &self,
        zone: &str,
        set: &[HostRecord],
        removed: &[HostRecord],
    ) -> Result<(), Error> {
        const SET: &str = "UPDATE dns_records SET is_set = true
             WHERE zone = $1 AND owner = $2 AND kind = $3 AND data = $4";
        const REMOVE: &str = "DELETE FROM dns_records
             WHERE zone = $1 AND owner = $2 AND kind = $3 AND data = $4";
        let mut transaction = self.begin_writing().await?;
        for HostRecord { owner, kind, data } in set {
            execute!(&mut transaction, SET, zone, owner, kind.label(), data)?;
        }
        for HostRecord { owner, kind, data } in removed {
            execute!(&mut transaction, REMOVE, zone, owner, kind.label(), data)?;
        }
        Ok(transaction.commit().await?)
    }

    /// Takes a zone for one server, for some milliseconds. Returns whether it has it now.
    pub(crate) async fn claim_dns_zone(
        &self,
        zone: &str,
        server: &str,
        lasts_ms: i64,
    ) -> Result<bool, Error> {
        const CLAIM: &str =
            "INSERT INTO dns_zones (zone, claimed_by, claimed_until_ms) VALUES ($1, $2, $3)
             ON CONFLICT (zone) DO UPDATE
                 SET claimed_by = excluded.claimed_by, claimed_until_ms = excluded.claimed_until_ms
             WHERE dns_zones.claimed_by = excluded.claimed_by OR dns_zones.claimed_until_ms < $4";
        let now = now_ms();
        let mut transaction = self.begin_writing().await?;
        let claimed = execute!(&mut transaction, CLAIM, zone, server, now + lasts_ms, now)?;
        transaction.commit().await?;
        Ok(claimed == 1)
    }
}
