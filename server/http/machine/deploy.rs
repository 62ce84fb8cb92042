//! `/deploy/{mac}`: what a live system is to write to a host's disk, and how far it is. For the
//! boot that may install alone: its token is asked for, whatever the address.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};

use super::error::Error;
use super::peer::Caller;
use super::record;
use crate::app::App;
use crate::deploy::{ImageSource, NOCLOUD_SEED, Plan, PlanFile, PlanNetwork};
use crate::inventory::Snapshot;
use crate::lifecycle::EventData;
use crate::lifecycle::event::StepReport;
use crate::lifecycle::gate::BootSource;
use crate::lifecycle::install::Install;
use crate::model::{Host, Image, Mac, NetworkFormat};
use crate::network::{self, File, Format, RenderError};

/// A host in the boot that may write its disk.
struct Deploying<'a> {
    name: &'a str,
    host: &'a Host,
    image: &'a Image,
    mac: Option<Mac>,
}

impl<'a> Deploying<'a> {
    /// The boot that may install. What it installs is a disk image, if it `writes` one.
    async fn find(
        app: &App,
        snapshot: &'a Snapshot,
        caller: &Caller,
        mac: &str,
        writes: bool,
    ) -> Result<Self, Error> {
        let asked = caller.find(app, snapshot, mac)?;
        let mac = asked.mac();
        let refused = || Error::NoDeployment(asked.url_name.clone());
        let (name, host) = asked.host.ok_or_else(refused)?;
        let token = caller.boot_token();
        let token = token.as_ref().map(|token| token.as_str());
        let find = || match app.inventory.boot_source(snapshot, Some((name, host)), token) {
            BootSource::Install { image, is_proven: true } if !writes || image.disk.is_some() => {
                Some(image)
            }
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
        Deploying::find(&app, &snapshot, &caller, &mac, true).await?;
    let disk = image.disk.as_deref().unwrap_or_default();
    let file = app.files.open(disk).await?;
    let bytes = file.bytes.len() as u64;
    // What the store knows of the file that was added.
    let stored = app.inventory.stored_files();
    let stored = stored.of(disk);
    let unpacked = stored.filter(|stored| stored.size_bytes == bytes);
    let networks = networks(&snapshot, name, host, image)?;
    let login = snapshot.site.login_of(host);
    Ok(Json(Plan {
        host: name.to_owned(),
        image: host.image.clone().unwrap_or_default(),
        source: ImageSource {
            path: format!("/files/{}", disk.trim_start_matches('/')),
            bytes,
            sha256: image.sha256.clone().or_else(|| Some(stored?.sha256.clone())),
            disk_bytes: unpacked.and_then(|stored| stored.disk_bytes),
            disk_sha256: unpacked.and_then(|stored| stored.disk_sha256.clone()),
        },
        disk: host.disk.clone(),
        boot_order: image.boot_order.unwrap_or_default(),
        task: app.inventory.installs().of(name).map(|install| install.task).unwrap_or_default(),
        networks,
        address: host.addresses.values().find(|address| !address.is_loopback()).copied(),
        ssh_authorized_keys: login.ssh_authorized_keys,
        root_password_hash: login.root_password_hash,
    }))
}

/// The host's network in the format that its image or its profile names, else in each that an
/// image may read.
fn networks(
    snapshot: &Snapshot,
    name: &str,
    host: &Host,
    image: &Image,
) -> Result<Vec<PlanNetwork>, RenderError> {
    let profile = snapshot.site.profile_of(host);
    let of_profile = profile.as_ref().and_then(|it| it.profile.format.as_deref());
    let of_profile = NetworkFormat::ALL.iter().find(|it| Some(it.label()) == of_profile).copied();
    let named = image.network_format.or(of_profile);
    let formats = named.as_ref().map_or(NetworkFormat::ALL, std::slice::from_ref);
    let site = snapshot.site.for_the_host();
    let mut networks = Vec::new();
    for format in formats {
        let network = match network::render_host(&site, name, Format::of_image(*format)) {
            Ok(files) => {
                let files = files.into_iter().map(|file| plan_file(*format, file)).collect();
                PlanNetwork { format: *format, files, refusal: None }
            }
            Err(RenderError::NoProfile { .. }) => return Ok(Vec::new()),
            Err(RenderError::Unsupported { features, .. }) if named.is_none() => {
                let refusal = format!("{format} cannot express {}", features.join(", "));
                PlanNetwork { format: *format, files: Vec::new(), refusal: Some(refusal) }
            }
            // Nothing has been written yet, and nothing is.
            Err(error) => return Err(error),
        };
        networks.push(network);
    }
    Ok(networks)
}

/// A file where the installed system reads it.
fn plan_file(format: NetworkFormat, file: File) -> PlanFile {
    let path = match file.directory {
        None if format == NetworkFormat::CloudInit => format!("{NOCLOUD_SEED}/{}", file.name),
        _ => file.path(),
    };
    // netplan's generator warns about files that others may read.
    let is_private = path.starts_with("/etc/netplan/") || path.starts_with(NOCLOUD_SEED);
    PlanFile { path, mode: if is_private { 0o600 } else { file.mode }, text: file.text }
}

/// `POST /deploy/{mac}`: the live system, or another installer, is at a step.
pub(super) async fn step(
    State(app): State<App>,
    Path(mac): Path<String>,
    caller: Caller,
    body: Bytes,
) -> Result<String, Error> {
    let snapshot = app.inventory.snapshot();
    let found = Deploying::find(&app, &snapshot, &caller, &mac, false).await?;
    let step: StepReport = serde_json::from_slice(&body)?;
    record(&app, Some(found.name), found.mac, EventData::InstallStep(step));
    Ok(format!("{} goes on\n", found.name))
}
