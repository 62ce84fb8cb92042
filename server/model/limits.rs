//! Which hosts a user or a token may change, and what becomes of a change that goes beyond. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::words::words;
use super::{Host, Noun, NounVisitor, Site, visit_nouns};

words! {
    /// What a host is chosen by.
    pub LimitKind {
        /// Who rents it.
        Tenant = "tenant",
        /// Where it stands.
        Rack = "rack",
        /// One of its labels.
        Label = "label",
    }
}

/// Which hosts somebody may change: those of one of the tenants, in one of the racks, with one of the
/// labels. A list that is empty limits nothing; of two lists a host must be in both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Names of tenants.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tenants: BTreeSet<String>,
    /// Names of racks.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub racks: BTreeSet<String>,
    /// Labels of hosts.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
}

/// What somebody wants to change and may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Denied {
    /// What kind of thing, such as `host`.
    pub noun: String,
    /// Its name; empty for the site.
    pub name: String,
    /// Which limit it is outside of; none for what hosts outside the limits use, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Outside>,
}

/// The limit that a host is outside of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Outside {
    /// What hosts are chosen by.
    pub kind: LimitKind,
    /// The tenant, rack or labels that the host has.
    pub has: Vec<String>,
    /// Those that it may have.
    pub allowed: Vec<String>,
    /// Whether the host is within the limits now, and would not be after the change.
    pub is_after: bool,
}

/// A limit that names what the site does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} \"{name}\" does not exist: expected {}", some(.known))]
pub struct UnknownLimit {
    /// What hosts are chosen by.
    pub kind: LimitKind,
    /// The name.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

/// How many names a sentence has at most.
const NAMED: usize = 8;

fn some(names: &[String]) -> String {
    match names.len() {
        0 => "none, as the site has none".to_owned(),
        count if count > NAMED => {
            format!("{} or {} more", names[..NAMED].join(", "), count - NAMED)
        }
        _ => names.join(", "),
    }
}

/// Limits that all hold, for people.
pub fn limits_text(limits: &[Limits]) -> String {
    limits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        let Self { tenants, racks, labels } = self;
        tenants.is_empty() && racks.is_empty() && labels.is_empty()
    }

    /// The three lists, each with what it chooses hosts by.
    pub fn lists(&self) -> [(LimitKind, &BTreeSet<String>); 3] {
        let Self { tenants, racks, labels } = self;
        [(LimitKind::Tenant, tenants), (LimitKind::Rack, racks), (LimitKind::Label, labels)]
    }

    /// The first limit that a host is outside of.
    fn outside(&self, host: &Host) -> Option<Outside> {
        let limited = self.lists().into_iter().filter(|(_, allowed)| !allowed.is_empty());
        let mut missed = limited.filter_map(|(kind, allowed)| {
            let has: Vec<String> = match kind {
                LimitKind::Tenant => host.tenant.iter().cloned().collect(),
                LimitKind::Rack => host.rack.iter().cloned().collect(),
                LimitKind::Label => host.labels.clone(),
            };
            let is_within = has.iter().any(|name| allowed.contains(name));
            let allowed = allowed.iter().cloned().collect();
            (!is_within).then_some(Outside { kind, has, allowed, is_after: false })
        });
        missed.next()
    }

