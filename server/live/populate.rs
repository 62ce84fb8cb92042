//! An ext4 file system with the files of a directory, which depends on nothing but their names,
//! contents, owners and modes. `mke2fs -d` takes the files in the order in which the directory's own
//! file system has them, and their times.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use super::packages;

/// Seconds since 1970 that every time in the file system is.
const TIME: &str = "1";

/// Puts the files below `tree` into the empty file system `image`. Device nodes are left out: every
/// system makes its own.
pub(super) fn populate(tree: &Path, image: &Path) -> anyhow::Result<()> {
    let file = image.with_extension("debugfs");
    let mut script = Script { capabilities: capabilities(tree)?, ..Script::default() };
    script.directory(tree, "/")?;
    for (path, links) in script.links.values() {
        let _ = writeln!(script.text, "set_inode_field {} links_count {links}", quoted(path)?);
    }
    fs::write(&file, &script.text)?;
    let mut debugfs = Command::new("debugfs");
    debugfs.env("E2FSPROGS_FAKE_TIME", TIME).arg("-w").arg("-f").arg(&file).arg(image);
    let output = debugfs.output().context("debugfs does not start")?;
    // It says its version first, and goes on after an error.
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut complaints = said.lines().filter(|line| !line.starts_with("debugfs "));
    if let Some(complaint) = complaints.next() {
        bail!("debugfs: {complaint}");
    }
    let check = Command::new("e2fsck").args(["-f", "-n"]).arg(image).output()?;
    ensure!(
        check.status.success(),
        "e2fsck finds errors in the new file system: {}",
        String::from_utf8_lossy(&check.stdout).trim()
    );
    Ok(fs::remove_file(file)?)
}

/// The commands for debugfs(8).
#[derive(Default)]
struct Script {
    text: String,
    /// The first name of each file that has several, and how many it has, by its inode.
    links: BTreeMap<u64, (String, u64)>,
    /// The capabilities of programs, by their path in the tree.
    capabilities: BTreeMap<PathBuf, PathBuf>,
}

impl Script {
    /// The entries of a directory, sorted by name, and then those of the directories in it.
    fn directory(&mut self, from: &Path, path: &str) -> anyhow::Result<()> {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
        entries.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        let _ = writeln!(self.text, "cd {}", quoted(path)?);
        let mut directories = Vec::new();
        for entry in entries {
            let name = entry.file_name().unwrap_or_default().to_str();
            let name = name.with_context(|| format!("{} is not UTF-8", entry.display()))?;
            let inside = format!("{}/{name}", path.trim_end_matches('/'));
            let told = fs::symlink_metadata(&entry)?;
            let kind = told.file_type();
            let own = quoted(name)?;
            if kind.is_symlink() {
                let target = fs::read_link(&entry)?;
                let target = target.to_str().context("the target of a link is not UTF-8")?;
                let _ = writeln!(self.text, "symlink {own} {}", quoted(target)?);
                continue;
            }
            if kind.is_dir() {
                let _ = writeln!(self.text, "mkdir {own}");
                directories.push((entry.clone(), inside));
            } else if kind.is_file() {
                if told.nlink() > 1
                    && let Some((first, links)) = self.links.get_mut(&told.ino())
                {
                    *links += 1;
                    // It finds no room for itself, as the other commands do.
                    let _ = writeln!(self.text, "expand_dir .\nlink {} {own}", quoted(first)?);
                    continue;
                }
                if told.nlink() > 1 {
                    self.links.insert(told.ino(), (inside, 1));
                }
                let _ = writeln!(self.text, "write {} {own}", quoted(&entry.to_string_lossy())?);
            } else {
                continue;
            }
            let (mode, uid, gid) = (told.mode(), told.uid(), told.gid());
            let _ = writeln!(self.text, "set_inode_field {own} mode 0{mode:o}");
            if (uid, gid) != (0, 0) {
                let _ = writeln!(self.text, "set_inode_field {own} uid {uid}");
                let _ = writeln!(self.text, "set_inode_field {own} gid {gid}");
            }
            if let Some(value) = self.capabilities.get(&entry) {
                let value = quoted(&value.to_string_lossy())?;
                let _ = writeln!(self.text, "ea_set -f {value} {own} security.capability");
            }
        }
        for (entry, inside) in directories {
            self.directory(&entry, &inside)?;
        }
        Ok(())
    }
}

/// The programs with capabilities (capabilities(7)), each with a file that holds the value of its
/// extended attribute.
fn capabilities(tree: &Path) -> anyhow::Result<BTreeMap<PathBuf, PathBuf>> {
    let listed = packages::output("getcap", &[Path::new("-r"), tree])?;
    let mut programs = BTreeMap::new();
    for (number, line) in listed.lines().enumerate() {
        let (program, words) = line.rsplit_once(' ').context("getcap says something else")?;
        let value = capability_value(words)
            .with_context(|| format!("{program} has capabilities that are not known: {words}"))?;
        let file = tree.with_extension(format!("capability{number}"));
        fs::write(&file, value)?;
        programs.insert(PathBuf::from(program), file);
    }
    Ok(programs)
}

/// The extended attribute of capabilities as getcap(8) writes them, such as `cap_net_raw=ep`: struct
/// vfs_cap_data of linux/capability.h, revision 2.
fn capability_value(words: &str) -> Option<Vec<u8>> {
    const REVISION: u32 = 0x0200_0000;
    let (names, flags) = words.split_once('=')?;
    let mut bits = 0_u64;
    for name in names.split(',') {
        bits |=
            1 << CAPABILITIES.iter().position(|known| name.strip_prefix("cap_") == Some(known))?;
    }
    let has = |flag: char| flags.contains(flag);
    if flags.chars().any(|flag| !"eip".contains(flag)) {
        return None;
    }
    let (low, high) = (bits as u32, (bits >> 32) as u32);
    let set = |flag: char, half: u32| if has(flag) { half } else { 0 };
    let numbers = [
        REVISION | u32::from(has('e')),
        set('p', low),
        set('i', low),
        set('p', high),
        set('i', high),
    ];
    Some(numbers.map(u32::to_le_bytes).concat())
}

/// The capabilities of Linux in the order of their numbers.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A word of a command: debugfs reads quotes, and no escapes within them.
fn quoted(word: &str) -> anyhow::Result<String> {
    ensure!(!word.contains(['"', '\n']), "{word:?} has a sign that debugfs does not read");
    Ok(format!("\"{word}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_become_the_attribute_of_the_kernel() {
        // As `getfattr -e hex` shows what setcap wrote.
        let ping = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(capability_value("cap_net_raw=ep").as_deref(), Some(&ping[..]));
        let both = capability_value("cap_net_admin,cap_bpf=p").unwrap();
        assert_eq!(both[..8], [0, 0, 0, 2, 0, 16, 0, 0]);
        assert_eq!(both[12..], [128, 0, 0, 0, 0, 0, 0, 0]);
        for wrong in ["cap_new=ep", "cap_net_raw+ep", "cap_net_raw=x", ""] {
            assert_eq!(capability_value(wrong), None, "{wrong}");
        }
    }
}
