//! What makes an image a host: its size, its identity, its network, its report; then its boot entry.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::tools::{self, Mounted};
use super::{About, DeployError};
use crate::deploy::boot_order;
use crate::deploy::disk::Disk;
use crate::deploy::partitions::{self, Layout, Partition};
use crate::deploy::{Plan, PlanFile};

/// Where the installed system is mounted.
const ROOT: &str = "/run/rackstrap/root";
const ESP: &str = "/run/rackstrap/esp";
/// The report of the installed system: a unit, its program, and where it reports to.
const UNIT: &str = include_str!("report.service");
const PROGRAM: &str = include_str!("../live/guest/rackstrap-report.sh");
/// What a firmware starts from a disk without a boot entry (UEFI specification section 3.5.1.1).
const REMOVABLE: [&str; 2] = ["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/BOOTAA64.EFI"];

/// Makes the image on the disk this host's own. What could not be done and prevents no boot is a
/// warning.
pub(super) fn configure(
    disk: &Disk,
    plan: &Plan,
    url: &str,
    mac: &str,
) -> Result<Vec<String>, DeployError> {
    let mut warnings = Vec::new();
    tools::reread(disk)?;
    let layout = layout(disk)?;
    grow(disk, &layout, &mut warnings)?;
    {
        let kind = file_system(&layout.root)?;
        let _mounted = Mounted::new(&layout.root.node, Path::new(ROOT), &kind)?;
        grow_mounted(&kind, &mut warnings);
        write_system(plan, url, mac)?;
    }
    nix::unistd::sync();
    Ok(warnings)
}

/// Makes the firmware boot the disk. What prevents no boot is a warning.
pub(super) fn add_boot(disk: &Disk, host: &str) -> Result<Vec<String>, DeployError> {
    let mut warnings = Vec::new();
    let layout = layout(disk)?;
    if let Some(esp) = &layout.esp {
        check_esp(esp)?;
        if Path::new("/sys/firmware/efi").exists()
            && let Err(error) = add_boot_entry(disk, esp, host)
        {
            warnings.push(format!("no boot entry: {error}; the disk boots by its removable path"));
        }
    } else if Path::new("/sys/firmware/efi").exists() {
        warnings.push("the image has no EFI system partition, and this host boots by UEFI".into());
    }
    nix::unistd::sync();
    Ok(warnings)
}

fn layout(disk: &Disk) -> Result<Layout, DeployError> {
    let device = tools::device(disk).display().to_string();
    Ok(partitions::read(&tools::run(&["sfdisk", "--json", &device])?)?)
}

/// Lets the last partition take the rest of the disk, and its ext4 file system with it.
fn grow(disk: &Disk, layout: &Layout, warnings: &mut Vec<String>) -> Result<(), DeployError> {
    let device = tools::device(disk).display().to_string();
    if layout.is_gpt {
        // The backup is where the image ended: programs refuse the disk, or stop growing there.
        tools::run(&["sfdisk", "--quiet", "--relocate", "gpt-bak-std", &device])?;
    }
    if layout.root_is_last {
        let words = ["sfdisk", "--quiet", "--no-reread", "-N", layout.root.number(), &device];
        tools::output(&words, ",+\n", &[0])?;
    } else {
        warnings.push("the root partition is not the last one, so it keeps its size".into());
    }
    tools::reread(disk)?;
    if file_system(&layout.root)? == "ext4" {
        let node = layout.root.node.as_str();
        // 1: errors were corrected.
        tools::output(&["e2fsck", "-f", "-p", node], "", &[0, 1])?;
        tools::run(&["resize2fs", node])?;
    }
    Ok(())
}

/// Grows a file system that has to be mounted for it.
fn grow_mounted(kind: &str, warnings: &mut Vec<String>) {
    let words: &[&str] = match kind {
        "xfs" => &["xfs_growfs", ROOT],
        "btrfs" => &["btrfs", "filesystem", "resize", "max", ROOT],
        _ => return,
    };
    if let Err(error) = tools::run(words) {
        warnings.push(format!("the root file system keeps its size: {error}"));
    }
}

fn file_system(partition: &Partition) -> Result<String, DeployError> {
    let words = ["blkid", "-p", "-o", "value", "-s", "TYPE", &partition.node];
    Ok(tools::run(&words)?.trim().to_owned())
}

/// A path of the installed system. Its own symbolic links must not lead into the live system.
fn inside(path: &str) -> Result<PathBuf, DeployError> {
    let mut place = PathBuf::from(ROOT);
    for part in Path::new(path).components().filter_map(|part| match part {
        std::path::Component::Normal(name) => Some(name),
        _ => None,
    }) {
        place.push(part);
        if let Ok(target) = fs::read_link(&place) {
            let mut relative = PathBuf::from(ROOT);
            if target.is_absolute() {
                relative.extend(target.strip_prefix("/").ok());
            } else {
                relative = place.parent().unwrap_or_else(|| Path::new(ROOT)).join(target);
            }
            place = relative;
        }
    }
    Ok(place)
}

fn write(path: &str, mode: u32, text: &str) -> Result<(), DeployError> {
    let directory = Path::new(path).parent().unwrap_or_else(|| Path::new("/"));
    let directory = inside(&directory.to_string_lossy())?;
    fs::create_dir_all(&directory).about(directory.display())?;
    let place = directory.join(Path::new(path).file_name().unwrap_or_default());
    let _ = fs::remove_file(&place);
    fs::write(&place, text).about(place.display())?;
    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).about(place.display())
}

