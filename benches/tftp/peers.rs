//! The TFTP servers to compare with: how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::{Lab, SERVER, SERVER_LINK};

/// The word that makes this program a server on async-tftp: `peers async-tftp DIRECTORY`.
pub(crate) const ASYNC_TFTP: &str = "async-tftp";

/// A server that is not rackstrap.
pub(super) struct Peer {
    /// What the table calls it.
    pub name: &'static str,
    /// Its program.
    pub program: fn() -> String,
    /// The command that serves a directory.
    pub command: fn(&Lab, &Path, &Path) -> Command,
    /// Whether it knows `windowsize` (RFC 7440).
    pub has_windows: bool,
    /// Whether its processor time can be told: not of children that nobody waits for.
    pub has_cpu: bool,
}

/// The peers.
pub(super) const PEERS: &[Peer] = &[
    Peer {
        name: "tftpd-hpa",
        program: || "in.tftpd".into(),
        command: hpa,
        has_windows: false,
        has_cpu: false,
    },
    Peer {
        name: "dnsmasq",
        program: || "dnsmasq".into(),
        command: dnsmasq,
        has_windows: false,
        has_cpu: true,
    },
    Peer {
        name: "async-tftp",
        program: own_program,
        command: async_tftp,
        has_windows: true,
        has_cpu: true,
    },
    Peer {
        name: "tftpd (crate)",
        program: crate_program,
        command: crate_tftpd,
        has_windows: true,
        has_cpu: true,
    },
];

fn hpa(lab: &Lab, _dir: &Path, files: &Path) -> Command {
    let mut command = lab.server.command("in.tftpd");
    command.args(["--foreground", "--address", &format!("{SERVER}:69"), "--user", "root"]);
    command.arg("--secure").arg(files);
    command
}

fn dnsmasq(lab: &Lab, dir: &Path, files: &Path) -> Command {
    let mut command = lab.server.command("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root"]);
    command.args(["--enable-tftp", "--tftp-max=1000", "--quiet-tftp", "--log-facility=-"]);
    command.arg(format!("--interface={SERVER_LINK}"));
    command.arg(format!("--tftp-root={}", files.display()));
    command.arg(format!("--pid-file={}", dir.join("pid").display()));
    command
}

fn own_program() -> String {
    std::env::current_exe().unwrap_or_default().to_string_lossy().into_owned()
}

fn async_tftp(lab: &Lab, _dir: &Path, files: &Path) -> Command {
    let mut command = lab.server.command(&own_program());
    command.arg(ASYNC_TFTP).arg(files);
    command
}

/// Serves a directory with the crate async-tftp and its own directory handler, for ever.
pub(crate) fn serve_async_tftp(files: &str) {
    let server = async_tftp::server::TftpServerBuilder::with_dir_ro(files)
        .expect("the directory exists")
        .bind((SERVER, 69).into());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = server.build().await.expect("port 69 is free here");
        server.serve().await.expect("it serves for ever");
    });
}

/// Where `make bench` lets cargo install the crate's program.
fn crate_program() -> String {
    PathBuf::from("target/bench-peers/bin/tftpd").to_string_lossy().into_owned()
}

fn crate_tftpd(lab: &Lab, _dir: &Path, files: &Path) -> Command {
    let program = std::env::current_dir().unwrap_or_default().join(crate_program());
    let mut command = lab.server.command(&program.to_string_lossy());
    command.args(["-i", &SERVER.to_string(), "-p", "69", "-r", "-q", "-q", "-d"]).arg(files);
    command
}
