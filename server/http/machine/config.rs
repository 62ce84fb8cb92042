//! `/config/...`: the host's network configuration, for nothing but one of its MACs.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::conditions::{self, Selection};
use super::error::Error;
use super::files::begins;
use super::peer::{Asked, Caller};
use super::rendered::RenderedConfig;
use super::scripts::BootQuery;
use super::{Machine, now_ms, record};
use crate::app::App;
use crate::bundle::apply;
use crate::bundle::archive::{self, HostFile};
use crate::inventory::Snapshot;
use crate::lifecycle::EventData;
use crate::lifecycle::event::{Sent, Warning};
use crate::lifecycle::gate::BootSource;
use crate::model::{Host, NicAddress};
use crate::network::{self, Cluster, Format, MICROCLOUD_FILE, PreseedWords, RenderError};
use crate::recipe::{self, Booting};

/// Revision of the site that a response is generated from.
const REVISION: HeaderName = HeaderName::from_static("x-rackstrap-revision");
/// The former name of [`REVISION`], for scripts on hosts that still read it.
const GENERATION: HeaderName = HeaderName::from_static("x-rackstrap-generation");

/// Where Debian's installer looks for its answers in its initrd.
const PRESEED_PATH: &str = "/preseed.cfg";

/// How the files are wrapped up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// One readable text.
    Text,
    /// For unpacking at `/`.
    Tar,
    /// For the kernel, as an initrd.
    CpioGz,
    /// A script that applies them.
    Installer,
    /// A script that writes them and nothing else, for a system that is being installed.
    Unpacker,
    /// A script that installs the timer which asks whether to apply them.
    Follower,
    /// For programs.
    Json,
}

impl Wrapping {
    const SUFFIXES: [(&str, Self); 6] = [
        (".tar", Self::Tar),
        (".cpio.gz", Self::CpioGz),
        (".unpack.sh", Self::Unpacker),
        (".follow.sh", Self::Follower),
        (".sh", Self::Installer),
        (".json", Self::Json),
    ];

    /// What is sent, for the event's text.
    fn words(self) -> &'static str {
        match self {
            Self::Text => "configuration",
            Self::Tar => "configuration (tar)",
            Self::CpioGz => "configuration (initrd)",
            Self::Installer => "configuration (install script)",
            Self::Unpacker => "configuration (script that unpacks)",
            Self::Follower => "timer that asks for the configuration",
            Self::Json => "configuration (JSON)",
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Tar => "application/x-tar",
            Self::CpioGz => "application/gzip",
            Self::Installer | Self::Unpacker | Self::Follower => {
                "text/x-shellscript; charset=utf-8"
            }
            Self::Json => "application/json",
        }
    }
}

/// Takes the ending off that tells the wrapping.
pub(super) fn unsuffixed(name: &str) -> (&str, Wrapping) {
    let suffixed = |(suffix, wrapping)| Some((name.strip_suffix(suffix)?, wrapping));
    Wrapping::SUFFIXES.into_iter().find_map(suffixed).unwrap_or((name, Wrapping::Text))
}

/// The ending of a name that is no wrapping, behind what names a NIC or a host.
fn unknown_suffix<'a>(text: &'a str, snapshot: &Snapshot) -> Option<&'a str> {
    // `aabb.ccdd.eeff` has dots of its own, so a suffix is looked for behind each.
    let dots = text.char_indices().filter(|(_, c)| *c == '.').map(|(at, _)| at);
    let names = |name: &str| name.parse::<NicAddress>().is_ok() || snapshot.host(name).is_some();
    dots.map(|at| text.split_at(at)).find(|(name, _)| names(name)).map(|(_, suffix)| suffix)
}

