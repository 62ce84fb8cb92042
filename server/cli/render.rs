//! `rackstrap render`: the network configuration that a host would get.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::network::{File, Format, render_host};

/// What `render` is told.
#[derive(Debug, Args)]
pub struct Render {
    /// The host, by name or by any of its MACs
    host: String,
    /// What the files are written for
    #[arg(long, default_value = "networkd")]
    format: String,
}

impl Render {
    /// Prints the host's files.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let snapshot = context.inventory().await?.snapshot();
        let by_mac = self.host.parse().ok().and_then(|mac| snapshot.host_of_mac(mac));
        let name = by_mac.map_or(self.host.as_str(), |(name, _)| name);
        let format: Format = self.format.parse()?;
        let files = render_host(&snapshot.site, name, format)?;
        let value: Vec<Value> =
            files.iter().map(|file| json!({"name": file.name, "text": file.text})).collect();
        context.print(&value, || readable(&files))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// All files in one text, each under its name.
fn readable(files: &[File]) -> String {
    let texts = files.iter().map(|file| format!("# {}\n{}", file.name, file.text));
    texts.collect::<Vec<_>>().join("\n")
}
