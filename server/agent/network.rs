//! The host's network in the format that the installed system reads, and nothing of any other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::system::System;
use super::{About, DeployError};
use crate::deploy::PlanFile;
use crate::deploy::network_format::{NetworkManagers, Presence};
use crate::model::NetworkFormat;

/// Units that start a network manager, and what waits for it.
const NETWORKD: [&str; 3] =
    ["systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service"];
const NETWORK_MANAGER: [&str; 3] = [
    "NetworkManager.service",
    "NetworkManager-dispatcher.service",
    "NetworkManager-wait-online.service",
];
const IFUPDOWN: &str = "networking.service";
/// Managers that nothing is written for.
const OTHERS: [&str; 4] =
    ["dhcpcd.service", "connman.service", "wicked.service", "ifplugd.service"];
/// Where a manager's configuration of an image is, and how its files end; none for all of them.
const CONFIGURATION: [(&str, &[&str]); 5] = [
    ("/etc/netplan", &["yaml"]),
    ("/etc/systemd/network", &["network", "netdev"]),
    ("/etc/NetworkManager/system-connections", &[]),
    ("/etc/network/interfaces.d", &[]),
    ("/etc/sysconfig/network-scripts", &[]),
];
/// The loopback of RHEL's scripts, which every system has.
const LOOPBACK: &str = "ifcfg-lo";
/// interfaces(5) that bring up nothing else.
const ONLY_LOOPBACK: &str = "auto lo\niface lo inet loopback\n";
const CLOUD_NETWORK_OFF: &str = "network: {config: disabled}\n";
/// On one line: systemd's generator of cloud-init reads no other, and looks for a cloud for two
/// minutes.
const CLOUD_SOURCE: &str = "datasource_list: [ NoCloud, None ]\n";

