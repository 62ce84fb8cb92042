//! The inventory: the one place that talks to the database.
//!
//! `Inventory` is what the services hold. Reads come from a snapshot in memory
//! that is replaced whole when a revision is made (by this process or another
//! one on the same database); writes go to the database first.

// The database: one file per noun.
mod audit_chain;
mod audit_guard;
mod audit_log;
pub(crate) mod database;
mod dns_records;
mod error;
mod event_log;
mod event_page;
mod event_segments;
mod host_status;
mod hosts;
mod identities;
mod installs;
mod known;
mod limits;
mod open;
pub mod portable;
mod postgres_tls;
mod primary;
mod revisions;
mod roll_out;
mod roll_outs;
mod second_factor;
mod sessions;
mod specs;
mod stored_files;
mod subnets;
mod tokens;
mod unknown_clients;
mod users;
pub(crate) mod vault;
mod webhook_messages;

// What the services see.
mod events;
mod follow;
mod rental_ends;
mod snapshot;
mod ticks;
mod watch;

// What people change, and how they show who they are.
mod change;
mod complete;
mod secrets;
mod taken;

use std::net::IpAddr;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::model::{KeyState, StoredFile};
use crate::network::{BootFiles, Surroundings};
use crate::recipe;

pub use audit_chain::{AuditCheck, Fault, Head};
pub use audit_log::{AuditQuery, StoredAuditEntry, is_audit_id};
pub use change::{Change, ChangeError, Committed, Review, Tried};
pub use database::Database;
pub use error::Error;
pub use event_log::{EventFilter, Retention};
pub use event_page::{EventPageQuery, EventsOf, StoredEvent};
pub use events::{EventBus, Live};
pub use follow::{FollowedEvent, Following};
pub use host_status::{HostStates, StoredLife, StoredReport};
pub use identities::{IdentityError, ProvidedUser};
pub use installs::{
    ArmedHost, BootGrant, InstallError, InstallReportError, InstallRequest, Installs, NewHostError,
};
pub use known::Expected;
pub use open::{Access, OpenError, create_private_directory, shown};
pub(crate) use open::{directory_of, not_writable};
pub use postgres_tls::{AuthorityFileError, TlsParameterError};
pub use primary::Postgres;
pub use revisions::{Revision, RevisionPageQuery};
pub use roll_out::HostConfig;
pub use roll_outs::{LeftOut, RollOut, RollOutError, RollOutPlan, RollOutStatus, WaveStatus};
pub use second_factor::{CodeCheck, Enrolment, SecondFactor, SecondFactorError};
pub(crate) use sessions::shown_id;
pub use sessions::{SessionStore, UserSession};
pub use snapshot::Snapshot;
pub use stored_files::StoredFiles;
pub use taken::Taken;
pub use tokens::{NewToken, Token};
pub use unknown_clients::UnknownClients;
pub(crate) use users::random_password;
pub use users::{Account, AccountError, FIRST_USER, User};
use vault::KeyFile;
pub use vault::{SecretError, StoredSecret};
pub use webhook_messages::WaitingMessage;

/// The inventory as the services see it. Cheap to clone.
#[derive(Clone)]
pub struct Inventory {
    /// The database, for what is not in the snapshot.
    pub database: Database,
    /// What happens, for whoever wants to know.
    pub events: EventBus,
    /// The state of each host.
    pub states: Arc<HostStates>,
    /// Clients that ask DHCP and are in no host.
    pub unknown: Arc<UnknownClients>,
    current: Arc<ArcSwap<Snapshot>>,
    around: Arc<ArcSwap<Surroundings>>,
    installs: Arc<ArcSwap<Installs>>,
    stored_files: Arc<ArcSwap<StoredFiles>>,
    repeats: Arc<audit_log::Repeats>,
    /// The entries of the audit log that were shown.
    shown_audit: Arc<audit_log::ShownLog>,
    /// The number of the newest event of other servers that was taken over.
    seen_event: Arc<AtomicI64>,
    /// Whoever changes `installs` has it, from the first look at the database on.
    installs_turn: Arc<tokio::sync::Mutex<()>>,
    /// What secrets are sealed with.
    key: Arc<ArcSwap<KeyState>>,
    /// Where the key file is, once it is used.
    key_file: Arc<OnceLock<KeyFile>>,
    /// The files that hosts are to have, rendered once for each site.
    wanted_files: Arc<tokio::sync::Mutex<roll_out::WantedFiles>>,
}

