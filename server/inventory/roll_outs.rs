//! Roll-outs as they are stored, and what brings them on: failures, questions of hosts, and time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::roll_out::read_fingerprint;
use super::ticks::Ticks;
use crate::inventory::database::{Transaction, execute, insert_rows, with_connection, with_pool};
use crate::inventory::{Database, Error, Inventory, Snapshot, now_ms};
use crate::lifecycle::EventData;
use crate::lifecycle::audit::{AuditAction, Author, RollOutAction};
use crate::lifecycle::event::Warning;
use crate::lifecycle::roll_out::{
    ApplyAt, Division, HostStep, MOST_WAVES, NextStep, PlannedWave, RollOutHost, RollOutState,
    next, plan,
};
use crate::model::{Host, natural};
use crate::network::{ConfigState, Fingerprint, Format, render_host};

/// How often the clock is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// The format that hosts apply by themselves.
const FORMAT: Format = Format::Networkd;

/// A roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RollOut {
    /// Its number.
    pub id: i64,
    /// The revision whose files it brings.
    pub revision: i64,
    /// Who began it.
    pub who: String,
    /// When, in Unix milliseconds.
    pub began_ms: i64,
    /// How far it is.
    #[serde(flatten)]
    pub state: RollOutState,
    /// When the hosts of an open wave apply.
    pub apply_at: ApplyAt,
    /// The open wave, from 1.
    pub wave: i64,
    /// When it opened, in Unix milliseconds.
    pub opened_ms: i64,
}

/// A wave of a roll-out, and how far its hosts are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WaveStatus {
    /// Its number, from 1.
    pub number: i64,
    /// What its hosts have in common.
    pub name: String,
    /// How many hosts it has.
    pub hosts: usize,
    /// How many run what the roll-out brings.
    pub current: usize,
    /// How many apply it now.
    pub applying: usize,
    /// How many do not ask.
    pub silent: usize,
    /// The hosts that returned to what they had before, or do not report.
    pub failed: Vec<String>,
}

/// A roll-out with its waves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RollOutStatus {
    /// The roll-out.
    #[serde(flatten)]
    pub roll_out: RollOut,
    /// Its waves in their order.
    pub waves: Vec<WaveStatus>,
}

/// Waves that are to be, and what is known of their hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollOutPlan {
    /// The revision whose files they bring.
    pub revision: i64,
    /// The waves.
    pub waves: Vec<PlannedWave>,
    /// When the hosts of an open wave apply.
    pub apply_at: ApplyAt,
    /// How many of the hosts have asked whether to apply.
    pub asking: usize,
    /// The hosts that have never asked.
    pub silent: Vec<String>,
    /// The hosts that take no part, and why.
    pub left_out: BTreeMap<LeftOut, Vec<String>>,
    wanted: BTreeMap<String, Fingerprint>,
}

/// Why a host takes no part in a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// Its network cannot be rendered.
    Refused,
    /// It has neither reported what it runs nor asked whether to apply.
    Unheard,
    /// It has no profile, and so no network from here.
    NoProfile,
    /// It runs what the inventory has.
    Current,
}

impl RollOutPlan {
    /// How many hosts are in it.
    pub fn hosts(&self) -> usize {
        self.waves.iter().map(|wave| wave.hosts.len()).sum()
    }

