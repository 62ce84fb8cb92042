//! DHCPv4: wire format, decisions and replies are pure; `service` and `socket` do the I/O.

use std::io;

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Serves on the configured interfaces until `stop`.
pub async fn run(_app: App, stop: CancellationToken) -> io::Result<()> {
    stop.cancelled().await;
    Ok(())
}
