//! `rackstrap image build`: the same packages give the same bytes, whoever builds them and where.

use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::common::skip::skip;

/// Builds an image in a new directory: its files below `files` with their digests.
fn build(words: &[&str], names: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let built = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
        .arg("--data-dir")
        .arg(directory.path())
        .args(["image", "build"])
        .args(words)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    let files = directory.path().join("files");
    let digest = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let mut digests: Vec<String> = names.iter().map(|name| digest(&files.join(name))).collect();
    if names.is_empty() {
        let (_, path) = said.split_once("disk=").unwrap();
        let path = path.split_whitespace().next().unwrap();
        let own = digest(&files.join(path));
        assert!(said.contains(&own), "{said}: {own}");
        digests.push(own);
    }
    digests
}

fn is_the_same_twice(words: &[&str], names: &[&str]) {
    if !nix::unistd::geteuid().is_root() {
        return skip("image_build", "packages are unpacked as their owners, which needs root");
    }
    assert_eq!(build(words, names), build(words, names), "{words:?}");
}

#[test]
#[ignore = "downloads and packs Debian twice"]
fn a_live_system_is_the_same_twice() {
    is_the_same_twice(&["live"], &["live/vmlinuz", "live/initrd.img"]);
}

#[test]
#[ignore = "downloads and packs Debian twice"]
fn a_live_system_of_another_architecture_is_the_same_twice() {
    let names = ["live-arm64/vmlinuz", "live-arm64/initrd.img"];
    is_the_same_twice(&["live", "--arch", "arm64"], &names);
}

#[test]
#[ignore = "installs Debian into a directory twice"]
fn a_disk_image_is_the_same_twice() {
    is_the_same_twice(&["disk"], &[]);
}

/// Runs a program and gives what it says.
fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {words:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &said
}

/// A tarball of a small root file system; its programs are none.
fn tarball(directory: &Path, without: &str) -> String {
    let root = directory.join("root");
    for (path, text) in [
        ("boot/vmlinuz-6.1.0-1", "kernel"),
        ("boot/vmlinuz-6.1.0-2", "kernel"),
        ("boot/initrd.img-6.1.0-2", "initrd"),
        ("usr/lib/shim/shimx64.efi.signed", "shim"),
        ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "grub"),
        ("etc/ssh/ssh_host_rsa_key", "everybody's"),
        ("etc/hostname", "golden\n"),
        ("usr/bin/ping", "program"),
        ("home/ada/notes with a space", "hers"),
        ("usr/bin/second", "program"),
    ] {
        if path == without {
            continue;
        }
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let at = |path: &str| root.join(path).display().to_string();
    std::fs::remove_file(root.join("usr/bin/second")).unwrap();
    std::fs::hard_link(root.join("usr/bin/ping"), root.join("usr/bin/second")).unwrap();
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    output("chown", &["-R", "1000:1001", &at("home/ada")]);
    output("chmod", &["0750", &at("home/ada")]);
    output("chmod", &["4755", &at("usr/bin/ping")]);
    output("setcap", &["cap_net_raw=ep", &at("usr/bin/ping")]);
    let file = directory.join("root.tar.zst").display().to_string();
    let words = ["--create", "--zstd", "--xattrs", "--xattrs-include=*", "--file", &file];
    let words = [&words[..], &["--directory", root.to_str().unwrap(), "."]].concat();
    output("tar", &words);
    file
}

#[test]
fn a_root_tarball_becomes_a_disk_image_that_boots_by_uefi() {
    if !nix::unistd::geteuid().is_root() {
        return skip("image_build", "files are unpacked as their owners, which needs root");
    }
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = tarball(directory.path(), "");
    let digests =
        [build(&["disk", "--tarball", &file], &[]), build(&["disk", "--tarball", &file], &[])];
    assert_eq!(digests[0], digests[1]);

    let data = directory.path().join("data");
    let built = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
        .arg("--data-dir")
        .arg(&data)
        .args(["image", "build", "disk", "--tarball", &file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stdout).into_owned();
    let path = said.split_once("disk=").unwrap().1.split_whitespace().next().unwrap();
    let raw = directory.path().join("disk.raw").display().to_string();
    let packed = data.join("files").join(path).display().to_string();
    output("zstd", &["-q", "-d", "-o", &raw, &packed]);
    let table = output("sfdisk", &["--json", &raw]);
    let table: serde_json::Value = serde_json::from_str(&table).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    assert_eq!(partitions.len(), 3, "{table}");
    let offset = |index: usize| partitions[index]["start"].as_u64().unwrap() * 512;

    // The EFI system partition.
    let esp = format!("{raw}@@{}", offset(1));
    for (name, text) in [
        ("EFI/BOOT/BOOTX64.EFI", "shim"),
        ("EFI/BOOT/grubx64.efi", "grub"),
        ("EFI/debian/grub.cfg", "configfile $prefix/grub.cfg"),
        ("EFI/ubuntu/grub.cfg", "configfile $prefix/grub.cfg"),
    ] {
        let found = output("mtype", &["-i", &esp, &format!("::{name}")]);
        assert!(found.contains(text), "{name}: {found}");
    }
    // The root file system, with owners, modes, links and capabilities.
    let root = format!("{raw}?offset={}", offset(2));
    let ask = |request: &str| output("debugfs", &["-R", request, &root]);
    let fstab = ask("cat /etc/fstab");
    assert!(fstab.contains(" / ext4 ") && fstab.contains(" /boot/efi vfat "), "{fstab}");
    let config = ask("cat /boot/grub/grub.cfg");
    assert!(config.contains("/boot/vmlinuz-6.1.0-2 root=UUID="), "{config}");
    assert!(config.contains("initrd /boot/initrd.img-6.1.0-2"), "{config}");
    let home = ask("stat /home/ada");
    assert!(home.contains("Mode:  0750") && home.contains("User:  1000   Group:  1001"), "{home}");
    assert!(ask("cat \"/home/ada/notes with a space\"").contains("hers"));
    let ping = ask("stat /usr/bin/ping");
    assert!(ping.contains("Mode:  04755") && ping.contains("Links: 2"), "{ping}");
    assert!(ping.contains("security.capability (20) = 01 00 00 02 00 20 00 00"), "{ping}");
    assert!(ask("stat /bin").contains("Fast link dest: \"usr/bin\""));
    assert!(ask("cat /etc/hostname").contains("golden"));
    assert!(ask("stat /etc/ssh/ssh_host_rsa_key").contains("File not found"));

    // What is missing is named.
    for (without, expected) in [
        ("boot/initrd.img-6.1.0-2", "it has no /boot/initrd.img-6.1.0-2"),
        ("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "it has no boot loader for UEFI"),
    ] {
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let file = tarball(directory.path(), without);
        let refused = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
            .arg("--data-dir")
            .arg(directory.path().join("data"))
            .args(["image", "build", "disk", "--tarball", &file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(expected), "{said}");
    }
}
