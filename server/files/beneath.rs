//! Opens regular files below a directory, and nowhere else.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Once;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::Mode;

/// The most directory entries to compare with a name in another case.
const MAX_COMPARED_ENTRIES: usize = 10_000;

/// Where symbolic links in a root may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Only into the root.
    Beneath,
    /// Anywhere: the root belongs to a distribution package; Debian's `ipxe.efi` is a link into
    /// `/boot`.
    Anywhere,
}

/// Why a file cannot be opened.
#[derive(Debug)]
pub(super) enum OpenRefusal {
    /// It does not exist.
    Absent,
    /// It exists and must not be served.
    Forbidden(&'static str),
    /// The system call failed.
    Io(io::Error),
}

impl From<Errno> for OpenRefusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => Self::Absent,
            Errno::EXDEV => Self::Forbidden("it is a link out of the served directory"),
            Errno::ELOOP => Self::Forbidden("it is a link that cannot be followed"),
            // ENXIO: a socket, or a device without a driver.
            Errno::ENXIO => Self::Forbidden("it is not a regular file"),
            errno => Self::Io(errno.into()),
        }
    }
}

/// Opens the regular file `name` (see `names`) below `root`. If it does not exist, opens one whose
/// name differs only in case, which clients configured for Windows servers expect.
pub(super) fn open_file(
    root: &Path,
    links: Links,
    name: &str,
) -> Result<(File, Metadata), OpenRefusal> {
    let directory =
        open(root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    // O_NONBLOCK: a fifo without a writer would block for ever.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let opened = match open_below(&directory, links, name, flags) {
        Err(Errno::ENOENT) => {
            let spelled = as_spelled(&directory, links, name).ok_or(OpenRefusal::Absent)?;
            open_below(&directory, links, &spelled, flags)?
        }
        other => other?,
    };
    let file = File::from(opened);
    let metadata = file.metadata().map_err(OpenRefusal::Io)?;
    if !metadata.is_file() {
        return Err(OpenRefusal::Forbidden("it is not a regular file"));
    }
    Ok((file, metadata))
}

fn open_below(root: &OwnedFd, links: Links, name: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    let resolve = match links {
        Links::Beneath => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS,
        Links::Anywhere => ResolveFlag::RESOLVE_NO_MAGICLINKS,
    };
    match openat2(root, name, OpenHow::new().flags(flags).resolve(resolve)) {
        // ENOSYS: Linux before 5.6. EPERM: a seccomp filter that does not know the call.
        Err(Errno::ENOSYS | Errno::EPERM) => open_without_links(root, name, flags),
        result => result,
    }
}

/// For old kernels: opens one component at a time and follows no symbolic link.
fn open_without_links(root: &OwnedFd, name: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        tracing::warn!("this kernel has no openat2: symbolic links to boot files are refused");
    });
    let walk = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let (directories, file) = name.rsplit_once('/').unwrap_or(("", name));
    let mut here = root.try_clone().map_err(|_| Errno::EMFILE)?;
    for component in directories.split('/').filter(|component| !component.is_empty()) {
        here = openat(&here, component, walk, Mode::empty())?;
    }
    openat(&here, file, flags | OFlag::O_NOFOLLOW, Mode::empty())
}

/// The name as the file system spells it, if only the case of ASCII letters differs.
fn as_spelled(root: &OwnedFd, links: Links, name: &str) -> Option<String> {
    let mut spelled = String::with_capacity(name.len());
    for component in name.split('/') {
        let at = if spelled.is_empty() { "." } else { spelled.as_str() };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open_below(root, links, at, flags).ok()?;
        let found = entry_ignoring_case(directory, component)?;
        if !spelled.is_empty() {
            spelled.push('/');
        }
        spelled.push_str(&found);
    }
    Some(spelled)
}

/// The entry that is `wanted`, or the first in order that differs in case only.
fn entry_ignoring_case(directory: OwnedFd, wanted: &str) -> Option<String> {
    let mut directory = Dir::from_fd(directory).ok()?;
    directory
        .iter()
        .take(MAX_COMPARED_ENTRIES)
        .filter_map(|entry| entry.ok()?.file_name().to_str().map(str::to_owned).ok())
        .filter(|entry| entry.eq_ignore_ascii_case(wanted))
        .min_by_key(|entry| (entry != wanted, entry.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_openat2_files_open_and_links_do_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::fs::write(root.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("b", root.path().join("a/link")).unwrap();
        std::os::unix::fs::symlink("file", root.path().join("a/b/also")).unwrap();
        let directory = OwnedFd::from(File::open(root.path()).unwrap());
        let open = |name| open_without_links(&directory, name, OFlag::O_RDONLY);
        assert!(open("a/b/file").is_ok());
        assert_eq!(open("a/link/file").unwrap_err(), Errno::ENOTDIR);
        assert_eq!(open("a/b/also").unwrap_err(), Errno::ELOOP);
        assert_eq!(open("a/none").unwrap_err(), Errno::ENOENT);
    }
}
