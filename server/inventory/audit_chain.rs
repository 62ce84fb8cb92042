//! The chain over the audit log: a link for each entry, with a digest of the entry and of the link
//! before it, so that an entry that was changed, removed or slipped in is found
//! (docs/decisions/1017).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::inventory::database::{Transaction, execute, with_connection, with_pool};
use crate::inventory::event_log::first_id;
use crate::inventory::{Database, Error};
use crate::lifecycle::audit::HOUR_MS;

/// How many entries get their link in one transaction, and how many links are checked at a time.
const AT_ONCE: i64 = 500;

/// What a link is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// An entry that was stored with it.
    Entry,
    /// An entry that was there without one: of an earlier version, or from elsewhere.
    Adopted,
    /// How often an entry was counted, when its hour was over.
    Counted,
    /// That entries before a moment were removed, by the retention.
    Trimmed,
}

impl About {
    fn label(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Adopted => "adopted",
            Self::Counted => "counted",
            Self::Trimmed => "trimmed",
        }
    }
}

/// A link of the chain, which stands for all before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 before the first.
    pub number: i64,
    /// SHA-256 of the link and of the hash before it, hexadecimal; empty before the first.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.hash)
    }
}

impl Serialize for Head {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that names no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a head of the audit log: expected NUMBER-HASH, as the server logs it")]
pub struct NotAHead(String);

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let parts = text.split_once('-').and_then(|(number, hash)| {
            let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            Some((number.parse().ok()?, is_hash.then(|| hash.to_ascii_lowercase())?))
        });
        let Some((number, hash)) = parts else { return Err(NotAHead(text.to_owned())) };
        Ok(Self { number, hash })
    }
}

/// An entry as the database has it; empty where it has none.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
struct StoredEntry {
    at_ms: Option<i64>,
    last_ms: Option<i64>,
    times: Option<i64>,
    who: Option<String>,
    via: Option<String>,
    address: Option<String>,
    kind: Option<String>,
    data: Option<String>,
    same_as: Option<String>,
}

impl StoredEntry {
    /// The digest of what a link says of it. What is still counted is not in that of the entry.
    fn content(&self, id: &str, about: About) -> String {
        let Self { at_ms, last_ms, times, who, via, address, kind, data, same_as } = self;
        let is_open = same_as.is_some() && about != About::Counted;
        let counted = (!is_open).then_some((last_ms, times));
        digest(&(id, at_ms, counted, who, via, address, kind, data, same_as))
    }
}

/// SHA-256 of a value as JSON, which tells its parts apart, hexadecimal.
fn digest(value: &impl Serialize) -> String {
    // Texts and numbers always are JSON.
    let json = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A link as the database has it.
#[derive(Clone, Debug, sqlx::FromRow)]
struct Link {
    number: i64,
    what: String,
    id: String,
    content: String,
    base: Option<i64>,
    base_hash: Option<String>,
    hash: String,
}

impl Link {
    /// The hash that it has behind a link with the hash `before`.
    fn hash_behind(&self, before: &str) -> String {
        let Self { number, what, id, content, base, base_hash, hash: _ } = self;
        digest(&(before, number, what, id, content, base, base_hash))
    }

    fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash.clone() }
    }
}

/// What is wrong with the audit log: the first of it, in the order of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema, thiserror::Error)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// An entry is not what was stored.
    #[error("entry {id} was changed (link {number})")]
    Changed {
        /// The entry.
        id: String,
        /// Its link.
        number: i64,
    },
    /// An entry is gone that the retention has not removed.
    #[error("entry {id} was removed (link {number})")]
    Removed {
        /// The entry.
        id: String,
        /// Its link.
        number: i64,
    },
    /// An entry has no link.
    #[error(
        "entry {id} was inserted without a link: by hand, or by a server of an earlier version, \
         whose entries get theirs when a server of this version starts"
    )]
    Inserted {
        /// The entry.
        id: String,
    },
    /// A link is missing or was changed.
    #[error("link {number} of the chain was changed or removed")]
    Broken {
        /// Its number.
        number: i64,
    },
    /// The log ends before a head that it had.
    #[error("the log ends at link {last}, before link {number} of the head: its end was removed")]
    Cut {
        /// The last link.
        last: i64,
        /// That of the head.
        number: i64,
    },
    /// A link is not the one that the log had.
    #[error("link {number} does not match the head: the log was rewritten")]
    Rewritten {
        /// That of the head.
        number: i64,
    },
    /// The head is of what the retention has removed.
    #[error("link {number} was removed by the retention; compare a later head")]
    TooOld {
        /// That of the head.
        number: i64,
    },
}

