//! What follows from the whole site and is found out once for each revision: the VLANs and the
//! findings of every host.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::error::Error;
use super::state::Ui;
use crate::inventory::Snapshot;
use crate::model::{Host, Location};
use crate::network::{Finding, Severity, Surroundings, check_site_within};
use crate::profile::ResolvedSite;

/// VLANs and findings at one revision.
#[derive(Debug, Default)]
pub(crate) struct SiteFacts {
    revision: i64,
    vlans: HashMap<String, Vec<u16>>,
    rules: HashMap<String, Vec<&'static str>>,
    /// Of every host that a finding concerns.
    findings: HashMap<String, Vec<Finding>>,
    errors: usize,
    warnings: usize,
}

impl SiteFacts {
    /// The VLANs of a host's network.
    pub(crate) fn vlans_of(&self, host: &str) -> &[u16] {
        self.vlans.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    /// The rules that find something about a host.
    pub(crate) fn rules_of(&self, host: &str) -> &[&'static str] {
        self.rules.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    /// What is found about a host, also where another one is wrong.
    pub(crate) fn findings_of(&self, host: &str) -> &[Finding] {
        self.findings.get(host).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many findings stop a host from being served.
    pub(crate) fn error_count(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    pub(crate) fn warning_count(&self) -> usize {
        self.warnings
    }

    fn new(snapshot: &Snapshot, around: &Surroundings) -> Self {
        let site = &snapshot.site;
        let findings = check_site_within(site, around);
        let mut rules: HashMap<String, Vec<&'static str>> = HashMap::new();
        for finding in findings.iter().filter(|one| one.severity != Severity::Silenced) {
            let Some(host) = finding.host() else { continue };
            let own = rules.entry(host.to_owned()).or_default();
            if !own.contains(&finding.rule) {
                own.push(finding.rule);
            }
        }
        let mut of_hosts: HashMap<String, Vec<Finding>> = HashMap::new();
        for finding in &findings {
            let hosts: BTreeSet<&str> =
                finding.subjects().filter_map(Location::name_of::<Host>).collect();
            for host in hosts {
                of_hosts.entry(host.to_owned()).or_default().push(finding.clone());
            }
        }
        let vlans = site.hosts.keys().map(|name| (name.clone(), vlans(site, name))).collect();
        let count = |severity| findings.iter().filter(|one| one.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let revision = snapshot.revision;
        Self { revision, vlans, rules, findings: of_hosts, errors, warnings }
    }

    #[cfg(test)]
    pub(crate) fn with_vlans(vlans: impl IntoIterator<Item = (String, Vec<u16>)>) -> Self {
        Self { vlans: vlans.into_iter().collect(), ..Self::default() }
    }

    /// Those of the present revision; where that would take a moment and need not be current,
    /// those of the one before.
    pub(crate) async fn read(ui: &Ui, must_be_current: bool) -> Result<Arc<Self>, Error> {
        let snapshot = ui.app.inventory.snapshot();
        let known = ui.facts.load_full();
        if let Some(known) = known {
            if known.revision == snapshot.revision {
                return Ok(known);
            }
            if !must_be_current {
                let (ui, known_revision) = (ui.clone(), known.revision);
                tokio::spawn(async move {
                    // Whoever asks next starts it again if it failed.
                    if let Err(error) = Self::renew(&ui).await {
                        tracing::warn!(%error, known_revision, "cannot check the inventory");
                    }
                });
                return Ok(known);
            }
        }
        Self::renew(ui).await
    }

    async fn renew(ui: &Ui) -> Result<Arc<Self>, Error> {
        let _turn = ui.facts_turn.lock().await;
        let snapshot = ui.app.inventory.snapshot();
        if let Some(known) = ui.facts.load_full().filter(|it| it.revision == snapshot.revision) {
            return Ok(known);
        }
        let around = ui.app.inventory.surroundings();
        let work = tokio::task::spawn_blocking(move || Arc::new(Self::new(&snapshot, &around)));
        let facts = work.await.map_err(|error| Error::Internal(error.to_string()))?;
        ui.facts.store(Some(facts.clone()));
        Ok(facts)
    }
}

fn vlans(site: &ResolvedSite, name: &str) -> Vec<u16> {
    let resolution = site.hosts.get(name).and_then(|host| site.profile_of(host));
    let Some(resolution) = resolution else { return Vec::new() };
    let profile = &resolution.profile;
    let names = profile.subnets().chain(profile.vlan_subnets()).map(|(_, subnet)| subnet);
    let mut vlans: Vec<u16> = names.filter_map(|name| site.subnets.get(name)?.vlan).collect();
    vlans.sort_unstable();
    vlans.dedup();
    vlans
}