    /// What a review shows of it: whoever saw another plan is asked again.
    pub fn digest(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(format!("{}\n", self.apply_at.label()));
        for wave in &self.waves {
            hash.update(format!("{}\n{}\n\n", wave.name, wave.hosts.join("\n")));
        }
        for (host, files) in &self.wanted {
            hash.update(format!("{host} {files}\n"));
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why a roll-out was not begun or changed.
#[derive(Debug, thiserror::Error)]
pub enum RollOutError {
    /// One can go on.
    #[error("roll-out {0} is not over: resume it or end it first")]
    Open(i64),
    /// None can go on.
    #[error("no roll-out is running or halted")]
    NotOpen,
    /// It is running, so it cannot be resumed.
    #[error("roll-out {0} is running")]
    Running(i64),
    /// Every host is current.
    #[error("every host that says what it runs has the files of revision {0}: nothing to roll out")]
    NothingToDo(i64),
    /// No host has said what it runs, and none asks.
    #[error(
        "no host has said what it runs, and none asks whether to apply: install the timer on them \
         first (/config/MAC.follow.sh)"
    )]
    NobodyAsks,
    /// The host that is to go first is not among those that need it.
    #[error("host \"{0}\" cannot go first: it does not exist, or has these files already")]
    First(String),
    /// A label that no host has.
    #[error("no host that needs it has the label \"{0}\"")]
    Label(String),
    /// There would be more waves than a page shows.
    #[error("that makes {0} waves; at most {MOST_WAVES} are allowed")]
    TooManyWaves(usize),
    /// The plan is another one than was reviewed.
    #[error("the hosts or their files have changed since the review: look at it again")]
    Outdated,
    /// The database failed.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<sqlx::Error> for RollOutError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

/// A stored word that this version does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown word \"{0}\"")]
struct UnknownWord(String);

#[derive(sqlx::FromRow)]
struct RollOutRow {
    id: i64,
    revision: i64,
    who: String,
    began_ms: i64,
    state: String,
    halt: Option<String>,
    apply_at: String,
    wave: i64,
    opened_ms: i64,
}

impl RollOutRow {
    fn read(self) -> Result<RollOut, Error> {
        let Self { id, revision, who, began_ms, apply_at, wave, opened_ms, .. } = self;
        let unreadable = |error| Error::unreadable("roll-out", &id.to_string(), error);
        let state = match (self.state.as_str(), self.halt) {
            ("halted", Some(halt)) => serde_json::from_str(&halt).map_err(unreadable)?,
            ("done", _) => RollOutState::Done,
            ("ended", _) => RollOutState::Ended,
            _ => RollOutState::Running,
        };
        // What is not known must not be taken for "now".
        let apply_at = ApplyAt::of_label(&apply_at)
            .ok_or_else(|| Error::unreadable("roll-out", &id.to_string(), UnknownWord(apply_at)))?;
        Ok(RollOut { id, revision, who, began_ms, state, apply_at, wave, opened_ms })
    }
}

#[derive(sqlx::FromRow)]
struct HostRow {
    host: String,
    wave: i64,
    wave_name: String,
    wanted: String,
    given_ms: Option<i64>,
    returned: Option<String>,
    asked_ms: Option<i64>,
    configuration: Option<String>,
}

const ROLL_OUTS: &str =
    "SELECT id, revision, who, began_ms, state, halt, apply_at, wave, opened_ms FROM roll_outs";

impl Database {
    /// The roll-out that was begun last.
    pub async fn last_roll_out(&self) -> Result<Option<RollOut>, Error> {
        let sql = format!("{ROLL_OUTS} ORDER BY id DESC LIMIT 1");
        let row: Option<RollOutRow> = with_pool!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_optional(pool).await)?;
        row.map(RollOutRow::read).transpose()
    }

    async fn list_roll_out_hosts(&self, id: i64) -> Result<Vec<HostRow>, Error> {
        const LIST: &str = "SELECT h.host, h.wave, h.wave_name, h.wanted, h.given_ms, h.returned,
                 f.asked_ms, r.configuration
             FROM roll_out_hosts h
             LEFT JOIN followers f ON f.host = h.host
             LEFT JOIN reports r ON r.host = h.host
             WHERE h.roll_out = $1 ORDER BY h.wave, h.host";
        let rows = with_pool!(self, pool => sqlx::query_as(LIST).bind(id).fetch_all(pool).await)?;
        Ok(rows)
    }

    /// The hosts that have asked whether to apply, and when last (Unix milliseconds).
    pub async fn list_followers(&self) -> Result<BTreeMap<String, i64>, Error> {
        const LIST: &str = "SELECT host, asked_ms FROM followers";
        let rows: Vec<(String, i64)> =
            with_pool!(self, pool => sqlx::query_as(LIST).fetch_all(pool).await)?;
        Ok(rows.into_iter().collect())
    }

    /// Notes that a host asks.
    async fn note_follower(&self, host: &str, now_ms: i64) -> Result<(), Error> {
        const NOTE: &str = "INSERT INTO followers (host, asked_ms)
             SELECT name, $2 FROM hosts WHERE name = $1
             ON CONFLICT (host) DO UPDATE SET asked_ms = excluded.asked_ms";
        let mut transaction = self.begin_writing().await?;
        execute!(&mut transaction, NOTE, host, now_ms)?;
        Ok(transaction.commit().await?)
    }

    /// Notes that a host takes what a running roll-out brings it. False if the roll-out does not run
    /// any more: then the host must not have it.
    async fn note_given(&self, id: i64, host: &str, now_ms: i64) -> Result<bool, Error> {
        // The row of the roll-out is written as well: who halts it comes before or after.
        const RUNS: &str = "UPDATE roll_outs SET state = state
             WHERE id = $1 AND state = 'running' AND wave >=
                 (SELECT wave FROM roll_out_hosts WHERE roll_out = $1 AND host = $2)";
        const GIVEN: &str = "UPDATE roll_out_hosts SET given_ms = $3
             WHERE roll_out = $1 AND host = $2 AND returned IS NULL";
        let mut transaction = self.begin_changing().await?;
        let is_given = execute!(&mut transaction, RUNS, id, host)? == 1
            && execute!(&mut transaction, GIVEN, id, host, now_ms)? == 1;
        if is_given {
            transaction.commit().await?;
        } else {
            transaction.roll_back().await?;
        }
        Ok(is_given)
    }

    /// Whether a host has taken what the open roll-out brings.
    async fn has_taken(&self, host: &str) -> Result<bool, Error> {
        const FIND: &str = "SELECT COUNT(*) FROM roll_out_hosts h
             JOIN roll_outs r ON r.id = h.roll_out
             WHERE h.host = $1 AND h.given_ms IS NOT NULL AND r.open_slot = 1";
        let count: i64 = with_pool!(self, pool =>
            sqlx::query_scalar(FIND).bind(host).fetch_one(pool).await)?;
        Ok(count > 0)
    }

    /// Notes that a host which took what a roll-out brings reports a failure.
    async fn note_returned(&self, host: &str, text: &str) -> Result<(), Error> {
        const RETURNED: &str = "UPDATE roll_out_hosts SET returned = $2
             WHERE host = $1 AND given_ms IS NOT NULL AND returned IS NULL
                 AND roll_out IN (SELECT id FROM roll_outs WHERE open_slot = 1)";
        let mut transaction = self.begin_changing().await?;
        execute!(&mut transaction, RETURNED, host, text)?;
        Ok(transaction.commit().await?)
    }

    /// Brings a running roll-out on. False if another server did before.
    async fn step_roll_out(
        &self,
        was: &RollOut,
        step: &NextStep,
        now_ms: i64,
    ) -> Result<bool, Error> {
        const OPEN: &str = "UPDATE roll_outs SET wave = $3, opened_ms = $4
             WHERE id = $1 AND state = 'running' AND wave = $2";
        const HALT: &str = "UPDATE roll_outs SET state = 'halted', halt = $3
             WHERE id = $1 AND state = 'running' AND wave = $2";
        const FINISH: &str = "UPDATE roll_outs SET state = 'done', open_slot = NULL, ended_ms = $3
             WHERE id = $1 AND state = 'running' AND wave = $2";
        let (id, wave) = (was.id, was.wave);
        let mut transaction = self.begin_changing().await?;
        let changed = match step {
            NextStep::Open(next) => execute!(&mut transaction, OPEN, id, wave, next, now_ms)?,
            NextStep::Halt { host, cause } => {
                let halted = RollOutState::Halted { host: host.clone(), cause: cause.clone() };
                let halted = serde_json::to_string(&halted)
                    .map_err(|error| Error::unreadable("roll-out", &id.to_string(), error))?;
                execute!(&mut transaction, HALT, id, wave, halted)?
            }
            NextStep::Finish => execute!(&mut transaction, FINISH, id, wave, now_ms)?,
        };
        transaction.commit().await?;
        Ok(changed == 1)
    }
}

async fn last_id(transaction: &mut Transaction) -> Result<i64, Error> {
    const LAST: &str = "SELECT MAX(id) FROM roll_outs";
    let id = with_connection!(transaction, connection =>
        sqlx::query_scalar::<_, i64>(LAST).fetch_one(connection).await)?;
    Ok(id)
}

/// The files that the inventory has for a host; none where they cannot be rendered.
fn wanted_files(snapshot: &Snapshot, host: &str) -> Option<Fingerprint> {
    let files = render_host(&snapshot.site.for_the_host(), host, FORMAT).ok()?;
    Some(Fingerprint::of_files(FORMAT, &files))
}

impl Inventory {
    /// What is known of the hosts of a roll-out, with the name of the wave of each.
    async fn roll_out_hosts(
        &self,
        roll_out: &RollOut,
    ) -> Result<Vec<(RollOutHost, String)>, Error> {
        let rows = self.database.list_roll_out_hosts(roll_out.id).await?;
        let snapshot = self.snapshot();
        let (open, has_changed) = (roll_out.wave, snapshot.revision != roll_out.revision);
        // Away from the threads that answer packets: after a change the hosts are rendered.
        let read = move |row: HostRow| {
            let wanted = read_fingerprint(&row.host, &row.wanted)?;
            let reported = row.configuration.as_deref();
            let reported = reported.map(|text| read_fingerprint(&row.host, text)).transpose()?;
            let is_current = reported.is_some_and(|reported| reported.has_all(&wanted));
            let may_move = has_changed && !is_current && row.wave <= open;
            let has_moved = may_move && wanted_files(&snapshot, &row.host) != Some(wanted);
            let HostRow { host: name, wave, wave_name, asked_ms, given_ms, returned, .. } = row;
            let host =
                RollOutHost { name, wave, asked_ms, given_ms, returned, is_current, has_moved };
            Ok((host, wave_name))
        };
        let work = tokio::task::spawn_blocking(move || rows.into_iter().map(read).collect());
        work.await.expect("rendering does not panic and is not aborted")
    }

