//! `rackstrap user ...`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::cli::context::{Context, LimitArgs, audit, is_interactive, moment, print, table};
use crate::cli::nouns::{Name, or_dash};
use crate::inventory::{Database, User, UserSession, random_password};
use crate::lifecycle::audit::AuditAction;
use crate::model::{Limits, Role};

/// `rackstrap user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List users with role, last login and number of sessions
    List,
    /// Show a user with the user's sessions
    Show(Name),
    /// Create a user. Asks for the password, or reads it from standard input
    Add(Add),
    /// Create an admin or set a password. Asks for the password, or reads it from standard input
    Set(Name),
    /// Give a user another role: viewer, operator or admin
    Role(SetRole),
    /// Let a user change only hosts of some tenants, in some racks or with some labels
    Limit(SetLimits),
    /// Keep a user from logging in. Sessions end, and the user's tokens do not work
    Disable(Name),
    /// Let a user log in again
    Enable(Name),
    /// Set a random password and print it; it is shown only once. Sessions end
    Reset(Name),
    /// Remove the second factor of a user, who lost the authenticator: the password alone logs in
    ResetSecondFactor(Name),
    /// End all sessions of a user, or one
    Logout(Logout),
    /// Remove users with their tokens and sessions
    Remove(Names),
}

/// `rackstrap user add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Login name
    name: String,
    /// What the user may do: viewer, operator or admin
    #[arg(long, default_value = "operator")]
    role: Role,
    #[command(flatten)]
    limits: LimitArgs,
}

/// `rackstrap user limit`.
#[derive(Debug, Args)]
pub(crate) struct SetLimits {
    /// Login name
    name: String,
    /// Let the user change all hosts, and everything else that the role allows
    #[arg(long, conflicts_with_all = ["tenants", "racks", "labels"])]
    none: bool,
    #[command(flatten)]
    limits: LimitArgs,
}

/// `rackstrap user role`.
#[derive(Debug, Args)]
pub(crate) struct SetRole {
    /// Login name
    name: String,
    /// viewer, operator or admin
    role: Role,
}

