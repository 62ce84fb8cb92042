//! Keeps the zones up to date: one server of the inventory for each, after every revision.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use domain::tsig::Key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::key::{KeyFileError, read_key};
use super::update::{Changes, MOST_CHANGES, SignedUpdate, UpdateError, fits};
use crate::app::App;
use crate::config::Config;
use crate::inventory::{self, Live};
use crate::lifecycle::EventData;
use crate::lifecycle::event::Warning;
use crate::metrics::DNS_UPDATES;
use crate::model::{HostRecord, Zone};

/// How often it is looked whether something is due, besides revisions.
const EVERY: Duration = Duration::from_secs(5);
/// How long a server has a zone after it last said so.
const CLAIM_MS: i64 = 30_000;
/// How long a name server may take for one message.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often all records are sent, whether something changed or not: a zone that was restored, or
/// edited by hand, has them again.
const ALL_EVERY: Duration = Duration::from_secs(6 * 3600);
/// How long after a failure the next attempt follows, by the number of failures in a row.
const WAITS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// Why a zone is not up to date.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error(transparent)]
    Database(#[from] inventory::Error),
}

/// Where and how updates are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    server: SocketAddr,
    key_file: PathBuf,
    domain: String,
    ttl: u32,
}

/// The target of a configuration; none if no updates are to be sent.
fn target(config: &Config) -> Option<Target> {
    let (server, key_file) = (config.dns_server?, config.dns_key_file.clone()?);
    let forward = config.dns_zones.iter().find(|zone| !Zone::new(zone).is_reverse());
    let domain = config.dns_domain.clone().or_else(|| forward.cloned()).unwrap_or_default();
    Some(Target { server, key_file, domain, ttl: config.dns_ttl })
}

/// What this process knows of a zone.
#[derive(Default)]
struct ZoneState {
    /// What it was sent to last, whether that succeeded or not.
    tried: Option<Target>,
    /// The revision that the zone has.
    done: Option<i64>,
    all_at: Option<Instant>,
    failures: usize,
    next_at: Option<Instant>,
}

/// Sends updates until `stop`.
pub(crate) async fn run(app: App, stop: CancellationToken) -> io::Result<()> {
    stop.run_until_cancelled(keep(app)).await;
    Ok(())
}

