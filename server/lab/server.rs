//! The server as a child process: `rackstrap serve` of this program, in its namespace, restarted
//! when it exits.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::fabric::{Fabric, SERVER_LINK};
use super::forward;
use super::inside::Inside;
use crate::live::display::Display;

/// Port of the listener for hosts, in the namespace.
pub(super) const MACHINE_PORT: u16 = 80;
/// Port of the web UI, in the namespace.
pub(super) const ADMIN_PORT: u16 = 8080;
/// A server that exits sooner is not restarted.
const TOO_SOON: Duration = Duration::from_secs(2);
/// How long the server may take to listen.
const STARTING: Duration = Duration::from_secs(20);
/// How long the server may take to stop.
const STOPPING: Duration = Duration::from_secs(5);

/// The server of the lab.
pub(super) struct Server {
    command: Command,
    child: Child,
    started: Instant,
    log: PathBuf,
}

impl Server {
    /// Writes the configuration, starts the server and waits until it listens.
    pub(super) async fn start(
        fabric: &Fabric,
        inside: &Inside,
        files: &Path,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let config = directory.join("rackstrap.toml");
        fs::write(&config, configuration(files, directory))?;
        let log = directory.join("server.log");
        // By process, not by path: a new build may have replaced the file.
        let program = format!("/proc/{}/exe", std::process::id());
        let mut command = fabric.server.command(program);
        command.arg("serve").arg("--config").arg(&config);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RACKSTRAP_") {
                command.env_remove(name);
            }
        }
        let child = spawn(&mut command, &log)?;
        let mut server = Self { command, child, started: Instant::now(), log };
        server.wait_until_ready(inside).await?;
        Ok(server)
    }

    /// Its process id.
    pub(super) fn process(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Restarts the server whenever it exits. Returns when it exits within [`TOO_SOON`].
    pub(super) async fn keep_up(&mut self, display: &Display) -> anyhow::Error {
        loop {
            let status = match self.child.wait().await {
                Ok(status) => status,
                Err(error) => return error.into(),
            };
            if self.started.elapsed() < TOO_SOON {
                return self.died(status);
            }
            match spawn(&mut self.command, &self.log) {
                Ok(child) => self.child = child,
                Err(error) => return error,
            }
            self.started = Instant::now();
            let process = self.process();
            display.say(&format!("server: exited ({status}), started again as process {process}"));
        }
    }

    /// Stops the server and waits for its end.
    pub(super) async fn stop(mut self) {
        if let Some(process) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(process), Signal::SIGTERM);
        }
        let _ = timeout(STOPPING, self.child.wait()).await;
    }

    async fn wait_until_ready(&mut self, inside: &Inside) -> anyhow::Result<()> {
        while self.started.elapsed() < STARTING {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.died(status));
            }
            if forward::connect(inside, MACHINE_PORT).await.is_ok() {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "the server does not listen after {STARTING:?}; end of its log:\n{}",
            tail(&self.log, 20)
        )
    }

    fn died(&self, status: ExitStatus) -> anyhow::Error {
        anyhow::anyhow!("the server exited ({status}); end of its log:\n{}", tail(&self.log, 20))
    }
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let log = File::options().create(true).append(true).open(log)?;
    command.stdout(log.try_clone()?).stderr(log);
    command.spawn().context("cannot start the server")
}

fn configuration(files: &Path, directory: &Path) -> String {
    // Debug quoting gives a valid TOML string for all usual paths.
    format!(
        "data_dir = {directory:?}\n\
         files_dir = {files:?}\n\
         interfaces = [\"{SERVER_LINK}\"]\n\
         admin_listen = \"127.0.0.1:{ADMIN_PORT}\"\n\
         machine_listen = \"0.0.0.0:{MACHINE_PORT}\"\n"
    )
}

/// The last lines of a file, as plain text.
pub(super) fn tail(file: &Path, lines: usize) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = plain(&String::from_utf8_lossy(&bytes));
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The text without terminal control sequences (ECMA-48 section 5.4), which firmware sends to its
/// console.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' && characters.next_if_eq(&'[').is_some() {
            // Parameters up to the final byte.
            characters.by_ref().find(|c| ('@'..='~').contains(c));
        } else if character == '\n' || !character.is_control() {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_are_removed_from_a_console() {
        let painted = "\u{1b}[2J\u{1b}[01;01H\u{1b}[0;1miPXE\u{1b}[0m -- \r\nok\u{1b}[";
        assert_eq!(plain(painted), "iPXE -- \nok");
    }
}
