//! `rackstrap token ...`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, moment, table};
use crate::cli::nouns::or_dash;
use crate::inventory::Token;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// List them; the tokens themselves are not kept
    List,
    /// Make a token and show it, this once
    Add(Add),
    /// Remove some: they stop working at once
    Remove(Names),
}

/// What the token allows.
#[derive(Debug, Args)]
pub struct Add {
    /// What to call it
    name: String,
    /// It may change the inventory, not only read
    #[arg(long)]
    may_change: bool,
    /// It ends after so many days
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

/// Which ones.
#[derive(Debug, Args)]
pub struct Names {
    /// Their names
    #[arg(required = true)]
    names: Vec<String>,
}

impl TokenCommand {
    /// Does it.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let database = context.inventory().await?.database;
        match self {
            Self::List => {
                let tokens = database.list_tokens().await?;
                let header = ["NAME", "MAY", "SINCE", "UNTIL"];
                context.print(&tokens, || {
                    table(&header, &tokens.iter().map(row).collect::<Vec<_>>())
                })?;
            }
            Self::Add(Add { name, may_change, days }) => {
                let now = jiff::Timestamp::now().as_second();
                let expires_at = days.map(|days| now + i64::from(days) * 86_400);
                let token = database.add_token(&name, may_change, expires_at).await?;
                let value = json!({"name": name, "token": token, "expires_at": expires_at});
                context.print(&value, || format!("{token}\n"))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    if !database.remove_token(name).await? {
                        bail!("there is no token \"{name}\"");
                    }
                }
                context.print(&json!({"removed": names}), String::new)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(token: &Token) -> Vec<String> {
    let Token { name, may_change, created_at, expires_at } = token;
    let may = if *may_change { "change" } else { "read" };
    let until = or_dash(expires_at.map(|at| moment(at * 1000)));
    vec![name.clone(), may.into(), moment(created_at * 1000), until]
}
