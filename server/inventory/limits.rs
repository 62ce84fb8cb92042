//! The gates of what is no change of the site: each asks whether the author's limits allow it, and
//! records a refusal.

use crate::inventory::Inventory;
use crate::lifecycle::audit::{AuditAction, Author};
use crate::lifecycle::gate;
use crate::lifecycle::install::InstallTask;
use crate::model::{ClientKey, Lease, Limits, OutsideLimits, Site, decide_host, decide_shared};

impl Inventory {
    /// Lets through who may arm a host for a task, or call that off.
    ///
    /// # Errors
    /// The host is outside the limits, or would be after a release.
    pub(crate) async fn check_install(
        &self,
        author: Author<'_>,
        limits: &[Limits],
        site: &Site,
        (name, task): (&str, InstallTask),
    ) -> Result<(), OutsideLimits> {
        self.noted(author, gate::check_limits(limits, site, name, task)).await
    }

    /// Lets through who may take a lease back: of a host within the limits.
    ///
    /// # Errors
    /// It is of another host, or of none.
    pub(crate) async fn check_lease(
        &self,
        author: Author<'_>,
        limits: &[Limits],
        lease: &Lease,
    ) -> Result<(), OutsideLimits> {
        let snapshot = self.snapshot();
        let by_name = match &lease.client {
            ClientKey::Host(name) => snapshot.host(name),
            _ => None,
        };
        let holder = by_name.or_else(|| snapshot.host_of_nic(lease.nic?));
        match holder {
            Some((name, host)) => {
                self.noted(author, decide_host(limits, name, Some(host), Some(host))).await
            }
            None => self.check_shared(author, limits, "lease", &lease.address.to_string()).await,
        }
    }

    /// Lets through who has no limits.
    ///
    /// # Errors
    /// There are limits.
    pub(crate) async fn check_shared(
        &self,
        author: Author<'_>,
        limits: &[Limits],
        noun: &str,
        name: &str,
    ) -> Result<(), OutsideLimits> {
        self.noted(author, decide_shared(limits, noun, name)).await
    }

    async fn noted(
        &self,
        author: Author<'_>,
        decided: Result<(), OutsideLimits>,
    ) -> Result<(), OutsideLimits> {
        if let Err(denied) = &decided {
            self.audit_denied(author, denied).await;
        }
        decided
    }

    /// Records that something goes beyond the limits of its author.
    pub(crate) async fn audit_denied(&self, author: Author<'_>, denied: &OutsideLimits) {
        if let Some(action) = AuditAction::outside(denied) {
            self.audit(author, action).await;
        }
    }
}
