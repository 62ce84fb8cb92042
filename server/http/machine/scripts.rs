//! `/boot/{mac}.ipxe` and `/autoexec.ipxe`: what iPXE is told.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::peer::Caller;
use super::tell;
use crate::app::App;
use crate::boot::script::{self, Target};
use crate::inventory::Snapshot;
use crate::lifecycle::event::{self, ScriptSays, WaitReason};
use crate::lifecycle::wording::wait_lines;
use crate::lifecycle::{EventData, gate};
use crate::model::{Host, Image, Mac};
use crate::network::{self, Format, RenderError};
use crate::profile::ResolvedSite;

/// `GET /boot/{mac}.ipxe`: the host's script. It is always one that runs, even
/// for a host that cannot boot: iPXE shows no body of an error.
pub async fn host(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Error> {
    let mac: Mac = name.strip_suffix(".ipxe").unwrap_or(&name).parse()?;
    let snapshot = app.inventory.snapshot();
    let known = caller.host_of_mac(&app, &snapshot, mac);
    let target = Target {
        host: known.map_or_else(|| mac.to_string(), |(name, _)| name.to_owned()),
        mac,
        base: caller.base(&app)?,
    };
    let (text, says) = match plan(&app, &snapshot, known, mac).await {
        Ok(plan) => {
            let Plan { image_name, image, with_config, dracut } = plan;
            let image = &Image {
                local_boot: known.map(|(_, host)| gate::local_boot(host, image)),
                ..image.clone()
            };
            match script::boot(&target, image_name, image, with_config, dracut.as_deref()) {
                Ok(text) => (text, ScriptSays::Boots(image_name.to_owned())),
                Err(error) => wait(&target, broken(image_name, error))?,
            }
        }
        Err(reason) => wait(&target, reason)?,
    };
    if !caller.only_head {
        let host = known.map(|(name, _)| name);
        let script = event::Script { to: caller.address, says };
        tell(&app, host, Some(mac), EventData::Script(script));
    }
    Ok(answer(text))
}

/// `GET /autoexec.ipxe`: sends iPXE on to its own script.
pub async fn autoexec(State(app): State<App>, caller: Caller) -> Result<Response, Error> {
    Ok(answer(script::autoexec(&caller.base(&app)?)?))
}

/// `GET /local.efi`: the boot file of a host whose firmware is UEFI HTTP Boot and that boots its
/// local disk. It does not exist, so the firmware goes on to its next boot option. The body
/// matters: after a 404 without one, shim waits for ever on a connection that is kept alive.
pub async fn local() -> Error {
    Error::LocalDisk
}

fn answer(text: String) -> Response {
    let head =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (head, text).into_response()
}

fn wait(target: &Target, reason: WaitReason) -> Result<(String, ScriptSays), Error> {
    let reasons = vec![reason];
    let text = script::wait(target, &wait_lines(&reasons))?;
    Ok((text, ScriptSays::WaitingFor(reasons)))
}

fn broken(image_name: &str, error: impl ToString) -> WaitReason {
    WaitReason::BrokenImage { image: image_name.to_owned(), error: error.to_string() }
}

/// What a host is to boot.
struct Plan<'a> {
    image_name: &'a str,
    image: &'a Image,
    with_config: bool,
    /// Its network for an initramfs that dracut made, where the image asks for it.
    dracut: Option<String>,
}

/// Finds what the host boots, or says why it must wait.
async fn plan<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    known: Option<(&str, &'a Host)>,
    mac: Mac,
) -> Result<Plan<'a>, WaitReason> {
    let Some((name, host)) = known else {
        return Err(WaitReason::NotInInventory { mac });
    };
    let host_name = || name.to_owned();
    let Some(image_name) = host.image.as_deref() else {
        return Err(WaitReason::NoImage { host: host_name() });
    };
    let Some(image) = snapshot.site.images.get(image_name) else {
        return Err(WaitReason::UnknownImage { host: host_name(), image: image_name.to_owned() });
    };
    check_files(app, image_name, image).await?;
    if image.kernel.is_none() {
        return Ok(Plan { image_name, image, with_config: false, dracut: None });
    }
    let with_config = match network::render_host(&snapshot.site, name, Format::Networkd) {
        Ok(_) => true,
        Err(RenderError::NoProfile { .. }) => false,
        Err(RenderError::Refused { findings, .. }) => {
            let findings = findings.iter().map(ToString::to_string).collect();
            return Err(WaitReason::NetworkRefused { host: host_name(), findings });
        }
        Err(error) => return Err(WaitReason::Other { error: error.to_string() }),
    };
    let dracut = match image.wants_dracut() && with_config {
        true => Some(for_dracut(&snapshot.site, name)?),
        false => None,
    };
    Ok(Plan { image_name, image, with_config, dracut })
}

/// The network of a host on one line, or what dracut has no words for, a line each.
fn for_dracut(site: &ResolvedSite, name: &str) -> Result<String, WaitReason> {
    match network::render_host(site, name, Format::Dracut) {
        Ok(files) => Ok(files.into_iter().map(|file| file.text).collect()),
        Err(RenderError::Unsupported { features, .. }) => {
            Err(WaitReason::NotForDracut { host: name.to_owned(), features })
        }
        Err(error) => Err(WaitReason::Other { error: error.to_string() }),
    }
}

/// Says at once which file is missing, instead of letting the host try ten times.
async fn check_files(app: &App, image_name: &str, image: &Image) -> Result<(), WaitReason> {
    let programs = [&image.kernel, &image.efi, &image.script].into_iter().flatten();
    for file in programs.chain(&image.initrd) {
        if let Err(error) = app.files.open(file).await {
            return Err(broken(image_name, error));
        }
    }
    Ok(())
}
