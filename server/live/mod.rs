//! The live system, and a disk image: built from Debian packages, kept in a cache.
//!
//! The live system is a kernel and an initramfs that is the whole system, the same for the lab's
//! hosts and its switch: what each is to be comes as a second initrd. What deploying needs besides
//! is an initrd of its own, and the agent, which is this very program where hosts have its
//! architecture, is a third one.
//! Its own files are in `guest/`.

mod agent;
pub(crate) mod disk_image;
pub(crate) mod display;
mod elf;
mod grub;
mod pack;
mod packages;
mod populate;
mod tree;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};

pub(crate) use agent::of as agent_of;
pub(crate) use display::Display;
use display::Task;
pub(crate) use pack::Initramfs;
pub(crate) use packages::Architecture;
use packages::PackageSource;
use tree::Tree;

/// The guest's own files: where each lies, its permissions, and its text.
const OWN_FILES: &[(&str, u32, &str)] = &[
    ("etc/passwd", 0o644, include_str!("guest/passwd")),
    ("etc/group", 0o644, include_str!("guest/group")),
    // Empty: every boot makes up a machine id of its own, and is no "first boot".
    ("etc/machine-id", 0o444, ""),
    ("etc/systemd/system.conf", 0o644, include_str!("guest/system.conf")),
    ("etc/systemd/system/rackstrap.target", 0o644, include_str!("guest/rackstrap.target")),
    (
        "etc/systemd/system/rackstrap-config.service",
        0o644,
        include_str!("guest/rackstrap-config.service"),
    ),
    (
        "etc/systemd/system/rackstrap-report.service",
        0o644,
        include_str!("guest/rackstrap-report.service"),
    ),
    ("usr/lib/rackstrap/config", 0o755, include_str!("guest/rackstrap-config.sh")),
    ("usr/lib/rackstrap/report", 0o755, include_str!("guest/rackstrap-report.sh")),
    ("usr/lib/rackstrap/udhcpc", 0o755, include_str!("guest/udhcpc.sh")),
];

/// The guest's symbolic links, busybox's names apart.
const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("var/run", "../run"),
    ("init", "usr/lib/systemd/systemd"),
    ("usr/bin/sh", "dash"),
    ("etc/systemd/system/default.target", "rackstrap.target"),
];

const KEEP: &str = include_str!("guest/keep.txt");
const MODULES: &str = include_str!("guest/modules.txt");
const APPLETS: &str = include_str!("guest/applets.txt");
const DEPLOY_KEEP: &str = include_str!("guest/deploy-keep.txt");
const DEPLOY_MODULES: &str = include_str!("guest/deploy-modules.txt");
const DEPLOY_APPLETS: &str = include_str!("guest/deploy-applets.txt");
const DEPLOY_UNIT: &str = include_str!("guest/rackstrap-deploy.service");
const FETCH: &str = include_str!("guest/fetch.ipxe");

/// A kernel and an initramfs, as a directory that the server serves files from.
#[derive(Clone, Debug)]
pub(crate) struct GuestImage {
    /// The directory.
    pub files: PathBuf,
}

impl GuestImage {
    /// The kernel's path below `files`.
    pub(crate) const KERNEL: &str = "live/vmlinuz";
    /// The path of the gzip'd initramfs below `files`.
    pub(crate) const INITRD: &str = "live/initrd.img";
    /// The path of the gzip'd initramfs with what deploying needs, below `files`.
    pub(crate) const DEPLOY: &str = "live/deploy.img";
    /// The path of the iPXE script that boots both without a host's configuration.
    pub(crate) const FETCH_SCRIPT: &str = "live/fetch.ipxe";

    /// The kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.files.join(Self::KERNEL)
    }

    /// The agent as an initrd, made of this program; its path below `files`.
    pub(crate) fn agent(&self) -> anyhow::Result<String> {
        agent::ensure(&self.files)
    }

    /// The gzip'd initramfs.
    pub(crate) fn initrd(&self) -> PathBuf {
        self.files.join(Self::INITRD)
    }
}

/// The guest's image out of the cache, built first if it is not there. Blocks;
/// of two labs at once one builds and the other waits for it.
pub(crate) fn ensure(
    cache: &Path,
    architecture: Architecture,
    display: &Display,
) -> anyhow::Result<GuestImage> {
    fs::create_dir_all(cache).with_context(|| format!("{} cannot be made", cache.display()))?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock()?;
    let name = match architecture == Architecture::own() {
        true => format!("image-{}", fingerprint()),
        false => format!("image-{}-{}", architecture.label(), fingerprint()),
    };
    let directory = cache.join(name);
    let image = GuestImage { files: directory.clone() };
    if !image.initrd().exists() {
        build(cache, architecture, &directory, display)
            .context("the guest's image cannot be built")?;
    }
    Ok(image)
}