/// What a check of the audit log found.
#[derive(Clone, Debug, Serialize)]
pub struct AuditCheck {
    /// How many entries agree with their links.
    pub entries: u64,
    /// How many of them got their link later: those of earlier versions, or from elsewhere.
    pub adopted: u64,
    /// The id of the last of these.
    pub last_adopted: Option<String>,
    /// Entries before this moment (Unix milliseconds) were removed by the retention.
    pub trimmed_before_ms: Option<i64>,
    /// The last link that is right.
    pub head: Head,
    /// What is wrong; none if all is right.
    #[serde(flatten)]
    pub fault: Option<Fault>,
}

/// Follows the chain from link to link.
struct Walk<'a> {
    /// The link before the next.
    before: Head,
    /// Entries with smaller ids may be missing.
    trimmed: String,
    /// What the log once had.
    expected: Option<&'a Head>,
    check: AuditCheck,
}

impl Walk<'_> {
    /// Compares the link that was reached with the head that is expected there.
    fn compare(&self) -> Result<(), Fault> {
        match self.expected {
            Some(Head { number, hash }) if *number == self.before.number => {
                let is_same = *hash == self.before.hash;
                is_same.then_some(()).ok_or(Fault::Rewritten { number: *number })
            }
            _ => Ok(()),
        }
    }

    /// Takes the next link, with the entry that it is about if that is there.
    fn step(&mut self, link: &Link, entry: Option<&StoredEntry>) -> Result<(), Fault> {
        let number = self.before.number + 1;
        if link.number != number || link.hash != link.hash_behind(&self.before.hash) {
            return Err(Fault::Broken { number });
        }
        let about = match link.what.as_str() {
            "entry" => About::Entry,
            "adopted" => About::Adopted,
            "counted" => About::Counted,
            _ => About::Trimmed,
        };
        let id = link.id.clone();
        match (about, entry) {
            (About::Trimmed, _) => {}
            (_, None) if id < self.trimmed => {}
            (_, None) => return Err(Fault::Removed { id, number }),
            (_, Some(entry)) if entry.content(&id, about) != link.content => {
                return Err(Fault::Changed { id, number });
            }
            (About::Counted, Some(_)) => {}
            (About::Entry, Some(_)) => self.check.entries += 1,
            (About::Adopted, Some(_)) => {
                self.check.entries += 1;
                self.check.adopted += 1;
                self.check.last_adopted = Some(id);
            }
        }
        self.before = link.head();
        self.compare()
    }

    /// What is to be said at the end of the chain.
    fn end(&self) -> Result<(), Fault> {
        match self.expected {
            Some(head) if head.number > self.before.number => {
                Err(Fault::Cut { last: self.before.number, number: head.number })
            }
            _ => Ok(()),
        }
    }
}

/// Lets one process at a time add to the audit log. SQLite has one writer anyway.
pub(super) async fn take_turn(transaction: &mut Transaction) -> sqlx::Result<()> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(7261636175646974)";
    if let Transaction::Postgres(..) = transaction {
        execute!(transaction, LOCK)?;
    }
    Ok(())
}

/// The last link. Nobody adds another one before the transaction ends, if it has the turn.
async fn last(transaction: &mut Transaction) -> sqlx::Result<Head> {
    const LAST: &str = "SELECT number, hash FROM audit_chain ORDER BY number DESC LIMIT 1";
    let last: Option<(i64, String)> = with_connection!(transaction, connection =>
        sqlx::query_as(LAST).fetch_optional(connection).await)?;
    Ok(last.map(|(number, hash)| Head { number, hash }).unwrap_or_default())
}

