//! What the real FRR reads in our frr.conf: every daemon's commands, without running one.

use std::fs;
use std::process::Output;

use rackstrap::network::{Format, render_host};

use crate::common::skip::skip;
use crate::common::tools::{self, Tool};
use crate::golden;

fn vtysh(test: &str) -> Option<Tool> {
    let found = tools::find("usr/bin/vtysh", &["--help"]);
    if found.is_none() {
        skip(test, "vtysh of the package frr is not unpacked, or does not start");
    }
    found
}

/// What FRR says of a configuration.
fn check(vtysh: &Tool, text: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    // It looks for a file of its own beside, and says so if there is none.
    fs::write(directory.path().join("vtysh.conf"), "").unwrap();
    fs::write(directory.path().join("frr.conf"), text).unwrap();
    let mut command = vtysh.command();
    command.arg("--config_dir").arg(directory.path());
    command.arg("-C").arg("-f").arg(directory.path().join("frr.conf")).output().unwrap()
}

#[test]
fn frr_knows_every_command_that_we_write() {
    let Some(vtysh) = vtysh("frr_knows_every_command_that_we_write") else { return };
    let mut read = 0;
    for (name, site) in golden::sites() {
        let files = render_host(&site, golden::HOST, Format::Frr).unwrap();
        for file in files.iter().filter(|file| file.name == "frr.conf") {
            let output = check(&vtysh, &file.text);
            let said = [output.stdout, output.stderr].concat();
            assert_eq!(String::from_utf8_lossy(&said), "", "{name}: {}", file.text);
            assert!(output.status.success(), "{name}");
            read += 1;
        }
    }
    assert!(read > 0, "no site speaks BGP");
}

#[test]
fn the_check_of_frr_sees_a_wrong_command() {
    let Some(vtysh) = vtysh("the_check_of_frr_sees_a_wrong_command") else { return };
    let output = check(&vtysh, "router bgp 65001\n bgp router id 10.0.0.1\nexit\n");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("Unknown command"), "{said}");
}