/// `GET /config/{mac}`, `.tar`, `.cpio.gz`, `.sh`, `.unpack.sh` and `.json`: all files of networkd.
pub(super) async fn all(
    machine: State<Machine>,
    Path(name): Path<String>,
    query: BootQuery,
    caller: Caller,
) -> Result<Response, Error> {
    let (name, wrapping) = unsuffixed(&name);
    let recipe = match wrapping {
        Wrapping::CpioGz => recipe(&machine.app, &caller, name, &query).await?,
        _ => None,
    };
    if query.last.is_some() && !caller.only_head {
        // With the archive the boot has all that its script names.
        let inventory = &machine.app.inventory;
        let snapshot = inventory.snapshot();
        let host = caller.find(&machine.app, &snapshot, name)?.host;
        let boot_source = inventory.boot_source(&snapshot, host, query.token());
        if let Some(begins) = begins(host.map(|(name, _)| name), &boot_source, &query) {
            begins.store(&machine.app).await?;
        }
    }
    send_all(machine.0, caller, name, Form { format: Format::Networkd, wrapping, recipe }).await
}

/// The recipe of the host's image as a file for its installer, if it is to be an initrd: only for
/// the boot that may install it.
async fn recipe(
    app: &App,
    caller: &Caller,
    name: &str,
    query: &BootQuery,
) -> Result<Option<HostFile>, Error> {
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(app, &snapshot, name)?;
    let Some((name, host)) = asked.host else { return Ok(None) };
    let (BootSource::Image(image) | BootSource::Install { image, is_proven: true }) =
        app.inventory.boot_source(&snapshot, asked.host, query.token())
    else {
        return Ok(None);
    };
    if !image.has_recipe_as_initrd() {
        return Ok(None);
    }
    caller.check_may_read(app, name, host).await?;
    let token = query.token().unwrap_or("-").to_owned();
    let server_url = caller.base(app)?.to_string();
    let text = recipe::of_host(
        &snapshot.site.for_the_host(),
        name,
        &Booting { mac: asked.nic(), server_url, token },
    )?
    .text;
    Ok(Some(HostFile { path: PRESEED_PATH.to_owned(), mode: 0o600, text }))
}

/// What of a host's configuration is sent, and how.
struct Form {
    format: Format,
    wrapping: Wrapping,
    /// Goes along with it.
    recipe: Option<HostFile>,
}

/// `GET /config/{mac}/{format}`, with the same endings: all files of another format.
pub(super) async fn of_format(
    machine: State<Machine>,
    Path((mac, name)): Path<(String, String)>,
    caller: Caller,
) -> Result<Response, Error> {
    let (format, wrapping) = unsuffixed(&name);
    let form = Form { format: format.parse()?, wrapping, recipe: None };
    send_all(machine.0, caller, &mac, form).await
}

async fn send_all(
    machine: Machine,
    caller: Caller,
    asked: &str,
    form: Form,
) -> Result<Response, Error> {
    let Form { format, wrapping, recipe } = form;
    let snapshot = machine.app.inventory.snapshot();
    let request = Request::allow(&machine.app, &snapshot, &caller, asked).await?;
    let make = || request.wrap(&request.files(format)?, wrapping);
    let answer = match (recipe, wrapping) {
        // Of this boot alone.
        (Some(recipe), _) => {
            let mut files = match request.files(format) {
                Err(Error::Render(RenderError::NoProfile { .. })) => Vec::new(),
                files => files?,
            };
            files.push(recipe);
            Arc::new(RenderedConfig::new(request.wrap(&files, wrapping)?))
        }
        // It names the server as this caller reaches it.
        (None, Wrapping::Installer | Wrapping::Follower) => Arc::new(RenderedConfig::new(make()?)),
        (None, _) => {
            let form = (format, wrapping);
            machine.rendered.find_or_make(snapshot.revision, request.name, form, make)?
        }
    };
    Ok(request.answer(wrapping.words(), wrapping.content_type(), &answer))
}

/// What a host says of itself when it asks whether to apply.
#[derive(Debug, Deserialize)]
pub(super) struct Asking {
    /// For how many seconds it has been up.
    up: Option<u64>,
}

