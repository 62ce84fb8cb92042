//! The domain core: profile and host become links, checks and files. Pure.
//!
//! [`layout`] lowers a host's profile to typed links ([`HostNetwork`]), which
//! never fails; [`check_site`] and [`check_host`] say what is wrong with them,
//! each finding at its place in the site file; [`render_host`] writes them as
//! one of the [`Format`]s, and refuses a host that has an error.
//! [`allocate`] chooses addresses for hosts that have none.

mod allocate;
mod check;
mod cloud_init;
mod ignition;
mod links;
mod losses;
mod lower;
pub(crate) mod nearest;
mod netplan;
mod networkd;
mod yaml;

use std::fmt;
use std::str::FromStr;

pub use allocate::{Assignment, allocate};
pub use check::{Finding, Severity, check_host, check_site};
pub use links::{HostNetwork, Kind, Layer3, Link, Role};

use crate::model::Site;

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name without a directory, such as `05-bond0.netdev`.
    pub name: String,
    /// Where a host keeps it; none for one that it fetches and does not keep.
    pub directory: Option<&'static str>,
    /// All of its text.
    pub text: String,
}

impl File {
    /// A file of a format, in the directory of that format.
    fn of(format: Format, name: impl Into<String>, text: String) -> Self {
        Self { name: name.into(), directory: format.directory(), text }
    }

    /// Where a host keeps it, such as `/etc/sysctl.d/90-rackstrap.conf`; the name alone if
    /// it does not.
    pub fn path(&self) -> String {
        match self.directory {
            Some(directory) => format!("{directory}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// What the files are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// systemd-networkd's `.network` and `.netdev` files, and behind them what
    /// [`Sysctl`](Self::Sysctl) gives: without it some of them do not work.
    Networkd,
    /// netplan's YAML.
    Netplan,
    /// A NoCloud tree for cloud-init, with network configuration version 2.
    CloudInit,
    /// A NoCloud tree for cloud-init, with network configuration version 1.
    CloudInitV1,
    /// An Ignition configuration that writes the files of [`Networkd`](Self::Networkd).
    Ignition,
    /// Kernel settings for sysctl.d: what a network needs besides its links. No file for a
    /// host that needs none.
    Sysctl,
}

/// Why a host's files cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The site has no such host.
    #[error("there is no host \"{name}\"{hint}")]
    UnknownHost {
        /// The name asked for.
        name: String,
        /// The nearest name there is, as a sentence's end.
        hint: String,
    },
    /// The host has no profile to render.
    #[error("host \"{host}\" has no profile, so it has no network configuration")]
    NoProfile {
        /// The host.
        host: String,
    },
    /// The checks found errors.
    #[error("{}", refusal(host, findings))]
    Refused {
        /// The host.
        host: String,
        /// What is wrong, errors only; never empty.
        findings: Vec<Finding>,
    },
    /// The format has no words for something that the host's profile uses.
    #[error("{format} cannot say what host \"{host}\" needs: {}{}", features.join(", "), format.better())]
    Unsupported {
        /// The format.
        format: Format,
        /// The host.
        host: String,
        /// What would be lost, each as `LINK: FEATURE`; never empty.
        features: Vec<String>,
    },
    /// There is no such format.
    #[error("there is no format \"{name}\"; there are: {}", Format::labels())]
    UnknownFormat {
        /// The word given.
        name: String,
    },
}

fn refusal(host: &str, findings: &[Finding]) -> String {
    let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
    format!("host \"{host}\" is not served: {}", texts.join("; "))
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[
        Self::Networkd,
        Self::Netplan,
        Self::CloudInit,
        Self::CloudInitV1,
        Self::Ignition,
        Self::Sysctl,
    ];

    /// The word for it on the command line and in URLs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Networkd => "networkd",
            Self::Netplan => "netplan",
            Self::CloudInit => "cloud-init",
            Self::CloudInitV1 => "cloud-init-v1",
            Self::Ignition => "ignition",
            Self::Sysctl => "sysctl",
        }
    }