impl Inventory {
    /// Opens the inventory in `database`, which must be migrated, and reads it whole.
    pub async fn open(database: Database) -> Result<Self, Error> {
        database.begin_audit_chain().await?;
        database.carry_over_audit().await?;
        let last_event = database.last_event().await?;
        let snapshot = Snapshot::load(&database).await?;
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        let states = Arc::new(HostStates::new(current.clone()));
        states.take_over(database.list_lives().await?);
        let events = EventBus::start(database.clone(), states.clone());
        let around = Surroundings { recipes: Some(recipe::fault_text), ..Surroundings::default() };
        let around = Arc::new(ArcSwap::from_pointee(around));
        let (installs, stored_files, repeats, installs_turn, unknown) = Default::default();
        let shown_audit = Arc::new(audit_log::ShownLog::since(now_ms()));
        let inventory = Self {
            database,
            events,
            states,
            unknown,
            current,
            around,
            installs,
            stored_files,
            repeats,
            shown_audit,
            seen_event: Arc::new(AtomicI64::new(last_event)),
            installs_turn,
            key: Arc::default(),
            key_file: Arc::default(),
            wanted_files: Arc::default(),
        };
        inventory.reload_installs().await?;
        inventory.reload_stored_files().await?;
        Ok(inventory)
    }

    /// The site as it is now. Take it once per request, so that one answer speaks of one site.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// What this process knows besides the site.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        self.around.load_full()
    }

    /// Takes note of the addresses that hosts reach this server at.
    pub fn set_servers(&self, servers: &[IpAddr]) {
        self.around.rcu(|around| Surroundings {
            servers: servers.to_vec(),
            ..Surroundings::clone(around)
        });
    }

    /// Takes note of where the files are that hosts boot. `fault` says what is wrong with one, given
    /// what is recorded of it.
    pub fn set_boot_files(
        &self,
        fault: impl Fn(&str, Option<&StoredFile>) -> Option<String> + Send + Sync + 'static,
    ) {
        let records = self.stored_files.clone();
        let files = BootFiles::new(move |name| fault(name, records.load().of(name)));
        self.around
            .rcu(|around| Surroundings { files: files.clone(), ..Surroundings::clone(around) });
    }

    /// Reads the site anew from the database, and says so if it changed; and the key file, which
    /// a reset of the secrets replaces.
    pub async fn reload(&self) -> Result<(), Error> {
        self.read_key_file().await?;
        let snapshot = Snapshot::load(&self.database).await?;
        self.show(self.unsealed(snapshot));
        Ok(())
    }

    /// Shows a newer snapshot to the services; an older one is dropped, for two tasks may
    /// have read the database at once.
    fn show(&self, snapshot: Snapshot) {
        let revision = snapshot.revision;
        let snapshot = Arc::new(snapshot);
        let before = self.current.rcu(|current| {
            let newer = if current.revision < revision { &snapshot } else { current };
            newer.clone()
        });
        if before.revision >= revision {
            return;
        }
        self.events.revision(revision);
        self.states.retain(&snapshot);
        let is_new = |name: &String| !before.site.hosts.contains_key(name);
        if snapshot.site.hosts.keys().any(is_new) {
            // One may be a known host under another name.
            let inventory = self.clone();
            tokio::spawn(async move {
                match inventory.database.list_lives().await {
                    Ok(stored) => inventory.states.take_over(stored),
                    Err(error) => tracing::warn!(%error, "the states of hosts cannot be read"),
                }
            });
        }
    }
}

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis() as i64)
}
