//! The commands that every noun has: list, show, set and remove.

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::cli::context::{Context, change, operator, table};
use crate::cli::outcome::{print_outcome, refuse_change};
use crate::inventory::{ChangeError, now_ms};
use crate::model::{Host, Noun, ProfileTree, Rack, RentalTerm, Site, Subnet, Switch, Tenant};
use crate::network::nearest::hint;
use crate::profile::ResolvedSite;
use crate::site_file::{self, set_values};

/// The subcommands of a noun.
#[derive(Debug, Subcommand)]
pub(crate) enum NounCommand {
    /// List all
    List,
    /// Show one as in the site file
    Show(Name),
    /// Set keys of one, or add it
    Set(Set),
    /// Remove one or more
    Remove(Remove),
}

/// The name of an entry.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Name
    pub name: String,
}

/// `rackstrap NOUN set`.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Name
    pub name: String,
    /// Keys of the site file, with dots between levels, such as vlan=500 or
    /// nics.eth0=52:54:00:aa:00:01. KEY= removes a key. Lists and mappings are YAML:
    /// dns=[1.1.1.1]
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub values: Vec<KeyValue>,
    /// Show what would change, without changing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `rackstrap NOUN remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Names
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Show what would change, without changing it
    #[arg(long)]
    pub dry_run: bool,
}

/// A key of the site file and its new value; an empty value removes the key.
#[derive(Clone, Debug)]
pub(crate) struct KeyValue {
    key: String,
    value: String,
}

/// Text that is not `KEY=VALUE`.
#[derive(Debug, thiserror::Error)]
#[error("expected KEY=VALUE")]
pub(crate) struct InvalidKeyValue;

impl FromStr for KeyValue {
    type Err = InvalidKeyValue;

