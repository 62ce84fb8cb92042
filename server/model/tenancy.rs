//! Whose hosts are whose: a tenant's rental of a host, and profiles that say "the tenant's
//! subnet" and so serve every tenant. Pure.

use std::collections::BTreeMap;

use super::{Host, Profile, Site};

/// How long before its end a rental is said to end soon, in seconds.
const SOON_SECONDS: i64 = 14 * 86_400;

/// Where a tenant's rental of a host is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RentalTerm {
    /// It begins after so many seconds.
    Ahead(i64),
    /// It runs, without an end or with one that is far off.
    Running,
    /// It ends after so many seconds, two weeks at most.
    EndsSoon(i64),
    /// It ended so many seconds ago. Nothing is switched off for that.
    Ended(i64),
}

impl RentalTerm {
    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ahead(_) => "not begun",
            Self::Running => "running",
            Self::EndsSoon(_) => "ending soon",
            Self::Ended(_) => "ended",
        }
    }
}

impl Host {
    /// Where its tenant's rental is at a moment (Unix seconds); none for a host of nobody.
    pub fn rental_term(&self, now: i64) -> Option<RentalTerm> {
        self.tenant.as_ref()?;
        let ahead = self.rented_from.map(|from| from.begins_at() - now).filter(|left| *left > 0);
        let left = self.rented_until.map(|until| until.ends_at() - now);
        Some(match (ahead, left) {
            (_, Some(left)) if left <= 0 => RentalTerm::Ended(-left),
            (Some(ahead), _) => RentalTerm::Ahead(ahead),
            (None, Some(left)) if left <= SOON_SECONDS => RentalTerm::EndsSoon(left),
            (None, _) => RentalTerm::Running,
        })
    }

    /// Gives the host to another tenant, or to nobody. The days of the old rental do not go on
    /// for the new tenant.
    pub fn give_to(&mut self, tenant: Option<String>) {
        if self.tenant != tenant {
            self.tenant = tenant;
            self.rented_from = None;
            self.rented_until = None;
        }
    }
}

/// The role in `tenant/ROLE`, which a link says for the subnet that has the role among those
/// of the host's tenant. No subnet's own name has a slash.
pub fn tenant_role(subnet: &str) -> Option<&str> {
    subnet.strip_prefix("tenant/")
}

impl Profile {
    /// Whether a link of it says `tenant/ROLE`.
    pub fn serves_tenants(&self) -> bool {
        let mut subnets = self.subnets().chain(self.vlan_subnets());
        subnets.any(|(_, subnet)| tenant_role(subnet).is_some())
    }
}

impl Site {
    /// The subnet with a role among those of a tenant. A host of nobody has those that have
    /// the role and no tenant.
    pub fn subnet_of_tenant(&self, tenant: Option<&str>, role: &str) -> Option<&str> {
        let mut subnets = self.subnets.iter();
        let found = subnets.find(|(_, subnet)| {
            subnet.role.as_deref() == Some(role) && subnet.tenant.as_deref() == tenant
        });
        found.map(|(name, _)| name.as_str())
    }

    /// Puts the subnets of a tenant into a profile that serves tenants, and says which role
    /// is which. What the tenant has no subnet for still says `tenant/ROLE`.
    pub(crate) fn serve(&self, profile: &mut Profile, tenant: Option<&str>) -> Served {
        let mut served = Served::new();
        for subnet in profile.subnets_mut() {
            let Some(role) = tenant_role(subnet).map(str::to_owned) else { continue };
            let found = self.subnet_of_tenant(tenant, &role).map(str::to_owned);
            if let Some(found) = &found {
                subnet.clone_from(found);
            }
            served.insert(role, found);
        }
        served
    }

    /// Whether the subnets that serve a tenant are still those.
    pub(crate) fn still_serves(&self, served: &Served, tenant: Option<&str>) -> bool {
        served.iter().all(|(role, found)| match found {
            Some(name) => self.subnets.get(name).is_some_and(|subnet| {
                subnet.role.as_deref() == Some(role) && subnet.tenant.as_deref() == tenant
            }),
            None => self.subnet_of_tenant(tenant, role).is_none(),
        })
    }
}

/// The subnets of a tenant by their roles.
pub(crate) type Served = BTreeMap<String, Option<String>>;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn leased(from: Option<&str>, until: Option<&str>) -> Host {
        let when = |text: &str| text.parse().unwrap();
        Host {
            tenant: Some("acme".into()),
            rented_from: from.map(when),
            rented_until: until.map(when),
            ..Host::default()
        }
    }

    #[test]
    fn a_lease_begins_runs_and_ends_at_the_end_of_its_last_day() {
        let now = 100 * DAY; // 1970-04-11
        let cases = [
            (leased(None, None), RentalTerm::Running),
            (leased(Some("1970-04-11"), None), RentalTerm::Running),
            (leased(Some("1970-04-12"), None), RentalTerm::Ahead(DAY)),
            (leased(Some("1970-01-01"), Some("1970-05-31")), RentalTerm::Running),
            (leased(None, Some("1970-04-24")), RentalTerm::EndsSoon(14 * DAY)),
            (leased(None, Some("1970-04-11")), RentalTerm::EndsSoon(DAY)),
            (leased(None, Some("1970-04-10")), RentalTerm::Ended(0)),
            (leased(None, Some("1970-04-10T23:00:00Z")), RentalTerm::Ended(3600)),
        ];
        for (host, expected) in cases {
            assert_eq!(host.rental_term(now), Some(expected), "{host:?}");
        }
        assert_eq!(Host::default().rental_term(now), None);
    }

    #[test]
    fn a_new_tenant_gets_no_old_days() {
        let mut host = leased(None, Some("1970-04-10"));
        host.give_to(Some("acme".into()));
        assert!(host.rented_until.is_some());
        host.give_to(Some("globex".into()));
        assert_eq!((host.tenant.as_deref(), host.rented_until), (Some("globex"), None));
    }
}
