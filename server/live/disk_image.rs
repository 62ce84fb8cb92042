//! A Debian disk image, built from Debian packages without a loop device or a mount of its own:
//! one root file system that boots by BIOS, by UEFI, and with Secure Boot.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::display::{Display, Task};
use super::packages::Architecture;
use super::populate::populate;
use super::{grub, packages};
use crate::model::NetworkFormat;

/// The packages of the image, besides those that every Debian system has.
const PACKAGES: &[&str] = &[
    "systemd-sysv",
    "udev",
    "dbus",
    "initramfs-tools",
    "zstd",
    "shim-signed",
    "iproute2",
    "iputils-ping",
    "curl",
    "openssh-server",
    "e2fsprogs",
    "mdadm",
];
/// The packages of an architecture: its kernel and its boot loaders.
fn boot_packages(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::Amd64 => &["linux-image-amd64", "grub-efi-amd64-signed", "grub-pc-bin"],
        Architecture::Arm64 => &["linux-image-arm64", "grub-efi-arm64-signed"],
    }
}

/// What reads the network of the image, besides the systemd-networkd that it always has.
fn network_packages(format: NetworkFormat) -> &'static [&'static str] {
    match format {
        NetworkFormat::Networkd => &[],
        NetworkFormat::Netplan => &["netplan.io"],
        NetworkFormat::NetworkManager => &["network-manager"],
        NetworkFormat::Ifupdown2 => &["ifupdown2"],
        // Of its renderers netplan's alone loses nothing of what it is given.
        NetworkFormat::CloudInit => &["cloud-init", "netplan.io"],
    }
}

/// What of the packages is left out.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"];

/// The identities of an image's partitions and file systems, made of its packages: equal packages
/// give equal images, and an older copy of the same image on another disk is recognised.
struct Identities {
    disk: String,
    root: String,
    bios_partition: String,
    esp_partition: String,
    root_partition: String,
    /// Eight hexadecimal digits.
    esp: String,
}

impl Identities {
    /// Of a system that is made of this: the list of its packages, or the digest of its tarball.
    fn of(source: &[u8]) -> Self {
        let digest = |what: &str| {
            let mut hash = Sha256::new();
            hash.update(fingerprint());
            hash.update(what);
            hash.update(source);
            hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        // Version 8 of RFC 9562: the bits are the maker's own.
        let uuid = |what: &str| {
            let hex = digest(what);
            format!(
                "{}-{}-8{}-8{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..15],
                &hex[15..18],
                &hex[18..30]
            )
        };
        Self {
            disk: uuid("disk"),
            root: uuid("root"),
            bios_partition: uuid("bios"),
            esp_partition: uuid("esp"),
            root_partition: uuid("root partition"),
            esp: digest("esp volume")[..8].to_ascii_uppercase(),
        }
    }
}

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Where the partitions begin and how long they are, in MiB.
const BIOS_AT: u64 = 1;
const ESP_AT: u64 = 2;
const ESP_MIB: u64 = 64;
const ROOT_AT: u64 = ESP_AT + ESP_MIB;
/// What a file system of that many bytes of files needs: its tables, its journal, and some air.
const AIR_MIB: u64 = 96;

/// What was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DiskImage {
    /// Its path below the files directory.
    pub path: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// The length of the unpacked image in bytes.
    pub unpacked_bytes: u64,
    /// The SHA-256 of the file in hexadecimal.
    pub sha256: String,
}

/// What a disk image is built for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flavour {
    /// The architecture of its hosts.
    pub architecture: Architecture,
    /// What reads its network.
    pub format: NetworkFormat,
}

impl Flavour {
    /// For hosts of the architecture of this machine.
    pub(crate) fn own(format: NetworkFormat) -> Self {
        Self { architecture: Architecture::own(), format }
    }

    /// The name of its files.
    fn name(self) -> String {
        let Self { architecture, format } = self;
        let mut name = "images/debian".to_owned();
        if architecture != Architecture::own() {
            name.push_str(&format!("-{}", architecture.label()));
        }
        if format != NetworkFormat::Networkd {
            name.push_str(&format!("-{format}"));
        }
        format!("{name}-{}", fingerprint())
    }
}

