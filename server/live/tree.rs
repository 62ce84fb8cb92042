//! The unpacked packages, and what of them the guest takes along.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::elf;

/// Directories that today are one with those in `/usr`.
const MERGED: [&str; 4] = ["bin/", "sbin/", "lib/", "lib64/"];

/// All files of the unpacked packages, by their path with `/usr` merged and no leading slash.
pub(crate) struct Tree {
    files: BTreeMap<String, PathBuf>,
    /// Path by file name, of everything that may be a shared library.
    libraries: HashMap<String, String>,
}

impl Tree {
    /// Looks through `root`.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                } else if let Some(path) = entry.path().strip_prefix(root)?.to_str() {
                    files.insert(merged(path), entry.path());
                }
            }
        }
        let named = |path: &String| Some((path.rsplit_once('/')?.1.to_owned(), path.clone()));
        let libraries = files.keys().filter(|path| path.contains(".so")).filter_map(named);
        Ok(Self { libraries: libraries.collect(), files })
    }

    /// What is kept: the `wanted` paths that are there, what they point to and
    /// the libraries they are linked with.
    pub(crate) fn closure(&self, wanted: &[&str]) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut kept = BTreeMap::new();
        let mut waiting: Vec<String> = wanted.iter().map(|path| (*path).to_owned()).collect();
        while let Some(path) = waiting.pop() {
            let Some(file) = self.files.get(&path) else { continue };
            if kept.insert(path.clone(), file.clone()).is_some() {
                continue;
            }
            if file.is_symlink() {
                let target = std::fs::read_link(file)?;
                let target = target.to_str().context("a link's target is not UTF-8")?;
                waiting.push(resolve(&path, target));
                continue;
            }
            let contents = std::fs::read(file)?;
            let libraries = elf::needed_libraries(&contents);
            waiting.extend(libraries.iter().filter_map(|name| self.libraries.get(name)).cloned());
        }
        Ok(kept)
    }
}

/// Adds the links to directories in `/usr` that packages of a release after Debian 12 count on
/// and do not bring.
pub(crate) fn merge_usr(root: &Path) -> std::io::Result<()> {
    for directory in MERGED {
        let name = directory.trim_end_matches('/');
        if !root.join(name).exists() {
            symlink(Path::new("usr").join(name), root.join(name))?;
        }
    }
    Ok(())
}

/// The kernel modules named, and what they depend on: paths below the modules directory,
/// from the lines `PATH: PATH PATH` of `modules.dep`. Those of `modules.builtin` need no file.
///
/// # Errors
/// If the kernel does not have one of them: a host would miss its driver.
pub(crate) fn modules_with_dependencies(
    modules_dep: &str,
    modules_builtin: &str,
    names: &[&str],
) -> anyhow::Result<BTreeSet<String>> {
    let name_of = |path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        file.split('.').next().unwrap_or(file).replace('-', "_")
    };
    let mut missing: BTreeSet<&str> = names.iter().copied().collect();
    for path in modules_builtin.lines() {
        missing.remove(name_of(path).as_str());
    }
    let mut kept = BTreeSet::new();
    for (path, needed) in modules_dep.lines().filter_map(|line| line.split_once(':')) {
        let name = name_of(path);
        if names.contains(&name.as_str()) {
            missing.remove(name.as_str());
            kept.extend(std::iter::once(path).chain(needed.split_whitespace()).map(str::to_owned));
        }
    }
    if !missing.is_empty() {
        let missing = missing.into_iter().collect::<Vec<_>>().join(", ");
        bail!("the kernel has no module of these names: {missing}");
    }
    Ok(kept)
}

/// The path with `/bin`, `/sbin` and `/lib` moved into `/usr`.
fn merged(path: &str) -> String {
    if MERGED.iter().any(|directory| path.starts_with(directory)) {
        return format!("usr/{path}");
    }
    path.to_owned()
}

/// Where a symbolic link at `path` leads.
fn resolve(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    merged(&parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_into_the_merged_usr() {
        let cases = [
            ("usr/sbin/modprobe", "../bin/kmod", "usr/bin/kmod"),
            ("usr/sbin/modprobe", "/bin/kmod", "usr/bin/kmod"),
            ("usr/lib64/ld.so", "/lib/x86_64-linux-gnu/ld.so", "usr/lib/x86_64-linux-gnu/ld.so"),
            ("usr/lib/libz.so.1", "libz.so.1.2.13", "usr/lib/libz.so.1.2.13"),
        ];
        for (path, target, expected) in cases {
            assert_eq!(resolve(path, target), expected);
        }
    }

    #[test]
    fn modules_come_with_what_they_depend_on() {
        let dep = "kernel/net/8021q/8021q.ko: kernel/net/802/garp.ko kernel/net/802/mrp.ko\n\
                   kernel/net/802/garp.ko:\n\
                   kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz\n\
                   kernel/drivers/net/dummy.ko:\n";
        let builtin =
            "kernel/drivers/tty/serial/8250/8250.ko\nkernel/drivers/mmc/core/mmc-block.ko\n";
        let of = |names: &[&str]| modules_with_dependencies(dep, builtin, names);
        let found = of(&["8021q", "virtio_net", "mmc_block"]).unwrap();
        let expected = [
            "kernel/drivers/net/virtio_net.ko.xz",
            "kernel/net/802/garp.ko",
            "kernel/net/802/mrp.ko",
            "kernel/net/8021q/8021q.ko",
            "kernel/net/core/failover.ko.xz",
        ];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        let refused = of(&["dummy", "e1000e", "8250", "bonding"]).unwrap_err().to_string();
        assert_eq!(refused, "the kernel has no module of these names: bonding, e1000e");
    }
}
