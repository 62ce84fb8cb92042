//! Which network configuration an installed image reads. Pure.

use std::fmt;

use crate::model::NetworkFormat;

/// Whether an image has a network manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Presence {
    #[default]
    Absent,
    /// It is there, and nothing starts it.
    Installed,
    /// It starts at every boot.
    Enabled,
}

/// What the root file system of an image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NetworkManagers {
    /// It generates what networkd or NetworkManager read, before they start.
    pub netplan: Presence,
    pub networkd: Presence,
    pub network_manager: Presence,
    pub ifupdown2: Presence,
    pub cloud_init: Presence,
}

/// Why nothing is written for any network manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownNetwork {
    #[error(
        "the image has none of netplan, systemd-networkd, NetworkManager, ifupdown2 and cloud-init, so nothing would bring up the host's network"
    )]
    Nothing,
    #[error("the image starts {}; set network-format of the image to the one that is to have the host's network", list(.0))]
    Several(Vec<NetworkFormat>),
    /// The renderer of that format refused the host.
    #[error(
        "the image reads {format}, and {refusal}; set network-format of the image if it reads another"
    )]
    Refused { format: NetworkFormat, refusal: String },
    #[error("the server has no files for {0}")]
    NotOffered(NetworkFormat),
}

fn list(formats: &[NetworkFormat]) -> impl fmt::Display {
    let names: Vec<&str> = formats.iter().map(|format| format.label()).collect();
    names.join(" and ")
}

impl NetworkManagers {
    /// The format that the image reads: netplan's where netplan is, else that of the one manager
    /// which starts; of several that do not start the one that can express most.
    pub(crate) fn format(&self) -> Result<NetworkFormat, UnknownNetwork> {
        use NetworkFormat as F;
        if self.netplan != Presence::Absent {
            return Ok(F::Netplan);
        }
        let managers = [
            (F::Networkd, self.networkd),
            (F::NetworkManager, self.network_manager),
            (F::Ifupdown2, self.ifupdown2),
        ];
        let that = |wanted: Presence| {
            let found = managers.iter().filter(|(_, presence)| *presence == wanted);
            found.map(|(format, _)| *format).collect::<Vec<F>>()
        };
        match that(Presence::Enabled)[..] {
            [] => {}
            [one] => return Ok(one),
            ref several => return Err(UnknownNetwork::Several(several.to_vec())),
        }
        let installed = that(Presence::Installed).first().copied();
        let cloud_init = (self.cloud_init != Presence::Absent).then_some(F::CloudInit);
        installed.or(cloud_init).ok_or(UnknownNetwork::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NetworkFormat as F;
    use Presence::{Absent as A, Enabled as E, Installed as I};

    #[test]
    fn an_image_reads_what_starts_in_it() {
        // netplan, networkd, NetworkManager, ifupdown2, cloud-init.
        let cases = [
            ("Debian, as built here", [A, E, A, A, A], Ok(F::Networkd)),
            ("Debian of the installer", [A, I, A, A, A], Ok(F::Networkd)),
            ("Debian of the cloud", [I, E, A, A, E], Ok(F::Netplan)),
            ("Ubuntu of the desktop", [I, I, E, A, A], Ok(F::Netplan)),
            ("RHEL", [A, A, E, A, E], Ok(F::NetworkManager)),
            ("Fedora with both", [A, I, E, A, E], Ok(F::NetworkManager)),
            ("Proxmox", [A, I, A, E, A], Ok(F::Ifupdown2)),
            ("nothing starts", [A, A, I, I, E], Ok(F::NetworkManager)),
            ("cloud-init alone", [A, A, A, A, E], Ok(F::CloudInit)),
            ("nothing", [A; 5], Err("has none of netplan")),
            ("two", [A, E, E, A, E], Err("the image starts networkd and networkmanager; set")),
        ];
        for (name, [netplan, networkd, network_manager, ifupdown2, cloud_init], expected) in cases {
            let found =
                NetworkManagers { netplan, networkd, network_manager, ifupdown2, cloud_init };
            match (found.format(), expected) {
                (Ok(format), Ok(expected)) => assert_eq!(format, expected, "{name}"),
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{name}: {error}");
                }
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }
}