/// The disk image below `files` that is for this, built first if it is not there.
pub(crate) fn ensure(
    files: &Path,
    flavour: Flavour,
    display: &Display,
) -> anyhow::Result<DiskImage> {
    fs::create_dir_all(files.join("images"))?;
    let lock = File::create(files.join("images/lock"))?;
    lock.lock()?;
    let name = flavour.name();
    let about = files.join(format!("{name}.json"));
    if let Ok(text) = fs::read_to_string(&about) {
        return Ok(serde_json::from_str(&text)?);
    }
    let step = display.step("disk image");
    let work = files.join("images/unfinished");
    remove(&work)?;
    fs::create_dir_all(&work)?;
    let built = build(&work, flavour, &step).context("the disk image cannot be built")?;
    let name = format!("{name}.raw.zst");
    fs::rename(&built.0, files.join(&name))?;
    let image = DiskImage { path: name, ..built.1 };
    fs::write(&about, serde_json::to_string_pretty(&image)?)?;
    remove(&work)?;
    let (bytes, unpacked) = (image.bytes / 1_000_000, image.unpacked_bytes / 1_000_000);
    step.done(&format!("{bytes} MB, {unpacked} MB unpacked"));
    Ok(image)
}

fn fingerprint() -> String {
    let mut hash = Sha256::new();
    hash.update(include_str!("disk_image.rs"));
    hash.update(include_str!("grub.rs"));
    hash.update(include_str!("populate.rs"));
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn remove(directory: &Path) -> io::Result<()> {
    if directory.exists() { fs::remove_dir_all(directory) } else { Ok(()) }
}

fn build(work: &Path, flavour: Flavour, step: &Task) -> anyhow::Result<(PathBuf, DiskImage)> {
    let tree = work.join("tree");
    step.say("installing Debian packages into a directory");
    bootstrap(&tree, flavour)?;
    let system = System::find(&tree)?;
    let identities = Identities::of(&fs::read(tree.join("var/lib/dpkg/status"))?);
    system.configure(&identities)?;
    system.configure_own(flavour.format)?;
    finish(work, &system, &identities, step)
}

/// The disk image with the root file system of a tarball, below `files`; built first if it is not
/// there.
pub(crate) fn of_tarball(
    files: &Path,
    tarball: &Path,
    display: &Display,
) -> anyhow::Result<DiskImage> {
    fs::create_dir_all(files.join("images"))?;
    let lock = File::create(files.join("images/lock"))?;
    lock.lock()?;
    let digest = digest(tarball)?;
    let step = display.step("disk image");
    let work = files.join("images/unfinished");
    remove(&work)?;
    let tree = work.join("tree");
    fs::create_dir_all(&tree)?;
    step.say("unpacking the root file system");
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--preserve-permissions", "--same-owner", "--numeric-owner"]);
    tar.args(["--xattrs", "--xattrs-include=*", "--directory"]).arg(&tree);
    run(tar.arg("--file").arg(tarball))?;
    let system = System::find(&tree)
        .with_context(|| format!("{} cannot be made a disk image", tarball.display()))?;
    let identities = Identities::of(digest.as_bytes());
    system.configure(&identities)?;
    let (packed, built) = finish(&work, &system, &identities, &step)?;
    let name = format!("images/root-{}-{}.raw.zst", &digest[..12], fingerprint());
    fs::rename(packed, files.join(&name))?;
    remove(&work)?;
    let (bytes, unpacked) = (built.bytes / 1_000_000, built.unpacked_bytes / 1_000_000);
    step.done(&format!("{bytes} MB, {unpacked} MB unpacked"));
    Ok(DiskImage { path: name, ..built })
}

/// A disk image of the user's own below `files`, in place of the one before.
pub(crate) fn copy(files: &Path, own: &Path) -> anyhow::Result<DiskImage> {
    const PATH: &str = "images/own";
    fs::create_dir_all(files.join("images"))?;
    let place = files.join(PATH);
    let bytes = fs::copy(own, &place).with_context(|| own.display().to_string())?;
    let sha256 = digest(&place)?;
    Ok(DiskImage { path: PATH.to_owned(), bytes, unpacked_bytes: bytes, sha256 })
}

/// The SHA-256 of a file in hexadecimal.
fn digest(file: &Path) -> anyhow::Result<String> {
    let said = packages::output("sha256sum", &[file])?;
    // Before the digest of a file with an odd name stands a backslash.
    let digest = said.trim_start_matches('\\').get(..64).context("sha256sum says no digest")?;
    Ok(digest.to_owned())
}

/// Makes the image of a system whose files are there, and compresses it.
fn finish(
    work: &Path,
    system: &System<'_>,
    identities: &Identities,
    step: &Task,
) -> anyhow::Result<(PathBuf, DiskImage)> {
    let tree = system.tree;
    step.say("making the file systems");
    let root_mib = (used(tree)? / MIB + AIR_MIB) * 115 / 100;
    let (esp, root) = (work.join("esp"), work.join("root"));
    system.make_esp(&esp, identities)?;
    make_root(tree, &root, root_mib, &identities.root)?;
    let raw = work.join("disk.raw");
    assemble(&raw, [(ESP_AT, &esp), (ROOT_AT, &root)], root_mib, identities)?;
    if system.boots_by_bios() {
        system.embed_bios(&raw)?;
    } else if system.efi.has_bios {
        step.say("without GRUB for BIOS (grub-pc-bin): the image boots by UEFI alone");
    }
    step.say("compressing the image");
    let packed = work.join("disk.raw.zst");
    run(Command::new("zstd").args(["-q", "-T0", "-3", "-f", "-o"]).arg(&packed).arg(&raw))?;
    let about = DiskImage {
        path: String::new(),
        bytes: packed.metadata()?.len(),
        unpacked_bytes: raw.metadata()?.len(),
        sha256: digest(&packed)?,
    };
    Ok((packed, about))
}

/// Runs a program that says nothing unless it fails.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{name} does not start"))?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Installs the packages of this machine's Debian release into `tree`.
fn bootstrap(tree: &Path, flavour: Flavour) -> anyhow::Result<()> {
    let release = fs::read_to_string("/etc/os-release")?;
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let suite = suite.context("/etc/os-release has no VERSION_CODENAME")?;
    let mut command = Command::new("mmdebstrap");
    command.env("SOURCE_DATE_EPOCH", "1");
    command.args(["--mode=root", "--variant=minbase", "--format=directory", "--quiet"]);
    command.arg("--aptopt=Apt::Install-Recommends \"false\"");
    // What apt is told on this machine: how it reaches the packages, and that its clock is off.
    let told = packages::output("apt-config", &["dump"])?;
    for key in ["Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Check-Valid-Until"] {
        let line =
            told.lines().find(|line| line.strip_prefix(key).is_some_and(|v| v.starts_with(' ')));
        command.args(line.map(|line| format!("--aptopt={}", line.trim_end_matches(';'))));
    }
    command.args(LEFT_OUT.map(|path| format!("--dpkgopt=path-exclude={path}")));
    let Flavour { architecture, format } = flavour;
    if architecture != Architecture::own() {
        command.arg(format!("--architectures={}", architecture.label()));
    }
    let packages = [PACKAGES, boot_packages(architecture), network_packages(format)].concat();
    command.arg(format!("--include={}", packages.join(",")));
    command.arg(suite).arg(tree);
    let sources = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let names_packages = |path: &&&str| {
        let text = fs::read_to_string(**path).unwrap_or_default();
        text.lines().any(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
    };
    command.args(sources.iter().find(names_packages));
    run(&mut command)
}

/// The bytes of all files below a directory, in whole blocks.
fn used(directory: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            total += 4096;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                total += entry.metadata()?.len().next_multiple_of(4096);
            }
        }
    }
    Ok(total)
}

