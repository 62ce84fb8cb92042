//! `rackstrap serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cli::settings::Settings;
use crate::cli::user::print_first_password;
use crate::inventory::FIRST_USER;
use crate::lifecycle::audit::Action;
use crate::lifecycle::stall::Patience;
use crate::logs::Logs;
use crate::{logs, serve, supervisor};

/// Serves until SIGINT or SIGTERM, or until a service fails. SIGHUP reloads the configuration.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
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
        let action = Action::UserAdded { user: FIRST_USER.to_owned() };
        inventory.audit("rackstrap", action).await;
        print_first_password(&password)?;
    }
    let app = server.app().clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            supervisor::reloading();
            if let Err(error) = reload(&settings, &app, &logs) {
                tracing::error!("configuration not reloaded: {error:#}");
            }
            supervisor::ready();
        }
    });
    server.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Reads file and environment again; flags stay. All of it is taken on, or nothing.
fn reload(settings: &Settings, app: &App, logs: &Logs) -> anyhow::Result<()> {
    let (config, changes) = app.config.now().reloaded(&settings.config()?)?;
    logs.set_level(&config)?;
    app.inventory.states.set_patience(Patience { percent: config.boot_patience_percent });
    app.config.replace(config);
    if changes.is_empty() {
        tracing::info!("configuration reloaded: no key has changed");
    }
    for change in changes {
        let (key, value) = (change.key, change.value.as_deref().unwrap_or("its default"));
        match (change.live, change.is_secret) {
            (true, false) => tracing::info!("configuration reloaded: {key} is now {value}"),
            (true, true) => tracing::info!("configuration reloaded: {key} has changed"),
            (false, true) => tracing::warn!("{key} has changed: restart to apply it"),
            (false, false) => tracing::warn!("{key} has changed to {value}: restart to apply it"),
        }
    }
    Ok(())
}
