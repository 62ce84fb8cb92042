//! A disk image on a bare virtual server: written once, and booted from its disk ever after.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{PATIENCE, Running, alone, output_of, remains};

/// Netboots a host with an empty disk, installs it, and powers it on once more; gives what the lab
/// says.
fn installs(firmware: &str, layout: &str, top: &str, odd: &[&str]) -> String {
    let arguments = ["--install", "--firmware", firmware, "--layout", layout];
    let text = comes_up(&[&arguments[..], odd].concat());
    let verdict = format!("r1-n01 is up: 172.16.160.12 on {top}, LACP with 2 ports");
    for expected in [
        // The agent says each step.
        "install-started installs debian",
        "install-step selects the disk: vda (6.0 GiB, serial LAB01)",
        "install-step erases old data on vda (6.0 GiB, serial LAB01)",
        "install-step writes the image on vda",
        "install-step configures the installed system on vda",
        "install-step adds the boot entry on vda",
        "install-step is done and restarts, to boot from its disk",
        "install-completed has installed debian",
        "install-step has booted from its disk for the first time",
        "installed: debian on vda (6.0 GiB, serial LAB01)",
        "1 host(s): powered off and on again",
        "powered on again: up ",
        // The host's own bond, from its own disk.
        "Bonding Mode: IEEE 802.3ad Dynamic link aggregation",
        "Partner Mac Address: 52:54:00:5c:01:00",
        "3 received, 0% packet loss",
        // Who may log in, as the site says.
        "r1-n01.disk: /root/.ssh is 0700 of 0:0",
        "r1-n01.disk: /root/.ssh/authorized_keys is 0600 of 0:0",
        "r1-n01.disk: keys: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIATvr1QJEModcaFsSYTdM6Z8BiMbqhqZKzaFPfp1AhlF lab@rackstrap",
        "r1-n01.disk: /etc/shadow is 0640 of 0:42",
        "r1-n01.disk: shadow: root:$6$rackstraplab$",
        &verdict,
    ] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    assert!(!text.contains("warning: "), "{text}");
    // One boot loads the installer, and none after it.
    assert_eq!(text.matches(": script   script to ").count(), 1, "{text}");
    text
}

