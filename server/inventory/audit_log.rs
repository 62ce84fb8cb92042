//! The audit log in the database. What repeats is counted: a token that is used a thousand times
//! an hour is one row.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::inventory::audit_chain::{self, About};
use crate::inventory::database::{Transaction, execute, with_connection, with_pool};
use crate::inventory::event_log::first_id;
use crate::inventory::revisions::tell_others;
use crate::inventory::{Database, Error, Inventory, now_ms};
use crate::lifecycle::audit::{
    ActionKind, AuditAction, AuditEntry, Author, HOUR_MS, Origin, carried_over,
};

/// How soon what was counted in memory is stored.
const STORE_EVERY: Duration = Duration::from_secs(10);
/// How often entries that are too old are removed.
const TRIM_EVERY: Duration = Duration::from_secs(3600);
/// How far back is looked for what is counted no more: servers that share the database may be late.
const CLOSE_AGAIN_MS: i64 = 24 * HOUR_MS;
/// How many different things are counted in an hour; the others share a row for each kind.
const MOST_COUNTED: usize = 500;
/// How many entries wait for a database that takes none.
const MOST_NOT_STORED: usize = 2000;
/// How long a request waits until that it was made with a token is stored.
const COUNTED_WAITS: Duration = Duration::from_millis(500);
/// How long a request waits until anything else is stored.
const OTHERS_WAIT: Duration = Duration::from_secs(12);
/// How many entries of an earlier version are carried over in one transaction.
const CARRIED_AT_ONCE: i64 = 500;

/// Which entries are wanted, newest first unless it says otherwise.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Those of one user, token (`token NAME`) or login name only.
    pub who: Option<String>,
    /// Those of one kind only.
    pub kind: Option<ActionKind>,
    /// Those from one address only.
    pub address: Option<IpAddr>,
    /// Those of this moment or later, in Unix milliseconds.
    pub from_ms: Option<i64>,
    /// Those before this moment, in Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Those older than the entry with this id.
    pub before: Option<String>,
    /// Those newer than the entry with this id.
    pub after: Option<String>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// How many at most.
    pub limit: u32,
}

/// An entry, and the id that continues behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditEntry {
    /// It sorts by time; no two entries have the same.
    pub id: String,
    /// The entry.
    pub entry: AuditEntry,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    at_ms: i64,
    last_ms: i64,
    times: i64,
    who: String,
    via: String,
    address: Option<String>,
    data: String,
}

impl Row {
    fn read(self) -> Result<StoredAuditEntry, Error> {
        let Self { id, at_ms, last_ms, times, who, via, address, data } = self;
        let unreadable = |error: String| Error::unreadable("audit entry", &id, error);
        let origin = Origin {
            via: via.parse().map_err(|error| Error::unreadable("audit entry", &id, error))?,
            address: address
                .map(|address| address.parse())
                .transpose()
                .map_err(|error: std::net::AddrParseError| unreadable(error.to_string()))?,
        };
        // A newer version that shares the database has kinds that this one does not know.
        let action = serde_json::from_str(&data)
            .unwrap_or_else(|_| AuditAction::Recorded { text: data.clone() });
        let times = times.unsigned_abs();
        Ok(StoredAuditEntry {
            entry: AuditEntry { at_ms, last_ms, times, who, origin, action },
            id,
        })
    }
}

