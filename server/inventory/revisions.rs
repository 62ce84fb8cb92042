//! Revisions: every change of the site, who made it and when.

use serde::Serialize;

use crate::inventory::change::{Change, ChangeError};
use crate::inventory::database::{Transaction, execute, with_connection, with_pool};
use crate::inventory::{Database, Error, Inventory};
use crate::model::{Difference, Site, diff, keep_differing, revert};
use crate::network::{Consequences, Group, consequences, host_consequences};
use crate::profile::ResolvedSite;
use crate::site_file;

/// How many newer revisions are taken back to find the site as an older one left it.
const FARTHEST: i64 = 100;

/// One change of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, schemars::JsonSchema)]
pub struct Revision {
    /// 1, 2, 3 ...
    pub id: i64,
    /// When, in Unix seconds.
    pub at: i64,
    /// Who made it.
    pub who: String,
    /// What was done, in a few words.
    pub summary: String,
    /// A site file of what was changed, as it was.
    pub before: String,
    /// And as it is since.
    pub after: String,
}

impl Revision {
    /// A revision that turns one site into another at a moment (Unix seconds).
    pub(crate) fn new(id: i64, change: Change<'_>, before: &Site, after: &Site, at: i64) -> Self {
        let mut text = (before.clone(), after.clone());
        keep_differing(&mut text.0, after);
        keep_differing(&mut text.1, before);
        Self {
            id,
            at,
            who: change.who.to_owned(),
            summary: change.summary.to_owned(),
            before: site_file::render(&text.0),
            after: site_file::render(&text.1),
        }
    }

    /// What it changed.
    pub fn differences(&self) -> Result<Vec<Difference>, Error> {
        let (before, after) = self.sites()?;
        Ok(diff(&before, &after))
    }

    /// Gives every entry that it changed the value of before.
    pub fn undo(&self, site: &mut Site) -> Result<(), ChangeError> {
        let (before, after) = self.sites()?;
        revert(site, &before, &after).map_err(|changed_since| ChangeError::RevertConflict {
            revision: self.id,
            changed_since,
        })
    }

    /// The entries that it changed, before and after.
    pub fn sites(&self) -> Result<(Site, Site), Error> {
        let name = self.id.to_string();
        let read = |text: &str| {
            site_file::parse(text, "revision")
                .map_err(|errors| Error::unreadable("revision", &name, join(&errors)))
        };
        Ok((read(&self.before)?, read(&self.after)?))
    }
}

