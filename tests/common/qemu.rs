//! A guest without a disk of its own that netboots, mostly through QEMU's user network.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};

use super::netns::Netns;

const QEMU: &str = "qemu-system-x86_64";

/// What a guest with a disk of its own starts with.
pub(crate) enum Firmware<'a> {
    /// SeaBIOS, with QEMU's iPXE as the ROM of each NIC.
    Bios,
    /// OVMF with its own network drivers.
    Uefi {
        /// A copy of OVMF's variable store.
        variables: &'a Path,
        /// Whether it tries IPv6 as well, as it does by default.
        ipv6: bool,
    },
}

/// A NIC of a guest, which is first in the boot order.
#[derive(Clone, Copy)]
pub(crate) struct Nic<'a> {
    /// The tap that it is cabled to.
    pub tap: &'a str,
    /// Its MAC.
    pub mac: &'a str,
}

/// A running guest; ended when dropped.
pub(crate) struct Guest {
    child: Child,
    console: ChildStdout,
    /// Everything that its serial console showed, without colours and cursor movements.
    pub shown: String,
}

impl Guest {
    /// Starts a guest with BIOS whose NIC has Debian's iPXE in ROM; its DHCP
    /// server is QEMU's own and names `script` as the boot file.
    pub(crate) fn bios(mac: &str, script: &str) -> Self {
        Self::start(mac, script, &["-m", "64", "-boot", "n"])
    }

    /// The same with a cable to `tap` in a namespace instead of QEMU's user network.
    pub(crate) fn bios_on_tap(inside: &Netns, tap: &str, mac: &str) -> Self {
        Self::bios_of(inside, tap, mac, "64")
    }

    /// The same with other memory, in MiB.
    pub(crate) fn bios_of(inside: &Netns, tap: &str, mac: &str, mebibytes: &str) -> Self {
        let netdev = format!("tap,id=n,ifname={tap},script=no,downscript=no");
        Self::run(inside.command(QEMU).into(), mac, &netdev, &["-m", mebibytes, "-boot", "n"])
    }

