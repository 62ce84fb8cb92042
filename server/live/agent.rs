//! The agent as an initrd: this very program. Its libraries are those of the live system, which
//! is of the same Debian release.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use sha2::{Digest, Sha256};

use super::Architecture;
use super::elf::{EM_AARCH64, EM_X86_64, machine};
use super::pack::Initramfs;

/// How long the initrd of another build of the program is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The agent's path below `files`, made first if it is not there.
pub(crate) fn ensure(files: &Path) -> anyhow::Result<String> {
    let program = Path::new("/proc/self/exe");
    let told = fs::metadata(program)?;
    let mut hash = Sha256::new();
    // Which build it is; reading 100 MB would take a second.
    hash.update(format!("{:?} {} {:?}", fs::read_link(program)?, told.len(), told.modified()?));
    let hash: String = hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let name = format!("live/agent-{hash}.img");
    let path = files.join(&name);
    if path.exists() {
        return Ok(name);
    }
    remove_old(&files.join("live"))?;
    let unfinished = files.join(format!("live/unfinished-{}", std::process::id()));
    fs::write(&unfinished, initrd(program)?)?;
    fs::rename(&unfinished, &path)?;
    Ok(name)
}

/// Removes what other builds left.
fn remove_old(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let age = SystemTime::now().duration_since(entry.metadata()?.modified()?);
        if name.starts_with("agent-") && age.is_ok_and(|age| age > KEPT) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The gzip'd initrd of a program for hosts of an architecture.
///
/// # Errors
/// If it is a program of another one, or no program at all.
pub(crate) fn of(program: &Path, architecture: Architecture) -> anyhow::Result<Vec<u8>> {
    let shown = program.display();
    let file = fs::read(program).with_context(|| format!("{shown} cannot be read"))?;
    let expected = match architecture {
        Architecture::Amd64 => EM_X86_64,
        Architecture::Arm64 => EM_AARCH64,
    };
    if machine(&file) != Some(expected) {
        bail!("{shown} is not a program for {}", architecture.label());
    }
    initrd(program)
}

/// The gzip'd initrd.
pub(crate) fn initrd(program: &Path) -> anyhow::Result<Vec<u8>> {
    let contents = stripped(program)?;
    let mut initrd = Initramfs::default();
    initrd.add_file("usr/bin/rackstrap", 0o755, &contents)?;
    initrd.finish()
}

/// The program without its symbols, which are most of a debug build; whole if they cannot be
/// stripped.
fn stripped(program: &Path) -> anyhow::Result<Vec<u8>> {
    let directory = std::env::temp_dir();
    let copy = directory.join(format!("rackstrap-agent-{}", std::process::id()));
    fs::copy(program, &copy)?;
    let strip = Command::new("strip").arg("--strip-all").arg(&copy).output();
    let contents = match strip {
        Ok(output) if output.status.success() => fs::read(&copy),
        _ => fs::read(program),
    };
    fs::remove_file(&copy)?;
    let contents = contents?;
    if contents.is_empty() {
        bail!("the program cannot be copied");
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_program_for_its_architecture() {
        let own = Path::new("/proc/self/exe");
        let other = match Architecture::own() {
            Architecture::Amd64 => Architecture::Arm64,
            Architecture::Arm64 => Architecture::Amd64,
        };
        let refused = |path: &Path, architecture| of(path, architecture).unwrap_err().to_string();
        let expected = format!("is not a program for {}", other.label());
        assert!(refused(own, other).ends_with(&expected), "{}", refused(own, other));
        assert!(refused(Path::new("/dev/null"), other).ends_with(&expected));
        assert!(refused(Path::new("/nonexistent"), other).contains("cannot be read"));
    }
}
