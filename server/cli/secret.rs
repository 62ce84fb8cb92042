//! `rackstrap secret ...`.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, change, counted, moment, operator, table};
use crate::inventory::StoredSecret;

/// `rackstrap secret`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// List secrets by name, and where they are used; values are never shown
    List,
    /// Set a secret to what standard input has, such as rackstrap secret set leaf-bgp < FILE
    Set(Name),
    /// Remove secrets that nothing uses
    Remove(Names),
    /// Give up all secrets and make a new key file, where the old one is lost. The keys of WireGuard
    /// links change as well
    Reset(Reset),
}

/// `rackstrap secret set`.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Name of the secret, which a profile gives as {secret: NAME}
    name: String,
}

/// `rackstrap secret remove`.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names of the secrets
    #[arg(required = true)]
    names: Vec<String>,
}

/// `rackstrap secret reset`.
#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// Do it; without, only say what would be lost
    #[arg(long)]
    yes: bool,
}

impl SecretCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = match &self {
            Self::List | Self::Reset(Reset { yes: false }) => context.read_inventory().await?,
            _ => context.inventory().await?,
        };
        let who = operator();
        match self {
            Self::List => {
                let secrets = inventory.list_secrets().await?;
                let row = |secret: &StoredSecret| {
                    let StoredSecret { name, changed_at, used_by } = secret;
                    vec![name.clone(), moment(changed_at * 1000), used_by.join(", ")]
                };
                let rows: Vec<_> = secrets.iter().map(row).collect();
                context.print(&secrets, || table(&["NAME", "SET", "USED BY"], &rows))?;
                if let Some(fault) = inventory.snapshot().site.keyring().fault() {
                    bail!("{fault}");
                }
            }
            Self::Set(Name { name }) => {
                if std::io::stdin().is_terminal() {
                    eprintln!("Value of {name} (end with Ctrl-D):");
                }
                let mut value = String::new();
                std::io::stdin().read_to_string(&mut value).context("cannot read the value")?;
                // The end of the line is the terminal's or echo's, and not part of a password.
                let value = value.strip_suffix('\n').unwrap_or(&value);
                let value = value.strip_suffix('\r').unwrap_or(value);
                let summary = format!("set secret {name}");
                inventory.set_secret(change(&who, &summary, false), &name, value).await?;
                context.print(&json!({"set": name}), || format!("set secret {name}\n"))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    let summary = format!("removed secret {name}");
                    inventory.remove_secret(change(&who, &summary, false), name).await?;
                }
                context.print(&json!({"removed": names}), String::new)?;
            }
            Self::Reset(Reset { yes }) => {
                let names = inventory.list_secrets().await?.into_iter().map(|secret| secret.name);
                let names: Vec<String> = names.collect();
                let path = context.config.secret_key_path();
                if !yes {
                    bail!(
                        "this would give up {}{}, replace {}, and change the keys of all \
                         WireGuard links: repeat it with --yes",
                        counted(names.len(), "secret"),
                        match names.is_empty() {
                            true => String::new(),
                            false => format!(" ({})", names.join(", ")),
                        },
                        path.display()
                    );
                }
                let made = change(&who, "gave up all secrets and made a new key file", false);
                inventory.reset_secrets(made, &path).await?;
                context.print(&json!({"removed": names}), String::new)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
