//! `/hosts/{name}/install`: the latest install of a host: shown, armed, cancelled.

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Flag, Named, PathOf, Query};
use super::nouns::{is_false, not_found};
use super::precondition::{Preconditions, tag_of};
use super::problem::{Error, Fault};
use crate::app::App;
use crate::inventory::{ArmedHost, InstallError};
use crate::lifecycle::effect::Effect;
use crate::lifecycle::gate::{check_all_confirmed, check_confirmed, confirmation};
use crate::lifecycle::install::{Install, InstallTask};
use crate::model::{Host, OutsideLimits};

impl From<InstallError> for Error {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Inventory(error) => Self::Inventory(error),
            InstallError::Denied(denied) => Self::Outside(denied),
            other => Self::Conflict(other.to_string()),
        }
    }
}

/// The latest install of a host.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallOfHost {
    /// The host's name.
    name: String,
    /// Nothing was changed: `install` is what it would be. Left out unless the request was a dry run.
    #[serde(skip_serializing_if = "is_false")]
    #[schemars(default)]
    dry_run: bool,
    /// The install; null for a host that was never armed.
    install: Option<InstallItem>,
}

/// An install as programs read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InstallItem")]
struct InstallItem {
    #[serde(flatten)]
    install: Install,
    /// Since when it is in that state, in Unix milliseconds.
    since_ms: i64,
    /// Until when a boot may begin to install, in Unix milliseconds.
    armed_until_ms: i64,
}

impl From<Install> for InstallItem {
    fn from(install: Install) -> Self {
        let [since_ms, armed_until_ms] =
            [install.since, install.armed_until].map(|at| at.saturating_mul(1000));
        Self { install, since_ms, armed_until_ms }
    }
}

/// Whether an install is only tried.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct InstallQuery {
    /// Find out what would happen, and change nothing: the response has the install as it would be.
    #[serde(default, alias = "dry_run")]
    dry_run: Flag,
}

/// What a host is armed for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ArmQuery {
    /// Find out what would happen, and change nothing: the response has the install as it would be.
    #[serde(default, alias = "dry_run")]
    dry_run: Flag,
    /// `install` leaves a disk alone that has data, `reinstall` erases it, `erase` erases all disks
    /// and installs nothing, `release` does that and removes what the host was used for from the
    /// inventory. The last three need an image with `disk`. `rescue` starts the live system once.
    #[serde(default)]
    task: InstallTask,
    /// The host's name once more, for `reinstall`, `erase` and `release`.
    #[serde(default)]
    confirm: Option<String>,
}

/// `GET /hosts/{name}/install`
pub(super) async fn show(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
    headers: HeaderMap,
) -> Result<ApiResponse<InstallOfHost>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    check_exists(&app, &name)?;
    let install = app.inventory.installs().of(&name).cloned();
    let tag = install_tag(install.as_ref());
    let install = install.map(InstallItem::from);
    Ok(ApiResponse::current(&preconditions, &tag, InstallOfHost { name, dry_run: false, install }))
}

/// `POST /hosts/{name}/install`
pub(super) async fn arm(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    Query(ArmQuery { dry_run: Flag(dry_run), task, confirm }): Query<ArmQuery>,
    headers: HeaderMap,
) -> Result<ApiResponse<InstallOfHost>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    check_exists(&app, &name)?;
    if !dry_run {
        check_confirmed(task, &name, confirm.as_deref()).map_err(InstallError::from)?;
    }
    let request = program.install(&name, task, dry_run);
    let check = |stored: Option<&Install>| check_tag(&preconditions, &name, stored);
    let install = Some(app.inventory.arm_install_if(request, check).await?.into());
    Ok(ApiResponse::new(InstallOfHost { name, dry_run, install }))
}

/// Which hosts are armed, and what for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ArmAllQuery {
    /// Names of hosts, separated by commas.
    #[serde(default)]
    hosts: Option<String>,
    /// All hosts with this label.
    #[serde(default)]
    label: Option<String>,
    /// All hosts of this rack; of those with `label`, where both are given.
    #[serde(default)]
    rack: Option<String>,
    /// What the hosts are armed for.
    #[serde(default)]
    task: InstallTask,
    /// For `reinstall`, `erase` and `release`: the name of one host once more, or `3 hosts` of several.
    #[serde(default)]
    confirm: Option<String>,
    /// Find out what would happen, and change nothing.
    #[serde(default, alias = "dry_run")]
    dry_run: Flag,
}

