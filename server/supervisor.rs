//! What systemd learns of the server by sd_notify(3). Nothing is sent to any other supervisor.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// How many signs of life the server gives in the time within which systemd expects one.
const SIGNS: u32 = 3;

/// The server listens on every port.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The configuration is being read again; [`ready`] follows.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("no monotonic clock for systemd: {error}"),
    }
}

/// The server ends.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("finishing requests and transfers")]);
}

/// Gives systemd its signs of life (`WatchdogSec=`) until `stop`, each after `check` has come
/// back: a check that waits for ever ends the server, and systemd starts it again.
pub(crate) async fn run_watchdog(
    check: impl Fn() + Clone + Send + 'static,
    stop: CancellationToken,
) {
    let Some(expected) = sd_notify::watchdog_enabled() else { return };
    let mut timer = tokio::time::interval((expected / SIGNS).max(Duration::from_millis(100)));
    let signs = async {
        loop {
            timer.tick().await;
            let check = check.clone();
            // Fails only if the check panics: then there is no sign.
            if tokio::task::spawn_blocking(check).await.is_ok() {
                notify(&[NotifyState::Watchdog]);
            }
        }
    };
    stop.run_until_cancelled(signs).await;
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("cannot notify systemd: {error}");
    }
}