/// The installed system in a directory.
struct System<'a> {
    tree: &'a Path,
    /// The names of kernel and initrd in `boot`.
    kernel: String,
    initrd: String,
    /// The EFI programs: a shim, where the system is signed, and GRUB.
    efi: &'static EfiPrograms,
    shim: Option<PathBuf>,
    grub: PathBuf,
}

/// The EFI programs of an architecture: where Debian and Ubuntu have them, and what firmware and shim
/// look for (UEFI specification section 3.5.1.1).
struct EfiPrograms {
    shims: [&'static str; 2],
    /// Signed, or as the package with GRUB's modules has it.
    grubs: [&'static str; 2],
    /// shim's keys.
    mok: &'static str,
    removable: &'static str,
    /// How the names of the others end.
    suffix: &'static str,
    /// Whether machines of the architecture may have a BIOS instead.
    has_bios: bool,
    /// Its serial console.
    console: &'static str,
    /// What makes GRUB use it; of arm64 it is the firmware's own console.
    grub_serial: &'static str,
}

const EFI: [EfiPrograms; 2] = [
    EfiPrograms {
        shims: ["usr/lib/shim/shimx64.efi.signed", "usr/lib/shim/shimx64.efi.signed.latest"],
        grubs: [
            "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
            "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi",
        ],
        mok: "usr/lib/shim/mmx64.efi.signed",
        removable: "BOOTX64.EFI",
        suffix: "x64.efi",
        has_bios: true,
        console: "ttyS0",
        grub_serial: "serial --unit=0 --speed=115200\nterminal_output console serial\n",
    },
    EfiPrograms {
        shims: ["usr/lib/shim/shimaa64.efi.signed", "usr/lib/shim/shimaa64.efi.signed.latest"],
        grubs: [
            "usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed",
            "usr/lib/grub/arm64-efi/monolithic/grubaa64.efi",
        ],
        mok: "usr/lib/shim/mmaa64.efi.signed",
        removable: "BOOTAA64.EFI",
        suffix: "aa64.efi",
        has_bios: false,
        console: "ttyAMA0",
        grub_serial: "",
    },
];

impl<'a> System<'a> {
    fn find(tree: &'a Path) -> anyhow::Result<Self> {
        for directory in ["boot", "boot/grub", "etc", "etc/ssh", "usr", "usr/lib"] {
            let place = tree.join(directory);
            // A link of a tarball may lead to this machine's own files.
            if fs::symlink_metadata(&place).is_ok_and(|told| !told.is_dir()) {
                bail!("its /{directory} is not a directory");
            }
        }
        let boot = fs::read_dir(tree.join("boot")).context("it has no /boot")?;
        let names = boot.filter_map(Result::ok).map(|entry| entry.file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>();
        // The newest, as far as the names tell.
        let version = names.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).max();
        let version = version.context("it has no kernel: expected /boot/vmlinuz-VERSION")?;
        let initrds = [format!("initrd.img-{version}"), format!("initramfs-{version}.img")];
        let initrd = initrds.into_iter().find(|initrd| names.contains(initrd));
        let initrd = initrd.with_context(|| {
            format!("it has no /boot/initrd.img-{version} and no /boot/initramfs-{version}.img")
        })?;
        let find = |places: &[&str; 2]| {
            let root = tree.canonicalize().ok();
            let is_inside = |path: &PathBuf| {
                let target = path.canonicalize().ok();
                target.zip(root.as_ref()).is_some_and(|(path, root)| path.starts_with(root))
            };
            places.map(|place| tree.join(place)).into_iter().find(is_inside)
        };
        let found = EFI.iter().find_map(|efi| Some((efi, find(&efi.grubs)?)));
        let (efi, grub) = found.context(
            "it has no boot loader for UEFI: expected that of the package grub-efi-amd64-signed \
             (with shim-signed) or grub-efi-amd64-bin, or those of arm64",
        )?;
        let is_signed = grub.ends_with(efi.grubs[0]);
        let shim = find(&efi.shims).filter(|_| is_signed);
        Ok(Self { tree, kernel: format!("vmlinuz-{version}"), initrd, efi, shim, grub })
    }

    /// Whether it has GRUB for BIOS.
    fn boots_by_bios(&self) -> bool {
        let needed = ["usr/bin/grub-mkimage", "usr/lib/grub/i386-pc/boot.img"];
        needed.iter().all(|path| self.tree.join(path).exists())
    }

    fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().context("a file needs a directory")?)?;
        // What a package put there may be a link out of the tree.
        let _ = fs::remove_file(&path);
        Ok(fs::write(path, text)?)
    }

