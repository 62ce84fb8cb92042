//! QEMU command lines of the hosts and the switch.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::fabric::{self, Fabric, PORTS};
use super::rack::RackPlan;
use super::scenario::Scenario;
use super::{sample_site, switch};
use crate::live::GuestImage;

const QEMU: &str = "qemu-system-x86_64";
/// OVMF, and its default variables.
const UEFI: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const UEFI_SETTINGS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// How long a kernel may take to panic without a root, if KVM works.
const PROBE: Duration = Duration::from_secs(8);

/// Firmware of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Firmware {
    /// BIOS; the NIC's ROM is an iPXE
    Bios,
    /// UEFI, PXE over TFTP
    Uefi,
    /// UEFI HTTP Boot
    UefiHttp,
}

/// Accelerator of QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation, several times slower.
    Tcg,
}

impl Accelerator {
    /// KVM if a kernel boots with it: `/dev/kvm` can open on systems that cannot run guests.
    pub(super) async fn probe(image: &GuestImage) -> Self {
        let may_open = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
        if may_open && boots_on_kvm(image).await { Self::Kvm } else { Self::Tcg }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "qemu64"],
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG, because KVM does not work here",
        })
    }
}

/// Boots a kernel without a root file system: it panics, and QEMU exits.
async fn boots_on_kvm(image: &GuestImage) -> bool {
    let mut command = Command::new(QEMU);
    command.args(Accelerator::Kvm.arguments()).args(MACHINE).args([
        "-m",
        "256",
        "-serial",
        "stdio",
        "-no-reboot",
    ]);
    command.arg("-kernel").arg(image.kernel()).args(["-append", "console=ttyS0 panic=-1"]);
    command.kill_on_drop(true);
    let Ok(Ok(output)) = timeout(PROBE, command.output()).await else { return false };
    String::from_utf8_lossy(&output.stdout).contains("Kernel panic - not syncing: VFS")
}

/// Flags of every guest: no screen. `graphics=off` makes firmware use the serial port.
const MACHINE: &[&str] = &["-machine", "q35,graphics=off", "-display", "none", "-nodefaults"];

/// A NIC with its tap, MAC address and boot order.
struct Nic {
    tap: String,
    mac: String,
    boot_index: Option<usize>,
    /// Whether it is one that servers have.
    is_e1000e: bool,
}

/// Starts the switch, with its files as a second initrd.
pub(super) fn start_switch(
    fabric: &Fabric,
    image: &GuestImage,
    plan: &RackPlan,
    directory: &Path,
) -> anyhow::Result<Child> {
    let mut initrd = fs::read(image.initrd())?;
    initrd.extend(crate::bundle::archive::cpio_gz(&switch::files(plan.layout, plan.hosts))?);
    let path = directory.join("switch.img");
    fs::write(&path, initrd)?;
    let mut nics = vec![Nic {
        tap: fabric::SWITCH_UPLINK.to_owned(),
        mac: switch::UPLINK_MAC.to_owned(),
        boot_index: None,
        is_e1000e: false,
    }];
    for host in 1..=plan.hosts {
        nics.extend((0..PORTS).map(|port| Nic {
            tap: fabric::switch_tap(host, port),
            mac: switch::port_mac(host, port),
            boot_index: None,
            is_e1000e: false,
        }));
    }
    let mut command = qemu(fabric, plan.accelerator, "384", &directory.join("switch.console"));
    command.arg("-no-reboot").arg("-kernel").arg(image.kernel()).arg("-initrd").arg(path);
    command.args(["-append", switch::CMDLINE]);
    for nic in nics {
        command.args(nic_arguments(&nic, ",romfile="));
    }
    command.spawn().context("cannot run QEMU")
}

