//! The command line: one file per command.

mod apply;
mod check;
mod context;
mod doctor;
mod event;
mod export;
mod fix;
mod formats;
mod host;
mod import;
mod init;
mod keys;
mod lease;
mod microcloud;
mod nouns;
mod outcome;
mod profile;
mod render;
mod revision;
mod serve;
mod settings;
mod tenant;
mod token;
mod user;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::model::{Image, Rack, Subnet, Switch};
use context::Context;
use nouns::NounCommand;
use settings::Settings;

/// Bare-metal provisioning: DHCP, TFTP, HTTP boot and generated networkd
/// configuration for every host, from one inventory.
#[derive(Debug, Parser)]
#[command(name = "rackstrap", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process: DHCP, TFTP, HTTP and the web UI
    Serve,
    /// Ask for interface and subnet, write the configuration, make the first user
    Init(init::Init),
    /// A virtual rack on this machine: namespaces and QEMU guests, netbooted by the real server
    Lab(crate::lab::LabArguments),
    /// Make the inventory equal to a site file
    Apply(apply::Apply),
    /// Add or change hosts from rows of comma-separated values
    Import(import::Import),
    /// Print the whole site
    Export(export::Export),
    /// Check every rule over the whole site, or a site file
    Check(check::Check),
    /// Say what would stop a boot here, each with its remedy
    Doctor(doctor::Doctor),
    /// Print the network configuration that a host would get
    Render(render::Render),
    /// List what each format of a host's network configuration can say
    Formats,
    /// List every key of the site file, with what it takes and what it is for
    Keys(keys::Keys),
    /// Print the JSON Schema of the site file, for editors
    Schema,
    /// Show what happens as it happens: the boots of all hosts, or of one
    Watch(watch::Watch),
    /// Hosts
    #[command(subcommand)]
    Host(host::HostCommand),
    /// Racks
    #[command(subcommand)]
    Rack(NounCommand),
    /// Tenants: who may lease hosts
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Switches: what hosts are cabled to
    #[command(subcommand)]
    Switch(NounCommand),
    /// Subnets
    #[command(subcommand)]
    Subnet(NounCommand),
    /// Profiles: what the network of a kind of host is
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Images: what hosts boot
    #[command(subcommand)]
    Image(NounCommand),
    /// Leases: who holds which address until when
    #[command(subcommand)]
    Lease(lease::LeaseCommand),
    /// Events: what happened, to whom, when
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Revisions: the changes of the inventory
    #[command(subcommand)]
    Revision(revision::RevisionCommand),
    /// Users: who may log in
    #[command(subcommand)]
    User(user::UserCommand),
    /// Tokens: how programs show that they may read or change
    #[command(subcommand)]
    Token(token::TokenCommand),
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
    let Arguments { settings, json, command } = arguments;
    // The lab has a configuration of its own.
    let context = || anyhow::Ok(Context { config: settings.config()?, json });
    match command {
        Command::Serve => serve::run(settings.config()?).await,
        Command::Init(init) => init.run(&settings).await,
        Command::Lab(arguments) => crate::lab::run(arguments).await,
        Command::Apply(apply) => apply.run(context()?).await,
        Command::Import(import) => import.run(context()?).await,
        Command::Export(export) => export.run(context()?).await,
        Command::Check(check) => check.run(context()?).await,
        Command::Doctor(doctor) => doctor.run(context()?).await,
        Command::Render(render) => render.run(context()?).await,
        Command::Watch(watch) => watch.run(context()?).await,
        Command::Host(host) => host.run(context()?).await,
        Command::Rack(noun) => noun.run::<Rack>(context()?).await,
        Command::Tenant(tenant) => tenant.run(context()?).await,
        Command::Switch(noun) => noun.run::<Switch>(context()?).await,
        Command::Subnet(noun) => noun.run::<Subnet>(context()?).await,
        Command::Formats => formats::run(&context()?),
        Command::Keys(keys) => keys.run(&context()?),
        Command::Schema => keys::schema(),
        Command::Profile(profile) => profile.run(context()?).await,
        Command::Image(noun) => noun.run::<Image>(context()?).await,
        Command::Lease(lease) => lease.run(context()?).await,
        Command::Event(event) => event.run(context()?).await,
        Command::Revision(revision) => revision.run(context()?).await,
        Command::User(user) => user.run(context()?).await,
        Command::Token(token) => token.run(context()?).await,
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