/// Adds a link behind the last one. The transaction must have the turn.
async fn append(
    transaction: &mut Transaction,
    about: About,
    id: &str,
    content: String,
    base: Option<Head>,
) -> sqlx::Result<()> {
    const ADD: &str = "INSERT INTO audit_chain (number, what, id, content, base, base_hash, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let before = last(transaction).await?;
    let (base, base_hash) = base.map(|Head { number, hash }| (number, hash)).unzip();
    let (what, id) = (about.label().to_owned(), id.to_owned());
    let number = before.number + 1;
    let mut link = Link { number, what, id, content, base, base_hash, hash: String::new() };
    link.hash = link.hash_behind(&before.hash);
    let Link { number, what, id, content, base, base_hash, hash } = link;
    execute!(transaction, ADD, number, what, id, content, base, base_hash, hash)?;
    Ok(())
}

/// Whether an entry has a link of a kind.
pub(super) async fn has_link(
    transaction: &mut Transaction,
    about: About,
    id: &str,
) -> sqlx::Result<bool> {
    const COUNT: &str = "SELECT count(*) FROM audit_chain WHERE what = $1 AND id = $2";
    let count: i64 = with_connection!(transaction, connection =>
        sqlx::query_scalar(COUNT).bind(about.label()).bind(id).fetch_one(connection).await)?;
    Ok(count > 0)
}

/// Gives an entry that was stored in this transaction its link, from what the database has of it.
pub(super) async fn link(
    transaction: &mut Transaction,
    about: About,
    id: &str,
) -> sqlx::Result<()> {
    const READ: &str = "SELECT at_ms, last_ms, times, who, via, address, kind, data, same_as \
         FROM audit WHERE id = $1";
    let entry: StoredEntry = with_connection!(transaction, connection =>
        sqlx::query_as(READ).bind(id).fetch_one(connection).await)?;
    append(transaction, about, id, entry.content(id, about), None).await
}

/// A row of the chain, beside the entry that it is about.
#[derive(sqlx::FromRow)]
struct LinkedEntry {
    #[sqlx(flatten)]
    link: Link,
    #[sqlx(flatten)]
    entry: StoredEntry,
}

/// Entries that have no link of their own, oldest first.
const WITHOUT_LINK: &str = "SELECT id FROM audit a WHERE id >= $1 AND id < $2 \
     AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.what = 'entry' AND c.id = a.id) \
     AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.what = 'adopted' AND c.id = a.id) \
     ORDER BY id LIMIT $3";
/// Entries that are counted no more and whose count has no link, oldest first.
const NOT_CLOSED: &str = "SELECT id FROM audit a WHERE id >= $1 AND id < $2 \
     AND same_as IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM audit_chain c WHERE c.what = 'counted' AND c.id = a.id) \
     ORDER BY id LIMIT $3";
/// After all ids, which begin with 13 digits, in the order of any language.
const NO_END: &str = "99999999999999";

impl Database {
    /// Gives links to the entries that `list` finds between two ids; how many there were.
    async fn link_all(
        &self,
        list: &'static str,
        about: About,
        (from, until): (&str, &str),
    ) -> sqlx::Result<u64> {
        let (mut from, mut linked) = (from.to_owned(), 0);
        loop {
            let mut transaction = self.begin_writing().await?;
            take_turn(&mut transaction).await?;
            let ids: Vec<String> = with_connection!(&mut transaction, connection =>
                sqlx::query_scalar(list).bind(&from).bind(until).bind(AT_ONCE)
                    .fetch_all(connection).await)?;
            for id in &ids {
                link(&mut transaction, about, id).await?;
            }
            transaction.commit().await?;
            linked += ids.len() as u64;
            match ids.last() {
                Some(last) => from.clone_from(last),
                None => return Ok(linked),
            }
        }
    }

    /// Gives links to entries that have none; how many there were.
    pub(super) async fn adopt_audit(&self) -> sqlx::Result<u64> {
        self.link_all(WITHOUT_LINK, About::Adopted, ("", NO_END)).await
    }

