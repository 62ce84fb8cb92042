//! `rackstrap serve`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::user::print_first_password;
use crate::config::Config;
use crate::inventory::FIRST_USER;
use crate::lifecycle::audit::Action;
use crate::{logs, serve};

/// Serves until SIGINT or SIGTERM, or until a service fails.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    logs::start(&config)?;
    let stop = CancellationToken::new();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::warn!("ignored SIGHUP: restart the server to read its configuration again");
        }
    });
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
    server.run(stop).await?;
    Ok(ExitCode::SUCCESS)
}