fn join(errors: &[site_file::SiteFileError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Which revisions a page is to have.
#[derive(Clone, Debug, Default)]
pub struct RevisionPageQuery {
    /// Those of one author only.
    pub who: Option<String>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// The number of the last one of the page before.
    pub behind: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

/// Adds a revision.
pub(crate) async fn add(transaction: &mut Transaction, revision: &Revision) -> Result<(), Error> {
    const ADD: &str = "INSERT INTO revisions (id, at, who, summary, before, after)
         VALUES ($1, $2, $3, $4, $5, $6)";
    let Revision { id, at, who, summary, before, after } = revision;
    execute!(transaction, ADD, id, at, who, summary, before, after)?;
    tell_others(transaction).await
}

/// Lets the other servers on this database know, once it is committed, that there is news.
pub(crate) async fn tell_others(transaction: &mut Transaction) -> Result<(), Error> {
    const TELL: &str = "SELECT pg_notify('rackstrap_revision', '')";
    if let Transaction::Postgres(..) = transaction {
        execute!(transaction, TELL)?;
    }
    Ok(())
}

/// The newest revision's number, author and summary.
pub(crate) async fn newest(
    transaction: &mut Transaction,
) -> Result<Option<(i64, String, String)>, Error> {
    const NEWEST: &str = "SELECT id, who, summary FROM revisions ORDER BY id DESC LIMIT 1";
    Ok(with_connection!(transaction, connection =>
        sqlx::query_as(NEWEST).fetch_optional(connection).await)?)
}

impl Database {
    /// The newest revisions, newest first.
    pub async fn list_revisions(&self, limit: u32) -> Result<Vec<Revision>, Error> {
        const LIST: &str = "SELECT id, at, who, summary, before, after FROM revisions
             ORDER BY id DESC LIMIT $1";
        Ok(with_pool!(self, pool =>
            sqlx::query_as(LIST).bind(i64::from(limit)).fetch_all(pool).await)?)
    }

    /// The newest revisions without what they changed, newest first: that of the first revision
    /// of a large site is tens of megabytes.
    pub async fn list_revision_heads(&self, limit: u32) -> Result<Vec<Revision>, Error> {
        const LIST: &str = "SELECT id, at, who, summary, '' AS before, '' AS after FROM revisions
             ORDER BY id DESC LIMIT $1";
        Ok(with_pool!(self, pool =>
            sqlx::query_as(LIST).bind(i64::from(limit)).fetch_all(pool).await)?)
    }

    /// One page of revisions.
    pub async fn page_revisions(&self, query: &RevisionPageQuery) -> Result<Vec<Revision>, Error> {
        const NEWEST: &str = "SELECT id, at, who, summary, before, after FROM revisions
             WHERE id < $1 AND who = COALESCE($2, who) ORDER BY id DESC LIMIT $3";
        const OLDEST: &str = "SELECT id, at, who, summary, before, after FROM revisions
             WHERE id > $1 AND who = COALESCE($2, who) ORDER BY id LIMIT $3";
        let (sql, from) = match query.oldest_first {
            true => (OLDEST, query.behind.unwrap_or_default()),
            false => (NEWEST, query.behind.unwrap_or(i64::MAX)),
        };
        Ok(with_pool!(self, pool => sqlx::query_as(sql)
            .bind(from)
            .bind(query.who.as_deref())
            .bind(i64::from(query.limit))
            .fetch_all(pool)
            .await)?)
    }

    /// One revision.
    pub async fn find_revision(&self, id: i64) -> Result<Option<Revision>, Error> {
        const FIND: &str =
            "SELECT id, at, who, summary, before, after FROM revisions WHERE id = $1";
        Ok(with_pool!(self, pool => sqlx::query_as(FIND).bind(id).fetch_optional(pool).await)?)
    }

    /// The revisions from one number to another, both included, newest first.
    async fn list_revisions_between(&self, from: i64, to: i64) -> Result<Vec<Revision>, Error> {
        const LIST: &str = "SELECT id, at, who, summary, before, after FROM revisions
             WHERE id >= $1 AND id <= $2 ORDER BY id DESC";
        Ok(with_pool!(self, pool =>
            sqlx::query_as(LIST).bind(from).bind(to).fetch_all(pool).await)?)
    }

    /// The number of the newest revision; 0 if there is none.
    pub async fn newest_revision(&self) -> Result<i64, Error> {
        const NEWEST: &str = "SELECT COALESCE(MAX(id), 0) FROM revisions";
        Ok(with_pool!(self, pool => sqlx::query_scalar(NEWEST).fetch_one(pool).await)?)
    }
}

impl Inventory {
    /// What a revision did to the generated files of hosts and switches; none if it is too long
    /// ago to be found out. The site is not kept as it was: what came since is taken back.
    pub async fn find_consequences(&self, id: i64) -> Result<Option<Consequences>, Error> {
        self.find_in_sites(id, |before, after| consequences(&before, &after)).await
    }

    /// What a revision did to the generated files of one host; none if it is too long ago.
    pub async fn find_host_consequences(
        &self,
        id: i64,
        host: String,
    ) -> Result<Option<Vec<Group>>, Error> {
        let find = move |before: ResolvedSite, after: ResolvedSite| {
            host_consequences(&before, &after, &host)
        };
        self.find_in_sites(id, find).await
    }

    /// What `find` finds in the sites before and after a revision.
    async fn find_in_sites<T: Send + 'static>(
        &self,
        id: i64,
        find: impl FnOnce(ResolvedSite, ResolvedSite) -> T + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let snapshot = self.snapshot();
        if !(0..FARTHEST).contains(&(snapshot.revision - id)) {
            return Ok(None);
        }
        let since = self.database.list_revisions_between(id, snapshot.revision).await?;
        let work = move || {
            let mut after = snapshot.site.clone();
            let (revision, newer) = since.split_last()?;
            newer.iter().try_for_each(|newer| newer.undo(&mut after)).ok()?;
            let mut before = after.clone();
            revision.undo(&mut before).ok()?;
            Some(find(before, after))
        };
        let found = tokio::task::spawn_blocking(work).await;
        Ok(found.expect("rendering does not panic and is not aborted"))
    }
}
