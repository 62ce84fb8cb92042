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
use crate::boot::grub_config;
use crate::boot::ipxe_text::BootToken;
use crate::boot::script::{self, ScriptError, ScriptTarget};
use crate::files::FileError;
use crate::inventory::{BootGrant, NewHostError, Snapshot};
use crate::lifecycle::EventData;
use crate::lifecycle::event::{self, ScriptSays, WaitReason};
use crate::lifecycle::gate::{self, BootSource};
use crate::lifecycle::install::{Install, InstallTask};
use crate::lifecycle::wording::wait_lines;
use crate::model::{CpuArch, FirmwareArch, Host, Image, LocalBoot};
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

/// What reads a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    Ipxe,
    Grub,
}

impl Loader {
    fn local(self, target: &ScriptTarget, way: LocalBoot) -> Result<String, ScriptError> {
        match self {
            Self::Ipxe => script::local(target, way),
            Self::Grub => Ok(grub_config::local(target)),
        }
    }

    fn wait(self, target: &ScriptTarget, reasons: &[String]) -> Result<String, ScriptError> {
        match self {
            Self::Ipxe => script::wait(target, reasons),
            Self::Grub => Ok(grub_config::wait(reasons)),
        }
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
    for_loader(Loader::Ipxe, app, name, query, caller).await
}

/// `GET /boot/{mac}/grub.cfg`: the same for GRUB, to which [`grub`] leads.
pub(super) async fn host_grub(
    State(app): State<App>,
    Path(name): Path<String>,
    query: BootQuery,
    caller: Caller,
) -> Result<Response, Error> {
    for_loader(Loader::Grub, app, &name, query, caller).await
}

/// `GET /grub/...`: what a signed GRUB that was booted by HTTP reads first. It asks for more files,
/// which do not exist.
pub(super) async fn grub(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Error> {
    let path = format!("grub/{name}");
    if !grub_config::FIRST_NAMES.contains(&path.as_str()) {
        return Err(FileError::NotFound(path).into());
    }
    Ok(answer(grub_config::first(&caller.base(&app)?)?))
}

async fn for_loader(
    loader: Loader,
    app: App,
    name: &str,
    query: BootQuery,
    caller: Caller,
) -> Result<Response, Error> {
    let welcome = arm_new_host(&app, &caller, name).await?;
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(&app, &snapshot, name)?;
    let known = asked.host;
    let mut target = ScriptTarget {
        host: known.map_or_else(|| asked.url_name.to_string(), |(name, _)| name.to_owned()),
        url_name: asked.url_name.clone(),
        nic: asked.nic(),
        base: match loader {
            Loader::Ipxe => caller.loader_base(&app)?,
            // It has no TLS.
            Loader::Grub => caller.base(&app)?,
        },
        system_base: caller.base(&app)?,
        address: known.and_then(|(name, host)| caller.boot_address(&app, name, host)),
        labels: known.map(|(_, host)| host.labels.clone()).unwrap_or_default(),
        token: None,
    };
    let entrance = ScriptRequest { app: &app, snapshot: &snapshot, caller: &caller };
    let plan = match welcome {
        Some(reason) => ScriptPlan::Wait(reason),
        None => entrance.plan(&asked, query.token()).await?,
    };
    let (text, says) = match plan {
        ScriptPlan::Disk(way) => (loader.local(&target, way)?, ScriptSays::BootsDisk),
        ScriptPlan::Image { name, image, with_config, dracut, token } => {
            target.token = token;
            let boot = match loader {
                Loader::Ipxe => script::boot,
                Loader::Grub => grub_config::boot,
            };
            match boot(&target, name, image, with_config, dracut.as_deref()) {
                Ok(text) => (text, ScriptSays::Boots(name.to_owned())),
                Err(error) => wait(loader, &target, broken(name, error))?,
            }
        }
        ScriptPlan::Wait(reason) => wait(loader, &target, reason)?,
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

/// Arms the host that asks, if it is new and its policy says so. What it waits for, if it cannot
/// be armed.
async fn arm_new_host(app: &App, caller: &Caller, name: &str) -> Result<Option<WaitReason>, Error> {
    let snapshot = app.inventory.snapshot();
    let asked = caller.find(app, &snapshot, name)?;
    let Some((name, host)) = asked.host else { return Ok(None) };
    if caller.only_head || !caller.is_host(app, name, host) {
        return Ok(None);
    }
    match app.inventory.arm_new_host(name).await {
        Ok(_) => Ok(None),
        Err(NewHostError::Inventory(error)) => Err(error.into()),
        Err(error) => {
            let error = format!("new-hosts of {name}: {error}");
            Ok(Some(WaitReason::Other { error }))
        }
    }
}

/// `GET /autoexec.ipxe`: sends iPXE on to its own script.
pub(super) async fn autoexec(State(app): State<App>, caller: Caller) -> Result<Response, Error> {
    Ok(answer(script::autoexec(&caller.loader_base(&app)?)?))
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

fn wait(
    loader: Loader,
    target: &ScriptTarget,
    reason: WaitReason,
) -> Result<(String, ScriptSays), Error> {
    let reasons = vec![reason];
    let text = loader.wait(target, &wait_lines(&reasons))?;
    Ok((text, ScriptSays::WaitingFor(reasons)))
}

fn broken(image_name: &str, error: impl ToString) -> WaitReason {
    WaitReason::BrokenImage { image: image_name.to_owned(), error: error.to_string() }
}

/// What a script is to say.
enum ScriptPlan<'a> {
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
struct ScriptRequest<'a> {
    app: &'a App,
    snapshot: &'a Snapshot,
    caller: &'a Caller,
}

impl<'a> ScriptRequest<'a> {
    async fn plan(&self, asked: &Asked<'a>, token: Option<&str>) -> Result<ScriptPlan<'a>, Error> {
        let boot_source = self.app.inventory.boot_source(self.snapshot, asked.host, token);
        let (name, host) = match asked.known() {
            Ok(known) => known,
            Err(Error::UnknownHost(mac)) => {
                return Ok(ScriptPlan::Wait(WaitReason::NotInInventory { mac }));
            }
            Err(error) => return Err(error),
        };
        let host_name = || name.to_owned();
        // A command line may hold a password: the rule is that of `/config`.
        if self.caller.check_may_read(self.app, name, host).await.is_err() {
            let (host, address) = (host_name(), self.caller.address);
            return Ok(ScriptPlan::Wait(WaitReason::NotTheHost { host, address }));
        }
        let own = host.image.as_deref();
        let Some(image_name) = self.rescue(name, &boot_source).or(own) else {
            return Ok(ScriptPlan::Wait(WaitReason::NoImage { host: host_name() }));
        };
        let image = match boot_source {
            BootSource::Image(image) | BootSource::Install { image, .. } => image,
            BootSource::Disk(way) => {
                // Perhaps the first sign of a host that was powered on while it was installed.
                self.grant(name, host, image_name, token).await?;
                return Ok(ScriptPlan::Disk(way));
            }
            BootSource::Unknown | BootSource::NoImage => {
                let (host, image) = (host_name(), image_name.to_owned());
                return Ok(ScriptPlan::Wait(WaitReason::UnknownImage { host, image }));
            }
        };
        if let Some(reason) = self.lacks_variant(name, image_name, image) {
            return Ok(ScriptPlan::Wait(reason));
        }
        // Before a token is given: a boot that cannot go on must not begin.
        let (with_config, dracut) = match self.needs(name, image_name, image).await {
            Ok(needs) => needs,
            Err(reason) => return Ok(ScriptPlan::Wait(reason)),
        };
        let plan =
            |token| ScriptPlan::Image { name: image_name, image, with_config, dracut, token };
        if matches!(boot_source, BootSource::Image(_)) {
            return Ok(plan(None));
        }
        // Reading the script of an armed host consumes nothing, and installs nothing either.
        if self.caller.only_head || !self.caller.is_host(self.app, name, host) {
            let (image, address) = (image_name.to_owned(), self.caller.address);
            return Ok(ScriptPlan::Wait(WaitReason::NotItsAddress {
                host: host_name(),
                image,
                address,
            }));
        }
        Ok(match self.grant(name, host, image_name, token).await? {
            BootGrant::Install(token) => plan(Some(token.parse()?)),
            BootGrant::Disk => ScriptPlan::Disk(gate::local_boot(host, image)),
        })
    }

    /// Why an image has nothing for the architecture of a host, if that is so.
    fn lacks_variant(&self, name: &str, image_name: &str, image: &Image) -> Option<WaitReason> {
        let arch = self.app.inventory.states.arch_of(name)?.of_firmware()?;
        let known = self.snapshot.site.variants_of(image_name);
        let given: Vec<&str> = known.iter().map(|arch| arch.label()).collect();
        let wrong = |text: String| {
            let image = image_name.to_owned();
            Some(WaitReason::BrokenImage { image, error: text })
        };
        if !image.boots_anywhere() {
            return wrong(format!(
                "{name} is {arch}, and the image has variants for {} only",
                given.join(", ")
            ));
        }
        let kernel = image.kernel.as_deref()?;
        let stored = self.app.inventory.stored_files();
        let own = stored.of(kernel)?.arch?;
        (!runs_on(own, arch)).then_some(())?;
        wrong(format!(
            "{name} is {arch}, and the kernel {kernel} is for {own}: set variants.{arch}.kernel"
        ))
    }

    /// The image with the live system that the host starts once in place of its own image.
    fn rescue(&self, name: &str, boot_source: &BootSource<'_>) -> Option<&'a str> {
        let installs = self.app.inventory.installs();
        let is_rescue = |install: &&Install| install.task == InstallTask::Rescue;
        let install = installs.of(name).filter(is_rescue)?;
        let image = self.snapshot.site.images.get_key_value(&install.image)?;
        matches!(boot_source, BootSource::Install { .. }).then_some(image.0.as_str())
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
            Err(RenderError::NoProfile { .. }) => image.has_recipe_as_initrd(),
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
/// Whether firmware of an architecture starts a kernel for these processors.
fn runs_on(kernel: CpuArch, arch: FirmwareArch) -> bool {
    let expected: &[CpuArch] = match arch {
        FirmwareArch::Bios | FirmwareArch::X86 | FirmwareArch::X64 => &[CpuArch::X86, CpuArch::X64],
        FirmwareArch::Arm64 => &[CpuArch::Arm64],
        // What else there is has no kernels whose header is read here.
        _ => return true,
    };
    expected.contains(&kernel)
}

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
