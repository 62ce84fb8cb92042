//! `/deploy/{mac}`: what a live system is to write to a host's disk, and how far it is. For the
//! boot that may install alone: its token is asked for, whatever the address.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};

use super::error::Error;
use super::peer::Caller;
use super::record;
use crate::app::App;
use crate::deploy::{Plan, PlanFile, Source};
use crate::inventory::Snapshot;
use crate::lifecycle::EventData;
use crate::lifecycle::event::StepReport;
use crate::lifecycle::gate::Verdict;
use crate::lifecycle::install::Install;
use crate::model::{Host, Image, Mac};
use crate::network::{self, Format, RenderError};

/// A host in the boot that may write its disk.
struct Deploying<'a> {
    name: &'a str,
    host: &'a Host,
    image: &'a Image,
    mac: Option<Mac>,
}

impl<'a> Deploying<'a> {
    async fn find(
        app: &App,
        snapshot: &'a Snapshot,
        caller: &Caller,
        mac: &str,
    ) -> Result<Self, Error> {
        let asked = caller.find(app, snapshot, mac)?;
        let mac = asked.mac();
        let refused = || Error::NoDeployment(asked.url_name.clone());
        let (name, host) = asked.host.ok_or_else(refused)?;
        let token = caller.boot_token();
        let token = token.as_ref().map(|token| token.as_str());
        let find = || match app.inventory.verdict(snapshot, Some((name, host)), token) {
            Verdict::Install { image, is_proven: true } if image.disk.is_some() => Some(image),
            _ => None,
        };
        let mut found = find();
        if found.is_none() && token.is_some() {
            // Another server may have given the token just now.
            app.inventory.reload_installs().await?;
            found = find();
        }
        match found {
            Some(image) => Ok(Self { name, host, image, mac }),
            None if caller.is_host(app, name, host) => Err(refusal(app, name)),
            None => Err(refused()),
        }
    }
}

/// Why a host itself may not write its disks now.
fn refusal(app: &App, name: &str) -> Error {
    let installs = app.inventory.installs();
    let host = name.to_owned();
    match installs.of(name).filter(|install| !install.state.is_over()) {
        Some(&Install { state, task, .. }) => Error::NotTheBoot { host, state, task },
        None => Error::NotDeploying { host },
    }
}

/// `GET /deploy/{mac}`
pub(super) async fn plan(
    State(app): State<App>,
    Path(mac): Path<String>,
    caller: Caller,
) -> Result<Json<Plan>, Error> {
    let snapshot = app.inventory.snapshot();
    let Deploying { name, host, image, .. } =
        Deploying::find(&app, &snapshot, &caller, &mac).await?;
    let disk = image.disk.as_deref().unwrap_or_default();
    let file = app.files.open(disk).await?;
    let files = match network::render_host(&snapshot.site, name, Format::Networkd) {
        Ok(files) => files,
        Err(RenderError::NoProfile { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let files = files.into_iter();
    Ok(Json(Plan {
        host: name.to_owned(),
        image: host.image.clone().unwrap_or_default(),
        source: Source {
            path: format!("/files/{}", disk.trim_start_matches('/')),
            bytes: file.bytes.len() as u64,
            sha256: image.sha256.clone().or_else(|| {
                // What the store knows of the file that was added.
                let stored = app.inventory.stored_files();
                stored.of(disk).map(|file| file.sha256.clone())
            }),
        },
        disk: host.disk.clone(),
        task: app.inventory.installs().of(name).map(|install| install.task).unwrap_or_default(),
        files: files
            .map(|file| PlanFile { path: file.path(), mode: file.mode, text: file.text })
            .collect(),
    }))
}

/// `POST /deploy/{mac}`: the live system is at a step.
pub(super) async fn step(
    State(app): State<App>,
    Path(mac): Path<String>,
    caller: Caller,
    body: Bytes,
) -> Result<String, Error> {
    let snapshot = app.inventory.snapshot();
    let found = Deploying::find(&app, &snapshot, &caller, &mac).await?;
    let step: StepReport = serde_json::from_slice(&body)?;
    record(&app, Some(found.name), found.mac, EventData::InstallStep(step));
    Ok(format!("{} goes on\n", found.name))
}
