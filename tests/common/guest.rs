//! A whole Linux guest with the lab's image and a real systemd. Each NIC of its host has a
//! cable to a port in the namespace `switch` of the same guest, so that one emulated
//! processor runs both ends.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackstrap::bundle::archive::{HostFile, cpio_gz};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How many NICs a host has here, and as many ports its switch.
pub(crate) const NICS: usize = 5;
/// How long a guest may take to boot, and to answer a line, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The guest's own target: udev, and an agent that runs what it is told. Nothing starts
/// networkd but the test.
const UNITS: [(&str, &str); 2] = [
    (
        "proof.target",
        "[Unit]\nRequires=basic.target\nAfter=basic.target\n\
         Wants=systemd-udevd.service systemd-udev-trigger.service proof.service\nAllowIsolate=yes\n",
    ),
    (
        "proof.service",
        "[Unit]\nAfter=systemd-udev-trigger.service\n\n\
         [Service]\nExecStart=/usr/bin/sh /usr/lib/proof/agent\n",
    ),
];

/// Makes the kernel's names those of the files that match by name, and the other end of
/// each cable a port of the switch.
const CABLING: &str = "for module in bonding 8021q bridge vrf dummy vxlan nft_ct nft_nat nft_chain_nat; \
                       do modprobe $module; done; \
                       ip netns add switch; ip -n switch link set lo up; \
                       for port in 0 1 2 3 4; do \
                       ip link set eth$((port + 5)) netns switch name port$port; \
                       ip -n switch link set port$port mtu 9000; done";

/// The kernel and the initramfs of the lab's guests.
pub(crate) struct Image {
    kernel: PathBuf,
    initrd: PathBuf,
}

/// What a guest is made of besides the NICs that are cabled to its own switch.
pub(crate) struct Hardware<'a> {
    /// Its memory in MiB.
    pub mebibytes: u32,
    /// The socket of a cable to another guest, which leads to the last NIC, [`OUTWARD`].
    pub outward: Option<&'a Path>,
}

/// The kernel's name of the NIC whose cable leads to another guest.
pub(crate) const OUTWARD: &str = "eth10";

impl Image {
    /// Another image: an initramfs with systemd and busybox, and a kernel for it.
    pub(crate) fn of(kernel: PathBuf, initrd: PathBuf) -> Self {
        Self { kernel, initrd }
    }

    /// The lab's image, built of this machine's Debian packages or of those that the apt
    /// configuration `apt` is for.
    ///
    /// # Errors
    /// What the lab says if it cannot be built.
    pub(crate) fn build(apt: Option<&Path>) -> Result<Self, String> {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
        lab.args(["lab", "--build-image"]).stdin(Stdio::null());
        if let Some(apt) = apt {
            lab.arg("--cache").arg(apt.with_file_name("lab")).env("APT_CONFIG", apt);
        }
        let output = lab.output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let said = String::from_utf8(output.stdout).unwrap();
        let directory = Path::new(said.lines().last().unwrap()).join("live");
        Ok(Self { kernel: directory.join("vmlinuz"), initrd: directory.join("initrd.img") })
    }
}

impl Image {
    /// The kernel.
    pub(crate) fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// The initramfs, gzip'd.
    pub(crate) fn initrd(&self) -> &Path {
        &self.initrd
    }
}

/// A running guest; ended when dropped.
pub(crate) struct Guest {
    child: Child,
    agent: BufReader<UnixStream>,
    monitor: BufReader<UnixStream>,
    directory: TempDir,
}

impl Guest {
    /// Boots a guest that has `files` besides those of the image.
    pub(crate) fn boot(image: &Image, files: Vec<HostFile>) -> Self {
        Self::boot_with(image, files, &Hardware { mebibytes: 512, outward: None })
    }

