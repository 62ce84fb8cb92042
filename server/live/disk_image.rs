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
use super::{grub, packages};

/// The packages of the image, besides those that every Debian system has.
const PACKAGES: &[&str] = &[
    "systemd-sysv",
    "udev",
    "dbus",
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "zstd",
    "grub-efi-amd64-signed",
    "shim-signed",
    "grub-pc-bin",
    "iproute2",
    "iputils-ping",
    "curl",
    "openssh-server",
    "e2fsprogs",
    "mdadm",
];
/// What of the packages is left out.
const LEFT_OUT: [&str; 4] =
    ["/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*"];

/// Fixed, so that equal packages give equal file systems, and an older copy of the image on
/// another disk is recognised.
const DISK_ID: &str = "6d0bb6b5-5f6f-4f0b-9a55-1f3a5ad0c001";
const ROOT_ID: &str = "6d0bb6b5-5f6f-4f0b-9a55-1f3a5ad0c002";
const BIOS_PART: &str = "6d0bb6b5-5f6f-4f0b-9a55-1f3a5ad0c003";
const ESP_PART: &str = "6d0bb6b5-5f6f-4f0b-9a55-1f3a5ad0c004";
const ROOT_PART: &str = "6d0bb6b5-5f6f-4f0b-9a55-1f3a5ad0c005";
const ESP_ID: &str = "5AD0C0DE";

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