fn write_system(plan: &Plan, url: &str, mac: &str) -> Result<(), DeployError> {
    let Plan { host, files, .. } = plan;
    write("/etc/hostname", 0o644, &format!("{host}\n"))?;
    let hosts = inside("/etc/hosts")?;
    let known = fs::read_to_string(&hosts).unwrap_or_default();
    if !known.lines().any(|line| line.split_whitespace().skip(1).any(|name| name == host)) {
        let line = if known.is_empty() { "127.0.0.1 localhost\n" } else { known.as_str() };
        write("/etc/hosts", 0o644, &format!("127.0.1.1 {host}\n{line}"))?;
    }
    // Hosts with one machine-id have one DUID, and get one address.
    write("/etc/machine-id", 0o444, &format!("{}\n", random_hex()?))?;
    let dbus = inside("/var/lib/dbus/machine-id")?;
    if dbus.is_file() && !dbus.is_symlink() {
        fs::remove_file(&dbus).about(dbus.display())?;
    }
    for PlanFile { path, mode, text } in files {
        write(path, *mode, text)?;
    }
    enable("systemd-networkd.service")?;
    write(
        "/etc/rackstrap/report.env",
        0o644,
        &format!("RACKSTRAP_URL={url}\nRACKSTRAP_MAC={mac}\n"),
    )?;
    write("/usr/local/lib/rackstrap/report", 0o755, PROGRAM)?;
    write("/etc/systemd/system/rackstrap-report.service", 0o644, UNIT)?;
    enable("rackstrap-report.service")?;
    new_ssh_keys()?;
    if inside("/etc/selinux/config")?.exists() {
        // The live system knows no SELinux, so what it wrote has no labels.
        write("/.autorelabel", 0o644, "")?;
    }
    Ok(())
}

/// Starts a unit at every boot, if the image has it.
fn enable(unit: &str) -> Result<(), DeployError> {
    let places = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    let mut found = None;
    for place in places {
        let path = format!("{place}/{unit}");
        if inside(&path)?.exists() {
            found = Some(path);
            break;
        }
    }
    let Some(target) = found else { return Ok(()) };
    let wants = inside("/etc/systemd/system/multi-user.target.wants")?;
    fs::create_dir_all(&wants).about(wants.display())?;
    let link = wants.join(unit);
    if !link.is_symlink() {
        symlink(target, &link).about(link.display())?;
    }
    Ok(())
}

/// Host keys of its own, if the image has an SSH server: those of an image are everybody's.
fn new_ssh_keys() -> Result<(), DeployError> {
    let directory = inside("/etc/ssh")?;
    if !inside("/usr/sbin/sshd")?.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&directory).about(directory.display())?.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            fs::remove_file(entry.path()).about(entry.path().display())?;
        }
    }
    for kind in ["ecdsa", "ed25519"] {
        let key = directory.join(format!("ssh_host_{kind}_key")).display().to_string();
        tools::run(&["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "root@host", "-f", &key])?;
    }
    Ok(())
}

fn random_hex() -> Result<String, DeployError> {
    let mut bytes = [0; 16];
    let source = "/dev/urandom";
    fs::File::open(source).about(source)?.read_exact(&mut bytes).about(source)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The disk has to boot without an entry: firmware loses entries.
fn check_esp(esp: &Partition) -> Result<(), DeployError> {
    let _ = tools::output(&["modprobe", "-q", "-a", "nls_cp437", "nls_ascii"], "", &[0, 1]);
    let _mounted = Mounted::new(&esp.node, Path::new(ESP), "vfat")?;
    let has = |path: &str| Path::new(ESP).join(path).exists();
    if REMOVABLE.iter().any(|path| has(path)) {
        return Ok(());
    }
    let missing = std::io::Error::other("the image has no boot loader there");
    Err(missing).about(REMOVABLE[0])
}

/// Adds the disk to the firmware's boot order behind the network, and reads it back.
fn add_boot_entry(disk: &Disk, esp: &Partition, host: &str) -> Result<(), DeployError> {
    let _ = tools::output(&["modprobe", "-q", "efivarfs"], "", &[0, 1]);
    let variables = Path::new("/sys/firmware/efi/efivars");
    let _mounted = match fs::read_dir(variables).is_ok_and(|mut entries| entries.next().is_some()) {
        true => None,
        false => Some(Mounted::new("efivarfs", variables, "efivarfs")?),
    };
    let label = format!("rackstrap {host}");
    for number in boot_order::read(&tools::run(&["efibootmgr"])?).labelled(&label) {
        tools::run(&["efibootmgr", "-q", "-b", &number, "-B"])?;
    }
    let device = tools::device(disk).display().to_string();
    let loader = if cfg!(target_arch = "aarch64") { "BOOTAA64" } else { "BOOTX64" };
    let loader = format!("\\EFI\\BOOT\\{loader}.EFI");
    let words =
        ["efibootmgr", "-q", "-C", "-d", &device, "-p", esp.number(), "-L", &label, "-l", &loader];
    tools::run(&words)?;
    let missing =
        |what: &str| Err(std::io::Error::other("the firmware did not keep it")).about(what);
    let entries = boot_order::read(&tools::run(&["efibootmgr"])?);
    let Some(new) = entries.labelled(&label).pop() else { return missing("the boot entry") };
    let order = entries.order_with(&new);
    tools::run(&["efibootmgr", "-q", "-o", &order.join(",")])?;
    if boot_order::read(&tools::run(&["efibootmgr"])?).order != order {
        return missing("the boot order");
    }
    Ok(())
}