    fn from_str(text: &str) -> Result<Self, InvalidKeyValue> {
        let (key, value) = text.split_once('=').ok_or(InvalidKeyValue)?;
        if key.is_empty() {
            return Err(InvalidKeyValue);
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// A noun with a table for `list`.
pub(crate) trait Listed: Noun {
    /// The columns after the name.
    const COLUMNS: &'static [&'static str];
    /// The cells of an entry, one per column.
    fn cells(&self, name: &str, site: &ResolvedSite) -> Vec<String>;
}

impl NounCommand {
    /// Runs the command for one noun.
    pub(crate) async fn run<T: Listed>(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::List => list::<T>(&context).await,
            Self::Show(Name { name }) => show::<T>(&context, &name).await,
            Self::Set(set) => self::set::<T>(&context, set).await,
            Self::Remove(remove) => self::remove::<T>(&context, remove).await,
        }
    }
}

async fn list<T: Listed>(context: &Context) -> anyhow::Result<ExitCode> {
    let snapshot = context.read_inventory().await?.snapshot();
    let all = T::all(&snapshot.site);
    let header: Vec<String> =
        ["name"].iter().chain(T::COLUMNS).map(|word| word.to_uppercase()).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let values: Vec<Value> = all.iter().map(|(name, entry)| entry.named(name)).collect();
    context.print(&values, || {
        let row = |(name, entry): (&String, &T)| {
            [vec![name.clone()], entry.cells(name, &snapshot.site)].concat()
        };
        table(&header, &all.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show<T: Noun>(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let snapshot = context.read_inventory().await?.snapshot();
    let (name, entry) = find::<T>(&snapshot.site, name)?;
    let fragment = fragment(name, entry);
    context.print(&entry.named(name), || site_file::render(&fragment))?;
    Ok(ExitCode::SUCCESS)
}

/// Sets keys of an entry, or adds it.
pub(crate) async fn set<T: Noun>(context: &Context, set: Set) -> anyhow::Result<ExitCode> {
    set_by(context, set, set_values::<T>).await
}

/// Sets keys of an entry, or adds it, with the given setter.
pub(crate) async fn set_by<T: Noun>(
    context: &Context,
    set: Set,
    set_values: impl FnOnce(Option<&T>, &[(String, String)]) -> Result<T, site_file::EditError>,
) -> anyhow::Result<ExitCode> {
    let Set { name, values, dry_run } = set;
    let values: Vec<(String, String)> =
        values.into_iter().map(|KeyValue { key, value }| (key, value)).collect();
    let summary = format!("set {} {name}", T::NOUN);
    let mut is_new = false;
    let code = commit(context, &summary, dry_run, |site| {
        let all = T::all_mut(site);
        is_new = !all.contains_key(&name);
        let entry = set_values(all.get(&name), &values)?;
        all.insert(name.clone(), entry);
        Ok(())
    })
    .await?;
    // The name may have been misspelt.
    if is_new && code == ExitCode::SUCCESS {
        eprintln!("note: {} \"{name}\" is new", T::NOUN);
    }
    Ok(code)
}

/// Removes entries.
pub(crate) async fn remove<T: Noun>(context: &Context, remove: Remove) -> anyhow::Result<ExitCode> {
    let Remove { names, dry_run } = remove;
    let summary = format!("remove {} {}", T::NOUN, names.join(", "));
    commit(context, &summary, dry_run, |site| {
        for name in &names {
            find::<T>(site, name)?;
            T::all_mut(site).remove(name);
        }
        Ok(())
    })
    .await
}

/// Commits a change and prints its result.
pub(crate) async fn commit(
    context: &Context,
    summary: &str,
    dry_run: bool,
    edit: impl FnOnce(&mut Site) -> Result<(), ChangeError>,
) -> anyhow::Result<ExitCode> {
    let inventory = context.inventory_for(dry_run).await?;
    match inventory.change_site(change(&operator(), summary, dry_run), edit).await {
        Ok(committed) => print_outcome(context, committed, dry_run).await,
        Err(error) => refuse_change(context, error),
    }
}

/// The entry with that name.
///
/// # Errors
/// If it does not exist; the message suggests the most similar name.
pub(crate) fn find<'a, T: Noun>(
    site: &'a Site,
    name: &str,
) -> Result<(&'a String, &'a T), ChangeError> {
    let all = T::all(site);
    match all.get_key_value(name) {
        Some(found) => Ok(found),
        None => {
            let hint = hint(name, all.keys().map(String::as_str));
            Err(ChangeError::Missing { noun: T::NOUN, name: name.to_owned(), hint })
        }
    }
}

/// A site with a single entry, to render it as in the site file.
pub(crate) fn fragment<T: Noun>(name: &str, entry: &T) -> Site {
    let mut site = Site::default();
    T::all_mut(&mut site).insert(name.to_owned(), entry.clone());
    site
}

/// A value, or `-` for `None`.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

/// The number of hosts that match.
fn count_hosts(site: &ResolvedSite, matches: impl Fn(&Host) -> bool) -> String {
    site.hosts.values().filter(|host| matches(host)).count().to_string()
}

impl Listed for Rack {
    const COLUMNS: &'static [&'static str] = &["location", "units", "hosts"];
    fn cells(&self, name: &str, site: &ResolvedSite) -> Vec<String> {
        let inside = count_hosts(site, |host| host.rack.as_deref() == Some(name));
        vec![or_dash(self.location.as_ref()), or_dash(self.units), inside]
    }
}

impl Listed for Tenant {
    const COLUMNS: &'static [&'static str] =
        &["contact", "hosts", "subnets", "ending soon", "ended"];
    fn cells(&self, name: &str, site: &ResolvedSite) -> Vec<String> {
        let now = now_ms() / 1000;
        let of_tenant = |host: &Host| host.tenant.as_deref() == Some(name);
        let in_term = |wanted: fn(RentalTerm) -> bool| {
            count_hosts(site, |host| of_tenant(host) && host.rental_term(now).is_some_and(wanted))
        };
        let subnets = site.subnets.iter().filter(|(_, net)| net.tenant.as_deref() == Some(name));
        vec![
            or_dash(self.contact.as_ref()),
            count_hosts(site, of_tenant),
            subnets.map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
            in_term(|term| matches!(term, RentalTerm::EndsSoon(_))),
            in_term(|term| matches!(term, RentalTerm::Ended(_))),
        ]
    }
}

impl Listed for Switch {
    const COLUMNS: &'static [&'static str] = &["vendor", "rack", "mlag peer", "ports"];
    fn cells(&self, name: &str, site: &ResolvedSite) -> Vec<String> {
        let nics = site.hosts.values().flat_map(|host| host.nics.values());
        let cabled = nics.filter_map(|nic| nic.cable.as_ref()).filter(|end| end.switch == name);
        vec![
            self.vendor.to_string(),
            or_dash(self.rack.as_ref()),
            or_dash(self.mlag_peer.as_ref()),
            cabled.count().to_string(),
        ]
    }
}

impl Listed for Subnet {
    const COLUMNS: &'static [&'static str] =
        &["cidr", "vlan", "gateway", "mtu", "tenant", "ranges"];
    fn cells(&self, _name: &str, _site: &ResolvedSite) -> Vec<String> {
        let range = |range: &crate::model::Range| {
            format!("{} {}-{}", range.used_for.label(), range.from, range.to)
        };
        vec![
            self.cidr.to_string(),
            or_dash(self.vlan),
            or_dash(self.gateway),
            or_dash(self.mtu),
            or_dash(self.tenant.as_ref()),
            self.ranges.iter().map(range).collect::<Vec<_>>().join(", "),
        ]
    }
}

impl Listed for ProfileTree {
    const COLUMNS: &'static [&'static str] = &["links", "hosts"];
    fn cells(&self, name: &str, site: &ResolvedSite) -> Vec<String> {
        let resolution = site.profile_named(name, None).unwrap_or_default();
        let links: Vec<&str> = resolution.profile.links().map(|link| link.name).collect();
        vec![links.join(", "), count_hosts(site, |host| host.profile.as_deref() == Some(name))]
    }
}