    /// Starts a guest with UEFI that boots each directory in turn as a disk with
    /// `EFI/BOOT/BOOTX64.EFI`. `variables` is a copy of OVMF's variable store.
    pub(crate) fn uefi(mac: &str, script: &str, variables: &Path, disks: &[&Path]) -> Self {
        let code = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
        let variables = format!("if=pflash,format=raw,file={}", variables.display());
        let mut arguments: Vec<String> =
            ["-machine", "q35", "-m", "256", "-drive", code, "-drive", &variables]
                .map(str::to_owned)
                .to_vec();
        for (index, disk) in disks.iter().enumerate() {
            let drive = format!("if=none,format=raw,id=d{index},file=fat:rw:{}", disk.display());
            let device = format!("virtio-blk-pci,drive=d{index},bootindex={index}");
            arguments.extend(["-drive".into(), drive, "-device".into(), device]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self::start(mac, script, &arguments)
    }

    /// Powers on a guest with NICs on taps of a namespace, and `disk` behind them in its boot
    /// order: a file for BIOS, for UEFI a directory.
    pub(crate) fn with_disk(
        inside: &Netns,
        firmware: &Firmware<'_>,
        nics: &[Nic<'_>],
        disk: &Path,
    ) -> Self {
        let mut qemu: Command = inside.command(QEMU).into();
        let disk = match firmware {
            Firmware::Bios => {
                qemu.args(["-m", "512"]);
                format!("file={}", disk.display())
            }
            Firmware::Uefi { variables, ipv6 } => {
                let code = "if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd";
                let variables = format!("if=pflash,format=raw,file={}", variables.display());
                qemu.args(["-machine", "q35", "-m", "1024", "-device", "virtio-rng-pci"]);
                qemu.args(["-drive", code, "-drive", &variables]);
                if !ipv6 {
                    qemu.args(["-fw_cfg", "name=opt/org.tianocore/IPv6Support,string=n"]);
                }
                format!("file=fat:rw:{}", disk.display())
            }
        };
        // The NIC's own ROM has an iPXE for BIOS and one for UEFI; OVMF brings its own driver.
        let rom = if matches!(firmware, Firmware::Bios) { "" } else { ",romfile=" };
        attach(&mut qemu, nics, rom, &disk);
        qemu.arg("-no-reboot");
        Self::spawn(qemu)
    }

    /// Powers on a guest with BIOS and the memory that an installer needs. It restarts when its
    /// system does.
    pub(crate) fn installing(inside: &Netns, nics: &[Nic<'_>], disk: &Path) -> Self {
        let mut qemu: Command = inside.command(QEMU).into();
        // RDRAND: the installer waits minutes for its first random bytes without it.
        qemu.args(["-m", "2048", "-smp", "2", "-cpu", "max"]);
        attach(&mut qemu, nics, "", &format!("file={}", disk.display()));
        Self::spawn(qemu)
    }

    fn start(mac: &str, script: &str, arguments: &[&str]) -> Self {
        let netdev = format!("user,id=n,bootfile={script}");
        Self::run(Command::new(QEMU), mac, &netdev, arguments)
    }

    fn run(mut qemu: Command, mac: &str, netdev: &str, arguments: &[&str]) -> Self {
        qemu.args(["-netdev", netdev])
            .args(["-device", &format!("virtio-net-pci,netdev=n,mac={mac}")])
            .args(arguments)
            .arg("-no-reboot");
        Self::spawn(qemu)
    }

    fn spawn(mut qemu: Command) -> Self {
        let mut child = qemu
            .args(["-accel", "tcg,thread=multi", "-nographic"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let console = child.stdout.take().unwrap();
        Self { child, console, shown: String::new() }
    }

    /// Takes its power away; its disk and taps are free then.
    pub(crate) async fn power_off(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Takes what the console shows within a time.
    pub(crate) async fn look(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        let mut buffer = [0; 4096];
        while let Ok(read) = tokio::time::timeout_at(end, self.console.read(&mut buffer)).await {
            match read {
                Ok(count) if count > 0 => self.shown.push_str(&plain(&buffer[..count])),
                _ => panic!("the guest ended:\n{}", self.shown),
            }
        }
    }

    /// Waits until the console shows all of `texts`, in this order; panics with what it
    /// showed after `limit`, or when the guest ends before.
    pub(crate) async fn wait_for(&mut self, texts: &[&str], limit: Duration) {
        let end = tokio::time::Instant::now() + limit;
        let mut buffer = [0; 4096];
        while let Some(missing) = first_missing(&self.shown, texts) {
            let read = tokio::time::timeout_at(end, self.console.read(&mut buffer)).await;
            match read {
                Ok(Ok(count)) if count > 0 => self.shown.push_str(&plain(&buffer[..count])),
                Ok(_) => panic!("the guest ended without \"{missing}\":\n{}", self.shown),
                Err(_) => panic!("no \"{missing}\" within {limit:?}:\n{}", self.shown),
            }
        }
    }
}

/// NICs on taps, first in the boot order, and a disk behind them.
fn attach(qemu: &mut Command, nics: &[Nic<'_>], rom: &str, disk: &str) {
    for (index, Nic { tap, mac }) in nics.iter().enumerate() {
        let netdev = format!("tap,id=n{index},ifname={tap},script=no,downscript=no");
        let device = format!("virtio-net-pci,netdev=n{index},mac={mac},bootindex={index}{rom}");
        qemu.args(["-netdev", &netdev, "-device", &device]);
    }
    qemu.args(["-drive", &format!("if=none,format=raw,id=d,{disk}")]);
    qemu.args(["-device", "virtio-blk-pci,drive=d,bootindex=9"]);
}

/// The first of `texts` that `shown` does not have behind the one before it.
fn first_missing<'a>(shown: &str, texts: &[&'a str]) -> Option<&'a str> {
    // The console wraps at 80 columns, so line ends do not count.
    let shown = shown.replace(['\r', '\n'], "");
    let mut rest = shown.as_str();
    for text in texts {
        match rest.split_once(text) {
            Some((_, behind)) => rest = behind,
            None => return Some(text),
        }
    }
    None
}

/// Console output without its escape sequences.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\x1b');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let behind = part.trim_start_matches('[');
        let end = behind.find(|c: char| c.is_ascii_alphabetic()).map_or(behind.len(), |at| at + 1);
        plain.push_str(&behind[end..]);
    }
    plain
}
