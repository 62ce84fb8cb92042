//! `rackstrap export`: the whole site as text that `apply` or `import` takes.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::cli::context::{Context, print};
use crate::site_file;

/// What `export` is told.
#[derive(Debug, Args)]
pub struct Export {
    /// yaml: everything, for `apply`; csv: the hosts, for `import` and spreadsheets
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Csv,
}

impl Export {
    /// Prints the site.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let snapshot = context.inventory().await?.snapshot();
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