    fn configure(&self, identities: &Identities) -> anyhow::Result<()> {
        let Identities { root, esp, .. } = identities;
        self.write(
            "etc/fstab",
            &format!(
                "UUID={root} / ext4 errors=remount-ro 0 1\n\
                 UUID={}-{} /boot/efi vfat umask=0077,nofail 0 1\n",
                &esp[..4],
                &esp[4..]
            ),
        )?;
        fs::create_dir_all(self.tree.join("boot/efi"))?;
        // Each host gets its own when it is installed, or at its first boot.
        self.write("etc/machine-id", "")?;
        let EfiPrograms { console, grub_serial: serial, .. } = self.efi;
        let (kernel, initrd) = (&self.kernel, &self.initrd);
        self.write(
            "boot/grub/grub.cfg",
            &format!(
                "set timeout=0\n{serial}set gfxpayload=text\n\
                 search --no-floppy --fs-uuid --set=root {root}\n\
                 menuentry Debian {{\n\
                 \x20 linux /boot/{kernel} root=UUID={root} ro console=tty0 console={console} quiet\n\
                 \x20 initrd /boot/{initrd}\n}}\n"
            ),
        )?;
        let keys = fs::read_dir(self.tree.join("etc/ssh")).into_iter().flatten();
        let keys = keys.filter_map(Result::ok);
        for key in keys.filter(|key| key.file_name().to_string_lossy().starts_with("ssh_host_")) {
            fs::remove_file(key.path())?;
        }
        Ok(())
    }

