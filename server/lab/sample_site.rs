//! The sample site of the lab: one rack of equal hosts. Pure.

use std::fmt::Write;

use clap::ValueEnum;

use super::rack::{InstallFiles, RackPlan};
use super::scenario::Scenario;
use crate::live::GuestImage;
use crate::model::NetworkFormat;

/// The VLAN of the hosts' network, if the layout has one.
pub(crate) const VLAN: u16 = 500;
/// The hosts' default gateway: the switch.
pub(crate) const GATEWAY: &str = "172.16.160.254";

/// Network of the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// An LACP bond, a VLAN on it, a bridge on that, the address on the bridge
    BondVlanBridge,
    /// An LACP bond, a VLAN on it, the address on the VLAN
    BondVlan,
    /// An LACP bond with the address on it
    Bond,
}

/// How the hosts get their network configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Delivery {
    /// As an additional initrd
    Initrd,
    /// With curl, by its MAC address
    Fetch,
}

impl Delivery {
    /// The sample site's image.
    fn image(self) -> String {
        let (kernel, initrd) = (GuestImage::KERNEL, GuestImage::INITRD);
        match self {
            Self::Initrd => {
                format!("{{kernel: {kernel}, initrd: [{initrd}], cmdline: \"{CMDLINE}\"}}")
            }
            Self::Fetch => format!("{{script: {}}}", GuestImage::FETCH_SCRIPT),
        }
    }
}

impl Layout {
    /// Name on the command line.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Bond => "bond",
            Self::BondVlan => "bond-vlan",
            Self::BondVlanBridge => "bond-vlan-bridge",
        }
    }

    /// The link with the address: the topmost one.
    pub(crate) fn top(self) -> &'static str {
        match self {
            Self::Bond => "bond0",
            Self::BondVlan => "vlan500",
            Self::BondVlanBridge => "virbr0",
        }
    }

    /// The profile's links.
    fn links(self) -> String {
        let bond = |subnet: &str| {
            format!(
                "    bonds: {{bond0: {{nics: [eth0, eth1], mode: 802.3ad, lacp-rate: fast, \
                 transmit-hash-policy: layer3+4, mii-monitor: 100ms, up-delay: 200ms, \
                 down-delay: 200ms{subnet}}}}}\n"
            )
        };
        let vlan = "    vlans: {vlan500: {link: bond0, subnet: internal}}\n";
        let bridge = "    bridges: {virbr0: {interfaces: [vlan500], subnet: internal}}\n";
        match self {
            Self::Bond => bond(", subnet: internal"),
            Self::BondVlan => bond("") + vlan,
            Self::BondVlanBridge => bond("") + vlan + bridge,
        }
    }
}

/// Who may log in to installed hosts: a key whose other half nobody has, and the hash of
/// `rackstrap`.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIATvr1QJEModcaFsSYTdM6Z8BiMbqhqZKzaFPfp1AhlF lab@rackstrap";
const PASSWORD: &str = "$6$rackstraplab$k7S5a.Rf..mFz2I84FTh6pd4jbaDY0aUPpY9zf6tQwweGy9.W0OhOh3aT3UnHHuI6.6MfqWwkiK6dlXKEw4sY1";

/// The name of a host, counted from 1.
pub(crate) fn host_name(host: usize) -> String {
    format!("r1-n{host:02}")
}

/// The MAC of a host's port.
pub(crate) fn host_mac(host: usize, port: usize) -> String {
    format!("52:54:00:aa:{host:02x}:{port:02x}")
}

/// The address of a host's topmost link.
pub(crate) fn host_address(host: usize) -> String {
    format!("172.16.160.{}", host + 11)
}