/// `rackstrap user logout`.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    /// Login name
    name: String,
    /// One session only, by its id in "rackstrap user show NAME"
    #[arg(long, value_name = "ID")]
    session: Option<String>,
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
            Self::List => list(&context, database).await?,
            Self::Show(Name { name }) => show(&context, database, &name).await?,
            Self::Add(Add { name, role, limits }) => {
                let limits = limits.read(&inventory)?;
                let password = read_password()?;
                database.add_limited_user(&name, &password, role, &limits).await?;
                let action = AuditAction::UserAdded { user: name.clone(), role: Some(role) };
                audit(&inventory, action).await;
                let text = match limits.is_empty() {
                    true => format!("created user {name} ({role})\n"),
                    false => format!("created user {name} ({role}), limits: {limits}\n"),
                };
                let value = json!({"name": name, "role": role, "limits": limits});
                if !limits.is_empty() {
                    let before = Some(Limits::default());
                    let action = AuditAction::LimitsChanged { user: name, limits, before };
                    audit(&inventory, action).await;
                }
                context.print(&value, || text)?;
            }
            Self::Set(Name { name }) => {
                let password = read_password()?;
                let changed = database.set_password(&name, &password).await?;
                if !changed {
                    database.add_user(&name, &password, Role::Admin).await?;
                }
                let user = name.clone();
                let action = match changed {
                    true => AuditAction::PasswordChanged { user },
                    false => AuditAction::UserAdded { user, role: Some(Role::Admin) },
                };
                audit(&inventory, action).await;
                let done = if changed { "set the password of" } else { "created user" };
                context.print(&json!({"name": name}), || format!("{done} {name}\n"))?;
            }
            Self::Role(SetRole { name, role }) => {
                let before = Some(database.set_role(&name, role).await?);
                let action = AuditAction::RoleChanged { user: name.clone(), role, before };
                audit(&inventory, action).await;
                let value = json!({"name": name, "role": role});
                context.print(&value, || format!("{name} has the role {role}\n"))?;
            }
            Self::Limit(SetLimits { name, none, limits }) => {
                let limits = limits.read(&inventory)?;
                if limits.is_empty() && !none {
                    bail!("say which hosts, with --tenant, --rack or --label, or --none");
                }
                let before = Some(database.set_limits(&name, &limits).await?);
                let text = format!("limits of {name}: {limits}\n");
                let value = json!({"name": name, "limits": limits});
                let action = AuditAction::LimitsChanged { user: name, limits, before };
                audit(&inventory, action).await;
                context.print(&value, || text)?;
            }
            Self::Disable(Name { name }) => {
                database.set_disabled(&name, true).await?;
                let ended = database.end_sessions(&name, None).await?;
                audit(&inventory, AuditAction::UserDisabled { user: name.clone() }).await;
                let value = json!({"name": name, "is_disabled": true, "ended_sessions": ended});
                context.print(&value, || format!("disabled {name}, {}\n", ended_text(ended)))?;
            }
            Self::Enable(Name { name }) => {
                database.set_disabled(&name, false).await?;
                audit(&inventory, AuditAction::UserEnabled { user: name.clone() }).await;
                let value = json!({"name": name, "is_disabled": false});
                context.print(&value, || format!("enabled {name}\n"))?;
            }
            Self::Reset(Name { name }) => {
                let password = random_password();
                if !database.set_password(&name, &password).await? {
                    bail!("user \"{name}\" does not exist");
                }
                let ended = database.end_sessions(&name, None).await?;
                audit(&inventory, AuditAction::PasswordChanged { user: name.clone() }).await;
                let value = json!({"name": name, "password": password, "ended_sessions": ended});
                context.print(&value, || format!("{password}\n"))?;
            }
            Self::ResetSecondFactor(Name { name }) => {
                if database.find_user(&name).await?.is_none() {
                    bail!("user \"{name}\" does not exist");
                }
                let was_on = inventory.remove_second_factor(&name).await?;
                if was_on {
                    audit(&inventory, AuditAction::SecondFactorRemoved { user: name.clone() })
                        .await;
                }
                let value = json!({"name": name, "removed": was_on});
                context.print(&value, || match was_on {
                    true => format!("removed the second factor of {name}\n"),
                    false => format!("{name} has no second factor\n"),
                })?;
            }
            Self::Logout(Logout { name, session }) => {
                if database.find_user(&name).await?.is_none() {
                    bail!("user \"{name}\" does not exist");
                }
                let count = database.end_sessions(&name, session.as_deref()).await?;
                if let Some(session) = session.filter(|_| count == 0) {
                    bail!("{name} has no session \"{session}\": rackstrap user show {name}");
                }
                audit(&inventory, AuditAction::SessionsEnded { user: name.clone(), count }).await;
                let value = json!({"name": name, "ended_sessions": count});
                context.print(&value, || format!("{}\n", ended_text(count)))?;
            }
            Self::Remove(Names { names }) => {
                for name in &names {
                    if !database.remove_user(name).await? {
                        bail!("user \"{name}\" does not exist");
                    }
                    audit(&inventory, AuditAction::UserRemoved { user: name.clone() }).await;
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

fn ended_text(count: u64) -> String {
    format!("ended {count} session{}", if count == 1 { "" } else { "s" })
}

/// A user, with what only lists of users have.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    user: User,
    sessions: Vec<UserSession>,
}

async fn list(context: &Context, database: &Database) -> anyhow::Result<()> {
    let mut users = Vec::new();
    for user in database.list_users().await? {
        let sessions = database.list_sessions(&user.name).await?;
        users.push(Listed { user, sessions });
    }
    let row = |Listed { user, sessions }: &Listed| {
        let state = if user.is_disabled { "disabled" } else { "enabled" };
        vec![
            user.name.clone(),
            user.role.to_string(),
            state.to_owned(),
            moment(user.created_at * 1000),
            or_dash(user.last_login_at.map(|at| moment(at * 1000))),
            if user.has_second_factor { "yes" } else { "no" }.to_owned(),
            user.issuer.clone().unwrap_or_else(|| "password".into()),
            sessions.len().to_string(),
            or_dash((!user.limits.is_empty()).then(|| user.limits.to_string())),
        ]
    };
    let header = [
        "NAME",
        "ROLE",
        "STATE",
        "CREATED",
        "LAST LOGIN",
        "SECOND FACTOR",
        "LOGIN BY",
        "SESSIONS",
        "LIMITS",
    ];
    context.print(&users, || table(&header, &users.iter().map(row).collect::<Vec<_>>()))
}

async fn show(context: &Context, database: &Database, name: &str) -> anyhow::Result<()> {
    let Some(user) = database.find_user(name).await? else {
        bail!("user \"{name}\" does not exist");
    };
    let listed = Listed { user, sessions: database.list_sessions(name).await? };
    let Listed { user, sessions } = &listed;
    context.print(&listed, || {
        let state = if user.is_disabled { ", disabled" } else { "" };
        let second = if user.has_second_factor { ", second factor" } else { "" };
        let by = user.issuer.as_ref().map(|issuer| format!(", logs in with {issuer}"));
        let (by, created) = (by.unwrap_or_default(), moment(user.created_at * 1000));
        let mut text =
            format!("{}, {}{state}{second}{by}, created {created}\n", user.name, user.role);
        if !user.limits.is_empty() {
            text.push_str(&format!("limits: {}\n", user.limits));
        }
        if !sessions.is_empty() {
            let row = |session: &UserSession| {
                let address = session.address.map(|address| address.to_string());
                let (began, used) = (moment(session.began_ms), moment(session.used_ms));
                vec![session.id.clone(), began, used, or_dash(address)]
            };
            let rows: Vec<_> = sessions.iter().map(row).collect();
            text.push_str(&table(&["SESSION", "BEGAN", "LAST USE", "FROM"], &rows));
        }
        text
    })
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