    /// The same, of a database that has had no chain so far.
    pub(super) async fn begin_audit_chain(&self) -> sqlx::Result<()> {
        const SQL: &str = "SELECT (SELECT count(*) FROM (SELECT 1 FROM audit LIMIT 1) AS one) > \
             (SELECT count(*) FROM (SELECT 1 FROM audit_chain LIMIT 1) AS one)";
        let is_due: bool = with_pool!(self, pool => sqlx::query_scalar(SQL).fetch_one(pool).await)?;
        if is_due {
            let adopted = self.adopt_audit().await?;
            tracing::info!(adopted, "the audit log has a chain now");
        }
        Ok(())
    }

    /// Puts into the chain how often was counted what is counted no more, of entries from a moment
    /// on (Unix milliseconds). An hour is closed an hour later: counts may be on their way.
    pub(super) async fn close_audit_hours(&self, from_ms: i64, now_ms: i64) -> sqlx::Result<u64> {
        let until_ms = (now_ms / HOUR_MS - 1) * HOUR_MS;
        let between = (first_id(from_ms), first_id(until_ms));
        self.link_all(NOT_CLOSED, About::Counted, (&between.0, &between.1)).await
    }

    /// The last link of the chain.
    pub async fn audit_head(&self) -> Result<Head, Error> {
        let mut transaction = self.begin_reading().await?;
        let head = last(&mut transaction).await?;
        transaction.roll_back().await?;
        Ok(head)
    }

    /// Removes the entries before a moment (Unix milliseconds), and the links that are about them
    /// alone; how many entries there were. A link says so, and where the chain begins now.
    pub async fn remove_audit_before(&self, before_ms: i64) -> Result<u64, Error> {
        const ANY: &str = "SELECT count(*) FROM (SELECT 1 FROM audit WHERE id < $1 LIMIT 1) AS one";
        const KEPT: &str = "SELECT number FROM audit_chain WHERE id >= $1 ORDER BY number LIMIT 1";
        const REMOVE: &str = "DELETE FROM audit WHERE id < $1";
        const REMOVE_LINKS: &str = "DELETE FROM audit_chain WHERE number <= $1";
        let before = first_id(before_ms);
        let mut transaction = self.begin_writing().await?;
        take_turn(&mut transaction).await?;
        let any: i64 = with_connection!(&mut transaction, connection =>
            sqlx::query_scalar(ANY).bind(&before).fetch_one(connection).await)?;
        // Each trims more than the one before, so that the last is the one with the greatest id.
        if any == 0 || before <= begin_of(&mut transaction).await?.1 {
            return Ok(0);
        }
        let kept: Option<i64> = with_connection!(&mut transaction, connection =>
            sqlx::query_scalar(KEPT).bind(&before).fetch_optional(connection).await)?;
        let base = match kept {
            None => last(&mut transaction).await?,
            Some(kept) => match head_of(&mut transaction, kept - 1).await? {
                Some(head) => head,
                None => begin_of(&mut transaction).await?.0,
            },
        };
        let number = base.number;
        let content = digest(&("trimmed", &before));
        append(&mut transaction, About::Trimmed, &before, content, Some(base)).await?;
        let removed = execute!(&mut transaction, REMOVE, &before)?;
        execute!(&mut transaction, REMOVE_LINKS, number)?;
        transaction.commit().await?;
        Ok(removed)
    }

    /// Reads the whole audit log and its chain as they are now, and says what is wrong first. `expected` is a
    /// head that the log had once.
    pub async fn check_audit(&self, expected: Option<&Head>) -> Result<AuditCheck, Error> {
        let mut transaction = self.begin_reading().await?;
        let (begin, trimmed) = begin_of(&mut transaction).await?;
        let check = AuditCheck {
            entries: 0,
            adopted: 0,
            last_adopted: None,
            trimmed_before_ms: trimmed.parse().ok(),
            head: Head::default(),
            fault: None,
        };
        let mut walk = Walk { before: begin, trimmed, expected, check };
        let walked = walk_all(&mut transaction, &mut walk).await;
        transaction.roll_back().await?;
        walk.check.fault = walked?.err();
        walk.check.head = walk.before;
        Ok(walk.check)
    }
}