/// Adds an entry and its link, or counts it in the row that it is the same as.
pub(super) async fn add(
    transaction: &mut Transaction,
    stored: &StoredAuditEntry,
) -> Result<(), Error> {
    const ADD: &str =
        "INSERT INTO audit (id, at_ms, last_ms, times, who, via, address, kind, data, same_as)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (same_as) DO UPDATE SET times = audit.times + excluded.times,
             last_ms = CASE WHEN excluded.last_ms > audit.last_ms THEN excluded.last_ms
                            ELSE audit.last_ms END";
    const COUNTED_IN: &str = "SELECT id FROM audit WHERE same_as = $1";
    audit_chain::take_turn(transaction).await?;
    let StoredAuditEntry { id, entry } = stored;
    // Stored already: whoever waited for it gave up too early.
    if audit_chain::has_link(transaction, About::Entry, id).await? {
        return Ok(());
    }
    let mut same_as = entry.same_as();
    let counted_in: Option<String> = match &same_as {
        None => None,
        Some(same_as) => with_connection!(&mut *transaction, connection =>
            sqlx::query_scalar(COUNTED_IN).bind(same_as).fetch_optional(connection).await)?,
    };
    // What comes when its hour is closed is an entry of its own.
    if let Some(counted_in) = &counted_in
        && audit_chain::has_link(transaction, About::Counted, counted_in).await?
    {
        same_as = None;
    }
    let AuditEntry { at_ms, last_ms, times, who, origin, action } = entry;
    let data = serde_json::to_string(action)
        .map_err(|error| Error::unreadable("audit entry", action.kind().label(), error))?;
    execute!(
        transaction,
        ADD,
        id,
        at_ms,
        last_ms,
        i64::try_from(*times).unwrap_or(i64::MAX),
        who,
        origin.via.label(),
        origin.address.map(|address| address.to_string()),
        action.kind().label(),
        data,
        &same_as
    )?;
    if counted_in.is_none() || same_as.is_none() {
        audit_chain::link(transaction, About::Entry, id).await?;
    }
    Ok(())
}

/// A key that sorts by time and is nobody else's.
fn next_id(at_ms: i64) -> String {
    format!("{}-{:016x}", first_id(at_ms), rand::random::<u64>())
}

/// Whether a text is the id of an entry: milliseconds and a random number.
pub fn is_audit_id(text: &str) -> bool {
    let Some((at_ms, random)) = text.split_once('-') else { return false };
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (at_ms.len() >= 13 && at_ms.bytes().all(|byte| byte.is_ascii_digit()))
        && (random.len() == 16 && random.bytes().all(is_hex))
}

impl From<AuditEntry> for StoredAuditEntry {
    /// An entry that is about to be stored.
    fn from(entry: AuditEntry) -> Self {
        Self { id: next_id(entry.at_ms), entry }
    }
}

impl Database {
    /// Adds entries, or counts those that repeat.
    pub async fn add_audit(&self, entries: &[AuditEntry]) -> Result<(), Error> {
        let entries: Vec<StoredAuditEntry> = entries.iter().cloned().map(Into::into).collect();
        self.store_audit(&entries).await
    }