/// What the image depends on besides Debian: another text, another image.
fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for text in [
        KEEP,
        MODULES,
        APPLETS,
        DEPLOY_KEEP,
        DEPLOY_MODULES,
        DEPLOY_APPLETS,
        DEPLOY_UNIT,
        FETCH,
        include_str!("mod.rs"),
        include_str!("packages.rs"),
    ] {
        hash.update(text);
    }
    for (path, _, text) in OWN_FILES {
        hash.update(path);
        hash.update(text);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn download(source: &PackageSource, directory: &Path, step: &Task) -> anyhow::Result<Vec<PathBuf>> {
    step.say("asking apt which packages the guest takes");
    let names = packages::names(source)?;
    step.say(&format!("downloading {} Debian packages", names.len()));
    packages::download(source, &names, directory)
}

fn build(
    cache: &Path,
    architecture: Architecture,
    directory: &Path,
    display: &Display,
) -> anyhow::Result<()> {
    let step = display.step("guest image");
    // What an interrupted build left is of the same architecture.
    let debs = match architecture == Architecture::own() {
        true => cache.join("packages"),
        false => cache.join(format!("packages-{}", architecture.label())),
    };
    let source = PackageSource::of(architecture, cache)?;
    let packages = match download(&source, &debs, &step) {
        Ok(packages) => packages,
        Err(_) => {
            step.say("bringing apt's lists up to date");
            packages::update_lists(&source)?;
            download(&source, &debs, &step)?
        }
    };
    let tree = cache.join("tree");
    remove(&tree)?;
    fs::create_dir_all(&tree)?;
    step.length(packages.len() as u64);
    for (index, package) in packages.iter().enumerate() {
        step.at(index as u64, "unpacking packages");
        packages::unpack(package, &tree)?;
    }
    tree::merge_usr(&tree)?;
    step.say("packing the initramfs");
    let Initramfses { system: initrd, deploy } = initramfses(&tree, architecture)?;
    let kernel = kernel(&tree)?;
    // Renamed when it is whole: an interrupted build leaves nothing that looks finished.
    let unfinished = cache.join("unfinished");
    remove(&unfinished)?;
    fs::create_dir_all(unfinished.join("live"))?;
    fs::copy(kernel, unfinished.join(GuestImage::KERNEL))?;
    fs::write(unfinished.join(GuestImage::INITRD), &initrd)?;
    fs::write(unfinished.join(GuestImage::DEPLOY), &deploy)?;
    fs::write(unfinished.join(GuestImage::FETCH_SCRIPT), FETCH)?;
    remove(directory)?;
    fs::rename(&unfinished, directory)?;
    remove(&tree)?;
    remove(&debs)?;
    let megabytes = |bytes: &[u8]| bytes.len() / 1_000_000;
    let (system, deploy) = (megabytes(&initrd), megabytes(&deploy));
    step.done(&format!("initramfs of {system} MB, and {deploy} MB for deploying"));
    Ok(())
}

fn remove(directory: &Path) -> std::io::Result<()> {
    if directory.exists() { fs::remove_dir_all(directory) } else { Ok(()) }
}

/// The packages' only kernel.
fn kernel(tree: &Path) -> anyhow::Result<PathBuf> {
    let boot = fs::read_dir(tree.join("boot"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let is_kernel = |path: &PathBuf| path.to_string_lossy().contains("/vmlinuz-");
    boot.into_iter().find(is_kernel).context("the kernel's package holds no vmlinuz")
}

/// The gzip'd initramfs of the system, and what deploying needs besides.
struct Initramfses {
    system: Vec<u8>,
    deploy: Vec<u8>,
}

fn initramfses(root: &Path, architecture: Architecture) -> anyhow::Result<Initramfses> {
    let Modules { own, of_deploying } = keep_modules(root, architecture)?;
    let tree = Tree::read(root)?;
    let mut initramfs = Initramfs::of_a_system()?;
    initramfs.add_console()?;
    for (path, target) in LINKS {
        initramfs.add_link(path, target)?;
    }
    for applet in lines(APPLETS) {
        initramfs.add_link(&format!("usr/bin/{applet}"), "busybox")?;
    }
    for (path, mode, text) in OWN_FILES {
        initramfs.add_file(path, *mode, text.as_bytes())?;
    }
    let mut wanted = lines(KEEP);
    wanted.extend(own.iter().map(String::as_str));
    let kept = tree.closure(&wanted)?;
    for (path, file) in &kept {
        add(&mut initramfs, path, file)?;
    }
    let mut deploy = Initramfs::default();
    for applet in lines(DEPLOY_APPLETS) {
        deploy.add_link(&format!("usr/bin/{applet}"), "busybox")?;
    }
    let unit = "etc/systemd/system/rackstrap-deploy.service";
    deploy.add_file(unit, 0o644, DEPLOY_UNIT.as_bytes())?;
    let mut wanted = lines(DEPLOY_KEEP);
    wanted.extend(of_deploying.iter().map(String::as_str));
    for (path, file) in &tree.closure(&wanted)? {
        if !kept.contains_key(path) {
            add(&mut deploy, path, file)?;
        }
    }
    Ok(Initramfses { system: initramfs.finish()?, deploy: deploy.finish()? })
}

/// Adds a file or a link of the packages.
fn add(initramfs: &mut Initramfs, path: &str, file: &Path) -> anyhow::Result<()> {
    if file.is_symlink() {
        let target = fs::read_link(file)?;
        initramfs.add_link(path, target.to_str().context("a link is not UTF-8")?)?;
    } else {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        initramfs.add_file(path, mode, &fs::read(file)?)?;
    }
    Ok(())
}

/// The paths of the kernel modules that are kept: those of every guest with the index of all, and
/// those that deploying needs besides.
struct Modules {
    own: Vec<String>,
    of_deploying: Vec<String>,
}

/// Throws all kernel modules out of the tree but those that are needed. The tree's own `depmod`
/// indexes them, or this machine's where that one cannot run.
fn keep_modules(root: &Path, architecture: Architecture) -> anyhow::Result<Modules> {
    let directories = root.join("lib/modules");
    let version = fs::read_dir(&directories)?.next().context("there are no kernel modules")??;
    let version = version.file_name().to_string_lossy().into_owned();
    let directory = directories.join(&version);
    let depmod = || {
        let root = root.to_str().context("the cache's path is not UTF-8")?;
        match architecture == Architecture::own() {
            true => packages::output("chroot", &[root, "/sbin/depmod", &version]),
            false => packages::output("/sbin/depmod", &["-b", root, &version]),
        }
    };
    depmod()?;
    let dependencies = fs::read_to_string(directory.join("modules.dep"))?;
    let builtin = fs::read_to_string(directory.join("modules.builtin"))?;
    let of = |text| {
        let names = module_names(text, architecture);
        tree::modules_with_dependencies(&dependencies, &builtin, &names)
            .with_context(|| format!("kernel {version}"))
    };
    let (own, deploy) = (of(MODULES)?, of(DEPLOY_MODULES)?);
    for path in dependencies.lines().filter_map(|line| Some(line.split_once(':')?.0)) {
        if !own.contains(path) && !deploy.contains(path) {
            fs::remove_file(directory.join(path))?;
        }
    }
    depmod()?;
    let of_deploying =
        deploy.difference(&own).map(|name| format!("usr/lib/modules/{version}/{name}"));
    let of_deploying = of_deploying.collect();
    let mut names: Vec<String> = own.into_iter().collect();
    for entry in fs::read_dir(&directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let own = names.iter().map(|name| format!("usr/lib/modules/{version}/{name}")).collect();
    Ok(Modules { own, of_deploying })
}

/// The modules that a list names for an architecture: lines `NAME` or `NAME ARCHITECTURE`.
fn module_names(text: &str, architecture: Architecture) -> Vec<&str> {
    let words = lines(text).into_iter().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let is_of = |(_, only): &(&str, &str)| only.is_empty() || *only == architecture.label();
    words.filter(is_of).map(|(name, _)| name).collect()
}

/// The lines of a list that are neither empty nor comments.
fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_module_is_of_all_architectures_or_of_the_one_named() {
        let text = "# Disks.\nnvme\nvmd amd64\n\nhclge arm64\n";
        assert_eq!(module_names(text, Architecture::Amd64), ["nvme", "vmd"]);
        assert_eq!(module_names(text, Architecture::Arm64), ["nvme", "hclge"]);
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            for text in [MODULES, DEPLOY_MODULES] {
                let names = module_names(text, architecture);
                // As the kernel calls a module that is loaded.
                let is_name = |name: &&str| !name.contains([' ', '-', '.', '/']);
                assert!(names.iter().all(is_name), "{names:?}");
            }
        }
    }

    /// The guide has the NICs of the list, all of them and no others.
    #[test]
    fn the_guide_has_the_drivers_of_nics() {
        let guide = include_str!("../../docs/guide/images.md");
        let row = guide.lines().find_map(|line| line.strip_prefix("| NICs | ")).unwrap();
        let words = row.trim_end_matches(" |").split([',', ';', ' ']).filter(|word| {
            // The architecture that the rest of the row is for.
            !word.is_empty() && !word.ends_with(':')
        });
        let documented: BTreeSet<String> = words.map(|word| word.replace('-', "_")).collect();
        let (_, nics) = DEPLOY_MODULES.split_once("# NICs of servers.\n").unwrap();
        let (nics, others) = nics.split_once("\n\n").unwrap();
        let names = lines(nics).into_iter().filter_map(|line| line.split(' ').next());
        // A part of mlx4_en, and the PHY of r8169.
        let mut listed: BTreeSet<String> = names
            .filter(|name| !["mlx4_core", "realtek"].contains(name))
            .map(str::to_owned)
            .collect();
        // Those of hypervisors stand with the rest of theirs.
        for name in ["virtio_net", "hv_netvsc", "vmxnet3"] {
            assert!(others.contains(name) || MODULES.contains(name), "{name}");
            listed.insert(name.to_owned());
        }
        assert_eq!(documented, listed);
    }
}
