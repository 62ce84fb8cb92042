//! Real TFTP clients against the real service, over a link between two namespaces.

use std::path::Path;
use std::process::Command;

use crate::common::tftp::{Rack, SERVER};

/// Every client, with the arguments that fetch a file in blocks of a size.
const CLIENTS: [&str; 4] = ["tftp-hpa", "atftp", "curl", "busybox"];

fn fetch_command(rack: &Rack, client: &str, name: &str, to: &Path, block_size: u16) -> Command {
    let server = SERVER.to_string();
    let to = to.to_str().unwrap();
    let block = block_size.to_string();
    let plain = block_size == 512;
    match client {
        // tftp-hpa always asks for 512 bytes: its client has no option for it.
        "tftp-hpa" => {
            let mut command = rack.client.command("tftp");
            command.args(["-m", "binary", &server, "-c", "get", name, to]);
            command
        }
        "atftp" => {
            let mut command = rack.client.command("atftp");
            if !plain {
                command.args(["--option", &format!("blksize {block}"), "--option", "tsize"]);
            }
            command.args(["--get", "-r", name, "-l", to, &server]);
            command
        }
        "curl" => {
            let mut command = rack.client.command("curl");
            if plain {
                command.arg("--tftp-no-options");
            }
            let url = format!("tftp://{server}/{name}");
            command.args(["-sS", "--max-time", "60", "--tftp-blksize", &block, "-o", to, &url]);
            command
        }
        _ => {
            let mut command = rack.client.command("busybox");
            command.args(["tftp", "-g", "-b", &block, "-r", name, "-l", to, &server]);
            command
        }
    }
}

fn fetch(rack: &Rack, client: &str, name: &str, block_size: u16) -> Vec<u8> {
    let to = rack.directory.path().join(format!("{client}-{name}-{block_size}"));
    let output = fetch_command(rack, client, name, &to, block_size).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{client} {name} {block_size}: {said}");
    // curl makes no file if nothing comes.
    std::fs::read(&to).unwrap_or_default()
}

#[test]
fn every_client_gets_files_of_every_size_unchanged() {
    let rack = Rack::start("sizes");
    for size in [0, 1, 511, 512, 513, 1467, 1468, 1469, 1468 * 10, 300_000] {
        let name = format!("file{size}");
        let content = rack.put(&name, size);
        for client in CLIENTS {
            // curl takes a tsize of 0, which is the empty file's length, for an error.
            let block_sizes = if client == "curl" && size == 0 { &[512][..] } else { &[512, 1468] };
            for &block_size in block_sizes {
                let got = fetch(&rack, client, &name, block_size);
                assert!(got == content, "{client}, {size} bytes by {block_size}: {}", got.len());
            }
        }
    }
}

#[test]
fn every_client_gets_34_megabytes_in_blocks_of_512() {
    let rack = Rack::start("rollover");
    let content = rack.put("large", 34 * 1024 * 1024);
    std::thread::scope(|scope| {
        for client in CLIENTS {
            let (rack, content) = (&rack, &content);
            scope.spawn(move || {
                let got = fetch(rack, client, "large", 512);
                assert!(got == *content, "{client}: {} bytes", got.len());
            });
        }
    });
}

#[test]
fn atftp_with_windows_gets_the_file_unchanged() {
    let rack = Rack::start("window");
    let content = rack.put("large", 5_000_001);
    for window in ["1", "4", "64"] {
        let to = rack.directory.path().join(format!("window{window}"));
        let mut command = rack.client.command("atftp");
        command.args(["--option", "blksize 1468", "--option", &format!("windowsize {window}")]);
        command.args(["--get", "-r", "large", "-l", to.to_str().unwrap(), &SERVER.to_string()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(&to).unwrap() == content, "window {window}");
    }
}

#[test]
fn a_missing_file_is_refused_and_the_client_says_why() {
    let mut rack = Rack::start("missing");
    let to = rack.directory.path().join("none");
    let output = fetch_command(&rack, "curl", "none", &to, 1468).output().unwrap();
    assert_eq!(output.status.code(), Some(68), "curl: file not found on the TFTP server");
    rack.wait_for_event("no file \"none\" here");
}
