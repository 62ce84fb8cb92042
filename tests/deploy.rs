//! A disk image on a bare virtual server: written once, and booted from its disk ever after.

use crate::lab::{PATIENCE, alone, output_of, remains};

/// Netboots a host with an empty disk, installs it, and powers it on once more.
fn installs(firmware: &str, layout: &str, top: &str) {
    let _alone = alone();
    let arguments = ["--install", "--firmware", firmware, "--layout", layout];
    let arguments = [&arguments[..], &["--patience", PATIENCE]].concat();
    let (process, output) = output_of(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaint}");
    let verdict = format!("r1-n01 is up: 172.16.160.12 on {top}, LACP with 2 ports");
    for expected in [
        // The agent says each step.
        "install-started installs debian",
        "install-step erases old data on vda (6.0 GiB, serial LAB01)",
        "install-step writes the image on vda",
        "install-step configures the installed system on vda",
        "install-completed has installed debian",
        "installed: debian on vda (6.0 GiB, serial LAB01)",
        "1 host(s): powered off and on again",
        "powered on again: up ",
        // The host's own bond, from its own disk.
        "Bonding Mode: IEEE 802.3ad Dynamic link aggregation",
        "Partner Mac Address: 52:54:00:5c:01:00",
        "3 received, 0% packet loss",
        &verdict,
    ] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    assert!(!text.contains("warning: "), "{text}");
    // One boot loads the installer, and none after it.
    assert_eq!(text.matches(": script   script to ").count(), 1, "{text}");
    assert_eq!(remains(process), Vec::<String>::new());
}

#[test]
fn a_uefi_host_gets_its_disk_image_once_and_boots_from_its_disk() {
    installs("uefi", "bond-vlan-bridge", "virbr0");
}

#[test]
#[ignore = "a whole guest, installed and powered on again"]
fn a_bios_host_gets_its_disk_image_once_and_boots_from_its_disk() {
    installs("bios", "bond-vlan-bridge", "virbr0");
}