/// The disk image below `files`, built first if it is not there.
pub(crate) fn ensure(files: &Path, display: &Display) -> anyhow::Result<DiskImage> {
    fs::create_dir_all(files.join("images"))?;
    let lock = File::create(files.join("images/lock"))?;
    lock.lock()?;
    let about = files.join(format!("images/debian-{}.json", fingerprint()));
    if let Ok(text) = fs::read_to_string(&about) {
        return Ok(serde_json::from_str(&text)?);
    }
    let step = display.step("disk image");
    let work = files.join("images/unfinished");
    remove(&work)?;
    fs::create_dir_all(&work)?;
    let built = build(&work, &step).context("the disk image cannot be built")?;
    let name = format!("images/debian-{}.raw.zst", fingerprint());
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
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn remove(directory: &Path) -> io::Result<()> {
    if directory.exists() { fs::remove_dir_all(directory) } else { Ok(()) }
}

fn build(work: &Path, step: &Task) -> anyhow::Result<(PathBuf, DiskImage)> {
    let tree = work.join("tree");
    step.say("installing Debian packages into a directory");
    bootstrap(&tree)?;
    let system = System::find(&tree)?;
    system.configure()?;
    step.say("making the file systems");
    let root_mib = (used(&tree)? / MIB + AIR_MIB) * 115 / 100;
    let (esp, root) = (work.join("esp"), work.join("root"));
    system.make_esp(&esp)?;
    make_root(&tree, &root, root_mib)?;
    let raw = work.join("disk.raw");
    assemble(&raw, [(ESP_AT, &esp), (ROOT_AT, &root)], root_mib)?;
    system.embed_bios(&raw)?;
    step.say("compressing the image");
    let packed = work.join("disk.raw.zst");
    run(Command::new("zstd").args(["-q", "-T0", "-3", "-f", "-o"]).arg(&packed).arg(&raw))?;
    let digest = packages::output("sha256sum", &[&packed])?;
    let about = DiskImage {
        path: String::new(),
        bytes: packed.metadata()?.len(),
        unpacked_bytes: raw.metadata()?.len(),
        sha256: digest.split_whitespace().next().unwrap_or_default().to_owned(),
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
fn bootstrap(tree: &Path) -> anyhow::Result<()> {
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
    command.arg(format!("--include={}", PACKAGES.join(",")));
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
    /// The kernel's version.
    kernel: String,
}

impl<'a> System<'a> {
    fn find(tree: &'a Path) -> anyhow::Result<Self> {
        let boot = fs::read_dir(tree.join("boot"))?.filter_map(Result::ok);
        let mut names = boot.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let kernel = names.find_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned));
        Ok(Self { tree, kernel: kernel.context("the packages have no kernel")? })
    }

    fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().context("a file needs a directory")?)?;
        // What a package put there may be a link out of the tree.
        let _ = fs::remove_file(&path);
        Ok(fs::write(path, text)?)
    }

    fn configure(&self) -> anyhow::Result<()> {
        self.write(
            "etc/fstab",
            &format!(
                "UUID={ROOT_ID} / ext4 errors=remount-ro 0 1\n\
                 UUID={}-{} /boot/efi vfat umask=0077,nofail 0 1\n",
                &ESP_ID[..4],
                &ESP_ID[4..]
            ),
        )?;
        fs::create_dir_all(self.tree.join("boot/efi"))?;
        self.write("etc/hostname", "localhost\n")?;
        self.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")?;
        // Each host gets its own when it is installed, or at its first boot.
        self.write("etc/machine-id", "")?;
        self.write("etc/default/grub", GRUB_DEFAULTS)?;
        let (kernel, root) = (&self.kernel, ROOT_ID);
        self.write(
            "boot/grub/grub.cfg",
            &format!(
                "set timeout=0\nserial --unit=0 --speed=115200\n\
                 terminal_output console serial\nset gfxpayload=text\n\
                 search --no-floppy --fs-uuid --set=root {root}\n\
                 menuentry Debian {{\n\
                 \x20 linux /boot/vmlinuz-{kernel} root=UUID={root} ro console=tty0 console=ttyS0 quiet\n\
                 \x20 initrd /boot/initrd.img-{kernel}\n}}\n"
            ),
        )?;
        let keys = fs::read_dir(self.tree.join("etc/ssh"))?.filter_map(Result::ok);
        for key in keys.filter(|key| key.file_name().to_string_lossy().starts_with("ssh_host_")) {
            fs::remove_file(key.path())?;
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
    fn make_esp(&self, esp: &Path) -> anyhow::Result<()> {
        File::create(esp)?.set_len(ESP_MIB * MIB)?;
        let mut mkfs = Command::new("mkfs.vfat");
        run(mkfs.args(["--invariant", "-F", "32", "-n", "ESP", "-i", ESP_ID]).arg(esp))?;
        let config = esp.with_extension("cfg");
        fs::write(
            &config,
            format!(
                "search --no-floppy --fs-uuid --set=root {ROOT_ID}\n\
                 set prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
            ),
        )?;
        let shim = self.tree.join("usr/lib/shim/shimx64.efi.signed");
        let mok = self.tree.join("usr/lib/shim/mmx64.efi.signed");
        let grub = self.tree.join("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed");
        let mut mmd = Command::new("mmd");
        run(mmd.arg("-i").arg(esp).args(["::EFI", "::EFI/BOOT", "::EFI/debian"]))?;
        for (from, to) in [
            (&shim, "EFI/BOOT/BOOTX64.EFI"),
            (&grub, "EFI/BOOT/grubx64.efi"),
            (&mok, "EFI/BOOT/mmx64.efi"),
            (&shim, "EFI/debian/shimx64.efi"),
            (&grub, "EFI/debian/grubx64.efi"),
            (&config, "EFI/debian/grub.cfg"),
        ] {
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

fn make_root(tree: &Path, root: &Path, mib: u64) -> anyhow::Result<()> {
    File::create(root)?.set_len(mib * MIB)?;
    let mut mkfs = Command::new("mkfs.ext4");
    mkfs.env("E2FSPROGS_FAKE_TIME", "1").args(["-q", "-F", "-L", "root", "-m", "1", "-U", ROOT_ID]);
    // An older GRUB and an older e2fsck read it, too.
    mkfs.args(["-O", "^metadata_csum_seed,^orphan_file"]);
    mkfs.args(["-E", &format!("hash_seed={ROOT_ID},lazy_itable_init=1,lazy_journal_init=1")]);
    run(mkfs.arg("-d").arg(tree).arg(root))
}

/// Puts the partitions, each at its MiB, into an image.
fn assemble(raw: &Path, parts: [(u64, &PathBuf); 2], root_mib: u64) -> anyhow::Result<()> {
    let mut disk = File::create(raw)?;
    // A MiB behind the last partition for the backup of the partition table.
    disk.set_len((ROOT_AT + root_mib + 1) * MIB)?;
    let sectors = |mib: u64| mib * MIB / SECTOR;
    let table = format!(
        "label: gpt\nlabel-id: {DISK_ID}\n\
         start={}, size={}, type=21686148-6449-6E6F-744E-656564454649, uuid={BIOS_PART}\n\
         start={}, size={}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={ESP_PART}\n\
         start={}, size={}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid={ROOT_PART}\n",
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
