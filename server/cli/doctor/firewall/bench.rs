//! Two network namespaces with a cable between them, and programs that run in them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsRawFd;
use std::process::{Command, Output, Stdio};

use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CloneFlags, setns, unshare};

use super::TestError;

/// The client's interface.
pub(super) const CLIENT: &str = "c0";

/// A network namespace without a name: it is gone as soon as nothing holds it.
pub(super) struct Namespace(File);

impl Namespace {
    fn new() -> io::Result<Self> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map(Self)
        })
    }

    /// Its path, for programs of this process.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Does `work` inside. Sockets that it makes stay there, and so do programs it starts.
    pub(super) fn run<T: Send, E: Send + From<io::Error>>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        on_thread(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
            work()
        })
    }
}

/// Does `work` on a thread that ends with it, because a thread changes its namespace for good.
fn on_thread<T: Send, E: Send + From<io::Error>>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let done = scope.spawn(work).join();
        done.unwrap_or_else(|_| Err(io::Error::other("a thread panicked").into()))
    })
}

/// Runs a program to its end with `input` as its standard input.
pub(super) fn run(
    program: &'static str,
    arguments: &[&str],
    input: &str,
) -> Result<Output, TestError> {
    let mut child = spawn(program, arguments)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says why by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output);
    }
    let command = [&[program], arguments].concat().join(" ");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.lines().next().unwrap_or("no message").trim().to_owned();
    Err(TestError::Failed { command, stderr })
}

pub(super) fn spawn(
    program: &'static str,
    arguments: &[&str],
) -> Result<std::process::Child, TestError> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    child.map_err(|error| match error.kind() {
        ErrorKind::NotFound => TestError::NoProgram { program },
        _ => error.into(),
    })
}

/// The test network of one served interface.
pub(super) struct Bench {
    pub(super) server: Namespace,
    pub(super) client: Namespace,
    pub(super) interface: String,
    /// The first address of the interface.
    pub(super) net: Ipv4Net,
}

impl Bench {
    /// The server's side has the interface with its addresses, and the other interfaces of this
    /// machine by name, for rules that name one. A bridge has its first port.
    pub(super) fn new(interface: &str, nets: &[Ipv4Net]) -> Result<Self, TestError> {
        if let Ok(master) = fs::read_link(format!("/sys/class/net/{interface}/master")) {
            let master = master.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(TestError::Enslaved { master });
        }
        let bench = Self {
            server: Namespace::new()?,
            client: Namespace::new()?,
            interface: interface.to_owned(),
            net: nets[0],
        };
        let port = first_port(interface);
        let cable = port.as_deref().unwrap_or(interface);
        let mut server = String::from("link set lo up\n");
        let peer = bench.client.path();
        let _ = writeln!(server, "link add {cable} type veth peer name {CLIENT} netns {peer}");
        if let Some(port) = &port {
            let _ = writeln!(server, "link add {interface} type bridge");
            let _ = writeln!(server, "link set {port} master {interface} up");
        }
        let others = getifaddrs().map_err(io::Error::from)?.map(|entry| entry.interface_name);
        for (number, other) in others.collect::<BTreeSet<_>>().iter().enumerate() {
            if other != interface && other != cable && other != "lo" {
                let end = format!("type veth peer name n{number} netns {peer}");
                let _ = writeln!(server, "link add {other} {end}");
            }
        }
        for net in nets {
            let _ = writeln!(server, "address add {net} dev {interface}");
        }
        let _ = writeln!(server, "link set {interface} up");
        let client = format!(
            "link set lo up\nlink set {CLIENT} up\nroute add default dev {CLIENT} scope link\n"
        );
        bench.server.run(|| run("ip", &["-batch", "-"], &server))?;
        bench.client.run(|| run("ip", &["-batch", "-"], &client))?;
        Ok(bench)
    }
}

/// A port of a bridge; none where the interface is not a bridge or has no port.
fn first_port(interface: &str) -> Option<String> {
    let ports = fs::read_dir(format!("/sys/class/net/{interface}/brif")).ok()?;
    let names = ports.flatten().map(|port| port.file_name().to_string_lossy().into_owned());
    names.min()
}
