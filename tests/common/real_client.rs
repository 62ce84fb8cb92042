//! Real DHCP clients in namespaces, which tell of themselves through a hook script.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::dhcp::{PATIENCE, Running, start};
use super::netns::Netns;

/// A script of tests/tools.
pub(crate) fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name)
}

/// A real client that tells of itself through the hook script.
pub(crate) struct RealClient {
    directory: tempfile::TempDir,
    process: Running,
}

impl RealClient {
    /// ISC's dhclient with its leases in a file.
    pub(crate) fn dhclient(inside: &Netns, interface: &str, leases: &Path) -> Self {
        Self::dhclient_with(inside, interface, leases, "dhcp-hook.sh")
    }

    /// The same with another hook script.
    pub(crate) fn dhclient_with(
        inside: &Netns,
        interface: &str,
        leases: &Path,
        hook: &str,
    ) -> Self {
        Self::start(inside, "dhclient", |command, directory| {
            command.args(["-d", "-v", "-cf"]).arg(tool("dhclient.conf"));
            command.arg("-sf").arg(tool(hook));
            // It clears its environment.
            command.arg("-e").arg(format!("HOOK_LOG={}", directory.join("hook").display()));
            command.arg("-lf").arg(leases).arg("-pf").arg(directory.join("pid")).arg(interface);
        })
    }

    /// busybox's udhcpc.
    pub(crate) fn udhcpc(inside: &Netns, interface: &str, words: &[&str]) -> Self {
        Self::start(inside, "busybox", |command, _| {
            command.args(["udhcpc", "-f", "-t", "10", "-T", "1", "-A", "1", "-i", interface]);
            command.arg("-s").arg(tool("dhcp-hook.sh")).args(words);
        })
    }

    /// dhcpcd, whose leases are in `leases`; without a word it runs until it is told to stop.
    pub(crate) fn dhcpcd(inside: &Netns, interface: &str, leases: &Path, words: &[&str]) -> Self {
        Self::start(inside, "unshare", |command, _| {
            command.args(["--mount", "--propagation", "private"]).arg(tool("run-dhcpcd.sh"));
            command.arg(leases).args(["-c".as_ref(), tool("dhcp-hook.sh").as_os_str()]);
            command.args(words).arg(interface);
        })
    }

    /// systemd-networkd on one interface, with more lines of its `.network` file.
    pub(crate) fn networkd(inside: &Netns, interface: &str, more: &str) -> Self {
        Self::start(inside, "unshare", |command, directory| {
            let files = directory.join("files");
            fs::create_dir(&files).unwrap();
            let text = format!(
                "[Match]\nName={interface}\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n{more}\n"
            );
            fs::write(files.join("only.network"), text).unwrap();
            command.args(["--mount", "--propagation", "private"]).arg(tool("run-networkd.sh"));
            command.arg(files);
        })
    }

    fn start(inside: &Netns, program: &str, arguments: impl Fn(&mut Command, &Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = inside.command(program);
        arguments(&mut command, directory.path());
        command.env("HOOK_LOG", directory.path().join("hook"));
        let process = start(&mut command, &directory.path().join("log"));
        Self { directory, process }
    }

    /// What the hook was told, a line each time.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.directory.path().join("hook")).unwrap_or_default()
    }

    /// What the client itself wrote.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the hook was called so often for a reason, and gives the last address.
    pub(crate) fn wait_for(&self, reason: &str, times: usize) -> Ipv4Addr {
        self.wait_long_for(reason, times, PATIENCE)
    }

    /// The same with another patience.
    pub(crate) fn wait_long_for(&self, reason: &str, times: usize, patience: Duration) -> Ipv4Addr {
        let end = Instant::now() + patience;
        loop {
            let said = self.said();
            let of_reason = |line: &&str| line.split(' ').next() == Some(reason);
            let lines: Vec<&str> = said.lines().filter(of_reason).collect();
            if lines.len() >= times {
                let address = lines[lines.len() - 1].split(' ').nth(1).unwrap();
                return address.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
            }
            assert!(Instant::now() < end, "never {reason} {times} times: {said} {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How often the hook was called for a reason so far.
    pub(crate) fn times(&self, reason: &str) -> usize {
        self.said().lines().filter(|line| line.split(' ').next() == Some(reason)).count()
    }

    /// Sends a signal to the client.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.process.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}