    /// The roll-out that was begun last, with its waves.
    ///
    /// # Errors
    /// If the database does not answer, or has what cannot be read.
    pub async fn roll_out_status(&self, now_ms: i64) -> Result<Option<RollOutStatus>, Error> {
        let Some(roll_out) = self.database.last_roll_out().await? else { return Ok(None) };
        let mut waves: BTreeMap<i64, WaveStatus> = BTreeMap::new();
        for (host, name) in self.roll_out_hosts(&roll_out).await? {
            let number = host.wave;
            let wave = waves.entry(number).or_insert_with(|| WaveStatus {
                number,
                name,
                hosts: 0,
                current: 0,
                applying: 0,
                silent: 0,
                failed: Vec::new(),
            });
            wave.hosts += 1;
            match host.step(roll_out.apply_at, roll_out.opened_ms, now_ms) {
                HostStep::Current => wave.current += 1,
                HostStep::Applying => wave.applying += 1,
                HostStep::Silent if number <= roll_out.wave => wave.silent += 1,
                HostStep::Returned | HostStep::Lost => wave.failed.push(host.name),
                HostStep::Silent | HostStep::Waiting => {}
            }
        }
        Ok(Some(RollOutStatus { roll_out, waves: waves.into_values().collect() }))
    }

    /// The waves that a roll-out would have now: the hosts that do not run what the inventory has, and
    /// those that ask without having said what they run.
    ///
    /// # Errors
    /// If nothing is to be done, or not so.
    pub async fn plan_roll_out(
        &self,
        first: Option<&str>,
        division: &Division,
        apply_at: ApplyAt,
    ) -> Result<RollOutPlan, RollOutError> {
        let states = self.config_states().await?;
        let followers = self.database.list_followers().await?;
        let snapshot = self.snapshot();
        let site = &snapshot.site;
        let needs_it = |name: &str| match states.get(name) {
            Some(ConfigState::Outdated) => true,
            Some(ConfigState::Current) => false,
            Some(ConfigState::Unknown) | None => followers.contains_key(name),
        };
        let mut hosts: Vec<(&str, &Host)> = site
            .hosts
            .iter()
            .map(|(name, host)| (name.as_str(), host))
            .filter(|(name, _)| needs_it(name))
            .collect();
        let wanted: BTreeMap<String, Fingerprint> = hosts
            .iter()
            .filter_map(|(name, _)| Some(((*name).to_owned(), wanted_files(&snapshot, name)?)))
            .collect();
        let mut left_out: BTreeMap<LeftOut, Vec<String>> = BTreeMap::new();
        for (name, host) in &site.hosts {
            let why = match states.get(name) {
                _ if wanted.contains_key(name) => continue,
                _ if host.profile.is_none() => LeftOut::NoProfile,
                Some(ConfigState::Current) => LeftOut::Current,
                _ if needs_it(name) => LeftOut::Refused,
                _ => LeftOut::Unheard,
            };
            left_out.entry(why).or_default().push(name.clone());
        }
        left_out.values_mut().for_each(|names| names.sort_by(|a, b| natural(a, b)));
        // What cannot be rendered is on no host: Checks says why.
        hosts.retain(|(name, _)| wanted.contains_key(*name));
        // As people count: r2 before r10.
        hosts.sort_by(|a, b| {
            let rack = |host: &Host| host.rack.clone().unwrap_or_default();
            natural(&rack(a.1), &rack(b.1)).then_with(|| natural(a.0, b.0))
        });
        if let Some(first) = first.filter(|first| !site.hosts.contains_key(*first)) {
            return Err(RollOutError::First(first.to_owned()));
        }
        if hosts.is_empty() {
            let is_heard = !followers.is_empty() || !states.is_empty();
            return Err(match is_heard {
                true => RollOutError::NothingToDo(snapshot.revision),
                false => RollOutError::NobodyAsks,
            });
        }
        if let Some(first) = first.filter(|first| !wanted.contains_key(*first)) {
            return Err(RollOutError::First(first.to_owned()));
        }
        if let Division::Labels(labels) = division {
            let has = |label: &String| hosts.iter().any(|(_, host)| host.labels.contains(label));
            if let Some(label) = labels.iter().find(|label| !has(label)) {
                return Err(RollOutError::Label(label.clone()));
            }
        }
        let waves = plan(&hosts, first, division);
        if waves.len() > MOST_WAVES + 2 {
            return Err(RollOutError::TooManyWaves(waves.len()));
        }
        let is_silent = |name: &&str| !followers.contains_key(*name);
        let names = hosts.iter().map(|(name, _)| *name);
        let silent: Vec<String> = names.filter(is_silent).map(str::to_owned).collect();
        let (revision, asking) = (snapshot.revision, hosts.len() - silent.len());
        Ok(RollOutPlan { revision, waves, apply_at, asking, silent, left_out, wanted })
    }

