//! Changing the site: one transaction from reading it to the new revision.

use std::collections::HashSet;
use std::sync::Arc;

use crate::inventory::complete::complete;
use crate::inventory::database::Transaction;
use crate::inventory::revisions::{self, Revision};
use crate::inventory::taken::{Taken, find_taken, find_taken_prefix};
use crate::inventory::{Error, Inventory, Snapshot, audit_log, hosts, now_ms, specs, subnets};
use crate::lifecycle::audit::{AuditAction, AuditEntry, Author, Origin};
use crate::model::{
    Difference, Host, Image, Limits, Location, MassRemoval, NewHosts, NounKind, OutsideLimits,
    Site, Switch, decide, diff, renamed_hosts, some_names,
};
use crate::network::{
    Consequences, Finding, Severity, Surroundings, check_site_within, consequences,
};
use crate::profile::ResolvedSite;
use crate::site_file::{EditError, LayError, RowError};

/// Who wants to change what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// A user's name, or how else the author is known.
    pub who: &'a str,
    /// Where the author is.
    pub origin: Origin,
    /// Which hosts the author may change; all of these hold.
    pub limits: &'a [Limits],
    /// What is done, in a few words.
    pub summary: &'a str,
    /// The revision that the author saw: the change is refused if there is a newer one.
    pub base: Option<i64>,
    /// Find out what would happen, and do nothing.
    pub dry_run: bool,
    /// A whole new site may delete everything, or most hosts.
    pub prune: bool,
}

impl<'a> Change<'a> {
    /// A change of somebody, within the limits.
    pub fn by(author: Author<'a>, limits: &'a [Limits], summary: &'a str) -> Self {
        let Author { who, origin } = author;
        Self { who, origin, limits, summary, ..Self::default() }
    }

    /// Who makes it.
    pub fn author(&self) -> Author<'a> {
        Author { who: self.who, origin: self.origin }
    }
}

/// What the rules say of a site that somebody wants.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// Everything that they find, errors first.
    pub findings: Vec<Finding>,
    /// The errors that they do not find now: the change would be refused for them.
    pub errors: Vec<Finding>,
    /// The warnings that they do not find now.
    pub warnings: Vec<Finding>,
}

/// What a change did.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision that it made; the present one if nothing differed, and of a dry run.
    pub revision: i64,
    /// What is otherwise now, addresses that the inventory gave included.
    pub differences: Vec<Difference>,
    /// What somebody should look at since.
    pub warnings: Vec<Finding>,
    /// The site as it is and as it would be; of a dry run only.
    pub tried: Option<Box<Tried>>,
}

/// What a dry run would make of a site.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The site as it is.
    pub before: ResolvedSite,
    /// The site as it would be, with the addresses that the inventory would give.
    pub after: ResolvedSite,
}

impl Committed {
    /// What a dry run would do to the generated files, away from the threads that answer
    /// packets: thousands of hosts are rendered twice. Nothing but for a dry run.
    pub async fn take_consequences(&mut self) -> Consequences {
        let Some(tried) = self.tried.take() else { return Consequences::default() };
        let work = move || consequences(&tried.before, &tried.after);
        tokio::task::spawn_blocking(work)
            .await
            .expect("rendering does not panic and is not aborted")
    }
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
    /// The site would break rules that it does not break now.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Refused(Vec<Finding>),
    /// A MAC, an address or an identity is another host's.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// It goes beyond the limits of its author.
    #[error(transparent)]
    Denied(#[from] OutsideLimits),
    /// It would delete everything, or most hosts, and [`Change::prune`] is not set.
    #[error("{0}")]
    MassRemoval(MassRemoval),
    /// The name is in use.
    #[error("{noun} \"{name}\" already exists")]
    Exists {
        /// What has the name, such as `host`.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// A rack was removed that hosts or switches name: it would be there again, without what was
    /// said of it.
    #[error(
        "rack \"{rack}\" is in use by {}: move or remove them first",
        some_names(&names(.used_by))
    )]
    RackInUse {
        /// The rack.
        rack: String,
        /// Where hosts and switches name it.
        used_by: Vec<Location>,
    },
    /// An image was removed that hosts boot or other images need.
    #[error(
        "image \"{image}\" is in use by {}: give them another image first",
        some_names(&entries(.used_by))
    )]
    ImageInUse {
        /// The image.
        image: String,
        /// Where hosts name it, and images whose live system it is.
        used_by: Vec<Location>,
    },
    /// There is nothing of that name to change.
    #[error("{noun} \"{name}\" does not exist{hint}")]
    Missing {
        /// What is looked for, such as `host`.
        noun: &'static str,
        /// The name.
        name: String,
        /// The nearest name, in words.
        hint: String,
    },
    /// A value cannot be set.
    #[error(transparent)]
    Value(#[from] EditError),
    /// Rows of a table cannot be read, or are not those of hosts.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Rows(Vec<RowError>),
    /// The host is not what the form was made of any more.
    #[error(
        "{host} has changed since you opened this form; open the host in another window, compare, \
         and repeat your change there"
    )]
    FormOutdated {
        /// The host that the form is of.
        host: String,
    },
    /// Entries are not what the form was made of any more.
    #[error("{} changed since you opened this form; review it again", some_names(.entries))]
    Overtaken {
        /// The entries that the change is about, such as `subnet internal`.
        entries: Vec<String>,
    },
    /// There is no revision with that number.
    #[error("revision {0} does not exist")]
    NoRevision(i64),
    /// A revision cannot be taken back before later ones are.
    #[error(
        "revision {revision} cannot be reverted: later revisions changed {} again; revert those \
         revisions first", some_names(.changed_since)
    )]
    RevertConflict {
        /// The revision.
        revision: i64,
        /// The entries that it changed and that were changed again.
        changed_since: Vec<String>,
    },
    /// The author made no change after a look at the site, and knows why.
    #[error("the change was not made")]
    Declined,
    /// The database refused or is gone.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<LayError> for ChangeError {
    fn from(error: LayError) -> Self {
        match error {
            LayError::Rows(rows) => Self::Rows(rows),
            LayError::Entry(error) => Self::Value(error),
        }
    }
}

