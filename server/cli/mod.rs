//! The command line: one file per command.

mod lab;
mod serve;
mod settings;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use settings::Settings;

/// Bare-metal provisioning: DHCP, TFTP, HTTP boot and generated networkd
/// configuration for every host, from one inventory.
#[derive(Debug, Parser)]
#[command(name = "rackstrap", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process: DHCP, TFTP, HTTP and the web UI
    Serve,
    /// A virtual rack on this machine: namespaces and QEMU guests, netbooted by the real server
    Lab(lab::LabArguments),
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings;
    match arguments.command {
        Command::Serve => serve::run(settings.config()?).await,
        Command::Lab(arguments) => lab::run(arguments).await,
    }
}

/// Says what went wrong and why, each cause on a line of its own.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("rackstrap: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
    ExitCode::FAILURE
}
