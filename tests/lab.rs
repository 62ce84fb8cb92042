//! Whole boots in the virtual rack, by the command that people type.
//!
//! One rack at a time: a guest on an emulated processor wants a core for itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rackstrap::inventory::Database;

static ONE_RACK: Mutex<()> = Mutex::new(());

/// How long guests may take on a busy machine without KVM, in seconds.
pub(crate) const PATIENCE: &str = "900";

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE_RACK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("lab").args(arguments).stdin(Stdio::null()).stderr(Stdio::piped());
    for name in ["FIRMWARE", "INSTALL", "LAYOUT", "HOSTS", "ONCE"] {
        command.env_remove(name);
    }
    command
}

/// A lab whose lines are read as they come. Killed and cleared up after when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = lab(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that has `what` in it; the lab's own patience bounds the wait.
    pub(crate) fn line_with(&mut self, what: &str) -> String {
        let mut all = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(what) {
                return line;
            }
            all.push(line);
        }
        panic!("the lab ended without \"{what}\":\n{}", all.join("\n"));
    }

    /// The next line; none once it has ended.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        self.lines.next().map(Result::unwrap)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn directory(&self) -> PathBuf {
        Path::new("/run/rackstrap-lab").join(self.child.id().to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is left of the lab that had the process number `lab`.
pub(crate) fn remains(lab: u32) -> Vec<String> {
    let of_it = format!("rackstrap-lab-{lab}-");
    let list = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let mut remains: Vec<String> =
        list.lines().filter(|line| line.starts_with(&of_it)).map(str::to_owned).collect();
    let directory = format!("/run/rackstrap-lab/{lab}");
    if Path::new(&directory).exists() {
        remains.push(directory);
    }
    remains.extend(guests(lab));
    remains
}

/// The command lines of a lab's guests: each names the lab's directory.
fn guests(lab: u32) -> Vec<String> {
    let directory = format!("/run/rackstrap-lab/{lab}/");
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.starts_with("qemu") && line.contains(&directory)).collect()
}

