//! What a machine-facing request can fail with: one line that a shell or a person can act on.

use std::io;
use std::net::IpAddr;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::boot::UrlName;
use crate::boot::ipxe_text::Unsafe;
use crate::boot::script::ScriptError;
use crate::bundle::apply::ApplyError;
use crate::files::FileError;
use crate::inventory::InstallReportError;
use crate::lifecycle::install::{InstallState, InstallTask, ReportRefusal};
use crate::model::{InvalidNicAddress, NicAddress};
use crate::network::{Format, PreseedError, RenderError};
use crate::recipe::RecipeError;

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// What the URL names is neither a NIC nor a host.
    #[error("{0}")]
    InvalidNic(#[from] InvalidNicAddress),
    /// The configuration is not to be had in this format.
    #[error(
        "\"{0}\" is not a format of the configuration: /config/MAC is one text, and there are MAC.tar, MAC.cpio.gz, MAC.sh, MAC.json, MAC/netplan.yaml, MAC/microcloud-preseed.yaml, MAC/FORMAT (.tar, .cpio.gz, .json) and MAC/FORMAT/NAME, where FORMAT is one of {formats}",
        formats = Format::labels()
    )]
    UnknownFormat(String),
    /// No host has the MAC.
    #[error(
        "no host of the inventory has the {word} {0}; any NIC's permanent MAC works (`ip -d link` shows it as permaddr); add the host with `rackstrap host set`",
        word = if .0.is_infiniband() { "GUID" } else { "MAC" }
    )]
    UnknownHost(NicAddress),
    /// Somebody else's configuration.
    #[error(
        "{address} is not an address of {host}, so it may neither read its configuration nor report for it: ask from the host itself, from the server by 127.0.0.1, or with -H \"Authorization: Bearer TOKEN\" (`rackstrap token`)"
    )]
    Stranger {
        /// Whose it is.
        host: String,
        /// Who asked.
        address: IpAddr,
    },
    /// No host has the address of whoever asks.
    #[error(
        "{0} is not an address of a host: it must boot by this server's DHCP, or have the address in the inventory"
    )]
    UnknownCaller(IpAddr),
    /// The configuration cannot be generated.
    #[error("{}", mend(.0))]
    Render(#[from] RenderError),
    /// The recipe of the host's image cannot be filled in.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The hosts are no MicroCloud, or are not told enough.
    #[error("{}", mend_member(.0))]
    Preseed(#[from] PreseedError),
    /// The host has no such file.
    #[error("{host} has no file \"{name}\"; it has:\n{}", names.join("\n"))]
    NoSuchFile {
        /// The host.
        host: String,
        /// What was asked for.
        name: String,
        /// What there is.
        names: Vec<String>,
    },
    /// The install script could not put everything back.
    #[error(
        "{host} keeps {path}, which the install script cannot put back if it fails: unpack /config/MAC.tar at / instead"
    )]
    NotByScript {
        /// The host.
        host: String,
        /// The file.
        path: String,
    },
    /// A boot file is missing or refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The boot file of hosts that boot their local disk.
    #[error("there is no boot file here: the host boots its local disk")]
    LocalDisk,
    /// A file that installs, for a host that is not armed.
    #[error(
        "{file} installs, and {host} gets it only in the boot that may install it: arm it with `rackstrap host install {host}`"
    )]
    NotArmed {
        /// The host that asked.
        host: String,
        /// The file.
        file: String,
    },
    /// A file that installs, for somebody who is not a host.
    #[error("{file} installs, and is given only with the token of the boot that may install it")]
    OnlyInstalls {
        /// The file.
        file: String,
    },
    /// An installer reported that must not install.
    #[error(transparent)]
    Report(#[from] ReportRefusal),
    /// Nothing may be written to a host's disk now.
    #[error(
        "{host} is not armed, and nothing may write its disks: arm it with `rackstrap host install {host}`"
    )]
    NotDeploying {
        /// The host.
        host: String,
    },
    /// A host is armed or being installed, and the caller does not show that it is the boot for it.
    #[error("{host} is {state} to {task}, by the boot alone that shows its token")]
    NotTheBoot {
        /// The host.
        host: String,
        /// How far its install is.
        state: InstallState,
        /// What it is armed for.
        task: InstallTask,
    },
    /// Who asks is not the host, and learns nothing about it.
    #[error("the disks of {0} are written only by the boot that shows its token")]
    NoDeployment(UrlName),
    /// A step of a deployment is not one.
    #[error("this is not a step of a deployment: {0}")]
    InvalidStep(#[from] serde_json::Error),
    /// Nothing is at this path.
    #[error(
        "nothing is here: /boot/MAC.ipxe, /autoexec.ipxe, /files/NAME, /config/MAC (also .tar, .cpio.gz, .sh, .json, /netplan.yaml, /microcloud-preseed.yaml, /FORMAT, /FORMAT/NAME with a FORMAT of {formats}), /recipe/MAC/TOKEN/NAME, /report/MAC and /answer (POST), /deploy/MAC, /healthz",
        formats = Format::labels()
    )]
    Nowhere,
    /// The path is served, but not by this method.
    #[error(
        "{0} is not served here: GET and HEAD, and POST for /report/MAC, /deploy/MAC and /answer only"
    )]
    Method(String),
    /// The configured URL cannot be put into a script.
    #[error("machine_url: {0}")]
    Url(#[from] Unsafe),
    /// A boot script could not be rendered.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The apply script could not be rendered.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The database failed.
    #[error(transparent)]
    Inventory(#[from] crate::inventory::Error),
    /// The inventory refuses a change that follows from a report.
    #[error(transparent)]
    Change(#[from] crate::inventory::ChangeError),
    /// An archive did not come about.
    #[error("the archive could not be packed: {0}")]
    Pack(#[from] io::Error),
    /// The connection's addresses are not known: the router was not served by `run`.
    #[error("the connection has no address")]
    NoPeer,
}

/// Why there is no configuration, a line for each thing to mend.
fn mend(error: &RenderError) -> String {
    let RenderError::Refused { host, findings } = error else { return error.to_string() };
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    format!("{host} has no configuration until this is mended:\n{}", lines.join("\n"))
}

/// Why there is no document for a cluster.
fn mend_member(error: &PreseedError) -> String {
    match error {
        PreseedError::Render(error) => mend(error),
        other => other.to_string(),
    }
}

impl From<InstallReportError> for Error {
    fn from(error: InstallReportError) -> Self {
        match error {
            InstallReportError::Refused(refusal) => Self::Report(refusal),
            InstallReportError::Inventory(error) => Self::Inventory(error),
        }
    }
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidNic(_) | Self::Preseed(PreseedError::InvalidRange(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::Stranger { .. }
            | Self::UnknownCaller(_)
            | Self::NotArmed { .. }
            | Self::OnlyInstalls { .. }
            | Self::NotDeploying { .. }
            | Self::NotTheBoot { .. }
            | Self::NoDeployment(_) => StatusCode::FORBIDDEN,
            Self::InvalidStep(_) => StatusCode::BAD_REQUEST,
            Self::Report(ReportRefusal::InvalidToken) => StatusCode::FORBIDDEN,
            Self::Report(ReportRefusal::Over(_)) => StatusCode::CONFLICT,
            Self::Render(RenderError::Refused { .. } | RenderError::Unsupported { .. })
            | Self::Preseed(_)
            | Self::Recipe(_)
            | Self::NotByScript { .. } => StatusCode::CONFLICT,
            Self::UnknownFormat(_)
            | Self::UnknownHost(_)
            | Self::NoSuchFile { .. }
            | Self::Render(_)
            | Self::LocalDisk
            | Self::Nowhere
            | Self::File(FileError::NotFound(_)) => StatusCode::NOT_FOUND,
            Self::File(FileError::Refused(..)) => StatusCode::FORBIDDEN,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Inventory(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::File(FileError::Io(..))
            | Self::Url(_)
            | Self::Script(_)
            | Self::Inventory(_)
            | Self::Change(_)
            | Self::Pack(_)
            | Self::Apply(_)
            | Self::NoPeer => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let text = match &self {
            // What the database says is for the log, not for the network.
            Self::Inventory(error) => {
                tracing::error!(%error, "a machine's request failed");
                "the inventory does not answer; try again\n".to_owned()
            }
            other => {
                if status.is_server_error() {
                    tracing::error!(error = %other, "a machine's request failed");
                }
                format!("{other}\n")
            }
        };
        (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
    }
}
