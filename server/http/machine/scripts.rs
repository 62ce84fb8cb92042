//! `/boot/{mac}.ipxe` and `/autoexec.ipxe`: what iPXE is told.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::error::Error;
use super::peer::{Asked, Caller};
use super::record;
use crate::app::App;
use crate::boot::ipxe_text::BootToken;
use crate::boot::script::{self, Target};
use crate::inventory::{BootGrant, Snapshot};
use crate::lifecycle::EventData;
use crate::lifecycle::event::{self, ScriptSays, WaitReason};
use crate::lifecycle::gate::{self, Verdict};
use crate::lifecycle::wording::wait_lines;
use crate::model::{Host, Image, LocalBoot};
use crate::network::{self, Format, RenderError};
use crate::profile::ResolvedSite;

/// What shows which boot asks: the token of a script, in the URLs that the script names.
#[derive(Debug, Default, Deserialize)]
pub(super) struct BootQuery {
    /// See [`TOKEN_KEY`](crate::boot::ipxe_text::TOKEN_KEY).
    pub token: Option<BootToken>,
    /// See [`LAST_KEY`](crate::boot::ipxe_text::LAST_KEY).
    pub last: Option<BootToken>,
}

impl<S: Send + Sync> FromRequestParts<S> for BootQuery {
    type Rejection = Infallible;

    /// Whatever else the query holds is nothing that shows a boot.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Query::try_from_uri(&parts.uri).map_or_else(|_| Self::default(), |Query(query)| query))
    }
}

impl BootQuery {
    /// The token, whatever it is given for.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().or(self.last.as_ref()).map(BootToken::as_str)
    }
}

/// `GET /boot/{mac}.ipxe`, by a NIC or the host's name: the host's script. It is always one that runs, even
/// for a host that cannot boot: iPXE shows no body of an error.
pub(super) async fn host(
    State(app): State<App>,
    Path(name): Path<String>,
    query: BootQuery,
    caller: Caller,
) -> Result<Response, Error> {
    let name = name.strip_suffix(".ipxe").unwrap_or(&name);
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(&app, &snapshot, name)?;
    let known = asked.host;
    let mut target = Target {
        host: known.map_or_else(|| asked.url_name.to_string(), |(name, _)| name.to_owned()),
        url_name: asked.url_name.clone(),
        nic: asked.nic(),
        base: caller.base(&app)?,
        address: known.and_then(|(name, host)| caller.boot_address(&app, name, host)),
        labels: known.map(|(_, host)| host.labels.clone()).unwrap_or_default(),
        token: None,
    };
    let entrance = Entrance { app: &app, snapshot: &snapshot, caller: &caller };
    let (text, says) = match entrance.plan(&asked, query.token()).await? {
        Plan::Disk(way) => (script::local(&target, way)?, ScriptSays::BootsDisk),
        Plan::Image { name, image, with_config, dracut, token } => {
            target.token = token;
            match script::boot(&target, name, image, with_config, dracut.as_deref()) {
                Ok(text) => (text, ScriptSays::Boots(name.to_owned())),
                Err(error) => wait(&target, broken(name, error))?,
            }
        }
        Plan::Wait(reason) => wait(&target, reason)?,
    };
    if !caller.only_head {
        let is_stranger = matches!(
            &says,
            ScriptSays::WaitingFor(reasons)
                if matches!(reasons[..], [WaitReason::NotTheHost { .. }])
        );
        // A stranger's request says nothing about the host, and changes no state.
        let (host, mac) = match is_stranger {
            true => (None, None),
            false => (known.map(|(name, _)| name), asked.mac()),
        };
        let script = event::Script { to: caller.address, says };
        record(&app, host, mac, EventData::Script(script));
    }
    Ok(answer(text))
}

/// `GET /autoexec.ipxe`: sends iPXE on to its own script.
pub(super) async fn autoexec(State(app): State<App>, caller: Caller) -> Result<Response, Error> {
    Ok(answer(script::autoexec(&caller.base(&app)?)?))
}

/// `GET /local.efi`: the boot file of a host whose firmware is UEFI HTTP Boot and that boots its
/// local disk. It does not exist, so the firmware goes on to its next boot option. The body
/// matters: after a 404 without one, shim waits for ever on a connection that is kept alive.
pub(super) async fn local() -> Error {
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

/// What a script is to say.
enum Plan<'a> {
    /// Boot the local disk, in this way.
    Disk(LocalBoot),
    /// Boot an image.
    Image {
        name: &'a str,
        image: &'a Image,
        with_config: bool,
        /// The host's network for an initramfs that dracut made, where the image asks for it.
        dracut: Option<String>,
        /// Of an image that installs.
        token: Option<BootToken>,
    },
    /// Wait and ask again.
    Wait(WaitReason),
}

