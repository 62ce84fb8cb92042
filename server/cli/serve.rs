//! `rackstrap serve`.

use std::fs::{OpenOptions, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::causes::WithCauses;
use crate::cli::context::print;
use crate::cli::settings::Settings;
use crate::cli::user::print_first_password;
use crate::config::KeyChange;
use crate::inventory::FIRST_USER;
use crate::lifecycle::audit::AuditAction;
use crate::lifecycle::stall::Patience;
use crate::logs::Logs;
use crate::model::Role;
use crate::{logs, serve, supervisor};

/// The file of the data directory that holds the password of the first user.
const FIRST_PASSWORD: &str = "first-password";

/// `rackstrap serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Only check the configuration and its certificates; exits with 1 and says what is wrong
    #[arg(long)]
    check: bool,
}

impl Serve {
    /// Serves, or checks.
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<ExitCode> {
        if !self.check {
            return run(settings).await;
        }
        serve::check_certificate(&settings.config()?)?;
        print("the configuration can be used\n")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Serves until SIGINT or SIGTERM, or until a service fails. SIGHUP reloads the configuration.
async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let config = settings.config()?;
    let logs = logs::start(&config)?;
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // From now on SIGHUP does not end the process.
    let mut hangup = signal(SignalKind::hangup())?;
    let on_signal = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("shutting down");
        on_signal.cancel();
    });
    let server = serve::Server::open(config).await?;
    let inventory = &server.app().inventory;
    if let Some(password) = inventory.database.add_first_user().await? {
        let action =
            AuditAction::UserAdded { user: FIRST_USER.to_owned(), role: Some(Role::Admin) };
        inventory.audit("rackstrap", action).await;
        hand_over(&password, server.app())?;
    }
    let app = server.app().clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            supervisor::reloading();
            match reload(&settings, &app, &logs) {
                Ok(changes) if changes.is_empty() => {}
                Ok(changes) => {
                    let keys = |live| {
                        let of = changes.iter().filter(move |change| change.live == live);
                        of.map(|change| change.key.to_owned()).collect()
                    };
                    let (changed, waiting) = (keys(true), keys(false));
                    let action = AuditAction::ConfigurationReloaded { changed, waiting };
                    app.inventory.audit("rackstrap", action).await;
                }
                Err(error) => {
                    let error = WithCauses(error.as_ref());
                    tracing::error!("configuration not reloaded: {error}");
                }
            }
            // A key file that was put back is used again.
            if let Err(error) = app.inventory.reload().await {
                tracing::error!("inventory not read again: {}", WithCauses(&error));
            }
            supervisor::ready();
        }
    });
    server.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Gives the password of the first user to whoever started the server: on the terminal, or else in
/// a file of the data directory that its owner alone can read. What a service prints is in a
/// journal that many can read.
fn hand_over(password: &str, app: &App) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        return print_first_password(password);
    }
    let path = app.config.now().data_dir.join(FIRST_PASSWORD);
    let create = || {
        let mut create = OpenOptions::new();
        let mut file = create.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "{password}")
    };
    create().with_context(|| format!("cannot create {}", path.display()))?;
    tracing::warn!(
        "the first user is {FIRST_USER}; its password is in {}: log in, change it, remove the file",
        path.display()
    );
    Ok(())
}

/// Reads file and environment again; flags stay. All of it is taken on, or nothing. Returns the keys
/// that differ.
fn reload(settings: &Settings, app: &App, logs: &Logs) -> anyhow::Result<Vec<KeyChange>> {
    let (config, changes) = app.config.now().reloaded(&settings.config()?)?;
    serve::check_certificate(&config)?;
    logs.set_level(&config)?;
    app.inventory.states.set_patience(Patience { percent: config.boot_patience_percent });
    app.config.replace(config);
    if changes.is_empty() {
        tracing::info!("configuration reloaded: no key has changed");
    }
    for change in &changes {
        let (key, value) = (change.key, change.value.as_deref().unwrap_or("its default"));
        match (change.live, change.is_secret) {
            (true, false) => tracing::info!("configuration reloaded: {key} is now {value}"),
            (true, true) => tracing::info!("configuration reloaded: {key} has changed"),
            (false, true) => tracing::warn!("{key} has changed: restart to apply it"),
            (false, false) => tracing::warn!("{key} has changed to {value}: restart to apply it"),
        }
    }
    Ok(changes)
}