    /// [`Self::add_audit`] of entries that have ids.
    async fn store_audit(&self, entries: &[StoredAuditEntry]) -> Result<(), Error> {
        let mut transaction = self.begin_writing().await?;
        for entry in entries {
            add(&mut transaction, entry).await?;
        }
        tell_others(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// One page of the audit log.
    pub async fn page_audit(&self, query: &AuditQuery) -> Result<Vec<StoredAuditEntry>, Error> {
        let mut sql = "SELECT id, at_ms, last_ms, times, who, via, address, data FROM audit \
                       WHERE id >= $1"
            .to_owned();
        let mut texts = vec![first_id(query.from_ms.unwrap_or_default())];
        let conditions = [
            ("id <", query.before.clone()),
            ("id >", query.after.clone()),
            ("id <", query.until_ms.map(first_id)),
            ("who =", query.who.clone()),
            ("kind =", query.kind.map(|kind| kind.label().to_owned())),
            ("address =", query.address.map(|address| address.to_string())),
        ];
        // Only what is asked for is in the statement, so that it can use an index.
        for (condition, value) in conditions {
            if let Some(value) = value {
                texts.push(value);
                sql.push_str(&format!(" AND {condition} ${}", texts.len()));
            }
        }
        let direction = if query.oldest_first { "ASC" } else { "DESC" };
        sql.push_str(&format!(" ORDER BY id {direction} LIMIT ${}", texts.len() + 1));
        let rows: Vec<Row> = with_pool!(self, pool => {
            let mut asked = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            for text in texts {
                asked = asked.bind(text);
            }
            asked.bind(i64::from(query.limit)).fetch_all(pool).await
        })?;
        rows.into_iter().map(Row::read).collect()
    }

    /// Moves what earlier versions had among the events into the audit log.
    pub(super) async fn carry_over_audit(&self) -> Result<(), Error> {
        const LIST: &str =
            "SELECT id, at_ms, data, text FROM audit_carried_over ORDER BY id LIMIT $1";
        const REMOVE: &str = "DELETE FROM audit_carried_over WHERE id = $1";
        loop {
            let rows: Vec<(String, i64, Option<String>, String)> = with_pool!(self, pool =>
                sqlx::query_as(LIST).bind(CARRIED_AT_ONCE).fetch_all(pool).await)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut transaction = self.begin_writing().await?;
            for (id, at_ms, data, text) in rows {
                // Another server may carry it over at the same time.
                if execute!(&mut transaction, REMOVE, id)? == 1 {
                    let entry = carried_over(at_ms, data.as_deref(), text);
                    add(&mut transaction, &entry.into()).await?;
                }
            }
            transaction.commit().await?;
        }
    }
}

/// What waits in memory until it is stored.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<Unstored>);

#[derive(Debug, Default)]
struct Unstored {
    /// What is counted, by what it is the same as.
    counted: HashMap<String, Repeat>,
    /// What the database has not taken, oldest first.
    not_stored: Vec<StoredAuditEntry>,
}

#[derive(Debug)]
struct Repeat {
    /// The latest that is not stored, with their number; none if all are.
    waiting: Option<AuditEntry>,
    hour: i64,
}

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, Unstored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps entries that the database has not taken, as many as are kept.
    fn put_back(&self, entries: Vec<StoredAuditEntry>) {
        let mut waiting = self.lock();
        let room = MOST_NOT_STORED.saturating_sub(waiting.not_stored.len());
        if entries.len() > room {
            tracing::error!("{} entries of the audit log are lost", entries.len() - room);
        }
        waiting.not_stored.extend(entries.into_iter().take(room));
    }

    /// The entry if it is to be stored now. What was stored in the same hour is counted.
    fn note(&self, mut entry: AuditEntry) -> Option<AuditEntry> {
        let Some(mut key) = entry.same_as() else { return Some(entry) };
        let mut all = self.lock();
        let repeats = &mut all.counted;
        if repeats.len() >= MOST_COUNTED && !repeats.contains_key(&key) {
            entry.who = "others".into();
            entry.origin.address = None;
            key = entry.same_as().unwrap_or_default();
        }
        match repeats.get_mut(&key) {
            None => {
                let hour = entry.at_ms / HOUR_MS;
                repeats.insert(key, Repeat { waiting: None, hour });
                Some(entry)
            }
            Some(Repeat { waiting: Some(waiting), .. }) => {
                waiting.times += 1;
                waiting.last_ms = entry.at_ms;
                None
            }
            Some(repeat) => {
                repeat.waiting = Some(entry);
                None
            }
        }
    }

    /// What is to be stored at a moment (Unix milliseconds).
    fn take(&self, now_ms: i64) -> Vec<StoredAuditEntry> {
        let mut all = self.lock();
        let mut waiting = std::mem::take(&mut all.not_stored);
        let counted = all.counted.values_mut().filter_map(|repeat| repeat.waiting.take());
        waiting.extend(counted.map(StoredAuditEntry::from));
        all.counted.retain(|_, repeat| repeat.hour >= now_ms / HOUR_MS);
        waiting
    }
}

/// Which of the newest entries this process has shown.
#[derive(Debug)]
pub(super) struct ShownLog(Mutex<ShownEntries>);

#[derive(Debug)]
struct ShownEntries {
    /// What is older than this moment (Unix milliseconds) is not shown any more.
    from_ms: i64,
    ids: BTreeSet<String>,
}

impl ShownLog {
    /// Nothing before a moment (Unix milliseconds) is shown.
    pub(super) fn since(from_ms: i64) -> Self {
        Self(Mutex::new(ShownEntries { from_ms, ids: BTreeSet::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, ShownEntries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, id: &str) {
        self.lock().ids.insert(id.to_owned());
    }

    /// The moment of the oldest entries that may be shown, in Unix milliseconds.
    pub(super) fn since_ms(&self) -> i64 {
        self.lock().from_ms
    }

    /// Nobody watches: what happens until this moment (Unix milliseconds) is not shown later.
    pub(super) fn skip_until(&self, moment_ms: i64) {
        let mut shown = self.lock();
        shown.from_ms = moment_ms;
        shown.ids = shown.ids.split_off(&first_id(moment_ms));
    }

    /// Those of `found`, newest first, that were not shown yet, oldest first. What is older than
    /// `forgotten_ms` (Unix milliseconds) will not be found again.
    pub(super) fn take_new(
        &self,
        found: Vec<StoredAuditEntry>,
        forgotten_ms: i64,
    ) -> Vec<StoredAuditEntry> {
        let mut shown = self.lock();
        shown.ids = shown.ids.split_off(&first_id(forgotten_ms));
        let mut new: Vec<StoredAuditEntry> =
            found.into_iter().filter(|stored| shown.ids.insert(stored.id.clone())).collect();
        new.reverse();
        new
    }
}

impl Database {
    /// When the last backup was made, in Unix milliseconds.
    ///
    /// # Errors
    /// The database's.
    pub async fn last_backup(&self) -> sqlx::Result<Option<i64>> {
        const SQL: &str = "SELECT MAX(at_ms) FROM audit WHERE kind = $1";
        let kind = ActionKind::BackedUp.label();
        with_pool!(self, pool => sqlx::query_scalar(SQL).bind(kind).fetch_one(pool).await)
    }
}

impl Inventory {
    /// Records in the audit log what was done now. What the database does not take is stored
    /// later; what is only counted, such as a use of a token, waits for it for a moment only.
    pub async fn audit<'a>(&self, author: impl Into<Author<'a>>, action: AuditAction) {
        let entry = AuditEntry::new(author.into(), action, now_ms());
        let Some(entry) = self.repeats.note(entry) else { return };
        let entry = self.numbered(entry);
        let patience = match entry.entry.same_as() {
            Some(_) => COUNTED_WAITS,
            None => OTHERS_WAIT,
        };
        let storing = self.database.store_audit(std::slice::from_ref(&entry));
        match tokio::time::timeout(patience, storing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot store in the audit log; retrying");
                self.repeats.put_back(vec![entry.clone()]);
            }
            Err(_) => self.repeats.put_back(vec![entry.clone()]),
        }
        self.tell_of_audit(entry);
    }

    /// Logs an entry that is stored, and shows it to whoever watches.
    pub(super) fn tell_of_audit(&self, stored: StoredAuditEntry) {
        let entry = &stored.entry;
        let AuditEntry { who, origin, action, .. } = entry;
        let address = origin.address.map(|address| address.to_string());
        let (via, kind) = (origin.via.label(), action.kind().label());
        tracing::info!(who, via, address, kind, "{}", entry.text());
        self.events.audited(stored);
    }

    /// Gives an entry its id, and notes that this process shows it.
    pub(super) fn numbered(&self, entry: AuditEntry) -> StoredAuditEntry {
        let stored = StoredAuditEntry::from(entry);
        self.shown_audit.note(&stored.id);
        stored
    }

    /// Whether the database has not taken an entry yet that it is to have at once.
    pub fn audit_waits(&self) -> bool {
        !self.repeats.lock().not_stored.is_empty()
    }

    /// Stores what was only counted so far.
    pub async fn settle_audit(&self) {
        let waiting = self.repeats.take(now_ms());
        waiting.iter().for_each(|stored| self.shown_audit.note(&stored.id));
        if waiting.is_empty() {
            return;
        }
        if let Err(error) = self.database.store_audit(&waiting).await {
            let count = waiting.len();
            tracing::error!(%error, "cannot store {count} entries of the audit log; retrying");
            self.repeats.put_back(waiting);
        }
    }

    /// Stores what is counted, removes entries that are older than `keep_days` at that time, and
    /// logs the head of the chain, until `stop`.
    pub async fn run_audit(
        self,
        keep_days: impl Fn() -> u32 + Send,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        match self.database.adopt_audit().await {
            Ok(0) => {}
            Ok(adopted) => tracing::warn!(
                adopted,
                "entries of the audit log had no link: by a server of an earlier version, or by hand"
            ),
            Err(error) => tracing::warn!(%error, "cannot link entries of the audit log"),
        }
        let mut store = interval(STORE_EVERY);
        let mut trim = interval(TRIM_EVERY);
        let mut close_from_ms = 0;
        for timer in [&mut store, &mut trim] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    self.settle_audit().await;
                    return Ok(());
                }
                _ = store.tick() => self.settle_audit().await,
                _ = trim.tick() => {
                    let before_ms = now_ms() - i64::from(keep_days()) * 24 * HOUR_MS;
                    match self.database.remove_audit_before(before_ms).await {
                        Ok(0) => {}
                        Ok(removed) => tracing::info!(removed, "old audit entries removed"),
                        Err(error) => tracing::warn!(%error, "cannot remove old audit entries"),
                    }
                    let now_ms = now_ms();
                    match self.database.close_audit_hours(close_from_ms, now_ms).await {
                        Ok(_) => close_from_ms = now_ms - CLOSE_AGAIN_MS,
                        Err(error) => tracing::warn!(%error, "cannot close audit entries"),
                    }
                    // A log that others keep says later what this one was.
                    match self.database.audit_head().await {
                        Ok(head) => tracing::info!(%head, "head of the audit log"),
                        Err(error) => tracing::warn!(%error, "cannot read the audit log's head"),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_use(number: usize, at_ms: i64) -> AuditEntry {
        let who = format!("token t{number}");
        AuditEntry::new(who.as_str().into(), AuditAction::TokenUsed { token: "t".into() }, at_ms)
    }

    #[test]
    fn what_others_stored_is_shown_once_and_its_own_not_again() {
        let shown = ShownLog::since(5_000);
        let entry = |at_ms| StoredAuditEntry::from(token_use(1, at_ms));
        let (own, late, other) = (entry(6_000), entry(5_500), entry(7_000));
        shown.note(&own.id);
        assert_eq!(
            shown.take_new(vec![other.clone(), own.clone()], 0),
            std::slice::from_ref(&other)
        );
        let found = vec![other.clone(), own.clone(), late.clone()];
        assert_eq!(shown.take_new(found, 0), [late], "stored late with an earlier time");
        shown.skip_until(8_000);
        assert_eq!((shown.since_ms(), shown.lock().ids.len()), (8_000, 0));
    }

    #[test]
    fn an_id_is_recognised() {
        assert!(is_audit_id(&next_id(now_ms())) && is_audit_id(&next_id(0)));
        for text in ["", "zz", "12-00", "1700000000000", "1700000000000-xyz", "1700000000000-00ab"]
        {
            assert!(!is_audit_id(text), "{text}");
        }
    }

    #[test]
    fn what_repeats_is_counted_until_it_is_stored() {
        let repeats = Repeats::default();
        assert!(repeats.note(token_use(1, 10)).is_some());
        for at_ms in 11..1010 {
            assert_eq!(repeats.note(token_use(1, at_ms)), None);
        }
        let stored = repeats.take(1010);
        let counts: Vec<_> = stored.iter().map(|it| (it.entry.times, it.entry.last_ms)).collect();
        assert_eq!(counts, [(999, 1009)]);
        assert_eq!(repeats.take(1010), []);
        assert_eq!(repeats.note(token_use(1, 1011)), None, "the hour is not over");
        assert!(repeats.note(token_use(1, HOUR_MS)).is_some(), "the next hour");
    }

    #[test]
    fn a_flood_of_different_names_is_a_few_rows() {
        let repeats = Repeats::default();
        let stored = (0..100_000).filter_map(|number| repeats.note(token_use(number, 5)));
        assert_eq!(stored.count(), MOST_COUNTED + 1);
        let waiting: u64 = repeats.take(6).iter().map(|it| it.entry.times).sum();
        assert_eq!(waiting as usize, 100_000 - MOST_COUNTED - 1);
    }
}
