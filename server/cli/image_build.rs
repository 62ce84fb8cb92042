//! `rackstrap image build`: the live system and a disk image, of Debian packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::context::Context;
use crate::live::disk_image::{self, Flavour};
use crate::live::{self, Architecture, Display};
use crate::model::NetworkFormat;

/// `rackstrap image build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// What to build
    what: What,
    /// Architecture of the hosts [default: that of this machine]
    #[arg(long, value_enum)]
    arch: Option<Architecture>,
    /// Make the disk image of the root file system in this tarball, in place of Debian's packages
    #[arg(long, value_name = "FILE")]
    tarball: Option<PathBuf>,
    /// A rackstrap for hosts of that architecture, as the agent of the live system [default: this very
    /// program, for hosts of the architecture of this machine]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// What reads the network of the disk image: networkd, netplan, networkmanager, ifupdown2 or
    /// cloud-init [default: networkd]
    #[arg(long, value_name = "FORMAT", conflicts_with = "tarball")]
    network_format: Option<NetworkFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The live system that writes disk images, with a rackstrap as its agent, and with the
    /// drivers of servers
    Live,
    /// A Debian system that boots by BIOS, by UEFI and with Secure Boot
    Disk,
}

impl Build {
    /// Builds it below the files directory, and says how to use it.
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        if !nix::unistd::geteuid().is_root() {
            bail!("packages are unpacked as their owners: run with sudo");
        }
        let files = context.config.files_path();
        let own = Architecture::own();
        let arch = self.arch.unwrap_or(own);
        if self.tarball.is_some() && matches!(self.what, What::Live) {
            bail!("--tarball is for a disk image: rackstrap image build disk --tarball FILE");
        }
        if self.network_format.is_some() && matches!(self.what, What::Live) {
            bail!(
                "--network-format is for a disk image: rackstrap image build disk --network-format netplan"
            );
        }
        if self.agent.is_some() && matches!(self.what, What::Disk) {
            bail!("--agent is for the live system: rackstrap image build live --agent FILE");
        }
        let runs_scripts = matches!(self.what, What::Disk) && self.tarball.is_none();
        if runs_scripts && arch != own && !runs_programs_of(arch) {
            bail!(
                "the packages of a disk image run their scripts, and this machine does not run \
                 programs of {}: install qemu-user-static, binfmt-support and arch-test, or \
                 build it on an {} machine",
                arch.label(),
                arch.label(),
            );
        }
        let build = move || match self.what {
            What::Live => live_system(&files, arch, self.agent.as_deref()),
            What::Disk => disk(&files, arch, self.tarball.as_deref(), self.network_format),
        };
        let then = tokio::task::spawn_blocking(build).await??;
        println!("{then}");
        Ok(ExitCode::SUCCESS)
    }
}

fn live_system(files: &Path, arch: Architecture, agent: Option<&Path>) -> anyhow::Result<String> {
    let is_own = arch == Architecture::own();
    // First: the packages take minutes.
    let agent = agent.map(|program| live::agent_of(program, arch)).transpose()?;
    let image = live::ensure(&files.join(".build"), arch, &Display::new())?;
    let name = if is_own { "live".to_owned() } else { format!("live-{}", arch.label()) };
    let directory = files.join(&name);
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    // The kernel unpacks archives that follow each other as if they were one.
    let mut initrd = fs::read(image.initrd())?;
    initrd.extend(fs::read(image.files.join(live::GuestImage::DEPLOY))?);
    let has_agent = is_own || agent.is_some();
    match agent {
        Some(agent) => initrd.extend(agent),
        None if is_own => initrd.extend(fs::read(image.files.join(image.agent()?))?),
        None => {}
    }
    // Renamed when they are whole: hosts may be loading the ones from before.
    for (name, bytes) in [("vmlinuz", fs::read(image.kernel())?), ("initrd.img", initrd)] {
        let unfinished = directory.join(format!("{name}.unfinished"));
        fs::write(&unfinished, bytes)?;
        fs::rename(unfinished, directory.join(name))?;
    }
    let console = if arch == Architecture::Arm64 { "ttyAMA0" } else { "ttyS0" };
    let mut then = format!(
        "Use it with:\n  rackstrap image set {name} kernel={name}/vmlinuz initrd={name}/initrd.img \
         'cmdline=console=tty0 console={console} quiet'"
    );
    if !has_agent {
        then.push_str(
            "\nIt has no agent, so it writes no disk images: --agent names a rackstrap that was \
             compiled for its architecture.",
        );
    }
    Ok(then)
}

/// Whether the kernel runs programs of another architecture by QEMU (binfmt_misc of the kernel's
/// documentation).
fn runs_programs_of(architecture: Architecture) -> bool {
    let name = match architecture {
        Architecture::Amd64 => "qemu-x86_64",
        Architecture::Arm64 => "qemu-aarch64",
    };
    let state = fs::read_to_string(Path::new("/proc/sys/fs/binfmt_misc").join(name));
    state.is_ok_and(|state| state.starts_with("enabled"))
}

fn disk(
    files: &Path,
    architecture: Architecture,
    tarball: Option<&Path>,
    format: Option<NetworkFormat>,
) -> anyhow::Result<String> {
    let of_packages = format.unwrap_or(NetworkFormat::Networkd);
    let flavour = Flavour { architecture, format: of_packages };
    let name = match architecture == Architecture::own() {
        true => "debian".to_owned(),
        false => format!("debian-{}", architecture.label()),
    };
    let (image, name) = match tarball {
        Some(tarball) => (disk_image::of_tarball(files, tarball, &Display::new())?, "NAME".into()),
        None => (disk_image::ensure(files, flavour, &Display::new())?, name),
    };
    let (path, sha256) = (image.path, image.sha256);
    // It has netplan, too, which would be taken.
    let named = match format {
        Some(NetworkFormat::CloudInit) => " network-format=cloud-init",
        _ => "",
    };
    Ok(format!("Use it with:\n  rackstrap image set {name} disk={path} sha256={sha256}{named}"))
}
