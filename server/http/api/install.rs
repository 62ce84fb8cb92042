//! `/hosts/{name}/install`: the latest install of a host: shown, armed, cancelled.

use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::Answer;
use super::auth::Program;
use super::extract::{Flag, Named, PathOf, Query};
use super::nouns::not_found;
use super::precondition::{Preconditions, tag_of};
use super::problem::Error;
use crate::app::App;
use crate::inventory::{InstallError, InstallRequest};
use crate::lifecycle::gate::check_confirmed;
use crate::lifecycle::install::{Install, InstallTask};
use crate::model::Host;

impl From<InstallError> for Error {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Inventory(error) => Self::Inventory(error),
            other => Self::Conflict(other.to_string()),
        }
    }
}

/// The latest install of a host.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InstallOfHost {
    /// The host's name.
    name: String,
    /// The install; null for a host that was never armed.
    install: Option<Install>,
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
    /// and installs nothing. The last two need an image with `disk`.
    #[serde(default)]
    task: InstallTask,
    /// The host's name once more, for `reinstall` and `erase`.
    #[serde(default)]
    confirm: Option<String>,
}

/// `GET /hosts/{name}/install`
pub(super) async fn show(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
    headers: HeaderMap,
) -> Result<Answer<InstallOfHost>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    check_exists(&app, &name)?;
    let install = app.inventory.installs().of(&name).cloned();
    let tag = install_tag(install.as_ref());
    Ok(Answer::current(&preconditions, &tag, InstallOfHost { name, install }))
}

/// `POST /hosts/{name}/install`
pub(super) async fn arm(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    Query(ArmQuery { dry_run: Flag(dry_run), task, confirm }): Query<ArmQuery>,
    headers: HeaderMap,
) -> Result<Answer<InstallOfHost>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    check_exists(&app, &name)?;
    if !dry_run {
        check_confirmed(task, &name, confirm.as_deref()).map_err(InstallError::from)?;
    }
    let request = InstallRequest { host: &name, author: program.author(), task, dry_run };
    let check = |stored: Option<&Install>| check_tag(&preconditions, &name, stored);
    let install = Some(app.inventory.arm_install_if(request, check).await?);
    Ok(Answer::new(InstallOfHost { name, install }))
}

/// `DELETE /hosts/{name}/install`
pub(super) async fn cancel(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    Query(InstallQuery { dry_run: Flag(dry_run) }): Query<InstallQuery>,
    headers: HeaderMap,
) -> Result<Answer<InstallOfHost>, Error> {
    let preconditions = Preconditions::read(&headers)?;
    check_exists(&app, &name)?;
    let task = InstallTask::Install;
    let request = InstallRequest { host: &name, author: program.author(), task, dry_run };
    let check = |stored: Option<&Install>| check_tag(&preconditions, &name, stored);
    let install = Some(app.inventory.cancel_install_if(request, check).await?);
    Ok(Answer::new(InstallOfHost { name, install }))
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
