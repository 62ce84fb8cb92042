//! `/recipe/{mac}/{token}/{name}`: the answers of an installer, filled in for the host alone.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::peer::Caller;
use super::record;
use crate::app::App;
use crate::inventory::BootGrant;
use crate::lifecycle::EventData;
use crate::lifecycle::event::Warning;
use crate::lifecycle::gate::BootSource;
use crate::model::InstallBegins;
use crate::recipe::{self, Booting};

/// `GET /recipe/{mac}/{token}/{name}`. The name is the installer's own (`preseed.cfg`, `user-data`): it
/// gets the recipe whatever it asks for, but for cloud-init's other files. Of an image that installs
/// only the boot that may install gets it; `-` is the token of an image that boots always.
pub(super) async fn one(
    State(app): State<App>,
    Path((mac, token, name)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, Error> {
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(&app, &snapshot, &mac)?;
    let known = asked.known()?;
    let (host_name, host) = known;
    if let Err(error) = caller.check_may_read(&app, host_name, host).await {
        let warning = Warning::ConfigRefused { host: host_name.to_owned(), to: caller.address };
        record(&app, Some(host_name), asked.mac(), EventData::Warning(warning));
        return Err(error);
    }
    let token = Some(token.as_str()).filter(|token| *token != "-");
    let decide = || app.inventory.boot_source(&snapshot, Some(known), token);
    let mut boot_source = decide();
    if !may_have(&boot_source) && token.is_some() {
        // Another server may have given the token just now.
        app.inventory.reload_installs().await?;
        boot_source = decide();
    }
    if !may_have(&boot_source) {
        return Err(Error::NotArmed { host: host_name.to_owned(), file: name });
    }
    let text = match name.as_str() {
        "meta-data" => format!("instance-id: {host_name}-{}\n", token.unwrap_or("live")),
        "vendor-data" | "network-config" => String::new(),
        _ => {
            let server_url = caller.base(&app)?.to_string();
            let token = token.unwrap_or("-").to_owned();
            let booting = Booting { mac: asked.nic(), server_url, token };
            recipe::of_host(&snapshot.site.for_the_host(), host_name, &booting)?.text
        }
    };
    Ok(as_answer(text))
}

/// `POST /answer`: the recipe for an installer that asks at one URL for all hosts, as Proxmox's does. It
/// has no token of its boot, so the host is known by its address, and gets a token as its script
/// would. With the answers the install has begun: no other boot gets them.
pub(super) async fn answer(State(app): State<App>, caller: Caller) -> Result<Response, Error> {
    let snapshot = app.inventory.snapshot();
    let (name, host) =
        caller.find_host(&app, &snapshot).ok_or(Error::UnknownCaller(caller.address))?;
    let refused = || Error::NotArmed { host: name.to_owned(), file: "answer".to_owned() };
    let image = host.image.as_deref().ok_or_else(refused)?;
    let token = match app.inventory.boot_source(&snapshot, Some((name, host)), None) {
        BootSource::Image(_) => None,
        BootSource::Install { .. } => match app.inventory.grant_boot(name, image, None).await? {
            BootGrant::Install(token) => Some(token),
            BootGrant::Disk => return Err(refused()),
        },
        BootSource::Unknown | BootSource::NoImage | BootSource::Disk(_) => return Err(refused()),
    };
    let booting = Booting {
        mac: host.nics.values().next().map(|nic| nic.address),
        server_url: caller.base(&app)?.to_string(),
        token: token.clone().unwrap_or_else(|| "-".to_owned()),
    };
    let text = recipe::of_host(&snapshot.site.for_the_host(), name, &booting)?.text;
    if let Some(token) = token {
        app.inventory.install_loaded(name, InstallBegins::Loaded, &token).await?;
    }
    Ok(as_answer(text))
}

fn as_answer(text: String) -> Response {
    let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    ([kind, (header::CACHE_CONTROL, "no-store")], text).into_response()
}

fn may_have(boot_source: &BootSource<'_>) -> bool {
    matches!(boot_source, BootSource::Image(_) | BootSource::Install { is_proven: true, .. })
}
