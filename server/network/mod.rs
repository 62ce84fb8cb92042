//! The domain core: profile and host become links, checks and files. Pure.
//!
//! [`layout`] lowers a host's profile to typed links ([`HostNetwork`]), which
//! never fails; [`check_site`] and [`check_host`] say what is wrong with them,
//! each finding at its place in the site file; [`render_host`] writes them as
//! one of the [`Format`]s, and refuses a host that has an error.
//! [`allocate`] chooses addresses for hosts that have none.

mod ability;
mod allocate;
mod applied;
mod auth;
mod bgp;
mod bond;
mod by_hand;
mod check;
mod cloud_init;
mod consequences;
mod difference;
mod domain;
mod dracut;
mod extra;
mod fabric;
mod format;
mod frr;
mod ifupdown2;
mod ignition;
mod ip_rule;
mod keys;
mod links;
mod losses;
mod lower;
mod macsec;
mod microcloud;
mod modules;
mod netplan;
mod network_data;
mod network_manager;
mod networkd;
mod nixos;
mod nmstate;
mod own_values;
mod resolvers;
mod source_nat;
mod switch_changes;
mod talos;
#[cfg(test)]
mod tests;
mod unit;
mod units;
mod wireguard;
mod word;
mod yaml;

use crate::profile::ResolvedSite;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use crate::tree::nearest;
pub use ability::{Ability, Reader, abilities};
pub use allocate::{Assignment, allocate};
pub use applied::{ConfigState, Fingerprint, FingerprintError, take_fingerprint};
pub use auth::PortAuth;
pub use bgp::{Bgp, Evpn, Neighbor, Peer, RoutedVni};
pub(crate) use bond::{BondWords, bond_parameter};
pub(crate) use by_hand::commands;
pub use check::{
    BootFiles, Edit, Finding, Fix, RULES, RecipeCheck, Rule, Severity, Surroundings, check_host,
    check_host_within, check_site, check_site_within, check_switch,
};
pub use consequences::{Consequences, Group, consequences, host_consequences};
pub use difference::{Line, lines};
pub use domain::Domains;
pub use fabric::{Fabric, FabricError, Lag, Lan, Port, fabric, render_switch};
pub use format::{File, Format};
pub(crate) use ignition::data_url;
pub use links::{
    Borne, Computed, HostNetwork, Kind, Layer3, Link, NotComputed, NotComputedCause, Role,
    WrittenAddress,
};
pub use macsec::{Channel as MacsecChannel, Macsec};
pub use microcloud::{
    Cluster, MICROCLOUD_FILE, OvnRange, PreseedError, PreseedWords, microcloud_preseed,
};
pub use own_values::OwnValue;
pub use source_nat::SourceNat;
pub use switch_changes::SwitchChange;
pub use wireguard::{Peer as WireguardPeer, Wireguard};

/// Why a host's files cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The site has no such host.
    #[error("host \"{name}\" does not exist{hint}")]
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
    #[error("{format} cannot express what host \"{host}\" needs: {}{}", features.join(", "), format.better())]
    Unsupported {
        /// The format.
        format: Format,
        /// The host.
        host: String,
        /// What would be lost, each as `LINK: FEATURE`; never empty.
        features: Vec<String>,
    },
    /// There is no such format.
    #[error("format \"{name}\" does not exist; expected one of: {}", Format::labels())]
    UnknownFormat {
        /// The word given.
        name: String,
    },
}

fn refusal(host: &str, findings: &[Finding]) -> String {
    let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
    format!("host \"{host}\" is not served: {}", texts.join("; "))
}

/// The links of a host, for drawings and renderers. A host that is unknown or has no
/// profile has its NICs only; what does not fit together is left out.
pub fn layout(site: &ResolvedSite, host_name: &str) -> HostNetwork {
    let none = crate::model::Host::default();
    let host = site.hosts.get(host_name).unwrap_or(&none);
    lower::lower(site, host_name, host)
}

/// Writes the files of one host. The names are in the order in which they are best read,
/// lowest link first.
///
/// # Errors
/// When there is no such host, when it has no profile, or when a check finds an error.
pub fn render_host(
    site: &ResolvedSite,
    host_name: &str,
    format: Format,
) -> Result<Vec<File>, RenderError> {
    let network = checked(site, host_name)?;
    let unsupported = |features| {
        let host = host_name.to_owned();
        RenderError::Unsupported { format, host, features }
    };
    write(&network, format).map_err(unsupported)
}

/// The links of a host that has a profile and no mistake.
fn checked(site: &ResolvedSite, host_name: &str) -> Result<HostNetwork, RenderError> {
    let Some(host) = site.hosts.get(host_name) else {
        let names = site.hosts.keys().map(String::as_str);
        let hint = nearest::hint(host_name, names);
        return Err(RenderError::UnknownHost { name: host_name.to_owned(), hint });
    };
    if host.profile.is_none() {
        return Err(RenderError::NoProfile { host: host_name.to_owned() });
    }
    let (network, mut findings) = check::lower_and_check(site, host_name, host);
    findings.retain(|finding| finding.severity == Severity::Error);
    if !findings.is_empty() {
        return Err(RenderError::Refused { host: host_name.to_owned(), findings });
    }
    Ok(network)
}

/// Where the files of a host that rackstrap makes itself are kept, `extra` files left out.
fn own_paths(network: &HostNetwork, format: Format) -> BTreeSet<String> {
    let bare = HostNetwork { extra_files: Default::default(), ..network.clone() };
    let mut lost = losses::Losses::default();
    let files = formatted(&bare, format, &mut lost).into_iter();
    files.filter(|file| file.directory.is_some()).map(|file| file.path()).collect()
}

