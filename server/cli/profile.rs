//! `rackstrap profile`: the profiles of the site and the built-in ones.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::cli::context::{Context, table};
use crate::cli::nouns::NounCommand;
use crate::model::ProfileTree;
use crate::profile::READY_PROFILES;

/// `rackstrap profile`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    #[command(flatten)]
    Noun(NounCommand),
    /// List the built-in profiles, or show one; use it with `extends: NAME`
    Ready {
        /// Name, such as ready/bond
        name: Option<String>,
    },
}

impl ProfileCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Noun(noun) => noun.run::<ProfileTree>(context).await,
            Self::Ready { name: None } => list(&context),
            Self::Ready { name: Some(name) } => show(&context, &name),
        }
    }
}

fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let value = |ready: &crate::profile::ReadyProfile| json!({"name": ready.name, "purpose": ready.purpose(), "text": ready.text});
    let values: Vec<Value> = READY_PROFILES.iter().map(value).collect();
    context.print(&values, || {
        let row = |ready: &crate::profile::ReadyProfile| vec![ready.name.into(), ready.purpose()];
        table(&["NAME", "PURPOSE"], &READY_PROFILES.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, name: &str) -> anyhow::Result<ExitCode> {
    let found = READY_PROFILES.iter().find(|ready| ready.name == name);
    let ready = found.with_context(|| {
        let names: Vec<&str> = READY_PROFILES.iter().map(|ready| ready.name).collect();
        format!("built-in profile \"{name}\" does not exist (available: {})", names.join(", "))
    })?;
    let value = json!({"name": ready.name, "purpose": ready.purpose(), "text": ready.text});
    context.print(&value, || ready.text.to_owned())?;
    Ok(ExitCode::SUCCESS)
}
