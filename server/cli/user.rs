//! `rackstrap user ...`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::context::{Context, moment, print, somebody_can_be_asked, table};
use crate::cli::nouns::Name;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List who may log in
    List,
    /// Show one
    Show(Name),
    /// Make a user, or give one another password, which is asked for or read from
    /// standard input
    Set(Name),
    /// Remove some
    Remove(Names),
}

/// Whom.
#[derive(Debug, Args)]
pub struct Names {
    /// Their names
    #[arg(required = true)]
    names: Vec<String>,
}

impl UserCommand {
    /// Does it.
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let database = context.inventory().await?.database;
        match self {
            Self::List => {
                let users = database.list_users().await?;
                context.print(&users, || {
                    let row = |user: &crate::inventory::User| {
                        vec![user.name.clone(), moment(user.created_at * 1000)]
                    };
                    table(&["NAME", "SINCE"], &users.iter().map(row).collect::<Vec<_>>())
                })?;
            }
            Self::Show(Name { name }) => match database.find_user(&name).await? {
                Some(user) => context.print(&user, || {
                    format!("{} since {}\n", user.name, moment(user.created_at * 1000))
                })?,
                None => bail!("there is no user \"{name}\""),
            },
            Self::Set(Name { name }) => {
                let password = read_password()?;
                let changed = database.set_password(&name, &password).await?;
                if !changed {
                    database.add_user(&name, &password).await?;
                }
                let done = if changed { "has a new password" } else { "may log in" };
                context.print(&json!({"name": name}), || format!("{name} {done}\n"))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    if !database.remove_user(name).await? {
                        bail!("there is no user \"{name}\"");
                    }
                }
                context.print(&json!({"removed": names}), String::new)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a password: at a terminal without showing it, twice; else one line.
fn read_password() -> anyhow::Result<String> {
    if !somebody_can_be_asked() {
        return read_line();
    }
    let first = ask_hidden("password: ")?;
    if first != ask_hidden("once more: ")? {
        bail!("the two passwords differ");
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
        bail!("no password was given: type it on standard input");
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Tells the password of the first user, which is shown once and kept nowhere.
pub fn tell_first_password(password: &str) -> anyhow::Result<()> {
    let user = crate::inventory::FIRST_USER;
    print(&format!("log in as {user} with the password {password} (shown this once)\n"))
}
