//! The command of each kind of noun: `rackstrap rack`, `rackstrap host`, ...

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches, Subcommand};

use super::context::Context;
use super::host::HostCommand;
use super::image::ImageCommand;
use super::nouns::NounCommand;
use super::profile::ProfileCommand;
use super::tenant::TenantCommand;
use crate::model::{Host, Image, NounKind, ProfileTree, Rack, Subnet, Switch, Tenant};

/// The command of one kind of noun.
#[derive(Debug)]
pub(crate) enum AnyNoun {
    Host(HostCommand),
    Tenant(TenantCommand),
    Profile(ProfileCommand),
    Image(ImageCommand),
    /// A kind with the subcommands that all have.
    Plain {
        kind: NounKind,
        command: NounCommand,
    },
}

impl AnyNoun {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Host(host) => host.run(context).await,
            Self::Tenant(tenant) => tenant.run(context).await,
            Self::Profile(profile) => profile.run(context).await,
            Self::Image(image) => image.run(context).await,
            Self::Plain { kind, command } => match kind {
                NounKind::Rack => command.run::<Rack>(context).await,
                NounKind::Tenant => command.run::<Tenant>(context).await,
                NounKind::Switch => command.run::<Switch>(context).await,
                NounKind::Subnet => command.run::<Subnet>(context).await,
                NounKind::ProfileTree => command.run::<ProfileTree>(context).await,
                NounKind::Image => command.run::<Image>(context).await,
                NounKind::Host => command.run::<Host>(context).await,
            },
        }
    }
}

/// What the help says of a kind.
fn about(kind: NounKind) -> &'static str {
    match kind {
        NounKind::Rack => "Manage racks",
        NounKind::Tenant => "Manage tenants: who rents hosts",
        NounKind::Switch => "Manage switches",
        NounKind::Subnet => "Manage subnets",
        NounKind::ProfileTree => "Manage profiles: the network configuration of a kind of host",
        NounKind::Image => "Manage images: what hosts boot",
        NounKind::Host => "Manage hosts",
    }
}

fn grammar(kind: NounKind) -> Command {
    let command = Command::new(kind.label());
    let command = command.subcommand_required(true).arg_required_else_help(true);
    let command = match kind {
        NounKind::Host => HostCommand::augment_subcommands(command),
        NounKind::Tenant => TenantCommand::augment_subcommands(command),
        NounKind::ProfileTree => ProfileCommand::augment_subcommands(command),
        NounKind::Image => ImageCommand::augment_subcommands(command),
        _ => NounCommand::augment_subcommands(command),
    };
    // What derives subcommands says something of their type.
    command.about(about(kind))
}

impl Subcommand for AnyNoun {
    fn augment_subcommands(command: Command) -> Command {
        // Hosts first.
        NounKind::ALL.iter().rev().fold(command, |all, kind| all.subcommand(grammar(*kind)))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        NounKind::of_label(name).is_some()
    }
}

impl FromArgMatches for AnyNoun {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let Some((name, matches)) = matches.subcommand() else {
            return Err(clap::Error::new(ErrorKind::MissingSubcommand));
        };
        let Some(kind) = NounKind::of_label(name) else {
            return Err(clap::Error::new(ErrorKind::InvalidSubcommand));
        };
        Ok(match kind {
            NounKind::Host => Self::Host(HostCommand::from_arg_matches(matches)?),
            NounKind::Tenant => Self::Tenant(TenantCommand::from_arg_matches(matches)?),
            NounKind::ProfileTree => Self::Profile(ProfileCommand::from_arg_matches(matches)?),
            NounKind::Image => Self::Image(ImageCommand::from_arg_matches(matches)?),
            kind => Self::Plain { kind, command: NounCommand::from_arg_matches(matches)? },
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
