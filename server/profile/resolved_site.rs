//! A site together with the profiles of its hosts. Pure, but for a cache behind a lock.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, RwLock};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::environment::Environment;
use super::expression::{Scope, Term};
use super::merge::Merged;
use super::{Explained, Fault, Layer, Origin, REMEMBERED, Resolution, alone, explain, layers};
use crate::model::{
    AuthorizedKey, Host, Keyring, NewHosts, Profile, RootPassword, SecretRef, SecretText, Site,
};
use crate::tree;

/// A site, and the profiles of its hosts that were resolved so far. It reads like the
/// [`Site`] that it holds; copies, changed or not, share what they resolve.
#[derive(Clone, Debug, Default)]
pub struct ResolvedSite {
    site: Arc<Site>,
    resolver: Resolver,
    keyring: Arc<Keyring>,
    /// Whether files have the values of secrets.
    shows_secrets: bool,
}

impl From<Site> for ResolvedSite {
    fn from(site: Site) -> Self {
        Self { site: Arc::new(site), ..Self::default() }
    }
}

/// What is resolved follows from the site and makes no difference.
impl PartialEq for ResolvedSite {
    fn eq(&self, other: &Self) -> bool {
        self.site == other.site
    }
}

impl Eq for ResolvedSite {}

impl PartialEq<Site> for ResolvedSite {
    fn eq(&self, other: &Site) -> bool {
        *self.site == *other
    }
}

impl Serialize for ResolvedSite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.site.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ResolvedSite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Site::deserialize(deserializer).map(Self::from)
    }
}

impl Deref for ResolvedSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// Changing a site copies it first if it is shared. What was resolved stays valid: it is known
/// by the layers that it was made of.
impl DerefMut for ResolvedSite {
    fn deref_mut(&mut self) -> &mut Site {
        Arc::make_mut(&mut self.site)
    }
}

impl ResolvedSite {
    /// The site alone. It is copied if it is shared.
    pub fn into_site(self) -> Site {
        Arc::unwrap_or_clone(self.site)
    }

    /// Another site, usually a changed copy of this one, that shares what is resolved.
    pub fn with(&self, site: Site) -> Self {
        Self { site: Arc::new(site), ..self.clone() }
    }

    /// The same site with these secrets.
    pub fn with_keyring(self, keyring: Keyring) -> Self {
        Self { keyring: Arc::new(keyring), ..self }
    }

    /// The same site for a host to read its own files of: they have the values of its secrets, which
    /// nobody else may see.
    pub fn for_the_host(&self) -> Self {
        Self { shows_secrets: true, ..self.clone() }
    }

    /// The secrets, with what is known of them.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// What a file has in the place of a secret.
    pub fn secret_text(&self, named: &SecretRef) -> SecretText {
        self.keyring.text(named, self.shows_secrets)
    }

    /// What a file has in the place of the key that a MACsec link sends with: the secret that its
    /// profile names, or the key that follows from the key file.
    pub fn macsec_key(&self, named: Option<&SecretRef>, host: &str, link: &str) -> SecretText {
        match named {
            Some(named) => self.secret_text(named),
            None => self.keyring.macsec_key(host, link, self.shows_secrets),
        }
    }

    /// What a file has in the place of the private key of a WireGuard link.
    pub fn wireguard_private(&self, host: &str, link: &str) -> SecretText {
        self.keyring.wireguard_private(host, link, self.shows_secrets)
    }
}

impl ResolvedSite {
    /// The host's address on a subnet: what DHCP gives it there. A reservation
    /// comes first, else the address that one of its links has in that subnet.
    pub fn address_on(&self, host: &Host, subnet_name: &str) -> Option<IpAddr> {
        if let Some(address) = host.reservations.get(subnet_name) {
            return Some(*address);
        }
        let resolution = self.profile_of(host)?;
        let link = resolution.profile.link_of_subnet(subnet_name)?;
        host.addresses.get(link).copied()
    }

    /// The profile of a host with everything that is laid over and below it; none for a host
    /// that names no profile of the site.
    pub fn profile_of(&self, host: &Host) -> Option<Arc<Resolution>> {
        let merged = self.merged(host)?;
        let environment = Environment::of(self, host, &merged);
        Some(self.resolve(&merged, environment))
    }

    /// Who may log in to a host, whether it has a profile or not: what its own `network`, its
    /// profile, its rack or the site says, the nearest that says anything.
    pub fn login_of(&self, host: &Host) -> Login {
        if let Some(resolution) = self.profile_of(host) {
            let Profile { ssh_authorized_keys, root_password_hash, .. } = &resolution.profile;
            return Login {
                ssh_authorized_keys: ssh_authorized_keys.clone(),
                root_password_hash: root_password_hash.clone(),
            };
        }
        let find = |key: &str| self.value_without_profile(host, key);
        Login {
            ssh_authorized_keys: find("ssh-authorized-keys").map(read_or_none).unwrap_or_default(),
            root_password_hash: find("root-password-hash").and_then(read_or_none),
        }
    }

    /// What happens to a host that was never armed, whether it has a profile or not.
    pub fn policy_for_new(&self, host: &Host) -> NewHosts {
        let policy = match self.profile_of(host) {
            Some(resolution) => resolution.profile.new_hosts.clone(),
            None => self.value_without_profile(host, "new-hosts").and_then(read_or_none),
        };
        policy.unwrap_or_default()
    }

