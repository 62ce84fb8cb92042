//! Serves DHCP on the configured interfaces: reads packets, carries out decisions, sends replies.

mod action;
mod advertise;
mod drops;
#[cfg(test)]
mod entrances;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod exercise;
mod interface;
mod leasing;
mod probe;
mod proxy;
mod subnet_selection;
mod transaction;
mod words;

use std::io;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::link::ServedLink;
use super::socket::{interface_names, read_link};
use crate::app::App;
use crate::priority;
use interface::InterfaceServer;

/// Serves on the configured interfaces until `stop`.
pub(crate) async fn run(app: App, stop: CancellationToken) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for name in &app.config.now().interfaces {
        let link = find_link(name)?;
        if link.addresses.is_empty() {
            tracing::warn!(
                interface = name,
                "the interface has no IPv4 address: only clients behind relays are served until it gets one"
            );
        }
        tasks.spawn(serve(app.clone(), link, stop.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    stop.cancelled().await;
    Ok(())
}

/// Serves one interface on a thread of its own: a packet that is read there is answered
/// there, however busy the other services are.
async fn serve(app: App, link: ServedLink, stop: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, ended) = oneshot::channel();
    std::thread::Builder::new().name(format!("dhcp {}", link.interface)).spawn(move || {
        priority::answer_at_once();
        let served = async { InterfaceServer::open(app, link)?.run(stop).await };
        // Fails only if the services were aborted.
        let _ = sender.send(runtime.block_on(served));
    })?;
    ended.await.map_err(|_| io::Error::other("the DHCP thread stopped unexpectedly"))?
}

/// Sends router advertisements on the configured interfaces until `stop`, whether DHCP is
/// served there or not: the iPXE that waits for one may have its address from elsewhere.
pub(crate) async fn advertise(app: App, stop: CancellationToken) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for name in &app.config.now().interfaces {
        tasks.spawn(advertise::run(find_link(name)?, stop.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    stop.cancelled().await;
    Ok(())
}

fn find_link(name: &str) -> io::Result<ServedLink> {
    read_link(name)?.ok_or_else(|| {
        let names = interface_names().join(", ");
        let text = format!("interface \"{name}\" does not exist; expected one of: {names}");
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}
