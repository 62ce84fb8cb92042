//! NICs that are let in by IEEE 802.1X: what of it follows for one host. Pure.

use super::links::HostNetwork;
use super::{File, Format, units};
use crate::model::{AuthSpec, SecretText};

/// How a host's NIC is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortAuth {
    /// What the profile says of it.
    pub spec: AuthSpec,
    /// The password of the method.
    pub password: Option<SecretText>,
    /// The key of the certificate, in PEM, if it is a secret.
    pub client_key: Option<SecretText>,
    /// The password of that key.
    pub client_key_password: Option<SecretText>,
}

impl PortAuth {
    /// The host's file with the key of its certificate.
    pub(super) fn key_path(&self, link: &str) -> Option<String> {
        let written =
            self.client_key.as_ref().map(|_| format!("{}/{}", units::DIRECTORY, key_name(link)));
        written.or_else(|| self.spec.client_key.as_ref().map(ToString::to_string))
    }
}

fn key_name(link: &str) -> String {
    format!("rackstrap-auth-{link}.pem")
}

/// The files of keys that are secrets, for root alone, whatever reads them.
pub(super) fn key_files(host: &HostNetwork) -> Vec<File> {
    let keys = host.links.values().filter_map(|link| {
        let key = link.auth.as_ref()?.client_key.as_ref()?;
        Some(File {
            directory: Some(units::DIRECTORY.into()),
            mode: 0o600,
            ..File::of(Format::Networkd, key_name(&link.name), format!("{key}\n"))
        })
    });
    keys.collect()
}
