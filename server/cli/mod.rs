//! The command line, one file per command.

mod ansible;
mod apply;
mod audit;
mod backup;
mod ca;
mod check;
mod context;
mod database;
mod discovered;
mod doctor;
mod event;
mod export;
mod fix;
mod formats;
mod generate;
mod host;
mod image;
mod image_build;
mod import;
mod init;
mod keys;
mod lease;
mod microcloud;
mod netbox;
mod noun_command;
mod nouns;
mod outcome;
mod profile;
mod render;
mod revision;
mod roll_out;
mod rules;
mod secret;
mod self_signed;
mod serve;
mod settings;
mod tenant;
mod tls_files;
mod token;
mod user;
mod watch;
mod webhook;
mod zone;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use context::Context;
use settings::Settings;

use crate::causes;

/// Bare-metal provisioning: DHCP, TFTP, HTTP boot and generated network configuration for
/// every host, from one inventory
#[derive(Debug, Parser)]
#[command(name = "rackstrap", version, about, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: DHCP, TFTP, HTTP and the web UI
    Serve(serve::Serve),
    /// Ask for interface and subnet, write the configuration file, create the first user
    Init(init::Init),
    /// Run a virtual rack here: network namespaces and QEMU guests that boot from a real server
    Lab(crate::lab::LabArguments),
    /// What this program does on a host that runs the live system
    #[command(subcommand, hide = true)]
    Agent(crate::agent::AgentCommand),
    /// Replace the inventory with a site file
    Apply(apply::Apply),
    /// Import hosts, networks and leases from tables and from the files of other systems
    Import(import::Import),
    /// Take hosts, cables, addresses and subnets over from NetBox, or write to it what it lacks
    #[command(subcommand)]
    Netbox(netbox::NetBoxCommand),
    /// Print the inventory as a site file or as CSV
    Export(export::Export),
    /// Check the inventory, or a site file, against all rules
    Check(check::Check),
    /// Find what prevents hosts from booting here, with a fix for each problem
    Doctor(doctor::Doctor),
    /// Print the network configuration of a host or a switch
    Render(render::Render),
    /// Print hosts and groups as a dynamic inventory of Ansible
    AnsibleInventory(ansible::AnsibleInventory),
    /// Print the addresses of the hosts as a zone file for a DNS server
    Zone(zone::Zone),
    /// List which network features each output format supports
    Formats,
    /// List the rules of the checks, or explain one
    Rules(rules::Rules),
    /// List the keys of the site file, with type and purpose
    Keys(keys::Keys),
    /// Print the JSON Schema of the site file
    Schema,
    /// Follow events and boots live, of all hosts or of one
    Watch(watch::Watch),
    #[command(flatten)]
    Noun(noun_command::AnyNoun),
    /// Show and release DHCP leases
    #[command(subcommand)]
    Lease(lease::LeaseCommand),
    /// List unknown clients: who asked DHCP and is in no host, and what marks them
    Discovered(discovered::Discovered),
    /// Show events
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Show the audit log: who changed what, logged in, or used a token
    Audit(audit::Audit),
    /// Let hosts apply their new network configuration in waves
    #[command(subcommand, alias = "rollout")]
    RollOut(roll_out::RollOutCommand),
    /// Show and revert changes of the inventory
    #[command(subcommand)]
    Revision(revision::RevisionCommand),
    /// Write the database, the configuration and a list of image files into one file
    Backup(backup::Backup),
    /// Fill an empty database from a backup
    Restore(backup::Restore),
    /// Copy the inventory from one database to another
    #[command(subcommand)]
    Db(database::DatabaseCommand),
    /// Manage users of the web UI
    #[command(subcommand)]
    User(user::UserCommand),
    /// Manage API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Manage secrets that profiles name, such as passwords of BGP
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Manage the CA that firmware trusts to boot by HTTPS
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Send test messages to webhook receivers
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Print a script that completes commands in a shell
    Completions(generate::Completions),
    /// Write the man pages
    #[command(hide = true)]
    Man(generate::ManPages),
}

/// The grammar of the command line, as documentation and tests read it.
pub fn grammar() -> clap::Command {
    Arguments::command()
}

/// Runs the command in the process arguments.
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
    // Read on demand: the lab writes its own configuration.
    let context = || anyhow::Ok(Context { config: settings.config()?, json });
    match command {
        Command::Serve(serve) => serve.run(settings).await,
        Command::Init(init) => init.run(&settings).await,
        Command::Lab(arguments) => crate::lab::run(arguments).await,
        Command::Agent(command) => crate::agent::run(command).await,
        Command::Apply(apply) => apply.run(context()?).await,
        Command::Import(import) => import.run(context()?).await,
        Command::Netbox(netbox) => netbox.run(context()?).await,
        Command::Export(export) => export.run(context()?).await,
        Command::Check(check) => check.run(context()?).await,
        Command::Doctor(doctor) => doctor.run(context()?).await,
        Command::Render(render) => render.run(context()?).await,
        Command::AnsibleInventory(ansible) => ansible.run(context()?).await,
        Command::Zone(zone) => zone.run(context()?).await,
        Command::Watch(watch) => watch.run(context()?).await,
        Command::Noun(noun) => noun.run(context()?).await,
        Command::Formats => formats::run(&context()?),
        Command::Keys(keys) => keys.run(&context()?),
        Command::Rules(rules) => rules.run(&context()?),
        Command::Schema => keys::schema(),
        Command::Lease(lease) => lease.run(context()?).await,
        Command::RollOut(command) => command.run(context()?).await,
        Command::Discovered(discovered) => discovered.run(context()?).await,
        Command::Event(event) => event.run(context()?).await,
        Command::Audit(audit) => audit.run(context()?).await,
        Command::Revision(revision) => revision.run(context()?).await,
        Command::Backup(backup) => backup.run(&settings, context()?).await,
        Command::Restore(restore) => restore.run(&settings, json).await,
        Command::Db(database) => database.run(context()?).await,
        Command::User(user) => user.run(context()?).await,
        Command::Token(token) => token.run(context()?).await,
        Command::Secret(secret) => secret.run(context()?).await,
        Command::Ca(command) => command.run(context()?).await,
        Command::Webhook(webhook) => webhook.run(context()?).await,
        Command::Completions(completions) => completions.run(),
        Command::Man(pages) => pages.run(),
    }
}

/// Prints an error, with each cause on its own line.
fn fail(error: &anyhow::Error) -> ExitCode {
    let mut texts = causes::texts(error.as_ref()).into_iter();
    eprintln!("rackstrap: {}", texts.next().unwrap_or_default());
    for cause in texts {
        eprintln!("  caused by: {cause}");
    }
    ExitCode::FAILURE
}
