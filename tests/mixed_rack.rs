//! One image for a mixed rack: each host loads the kernel of its own architecture.

use std::net::Ipv4Addr;

use crate::common::dhcp::{Client, Message, lan_on};

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
images:
  live:
    kernel: amd64/vmlinuz
    initrd: [amd64/initrd]
    variants: {arm64: {kernel: arm64/vmlinuz, initrd: [arm64/initrd], cmdline: console=ttyAMA0}}
  arm: {variants: {arm64: {kernel: arm64/vmlinuz}}}
hosts:
  n1: {image: IMAGE, nics: {eth0: "52:54:00:aa:00:01"}, reservations: {provisioning: 10.77.0.12}}
"#;
const MAC: &str = "52:54:00:aa:00:01";
const HOST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0, 1];
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The script of the host after its firmware, with this number in option 93, has asked DHCP.
fn script(image: &str, arch: u8) -> String {
    let (mut server, clients) = lan_on(None, &SITE.replace("IMAGE", image), &[MAC]);
    for name in ["amd64", "arm64"] {
        let files = server.directory.path().join("files").join(name);
        std::fs::create_dir_all(&files).unwrap();
        std::fs::write(files.join("vmlinuz"), "kernel").unwrap();
        std::fs::write(files.join("initrd"), "initrd").unwrap();
    }
    server.start(&["lan"]);
    clients.ip("address add 10.77.0.12/24 dev eth0");
    let client = Client::bind(&clients, Ipv4Addr::UNSPECIFIED, 68, Some("eth0"));
    let discover = Message::new(1, HOST)
        .option(55, &[1, 3, 43, 60, 66, 67])
        .option(60, format!("PXEClient:Arch:{arch:05}:UNDI:003000").as_bytes())
        .option(93, &[0, arch]);
    client.ask(&discover, Ipv4Addr::BROADCAST).unwrap();
    let output = clients.sh(&format!("curl -sSf -m 20 http://{SERVER}/boot/{MAC}.ipxe"));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_host_loads_the_kernel_of_its_architecture() {
    for (image, arch, wanted, other) in [
        ("live", 7, "/files/amd64/vmlinuz", "arm64/"),
        ("live", 0, "/files/amd64/vmlinuz", "arm64/"),
        ("live", 11, "/files/arm64/vmlinuz", "amd64/"),
        ("arm", 11, "/files/arm64/vmlinuz", "amd64/"),
    ] {
        let script = script(image, arch);
        assert!(script.contains(wanted) && !script.contains(other), "{image} {arch}: {script}");
        assert_eq!(script.contains("console=ttyAMA0"), arch == 11 && image == "live", "{script}");
    }
    let waits = script("arm", 7);
    assert!(waits.contains("the image has variants for arm64 only"), "{waits}");
}