    /// Begins a roll-out; the first wave is open then.
    ///
    /// # Errors
    /// If one can go on.
    pub async fn begin_roll_out(
        &self,
        author: Author<'_>,
        plan: &RollOutPlan,
    ) -> Result<i64, RollOutError> {
        const ADD: &str = "INSERT INTO roll_outs
                 (id, revision, who, began_ms, state, apply_at, wave, opened_ms, open_slot)
             SELECT COALESCE(MAX(id), 0) + 1, $1, $2, $3, 'running', $4, 1, $3, 1 FROM roll_outs";
        if let Some(open) = self.database.last_roll_out().await?.filter(|it| it.state.is_open()) {
            return Err(RollOutError::Open(open.id));
        }
        let now_ms = now_ms();
        let mut transaction = self.database.begin_changing().await?;
        let apply_at = plan.apply_at.label();
        execute!(&mut transaction, ADD, plan.revision, author.who, now_ms, apply_at)?;
        let id = last_id(&mut transaction).await?;
        let mut rows = Vec::with_capacity(plan.hosts());
        for (number, wave) in (1_i64..).zip(&plan.waves) {
            let wanted = |host: &String| plan.wanted.get(host).map(ToString::to_string);
            let of_wave = wave.hosts.iter().filter_map(|host| {
                Some((id, host.clone(), number, wave.name.clone(), wanted(host)?))
            });
            rows.extend(of_wave);
        }
        insert_rows!(
            &mut transaction,
            "INSERT INTO roll_out_hosts (roll_out, host, wave, wave_name, wanted) ",
            &rows,
            |(id, host, wave, name, wanted)| [*id, host, *wave, name, wanted],
            ""
        );
        transaction.commit().await?;
        self.audit(author, AuditAction::RollOut { roll_out: id, action: RollOutAction::Started })
            .await;
        Ok(id)
    }

