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
use crate::lifecycle::{EventKind, gate};
use crate::model::{Host, Image, Mac, Site};
use crate::network::{self, Format, RenderError};

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
    let (text, said) = match plan(&app, &snapshot, known, mac).await {
        Ok(plan) => {
            let Plan { image_name, image, with_config, dracut } = plan;
            let image = &Image {
                local_boot: known.map(|(_, host)| gate::local_boot(host, image)),
                ..image.clone()
            };
            match script::boot(&target, image_name, image, with_config, dracut.as_deref()) {
                Ok(text) => (text, format!("boots {image_name}")),
                Err(error) => wait(&target, &[format!("image {image_name}: {error}")])?,
            }
        }
        Err(reasons) => wait(&target, &reasons)?,
    };
    if !caller.only_head {
        let text = format!("script to {}: {said}", caller.address);
        let host = known.map(|(name, _)| name);
        tell(&app, host, Some(mac), (EventKind::Script, text));
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

fn wait(target: &Target, reasons: &[String]) -> Result<(String, String), Error> {
    Ok((script::wait(target, reasons)?, format!("waits, {}", reasons.join("; "))))
}

/// What a host is to boot.
struct Plan<'a> {
    image_name: &'a str,
    image: &'a Image,
    with_config: bool,
    /// Its network for an initramfs that dracut made, where the image asks for it.
    dracut: Option<String>,
}

/// Finds what the host boots, or says why it must wait, in words for its console.
async fn plan<'a>(
    app: &App,
    snapshot: &'a Snapshot,
    known: Option<(&str, &'a Host)>,
    mac: Mac,
) -> Result<Plan<'a>, Vec<String>> {
    let Some((name, host)) = known else {
        return Err(vec![
            format!("{mac} is in no host of the inventory"),
            "adopt it in the web UI, or name it in the site file".into(),
        ]);
    };
    let Some(image_name) = host.image.as_deref() else {
        return Err(vec![format!("{name} has no image to boot: give it one, or local")]);
    };
    let Some(image) = snapshot.site.images.get(image_name) else {
        return Err(vec![format!("{name} is to boot image {image_name}, which does not exist")]);
    };
    check_files(app, image_name, image).await?;
    if image.kernel.is_none() {
        return Ok(Plan { image_name, image, with_config: false, dracut: None });
    }
    let with_config = match network::render_host(&snapshot.site, name, Format::Networkd) {
        Ok(_) => true,
        Err(RenderError::NoProfile { .. }) => false,
        Err(RenderError::Refused { findings, .. }) => {
            let mut reasons = vec![format!("the network of {name} must be mended first:")];
            reasons.extend(findings.iter().map(ToString::to_string));
            return Err(reasons);
        }
        Err(error) => return Err(vec![error.to_string()]),
    };
    let dracut = match image.wants_dracut() && with_config {
        true => Some(for_dracut(&snapshot.site, name)?),
        false => None,
    };
    Ok(Plan { image_name, image, with_config, dracut })
}

/// The network of a host on one line, or what dracut has no words for, a line each.
fn for_dracut(site: &Site, name: &str) -> Result<String, Vec<String>> {
    match network::render_host(site, name, Format::Dracut) {
        Ok(files) => Ok(files.into_iter().map(|file| file.text).collect()),
        Err(RenderError::Unsupported { features, .. }) => {
            let mut reasons = vec![format!("dracut has no words for the network of {name}:")];
            reasons.extend(features);
            Err(reasons)
        }
        Err(error) => Err(vec![error.to_string()]),
    }
}

/// Says at once which file is missing, instead of letting the host try ten times.
async fn check_files(app: &App, image_name: &str, image: &Image) -> Result<(), Vec<String>> {
    let programs = [&image.kernel, &image.efi, &image.script].into_iter().flatten();
    for file in programs.chain(&image.initrd) {
        if let Err(error) = app.files.open(file).await {
            return Err(vec![format!("image {image_name}: {error}")]);
        }
    }
    Ok(())
}
