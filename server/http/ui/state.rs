//! State that the handlers share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::clock::{Moment, moment};
use super::fleet::FleetUpdate;
use super::host_row::Board;
use super::import_drafts::ImportDrafts;
use super::live::HostUpdate;
use super::oidc::Provider;
use super::password_queue::PasswordQueue;
use super::progress::ProgressBoard;
use super::recent::{Recent, RecentByName};
use super::revisions::ShownRevision;
use super::site_facts::SiteFacts;
use super::throttle::Throttle;
use crate::app::App;
pub(crate) use crate::inventory::now_ms;

/// The state of the UI. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ui {
    /// The server's parts.
    pub app: App,
    /// Transfers that are under way.
    pub progress: ProgressBoard,
    /// Ends the live streams, which would keep the server from stopping.
    pub stop: CancellationToken,
    /// Passwords that wait to be checked.
    pub passwords: PasswordQueue,
    /// What the open lists and racks show.
    pub board: Arc<Recent<Board>>,
    /// What the open home pages show.
    pub fleet: Arc<Recent<FleetUpdate>>,
    /// What the open pages of hosts show, by host.
    pub hosts: Arc<RecentByName<HostUpdate>>,
    /// The revision whose page was opened last: its files are not rendered for every reader.
    pub revision: Arc<ArcSwapOption<ShownRevision>>,
    /// The VLANs and findings of the site at the revision that was last asked for.
    pub facts: Arc<ArcSwapOption<SiteFacts>>,
    /// Whose turn it is to find them out.
    pub facts_turn: Arc<tokio::sync::Mutex<()>>,
    /// The OpenID Connect provider.
    pub provider: Arc<Provider>,
    /// Files that are reviewed before they are taken in.
    pub imports: Arc<ImportDrafts>,
    throttle: Arc<Mutex<Throttle>>,
    code_throttle: Arc<Mutex<Throttle>>,
    provider_throttle: Arc<Mutex<Throttle>>,
}

impl Ui {
    /// Makes the state and starts following the transfers until `stop`.
    pub(crate) fn start(app: App, stop: CancellationToken) -> Self {
        let progress = ProgressBoard::start(&app.inventory.events, stop.clone());
        let (passwords, throttle, code_throttle, provider_throttle) = Default::default();
        let (board, fleet, hosts, revision) = Default::default();
        let (facts, facts_turn, provider, imports) = Default::default();
        Self {
            app,
            progress,
            stop,
            passwords,
            board,
            fleet,
            hosts,
            revision,
            facts,
            facts_turn,
            provider,
            imports,
            throttle,
            code_throttle,
            provider_throttle,
        }
    }

    /// Now, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        now_ms()
    }

    /// A moment (Unix milliseconds) as this server's people read it.
    pub(crate) fn moment(&self, at_ms: i64) -> Moment {
        moment(at_ms, now_ms(), &TimeZone::system())
    }

    /// The failed logins.
    pub(crate) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wrong codes of second factors: a right password before each does not take them back.
    pub(crate) fn code_throttle(&self) -> MutexGuard<'_, Throttle> {
        self.code_throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The codes that a provider was asked about and that logged nobody in.
    pub(crate) fn provider_throttle(&self) -> MutexGuard<'_, Throttle> {
        self.provider_throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
