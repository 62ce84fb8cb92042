//! `rackstrap image build`: the live system and a disk image, of Debian packages.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::context::Context;
use crate::live::{self, Display, disk_image};

/// `rackstrap image build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// What to build
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The live system that writes disk images, with this very program as its agent. Its kernel is
    /// Debian's for virtual machines
    Live,
    /// A Debian system that boots by BIOS, by UEFI and with Secure Boot. Its kernel is Debian's for
    /// virtual machines
    Disk,
}

impl Build {
    /// Builds it below the files directory, and says how to use it.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if !nix::unistd::geteuid().is_root() {
            bail!("packages are unpacked as their owners: run with sudo");
        }
        let files = context.config.files_path();
        let build = move || match self.what {
            What::Live => live_system(&files),
            What::Disk => disk(&files),
        };
        let then = tokio::task::spawn_blocking(build).await??;
        println!("{then}");
        Ok(ExitCode::SUCCESS)
    }
}

fn live_system(files: &Path) -> anyhow::Result<String> {
    let image = live::ensure(&files.join(".build"), &Display::new())?;
    let directory = files.join("live");
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    // The kernel unpacks archives that follow each other as if they were one.
    let mut initrd = fs::read(image.initrd())?;
    initrd.extend(fs::read(image.files.join(live::GuestImage::DEPLOY))?);
    initrd.extend(fs::read(image.files.join(image.agent()?))?);
    // Renamed when they are whole: hosts may be loading the ones from before.
    for (name, bytes) in [("vmlinuz", fs::read(image.kernel())?), ("initrd.img", initrd)] {
        let unfinished = directory.join(format!("{name}.unfinished"));
        fs::write(&unfinished, bytes)?;
        fs::rename(unfinished, directory.join(name))?;
    }
    Ok("Use it with:\n  rackstrap image set live kernel=live/vmlinuz initrd=live/initrd.img \
        'cmdline=console=tty0 console=ttyS0 quiet'"
        .into())
}

fn disk(files: &Path) -> anyhow::Result<String> {
    let image = disk_image::ensure(files, &Display::new())?;
    let (path, sha256) = (image.path, image.sha256);
    Ok(format!("Use it with:\n  rackstrap image set debian disk={path} sha256={sha256}"))
}