/// The names of the entries at these places.
fn names(places: &[Location]) -> Vec<String> {
    places.iter().map(|at| at.name.clone()).collect()
}

/// What the entries at these places are, and their names.
fn entries(places: &[Location]) -> Vec<String> {
    places.iter().map(|at| format!("{} {}", at.noun, at.name)).collect()
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

impl Inventory {
    /// What the rules say of a site, completed as [`Self::replace_site`] would.
    pub async fn review_site(&self, site: Site) -> Review {
        let (before, around) = (self.snapshot(), self.surroundings());
        let work = move || {
            let mut after = before.site.with(site);
            complete(&before.site, &mut after);
            review(&before.site, &after, &around)
        };
        tokio::task::spawn_blocking(work).await.expect("the rules do not panic and are not aborted")
    }

    /// Makes the site equal to `site`, but for what it leaves to the inventory.
    ///
    /// # Errors
    /// [`ChangeError::MassRemoval`] unless the change may prune, and those of every change.
    pub async fn replace_site(
        &self,
        change: Change<'_>,
        site: Site,
    ) -> Result<Committed, ChangeError> {
        let edit = |current: &mut ResolvedSite| {
            let before = std::mem::replace(current, current.with(site));
            keep_images_of_new(&before, current);
            Ok(())
        };
        self.change(change, edit, !change.prune).await
    }

    /// Applies `edit` to the site as it is in the database now and makes that the next
    /// revision. Changes are made one after another, whichever process asks, so that
    /// an edit never undoes one that its author did not see.
    pub async fn change_site(
        &self,
        change: Change<'_>,
        edit: impl FnOnce(&mut Site) -> Result<(), ChangeError>,
    ) -> Result<Committed, ChangeError> {
        let edit = |site: &mut ResolvedSite| {
            let racks: Vec<String> = site.racks.keys().cloned().collect();
            let images: Vec<String> = site.images.keys().cloned().collect();
            let subnets = site.subnets.clone();
            edit(site)?;
            if let Some(taken) = find_taken_prefix(&site.subnets, &subnets) {
                return Err(ChangeError::Taken(taken));
            }
            check_removed_racks(&racks, site)?;
            check_removed_images(&images, site)
        };
        self.change(change, edit, false).await
    }

    /// Makes a change. If it is `sparing`, it must not delete most of the site.
    async fn change(
        &self,
        change: Change<'_>,
        edit: impl FnOnce(&mut ResolvedSite) -> Result<(), ChangeError>,
        sparing: bool,
    ) -> Result<Committed, ChangeError> {
        let mut transaction = self.database.begin_changing().await?;
        let before = self.unsealed(Snapshot::read(&mut transaction).await?);
        if change.base.is_some_and(|base| base != before.revision) {
            return Err(outdated(&mut transaction).await?);
        }
        let mut after = before.site.clone();
        edit(&mut after)?;
        let (before, after, verdict) =
            completed_and_checked(before, after, self.surroundings()).await;
        if let Err(denied) = decide(change.limits, &before.site, &after) {
            transaction.roll_back().await?;
            self.audit_denied(change.author(), &denied).await;
            return Err(denied.into());
        }
        let warnings = verdict?;
        if sparing && let Some(removal) = MassRemoval::find(&before.site, &after) {
            return Err(ChangeError::MassRemoval(removal));
        }
        let differences = diff(&before.site, &after);
        if differences.is_empty() {
            let tried = None;
            return Ok(Committed { revision: before.revision, differences, warnings, tried });
        }
        if let Err(error) = write_site(&mut transaction, &before.site, &after).await {
            transaction.roll_back().await?;
            return Err(self.explain(error, &after).await);
        }
        let revision =
            Revision::new(before.revision + 1, change, &before.site, &after, now_ms() / 1000);
        revisions::add(&mut transaction, &revision).await?;
        if change.dry_run {
            transaction.roll_back().await?;
            let tried = Some(Box::new(Tried { before: before.site, after }));
            return Ok(Committed { revision: before.revision, differences, warnings, tried });
        }
        let committed = Committed { revision: revision.id, differences, warnings, tried: None };
        let author = change.author();
        let action =
            AuditAction::Changed { revision: revision.id, summary: change.summary.to_owned() };
        let entry = AuditEntry::new(author, action, now_ms());
        let entry = self.numbered(entry);
        audit_log::add(&mut transaction, &entry).await?;
        transaction.commit().await?;
        self.database.checkpoint().await;
        self.show(Snapshot::new(revision.id, after));
        self.tell_of_audit(entry);
        Ok(committed)
    }

    /// Undoes a revision: every entry that it changed becomes what it was before.
    ///
    /// # Errors
    /// [`ChangeError::MassRemoval`] unless the change may prune, and those of every change.
    pub async fn revert(&self, change: Change<'_>, id: i64) -> Result<Committed, ChangeError> {
        let Some(revision) = self.database.find_revision(id).await? else {
            return Err(ChangeError::NoRevision(id));
        };
        let sparing = !change.prune;
        let edit = |site: &mut ResolvedSite| {
            let racks: Vec<String> = site.racks.keys().cloned().collect();
            let images: Vec<String> = site.images.keys().cloned().collect();
            revision.undo(site)?;
            check_removed_racks(&racks, site)?;
            check_removed_images(&images, site)
        };
        self.change(change, edit, sparing).await
    }

    /// Says who has what the database would not give twice.
    async fn explain(&self, error: Error, wanted: &ResolvedSite) -> ChangeError {
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

/// A host that got its image by the policy for new hosts keeps it where a site file names none: the
/// file leaves it to the inventory.
fn keep_images_of_new(before: &ResolvedSite, after: &mut ResolvedSite) {
    let mut kept = Vec::new();
    for (name, host) in after.hosts.iter().filter(|(_, host)| host.image.is_none()) {
        let Some(image) = before.hosts.get(name).and_then(|old| old.image.clone()) else {
            continue;
        };
        if after.policy_for_new(host) == NewHosts::Install(image.clone()) {
            kept.push((name.clone(), image));
        }
    }
    for (name, image) in kept {
        if let Some(host) = after.hosts.get_mut(&name) {
            host.image = Some(image);
        }
    }
}

/// Refuses an edit that removed one of these racks and left hosts or switches in it.
fn check_removed_racks(racks: &[String], after: &Site) -> Result<(), ChangeError> {
    for rack in racks.iter().filter(|rack| !after.racks.contains_key(*rack)) {
        let is_in = |named: &Option<String>| named.as_ref() == Some(rack);
        let hosts = after.hosts.iter().filter(|(_, host)| is_in(&host.rack));
        let switches = after.switches.iter().filter(|(_, switch)| is_in(&switch.rack));
        let hosts = hosts.map(|(name, _)| Location::of::<Host>(name));
        let switches = switches.map(|(name, _)| Location::of::<Switch>(name));
        let used_by: Vec<Location> = hosts.chain(switches).map(|at| at.at("rack")).collect();
        if !used_by.is_empty() {
            return Err(ChangeError::RackInUse { rack: rack.clone(), used_by });
        }
    }
    Ok(())
}

/// Refuses an edit that removed one of these images and left hosts that boot it.
fn check_removed_images(images: &[String], after: &Site) -> Result<(), ChangeError> {
    for image in images.iter().filter(|image| !after.images.contains_key(*image)) {
        let hosts = after.hosts.iter();
        let hosts = hosts.filter(|(_, host)| host.image.as_ref() == Some(image));
        let others = after.images.iter();
        let others = others.filter(|(_, other)| other.live_system.as_ref() == Some(image));
        let hosts = hosts.map(|(name, _)| Location::of::<Host>(name).at("image"));
        let others = others.map(|(name, _)| Location::of::<Image>(name).at("live-system"));
        let used_by: Vec<Location> = hosts.chain(others).collect();
        if !used_by.is_empty() {
            return Err(ChangeError::ImageInUse { image: image.clone(), used_by });
        }
    }
    Ok(())
}

async fn outdated(transaction: &mut Transaction) -> Result<ChangeError, Error> {
    let newest = revisions::newest(transaction).await?;
    let (revision, who, summary) = newest.unwrap_or_default();
    Ok(ChangeError::Outdated { revision, who, summary })
}

/// Fills in what the author left out, and finds what is wrong, away from the threads that
/// answer packets: a large site takes a good part of a second.
async fn completed_and_checked(
    before: Snapshot,
    mut after: ResolvedSite,
    around: Arc<Surroundings>,
) -> (Snapshot, ResolvedSite, Result<Vec<Finding>, ChangeError>) {
    let work = move || {
        complete(&before.site, &mut after);
        let verdict = check(&before.site, &after, &around);
        (before, after, verdict)
    };
    tokio::task::spawn_blocking(work).await.expect("the rules do not panic and are not aborted")
}

/// The new warnings about `after`, unless it breaks a rule.
fn check(
    before: &ResolvedSite,
    after: &ResolvedSite,
    around: &Surroundings,
) -> Result<Vec<Finding>, ChangeError> {
    let Review { errors, warnings, .. } = review(before, after, around);
    if errors.is_empty() { Ok(warnings) } else { Err(ChangeError::Refused(errors)) }
}

/// What was wrong before refuses no change: a new version's new rule must not lock an operator
/// out of an old inventory.
fn review(before: &ResolvedSite, after: &ResolvedSite, around: &Surroundings) -> Review {
    let findings = check_site_within(after, around);
    let mut new = findings.clone();
    if !findings.is_empty() {
        // Without the fix: which address is free next is not another finding.
        let told = |finding: &Finding| (finding.rule, finding.at.clone(), finding.text.clone());
        let known: HashSet<_> = check_site_within(before, around).iter().map(told).collect();
        new.retain(|finding| !known.contains(&told(finding)));
    }
    new.retain(|finding| finding.severity != Severity::Silenced);
    let (errors, warnings) =
        new.into_iter().partition(|finding| finding.severity == Severity::Error);
    Review { findings, errors, warnings }
}

/// Writes what differs, in the order that the references between tables ask for.
async fn write_site(
    transaction: &mut Transaction,
    before: &ResolvedSite,
    after: &ResolvedSite,
) -> Result<(), Error> {
    let renamed = renamed_hosts(before, after);
    hosts::rename(transaction, &renamed).await?;
    let mut hosts_before = before.hosts.clone();
    for (old, new) in renamed {
        if let Some(host) = hosts_before.remove(&old) {
            hosts_before.insert(new, host);
        }
    }
    let changing = hosts::Changing::new(before, &hosts_before, after);
    hosts::release_changed(transaction, &changing).await?;

    specs::set_changed(transaction, &before.wide(), &after.wide()).await?;
    for kind in NounKind::ALL {
        match kind {
            NounKind::Rack => {
                specs::set_changed(transaction, &before.racks, &after.racks).await?;
            }
            NounKind::Tenant => {
                specs::set_changed(transaction, &before.tenants, &after.tenants).await?;
            }
            NounKind::Switch => {
                specs::set_changed(transaction, &before.switches, &after.switches).await?;
            }
            NounKind::Subnet => {
                subnets::set_changed(transaction, &before.subnets, &after.subnets).await?;
            }
            NounKind::ProfileTree => {
                specs::set_changed(transaction, &before.profiles, &after.profiles).await?;
            }
            NounKind::Image => {
                specs::set_changed(transaction, &before.images, &after.images).await?;
            }
            NounKind::Host => hosts::set_changed(transaction, &changing).await?,
        }
    }

    specs::remove_missing(transaction, &before.wide(), &after.wide()).await?;
    for kind in NounKind::ALL.iter().rev() {
        match kind {
            // They went first: nothing refers to a host.
            NounKind::Host => {}
            NounKind::Image => {
                specs::remove_missing(transaction, &before.images, &after.images).await?;
            }
            NounKind::ProfileTree => {
                specs::remove_missing(transaction, &before.profiles, &after.profiles).await?;
            }
            NounKind::Subnet => {
                subnets::remove_missing(transaction, &before.subnets, &after.subnets).await?;
            }
            NounKind::Switch => {
                specs::remove_missing(transaction, &before.switches, &after.switches).await?;
            }
            NounKind::Tenant => {
                specs::remove_missing(transaction, &before.tenants, &after.tenants).await?;
            }
            NounKind::Rack => {
                specs::remove_missing(transaction, &before.racks, &after.racks).await?;
            }
        }
    }
    Ok(())
}
