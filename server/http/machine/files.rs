//! `/files/...`: kernels, initrds and network boot programs, as firmware wants them:
//! `Content-Length` always, never chunked, never redirected, ranges, entity tags.

use std::io;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::conditions::{self, Selection};
use super::error::Error;
use super::peer::Caller;
use super::scripts::{self, BootQuery};
use super::transfer::{self, BeforeEnd, Subject};
use crate::app::App;
use crate::files::{FileError, SharedFile, names};
use crate::lifecycle::EventKind;
use crate::lifecycle::gate::{self, BootSource};
use crate::model::{Image, InstallBegins};

/// `GET /files/{name}`.
pub(super) async fn file(
    State(app): State<App>,
    Path(name): Path<String>,
    query: BootQuery,
    caller: Caller,
) -> Result<Response, Error> {
    let Passed { begins, withheld } = check_gate(&app, &caller, &name, &query).await?;
    let file = match app.files.open_apart(&name, &withheld).await {
        // iPXE asks for it beside its own program before it has said who it is,
        // and some builds stop at a 404.
        Err(FileError::NotFound(_)) if name.rsplit('/').next() == Some("autoexec.ipxe") => {
            return scripts::autoexec(State(app), caller).await;
        }
        opened => opened?,
    };
    let length = file.bytes.len() as u64;
    let kind = content_type(&name);
    let common = [
        (header::ETAG, file.etag.as_str()),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let selection = match conditions::select(&caller.headers, &file.etag, length) {
        // Ranges are defined for GET alone (RFC 9110 section 14.2).
        Selection::Part(_) | Selection::Unsatisfiable if caller.only_head => Selection::Whole,
        selection => selection,
    };
    Ok(match selection {
        Selection::NotModified => (StatusCode::NOT_MODIFIED, common).into_response(),
        Selection::Unsatisfiable => {
            let range = format!("bytes */{length}");
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            (status, common, [(header::CONTENT_RANGE, range)]).into_response()
        }
        Selection::Part(part) => {
            if let Some(begins) = begins {
                begins.store(&app).await?;
            }
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            let bytes = file.bytes.slice(part.start as usize..part.end as usize);
            let own = [(header::CONTENT_TYPE, kind), (header::CONTENT_RANGE, &range)];
            (StatusCode::PARTIAL_CONTENT, common, own, Body::from(bytes)).into_response()
        }
        Selection::Whole => {
            let own = [
                (header::CONTENT_TYPE, kind.to_owned()),
                (header::CONTENT_LENGTH, length.to_string()),
            ];
            (common, own, whole(&app, &caller, &name, &file, begins)).into_response()
        }
    })
}

/// The body of a whole file, watched if somebody fetches it.
fn whole(
    app: &App,
    caller: &Caller,
    name: &str,
    file: &SharedFile,
    begins: Option<Begins>,
) -> Body {
    if caller.only_head {
        return Body::empty();
    }
    let snapshot = app.inventory.snapshot();
    let host = caller.find_host(app, &snapshot);
    let image = host.and_then(|host| {
        let arch = || app.inventory.states.arch_of(host.0)?.of_firmware();
        snapshot.image_to_boot_on(host.1.image.as_deref()?, arch)
    });
    let subject = Subject {
        host: host.map(|(name, _)| name.to_owned()),
        kind: stage(image, name),
        file: name.trim_start_matches('/').to_owned(),
        to: caller.address,
    };
    let before_end: Option<BeforeEnd> = begins.map(|begins| -> BeforeEnd {
        let app = app.clone();
        Box::pin(async move { begins.store(&app).await.map_err(io::Error::other) })
    });
    transfer::watched(file.bytes.clone(), subject, app.clone(), before_end)
}

/// The install that begins with the last byte of a file.
pub(super) struct Begins {
    host: String,
    when: InstallBegins,
    token: String,
}

impl Begins {
    /// Stores it.
    pub(super) async fn store(&self, app: &App) -> Result<(), crate::inventory::Error> {
        app.inventory.install_loaded(&self.host, self.when, &self.token).await
    }
}

/// What the gate lets through.
#[derive(Default)]
struct Passed {
    /// The install that begins with the end of the file.
    begins: Option<Begins>,
    /// The files that the name must not lead to.
    withheld: Vec<String>,
}

/// Lets a client through that may fetch a file, and tells which install begins with its end.
async fn check_gate(
    app: &App,
    caller: &Caller,
    name: &str,
    query: &BootQuery,
) -> Result<Passed, Error> {
    let snapshot = app.inventory.snapshot();
    let path = names::relative_path(name.as_bytes()).unwrap_or_default();
    let decide = || {
        // Behind an address that several have, the token says which host it is.
        let host = caller.find_host(app, &snapshot).or_else(|| {
            let installs = app.inventory.installs();
            snapshot.host(installs.host_of_token(query.token()?)?)
        });
        (host, app.inventory.boot_source(&snapshot, host, query.token()))
    };
    let (mut host, mut boot_source) = decide();
    if !gate::may_fetch(&boot_source, &path, &snapshot.site) && query.token().is_some() {
        // Another server may have given the token just now.
        app.inventory.reload_installs().await?;
        (host, boot_source) = decide();
    }
    if !gate::may_fetch(&boot_source, &path, &snapshot.site) {
        if caller.is_operator(app).await? {
            return Ok(Passed::default());
        }
        return Err(match host {
            Some((host, _)) => Error::NotArmed { host: host.to_owned(), file: path },
            None => Error::OnlyInstalls { file: path },
        });
    }
    let withheld = gate::withheld(&boot_source, &path, &snapshot.site);
    if !withheld.is_empty() && caller.is_operator(app).await? {
        return Ok(Passed::default());
    }
    Ok(Passed { begins: begins(host.map(|(name, _)| name), &boot_source, query), withheld })
}

/// The install that begins with the last byte of what this request fetches.
pub(super) fn begins(
    host: Option<&str>,
    boot_source: &BootSource<'_>,
    query: &BootQuery,
) -> Option<Begins> {
    let BootSource::Install { image, is_proven: true } = boot_source else { return None };
    let (host, when) = (host?.to_owned(), image.install_begins());
    Some(Begins { host, when, token: query.last.as_ref()?.as_str().to_owned() })
}

/// The stage of a boot that a file belongs to, for a host with this image.
fn stage(image: Option<&Image>, name: &str) -> EventKind {
    let is = |other: &str| other.trim_start_matches('/') == name.trim_start_matches('/');
    let suffixes = [".efi", ".kpxe", ".kkpxe", ".pxe"];
    match image {
        Some(image) if image.kernel.as_deref().is_some_and(is) => EventKind::Kernel,
        Some(image) if image.efi.as_deref().is_some_and(is) => EventKind::Kernel,
        Some(image) if image.initrd.iter().any(|initrd| is(initrd)) => EventKind::Initrd,
        _ if suffixes.iter().any(|suffix| name.ends_with(suffix)) => EventKind::Nbp,
        _ => EventKind::File,
    }
}

/// What UEFI HTTP Boot needs to know (UEFI specification section 24.7.2), by the suffix.
fn content_type(name: &str) -> &'static str {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    match suffix.to_ascii_lowercase().as_str() {
        "efi" => "application/efi",
        "iso" => "application/vnd.efi-iso",
        "img" => "application/vnd.efi-img",
        "ipxe" | "txt" | "cfg" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_stage_of_the_boot_of_its_host() {
        let image = Image {
            kernel: Some("/live/vmlinuz".into()),
            initrd: vec!["live/a.img".into(), "live/b.img".into()],
            ..Image::default()
        };
        let cases = [
            ("live/vmlinuz", EventKind::Kernel),
            ("/live/vmlinuz", EventKind::Kernel),
            ("live/b.img", EventKind::Initrd),
            ("ipxe.efi", EventKind::Nbp),
            ("undionly.kpxe", EventKind::Nbp),
            ("other/vmlinuz", EventKind::File),
        ];
        for (name, kind) in cases {
            assert_eq!(stage(Some(&image), name), kind, "{name}");
        }
        assert_eq!(stage(None, "live/vmlinuz"), EventKind::File);
    }
}
