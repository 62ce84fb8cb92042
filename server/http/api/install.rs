//! `/hosts/{name}/install`: arms a host, cancels, and shows how far the install is.

use axum::extract::{Extension, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::Answer;
use super::auth::Program;
use super::extract::{Named, PathOf};
use super::nouns::not_found;
use super::problem::Error;
use crate::app::App;
use crate::inventory::InstallError;
use crate::lifecycle::install::Install;
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

/// `GET /hosts/{name}/install`
pub(super) async fn show(
    State(app): State<App>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<Answer<InstallOfHost>, Error> {
    check_exists(&app, &name)?;
    let install = app.inventory.installs().of(&name).cloned();
    Ok(Answer::new(InstallOfHost { name, install }))
}

/// `POST /hosts/{name}/install`
pub(super) async fn arm(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<Answer<InstallOfHost>, Error> {
    check_exists(&app, &name)?;
    let install = Some(app.inventory.arm_install(&name, program.author()).await?);
    Ok(Answer::new(InstallOfHost { name, install }))
}

/// `DELETE /hosts/{name}/install`
pub(super) async fn cancel(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<Answer<InstallOfHost>, Error> {
    check_exists(&app, &name)?;
    let install = Some(app.inventory.cancel_install(&name, program.author()).await?);
    Ok(Answer::new(InstallOfHost { name, install }))
}

fn check_exists(app: &App, name: &str) -> Result<(), Error> {
    let snapshot = app.inventory.snapshot();
    match snapshot.site.hosts.contains_key(name) {
        true => Ok(()),
        false => Err(not_found::<Host>(&snapshot.site, name.to_owned())),
    }
}