    /// Finds a name that nothing in the site has: a typing error would lock somebody out.
    ///
    /// # Errors
    /// A tenant or rack does not exist, or no host has the label.
    pub fn check(&self, site: &Site) -> Result<(), UnknownLimit> {
        let mut labels: BTreeSet<String> = site.labels.keys().cloned().collect();
        labels.extend(site.hosts.values().flat_map(|host| host.labels.iter().cloned()));
        for (kind, names) in self.lists() {
            let known: Vec<String> = match kind {
                LimitKind::Tenant => site.tenants.keys().cloned().collect(),
                LimitKind::Rack => site.racks.keys().cloned().collect(),
                LimitKind::Label => labels.iter().cloned().collect(),
            };
            if let Some(name) = names.iter().find(|name| !known.contains(name)) {
                return Err(UnknownLimit { kind, name: name.clone(), known });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Limits {
    /// `tenant acme; rack r1, r2`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = self.lists().into_iter().filter(|(_, names)| !names.is_empty());
        let list = |(kind, names): (LimitKind, &BTreeSet<String>)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{kind} {}", names.join(", "))
        };
        let text = lists.map(list).collect::<Vec<_>>().join("; ");
        f.write_str(if text.is_empty() { "none" } else { &text })
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { noun, name, outside } = self;
        let what = if name.is_empty() { format!("the {noun}") } else { format!("{noun} {name}") };
        let Some(Outside { kind, has, allowed, is_after }) = outside else {
            return write!(
                f,
                "{what} is outside the limits: only hosts within them may be changed"
            );
        };
        let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
        let allowed = allowed.join(", ");
        match is_after {
            false => write!(f, "{what} is outside the limits: {kind} {has}, allowed: {allowed}"),
            true => {
                write!(f, "{what} would be outside the limits: {kind} {has}, allowed: {allowed}")
            }
        }
    }
}

/// Denials as a sentence, the first few of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct OutsideLimits(pub Vec<Denied>);

impl fmt::Display for OutsideLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let texts: Vec<String> = self.0.iter().take(SHOWN).map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Whether somebody with all of these limits may do something to a host; `after` is what becomes of it.
///
/// # Errors
/// The host is outside, or would be.
pub fn decide_host(
    limits: &[Limits],
    name: &str,
    before: Option<&Host>,
    after: Option<&Host>,
) -> Result<(), OutsideLimits> {
    let outside = |host: Option<&Host>, is_after| {
        let host = host?;
        let outside = limits.iter().find_map(|limit| limit.outside(host))?;
        Some(Outside { is_after, ..outside })
    };
    // A host that is new has no other place to be outside of.
    let is_after = before.is_some();
    match outside(before, false).or_else(|| outside(after, is_after)) {
        None => Ok(()),
        Some(outside) => {
            let noun = Host::NOUN.to_owned();
            Err(OutsideLimits(vec![Denied { noun, name: name.to_owned(), outside: Some(outside) }]))
        }
    }
}

/// Whether somebody with all of these limits may change something that is not a host.
///
/// # Errors
/// There are limits.
pub fn decide_shared(limits: &[Limits], noun: &str, name: &str) -> Result<(), OutsideLimits> {
    if limits.iter().all(Limits::is_empty) {
        return Ok(());
    }
    let (noun, name) = (noun.to_owned(), name.to_owned());
    Err(OutsideLimits(vec![Denied { noun, name, outside: None }]))
}

/// Whether somebody with all of these limits may make `after` of `before`: what differs are hosts
/// that are within the limits both before and after. A host with another name is one that goes and one
/// that comes.
///
/// # Errors
/// Everything that differs and may not.
pub fn decide(limits: &[Limits], before: &Site, after: &Site) -> Result<(), OutsideLimits> {
    if limits.iter().all(Limits::is_empty) {
        return Ok(());
    }
    let mut judge = Judge { limits, before, after, denied: Vec::new() };
    judge.compare("site", &before.wide(), &after.wide());
    visit_nouns(&mut judge);
    if judge.denied.is_empty() { Ok(()) } else { Err(OutsideLimits(judge.denied)) }
}

struct Judge<'a> {
    limits: &'a [Limits],
    before: &'a Site,
    after: &'a Site,
    denied: Vec<Denied>,
}

impl Judge<'_> {
    /// Adds entries that differ and are not hosts.
    fn compare<T: PartialEq>(
        &mut self,
        noun: &str,
        before: &BTreeMap<String, T>,
        after: &BTreeMap<String, T>,
    ) {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
            // What a site says of itself is one entry without a name.
            let name = if noun == "site" { "" } else { name };
            self.denied.extend(
                decide_shared(self.limits, noun, name).err().into_iter().flat_map(|it| it.0),
            );
        }
    }
}

