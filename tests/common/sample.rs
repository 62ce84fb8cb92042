//! A small site, in the parts that several subjects share.

use rackstrap::model::{BootMode, Host, Image, Site};

/// Where hosts boot, and where their profile puts them.
pub(crate) const SUBNETS: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    gateway: 10.77.0.1
    ranges:
      - {from: 10.77.0.10, to: 10.77.0.99, for: hosts}
      - {from: 10.77.0.100, to: 10.77.0.199, for: dhcp}
  internal:
    cidr: 172.16.160.0/24
    vlan: 500
    gateway: 172.16.160.254
    mtu: 9000
    dns: ["223.5.5.5#dns.alidns.com"]
    ranges: [{from: 172.16.160.10, to: 172.16.160.99, for: hosts}]
"#;

/// A profile with a bond, a VLAN and a bridge of this name.
pub(crate) fn hypervisor(bridge: &str) -> String {
    format!(
        "
profiles:
  hypervisor:
    bonds: {{bond0: {{nics: [eth0, eth1], mode: 802.3ad, mii-monitor: 100ms}}}}
    vlans: {{vlan500: {{link: bond0, subnet: internal}}}}
    bridges: {{{bridge}: {{interfaces: [vlan500], subnet: internal}}}}
"
    )
}

/// Gives `r1-n01` an image that installs.
pub(crate) fn install_first_host(site: &mut Site) {
    let (kernel, initrd) = (Some("di/vmlinuz".to_owned()), vec!["di/initrd".to_owned()]);
    let installer = Image { kernel, initrd, boot: BootMode::Once, ..Image::default() };
    site.images.insert("installer".into(), installer);
    first_host(site).image = Some("installer".into());
}

fn first_host(site: &mut Site) -> &mut Host {
    site.hosts.get_mut("r1-n01").unwrap()
}

/// A change of the site.
pub(crate) type Edit = fn(&mut Site);

/// Changes after which `r1-n01` cannot be armed, each with what is said then.
pub(crate) const ARM_REFUSALS: [(Edit, &str); 4] = [
    (|site| first_host(site).protected = true, "protected: true on host r1-n01"),
    (|site| site.racks.get_mut("r1").unwrap().protected = true, "protected: true on rack r1"),
    (|site| first_host(site).image = Some("live".into()), "has no boot: once"),
    (|site| first_host(site).image = None, "has no image"),
];