    /// Lets a halted roll-out go on; hosts of it that failed may try again.
    ///
    /// # Errors
    /// If none is halted.
    pub async fn resume_roll_out(&self, author: Author<'_>) -> Result<i64, RollOutError> {
        const RESUME: &str = "UPDATE roll_outs SET state = 'running', halt = NULL, opened_ms = $2
             WHERE id = $1 AND state = 'halted'";
        const AGAIN: &str = "UPDATE roll_out_hosts SET given_ms = NULL, returned = NULL
             WHERE roll_out = $1";
        let open = self.open_roll_out().await?;
        let mut transaction = self.database.begin_changing().await?;
        if execute!(&mut transaction, RESUME, open.id, now_ms())? == 0 {
            transaction.roll_back().await?;
            return Err(RollOutError::Running(open.id));
        }
        execute!(&mut transaction, AGAIN, open.id)?;
        transaction.commit().await?;
        let action = RollOutAction::Resumed;
        self.audit(author, AuditAction::RollOut { roll_out: open.id, action }).await;
        Ok(open.id)
    }

    /// Ends a roll-out: hosts that have not applied keep what they have.
    ///
    /// # Errors
    /// If none can go on.
    pub async fn end_roll_out(&self, author: Author<'_>) -> Result<i64, RollOutError> {
        const END: &str = "UPDATE roll_outs
             SET state = 'ended', halt = NULL, open_slot = NULL, ended_ms = $2
             WHERE id = $1 AND open_slot = 1";
        let open = self.open_roll_out().await?;
        let mut transaction = self.database.begin_changing().await?;
        let ended = execute!(&mut transaction, END, open.id, now_ms())?;
        transaction.commit().await?;
        if ended == 0 {
            return Err(RollOutError::NotOpen);
        }
        let action = RollOutAction::Ended;
        self.audit(author, AuditAction::RollOut { roll_out: open.id, action }).await;
        Ok(open.id)
    }

