//! A real systemd-networkd, of this machine or of another Debian release, that runs in a
//! namespace on the files of a site's host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackstrap::model::{Mac, NicAddress};
use rackstrap::network::{File, Format, HostNetwork, render_host};
use rackstrap::profile::ResolvedSite;
use serde_json::Value;

use super::kernel::Kernel;
use super::netns::Netns;
use crate::golden;

/// How long networkd may take to read its files, and to bring links up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The systemd of one Debian release.
#[derive(Clone, Debug)]
pub(crate) struct Systemd {
    /// Its version, such as 252.
    pub version: u16,
    /// The tree that it lies in; none for this machine's own.
    pub tree: Option<PathBuf>,
}

impl Systemd {
    /// This machine's own.
    pub(crate) fn here() -> Self {
        let output = Command::new("systemctl").arg("--version").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let version = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        Self { version, tree: None }
    }

    /// One that `tests/tools/get-trees.sh` has unpacked; none where it could not.
    pub(crate) fn unpacked(version: u16) -> Option<Self> {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/trees");
        let tree = trees.join(version.to_string());
        tree.exists().then_some(Self { version, tree: Some(tree) })
    }
}

/// A running systemd-networkd in a namespace that has the host's NICs as veth pairs.
pub(crate) struct Networkd {
    process: Child,
    inside: Netns,
    outside: Netns,
    directory: tempfile::TempDir,
}

impl Networkd {
    /// Starts networkd on the files of the site's host.
    pub(crate) fn start(systemd: &Systemd, site: &ResolvedSite) -> Self {
        Self::start_with(systemd, site, |_, text| text)
    }

    /// Starts networkd on the files of the site's host, each changed by `edit`.
    pub(crate) fn start_with(
        systemd: &Systemd,
        site: &ResolvedSite,
        edit: impl Fn(&str, String) -> String,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        fs::create_dir(&files).unwrap();
        let rendered = render_host(site, golden::HOST, Format::Networkd).unwrap();
        let mut nics = site.hosts[golden::HOST].nics.values();
        let has_infiniband = nics.any(|nic| nic.address.is_infiniband());
        // Beside them, where the script looks for networkd's own settings.
        let settings = directory.path().join("files.conf");
        fs::create_dir(&settings).unwrap();
        for file in rendered {
            if file.directory.as_deref() == Some("/etc/systemd/networkd.conf.d") {
                fs::write(settings.join(&file.name), &file.text).unwrap();
            }
            if file.directory.as_deref() != Format::Networkd.directory() {
                continue;
            }
            // What readers see in place of a key is none, and networkd looks at the keys of MACsec.
            let digits = format!("{}\n", "0123456789abcdef".repeat(2));
            let is_key = file.text.starts_with("<key of ") || file.text.starts_with("<secret ");
            let file = if is_key { File { text: digits, ..file } } else { file };
            let by_name = matching_by_name(site, file.text.clone());
            if has_infiniband && by_name != file.text {
                // It matches no link here, and is read all the same.
                fs::write(files.join(format!("zz-{}", file.name)), &file.text).unwrap();
            }
            let text = edit(&file.name, by_name);
            fs::write(files.join(&file.name), text).unwrap();
        }
        let (inside, outside) = (Netns::new("networkd"), Netns::new("switch"));
        for (label, nic) in &site.hosts[golden::HOST].nics {
            // A veth stands for a port of InfiniBand, whose files find it by its name here.
            let guid = || match nic.address.identity() {
                NicAddress::Guid([.., a, b, c]) => Mac([2, 0, 0, a, b, c]),
                other => panic!("{other}"),
            };
            add_nic(&inside, &outside, label, nic.mac().unwrap_or_else(guid));
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/run-networkd.sh");
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let process = Command::new("ip")
            .args(["netns", "exec", &inside.name])
            .args(["unshare", "--mount", "--propagation", "private"])
            .arg(script)
            .arg(files)
            .args(&systemd.tree)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { process, inside, outside, directory }
    }

    /// The host's own namespace.
    pub(crate) fn inside(&self) -> &Netns {
        &self.inside
    }

    /// What the host is cabled to: the other end of NIC `eth0` is `p-eth0`.
    pub(crate) fn outside(&self) -> &Netns {
        &self.outside
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Waits until networkd has read all its files.
    pub(crate) fn wait_until_files_are_read(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains("Enumeration completed") {
            assert!(Instant::now() < end, "networkd does not get ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the kernel has the links, addresses, routes and rules of the model.
    pub(crate) fn wait_until_as_modelled(&self, network: &HostNetwork) {
        let end = Instant::now() + PATIENCE;
        loop {
            let wrong = Kernel::read(|words| self.ip(words)).differences(network);
            if wrong.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "not as modelled: {wrong:#?}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What `ip -j` says inside.
    pub(crate) fn ip(&self, words: &str) -> Value {
        let mut ip = self.inside.command("ip");
        let output = ip.arg("-j").args(words.split(' ')).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// networkd words every rejected line as `FILE:LINE: ...`, and every rejected file
    /// or section as `FILE: ...`.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.log();
        let about_a_file = |line: &&str| {
            line.split_once(": ").is_some_and(|(file, _)| file.contains("/systemd/network/"))
        };
        // What a newer one says of a file that it likes.
        let praise = |line: &&str| line.ends_with(": Successfully loaded.");
        let complaints = log.lines().filter(about_a_file).filter(|line| !praise(line));
        complaints.map(str::to_owned).collect()
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A veth has no permanent MAC, and a match on the current one would catch the bridge
/// that bears it as well: in the test's copy alone, NICs are matched by name.
fn matching_by_name(site: &ResolvedSite, text: String) -> String {
    let nics = site.hosts[golden::HOST].nics.iter();
    nics.fold(text, |text, (label, mac)| {
        text.replace(&format!("PermanentMACAddress={mac}"), &format!("Name={label}"))
    })
}

fn add_nic(inside: &Netns, outside: &Netns, label: &str, mac: Mac) {
    let peer = format!("p-{label}");
    inside.ip(&format!(
        "link add {label} address {mac} type veth peer {peer} netns {}",
        outside.name
    ));
    outside.ip(&format!("link set {peer} up"));
}