/// One request for a script.
struct Entrance<'a> {
    app: &'a App,
    snapshot: &'a Snapshot,
    caller: &'a Caller,
}

impl<'a> Entrance<'a> {
    async fn plan(&self, asked: &Asked<'a>, token: Option<&str>) -> Result<Plan<'a>, Error> {
        let verdict = self.app.inventory.verdict(self.snapshot, asked.host, token);
        let (name, host) = match asked.known() {
            Ok(known) => known,
            Err(Error::UnknownHost(mac)) => {
                return Ok(Plan::Wait(WaitReason::NotInInventory { mac }));
            }
            Err(error) => return Err(error),
        };
        let host_name = || name.to_owned();
        // A command line may hold a password: the rule is that of `/config`.
        if self.caller.check_may_read(self.app, name, host).await.is_err() {
            let (host, address) = (host_name(), self.caller.address);
            return Ok(Plan::Wait(WaitReason::NotTheHost { host, address }));
        }
        let Some(image_name) = host.image.as_deref() else {
            return Ok(Plan::Wait(WaitReason::NoImage { host: host_name() }));
        };
        let image = match verdict {
            Verdict::Image(image) | Verdict::Install { image, .. } => image,
            Verdict::Disk(way) => {
                // Perhaps the first sign of a host that was powered on while it was installed.
                self.grant(name, host, image_name, token).await?;
                return Ok(Plan::Disk(way));
            }
            Verdict::Unknown | Verdict::NoImage => {
                let (host, image) = (host_name(), image_name.to_owned());
                return Ok(Plan::Wait(WaitReason::UnknownImage { host, image }));
            }
        };
        // Before a token is given: a boot that cannot go on must not begin.
        let (with_config, dracut) = match self.needs(name, image_name, image).await {
            Ok(needs) => needs,
            Err(reason) => return Ok(Plan::Wait(reason)),
        };
        let plan = |token| Plan::Image { name: image_name, image, with_config, dracut, token };
        if matches!(verdict, Verdict::Image(_)) {
            return Ok(plan(None));
        }
        // Reading the script of an armed host consumes nothing, and installs nothing either.
        if self.caller.only_head || !self.caller.is_host(self.app, name, host) {
            let (image, address) = (image_name.to_owned(), self.caller.address);
            return Ok(Plan::Wait(WaitReason::NotItsAddress { host: host_name(), image, address }));
        }
        Ok(match self.grant(name, host, image_name, token).await? {
            BootGrant::Install(token) => plan(Some(token.parse()?)),
            BootGrant::Disk => Plan::Disk(gate::local_boot(host, image)),
        })
    }

    /// Asks for the token of a boot that installs, if it is the host itself that asks.
    async fn grant(
        &self,
        name: &str,
        host: &Host,
        image: &str,
        token: Option<&str>,
    ) -> Result<BootGrant, Error> {
        let installs = self.app.inventory.installs();
        let is_over = installs.of(name).is_none_or(|install| install.state.is_over());
        if self.caller.only_head || is_over || !self.caller.is_host(self.app, name, host) {
            return Ok(BootGrant::Disk);
        }
        Ok(self.app.inventory.grant_boot(name, image, token).await?)
    }

    /// What goes along with an image: the host's network as an initrd, and as dracut reads it.
    async fn needs(
        &self,
        name: &str,
        image_name: &str,
        image: &Image,
    ) -> Result<(bool, Option<String>), WaitReason> {
        check_files(self.app, image_name, image).await?;
        if image.kernel.is_none() {
            return Ok((false, None));
        }
        let site = &self.snapshot.site;
        let with_config = match network::render_host(site, name, Format::Networkd) {
            Ok(_) => true,
            Err(RenderError::NoProfile { .. }) => false,
            Err(RenderError::Refused { findings, .. }) => {
                let findings = findings.iter().map(ToString::to_string).collect();
                return Err(WaitReason::NetworkRefused { host: name.to_owned(), findings });
            }
            Err(error) => return Err(WaitReason::Other { error: error.to_string() }),
        };
        let dracut = match image.wants_dracut() && with_config {
            true => Some(for_dracut(site, name)?),
            false => None,
        };
        Ok((with_config, dracut))
    }
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
    let around = app.inventory.surroundings();
    for (_, file) in image.files() {
        if let Err(error) = app.files.open(file).await {
            return Err(broken(image_name, error));
        }
        // A truncated kernel would start, and stop without a word.
        if let Some(fault) = around.files.fault(file) {
            return Err(broken(image_name, fault));
        }
    }
    Ok(())
}