    /// The roll-out that can go on.
    async fn open_roll_out(&self) -> Result<RollOut, RollOutError> {
        let last = self.database.last_roll_out().await?;
        last.filter(|it| it.state.is_open()).ok_or(RollOutError::NotOpen)
    }

    /// A host that says how long it has been up asks whether to apply its configuration now. True if it
    /// is to: the caller gives it the files of `snapshot`.
    ///
    /// # Errors
    /// If the database does not answer, or has what cannot be read.
    pub async fn may_apply(
        &self,
        snapshot: &Snapshot,
        host: &str,
        up: Option<Duration>,
    ) -> Result<bool, Error> {
        let now_ms = now_ms();
        self.database.note_follower(host, now_ms).await?;
        let Some(roll_out) = self.database.last_roll_out().await? else { return Ok(false) };
        let may = roll_out.apply_at.allows(roll_out.opened_ms, now_ms, up);
        if roll_out.state != RollOutState::Running || !may {
            return Ok(false);
        }
        const FIND: &str = "SELECT wave, wanted, given_ms, returned FROM roll_out_hosts
             WHERE roll_out = $1 AND host = $2";
        type Row = (i64, String, Option<i64>, Option<String>);
        let row: Option<Row> = with_pool!(&self.database, pool => sqlx::query_as(FIND)
            .bind(roll_out.id)
            .bind(host)
            .fetch_optional(pool)
            .await)?;
        let Some((wave, wanted, given_ms, returned)) = row else { return Ok(false) };
        // What it took is being applied, or has failed: not twice by itself.
        if wave > roll_out.wave || given_ms.is_some() || returned.is_some() {
            return Ok(false);
        }
        let wanted = read_fingerprint(host, &wanted)?;
        if wanted_files(snapshot, host).as_ref() != Some(&wanted) {
            return Ok(false);
        }
        let reported = self.database.find_fingerprint(host).await?;
        if reported.is_some_and(|reported| reported.has_all(&wanted)) {
            return Ok(false);
        }
        self.database.note_given(roll_out.id, host, now_ms).await
    }