impl System<'_> {
    /// Which network managers the image has.
    pub(super) fn network_managers(&self) -> NetworkManagers {
        let presence = |is_there: bool, is_enabled: bool| match (is_there, is_enabled) {
            (false, _) => Presence::Absent,
            (true, false) => Presence::Installed,
            (true, true) => Presence::Enabled,
        };
        let of_unit = |unit: &str| presence(self.unit(unit).is_some(), self.is_enabled(unit));
        let has_any = |paths: &[&str]| paths.iter().any(|path| self.has(path));
        NetworkManagers {
            netplan: presence(has_any(&["/usr/sbin/netplan", "/usr/lib/netplan/generate"]), true),
            networkd: of_unit(NETWORKD[0]),
            network_manager: of_unit(NETWORK_MANAGER[0]),
            // The same unit starts ifupdown, which has no words for what hosts need.
            ifupdown2: match has_any(&["/usr/sbin/ifreload", "/usr/share/ifupdown2"]) {
                true => of_unit(IFUPDOWN),
                false => Presence::Absent,
            },
            cloud_init: presence(has_any(&["/usr/bin/cloud-init"]), true),
        }
    }

    /// Gives the system this network, and takes away what it and other managers had.
    pub(super) fn set_network(
        &self,
        format: NetworkFormat,
        files: &[PlanFile],
    ) -> Result<(), DeployError> {
        for (directory, endings) in CONFIGURATION {
            self.remove_files(directory, endings)?;
        }
        if format != NetworkFormat::Ifupdown2 && self.has("/etc/network/interfaces") {
            self.write("/etc/network/interfaces", 0o644, ONLY_LOOPBACK)?;
        }
        self.set_cloud_init(format)?;
        for PlanFile { path, mode, text } in files {
            self.write(path, *mode, text)?;
        }
        use NetworkFormat as F;
        let networkd = (&NETWORKD[..], matches!(format, F::Networkd | F::Netplan));
        let network_manager = (&NETWORK_MANAGER[..], format == F::NetworkManager);
        // What reads the files of cloud-init is for cloud-init to say.
        let units = if format == F::CloudInit { &[][..] } else { &[networkd, network_manager] };
        for (units, is_used) in units {
            match is_used {
                true => self.enable(units[0])?,
                false => units.iter().try_for_each(|unit| self.mask(unit))?,
            }
        }
        if format == F::Ifupdown2 {
            self.enable(IFUPDOWN)?;
        }
        OTHERS.iter().try_for_each(|unit| self.mask(unit))
    }

    /// Has cloud-init configure the network, or leave it alone.
    fn set_cloud_init(&self, format: NetworkFormat) -> Result<(), DeployError> {
        const OFF: &str = "/etc/cloud/cloud.cfg.d/99-rackstrap-network.cfg";
        if !self.has("/etc/cloud") {
            return Ok(());
        }
        if format != NetworkFormat::CloudInit {
            return self.write(OFF, 0o644, CLOUD_NETWORK_OFF);
        }
        let switches = self.inside("/etc/cloud/cloud.cfg.d");
        for file in files_in(&switches) {
            // Whatever its name, as of Subiquity and of Debian's images.
            let text = fs::read_to_string(&file).unwrap_or_default();
            let words: String = text.split_whitespace().collect();
            if words.contains("network:{config:disabled}") || words == "network:config:disabled" {
                fs::remove_file(&file).about(file.display())?;
            }
        }
        let _ = fs::remove_file(self.inside("/etc/cloud/cloud-init.disabled"));
        // What it remembers of another instance.
        for name in ["instance", "instances", "data", "sem", "seed"] {
            let place = self.inside("/var/lib/cloud").join(name);
            let removed = match place.symlink_metadata() {
                Err(_) => Ok(()),
                Ok(found) if found.is_dir() => fs::remove_dir_all(&place),
                Ok(_) => fs::remove_file(&place),
            };
            removed.about(place.display())?;
        }
        self.write("/etc/cloud/cloud.cfg.d/99-rackstrap-source.cfg", 0o644, CLOUD_SOURCE)
    }

    /// Removes the files of a directory that end so; all of them where no ending is given.
    fn remove_files(&self, directory: &str, endings: &[&str]) -> Result<(), DeployError> {
        for file in files_in(&self.inside(directory)) {
            let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let is_loopback = file.file_name().is_some_and(|name| name == LOOPBACK);
            if !is_loopback && (endings.is_empty() || endings.contains(&ending)) {
                fs::remove_file(&file).about(file.display())?;
            }
        }
        Ok(())
    }

    /// Whether something starts a unit at every boot.
    fn is_enabled(&self, unit: &str) -> bool {
        ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"].iter().any(
            |place| {
                let entries = fs::read_dir(self.inside(place)).into_iter().flatten();
                entries.filter_map(Result::ok).map(|entry| entry.path()).any(|path| {
                    let ending = path.extension().and_then(|ending| ending.to_str());
                    matches!(ending, Some("wants" | "requires")) && path.join(unit).is_symlink()
                })
            },
        )
    }

    /// Keeps a unit of the image from ever being started (systemctl(1), mask).
    fn mask(&self, unit: &str) -> Result<(), DeployError> {
        if self.unit(unit).is_none() {
            return Ok(());
        }
        let directory = self.inside("/etc/systemd/system");
        fs::create_dir_all(&directory).about(directory.display())?;
        let place = directory.join(unit);
        let _ = fs::remove_file(&place);
        symlink("/dev/null", &place).about(place.display())
    }
}

