//! Network namespaces that a test makes and removes.

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A network namespace with loopback up; gone when dropped.
pub(crate) struct Netns {
    /// Its name, for `ip netns exec`.
    pub name: String,
}

impl Netns {
    /// Makes a namespace with a name nobody else has.
    pub(crate) fn new(what: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rs{}-{number}-{what}", std::process::id());
        run(&["ip", "netns", "add", &name]);
        let ns = Self { name };
        ns.ip("link set lo up");
        ns
    }

    /// Runs `ip WORDS` inside; panics with its output if it fails.
    pub(crate) fn ip(&self, words: &str) {
        let mut arguments = vec!["ip", "-n", &self.name];
        arguments.extend(words.split_whitespace());
        run(&arguments);
    }

    /// A command that will run inside the namespace.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).stdin(Stdio::null());
        command
    }

    /// Runs a shell line inside and gives what it printed.
    pub(crate) fn sh(&self, line: &str) -> Output {
        self.command("sh").args(["-c", line]).output().unwrap()
    }

    /// Runs `work` on a thread inside the namespace; sockets that it makes stay there.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }

    /// Adds a bridge with `address` (10.0.0.1/24), and sets it up. Its MAC address is its own: that of a
    /// bridge without one is the lowest of its ports' and changes with them, and whoever is behind
    /// another port then sends to nobody until its neighbour cache forgets the old one (60 s of TCP).
    pub(crate) fn bridge(&self, name: &str, address: &str) {
        let [high, low] = (NEXT.fetch_add(1, Ordering::Relaxed) as u16).to_be_bytes();
        self.ip(&format!("link add {name} address 02:72:73:00:{high:02x}:{low:02x} type bridge"));
        self.ip(&format!("address add {address} dev {name}"));
        self.ip(&format!("link set {name} up"));
    }

    /// Joins two namespaces by a veth pair with the given names; both ends are set up.
    pub(crate) fn join(&self, name: &str, other: &Self, other_name: &str) {
        run(&[
            "ip",
            "link",
            "add",
            name,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            other_name,
            "netns",
            &other.name,
        ]);
        self.ip(&format!("link set {name} up"));
        other.ip(&format!("link set {other_name} up"));
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Runs a command and panics with its output unless it succeeds.
pub(crate) fn run(arguments: &[&str]) -> String {
    let output = Command::new(arguments[0]).args(&arguments[1..]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Moves the calling thread, and the threads that it starts, into a namespace.
pub(crate) fn enter(name: &str) {
    let namespace = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
}
