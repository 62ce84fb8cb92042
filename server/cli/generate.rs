//! `rackstrap completions` and `rackstrap man`: what packages install beside the program.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

use crate::cli::context::print;

/// `rackstrap completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::grammar(), "rackstrap", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// `rackstrap man`.
#[derive(Debug, Args)]
pub(crate) struct ManPages {
    /// Directory for rackstrap.1 and a page for each command
    directory: PathBuf,
}

impl ManPages {
    /// Writes the pages.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(super::grammar(), directory))
            .with_context(|| format!("cannot write man pages to {}", directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
