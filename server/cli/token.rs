//! `rackstrap token ...`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, audit, moment, table};
use crate::cli::nouns::or_dash;
use crate::inventory::Token;
use crate::lifecycle::audit::Action;

/// `rackstrap token`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// List tokens by name; the secrets are not stored
    List,
    /// Create a token and print it; it is shown only once
    Add(Add),
    /// Revoke tokens, with immediate effect
    Remove(Names),
}

/// `rackstrap token add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the token
    name: String,
    /// Allow changes of the inventory; without this, the token is read-only
    #[arg(long)]
    may_change: bool,
    /// Expire after this many days [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
}

/// `rackstrap token remove`.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names of the tokens
    #[arg(required = true)]
    names: Vec<String>,
}

impl TokenCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = match &self {
            Self::List => context.read_inventory().await?,
            _ => context.inventory().await?,
        };
        let database = &inventory.database;
        match self {
            Self::List => {
                let tokens = database.list_tokens().await?;
                let header = ["NAME", "ACCESS", "CREATED", "EXPIRES"];
                context.print(&tokens, || {
                    table(&header, &tokens.iter().map(row).collect::<Vec<_>>())
                })?;
            }
            Self::Add(Add { name, may_change, days }) => {
                let now = jiff::Timestamp::now().as_second();
                let expires_at = days.map(|days| now + i64::from(days) * 86_400);
                let token = database.add_token(&name, may_change, expires_at).await?;
                let action = Action::TokenAdded { token: name.clone(), may_change, expires_at };
                audit(&inventory, action).await;
                let value = json!({"name": name, "token": token, "expires_at": expires_at});
                context.print(&value, || format!("{token}\n"))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    if !database.remove_token(name).await? {
                        bail!("token \"{name}\" does not exist");
                    }
                    audit(&inventory, Action::TokenRemoved { token: name.clone() }).await;
                }
                context.print(&json!({"removed": names}), String::new)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(token: &Token) -> Vec<String> {
    let Token { name, may_change, created_at, expires_at } = token;
    let access = if *may_change { "change" } else { "read" };
    let until = or_dash(expires_at.map(|at| moment(at * 1000)));
    vec![name.clone(), access.into(), moment(created_at * 1000), until]
}
