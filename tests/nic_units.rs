//! What a unit sets on NICs: the script runs on the files of a kernel that are made up, with the tools
//! that it calls, and what is in the files and was called is compared.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rackstrap::network::{Format, render_host};
use rackstrap::profile::ResolvedSite;

use crate::common::netns::Netns;
use crate::golden;

/// A NIC for RDMA, and one that is DPDK's.
const SITE: &str = r#"
subnets: {lan: {cidr: 10.1.0.0/24, gateway: 10.1.0.1, dns: [10.1.0.53]}}
profiles:
  own:
    nics:
      eth0:
        subnet: lan
        rail: 0
        rdma-device: mlx5_0
        multicast-macs: ["01:00:5e:00:00:05"]
        roce: {priorities: [3], dscp: 26, ecn: true}
        affinity: {irqs: local, rps: "0-3,33", xps: "1-3,65"}
      eth1: {path: pci-0000:41:00.0, driver-override: vfio-pci}
    nccl: {socket: eth0, variables: {NCCL_IB_GID_INDEX: 3}}
    allow: [N231]
hosts:
  r1-n01:
    profile: own
    nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"}
    addresses: {eth0: 10.1.0.12}
"#;

/// Files of a kernel, by path below the root; a directory of configfs makes its files by itself.
const FILES: &[(&str, &str)] = &[
    ("net/enx1/device/local_cpulist", "2-3\n"),
    ("net/enx1/device/msi_irqs/40", ""),
    ("net/enx1/device/msi_irqs/41", ""),
    ("net/enx1/device/msi_irqs/42", ""),
    ("net/enx1/device/infiniband/mlx5_0/tc/1/traffic_class", ""),
    ("net/enx1/ecn/roce_np/enable/3", "0"),
    ("net/enx1/ecn/roce_rp/enable/3", "0"),
    ("net/enx1/queues/rx-0/rps_cpus", ""),
    ("net/enx1/queues/rx-1/rps_cpus", ""),
    ("net/enx1/queues/tx-0/xps_cpus", ""),
    ("net/enx1/queues/tx-1/xps_cpus", ""),
    ("irq/40/smp_affinity_list", ""),
    ("irq/41/smp_affinity_list", ""),
    ("irq/42/smp_affinity_list", ""),
    ("kernel/config/rdma_cm/mlx5_0/ports/1/default_roce_tos", "0"),
    ("pci/devices/0000:41:00.0/driver_override", ""),
    ("pci/drivers_probe", ""),
];

fn program(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_unit_sets_what_the_site_file_says_on_the_nics_of_the_host() {
    let site: ResolvedSite = serde_saphyr::from_str(SITE).unwrap();
    let files = render_host(&site, golden::HOST, Format::Networkd).unwrap();
    let text = |name: &str| &files.iter().find(|file| file.name == name).unwrap().text;
    let hints =
        "NCCL_IB_HCA==mlx5_0\nNCCL_SOCKET_IFNAME==eth0\nNCCL_IB_TC=106\nNCCL_IB_GID_INDEX=3\n";
    assert!(text("nccl.conf").ends_with(hints), "{}", text("nccl.conf"));
    assert!(text("01-eth1.network").contains("Unmanaged=yes"));

    let (host, other) = (Netns::new("host"), Netns::new("other"));
    other.join("port", &host, "enx1");
    host.ip("link set enx1 address 52:54:00:aa:00:01");
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (path, content) in FILES {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let tools = root.join("tools");
    fs::create_dir(&tools).unwrap();
    let called = root.join("called");
    for tool in ["dcb", "modprobe"] {
        program(&tools, tool, &format!("echo {tool} \"$@\" >>{}", called.display()));
    }
    fs::write(root.join("script.sh"), text("rackstrap-nics.sh")).unwrap();
    let shown = root.display();
    let output = host.sh(&format!(
        "mount --bind {shown}/net /sys/class/net && mount --bind {shown}/irq /proc/irq && \
         mount --bind {shown}/kernel /sys/kernel && mount --bind {shown}/pci /sys/bus/pci && \
         PATH={shown}/tools:$PATH sh {shown}/script.sh start"
    ));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");

    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap().trim().to_owned();
    let expected = [
        ("irq/40/smp_affinity_list", "2"),
        ("irq/41/smp_affinity_list", "3"),
        ("irq/42/smp_affinity_list", "2"),
        ("net/enx1/queues/rx-0/rps_cpus", "00000002,0000000f"),
        ("net/enx1/queues/rx-1/rps_cpus", "00000002,0000000f"),
        ("net/enx1/queues/tx-0/xps_cpus", "0000000a"),
        ("net/enx1/queues/tx-1/xps_cpus", "00000002,00000000,00000004"),
        ("net/enx1/ecn/roce_np/enable/3", "1"),
        ("net/enx1/ecn/roce_rp/enable/3", "1"),
        ("net/enx1/device/infiniband/mlx5_0/tc/1/traffic_class", "106"),
        ("kernel/config/rdma_cm/mlx5_0/ports/1/default_roce_tos", "106"),
        ("pci/devices/0000:41:00.0/driver_override", "vfio-pci"),
        ("pci/drivers_probe", "0000:41:00.0"),
    ];
    for (path, value) in expected {
        assert_eq!(read(path), value, "{path}");
    }
    let dcb = "dcb apptrust set dev enx1 order dscp\ndcb app replace dev enx1 dscp-prio 26:3\n\
               dcb pfc set dev enx1 prio-pfc all:off 3:on";
    let called = read("called");
    assert!(called.contains(dcb), "{called}");
    assert!(called.ends_with("modprobe -q vfio-pci"), "{called}");
    let groups = String::from_utf8(host.sh("ip maddress show dev enx1").stdout).unwrap();
    assert!(groups.contains("01:00:5e:00:00:05"), "{groups}");
}
