//! Changing the site: one transaction from reading it to the new revision.

use std::collections::HashMap;

use crate::inventory::complete::complete;
use crate::inventory::database::Transaction;
use crate::inventory::revisions::{self, Revision};
use crate::inventory::{Error, Inventory, Snapshot, hosts, now_ms, specs, subnets};
use crate::model::{Difference, EventKind, Mac, Site, diff, renamed_hosts};

/// Who wants to change what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// A user's name, or how else the author is known.
    pub who: &'a str,
    /// What is done, in a few words.
    pub summary: &'a str,
    /// The revision that the author saw: the change is refused if there is a newer one.
    pub base: Option<i64>,
    /// Find out what would happen, and do nothing.
    pub dry_run: bool,
}

/// What a change did.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision that it made; the present one if nothing differed.
    pub revision: i64,
    /// What is otherwise now, addresses that the inventory gave included.
    pub differences: Vec<Difference>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
}

/// Why a change is not made. Nothing of it was done.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The author saw an older site.
    #[error(
        "{who} changed the inventory meanwhile ({summary}; revision {revision}): \
         look at it again, then repeat your change"
    )]
    Outdated {
        /// The newest revision.
        revision: i64,
        /// Who made it.
        who: String,
        /// What was done.
        summary: String,
    },
    /// A MAC or an address is another host's.
    #[error("{0}")]
    Taken(String),
    /// The edit cannot be made on the site as it is.
    #[error("{0}")]
    Edit(String),
    /// The database refused or is gone.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

impl Inventory {
    /// Makes the site equal to `site`, but for what it leaves to the inventory.
    pub async fn replace_site(
        &self,
        change: Change<'_>,
        site: Site,
    ) -> Result<Committed, ChangeError> {
        self.change_site(change, |current| {
            *current = site;
            Ok(())
        })
        .await
    }

    /// Applies `edit` to the site as it is in the database now and makes that the next
    /// revision. Changes are made one after another, whichever process asks, so that
    /// an edit never undoes one that its author did not see.
    pub async fn change_site(
        &self,
        change: Change<'_>,
        edit: impl FnOnce(&mut Site) -> Result<(), ChangeError>,
    ) -> Result<Committed, ChangeError> {
        let mut transaction = self.database.begin_changing().await?;
        let before = Snapshot::read(&mut transaction).await?;
        if change.base.is_some_and(|base| base != before.revision) {
            return Err(outdated(&mut transaction).await?);
        }
        let mut after = before.site.clone();
        edit(&mut after)?;
        complete(&before.site, &mut after);
        let differences = diff(&before.site, &after);
        if differences.is_empty() {
            let revision = before.revision;
            return Ok(Committed { revision, differences, warnings: Vec::new() });
        }
        if let Err(error) = write_site(&mut transaction, &before.site, &after).await {
            transaction.roll_back().await?;
            return Err(self.explain(error, &after).await);
        }
        let revision =
            Revision::new(before.revision + 1, change, &before.site, &after, now_ms() / 1000);
        revisions::add(&mut transaction, &revision).await?;
        let committed = Committed { revision: revision.id, differences, warnings: Vec::new() };
        if change.dry_run {
            transaction.roll_back().await?;
            return Ok(committed);
        }
        transaction.commit().await?;
        self.show(Snapshot::new(revision.id, after));
        let text = format!("{}: {} (revision {})", change.who, change.summary, revision.id);
        self.events.record(None, None, EventKind::Change, text);
        Ok(committed)
    }

    /// Says who has what the database would not give twice.
    async fn explain(&self, error: Error, wanted: &Site) -> ChangeError {
        let Error::Database(sqlx::Error::Database(refusal)) = &error else { return error.into() };
        if !refusal.is_unique_violation() {
            return error.into();
        }
        match Snapshot::load(&self.database).await {
            Ok(stored) => {
                find_taken(wanted, &stored.site).map_or_else(|| error.into(), ChangeError::Taken)
            }
            Err(error) => error.into(),
        }
    }
}

async fn outdated(transaction: &mut Transaction) -> Result<ChangeError, Error> {
    let newest = revisions::newest(transaction).await?;
    let (revision, who, summary) = newest.unwrap_or_default();
    Ok(ChangeError::Outdated { revision, who, summary })
}

/// Writes what differs, in the order that the references between tables ask for.
async fn write_site(
    transaction: &mut Transaction,
    before: &Site,
    after: &Site,
) -> Result<(), Error> {
    let renamed = renamed_hosts(before, after);
    hosts::rename(transaction, &renamed).await?;
    let mut hosts_before = before.hosts.clone();
    for (old, new) in renamed {
        if let Some(host) = hosts_before.remove(&old) {
            hosts_before.insert(new, host);
        }
    }
    hosts::release_changed(transaction, &hosts_before, &after.hosts).await?;

    specs::set_changed(transaction, &before.racks, &after.racks).await?;
    specs::set_changed(transaction, &before.tenants, &after.tenants).await?;
    subnets::set_changed(transaction, &before.subnets, &after.subnets).await?;
    specs::set_changed(transaction, &before.profiles, &after.profiles).await?;
    specs::set_changed(transaction, &before.images, &after.images).await?;
    hosts::set_changed(transaction, &hosts_before, &after.hosts).await?;

    specs::remove_missing(transaction, &before.images, &after.images).await?;
    specs::remove_missing(transaction, &before.profiles, &after.profiles).await?;
    subnets::remove_missing(transaction, &before.subnets, &after.subnets).await?;
    specs::remove_missing(transaction, &before.tenants, &after.tenants).await?;
    specs::remove_missing(transaction, &before.racks, &after.racks).await
}

/// Which MAC or address of `wanted` has two owners: within it, or in it and in `stored`.
fn find_taken(wanted: &Site, stored: &Site) -> Option<String> {
    let mut macs: HashMap<Mac, &String> = HashMap::new();
    let mut addresses = HashMap::new();
    let known = stored.hosts.iter().filter(|(name, _)| !wanted.hosts.contains_key(*name));
    for (name, host) in known.chain(&wanted.hosts) {
        for (label, mac) in &host.nics {
            if let Some(owner) = macs.insert(*mac, name) {
                return Some(format!(
                    "MAC {mac} of {name} {label} is a NIC of host {owner} already"
                ));
            }
        }
        for (link, address) in &host.addresses {
            if let Some(owner) = addresses.insert(*address, name) {
                return Some(format!(
                    "address {address} of {name} {link} is host {owner}'s already"
                ));
            }
        }
        for (subnet, address) in &host.reservations {
            match addresses.insert(*address, name) {
                Some(owner) if owner != name => {
                    return Some(format!(
                        "address {address} reserved for {name} on {subnet} is host {owner}'s already"
                    ));
                }
                _ => {}
            }
        }
    }
    None
}