#[test]
fn a_uefi_host_gets_its_disk_image_once_and_boots_from_its_disk() {
    installs("uefi", "bond-vlan-bridge", "virbr0", &[]);
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn a_bios_host_gets_its_disk_image_once_and_boots_from_its_disk() {
    installs("bios", "bond-vlan-bridge", "virbr0", &[]);
}

/// An image that reads its network in another format than networkd's has the host's bond, VLAN and
/// bridge all the same.
fn reads(format: &str, file: &str) {
    let odd = ["--network-format", format];
    let text = installs("uefi", "bond-vlan-bridge", "virbr0", &odd);
    let network = format!("r1-n01.disk: network: {file}");
    assert!(text.contains(&network), "no \"{network}\" in:\n{text}");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn an_image_with_netplan_comes_up_on_bond_vlan_and_bridge() {
    reads("netplan", "/etc/netplan/90-rackstrap.yaml");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn an_image_with_networkmanager_comes_up_on_bond_vlan_and_bridge() {
    reads("networkmanager", "/etc/NetworkManager/system-connections/bond0.nmconnection");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn an_image_with_ifupdown2_comes_up_on_bond_vlan_and_bridge() {
    reads("ifupdown2", "/etc/network/interfaces");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn an_image_with_cloud_init_comes_up_on_bond_vlan_and_bridge() {
    reads("cloud-init", "/var/lib/cloud/seed/nocloud/network-config");
}

/// A host whose root file system is mirrored comes up from its second disk alone.
fn mirrors(firmware: &str) {
    let text = installs(firmware, "bond-vlan-bridge", "virbr0", &["--scenario", "raid1"]);
    for expected in [
        "installed: debian on vda (6.0 GiB, serial LAB01) and vdb (6.0 GiB, serial LAB01-2)",
        "every mirror is complete: the first disks are taken out",
        // Both halves have the same file system.
        "r1-n01.disk2: /root/.ssh is 0700 of 0:0",
    ] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    assert_eq!(text.matches("1 host(s): powered off and on again").count(), 2, "{text}");
}

#[test]
#[ignore = "a whole guest, installed and powered on twice"]
fn a_mirrored_uefi_host_comes_up_from_its_second_disk_alone() {
    mirrors("uefi");
}

#[test]
#[ignore = "a whole guest, installed and powered on twice"]
fn a_mirrored_bios_host_comes_up_from_its_second_disk_alone() {
    mirrors("bios");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn a_host_with_intel_nics_an_nvme_disk_and_a_sata_disk_is_installed_on_the_nvme_disk() {
    let arguments = ["--install", "--firmware", "uefi", "--layout", "bond-vlan-bridge"];
    let text = comes_up(&[&arguments[..], &["--scenario", "server-hardware"]].concat());
    for expected in [
        "install-step selects the disk: nvme0n1 (6.0 GiB, serial LAB01)",
        "installed: debian on nvme0n1 (6.0 GiB, serial LAB01)",
        "1 host(s): powered off and on again",
        "r1-n01.disk: /root/.ssh is 0700 of 0:0",
        "r1-n01.disk2: nothing was written, its first MiB is empty",
        "Partner Mac Address: 52:54:00:5c:01:00",
        "r1-n01 is up: 172.16.160.12 on virbr0, LACP with 2 ports",
    ] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    assert!(!text.contains("warning: "), "{text}");
}

/// What a rack of one host says that comes up.
fn comes_up(arguments: &[&str]) -> String {
    let _alone = alone();
    let (process, output) = output_of(&[arguments, &["--patience", PATIENCE]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{text}");
    assert_eq!(remains(process), Vec::<String>::new());
    text
}

/// Debian's disk image with its files in a root file system of another kind, which `make` makes with
/// the UUID that it had.
fn with_root(kind: &str, make: &[&str], directory: &Path) -> PathBuf {
    let (_, output) = output_of(&["--build-image", "--install"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
    let script = r#"set -eu
        cd "$1" && kind=$2 && built=$3 && shift 3
        trap 'umount old new 2>/dev/null || true' EXIT
        zstd -q -d -o old.raw "$built"
        start=$(sfdisk --json old.raw | python3 -c 'import json, sys
print(json.load(sys.stdin)["partitiontable"]["partitions"][-1]["start"] * 512)')
        uuid=$(blkid -p -O "$start" -o value -s UUID old.raw)
        cp --sparse=always old.raw new.raw
        # Nothing of the old file system shows where the new one has zeros.
        truncate -s "$start" new.raw && truncate -s "$((start + (2 << 30)))" new.raw
        sfdisk -q --relocate gpt-bak-std new.raw
        echo ',+' | sfdisk -q -N 3 new.raw
        size=$(sfdisk --json new.raw | python3 -c 'import json, sys
print(json.load(sys.stdin)["partitiontable"]["partitions"][-1]["size"] * 512)')
        truncate -s "$size" root.raw
        "$@" "$uuid" root.raw
        mkdir old new
        mount -o "ro,loop,offset=$start" old.raw old
        mount -o loop -t "$kind" root.raw new
        cp -a old/. new/
        sed -i "s| / ext4 errors=remount-ro 0 1| / $kind defaults 0 0|" new/etc/fstab
        grep -q " / $kind " new/etc/fstab
        umount old new
        dd if=root.raw of=new.raw bs=1M seek="$start" oflag=seek_bytes conv=notrunc,sparse status=none
        zstd -q -1 -o image.raw.zst new.raw
        rm old.raw new.raw root.raw"#;
    let made = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(directory)
        .args([kind, &built])
        .args(make)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    directory.join("image.raw.zst")
}

/// An image whose root file system is of this kind takes the whole disk, and boots from it.
fn grows(kind: &str, make: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let image = with_root(kind, make, directory.path());
    let arguments = ["--install", "--firmware", "uefi", "--layout", "bond-vlan-bridge"];
    let own = ["--disk-image", image.to_str().unwrap()];
    let text = comes_up(&[&arguments[..], &own].concat());
    // The disk has 6 GiB, the image 2.
    let root = format!("r1-n01.disk: its root file system is {kind} of 5.9 GiB");
    for expected in [&root, "r1-n01 is up: 172.16.160.12 on virbr0, LACP with 2 ports"] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    assert!(!text.contains("warning: "), "{text}");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn an_image_with_an_xfs_root_takes_the_disk_and_boots_from_it() {
    grows("xfs", &["sh", "-c", r#"mkfs.xfs -q -m "uuid=$0" "$1""#]);
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn an_image_with_a_btrfs_root_takes_the_disk_and_boots_from_it() {
    grows("btrfs", &["mkfs.btrfs", "-q", "-U"]);
}

/// What a rack of one host says whose disks are odd, or are erased afterwards.
fn scenario(name: &str) -> String {
    let _alone = alone();
    let arguments = ["--install", "--firmware", "uefi", "--layout", "bond-vlan-bridge"];
    let arguments = [&arguments[..], &["--scenario", name, "--patience", PATIENCE]].concat();
    let (process, output) = output_of(&arguments);
    assert_eq!(remains(process), Vec::<String>::new());
    println!("{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A host is refused with this cause, and its disks are as this says.
fn refused(name: &str, cause: &str, disks: &[&str]) {
    let text = scenario(name);
    let failed = text.lines().find(|line| line.contains(": install-failed "));
    let failed = failed.unwrap_or_else(|| panic!("nothing failed in:\n{text}"));
    assert!(failed.contains(cause), "{failed}");
    assert!(!text.contains("install-completed"), "{text}");
    for disk in disks {
        assert!(text.contains(disk), "no \"{disk}\" in:\n{text}");
    }
}

#[test]
#[ignore = "a whole guest"]
fn a_host_with_two_matching_disks_stops_with_the_cause_and_nothing_is_written() {
    let disks = [
        "r1-n01.disk: nothing was written, its first MiB is empty",
        "r1-n01.disk2: nothing was written, its first MiB is empty",
    ];
    refused("two-disks", "2 disks match, and only one may: vda (6.0 GiB, serial LAB01)", &disks);
}

#[test]
#[ignore = "a whole guest"]
fn a_disk_with_foreign_data_is_refused_and_stays_as_it_is() {
    // The superblock is in the first MiB.
    let disks = ["r1-n01.disk: nothing was written, its first MiB is not empty"];
    let cause = "has data: ext4 on vda (label not-ours); nothing was changed";
    refused("foreign-data", cause, &disks);
}

#[test]
#[ignore = "a whole guest"]
fn a_disk_that_is_too_small_is_refused_and_nothing_is_written() {
    let disks = ["r1-n01.disk: nothing was written, its first MiB is empty"];
    refused("small-disk", "is too small: the image needs", &disks);
}

#[test]
#[ignore = "a whole guest"]
fn an_image_with_another_digest_fails_and_the_first_mebibyte_stays_empty() {
    let disks = ["r1-n01.disk: was written to, its first MiB is empty"];
    refused("wrong-digest", "nothing of it boots", &disks);
}

#[test]
#[ignore = "a whole guest"]
fn an_image_that_was_cut_on_the_server_fails_and_the_first_mebibyte_stays_empty() {
    let disks = ["r1-n01.disk: was written to, its first MiB is empty"];
    refused("truncated-image", "the image is damaged: ", &disks);
}

#[test]
#[ignore = "a whole guest, installed twice"]
fn a_host_is_installed_again_exactly_once_and_the_old_system_is_replaced() {
    let text = scenario("reinstall");
    for (expected, count) in [
        ("install-completed has installed debian", 2),
        (": script   script to ", 2),
        ("install-step erases old data on vda", 2),
        ("r1-n01.disk has another system", 1),
        ("r1-n01 is up: 172.16.160.12 on virbr0, LACP with 2 ports", 1),
    ] {
        assert_eq!(text.matches(expected).count(), count, "{expected} in:\n{text}");
    }
}

#[test]
#[ignore = "a whole guest, installed and erased"]
fn an_erased_host_reports_and_its_disk_is_blank() {
    let text = scenario("erase");
    for expected in [
        "install-step erases the disk: vda (6.0 GiB, serial LAB01)",
        "overwritten with zeros, 16 places read back",
        "r1-n01.disk is blank",
    ] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    assert_eq!(text.matches("install-completed").count(), 2, "{text}");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn a_server_killed_at_each_stage_of_a_deployment_installs_exactly_once() {
    let _alone = alone();
    let arguments = ["--install", "--firmware", "uefi", "--patience", PATIENCE];
    let mut rack = Running::start(&arguments);
    let mut process = rack.line_with("server: runs as process ");
    let stages = [
        // Before the kernel, while the image is written, and between the image and the report.
        ": script   script to ",
        "install-step writes the image",
        "install-step configures the installed system",
    ];
    let mut all = Vec::new();
    let mut killed = 0;
    while let Some(line) = rack.next_line() {
        if stages.get(killed).is_some_and(|stage| line.contains(stage)) {
            let server: i32 = process.rsplit(' ').next().unwrap().parse().unwrap();
            kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
            killed += 1;
        }
        if line.contains("started again as process ") {
            process.clone_from(&line);
        }
        all.push(line);
    }
    let text = all.join("\n");
    assert!(rack.child.wait().unwrap().success(), "{text}");
    assert_eq!(killed, stages.len(), "{text}");
    assert_eq!(text.matches("install-completed has installed debian").count(), 1, "{text}");
    assert_eq!(text.matches("install-step erases old data").count(), 1, "{text}");
    assert!(text.contains("powered on again: up "), "{text}");
}