/// The site file.
pub(super) fn site(plan: &RackPlan) -> String {
    let (layout, hosts) = (plan.layout, plan.hosts);
    let vlan = if layout == Layout::Bond { String::new() } else { format!("    vlan: {VLAN}\n") };
    let mut text = format!(
        "subnets:\n\
        \x20 provisioning:\n\
        \x20   cidr: 10.77.0.0/24\n\
        \x20   ranges:\n\
        \x20     - {{from: 10.77.0.10, to: 10.77.0.99, for: hosts}}\n\
        \x20     - {{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}}\n\
        \x20 internal:\n\
        \x20   cidr: 172.16.160.0/24\n\
         {vlan}\
        \x20   gateway: {GATEWAY}\n\
        \x20   mtu: 9000\n\
        \x20   ranges: [{{from: 172.16.160.10, to: 172.16.160.99, for: hosts}}]\n\
         racks:\n\
        \x20 r1: {{}}\n\
         profiles:\n\
        \x20 {layout}:\n\
        \x20   defaults: safe\n\
         {nics}{links}\
         images:\n\
        \x20 live: {image}\n\
         hosts:\n",
        layout = layout.label(),
        nics = match &plan.install {
            // It finds NICs by their names alone, which a .link file gives them.
            Some(InstallFiles { format: NetworkFormat::Ifupdown2, .. }) => {
                "    nics: {eth0: {set-name: lan0}, eth1: {set-name: lan1}}\n"
            }
            _ => "",
        },
        links = layout.links(),
        image = match &plan.install {
            Some(files) => images(files, plan.scenario),
            None => plan.delivery.image(),
        },
    );
    if plan.install.is_some() {
        text.insert_str(
            0,
            &format!("network: {{ssh-authorized-keys: [{KEY}], root-password-hash: {PASSWORD}}}\n"),
        );
    }
    for host in 1..=hosts {
        text.push_str(&row(layout, host, if plan.install.is_some() { "debian" } else { "live" }));
        text.push_str(match plan.scenario {
            Some(Scenario::Raid1) => "    disk: {raid: raid1}\n",
            Some(Scenario::ServerHardware) => "    disk: {type: nvme}\n",
            _ => "",
        });
    }
    text
}

/// Self-tests of ciphers that no guest uses would cost half a second.
const CMDLINE: &str = "console=ttyS0 quiet cryptomgr.notests";

/// The live system that writes the disk image, and the disk image.
fn images(files: &InstallFiles, scenario: Option<Scenario>) -> String {
    let (kernel, initrd, deploy) = (GuestImage::KERNEL, GuestImage::INITRD, GuestImage::DEPLOY);
    let InstallFiles { agent, disk, format, .. } = files;
    // An image that was built for cloud-init has netplan, too.
    let format = match format {
        NetworkFormat::CloudInit => ", network-format: cloud-init",
        _ => "",
    };
    let sha256 = match scenario {
        Some(Scenario::WrongDigest) => "5".repeat(64),
        _ => disk.sha256.clone(),
    };
    format!(
        "{{kernel: {kernel}, initrd: [{initrd}, {deploy}, {agent}], cmdline: \"{CMDLINE}\"}}\n\
         \x20 debian: {{disk: {}, sha256: \"{}\"{format}}}",
        disk.path, sha256
    )
}

fn row(layout: Layout, host: usize, image: &str) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "\x20 {name}:\n\
        \x20   rack: r1\n\
        \x20   unit: {host}\n\
        \x20   profile: {layout}\n\
        \x20   image: {image}\n\
        \x20   nics: {{eth0: \"{first}\", eth1: \"{second}\"}}\n\
        \x20   addresses: {{{top}: {address}}}\n\
        \x20   reservations: {{provisioning: 10.77.0.{number}}}\n",
        name = host_name(host),
        layout = layout.label(),
        first = host_mac(host, 0),
        second = host_mac(host, 1),
        top = layout.top(),
        address = host_address(host),
        number = host + 11,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::guest::{Accelerator, Firmware};
    use super::*;
    use crate::live::disk_image::DiskImage;
    use crate::model::Site;

    #[test]
    fn the_site_of_every_layout_is_a_site_file() {
        let disk = DiskImage {
            path: "images/debian.raw.zst".into(),
            bytes: 1,
            unpacked_bytes: 1,
            sha256: "5".repeat(64),
        };
        let format = NetworkFormat::CloudInit;
        let agent = "live/agent.img".into();
        let install = InstallFiles { agent, disk, is_own: false, format };
        for layout in Layout::value_variants() {
            for delivery in Delivery::value_variants() {
                for install in [None, Some(install.clone())] {
                    let plan = RackPlan {
                        firmware: Firmware::Uefi,
                        layout: *layout,
                        delivery: *delivery,
                        hosts: 3,
                        accelerator: Accelerator::Tcg,
                        install,
                        scenario: None,
                    };
                    let site: Site = serde_saphyr::from_str(&site(&plan)).unwrap();
                    assert_eq!(site.hosts.len(), 3);
                    let host = &site.hosts["r1-n02"];
                    assert_eq!(host.addresses[layout.top()].to_string(), "172.16.160.13");
                    let image = host.image.as_deref().unwrap();
                    assert!(site.image_to_boot(image).is_some());
                }
            }
        }
    }
}
