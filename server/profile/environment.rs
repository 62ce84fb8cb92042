//! The values that a profile is computed with: a host's, else its rack's, else the site's,
//! else the parameter's default. Pure.

use std::collections::BTreeMap;

use super::Fault;
use super::merge::Merged;
use super::parameter::UnfitValue;
use crate::model::host_number::INDEX;
use crate::model::{Host, Parameter, ParameterKind, Scalar, Site, tenant_role};
use crate::profile::expression::Term;
use crate::tree::nearest::hint;

/// What a profile is computed with.
pub(super) struct Environment {
    /// The values of everything that it needs, by name.
    pub names: BTreeMap<String, Term>,
    /// The host's tenant, if the profile may serve tenants.
    pub tenant: Option<String>,
}

impl Environment {
    /// The values for a host.
    ///
    /// # Errors
    /// What the host lacks, or has and cannot be.
    pub(super) fn of(site: &Site, host: &Host, merged: &Merged) -> Result<Self, Vec<Fault>> {
        let mut reading = Reading { site, host, merged, faults: Vec::new() };
        reading.check_given();
        let names = merged.needs.iter();
        let found: BTreeMap<String, Term> =
            names.filter_map(|name| Some((name.clone(), reading.value(name)?))).collect();
        match reading.faults.is_empty() {
            true => Ok(Self { names: found, tenant: tenant(host, merged) }),
            false => Err(reading.faults),
        }
    }

    /// Values that might be a host's, where neither site nor profile has one.
    pub(super) fn example(site: &Site, host: &Host, merged: &Merged) -> Self {
        let mut reading = Reading { site, host, merged, faults: Vec::new() };
        let mut value = |name: &String| {
            let made_up = || match merged.parameters.get(name).map(Parameter::example) {
                Some(Term::Text(text)) if text == "subnet" => {
                    Term::Text(site.subnets.keys().next().cloned().unwrap_or(text))
                }
                Some(term) => term,
                None => Term::Number(1),
            };
            (name.clone(), reading.value(name).unwrap_or_else(made_up))
        };
        let names = merged.needs.iter().map(&mut value).collect();
        Self { names, tenant: tenant(host, merged) }
    }
}

fn tenant(host: &Host, merged: &Merged) -> Option<String> {
    host.tenant.clone().filter(|_| merged.may_serve_tenants)
}

/// Why a value is not what its parameter asks for.
#[derive(Debug, thiserror::Error)]
enum UnfitParameter {
    #[error(transparent)]
    Value(UnfitValue),
    #[error("subnet \"{name}\" does not exist{hint}")]
    UnknownSubnet { name: String, hint: String },
}

struct Reading<'a> {
    site: &'a Site,
    host: &'a Host,
    merged: &'a Merged,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    fn profile(&self) -> &str {
        self.host.profile.as_deref().unwrap_or_default()
    }

    /// Notes what is wrong with a value of the host's own entry.
    fn fault(&mut self, keys: &[&str], text: String) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.faults.push(Fault {
            origin: None,
            keys,
            key: None,
            text,
            is_value: true,
            in_itself: false,
        });
    }

    /// Refuses what the host gives to a profile that does not ask for it.
    fn check_given(&mut self) {
        for name in self.host.parameters.keys() {
            if self.merged.parameters.contains_key(name) {
                continue;
            }
            let hint = hint(name, self.merged.parameters.keys().map(String::as_str));
            let text = format!("profile \"{}\" has no parameter \"{name}\"{hint}", self.profile());
            self.fault(&["parameters", name], text);
        }
    }

    fn value(&mut self, name: &str) -> Option<Term> {
        let Some(parameter) = self.merged.parameters.get(name) else { return self.index() };
        let (path, value) = match self.given(name) {
            Some(found) => found,
            None => match &parameter.default {
                Some(value) => (String::new(), value),
                None => {
                    let help = parameter.help.as_deref().map(|help| format!(" ({help})"));
                    let text = format!(
                        "profile \"{}\" needs the parameter \"{name}\"{}: set it for the host, its \
                         rack or the site",
                        self.profile(),
                        help.unwrap_or_default()
                    );
                    self.fault(&["parameters", name], text);
                    return None;
                }
            },
        };
        let read = parameter.read(value).map_err(UnfitParameter::Value);
        match read.and_then(|term| self.known(parameter, term)) {
            Ok(term) => Some(term),
            Err(error) => {
                let text = format!("parameter \"{name}\"{path}: {error}");
                self.fault(&["parameters", name], text);
                None
            }
        }
    }

    /// What somebody says the parameter is, and who, unless it is the host.
    fn given(&self, name: &str) -> Option<(String, &Scalar)> {
        let rack = self.host.rack.as_ref().and_then(|rack| self.site.racks.get_key_value(rack));
        let of_rack = || {
            let (rack, entry) = rack?;
            Some((format!(" of rack {rack}"), entry.parameters.get(name)?))
        };
        let of_site = || Some((" of the site".to_owned(), self.site.parameters.get(name)?));
        let of_host = self.host.parameters.get(name).map(|value| (String::new(), value));
        of_host.or_else(of_rack).or_else(of_site)
    }

    /// The value, unless it names a subnet that does not exist.
    fn known(&self, parameter: &Parameter, term: Term) -> Result<Term, UnfitParameter> {
        match &term {
            Term::Text(name)
                if parameter.kind == ParameterKind::Subnet
                    && tenant_role(name).is_none()
                    && !self.site.subnets.contains_key(name) =>
            {
                let hint = hint(name, self.site.subnets.keys().map(String::as_str));
                Err(UnfitParameter::UnknownSubnet { name: name.clone(), hint })
            }
            _ => Ok(term),
        }
    }

    fn index(&mut self) -> Option<Term> {
        if let Some(number) = self.host.number() {
            return Some(Term::Number(number.into()));
        }
        let text =
            format!("profile \"{}\" uses the host's index: set index or unit", self.profile());
        self.fault(&[INDEX], text);
        None
    }
}
