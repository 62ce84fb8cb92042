//! Installs: stored first, then shown to the services. Each step is one transaction, and what a
//! client is told follows from what was committed, so that a server may be killed at any moment.

use std::collections::{BTreeMap, HashMap};

use crate::inventory::database::{Transaction, execute, with_connection};
use crate::inventory::revisions::tell_others;
use crate::inventory::secrets::{random_text, token_hash};
use crate::inventory::{Change, ChangeError, Error, Inventory, Snapshot, now_ms};
use crate::lifecycle::audit::{AuditAction, Author};
use crate::lifecycle::gate::{self, ArmRefusal, BootSource};
use crate::lifecycle::install::{
    Install, InstallReport, InstallState, InstallTask, ReportRefusal, ScriptStep,
};
use crate::lifecycle::{EventData, HostStatus};
use crate::model::{Host, Image, InstallBegins, InstallEnds, Limits, OutsideLimits, Site};
use crate::recipe::{self, RecipeError};

/// The length of a boot's token: 186 bits. iPXE and kernel command lines take its letters as they are.
const TOKEN_CHARACTERS: usize = 32;

/// The installs of all hosts, as they were when the database was read last.
#[derive(Clone, Debug, Default)]
pub struct Installs {
    by_host: HashMap<String, Install>,
    mark: Mark,
}

/// Tells whether the table has changed: its newest version, and how many rows it has.
type Mark = (i64, i64);

impl Installs {
    /// The latest install of a host.
    pub fn of(&self, host: &str) -> Option<&Install> {
        self.by_host.get(host)
    }

    /// The hosts that are armed at `now` (Unix seconds), and until when (Unix seconds).
    pub(super) fn armed(&self, now: i64) -> BTreeMap<String, i64> {
        let armed =
            |(host, install): (&String, &Install)| Some((host.clone(), install.armed_at(now)?));
        self.by_host.iter().filter_map(armed).collect()
    }

    /// The host that the boot with this token installs.
    pub fn host_of_token(&self, token: &str) -> Option<&str> {
        let hash = token_hash(token);
        let mut installs = self.by_host.iter();
        let is = |install: &Install| install.token_hash.as_deref() == Some(hash.as_str());
        installs.find(|(_, install)| is(install)).map(|(host, _)| host.as_str())
    }
}

/// What the script of a host is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootGrant {
    /// Boot the local disk.
    Disk,
    /// Install, with this token.
    Install(String),
}

/// A host that is armed, or of a dry run would be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct ArmedHost {
    /// Its name.
    pub name: String,
    /// What for.
    pub install: Install,
}

/// Who arms a host, or cancels its install.
#[derive(Clone, Copy, Debug)]
pub struct InstallRequest<'a> {
    /// The host.
    pub host: &'a str,
    /// The user or token.
    pub author: Author<'a>,
    /// Which hosts the author may arm; all of these hold.
    pub limits: &'a [Limits],
    /// What the host is armed for.
    pub task: InstallTask,
    /// Only find out whether it is possible.
    pub dry_run: bool,
}