impl NounVisitor for Judge<'_> {
    fn visit<T: Noun>(&mut self) {
        let (before, after) = (self.before, self.after);
        if T::NOUN != Host::NOUN {
            return self.compare(T::NOUN, T::all(before), T::all(after));
        }
        let (before, after) = (&before.hosts, &after.hosts);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            if old != new
                && let Err(denied) = decide_host(self.limits, name, old, new)
            {
                self.denied.extend(denied.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Image, Rack, Subnet, Switch};

    fn host(rack: &str, tenant: &str, label: &str) -> Host {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let labels = given(label).into_iter().collect();
        Host { rack: given(rack), tenant: given(tenant), labels, ..Host::default() }
    }

    fn limits(text: &str) -> Limits {
        let mut limits = Limits::default();
        for (kind, name) in text.split(' ').filter_map(|word| word.split_once('=')) {
            let list = match kind {
                "tenant" => &mut limits.tenants,
                "rack" => &mut limits.racks,
                "label" => &mut limits.labels,
                other => panic!("{other}"),
            };
            list.insert(name.to_owned());
        }
        limits
    }

    fn site() -> Site {
        let hosts = [
            ("n1", host("r1", "acme", "db")),
            ("n2", host("r2", "acme", "")),
            ("n3", host("r1", "", "web")),
            ("n4", Host::default()),
        ];
        Site {
            racks: ["r1", "r2"].map(|rack| (rack.to_owned(), Rack::default())).into(),
            hosts: hosts.map(|(name, host)| (name.to_owned(), host)).into(),
            ..Site::default()
        }
    }

    fn denied(limits: &[Limits], edit: fn(&mut Site)) -> Vec<String> {
        let before = site();
        let mut after = site();
        edit(&mut after);
        let decided = decide(limits, &before, &after).err();
        decided.map(|it| it.0.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    #[test]
    fn only_hosts_within_the_limits_before_and_after_are_changed() {
        type Edit = fn(&mut Site);
        fn of<'a>(site: &'a mut Site, name: &str) -> &'a mut Host {
            site.hosts.get_mut(name).unwrap()
        }
        let cases: &[(&str, Edit, &[&str])] = &[
            ("", |s| of(s, "n4").unit = Some(1), &[]),
            ("rack=r1", |_| {}, &[]),
            ("rack=r1", |s| of(s, "n1").unit = Some(1), &[]),
            (
                "rack=r1",
                |s| of(s, "n2").unit = Some(1),
                &["host n2 is outside the limits: rack r2, allowed: r1"],
            ),
            (
                "rack=r1",
                |s| of(s, "n4").unit = Some(1),
                &["host n4 is outside the limits: rack none, allowed: r1"],
            ),
            // Neither is one pulled in, nor pushed out.
            (
                "rack=r1",
                |s| of(s, "n2").rack = Some("r1".into()),
                &["host n2 is outside the limits: rack r2, allowed: r1"],
            ),
            (
                "rack=r1",
                |s| of(s, "n1").rack = Some("r2".into()),
                &["host n1 would be outside the limits: rack r2, allowed: r1"],
            ),
            ("rack=r1 rack=r2", |s| of(s, "n1").rack = Some("r2".into()), &[]),
            ("tenant=acme", |s| of(s, "n2").notes = Some("x".into()), &[]),
            (
                "tenant=acme",
                |s| of(s, "n1").tenant = None,
                &["host n1 would be outside the limits: tenant none, allowed: acme"],
            ),
            ("label=db label=web", |s| of(s, "n3").labels = vec!["x".into(), "db".into()], &[]),
            (
                "label=db",
                |s| of(s, "n1").labels.clear(),
                &["host n1 would be outside the limits: label none, allowed: db"],
            ),
            // Of two lists a host must be in both.
            ("rack=r1 tenant=acme", |s| of(s, "n1").unit = Some(1), &[]),
            (
                "rack=r1 tenant=acme",
                |s| of(s, "n3").unit = Some(1),
                &["host n3 is outside the limits: tenant none, allowed: acme"],
            ),
            // New, gone, and with another name.
            ("rack=r1", |s| drop(s.hosts.insert("n5".into(), host("r1", "", ""))), &[]),
            (
                "rack=r1",
                |s| drop(s.hosts.insert("n5".into(), host("r2", "", ""))),
                &["host n5 is outside the limits: rack r2, allowed: r1"],
            ),
            ("rack=r1", |s| drop(s.hosts.remove("n1")), &[]),
            (
                "rack=r1",
                |s| drop(s.hosts.remove("n2")),
                &["host n2 is outside the limits: rack r2, allowed: r1"],
            ),
            (
                "rack=r1",
                |s| {
                    let gone = s.hosts.remove("n2").unwrap();
                    s.hosts.insert("n9".into(), Host { rack: Some("r1".into()), ..gone });
                },
                &["host n2 is outside the limits: rack r2, allowed: r1"],
            ),
            // What others use.
            (
                "rack=r1",
                |s| s.racks.get_mut("r1").unwrap().units = Some(10),
                &["rack r1 is outside the limits: only hosts within them may be changed"],
            ),
            (
                "tenant=acme",
                |s| drop(s.tenants.insert("acme".into(), Default::default())),
                &["tenant acme is outside the limits: only hosts within them may be changed"],
            ),
            (
                "label=db",
                |s| {
                    s.labels.insert("db".into(), Default::default());
                    s.images.insert("live".into(), Image::default());
                    s.switches.insert("leaf1".into(), switch());
                },
                &[
                    "the site is outside the limits: only hosts within them may be changed",
                    "switch leaf1 is outside the limits: only hosts within them may be changed",
                    "image live is outside the limits: only hosts within them may be changed",
                ],
            ),
            (
                "label=db",
                |s| {
                    let value = serde_json::from_value(serde_json::json!(9000)).unwrap();
                    s.parameters.insert("mtu".into(), value);
                },
                &["the site is outside the limits: only hosts within them may be changed"],
            ),
        ];
        for (text, edit, expected) in cases {
            assert_eq!(&denied(&[limits(text)], *edit), expected, "{text}");
        }
    }

    #[test]
    fn a_token_is_within_its_own_limits_and_its_owners() {
        let both = [limits("rack=r1"), limits("tenant=acme")];
        assert!(denied(&both, |s| s.hosts.get_mut("n1").unwrap().unit = Some(1)).is_empty());
        for name in ["n2", "n3"] {
            let before = site();
            let mut after = site();
            after.hosts.get_mut(name).unwrap().unit = Some(1);
            assert!(decide(&both, &before, &after).is_err(), "{name}");
        }
        assert!(decide_shared(&[Limits::default()], "secret", "x").is_ok());
        let text = decide_shared(&both, "secret", "x").unwrap_err().to_string();
        assert_eq!(text, "secret x is outside the limits: only hosts within them may be changed");
    }

    #[test]
    fn a_sentence_names_the_first_and_counts_the_rest() {
        let before = site();
        let mut after = site();
        for number in 0..5 {
            after.subnets.insert(format!("s{number}"), subnet());
        }
        let text = decide(&[limits("rack=r1")], &before, &after).unwrap_err().to_string();
        assert!(
            text.starts_with("subnet s0 is outside") && text.ends_with("; and 2 more"),
            "{text}"
        );
    }

    fn switch() -> Switch {
        serde_json::from_value(serde_json::json!({"vendor": "eos"})).unwrap()
    }

    fn subnet() -> Subnet {
        serde_json::from_value(serde_json::json!({"cidr": "10.0.0.0/24"})).unwrap()
    }

    #[test]
    fn limits_name_what_the_site_has() {
        assert_eq!(limits("rack=r1 label=db").check(&site()), Ok(()));
        let texts: Vec<String> = ["tenant=x", "rack=r9", "label=dbs"]
            .map(|text| limits(text).check(&site()).unwrap_err().to_string())
            .into();
        assert_eq!(
            texts,
            [
                "tenant \"x\" does not exist: expected none, as the site has none",
                "rack \"r9\" does not exist: expected r1, r2",
                "label \"dbs\" does not exist: expected db, web",
            ]
        );
        assert_eq!(limits("rack=r2 rack=r1 label=db").to_string(), "rack r1, r2; label db");
        assert_eq!(Limits::default().to_string(), "none");
    }
}
