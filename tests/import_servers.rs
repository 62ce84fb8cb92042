//! Configurations of other DHCP servers: accepted by those servers, and taken over whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::skip::skip;

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

/// A copy, in which files name each other by `DIRECTORY` or by their names alone.
fn copied() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_file() {
                let text = fs::read_to_string(&entry).unwrap().replace("DIRECTORY", &path);
                fs::write(to.join(entry.file_name().unwrap()), text).unwrap();
            }
        }
    };
    copy(&files(), directory.path());
    copy(&files().join("dnsmasq.d"), &directory.path().join("dnsmasq.d"));
    directory
}

/// Whether a server takes its file; none where it is not installed.
fn accepts(program: &str, directory: &Path, arguments: &[&str]) -> Option<Output> {
    let command = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("KEA_LOCKFILE_DIR", directory)
        .env("KEA_PIDFILE_DIR", directory)
        .output();
    command.ok()
}

pub(crate) fn rackstrap(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(directory.join("data")).args(arguments);
    command.current_dir(directory).output().unwrap()
}

pub(crate) fn import_json(directory: &Path, arguments: &[&str]) -> Value {
    let output = rackstrap(directory, &[&["--json", "import"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(program: &str, test: &[&str], file: &str, hosts: usize, bmcs: usize, subnets: usize) {
    let directory = copied();
    let path = directory.path();
    match accepts(program, path, test) {
        None => skip(&format!("import_servers ({file})"), &format!("{program} is not installed")),
        Some(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {test:?}: {said}");
        }
    }
    let imported = import_json(path, &["--keep-boot-server", file]);
    let site = &imported["site"];
    let made = site["hosts"].as_object().unwrap();
    assert_eq!(made.len(), hosts, "{file}");
    assert_eq!(made.values().filter(|host| host["bmc"].is_object()).count(), bmcs, "{file}");
    assert_eq!(site["subnets"].as_object().unwrap().len(), subnets, "{file}");
    for one in imported["not_taken"].as_array().unwrap() {
        let line = one["line"].as_u64().unwrap() as usize;
        let text = fs::read_to_string(path.join(one["file"].as_str().unwrap())).unwrap();
        assert!(!text.lines().nth(line - 1).unwrap().trim().is_empty(), "{one}");
    }
    // The site file is one, and applying it is the same as adding it at once.
    fs::write(
        path.join("site.yaml"),
        rackstrap(path, &["import", "--keep-boot-server", file]).stdout,
    )
    .unwrap();
    let done = rackstrap(path, &["import", "--keep-boot-server", "--apply", file]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let again = rackstrap(path, &["apply", "--dry-run", "site.yaml"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("no changes"), "{file}");
}

#[test]
fn a_hall_of_isc_dhcpd() {
    check("dhcpd", &["-t", "-4", "-cf", "dhcpd.conf"], "dhcpd.conf", 73, 72, 3);
}

#[test]
fn a_cluster_of_dnsmasq() {
    check("dnsmasq", &["--test", "--conf-file=dnsmasq.conf"], "dnsmasq.conf", 60, 60, 2);
}

#[test]
fn a_lab_of_kea() {
    check("kea-dhcp4", &["-t", "kea.json"], "kea.json", 60, 0, 2);
}