async fn walk_all(
    transaction: &mut Transaction,
    walk: &mut Walk<'_>,
) -> Result<Result<(), Fault>, Error> {
    const LIST: &str = "SELECT c.number, c.what, c.id, c.content, c.base, c.base_hash, c.hash, \
             a.at_ms, a.last_ms, a.times, a.who, a.via, a.address, a.kind, a.data, a.same_as \
         FROM audit_chain c LEFT JOIN audit a ON a.id = c.id \
         WHERE c.number > $1 ORDER BY c.number LIMIT $2";
    if let Some(head) = walk.expected
        && head.number < walk.before.number
    {
        return Ok(Err(Fault::TooOld { number: head.number }));
    }
    if let Err(fault) = walk.compare() {
        return Ok(Err(fault));
    }
    loop {
        let number = walk.before.number;
        let links: Vec<LinkedEntry> = with_connection!(&mut *transaction, connection =>
            sqlx::query_as(LIST).bind(number).bind(AT_ONCE).fetch_all(connection).await)?;
        if links.is_empty() {
            break;
        }
        for LinkedEntry { link, entry } in links {
            let entry = entry.at_ms.is_some().then_some(&entry);
            if let Err(fault) = walk.step(&link, entry) {
                return Ok(Err(fault));
            }
        }
    }
    let inserted: Option<String> = with_connection!(&mut *transaction, connection =>
        sqlx::query_scalar(WITHOUT_LINK).bind("").bind(NO_END).bind(1_i64)
            .fetch_optional(connection).await)?;
    Ok(match inserted {
        Some(id) => Err(Fault::Inserted { id }),
        None => walk.end(),
    })
}

/// The link with a number.
async fn head_of(transaction: &mut Transaction, number: i64) -> sqlx::Result<Option<Head>> {
    const HASH: &str = "SELECT hash FROM audit_chain WHERE number = $1";
    let hash: Option<String> = with_connection!(transaction, connection =>
        sqlx::query_scalar(HASH).bind(number).fetch_optional(connection).await)?;
    Ok(hash.map(|hash| Head { number, hash }))
}

/// The link that the chain begins behind, and the id before which entries may be missing.
async fn begin_of(transaction: &mut Transaction) -> sqlx::Result<(Head, String)> {
    const TRIMMED: &str = "SELECT base, base_hash, id FROM audit_chain WHERE what = 'trimmed' \
         ORDER BY id DESC LIMIT 1";
    let trimmed: Option<(i64, String, String)> = with_connection!(transaction, connection =>
        sqlx::query_as(TRIMMED).fetch_optional(connection).await)?;
    Ok(trimmed.map(|(number, hash, id)| (Head { number, hash }, id)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = Head { number: 12, hash: "0a".repeat(32) };
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in ["", "12", "12-00", "x-", &format!("12-{}", "zz".repeat(32))] {
            assert!(text.parse::<Head>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_count_is_in_its_own_link_and_the_rest_in_both() {
        let entry = StoredEntry {
            at_ms: Some(1),
            times: Some(1),
            who: Some("ann".into()),
            same_as: Some("0".into()),
            ..StoredEntry::default()
        };
        let more = StoredEntry { times: Some(2), ..entry.clone() };
        let other = StoredEntry { who: Some("bob".into()), ..entry.clone() };
        let content = |entry: &StoredEntry, about| entry.content("1", about);
        assert_eq!(content(&entry, About::Entry), content(&more, About::Entry));
        assert_ne!(content(&entry, About::Counted), content(&more, About::Counted));
        for about in [About::Entry, About::Counted] {
            assert_ne!(content(&entry, about), content(&other, about));
        }
        let single = StoredEntry { same_as: None, ..entry };
        let changed = StoredEntry { times: Some(2), ..single.clone() };
        assert_ne!(content(&single, About::Entry), content(&changed, About::Entry));
    }
}