    /// A host has reported a failure. If it took what a roll-out brings, that halts at once; what
    /// else hosts report is for the clock to see.
    ///
    /// # Errors
    /// If the database does not answer, or has what cannot be read.
    pub async fn note_roll_out_failure(&self, host: &str, text: &str) -> Result<(), Error> {
        // Of thousands that boot, few are in a roll-out: most failures write nothing.
        if !self.database.has_taken(host).await? {
            return Ok(());
        }
        self.database.note_returned(host, text).await?;
        self.advance_roll_out(now_ms()).await
    }

    /// Brings the running roll-out as far as the facts allow at `now_ms`.
    ///
    /// # Errors
    /// If the database does not answer, or has what cannot be read.
    pub async fn advance_roll_out(&self, now_ms: i64) -> Result<(), Error> {
        // One step for each wave at most: those that are through already open one after the other.
        for _ in 0..=MOST_WAVES {
            let Some(roll_out) = self.database.last_roll_out().await? else { return Ok(()) };
            if roll_out.state != RollOutState::Running {
                return Ok(());
            }
            let hosts = self.roll_out_hosts(&roll_out).await?;
            let hosts: Vec<RollOutHost> = hosts.into_iter().map(|(host, _)| host).collect();
            let RollOut { apply_at, wave, opened_ms, .. } = roll_out;
            let Some(step) = next(&hosts, apply_at, wave, opened_ms, now_ms) else {
                return Ok(());
            };
            if self.database.step_roll_out(&roll_out, &step, now_ms).await? {
                self.tell_of_step(&roll_out, step);
            }
        }
        Ok(())
    }

    fn tell_of_step(&self, roll_out: &RollOut, step: NextStep) {
        let id = roll_out.id;
        match step {
            NextStep::Open(wave) => tracing::info!(roll_out = id, wave, "a wave opens"),
            NextStep::Finish => tracing::info!(roll_out = id, "the roll-out is done"),
            NextStep::Halt { host, cause } => {
                let text = cause.to_string();
                tracing::warn!(roll_out = id, host, "the roll-out halts: {text}");
                let warning = Warning::RollOutHalted { roll_out: id, cause: text };
                self.events.record(host.as_deref(), None, EventData::Warning(warning));
            }
        }
    }

    /// Looks at the clock for the running roll-out, until `stop`.
    pub async fn run_roll_outs(self, stop: CancellationToken) -> std::io::Result<()> {
        let mut ticks = Ticks::every(EVERY, stop);
        while ticks.next().await {
            if let Err(error) = self.advance_roll_out(now_ms()).await {
                tracing::warn!(%error, "cannot bring the roll-out on; retrying");
            }
        }
        Ok(())
    }
}