    /// Where a host keeps the files; none for those that it fetches and does not keep.
    pub fn directory(self) -> Option<&'static str> {
        match self {
            Self::Networkd => Some("/etc/systemd/network"),
            Self::Netplan => Some("/etc/netplan"),
            Self::Sysctl => Some("/etc/sysctl.d"),
            Self::CloudInit | Self::CloudInitV1 | Self::Ignition => None,
        }
    }

    /// The format to take instead of one that cannot say something, as a sentence's end.
    fn better(self) -> &'static str {
        match self {
            Self::Networkd | Self::Ignition => "",
            _ => "; networkd can",
        }
    }

    fn labels() -> String {
        let labels: Vec<&str> = Self::ALL.iter().map(|format| format.label()).collect();
        labels.join(", ")
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl FromStr for Format {
    type Err = RenderError;

    fn from_str(text: &str) -> Result<Self, RenderError> {
        let found = Self::ALL.iter().copied().find(|format| format.label() == text);
        found.ok_or_else(|| RenderError::UnknownFormat { name: text.to_owned() })
    }
}

/// The links of a host, for drawings and renderers. A host that is unknown or has no
/// profile has its NICs only; what does not fit together is left out.
pub fn layout(site: &Site, host_name: &str) -> HostNetwork {
    let none = crate::model::Host::default();
    let host = site.hosts.get(host_name).unwrap_or(&none);
    lower::lower(site, host_name, host)
}

/// Writes the files of one host. The names are in the order in which they are best read,
/// lowest link first.
///
/// # Errors
/// When there is no such host, when it has no profile, or when a check finds an error.
pub fn render_host(site: &Site, host_name: &str, format: Format) -> Result<Vec<File>, RenderError> {
    let Some(host) = site.hosts.get(host_name) else {
        let names = site.hosts.keys().map(String::as_str);
        let hint = nearest::hint(host_name, names);
        return Err(RenderError::UnknownHost { name: host_name.to_owned(), hint });
    };
    if host.profile.is_none() {
        return Err(RenderError::NoProfile { host: host_name.to_owned() });
    }
    let mut findings = check_host(site, host_name);
    findings.retain(|finding| finding.severity == Severity::Error);
    if !findings.is_empty() {
        return Err(RenderError::Refused { host: host_name.to_owned(), findings });
    }
    let network = lower::lower(site, host_name, host);
    let unsupported = |features| {
        let host = host_name.to_owned();
        RenderError::Unsupported { format, host, features }
    };
    write(&network, format).map_err(unsupported)
}

/// The files of a host without a mistake, or what the format cannot say.
fn write(network: &HostNetwork, format: Format) -> Result<Vec<File>, Vec<String>> {
    let mut losses = losses::Losses::default();
    let files = match format {
        Format::Networkd => for_networkd(network, &mut losses),
        Format::Netplan => {
            let text = netplan::document(network, netplan::Dialect::Netplan, &mut losses);
            let text = yaml::write(&serde_json::json!({"network": text}));
            vec![File::of(format, "90-rackstrap.yaml", text)]
        }
        Format::CloudInit => cloud_init::version2(network, &mut losses),
        Format::CloudInitV1 => cloud_init::version1(network, &mut losses),
        Format::Ignition => ignition::render(&for_networkd(network, &mut losses)),
        Format::Sysctl => sysctl(network),
    };
    losses.into_result().map(|()| files)
}

/// Everything that a host with networkd keeps.
fn for_networkd(network: &HostNetwork, losses: &mut losses::Losses) -> Vec<File> {
    [networkd::render(network, losses), sysctl(network)].concat()
}

fn sysctl(network: &HostNetwork) -> Vec<File> {
    let line = |(name, value): (&String, &String)| format!("{name} = {value}\n");
    let text: String = network.sysctls.iter().map(line).collect();
    if text.is_empty() {
        return Vec::new();
    }
    vec![File::of(Format::Sysctl, "90-rackstrap.conf", text)]
}