async fn keep(app: App) {
    let server = format!("{:032x}", rand::random::<u128>());
    let mut zones: HashMap<String, ZoneState> = HashMap::new();
    let mut timer = interval(EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut live: Option<Receiver<Live>> = None;
    loop {
        let config = app.config.now();
        let target = target(&config);
        // Nobody watches in vain: a watcher costs each event a copy.
        match (&target, &mut live) {
            (None, watching) => {
                *watching = None;
                timer.tick().await;
                continue;
            }
            (Some(_), Some(watching)) => tokio::select! {
                happened = inventory_changed(watching) => if !happened { return },
                _ = timer.tick() => {}
            },
            (Some(_), none) => *none = Some(app.inventory.events.watch()),
        }
        let Some(target) = target else { continue };
        zones.retain(|zone, _| config.dns_zones.contains(zone));
        for name in &config.dns_zones {
            let state = zones.entry(name.clone()).or_default();
            let zone = Zone::new(name);
            keep_zone(&app, &server, &target, &zone, state).await;
        }
    }
}

/// Waits for a revision. Returns whether there can be more.
async fn inventory_changed(live: &mut Receiver<Live>) -> bool {
    loop {
        match live.recv().await {
            Ok(Live::Revision(_)) | Err(RecvError::Lagged(_)) => return true,
            Ok(Live::State(_) | Live::Event(_) | Live::Progress(_) | Live::Audit(_)) => {}
            Err(RecvError::Closed) => return false,
        }
    }
}

/// Brings a zone up to date, if that is due and this server's to do.
async fn keep_zone(app: &App, server: &str, target: &Target, zone: &Zone, state: &mut ZoneState) {
    let database = &app.inventory.database;
    match database.claim_dns_zone(zone.name(), server, CLAIM_MS).await {
        Ok(true) => {}
        Ok(false) => {
            // Another server has it: what that one did is not known here. The name server is the same.
            let ZoneState { tried, failures, next_at, .. } = std::mem::take(state);
            *state = ZoneState { tried, failures, next_at, ..ZoneState::default() };
            return;
        }
        Err(error) => {
            tracing::debug!(%error, "DNS updates: cannot claim zone {}", zone.name());
            return;
        }
    }
    let now = Instant::now();
    let snapshot = app.inventory.snapshot();
    if state.tried.as_ref() != Some(target) {
        *state = ZoneState { tried: Some(target.clone()), ..ZoneState::default() };
    }
    let is_all = state.all_at.is_none_or(|at| now - at >= ALL_EVERY);
    let is_current = state.done == Some(snapshot.revision);
    let waits = state.next_at.is_some_and(|at| now < at);
    if waits || (is_current && !is_all) {
        return;
    }
    let records = zone.records(&snapshot.site, &target.domain);
    let (wanted, left_out): (BTreeSet<HostRecord>, BTreeSet<HostRecord>) =
        records.into_iter().partition(|record| fits(zone, record));
    for record in left_out {
        let zone = zone.name();
        tracing::warn!(
            "DNS updates: zone {zone} cannot have the record {record}: its name is not a valid DNS name \
             (1 to 63 characters between dots, 253 at most)"
        );
    }
    match sync(app, server, target, zone, &wanted, is_all).await {
        // Another server took the zone over meanwhile.
        Ok(None) => {}
        Ok(Some(sent)) => {
            if state.failures > 0 {
                tracing::info!("DNS updates: zone {} is up to date again", zone.name());
            }
            if sent > 0 {
                tracing::info!("DNS updates: {sent} changes of zone {}", zone.name());
            }
            *state = ZoneState {
                tried: state.tried.take(),
                done: Some(snapshot.revision),
                all_at: if is_all { Some(now) } else { state.all_at },
                failures: 0,
                next_at: None,
            };
        }
        Err(error) => {
            let wait = WAITS[state.failures.min(WAITS.len() - 1)];
            DNS_UPDATES.count("failed");
            let (zone, seconds) = (zone.name(), wait.as_secs());
            tracing::warn!("DNS updates: zone {zone}: {error}; retrying in {seconds} s");
            if state.failures == 0 {
                let (zone, cause) = (zone.to_owned(), error.to_string());
                let warning = Warning::DnsNotUpdated { zone, cause };
                app.inventory.events.record(None, None, EventData::Warning(warning));
            }
            state.failures += 1;
            state.next_at = Some(now + wait);
        }
    }
}

/// Sends what a zone lacks, and takes out of it what is ours and not wanted any more. Returns how many
/// changes there were; none if another server took the zone over meanwhile.
async fn sync(
    app: &App,
    server: &str,
    target: &Target,
    zone: &Zone,
    wanted: &BTreeSet<HostRecord>,
    is_all: bool,
) -> Result<Option<usize>, SyncError> {
    let database = &app.inventory.database;
    let known = database.list_dns_records(zone.name()).await?;
    let is_due = |record: &&HostRecord| is_all || known.get(*record) != Some(&true);
    let add: Vec<HostRecord> = wanted.iter().filter(is_due).cloned().collect();
    let remove: Vec<HostRecord> =
        known.keys().filter(|record| !wanted.contains(*record)).cloned().collect();
    let count = add.len() + remove.len();
    if count == 0 {
        return Ok(Some(0));
    }
    let key = read_key(&target.key_file)?;
    // What goes is sent first: an address that moves to another host has one name at a time.
    let removals =
        remove.chunks(MOST_CHANGES).map(|part| Changes { remove: part.to_vec(), add: vec![] });
    let additions =
        add.chunks(MOST_CHANGES).map(|part| Changes { add: part.to_vec(), remove: vec![] });
    for changes in removals.chain(additions) {
        // A long series takes longer than a claim lasts.
        if !database.claim_dns_zone(zone.name(), server, CLAIM_MS).await? {
            return Ok(None);
        }
        database.note_dns_records(zone.name(), &changes.add).await?;
        send(target, zone, &changes, &key).await?;
        DNS_UPDATES.count("sent");
        database.settle_dns_records(zone.name(), &changes.add, &changes.remove).await?;
    }
    Ok(Some(count))
}

/// Sends one update by TCP, and waits for the answer.
async fn send(
    target: &Target,
    zone: &Zone,
    changes: &Changes,
    key: &Key,
) -> Result<(), UpdateError> {
    let update = SignedUpdate::new(zone, target.ttl, changes, key, rand::random())?;
    let exchange = async {
        let mut stream = TcpStream::connect(target.server).await?;
        let length = u16::try_from(update.bytes.len()).map_err(io::Error::other)?;
        // One packet: some servers wait for the length and the message apart.
        stream.write_all(&[&length.to_be_bytes()[..], &update.bytes].concat()).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = match timeout(TIMEOUT, exchange).await {
        Ok(answer) => answer.map_err(|error| UpdateError::Unreachable(error.to_string()))?,
        Err(_) => {
            let seconds = TIMEOUT.as_secs();
            return Err(UpdateError::Unreachable(format!("no answer within {seconds} s")));
        }
    };
    update.check(answer)
}
