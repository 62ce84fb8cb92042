//! `rackstrap user ...`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, audit, is_interactive, moment, print, table};
use crate::cli::nouns::Name;
use crate::lifecycle::audit::Action;

/// `rackstrap user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List users
    List,
    /// Show a user
    Show(Name),
    /// Create a user or set a password. Asks for the password, or reads it from standard input
    Set(Name),
    /// Remove users
    Remove(Names),
}

/// `rackstrap user remove`.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names of the users
    #[arg(required = true)]
    names: Vec<String>,
}

impl UserCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = match &self {
            Self::List | Self::Show(_) => context.read_inventory().await?,
            _ => context.inventory().await?,
        };
        let database = &inventory.database;
        match self {
            Self::List => {
                let users = database.list_users().await?;
                context.print(&users, || {
                    let row = |user: &crate::inventory::User| {
                        vec![user.name.clone(), moment(user.created_at * 1000)]
                    };
                    table(&["NAME", "CREATED"], &users.iter().map(row).collect::<Vec<_>>())
                })?;
            }
            Self::Show(Name { name }) => match database.find_user(&name).await? {
                Some(user) => context.print(&user, || {
                    format!("{}, created {}\n", user.name, moment(user.created_at * 1000))
                })?,
                None => bail!("user \"{name}\" does not exist"),
            },
            Self::Set(Name { name }) => {
                let password = read_password()?;
                let changed = database.set_password(&name, &password).await?;
                if !changed {
                    database.add_user(&name, &password).await?;
                }
                let user = name.clone();
                let action = match changed {
                    true => Action::PasswordChanged { user },
                    false => Action::UserAdded { user },
                };
                audit(&inventory, action).await;
                let done = if changed { "set the password of" } else { "created user" };
                context.print(&json!({"name": name}), || format!("{done} {name}\n"))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    if !database.remove_user(name).await? {
                        bail!("user \"{name}\" does not exist");
                    }
                    audit(&inventory, Action::UserRemoved { user: name.clone() }).await;
                }
                let none_left = database.list_users().await?.is_empty();
                context.print(&json!({"removed": names}), || match none_left {
                    true => {
                        "no user is left: nobody can log in. Add one with \"rackstrap user set \
                             NAME\"; else the next start creates \"admin\" with a new password\n"
                            .to_owned()
                    }
                    false => String::new(),
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a password: at a terminal twice, without echo; otherwise one line.
fn read_password() -> anyhow::Result<String> {
    if !is_interactive() {
        return read_line();
    }
    let first = ask_hidden("password: ")?;
    if first != ask_hidden("repeat the password: ")? {
        bail!("the passwords do not match");
    }
    Ok(first)
}

fn ask_hidden(prompt: &str) -> anyhow::Result<String> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut hidden = before.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSANOW, &hidden)?;
    let line = read_line();
    tcsetattr(&stdin, SetArg::TCSANOW, &before)?;
    eprintln!();
    line
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        bail!("no password on standard input");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Prints the password of the first user. Only its hash is stored.
pub(crate) fn print_first_password(password: &str) -> anyhow::Result<()> {
    let user = crate::inventory::FIRST_USER;
    print(&format!("log in as {user} with the password {password} (shown only once)\n"))
}