    /// What the image built of Debian's packages has besides. Each package enables its own services;
    /// systemd does not enable networkd.
    fn configure_own(&self, format: NetworkFormat) -> anyhow::Result<()> {
        self.write("etc/hostname", "localhost\n")?;
        self.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
        let defaults = GRUB_DEFAULTS.replace("ttyS0", self.efi.console);
        self.write("etc/default/grub", &defaults)?;
        if format != NetworkFormat::Networkd {
            return Ok(());
        }
        let wants = self.tree.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        let unit = wants.join("systemd-networkd.service");
        if !unit.is_symlink() {
            symlink("/lib/systemd/system/systemd-networkd.service", unit)?;
        }
        Ok(())
    }

    /// The EFI system partition: Debian's signed chain at the removable path, which firmware
    /// starts without an entry, and where an installed Debian looks for it.
    fn make_esp(&self, esp: &Path, identities: &Identities) -> anyhow::Result<()> {
        let Identities { root, esp: volume, .. } = identities;
        File::create(esp)?.set_len(ESP_MIB * MIB)?;
        let mut mkfs = Command::new("mkfs.vfat");
        run(mkfs.args(["--invariant", "-F", "32", "-n", "ESP", "-i", volume]).arg(esp))?;
        let config = esp.with_extension("cfg");
        fs::write(
            &config,
            format!(
                "search --no-floppy --fs-uuid --set=root {root}\n\
                 set prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
            ),
        )?;
        let EfiPrograms { mok, removable, suffix, .. } = self.efi;
        let mok = self.tree.join(mok);
        // Without a shim the firmware starts GRUB itself.
        let first = self.shim.as_ref().unwrap_or(&self.grub);
        let mut mmd = Command::new("mmd");
        run(mmd.env("SOURCE_DATE_EPOCH", "1").arg("-i").arg(esp).args([
            "::EFI",
            "::EFI/BOOT",
            "::EFI/debian",
            "::EFI/ubuntu",
        ]))?;
        for (from, to) in [
            (first, format!("EFI/BOOT/{removable}")),
            (&self.grub, format!("EFI/BOOT/grub{suffix}")),
            (&mok, format!("EFI/BOOT/mm{suffix}")),
            (first, format!("EFI/debian/shim{suffix}")),
            (&self.grub, format!("EFI/debian/grub{suffix}")),
            // A GRUB looks for its configuration where its distribution has it.
            (&config, "EFI/debian/grub.cfg".to_owned()),
            (&config, "EFI/ubuntu/grub.cfg".to_owned()),
            (&config, "EFI/BOOT/grub.cfg".to_owned()),
        ] {
            if !from.exists() {
                continue;
            }
            let mut mcopy = Command::new("mcopy");
            mcopy.env("SOURCE_DATE_EPOCH", "1").arg("-i").arg(esp).arg(from);
            run(mcopy.arg(format!("::{to}")))?;
        }
        Ok(())
    }

