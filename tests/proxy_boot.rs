//! Boots a host beside a real dnsmasq that assigns the addresses (`proxy_dhcp`): its script and
//! its configuration come although this server gave it no lease.

use std::fs;
use std::time::Duration;

use crate::common::dhcp::{lan, start, wait_for};
use crate::common::qemu::Guest;

const SITE: &str = r#"
subnets:
  provisioning: {cidr: 10.77.0.0/24, gateway: 10.77.0.1}
profiles:
  plain: {nics: {eth0: {subnet: provisioning}}}
images:
  live: {kernel: vmlinuz, cmdline: quiet}
hosts:
  n1: {image: live, profile: plain, nics: {eth0: "52:54:00:aa:00:01"}, addresses: {eth0: 10.77.0.12}}
  n2: {image: live, profile: plain, nics: {eth0: "52:54:00:aa:00:02"}, addresses: {eth0: 10.77.0.13}}
"#;
const MAC: &str = "52:54:00:aa:00:01";
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_host_with_a_profile_boots_beside_dnsmasq() {
    for strategy in ["direct", "redirect"] {
        let (mut server, rack) = lan(SITE, &["52:54:00:cc:00:01"]);
        rack.bridge("br0", "10.77.0.2/24");
        rack.ip("link set eth0 master br0");
        rack.ip("tuntap add host0 mode tap");
        rack.ip("link set host0 master br0");
        for link in ["eth0", "host0"] {
            rack.ip(&format!("link set {link} up"));
        }
        let files = server.directory.path().join("files");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("vmlinuz"), "no kernel").unwrap();
        server.set("proxy_dhcp", strategy);
        server.set("proxy_interfaces", "lan");
        server.start(&["lan"]);
        let log = server.directory.path().join("dnsmasq.log");
        let mut dnsmasq = rack.command("dnsmasq");
        dnsmasq.args(["--keep-in-foreground", "--log-facility=-", "--log-dhcp", "--port=0"]);
        dnsmasq.args(["--conf-file=/dev/null", "--interface=br0", "--bind-interfaces"]);
        dnsmasq.args(["--user=root", "--dhcp-range=10.77.0.50,10.77.0.90,255.255.255.0"]);
        let leases = server.directory.path().join("dnsmasq.leases");
        dnsmasq.arg(format!("--dhcp-leasefile={}", leases.display()));
        let _dnsmasq = start(&mut dnsmasq, &log);
        wait_for("dnsmasq serves", || fs::read_to_string(&log).unwrap().contains("DHCP, IP range"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut guest = Guest::bios_on_tap(&rack, "host0", MAC);
            let config = format!("/config/{}.cpio.gz... ok", MAC.replace(':', "-"));
            guest.wait_for(&["/files/vmlinuz... ok", &config], LIMIT).await;
        });
        let given = fs::read_to_string(&leases).unwrap();
        assert!(given.contains(MAC), "dnsmasq gave the address: {given}");
        assert!(server.leases().is_empty(), "this server gave none");
        // The bridge's own address is neither host's: a neighbour that only knows the MAC.
        let url = "http://10.77.0.1/config/52:54:00:aa:00:02";
        let refused = rack.sh(&format!("curl -s -o /dev/null -w '%{{http_code}}' {url}"));
        assert_eq!(String::from_utf8_lossy(&refused.stdout), "403", "{strategy}");
    }
}