/// The files and links in a directory, by name; none if there is no such directory.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_symlink() || path.is_file())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use NetworkFormat as F;

    const NETWORKD_UNITS: &[&str] = &[
        "usr/lib/systemd/system/systemd-networkd.service",
        "usr/lib/systemd/system/systemd-networkd.socket",
        "usr/lib/systemd/system/systemd-networkd-wait-online.service",
    ];
    const NM_UNITS: &[&str] = &[
        "usr/lib/systemd/system/NetworkManager.service",
        "usr/lib/systemd/system/NetworkManager-wait-online.service",
    ];

    /// An image: its files, and the units that start.
    struct Image {
        name: &'static str,
        files: Vec<&'static str>,
        starts: &'static [&'static str],
        format: NetworkFormat,
        /// What it has afterwards besides what was written: configuration, and masked units.
        left: &'static [&'static str],
    }

    fn images() -> Vec<Image> {
        let all = |parts: &[&[&'static str]]| parts.concat();
        vec![
            Image {
                name: "Debian with networkd",
                files: all(&[
                    NETWORKD_UNITS,
                    &["etc/systemd/network/10-dhcp.network", "etc/systemd/network/10-name.link"],
                ]),
                starts: &["systemd-networkd.service"],
                format: F::Networkd,
                left: &["etc/systemd/network/10-name.link"],
            },
            Image {
                name: "Debian with ifupdown",
                files: all(&[
                    NETWORKD_UNITS,
                    &[
                        "usr/lib/systemd/system/networking.service",
                        "usr/sbin/ifup",
                        "etc/network/interfaces",
                        "etc/network/interfaces.d/eth0",
                    ],
                ]),
                starts: &["networking.service"],
                format: F::Networkd,
                left: &["etc/network/interfaces"],
            },
            Image {
                name: "Ubuntu server",
                files: all(&[
                    NETWORKD_UNITS,
                    &[
                        "usr/sbin/netplan",
                        "usr/bin/cloud-init",
                        "etc/cloud/cloud.cfg",
                        "etc/netplan/50-cloud-init.yaml",
                        "etc/netplan/notes.txt",
                    ],
                ]),
                starts: &["systemd-networkd.service"],
                format: F::Netplan,
                left: &[
                    "etc/cloud/cloud.cfg",
                    "etc/cloud/cloud.cfg.d/99-rackstrap-network.cfg",
                    "etc/netplan/notes.txt",
                ],
            },
            Image {
                name: "RHEL",
                files: all(&[
                    NM_UNITS,
                    &[
                        "usr/bin/cloud-init",
                        "etc/cloud/cloud.cfg",
                        "etc/NetworkManager/system-connections/old.nmconnection",
                        "etc/sysconfig/network-scripts/ifcfg-eth0",
                        "etc/sysconfig/network-scripts/ifcfg-lo",
                    ],
                ]),
                starts: &["NetworkManager.service"],
                format: F::NetworkManager,
                left: &[
                    "etc/cloud/cloud.cfg",
                    "etc/cloud/cloud.cfg.d/99-rackstrap-network.cfg",
                    "etc/sysconfig/network-scripts/ifcfg-lo",
                ],
            },
            Image {
                name: "Fedora with both",
                files: all(&[NM_UNITS, NETWORKD_UNITS]),
                starts: &["NetworkManager.service"],
                format: F::NetworkManager,
                left: &[
                    "etc/systemd/system/systemd-networkd-wait-online.service -> /dev/null",
                    "etc/systemd/system/systemd-networkd.service -> /dev/null",
                    "etc/systemd/system/systemd-networkd.socket -> /dev/null",
                ],
            },
            Image {
                name: "a desktop with netplan",
                files: all(&[
                    NM_UNITS,
                    NETWORKD_UNITS,
                    &["usr/lib/netplan/generate", "etc/netplan/01-network-manager-all.yaml"],
                ]),
                starts: &["NetworkManager.service"],
                format: F::Netplan,
                left: &[
                    "etc/systemd/system/NetworkManager-wait-online.service -> /dev/null",
                    "etc/systemd/system/NetworkManager.service -> /dev/null",
                ],
            },
            Image {
                name: "Proxmox",
                files: all(&[
                    NETWORKD_UNITS,
                    &[
                        "usr/lib/systemd/system/networking.service",
                        "usr/share/ifupdown2/__main__.py",
                        "etc/network/interfaces",
                        "etc/network/interfaces.d/sdn",
                    ],
                ]),
                starts: &["networking.service"],
                format: F::Ifupdown2,
                left: &[
                    "etc/network/interfaces",
                    "etc/systemd/system/systemd-networkd-wait-online.service -> /dev/null",
                    "etc/systemd/system/systemd-networkd.service -> /dev/null",
                    "etc/systemd/system/systemd-networkd.socket -> /dev/null",
                ],
            },
            Image {
                name: "cloud-init alone",
                files: all(&[&[
                    "usr/bin/cloud-init",
                    "etc/cloud/cloud.cfg",
                    "etc/cloud/cloud.cfg.d/99-disable-network-config.cfg",
                    "etc/cloud/cloud-init.disabled",
                    "var/lib/cloud/instances/old/user-data.txt",
                    "var/lib/cloud/seed/nocloud/meta-data",
                ]]),
                starts: &[],
                format: F::CloudInit,
                left: &["etc/cloud/cloud.cfg", "etc/cloud/cloud.cfg.d/99-rackstrap-source.cfg"],
            },
        ]
    }

    fn make(root: &Path, image: &Image) {
        for file in &image.files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = match file.ends_with("99-disable-network-config.cfg") {
                true => "network:\n  config: disabled\n",
                false => "of the image\n",
            };
            fs::write(path, text).unwrap();
        }
        let wants = root.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        for unit in image.starts {
            symlink(format!("/usr/lib/systemd/system/{unit}"), wants.join(unit)).unwrap();
        }
    }

    /// Every file below `etc` and `var`, and what links lead to, without what starts units.
    fn found(root: &Path, below: &str, into: &mut Vec<String>) {
        let entries = fs::read_dir(root.join(below)).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if let Ok(target) = fs::read_link(&path) {
                into.push(format!("{name} -> {}", target.display()));
            } else if path.is_dir() {
                if !name.ends_with(".wants") {
                    found(root, &name, into);
                }
            } else {
                into.push(name);
            }
        }
    }

    #[test]
    fn an_image_gets_its_network_where_it_reads_it_and_loses_all_others() {
        for image in images() {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path();
            make(root, &image);
            let system = System::new(root);
            assert_eq!(system.network_managers().format(), Ok(image.format), "{}", image.name);
            let own = match image.format {
                F::Networkd => ("/etc/systemd/network/05-bond0.netdev", 0o644),
                F::Netplan => ("/etc/netplan/90-rackstrap.yaml", 0o600),
                F::NetworkManager => ("/etc/NetworkManager/system-connections/bond0", 0o600),
                F::Ifupdown2 => ("/etc/network/interfaces", 0o644),
                F::CloudInit => ("/var/lib/cloud/seed/nocloud/network-config", 0o600),
            };
            let text = "of the host\n".to_owned();
            let file = PlanFile { path: own.0.into(), mode: own.1, text: text.clone() };
            // Twice: an installation that is repeated changes nothing.
            for _ in 0..2 {
                system.set_network(image.format, std::slice::from_ref(&file)).unwrap();
            }
            let written = root.join(&own.0[1..]);
            assert_eq!(fs::read_to_string(&written).unwrap(), text, "{}", image.name);
            let mode = fs::metadata(&written).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, own.1, "{}", image.name);
            let mut left = Vec::new();
            found(root, "etc", &mut left);
            found(root, "var", &mut left);
            let expected: Vec<&str> = image.left.to_vec();
            left.retain(|name| *name != own.0[1..] || expected.contains(&name.as_str()));
            assert_eq!(left, expected, "{}", image.name);
            let starts = |unit: &str| system.is_enabled(unit);
            let expected: BTreeMap<&str, bool> = BTreeMap::from([
                ("systemd-networkd.service", matches!(image.format, F::Networkd | F::Netplan)),
                ("NetworkManager.service", image.format == F::NetworkManager),
            ]);
            for (unit, is_started) in expected {
                let masked = root.join("etc/systemd/system").join(unit).is_symlink();
                assert_eq!(starts(unit) && !masked, is_started, "{}: {unit}", image.name);
            }
        }
    }

    #[test]
    fn interfaces_of_another_manager_bring_up_the_loopback_alone() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let file = root.join("etc/network/interfaces");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "auto eth0\niface eth0 inet dhcp\n").unwrap();
        System::new(root).set_network(F::Networkd, &[]).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), ONLY_LOOPBACK);
    }
}
