//! To be served.

use std::io;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Serves on `listener` until `stop`.
pub async fn run(_app: App, _listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
    stop.cancelled().await;
    Ok(())
}