/// `GET /roll-out/{mac}`: a host asks whether to apply its configuration now. The answer is the script
/// that applies it, or 204: while no roll-out runs, before its wave opens, and once it has it.
pub(super) async fn roll_out(
    machine: State<Machine>,
    Path(name): Path<String>,
    Query(Asking { up }): Query<Asking>,
    caller: Caller,
) -> Result<Response, Error> {
    let app = &machine.app;
    let snapshot = app.inventory.snapshot();
    let request = Request::allow(app, &snapshot, &caller, &name).await?;
    // Whoever else may read it only looks.
    if caller.only_head || !caller.is_host(app, request.name, request.host) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // First, so that a host is not said to have what cannot be made.
    let script = request.wrap(&request.files(Format::Networkd)?, Wrapping::Installer)?;
    let up = up.map(Duration::from_secs);
    if !app.inventory.may_apply(&snapshot, request.name, up).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    request.record_sent(Wrapping::Installer.words(), script.len() as u64);
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_TYPE, HeaderValue::from_static(Wrapping::Installer.content_type())),
        (REVISION, snapshot.revision.into()),
    ];
    Ok((headers, script).into_response())
}

/// `GET /config/{mac}/netplan.yaml`: the one file that netplan needs.
pub(super) async fn netplan(
    machine: State<Machine>,
    Path(mac): Path<String>,
    caller: Caller,
) -> Result<Response, Error> {
    send(machine.0, caller, mac, Format::Netplan, None).await
}

/// `GET /config/{mac}/microcloud-preseed.yaml`: the document of the cluster that the host is
/// in, which all hosts of its profile and tenant are.
pub(super) async fn microcloud(
    machine: State<Machine>,
    Path(mac): Path<String>,
    Query(words): Query<PreseedWords>,
    caller: Caller,
) -> Result<Response, Error> {
    let snapshot = machine.app.inventory.snapshot();
    let request = Request::allow(&machine.app, &snapshot, &caller, &mac).await?;
    let cluster = words.applied_to(Cluster::of_host(&snapshot.site, request.host))?;
    let text = network::microcloud_preseed(&snapshot.site, &cluster)?;
    let answer = RenderedConfig::new(text.into());
    Ok(request.answer(MICROCLOUD_FILE, Wrapping::Text.content_type(), &answer))
}

/// `GET /config/{mac}/{format}/{name}`: one file of a format, such as `networkd/05-bond0.netdev`
/// or `cloud-init/meta-data`.
pub(super) async fn one(
    machine: State<Machine>,
    Path((mac, format, name)): Path<(String, String, String)>,
    caller: Caller,
) -> Result<Response, Error> {
    send(machine.0, caller, mac, format.parse()?, Some(name)).await
}

/// Sends the file of a format that has this name, or the only one that it has.
async fn send(
    machine: Machine,
    caller: Caller,
    mac: String,
    format: Format,
    name: Option<String>,
) -> Result<Response, Error> {
    let snapshot = machine.app.inventory.snapshot();
    let request = Request::allow(&machine.app, &snapshot, &caller, &mac).await?;
    let files = network::render_host(&snapshot.site.for_the_host(), request.name, format)?;
    let wanted = |file: &&network::File| name.as_ref().is_none_or(|name| file.name == *name);
    let Some(file) = files.iter().find(wanted) else {
        let name = name.unwrap_or_default();
        let names = files.into_iter().map(|file| file.name).collect();
        return Err(Error::NoSuchFile { host: request.name.to_owned(), name, names });
    };
    let answer = RenderedConfig::new(Bytes::copy_from_slice(file.text.as_bytes()));
    Ok(request.answer(&file.name, Wrapping::Text.content_type(), &answer))
}

/// A request for a known host's configuration by somebody who may have it.
struct Request<'a> {
    app: &'a App,
    snapshot: &'a Snapshot,
    caller: &'a Caller,
    asked: Asked<'a>,
    name: &'a str,
    host: &'a Host,
}

