//! Sends router advertisements on one interface: now and then, and when asked.

use std::io;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::dhcp::link::ServedLink;
use crate::dhcp::router_advertisement::{INTERVAL, encode, is_solicitation};
use crate::dhcp::socket::IcmpSocket;

/// Advertises until `stop`. A link that cannot is left alone: only old iPXE misses it.
pub(super) async fn run(link: ServedLink, stop: CancellationToken) -> io::Result<()> {
    let socket = match IcmpSocket::open(&link) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(interface = link.interface, "no router advertisements: {error}");
            return Ok(());
        }
    };
    let mut now_and_then = interval(INTERVAL);
    now_and_then.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = now_and_then.tick() => {}
            message = socket.receive() => match message {
                Ok(message) if is_solicitation(&message) => {}
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(interface = link.interface, "ICMPv6 cannot be read: {error}");
                    now_and_then.tick().await;
                }
            },
        }
        // Fails while the link is down or its own address is not yet checked.
        if let Err(error) = socket.send_to_all(&encode()) {
            tracing::debug!(interface = link.interface, "router advertisement not sent: {error}");
        }
    }
}