    /// What the layers of a host without a profile say of a key, the nearest that says anything.
    fn value_without_profile<'a>(&'a self, host: &'a Host, key: &str) -> Option<&'a Value> {
        let rack = host.rack.as_ref().and_then(|rack| self.racks.get(rack));
        let layers = [Some(&host.network), rack.map(|rack| &rack.network), Some(&self.network)];
        let mut found = layers.into_iter().flatten().filter_map(|layer| layer.entries().get(key));
        found.next().filter(|value| !value.is_null())
    }

    /// A profile as it is without any host: what it needs to know of one is made up.
    /// It is that of a tenant, where it serves tenants.
    pub fn profile_named(&self, name: &str, tenant: Option<&str>) -> Option<Arc<Resolution>> {
        let tenant = tenant.map(str::to_owned);
        let host = Host { profile: Some(name.to_owned()), tenant, ..Host::default() };
        let merged = self.merged(&host)?;
        match Environment::of(self, &host, &merged) {
            Ok(environment) => Some(self.resolve(&merged, Ok(environment))),
            Err(_) if merged.faults.is_empty() => {
                let made_up = Environment::example(self, &host, &merged);
                let read = self.read(&merged, made_up);
                Some(Arc::new(Resolution { is_example: true, ..read }))
            }
            Err(faults) => Some(self.resolve(&merged, Err(faults))),
        }
    }

    /// What is wrong with the networks of the site, of racks and of hosts without a profile in
    /// themselves; each with the name of the host, if it is a host's.
    pub fn layer_faults(&self) -> Vec<(String, Fault)> {
        alone::faults(&self.site)
    }

    /// Every value of a host's profile and where it comes from, in the order of the profile.
    pub fn explain(&self, host: &Host) -> Vec<Explained> {
        let Some(merged) = self.merged(host) else { return Vec::new() };
        let Ok(environment) = Environment::of(self, host, &merged) else { return Vec::new() };
        let (tree, _) = merged.evaluate(&mut self.scope(environment));
        explain::explain(&merged.layers, &tree)
    }

    fn scope(&self, environment: Environment) -> Scope<'_> {
        let Environment { names, tenant } = environment;
        let (asked, served) = Default::default();
        Scope { names, tenant, site: Some(&self.site), asked, served }
    }

    /// The layers of a host, merged; the same as last time where they are the same.
    fn merged(&self, host: &Host) -> Option<Arc<Merged>> {
        let (layers, faults) = layers::collect(self, host)?;
        let key: LayersKey = layers.iter().map(Layer::identity).collect();
        if let Some(found) = self.resolver.find(&key) {
            return Some(found);
        }
        let merged = Arc::new(Merged::new(layers, faults));
        self.resolver.add(key, merged.clone());
        Some(merged)
    }

    fn resolve(
        &self,
        merged: &Arc<Merged>,
        environment: Result<Environment, Vec<Fault>>,
    ) -> Arc<Resolution> {
        if !merged.faults.is_empty() {
            return Arc::new(Resolution::faulty(merged, merged.faults.clone()));
        }
        let environment = match environment {
            Ok(environment) => environment,
            Err(faults) => return Arc::new(Resolution::faulty(merged, faults)),
        };
        let mut values: Vec<Term> = environment.names.values().cloned().collect();
        values.extend(environment.tenant.iter().cloned().map(Term::Text));
        if let Some(found) = merged.find(&values).filter(|found| found.is_current(self)) {
            return found;
        }
        let made = Arc::new(self.read(merged, environment));
        merged.add(values, made.clone());
        made
    }

    fn read(&self, merged: &Merged, environment: Environment) -> Resolution {
        let mut scope = self.scope(environment);
        let (tree, faults) = merged.evaluate(&mut scope);
        let (tenant, asked, served) =
            (scope.tenant, scope.asked.into_inner(), scope.served.into_inner());
        let mut resolution =
            Resolution { tenant, asked, served, ..Resolution::faulty(merged, faults) };
        if !resolution.faults.is_empty() {
            return resolution;
        }
        match tree::read_json(&Value::Object(tree)) {
            Ok(mut profile) => {
                let served = self.serve(&mut profile, resolution.tenant.as_deref());
                resolution.served.extend(served);
                resolution.profile = profile;
            }
            Err(refusal) => {
                let text = refusal.to_string();
                let fault = merged.fault_at(&refusal.path(), text);
                let key = refusal.key().map(str::to_owned);
                // What lies above a profile may say what is missing in it, and a host gives
                // it the values that it is computed with.
                let in_itself = !refusal.is_missing() && !merged.is_computed_at(&refusal.path());
                let is_value = refusal.is_value();
                resolution.faults.push(Fault { key, is_value, in_itself, ..fault });
            }
        }
        resolution
    }
}

/// A value of a layer without a profile. One that cannot be read was refused when it was set.
fn read_or_none<T: DeserializeOwned + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}

/// Who may log in to a host as root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The lines of `authorized_keys`; none leaves those of the image.
    pub ssh_authorized_keys: Vec<AuthorizedKey>,
    /// Its password; none leaves that of the image.
    pub root_password_hash: Option<RootPassword>,
}

type LayersKey = Vec<(Origin, usize)>;

/// What was resolved already. Its keys are the identities of the layers, which it keeps alive:
/// a changed layer is another one, so that no entry is ever stale.
#[derive(Clone, Default)]
struct Resolver(Arc<RwLock<HashMap<LayersKey, Arc<Merged>>>>);

impl Resolver {
    fn find(&self, key: &LayersKey) -> Option<Arc<Merged>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn add(&self, key: LayersKey, merged: Arc<Merged>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, merged);
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