impl<'a> Request<'a> {
    async fn allow(
        app: &'a App,
        snapshot: &'a Snapshot,
        caller: &'a Caller,
        asked: &str,
    ) -> Result<Self, Error> {
        let asked = caller.find(app, snapshot, asked).map_err(|error| {
            match unknown_suffix(asked, snapshot) {
                Some(suffix) => Error::UnknownFormat(suffix.chars().take(40).collect()),
                None => error,
            }
        })?;
        let (name, host) = asked.known()?;
        if let Err(error) = caller.check_may_read(app, name, host).await {
            let warning = Warning::ConfigRefused { host: name.to_owned(), to: caller.address };
            record(app, Some(name), asked.mac(), EventData::Warning(warning));
            return Err(error);
        }
        Ok(Self { app, snapshot, caller, asked, name, host })
    }

    fn files(&self, format: Format) -> Result<Vec<HostFile>, Error> {
        let files = network::render_host(&self.snapshot.site.for_the_host(), self.name, format)?;
        let place =
            |file: network::File| HostFile { path: file.path(), mode: file.mode, text: file.text };
        Ok(files.into_iter().map(place).collect())
    }

    fn wrap(&self, files: &[HostFile], wrapping: Wrapping) -> Result<Bytes, Error> {
        Ok(match wrapping {
            Wrapping::Text => archive::text(files).into(),
            Wrapping::Tar => archive::tar(files)?.into(),
            Wrapping::CpioGz => archive::cpio_gz(files)?.into(),
            Wrapping::Installer => self.installer(files)?.into(),
            Wrapping::Unpacker => apply::unpacker(files)?.into(),
            Wrapping::Follower => {
                let url_name = self.asked.url_name.clone();
                apply::follower(self.name, &url_name, &self.caller.base(self.app)?)?.into()
            }
            Wrapping::Json => {
                let revision = self.snapshot.revision;
                let all = AllFiles { host: self.name, revision, generation: revision, files };
                serde_json::to_vec_pretty(&all).map_err(std::io::Error::other)?.into()
            }
        })
    }

    fn installer(&self, files: &[HostFile]) -> Result<String, Error> {
        if let Some(file) = files.iter().find(|file| !apply::can_place(file)) {
            return Err(Error::NotByScript { host: self.name.to_owned(), path: file.path.clone() });
        }
        let gateways = network::layout(&self.snapshot.site, self.name).links;
        // Those of namespaces are not reached from here.
        let here = gateways.values().filter(|link| link.settings.namespace.is_none());
        let gateways = here.flat_map(|link| link.layer3.gateways.clone()).collect();
        let target = apply::ApplyTarget {
            host: self.name.to_owned(),
            url_name: self.asked.url_name.clone(),
            base: self.caller.base(self.app)?,
            revision: self.snapshot.revision,
            gateways,
        };
        Ok(apply::script(&target, files)?)
    }

    /// The answer with what lets a host ask again cheaply, and the event of it.
    fn answer(&self, what: &str, content_type: &'static str, answer: &RenderedConfig) -> Response {
        let length = answer.body.len() as u64;
        let common = [
            (header::ETAG, answer.etag_value()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (REVISION, self.snapshot.revision.into()),
            (GENERATION, self.snapshot.revision.into()),
        ];
        // A range of a text of two kilobytes is of no use: it is sent whole.
        let wanted = conditions::select(&self.caller.headers, &answer.etag, length);
        if wanted == Selection::NotModified {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        if !self.caller.only_head && answer.is_news(now_ms()) {
            self.record_sent(what, length);
        }
        (common, [(header::CONTENT_TYPE, content_type)], answer.body.clone()).into_response()
    }

    /// A host's own fetch is a stage of its boot; an operator's is only written down.
    fn record_sent(&self, what: &str, bytes: u64) {
        let own = self.caller.is_host(self.app, self.name, self.host);
        let data = if own { EventData::Config } else { EventData::File };
        let (to, file) = (self.caller.address, what.to_owned());
        let sent = Sent { to, file, bytes, milliseconds: None };
        record(self.app, Some(self.name), self.asked.mac(), data(sent));
    }
}

#[derive(Serialize)]
struct AllFiles<'a> {
    host: &'a str,
    revision: i64,
    /// The former name of `revision`, for scripts on hosts that still read it.
    generation: i64,
    files: &'a [HostFile],
}
