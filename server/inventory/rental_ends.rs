//! Tells once that a tenant's rental of a host has ended, however many servers there are.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::inventory::database::{execute, with_pool};
use crate::inventory::ticks::Ticks;
use crate::inventory::{Database, Error, Inventory, now_ms};
use crate::lifecycle::EventData;
use crate::lifecycle::event::Warning;
use crate::model::Host;

/// How soon an end is told.
const EVERY: Duration = Duration::from_secs(60);

impl Database {
    /// Every end of a rental that was told: host, tenant and moment (Unix seconds).
    async fn list_told_rental_ends(&self) -> Result<HashSet<(String, String, i64)>, Error> {
        const LIST: &str = "SELECT host, tenant, until FROM told_rental_ends";
        let rows: Vec<_> = with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        Ok(rows.into_iter().collect())
    }

    /// Notes ends of rentals as told, and gives those that nobody had noted before.
    async fn claim_rental_ends<'a>(
        &self,
        ends: Vec<(&'a str, &'a str, i64)>,
    ) -> Result<Vec<(&'a str, &'a str, i64)>, Error> {
        const CLAIM: &str = "INSERT INTO told_rental_ends (host, tenant, until)
             VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let mut own = Vec::new();
        let mut transaction = self.begin_writing().await?;
        for (host, tenant, until) in ends {
            if execute!(&mut transaction, CLAIM, host, tenant, until)? == 1 {
                own.push((host, tenant, until));
            }
        }
        transaction.commit().await?;
        Ok(own)
    }
}

impl Inventory {
    /// Tells of rentals that have ended, until `stop`.
    pub async fn run_rental_ends(self, stop: CancellationToken) -> std::io::Result<()> {
        let mut ticks = Ticks::every(EVERY, stop);
        while ticks.next().await {
            if let Err(error) = self.tell_rental_ends(now_ms() / 1000).await {
                tracing::warn!(%error, "cannot report the end of rentals; retrying");
            }
        }
        Ok(())
    }

    /// Tells of the rentals that have ended at `now` (Unix seconds) and of which nobody told.
    /// How many there were.
    pub async fn tell_rental_ends(&self, now: i64) -> Result<usize, Error> {
        let snapshot = self.snapshot();
        let ended = |(name, host): (&'_ String, &Host)| {
            let until = host.rented_until?.ends_at();
            let tenant = host.tenant.clone().filter(|_| until <= now)?;
            Some((name.clone(), tenant, until))
        };
        let mut ends: Vec<_> = snapshot.site.hosts.iter().filter_map(ended).collect();
        if ends.is_empty() {
            return Ok(0);
        }
        let told = self.database.list_told_rental_ends().await?;
        ends.retain(|end| !told.contains(end));
        if ends.is_empty() {
            return Ok(0);
        }
        // In an order that is every server's, so that two never wait for each other.
        ends.sort();
        let ends = ends.iter().map(|(host, tenant, until)| (&**host, &**tenant, *until));
        let own = self.database.claim_rental_ends(ends.collect()).await?;
        for (host, tenant, _) in &own {
            let until = snapshot.site.hosts.get(*host).and_then(|host| host.rented_until);
            let until = until.map(|until| until.to_string());
            let warning = Warning::RentalEnded { tenant: (*tenant).to_owned(), until };
            self.events.record(Some(host), None, EventData::Warning(warning));
        }
        Ok(own.len())
    }
}