    /// Puts GRUB for BIOS into the image.
    fn embed_bios(&self, raw: &Path) -> anyhow::Result<()> {
        let (at, sectors) = (BIOS_AT * MIB / SECTOR, (ESP_AT - BIOS_AT) * MIB / SECTOR);
        let mut mkimage = Command::new("chroot");
        mkimage.arg(self.tree).args(["grub-mkimage", "-O", "i386-pc", "-o", "/tmp/core.img"]);
        mkimage.args(["-p", "(hd0,gpt3)/boot/grub"]);
        run(mkimage.args([
            "biosdisk",
            "part_gpt",
            "ext2",
            "normal",
            "linux",
            "search",
            "search_fs_uuid",
            "configfile",
            "serial",
            "terminal",
            "test",
            "echo",
        ]))?;
        let core = self.tree.join("tmp/core.img");
        let placed = grub::core(&fs::read(&core)?, at, sectors)?;
        let boot = fs::read(self.tree.join("usr/lib/grub/i386-pc/boot.img"))?;
        let mut disk = File::options().read(true).write(true).open(raw)?;
        let mut old = vec![0; 512];
        disk.read_exact(&mut old)?;
        let first = grub::boot_sector(&boot, &old, at)?;
        disk.seek(SeekFrom::Start(0))?;
        disk.write_all(&first)?;
        disk.seek(SeekFrom::Start(at * SECTOR))?;
        disk.write_all(&placed)?;
        Ok(fs::remove_file(core)?)
    }
}

const GRUB_DEFAULTS: &str = "GRUB_DEFAULT=0\nGRUB_TIMEOUT=2\nGRUB_DISTRIBUTOR=Debian\n\
    GRUB_CMDLINE_LINUX=\"console=tty0 console=ttyS0\"\nGRUB_TERMINAL=\"console serial\"\n";

fn make_root(tree: &Path, root: &Path, mib: u64, id: &str) -> anyhow::Result<()> {
    File::create(root)?.set_len(mib * MIB)?;
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.env("E2FSPROGS_FAKE_TIME", "1").args(["-q", "-F", "-L", "root", "-m", "1", "-U", id]);
    // An older GRUB and an older e2fsck read it, too.
    mkfs.args(["-O", "^metadata_csum_seed,^orphan_file"]);
    mkfs.args(["-E", &format!("hash_seed={id},lazy_itable_init=1,lazy_journal_init=1")]);
    run(mkfs.arg(root))?;
    populate(tree, root)
}

/// Puts the partitions, each at its MiB, into an image.
fn assemble(
    raw: &Path,
    parts: [(u64, &PathBuf); 2],
    root_mib: u64,
    identities: &Identities,
) -> anyhow::Result<()> {
    let Identities { disk: disk_id, bios_partition, esp_partition, root_partition, .. } =
        identities;
    let mut disk = File::create(raw)?;
    // A MiB behind the last partition for the backup of the partition table.
    disk.set_len((ROOT_AT + root_mib + 1) * MIB)?;
    let sectors = |mib: u64| mib * MIB / SECTOR;
    let table = format!(
        "label: gpt\nlabel-id: {disk_id}\n\
         start={}, size={}, type=21686148-6449-6E6F-744E-656564454649, uuid={bios_partition}\n\
         start={}, size={}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={esp_partition}\n\
         start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid={root_partition}\n",
        sectors(BIOS_AT),
        sectors(ESP_AT - BIOS_AT),
        sectors(ESP_AT),
        sectors(ESP_MIB),
        sectors(ROOT_AT),
        sectors(root_mib)
    );
    let mut sfdisk = Command::new("sfdisk")
        .args(["--quiet", "--no-reread", "--no-tell-kernel"])
        .arg(raw)
        .stdin(Stdio::piped())
        .spawn()
        .context("sfdisk does not start")?;
    sfdisk.stdin.take().context("sfdisk has no standard input")?.write_all(table.as_bytes())?;
    if !sfdisk.wait()?.success() {
        bail!("sfdisk failed");
    }
    let mut block = vec![0; MIB as usize];
    for (at, part) in parts {
        let mut part = File::open(part)?;
        disk.seek(SeekFrom::Start(at * MIB))?;
        loop {
            let length = read_block(&mut part, &mut block)?;
            if length == 0 {
                break;
            }
            // Zeros stay a hole.
            if block[..length].iter().all(|byte| *byte == 0) {
                disk.seek(SeekFrom::Current(length as i64))?;
            } else {
                disk.write_all(&block[..length])?;
            }
        }
    }
    Ok(())
}

fn read_block(file: &mut File, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..])? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}