/// Why a host is not armed, or an install not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It must not be armed.
    #[error(transparent)]
    Refused(#[from] ArmRefusal),
    /// It is outside the limits of who wants it.
    #[error(transparent)]
    Denied(#[from] OutsideLimits),
    /// Its installer would get no recipe.
    #[error("host {host} cannot be installed: {error}")]
    Recipe {
        /// The host.
        host: String,
        /// Why not.
        error: RecipeError,
    },
    /// Nothing is armed or runs.
    #[error("host {0} is not armed and not being installed: there is nothing to cancel")]
    NothingToCancel(String),
    /// The database failed.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl From<sqlx::Error> for InstallError {
    fn from(error: sqlx::Error) -> Self {
        Self::Inventory(error.into())
    }
}

type Row = (String, String, String, i64, String, i64, Option<String>, i64, String, String);

fn read_row(row: Row) -> Result<(String, Install), Error> {
    let (host, image, state, since, armed_by, armed_until, token_hash, token_until, reason, task) =
        row;
    let task = task.parse().map_err(|error| Error::unreadable("install", &host, error))?;
    let state = state.parse().map_err(|error| Error::unreadable("install", &host, error))?;
    let install = Install {
        image,
        task,
        state,
        since,
        armed_by,
        armed_until,
        token_hash,
        token_until,
        reason,
    };
    Ok((host, install))
}

/// What is told of an install that is over.
fn end_of(install: Install) -> EventData {
    let Install { state, image, task, reason, .. } = install;
    match state {
        InstallState::Done => EventData::InstallCompleted { image, task },
        _ => EventData::InstallFailed { reason },
    }
}

async fn find(transaction: &mut Transaction, host: &str) -> Result<Option<Install>, Error> {
    const FIND: &str = "SELECT host, image, state, since, armed_by, armed_until, token_hash,
         token_until, reason, task FROM installs WHERE host = $1";
    let row: Option<Row> = with_connection!(transaction, connection =>
        sqlx::query_as(FIND).bind(host).fetch_optional(connection).await)?;
    Ok(row.map(read_row).transpose()?.map(|(_, install)| install))
}

async fn set(transaction: &mut Transaction, host: &str, install: &Install) -> Result<(), Error> {
    const SET: &str = "INSERT INTO installs (host, version, image, state, since, armed_by,
             armed_until, token_hash, token_until, reason, task)
         SELECT $1, (SELECT COALESCE(MAX(version), 0) + 1 FROM installs),
             $2, $3, $4, $5, $6, $7, $8, $9, $10
         WHERE EXISTS (SELECT 1 FROM hosts WHERE name = $1)
         ON CONFLICT (host) DO UPDATE SET version = excluded.version, image = excluded.image,
             state = excluded.state, since = excluded.since, armed_by = excluded.armed_by,
             armed_until = excluded.armed_until, token_hash = excluded.token_hash,
             token_until = excluded.token_until, reason = excluded.reason,
             task = excluded.task";
    execute!(
        transaction,
        SET,
        host,
        &install.image,
        install.state.label(),
        install.since,
        &install.armed_by,
        install.armed_until,
        install.token_hash.as_deref(),
        install.token_until,
        &install.reason,
        install.task.label()
    )?;
    tell_others(transaction).await
}

async fn mark(transaction: &mut Transaction) -> Result<Mark, Error> {
    const MARK: &str = "SELECT COALESCE(MAX(version), 0), COUNT(*) FROM installs";
    Ok(with_connection!(transaction, connection =>
        sqlx::query_as(MARK).fetch_one(connection).await)?)
}

async fn list(transaction: &mut Transaction) -> Result<Installs, Error> {
    const LIST: &str = "SELECT host, image, state, since, armed_by, armed_until, token_hash,
         token_until, reason, task FROM installs";
    let rows: Vec<Row> = with_connection!(&mut *transaction, connection =>
        sqlx::query_as(LIST).fetch_all(connection).await)?;
    let by_host = rows.into_iter().map(read_row).collect::<Result<_, _>>()?;
    Ok(Installs { by_host, mark: mark(transaction).await? })
}

/// Who arms a new host, as the audit log and the events call it.
const POLICY: &str = "new-hosts";