    /// The same with other hardware.
    pub(crate) fn boot_with(
        image: &Image,
        mut files: Vec<HostFile>,
        hardware: &Hardware<'_>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in UNITS {
            files.push(file(&format!("/etc/systemd/system/{name}"), text));
        }
        files.push(file("/usr/lib/proof/agent", include_str!("../tools/guest-agent.sh")));
        files.push(file("/usr/lib/proof/reset", include_str!("../tools/guest-reset.sh")));
        let mut initrd = std::fs::read(&image.initrd).unwrap();
        initrd.extend(cpio_gz(&files).unwrap());
        std::fs::write(directory.path().join("initrd"), initrd).unwrap();
        let child = qemu(image, directory.path(), hardware).spawn().unwrap();
        let agent = connect(&directory.path().join("agent"));
        let monitor = connect(&directory.path().join("monitor"));
        let mut guest = Self { child, agent, monitor, directory };
        guest.wait_until_ready();
        guest.command("qmp_capabilities", json!({}));
        guest.ok(CABLING);
        guest
    }

    fn wait_until_ready(&mut self) {
        let mut line = String::new();
        while line.trim_end() != "ready" {
            line.clear();
            let read = self.agent.read_line(&mut line);
            assert!(matches!(read, Ok(1..)), "the guest does not boot: {}", self.console());
        }
    }

    /// Runs a shell line and gives what it printed and its exit status.
    pub(crate) fn run(&mut self, line: &str) -> (String, i32) {
        self.send(line);
        self.answer()
    }

    /// Runs a shell line that must succeed.
    pub(crate) fn ok(&mut self, line: &str) -> String {
        let (printed, status) = self.run(line);
        assert_eq!(status, 0, "{line}: {printed}\n{}", self.console());
        printed
    }

    /// Starts a shell line without waiting for its end.
    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.agent.get_mut(), "{line}").unwrap();
    }

    /// The answer to the line that was sent.
    pub(crate) fn answer(&mut self) -> (String, i32) {
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            if !matches!(self.agent.read_line(&mut line), Ok(1..)) {
                let processor = self.processor();
                panic!("the guest is silent: {printed}\n{}\n{processor}", self.console());
            }
            match line.strip_prefix("ended ") {
                Some(status) => return (printed, status.trim().parse().unwrap()),
                None => printed.push_str(&line),
            }
        }
    }

    /// What `ip -j` says of the host.
    pub(crate) fn ip(&mut self, words: &str) -> Value {
        serde_json::from_str(&self.run(&format!("ip -j {words}")).0).unwrap_or_default()
    }

    /// Plugs the cable of a NIC in or pulls it, at both of its ends.
    pub(crate) fn set_cable(&mut self, nic: usize, up: bool) {
        for end in ["host", "port"] {
            self.command("set_link", json!({"name": format!("{end}{nic}"), "up": up}));
        }
    }

    /// Has QEMU do something (QMP, QEMU Machine Protocol), and gives its answer.
    fn command(&mut self, name: &str, arguments: Value) -> Value {
        let command = json!({"execute": name, "arguments": arguments});
        writeln!(self.monitor.get_mut(), "{command}").unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.monitor.read_line(&mut line).unwrap(), 0, "QEMU ended");
            let mut answer: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(answer["error"], Value::Null, "{command}");
            if let Some(said) = answer.get_mut("return") {
                return said.take();
            }
        }
    }

    /// Where the processor is, twice: whether it runs, halts or turns in a circle.
    fn processor(&mut self) -> String {
        let looks = [(); 2].map(|()| {
            std::thread::sleep(Duration::from_millis(500));
            self.command("human-monitor-command", json!({"command-line": "info registers"}))
        });
        looks
            .map(|look| {
                look.as_str().unwrap_or_default().lines().take(6).collect::<Vec<_>>().join("\n")
            })
            .join("\n")
    }

    fn console(&self) -> String {
        let text = std::fs::read(self.directory.path().join("console")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file for the guest.
pub(crate) fn file(path: &str, text: &str) -> HostFile {
    HostFile { path: path.to_owned(), mode: 0o644, text: text.to_owned() }
}

/// The guest's processor counts its own time, 2 ns an instruction: a machine that is busy
/// with other things makes the test slower, and not the figures that it prints.
fn qemu(image: &Image, directory: &Path, hardware: &Hardware<'_>) -> Command {
    let place = |name: &str| directory.join(name).display().to_string();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "nice", "-n", "5", "qemu-system-x86_64"]);
    // QEMU 7.2 leaves wrong flags behind cmpxchg16b. An interrupt just there saves them, and
    // the kernel dies of a double fault when it returns: in two of some ten runs.
    command.args(["-accel", "tcg", "-cpu", "max,cx16=off", "-icount", "shift=1"]);
    command.args(["-m", &hardware.mebibytes.to_string()]);
    command.args(["-machine", "q35,graphics=off", "-display", "none", "-nodefaults", "-no-reboot"]);
    command.args(["-serial", &format!("file:{}", place("console"))]);
    for (name, device) in [("agent", "-serial"), ("monitor", "-qmp")] {
        command.args([device, &format!("unix:{},server=on,wait=off", place(name))]);
    }
    for (end, byte, nic) in cable_ends() {
        let netdev = format!("hubport,hubid={nic},id=cable-{end}{nic}");
        let mac = format!("52:54:00:{byte:02x}:00:{:02x}", nic + 1);
        // LACP joins only ports that have a speed, which virtio-net does not have by itself.
        let device = format!(
            "virtio-net-pci,id={end}{nic},netdev=cable-{end}{nic},mac={mac},\
             speed=25000,duplex=full,host_mtu=9000,romfile="
        );
        command.args(["-netdev", &netdev, "-device", &device]);
    }
    if let Some(socket) = hardware.outward {
        let (netdev, device) = outward(socket, true, "52:54:00:cc:00:01");
        command.args(["-netdev", &netdev, "-device", &device]);
    }
    command.args(["-device", "virtio-rng-pci"]).arg("-kernel").arg(&image.kernel);
    command.arg("-initrd").arg(place("initrd"));
    let cmdline = "console=ttyS0 quiet cryptomgr.notests net.ifnames=0 systemd.unit=proof.target";
    command.args(["-append", cmdline]).stdin(Stdio::null()).stdout(Stdio::null());
    // That a cable leads to no network of this machine is meant, and QEMU warns of it.
    command.stderr(Stdio::null());
    command
}

/// The netdev and the NIC of one end of a cable between two guests; the one that listens is powered on
/// first.
pub(crate) fn outward(socket: &Path, listens: bool, mac: &str) -> (String, String) {
    let server = if listens { "on" } else { "off" };
    let socket = socket.display();
    (
        format!("stream,id=outward,server={server},addr.type=unix,addr.path={socket}"),
        format!("virtio-net-pci,netdev=outward,mac={mac},romfile="),
    )
}

/// The ends of all cables: whose it is, the MAC's byte, and which cable. The host's come
/// first, so that the kernel calls them eth0 and on.
fn cable_ends() -> impl Iterator<Item = (&'static str, u8, usize)> {
    let ends = [("host", 0xaa), ("port", 0xbb)];
    ends.into_iter().flat_map(|(end, byte)| (0..NICS).map(move |nic| (end, byte, nic)))
}

fn connect(socket: &Path) -> BufReader<UnixStream> {
    let end = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return BufReader::new(stream);
            }
            Err(error) if Instant::now() > end => panic!("QEMU does not start: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