pub(crate) fn output_of(arguments: &[&str]) -> (u32, Output) {
    let child = lab(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let process = child.id();
    (process, child.wait_with_output().unwrap())
}

fn boots(firmware: &str, layout: &str, top: &str) {
    let _alone = alone();
    let arguments = ["--firmware", firmware, "--layout", layout, "--patience", PATIENCE];
    let (process, output) = output_of(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaint}");
    for expected in [
        "Bonding Mode: IEEE 802.3ad Dynamic link aggregation",
        "Number of ports: 2",
        "Partner Mac Address: 52:54:00:5c:01:00",
        "3 received, 0% packet loss",
        "$ curl http://127.0.0.1:",
        "# /etc/systemd/network/05-bond0.netdev",
    ] {
        assert!(text.contains(expected), "no \"{expected}\" in:\n{text}");
    }
    let verdict = format!("r1-n01 is up: 172.16.160.12 on {top}, LACP with 2 ports");
    assert!(text.contains(&verdict), "no \"{verdict}\" in:\n{text}");
    assert_eq!(remains(process), Vec::<String>::new());
}

#[test]
fn a_bios_host_comes_up_on_its_bond_vlan_and_bridge() {
    boots("bios", "bond-vlan-bridge", "virbr0");
}

#[test]
fn a_uefi_host_comes_up_on_its_bond_and_vlan() {
    boots("uefi", "bond-vlan", "vlan500");
}

#[test]
#[ignore = "a whole OVMF boot: make test-full"]
fn a_uefi_host_comes_up_by_http_boot() {
    boots("uefi-http", "bond-vlan-bridge", "virbr0");
}

/// The host asks DHCP by itself, fetches its files by curl, and loses the address again.
fn fetches_its_configuration(firmware: &str) {
    let _alone = alone();
    let arguments = ["--firmware", firmware, "--layout", "bond", "--delivery", "fetch"];
    let arguments = [&arguments[..], &["--patience", PATIENCE]].concat();
    let (process, output) = output_of(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaint}");
    let verdict = "r1-n01 is up: 172.16.160.12 on bond0, LACP with 2 ports";
    assert!(text.contains(verdict), "no \"{verdict}\" in:\n{text}");
    assert_eq!(remains(process), Vec::<String>::new());
}

#[test]
fn a_bios_host_whose_initrds_bring_no_configuration_fetches_it() {
    fetches_its_configuration("bios");
}

#[test]
fn a_uefi_host_whose_initrds_bring_no_configuration_fetches_it() {
    fetches_its_configuration("uefi");
}

/// Every address that was given to a host is in the database under that host's name,
/// once, and stays there.
#[test]
fn a_server_killed_in_a_boot_comes_back_and_the_boot_goes_on() {
    let _alone = alone();
    let mut rack = Running::start(&["--hosts", "2", "--patience", PATIENCE]);
    let line = rack.line_with("server: runs as process ");
    let server: i32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    // Its kernel is on its way now.
    rack.line_with(" script ");
    let directory = rack.directory();
    let before = leases(&directory);
    assert!(!before.is_empty(), "a host has its script and no lease");
    kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();

    rack.line_with("started again as process");
    let mut given: HashMap<String, String> = HashMap::new();
    let mut last = before.clone();
    let mut all = Vec::new();
    for line in rack.lines.by_ref() {
        let line = line.unwrap();
        if let Some((head, rest)) = line.split_once(": ack      given ") {
            let host = head.rsplit(' ').next().unwrap().to_owned();
            let address = rest.split(' ').next().unwrap().to_owned();
            let owner = given.insert(address, host.clone());
            assert!(owner.is_none_or(|owner| owner == host), "given twice: {line}");
        }
        // The database goes with the lab: the last look before that counts.
        if line.contains(": report ") {
            last = leases(&directory);
        }
        all.push(line);
    }
    let status = rack.child.wait().unwrap();
    assert!(status.success(), "{}", all.join("\n"));
    for (address, client) in &before {
        assert_eq!(last.get(address), Some(client), "lease lost: {last:?}");
    }
    assert_eq!(last.len(), 2, "{last:?}");
}

/// The bound leases: client by address.
fn leases(directory: &Path) -> HashMap<String, String> {
    let url = format!("sqlite:{}", directory.join("rackstrap.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::open(&url).await.unwrap();
        let Database::Sqlite(file) = &database else { panic!("not SQLite") };
        const BOUND: &str = "SELECT address, client FROM leases WHERE state = 'bound'";
        let rows: Vec<(String, String)> =
            sqlx::query_as(BOUND).fetch_all(&file.pool).await.unwrap();
        database.close().await;
        rows.into_iter().collect()
    })
}

#[test]
fn a_lab_that_is_asked_to_end_removes_all_it_made() {
    let _alone = alone();
    let mut rack = Running::start(&["--patience", PATIENCE]);
    rack.line_with("powered on");
    rack.signal(Signal::SIGTERM);
    let status = rack.child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(remains(rack.child.id()), Vec::<String>::new());
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it is not so that {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_killed_lab_leaves_the_next_one_removes_and_a_late_host_is_an_error() {
    let _alone = alone();
    let mut rack = Running::start(&["--patience", PATIENCE]);
    rack.line_with("host(s): powered on");
    let killed = rack.child.id();
    wait_until("switch and host run", || guests(killed).len() == 2);
    rack.signal(Signal::SIGKILL);
    rack.child.wait().unwrap();
    wait_until("no guest outlives its lab", || guests(killed).is_empty());

    let (next, output) = output_of(&["--patience", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("r1-n01 is not up: after 1 s"), "{text}");
    assert!(text.contains("cleaned up after"), "{text}");
    assert_eq!(remains(killed), Vec::<String>::new());
    assert_eq!(remains(next), Vec::<String>::new());
}

#[test]
fn a_wrong_word_is_refused_with_the_right_ones() {
    let cases = [
        (["--firmware", "coreboot"], "bios, uefi, uefi-http"),
        (["--layout", "star"], "bond-vlan-bridge, bond-vlan, bond"),
        (["--hosts", "0"], "a number from 1 to 16"),
    ];
    for (arguments, expected) in cases {
        let (_, output) = output_of(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text.contains(expected), "{text}");
    }
}