/// Why a new host is not armed.
#[derive(Debug, thiserror::Error)]
pub enum NewHostError {
    /// Somebody armed it meanwhile.
    #[error("it was armed meanwhile")]
    Known,
    /// It cannot be armed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// It cannot get its image.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The database fails.
    #[error(transparent)]
    Inventory(#[from] Error),
}

/// Why the report of an installer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum InstallReportError {
    /// The token or the report is not accepted.
    #[error(transparent)]
    Refused(#[from] ReportRefusal),
    /// The database fails.
    #[error(transparent)]
    Inventory(#[from] Error),
}

impl Inventory {
    /// The installs as they are known now. Another server's are known half a second later.
    pub fn installs(&self) -> std::sync::Arc<Installs> {
        self.installs.load_full()
    }

    /// The state of every host at `now_ms` (Unix milliseconds), by name, and whether it is armed.
    pub fn host_statuses(&self, now_ms: i64) -> BTreeMap<String, HostStatus> {
        let installs = self.installs.load();
        let mut statuses = self.states.list(now_ms);
        for (name, status) in &mut statuses {
            let armed_until = installs.of(name).and_then(|it| it.armed_at(now_ms / 1000));
            *status = std::mem::take(status).armed(armed_until);
        }
        statuses
    }

    /// [`Self::host_statuses`] of one host, if there is such a host.
    pub fn host_status(&self, name: &str, now_ms: i64) -> Option<HostStatus> {
        let armed_until = self.installs.load().of(name).and_then(|it| it.armed_at(now_ms / 1000));
        Some(self.states.find(name, now_ms)?.armed(armed_until))
    }

    /// What a client may boot; `token` shows which boot it is.
    pub fn boot_source<'a>(
        &self,
        snapshot: &'a Snapshot,
        host: Option<(&str, &'a Host)>,
        token: Option<&str>,
    ) -> BootSource<'a> {
        let installs = self.installs.load();
        let token_hash = token.map(token_hash);
        let install = host.and_then(|(name, _)| installs.of(name));
        let arch = || host.and_then(|(name, _)| self.states.arch_of(name)?.of_firmware());
        let images = |name: &str| snapshot.image_to_boot_on(name, arch);
        let new = host.and_then(|(name, _)| self.image_for_new(snapshot, name));
        if let Some(image) = new.and_then(images) {
            // It is armed as soon as it fetches its script.
            return BootSource::Install { image, is_proven: false };
        }
        let is_protected =
            host.is_some_and(|(name, _)| gate::protector(&snapshot.site, name).is_some());
        gate::decide(
            host.map(|(_, host)| host),
            images,
            install,
            is_protected,
            token_hash.as_deref(),
            now_ms() / 1000,
        )
    }

    /// The disk image that a host is armed for when it fetches its script, if it is new.
    fn image_for_new<'a>(&self, snapshot: &'a Snapshot, name: &str) -> Option<&'a str> {
        let installs = self.installs.load();
        let host = snapshot.site.hosts.get(name).filter(|_| installs.of(name).is_none())?;
        // For the packet path: most hosts boot something else, and need no look at their profile.
        let is_disk_image = |image: &Image| image.disk.is_some();
        let own = host.image.as_ref().map(|image| snapshot.site.images.get(image));
        if own.is_some_and(|own| !own.is_some_and(is_disk_image)) {
            return None;
        }
        let policy = snapshot.site.policy_for_new(host);
        gate::image_for_new(&snapshot.site, name, &policy, None)
    }

    /// A host fetches its script: if it is new and its policy says so, it gets the image of the
    /// policy and is armed for it. Whether it is now.
    ///
    /// # Errors
    /// It should be armed, and cannot be.
    pub async fn arm_new_host(&self, name: &str) -> Result<bool, NewHostError> {
        if self.image_for_new(&self.snapshot(), name).is_none() {
            return Ok(false);
        }
        // Another server may have armed it just now.
        self.reload_installs().await?;
        let snapshot = self.snapshot();
        let Some(image) = self.image_for_new(&snapshot, name) else { return Ok(false) };
        if snapshot.site.hosts.get(name).is_some_and(|host| host.image.is_none()) {
            let summary = format!("host {name} is new: image {image} by new-hosts");
            let change = Change { who: POLICY, summary: &summary, ..Change::default() };
            let edit = |site: &mut Site| {
                if let Some(host) = site.hosts.get_mut(name) {
                    host.image.get_or_insert_with(|| image.to_owned());
                }
                Ok(())
            };
            self.change_site(change, edit).await?;
        }
        let (author, task) = (Author::from(POLICY), InstallTask::Install);
        let request = InstallRequest { host: name, author, limits: &[], task, dry_run: false };
        let check = |stored: Option<&Install>| match stored {
            None => Ok(()),
            Some(_) => Err(NewHostError::Known),
        };
        match self.arm_install_if(request, check).await {
            Ok(_) => Ok(true),
            Err(NewHostError::Known) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads all installs anew if the table has changed.
    pub async fn reload_installs(&self) -> Result<(), Error> {
        let _turn = self.installs_turn.lock().await;
        let mut transaction = self.database.begin_reading().await?;
        if mark(&mut transaction).await? != self.installs.load().mark {
            self.installs.store(list(&mut transaction).await?.into());
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Takes one step of a host's install: `decide` is given what is stored, and what it returns
    /// is stored before anybody learns of it.
    async fn step<T>(
        &self,
        host: &str,
        decide: impl FnOnce(Option<&Install>) -> (Option<Install>, T),
    ) -> Result<T, Error> {
        let _turn = self.installs_turn.lock().await;
        let mut transaction = self.database.begin_changing().await?;
        let stored = find(&mut transaction, host).await?;
        let (next, answer) = decide(stored.as_ref());
        let Some(next) = next else {
            transaction.roll_back().await?;
            return Ok(answer);
        };
        set(&mut transaction, host, &next).await?;
        let mark = mark(&mut transaction).await?;
        transaction.commit().await?;
        let mut installs = Installs::clone(&self.installs.load());
        installs.by_host.insert(host.to_owned(), next);
        // Only the next version is seen as ours: what others wrote meanwhile is read later.
        let known = installs.mark.0 + 1 == mark.0;
        installs.mark = if known { mark } else { installs.mark };
        self.installs.store(installs.into());
        Ok(answer)
    }

    /// Takes a step that somebody asks for, if `check` allows it of the install that is stored.
    /// A dry run stores nothing.
    async fn requested_step<E: From<InstallError>>(
        &self,
        request: InstallRequest<'_>,
        check: impl FnOnce(Option<&Install>) -> Result<(), E>,
        decide: impl FnOnce(Option<&Install>) -> Result<Install, InstallError>,
    ) -> Result<Install, E> {
        let step = self.step(request.host, |stored| {
            let next = check(stored).and_then(|()| Ok(decide(stored)?));
            (next.as_ref().ok().filter(|_| !request.dry_run).cloned(), next)
        });
        step.await.map_err(InstallError::from)?
    }

    /// Arms a host: its next boot installs its image.
    ///
    /// # Errors
    /// The host is protected, has no image that installs, or is being installed.
    pub async fn arm_install<'a>(
        &self,
        host: &str,
        author: impl Into<Author<'a>>,
    ) -> Result<Install, InstallError> {
        let (author, task) = (author.into(), InstallTask::Install);
        let request = InstallRequest { host, author, limits: &[], task, dry_run: false };
        self.arm_install_if(request, |_| Ok(())).await
    }

    /// [`Self::arm_install`], if `check` allows it of the install that is stored.
    pub async fn arm_install_if<E: From<InstallError>>(
        &self,
        request: InstallRequest<'_>,
        check: impl FnOnce(Option<&Install>) -> Result<(), E>,
    ) -> Result<Install, E> {
        let InstallRequest { host, author, limits, task, dry_run } = request;
        let now = now_ms() / 1000;
        let who = author.who;
        let around = self.surroundings();
        // Read anew: the host may have been protected by another process just now.
        let site = Snapshot::load(&self.database).await.map_err(InstallError::from)?.site;
        let within = self.check_install(author, limits, &site, (host, task)).await;
        within.map_err(InstallError::from)?;
        let decide = |stored: Option<&Install>| {
            let is_rescue = task == InstallTask::Rescue;
            let image = match is_rescue {
                true => gate::check_rescue(&site, host, stored, now)?,
                false => {
                    gate::check_task(&site, host, task)?;
                    gate::check_arming(&site, host, stored, now)?
                }
            };
            gate::check_files_of(&site, host, image, |file| around.files.fault(file))?;
            if let Some(error) = recipe::fault(&site, host).filter(|_| !is_rescue) {
                return Err(InstallError::Recipe { host: host.to_owned(), error });
            }
            Ok(Install { task, ..Install::armed(image, who, now) })
        };
        let armed = self.requested_step(request, check, decide).await?;
        if dry_run {
            return Ok(armed);
        }
        let (image, by) = (armed.image.clone(), who.to_owned());
        self.tell_of_install(host, EventData::InstallArmed { image: image.clone(), by, task });
        self.audit(author, AuditAction::InstallArmed { host: host.to_owned(), image }).await;
        Ok(armed)
    }

    /// Why a host cannot be armed for a task, as far as that is known without the database.
    pub fn install_refusal(
        &self,
        snapshot: &Snapshot,
        host: &str,
        task: InstallTask,
        limits: &[Limits],
    ) -> Option<String> {
        if let Err(denied) = gate::check_limits(limits, &snapshot.site, host, task) {
            return Some(denied.to_string());
        }
        let (installs, around) = (self.installs.load(), self.surroundings());
        let (site, stored, now) = (&snapshot.site, installs.of(host), now_ms() / 1000);
        let check = || {
            let image = match task {
                InstallTask::Rescue => gate::check_rescue(site, host, stored, now)?,
                task => {
                    gate::check_task(site, host, task)?;
                    gate::check_arming(site, host, stored, now)?
                }
            };
            gate::check_files_of(site, host, image, |file| around.files.fault(file))
        };
        check().err().map(|refusal: ArmRefusal| refusal.to_string())
    }

    /// Arms several hosts for one task: all, or none if one of them cannot be.
    ///
    /// # Errors
    /// Some cannot be armed, each with its reason.
    pub async fn arm_installs(
        &self,
        hosts: &[String],
        request: InstallRequest<'_>,
    ) -> Result<Vec<ArmedHost>, Vec<InstallError>> {
        let any = |_: Option<&Install>| Ok::<(), InstallError>(());
        let (mut armed, mut refusals) = (Vec::new(), Vec::new());
        for host in hosts {
            match self.arm_install_if(InstallRequest { host, dry_run: true, ..request }, any).await
            {
                Ok(install) => armed.push(ArmedHost { name: host.clone(), install }),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        if request.dry_run {
            return Ok(armed);
        }
        armed.clear();
        for host in hosts {
            match self.arm_install_if(InstallRequest { host, ..request }, any).await {
                Ok(install) => armed.push(ArmedHost { name: host.clone(), install }),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if refusals.is_empty() {
            return Ok(armed);
        }
        // One was protected, or began to install, just now: the others are not armed either.
        for ArmedHost { name, .. } in &armed {
            // Whoever armed a host may call that off, even if it was moved out of the limits meanwhile.
            let request = InstallRequest { host: name, limits: &[], ..request };
            if let Err(error) = self.cancel_install_if(request, any).await {
                refusals.push(error);
            }
        }
        Err(refusals)
    }

    /// The disks of a host are erased, and it is used for nothing any more. Nothing changes if
    /// that was done already.
    ///
    /// # Errors
    /// The inventory cannot be changed.
    pub async fn release_host(&self, name: &str, who: &str) -> Result<(), ChangeError> {
        let summary = format!("release host {name}");
        let change = Change { who, summary: &summary, ..Change::default() };
        let edit = |site: &mut Site| {
            if let Some(host) = site.hosts.get_mut(name) {
                *host = host.released();
            }
            Ok(())
        };
        self.change_site(change, edit).await.map(drop)
    }

    /// Calls an install off. An installer that runs already is refused when it reports.
    ///
    /// # Errors
    /// Nothing is armed and nothing runs.
    pub async fn cancel_install<'a>(
        &self,
        host: &str,
        author: impl Into<Author<'a>>,
    ) -> Result<Install, InstallError> {
        let (author, task) = (author.into(), InstallTask::Install);
        let request = InstallRequest { host, author, limits: &[], task, dry_run: false };
        self.cancel_install_if(request, |_| Ok(())).await
    }

    /// [`Self::cancel_install`], if `check` allows it of the install that is stored.
    pub async fn cancel_install_if<E: From<InstallError>>(
        &self,
        request: InstallRequest<'_>,
        check: impl FnOnce(Option<&Install>) -> Result<(), E>,
    ) -> Result<Install, E> {
        let InstallRequest { host, author, limits, dry_run, .. } = request;
        let now = now_ms() / 1000;
        if !limits.is_empty() {
            let site = Snapshot::load(&self.database).await.map_err(InstallError::from)?.site;
            let task = InstallTask::Install;
            let within = self.check_install(author, limits, &site, (host, task)).await;
            within.map_err(InstallError::from)?;
        }
        let decide = |stored: Option<&Install>| {
            let cancelled = stored.and_then(|install| install.on_cancel(now));
            cancelled.ok_or_else(|| InstallError::NothingToCancel(host.to_owned()))
        };
        let cancelled = self.requested_step(request, check, decide).await?;
        if dry_run {
            return Ok(cancelled);
        }
        self.audit(author, AuditAction::InstallCancelled { host: host.to_owned() }).await;
        Ok(cancelled)
    }

    /// The host itself fetches its script for `image`, with the token that it has, if any.
    pub async fn grant_boot(
        &self,
        host: &str,
        image: &str,
        token: Option<&str>,
    ) -> Result<BootGrant, Error> {
        let now = now_ms() / 1000;
        let fresh = random_text(TOKEN_CHARACTERS);
        let fresh_hash = token_hash(&fresh);
        let proof = token.map(token_hash);
        let ends = self.install_ends(image);
        let step = self
            .step(host, |stored| {
                let Some(install) = stored else { return (None, ScriptStep::Disk) };
                let step = install.on_script(image, proof.as_deref(), &fresh_hash, ends, now);
                match &step {
                    ScriptStep::Disk | ScriptStep::Same => (None, step),
                    ScriptStep::Boot(next) | ScriptStep::Over(next) => (Some(next.clone()), step),
                }
            })
            .await?;
        Ok(match step {
            ScriptStep::Disk => BootGrant::Disk,
            ScriptStep::Over(over) => {
                self.tell_of_install(host, end_of(over));
                BootGrant::Disk
            }
            ScriptStep::Same => token.map_or(BootGrant::Disk, |t| BootGrant::Install(t.to_owned())),
            ScriptStep::Boot(_) => BootGrant::Install(fresh),
        })
    }

    /// The boot with this token is about to get the last byte of its installer, which must not
    /// leave before this returns.
    pub async fn install_loaded(
        &self,
        host: &str,
        begins: InstallBegins,
        token: &str,
    ) -> Result<(), Error> {
        if begins == InstallBegins::Reported {
            return Ok(());
        }
        let (now, proof) = (now_ms() / 1000, token_hash(token));
        let began = self
            .step(host, |stored| {
                let next = stored.and_then(|install| install.on_loaded(&proof, now));
                (next.clone(), next)
            })
            .await?;
        match began {
            None => {}
            Some(Install { image, task: task @ InstallTask::Rescue, .. }) => {
                self.tell_of_install(host, EventData::InstallCompleted { image, task });
            }
            Some(Install { image, task, .. }) => {
                self.tell_of_install(host, EventData::InstallStarted { image, task });
            }
        }
        Ok(())
    }

    /// An installer reports with its token.
    ///
    /// # Errors
    /// Its token or its report is not accepted, or the database fails.
    pub async fn report_install(
        &self,
        host: &str,
        token: &str,
        report: &InstallReport,
    ) -> Result<(), InstallReportError> {
        let (now, proof) = (now_ms() / 1000, token_hash(token));
        let outcome = self
            .step(host, |stored| {
                let Some(install) = stored else { return (None, Err(ReportRefusal::InvalidToken)) };
                match install.on_report(&proof, report, now) {
                    Ok(next) => (next.clone(), Ok(next)),
                    Err(refusal) => (None, Err(refusal)),
                }
            })
            .await?;
        if let Ok(Some(Install { image, task, .. })) = &outcome {
            let (image, task) = (image.clone(), *task);
            self.tell_of_install(
                host,
                match report {
                    InstallReport::Begins => EventData::InstallStarted { image, task },
                    InstallReport::Succeeded => EventData::InstallCompleted { image, task },
                    InstallReport::Failed(reason) => {
                        EventData::InstallFailed { reason: reason.clone() }
                    }
                },
            );
        }
        Ok(outcome.map(drop)?)
    }

    /// The firmware of a host boots: an install that had started is over. For the packet path,
    /// which must not wait for the database: that nothing is installed again does not depend on it.
    pub fn note_power_on(&self, host: &str) {
        let now = now_ms() / 1000;
        let installs = self.installs.load();
        let ends = |install: &Install| self.install_ends(&install.image);
        let is_over = |install: &Install| install.on_power_on(ends(install), now).is_some();
        let Some(install) = installs.of(host).filter(|install| is_over(install)) else { return };
        let ends = ends(install);
        let (inventory, host) = (self.clone(), host.to_owned());
        tokio::spawn(async move {
            let over = inventory
                .step(&host, |stored| {
                    let next = stored.and_then(|install| install.on_power_on(ends, now));
                    (next.clone(), next)
                })
                .await;
            match over {
                Ok(Some(over)) => inventory.tell_of_install(&host, end_of(over)),
                Ok(None) => {}
                Err(error) => tracing::warn!(host, %error, "cannot store that an install is over"),
            }
        });
    }

    /// When an install of this image counts as done.
    fn install_ends(&self, image: &str) -> InstallEnds {
        let snapshot = self.snapshot();
        snapshot.site.images.get(image).map(Image::install_ends).unwrap_or_default()
    }

    fn tell_of_install(&self, host: &str, data: EventData) {
        self.events.record(Some(host), None, data);
    }
}