/// Several hosts that are armed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ArmedHosts {
    /// What has to be given as `confirm` where data is destroyed.
    confirmation: String,
    /// The hosts.
    items: Vec<EffectOnHost>,
}

/// A host that is armed, and what its next boot does.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EffectOnHost {
    /// Its name.
    name: String,
    /// What the next boot does, and to which disks, as a clause.
    next_boot: String,
    /// The install.
    install: Install,
}

/// `POST /installs`: all of the hosts or none.
pub(super) async fn arm_all(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    Query(query): Query<ArmAllQuery>,
) -> Result<ApiResponse<ArmedHosts>, Error> {
    let ArmAllQuery { hosts, label, rack, task, confirm, dry_run: Flag(dry_run) } = query;
    let snapshot = app.inventory.snapshot();
    let site = &snapshot.site;
    let named = hosts.as_deref().unwrap_or_default().split(',').map(str::trim);
    let mut names: Vec<String> = named.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    for name in &names {
        check_exists(&app, name)?;
    }
    names.extend(site.hosts_of(label.as_deref(), rack.as_deref()));
    names.sort();
    names.dedup();
    if names.is_empty() {
        let detail =
            "no host is selected: name some with hosts, or a label or a rack that has some";
        let faults = vec![Fault::parameter("hosts", detail)];
        let (places, findings) = Default::default();
        return Err(Error::InConflict { detail: detail.to_owned(), faults, places, findings });
    }
    if !dry_run {
        check_all_confirmed(task, &names, confirm.as_deref()).map_err(InstallError::from)?;
    }
    let request = program.install("", task, dry_run);
    let armed = app.inventory.arm_installs(&names, request).await.map_err(|refusals| {
        let denied = |refusal: &InstallError| match refusal {
            InstallError::Denied(denied) => Some(denied.0.clone()),
            _ => None,
        };
        let denied: Vec<_> = refusals.iter().filter_map(denied).flatten().collect();
        if !denied.is_empty() {
            return Error::Outside(OutsideLimits(denied));
        }
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        Error::Conflict(format!("no host is armed: {}", texts.join("; ")))
    })?;
    let effect = |ArmedHost { name, install }: ArmedHost| {
        let host = site.hosts.get(&name).cloned().unwrap_or_default();
        let image = host.image.as_ref().and_then(|image| site.images.get(image));
        let next_boot = Effect::of(task, &host, image).to_string();
        EffectOnHost { name, next_boot, install }
    };
    let confirmation = confirmation(&names);
    Ok(ApiResponse::new(ArmedHosts {
        confirmation,
        items: armed.into_iter().map(effect).collect(),
    }))
}

/// `DELETE /hosts/{name}/install`
pub(super) async fn cancel(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    Query(InstallQuery { dry_run: Flag(dry_run) }): Query<InstallQuery>,
    headers: HeaderMap,
) -> Result<ApiResponse<InstallOfHost>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    check_exists(&app, &name)?;
    let task = InstallTask::Install;
    let request = program.install(&name, task, dry_run);
    let check = |stored: Option<&Install>| check_tag(&preconditions, &name, stored);
    let install = Some(app.inventory.cancel_install_if(request, check).await?.into());
    Ok(ApiResponse::new(InstallOfHost { name, dry_run, install }))
}

/// The entity tag of the latest install of a host, or of none.
fn install_tag(install: Option<&Install>) -> String {
    tag_of(&json!(install).to_string())
}

fn check_tag(
    preconditions: &Preconditions,
    name: &str,
    stored: Option<&Install>,
) -> Result<(), Error> {
    let what = format!("the install of host \"{name}\"");
    let mut preconditions = preconditions.clone();
    if stored.is_none() {
        // A host that was never armed has a tag to match, and nothing that could be replaced.
        preconditions.if_none_match = None;
    }
    preconditions.check(&what, Some(&install_tag(stored)))
}

fn check_exists(app: &App, name: &str) -> Result<(), Error> {
    let snapshot = app.inventory.snapshot();
    match snapshot.site.hosts.contains_key(name) {
        true => Ok(()),
        false => Err(not_found::<Host>(&snapshot.site, name.to_owned())),
    }
}
