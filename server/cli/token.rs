//! `rackstrap token ...`.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, LimitArgs, audit, moment, table};
use crate::cli::nouns::or_dash;
use crate::inventory::{NewToken, Token};
use crate::lifecycle::audit::AuditAction;
use crate::model::{Role, limits_text};

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
    /// What it may do: viewer (read), operator (change the inventory too) or admin [default: viewer]
    #[arg(long, conflicts_with = "may_change")]
    role: Option<Role>,
    /// The same as --role operator
    #[arg(long)]
    may_change: bool,
    /// The user whose token it is: it does at most what that user may, and ends with the user
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Expire after this many days [default: never]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    #[command(flatten)]
    limits: LimitArgs,
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
                let header = ["NAME", "ROLE", "OWNER", "CREATED", "EXPIRES", "LAST USE", "LIMITS"];
                context.print(&tokens, || {
                    table(&header, &tokens.iter().map(row).collect::<Vec<_>>())
                })?;
            }
            Self::Add(Add { name, role, may_change, owner, days, limits }) => {
                let limits = limits.read(&inventory)?;
                let usual = if may_change { Role::Operator } else { Role::Viewer };
                let role = role.unwrap_or(usual);
                if let Some(owner) = &owner
                    && database.find_user(owner).await?.is_none()
                {
                    bail!("user \"{owner}\" does not exist");
                }
                let now = jiff::Timestamp::now().as_second();
                let expires_at = days.map(|days| now + i64::from(days) * 86_400);
                let new = NewToken {
                    name: name.clone(),
                    role,
                    owner,
                    expires_at,
                    limits: limits.clone(),
                };
                let token = database.add_token(&new).await?;
                let (token_name, may_change) = (name.clone(), role >= Role::Operator);
                let added = Some(role);
                let action = AuditAction::TokenAdded {
                    token: token_name,
                    may_change,
                    role: added,
                    expires_at,
                    limits: limits.clone(),
                };
                audit(&inventory, action).await;
                let value = json!({
                    "name": name, "role": role, "token": token, "expires_at": expires_at,
                    "limits": limits,
                });
                context.print(&value, || format!("{token}\n"))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    if !database.remove_token(name).await? {
                        bail!("token \"{name}\" does not exist");
                    }
                    audit(&inventory, AuditAction::TokenRemoved { token: name.clone() }).await;
                }
                context.print(&json!({"removed": names}), String::new)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(token: &Token) -> Vec<String> {
    let Token { name, role, owner, created_at, expires_at, last_used_at, .. } = token;
    let at = |seconds: Option<i64>| or_dash(seconds.map(|at| moment(at * 1000)));
    vec![
        name.clone(),
        role.to_string(),
        or_dash(owner.clone()),
        moment(created_at * 1000),
        at(*expires_at),
        at(*last_used_at),
        or_dash(Some(limits_text(&token.all_limits())).filter(|text| !text.is_empty())),
    ]
}