/// What the format of a host's files has no words for, and the links do their work without, each as
/// `LINK: FEATURE`. None where the files are refused.
pub fn left_out(site: &ResolvedSite, host_name: &str, format: Format) -> Vec<String> {
    let written = checked(site, host_name).ok().and_then(|network| written(&network, format).ok());
    written.map(|written| written.left_out).unwrap_or_default()
}

/// The files of a host.
struct Written {
    files: Vec<File>,
    /// What is not in them.
    left_out: Vec<String>,
}

/// The files of a host without a mistake, or what the format cannot say.
fn write(network: &HostNetwork, format: Format) -> Result<Vec<File>, Vec<String>> {
    written(network, format).map(|written| written.files)
}

/// The same with what is left out.
fn written(network: &HostNetwork, format: Format) -> Result<Written, Vec<String>> {
    let mut losses = losses::Losses::default();
    let says_all =
        matches!(format, Format::Networkd | Format::Netplan | Format::Ignition | Format::NixOs);
    // Those that are a part of the host's files by themselves say nothing else.
    if !says_all && !matches!(format, Format::Frr | Format::Sysctl) {
        for nat in &network.source_nat {
            losses.add_if(!nat.cpus.is_empty(), &nat.link, "cpus");
            losses.add_if(!nat.users.is_empty(), &nat.link, "users");
            losses.add_if(!nat.slices.is_empty(), &nat.link, "slices");
        }
    }
    if !matches!(format, Format::Networkd | Format::Ignition | Format::Frr | Format::Sysctl) {
        losses.units(network, format);
    }
    let files = formatted(network, format, &mut losses);
    let files = add_extra(network, format, files, &mut losses);
    losses.into_result().map(|left_out| Written { files, left_out })
}

/// The files of a format, without whole files that are added to them.
fn formatted(network: &HostNetwork, format: Format, losses: &mut losses::Losses) -> Vec<File> {
    match format {
        Format::Networkd => for_networkd(network, losses),
        Format::Netplan => {
            let text = netplan::document(network, netplan::Dialect::Netplan, losses);
            let text = yaml::write(&serde_json::json!({"network": text}));
            let is_private = network.links.values().any(|link| link.auth.is_some());
            let mode = if is_private { 0o600 } else { 0o644 };
            let mut files = vec![File { mode, ..File::of(format, "90-rackstrap.yaml", text) }];
            // What netplan makes of it is networkd's.
            files.extend(networkd::settings(network));
            files.extend(modules::render(network));
            files.extend(beside(network));
            files.extend(source_nat::render(network));
            files.extend(keys::files(network));
            files.extend(auth::key_files(network));
            files
        }
        Format::CloudInit => cloud_init::version2(network, losses),
        Format::CloudInitV1 => cloud_init::version1(network, losses),
        Format::Ignition => {
            let files = for_networkd(network, losses);
            ignition::render(&add_extra(network, Format::Networkd, files, losses))
        }
        Format::NetworkManager => {
            let keys = auth::key_files(network);
            [network_manager::render(network, losses), beside(network), keys].concat()
        }
        Format::Nmstate => [nmstate::render(network, losses), beside(network)].concat(),
        Format::Ifupdown2 => [ifupdown2::render(network, losses), frr::render(network)].concat(),
        Format::NetworkData => network_data::render(network, losses),
        Format::Talos => talos::render(network, losses),
        Format::NixOs => nixos::render(network, losses),
        Format::Dracut => dracut::render(network, losses),
        Format::Frr => frr::render(network),
        Format::Sysctl => sysctl(network),
    }
}

/// Adds the whole files of a host where a format is files that the host keeps.
fn add_extra(
    network: &HostNetwork,
    format: Format,
    mut files: Vec<File>,
    losses: &mut losses::Losses,
) -> Vec<File> {
    extra::losses(network, format, losses);
    // Those are a part of the host's files by themselves, and others have them within.
    if matches!(format, Format::Frr | Format::Sysctl | Format::Ignition | Format::NixOs) {
        return files;
    }
    for file in extra::files(network) {
        let is_made = files.iter().any(|made| made.path() == file.path());
        losses.add_if(
            is_made,
            "profile",
            &format!("extra file {}, which it writes itself", file.path()),
        );
        files.push(file);
    }
    files
}

/// Everything that a host with networkd keeps.
fn for_networkd(network: &HostNetwork, losses: &mut losses::Losses) -> Vec<File> {
    let modules = modules::render(network).into_iter().collect();
    let links = networkd::render(network, losses);
    let keys = keys::files(network);
    [links, modules, beside(network), source_nat::render(network), keys, units::render(network)]
        .concat()
}

/// What a host keeps besides its links, whatever brings them up.
fn beside(network: &HostNetwork) -> Vec<File> {
    [sysctl(network), frr::render(network)].concat()
}

fn sysctl(network: &HostNetwork) -> Vec<File> {
    settings_file(&network.sysctls).into_iter().collect()
}

/// Kernel settings for sysctl.d, if there are any.
fn settings_file(settings: &BTreeMap<String, String>) -> Option<File> {
    let line = |(name, value): (&String, &String)| format!("{name} = {value}\n");
    let text: String = settings.iter().map(line).collect();
    (!text.is_empty()).then(|| File::of(Format::Sysctl, "90-rackstrap.conf", text))
}