/// Powers on a host: firmware, two NICs and its disks.
pub(super) fn start_host(
    fabric: &Fabric,
    plan: &RackPlan,
    host: usize,
    directory: &Path,
    disks: &[PathBuf],
) -> anyhow::Result<Child> {
    let console = console(directory, host);
    let memory = if plan.install.is_some() { "1024" } else { "768" };
    let mut command = qemu(fabric, plan.accelerator, memory, &console);
    command.args(["-smp", "1"]);
    let is_server = plan.scenario == Some(Scenario::ServerHardware);
    match plan.install {
        Some(_) => {
            for (number, disk) in disks.iter().enumerate() {
                let drive = format!(
                    "if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,file={}",
                    disk.display()
                );
                let serial = match disk.extension().is_some_and(|name| name == "disk2") {
                    false => format!("LAB{host:02}"),
                    true => format!("LAB{host:02}-2"),
                };
                let boot_index = 9 + number;
                let kind = match (is_server, number) {
                    (false, _) => "virtio-blk-pci",
                    (true, 0) => "nvme",
                    // On the machine's own AHCI.
                    (true, _) => "ide-hd,bus=ide.0",
                };
                let device =
                    format!("{kind},drive=disk{number},serial={serial},bootindex={boot_index}");
                command.args(["-drive", &drive, "-device", &device]);
            }
        }
        None => {
            command.arg("-no-reboot");
        }
    }
    let rom = match plan.firmware {
        Firmware::Bios => "",
        Firmware::Uefi | Firmware::UefiHttp => {
            let settings = directory.join(format!("{}.vars", sample_site::host_name(host)));
            // A host that is powered on again has its own.
            if !settings.exists() {
                fs::copy(UEFI_SETTINGS, &settings).context("cannot copy the UEFI variables")?;
            }
            command.args(["-drive", &format!("if=pflash,format=raw,readonly=on,file={UEFI}")]);
            command.args(["-drive", &format!("if=pflash,format=raw,file={}", settings.display())]);
            // Without the option ROM of the NIC, which is iPXE, UEFI's network stack boots. It has a
            // driver for virtio only.
            if is_server { "" } else { ",romfile=" }
        }
    };
    if plan.firmware == Firmware::UefiHttp {
        for family in ["IPv4", "IPv6"] {
            command.args(["-fw_cfg", &format!("opt/org.tianocore/{family}PXESupport,string=n")]);
        }
    }
    for port in 0..PORTS {
        let nic = Nic {
            tap: fabric::host_tap(host, port),
            mac: sample_site::host_mac(host, port),
            boot_index: Some(port),
            is_e1000e: is_server,
        };
        command.args(nic_arguments(&nic, rom));
    }
    command.spawn().context("cannot run QEMU")
}

/// A guest that stands still until this is dropped.
pub(super) struct Paused(Option<Pid>);

impl Paused {
    pub(super) fn new(guest: &Child) -> Self {
        let process = guest.id().and_then(|process| Some(Pid::from_raw(process.try_into().ok()?)));
        Self(process.filter(|process| kill(*process, Signal::SIGSTOP).is_ok()))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Some(process) = self.0 {
            let _ = kill(process, Signal::SIGCONT);
        }
    }
}

/// The log of a host's serial console.
pub(super) fn console(directory: &Path, host: usize) -> PathBuf {
    directory.join(format!("{}.console", sample_site::host_name(host)))
}

fn qemu(fabric: &Fabric, accelerator: Accelerator, memory: &str, console: &Path) -> Command {
    let mut command = fabric.cables.command(QEMU);
    command.args(accelerator.arguments()).args(MACHINE).args(["-m", memory]);
    let mut serial = OsString::from("file:");
    serial.push(console);
    command.arg("-serial").arg(serial).args(["-device", "virtio-rng-pci"]);
    command
}

fn nic_arguments(nic: &Nic, rom: &str) -> Vec<String> {
    let Nic { tap, mac, boot_index, is_e1000e } = nic;
    let boot = boot_index.map_or_else(String::new, |index| format!(",bootindex={index}"));
    // LACP needs ports with a speed, which virtio-net does not have by default.
    let kind = if *is_e1000e { "e1000e" } else { "virtio-net-pci,speed=25000,duplex=full" };
    let device = format!("{kind},netdev={tap},mac={mac}{boot}{rom}");
    let netdev = format!("tap,id={tap},ifname={tap},script=no,downscript=no");
    vec!["-netdev".to_owned(), netdev, "-device".to_owned(), device]
}
