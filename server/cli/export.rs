//! `rackstrap export`: the inventory as a file for `apply` or `import`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::cli::context::{Context, print};
use crate::site_file;

/// `rackstrap export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// yaml: the whole site, for `rackstrap apply`; csv: the hosts, for `rackstrap import`
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Csv,
}

impl Export {
    /// Prints the inventory.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let snapshot = context.read_inventory().await?.snapshot();
        if context.json {
            context.print(&snapshot.site, String::new)?;
            return Ok(ExitCode::SUCCESS);
        }
        print(&match self.format {
            Format::Yaml => site_file::render(&snapshot.site),
            Format::Csv => site_file::render_rows(&snapshot.site),
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
