//! The threads that serve the connections, each with a runtime of its own: whatever a
//! connection waits for wakes the one thread that goes on with it. A runtime that many threads
//! share wakes a second one each time, to look whether there is more to do, and on a machine
//! whose processors are busy that one takes the place of somebody who has work.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;

use axum::ServiceExt;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Service;
use super::connection::Connection;
use super::peer::Ends;

/// More threads than this have nothing to do: one alone sends 2 GB/s.
const MOST: usize = 4;
/// How many connections may wait for a thread.
const WAITING: usize = 64;

/// A connection on its way to its thread, in no runtime.
type Guest = (std::net::TcpStream, SocketAddr);

/// What a thread takes its connections from.
pub struct Door {
    guests: mpsc::Receiver<Guest>,
    local: SocketAddr,
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        while let Some((stream, peer)) = self.guests.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => return (Connection(stream), peer),
                Err(error) => tracing::warn!(%peer, "the connection cannot be served: {error}"),
            }
        }
        // Nobody comes any more: the graceful end is under way.
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// Serves on `listener` until `stop`, and finishes what was begun.
pub async fn serve(
    service: Service,
    mut listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut ends = JoinSet::new();
    let mut doors = Vec::new();
    for number in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST) {
        let (sender, guests) = mpsc::channel(WAITING);
        doors.push(sender);
        let door = Door { guests, local: listener.local_addr()? };
        ends.spawn(start(number, service.clone(), door, stop.clone())?);
    }
    let welcome = async {
        for door in doors.iter().cycle() {
            let guest = welcome(&mut listener).await;
            // Fails only when the thread is gone, which ends the service.
            let _ = door.send(guest).await;
        }
    };
    tokio::select! {
        () = welcome => {}
        () = stop.cancelled() => {}
        Some(ended) = ends.join_next() => return ended.map_err(io::Error::other)?,
    }
    drop(listener);
    while let Some(ended) = ends.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

/// Waits for the next connection.
async fn welcome(listener: &mut TcpListener) -> Guest {
    loop {
        // axum's: it waits a little where the system is out of file descriptors.
        let (stream, peer) = Listener::accept(listener).await;
        // A short answer must not wait for the client's delayed ACK.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "no TCP_NODELAY");
        }
        match stream.into_std() {
            Ok(stream) => return (stream, peer),
            Err(error) => tracing::warn!(%peer, "the connection cannot be served: {error}"),
        }
    }
}

/// Starts a thread; what is given ends with it.
fn start(
    number: usize,
    service: Service,
    door: Door,
    stop: CancellationToken,
) -> io::Result<impl Future<Output = io::Result<()>> + use<>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, ended) = oneshot::channel();
    thread::Builder::new().name(format!("http {number}")).spawn(move || {
        let make = service.into_make_service_with_connect_info::<Ends>();
        let served =
            async { axum::serve(door, make).with_graceful_shutdown(stop.cancelled_owned()).await };
        // Nobody listens any more if the services were cut off.
        let _ = sender.send(runtime.block_on(served));
    })?;
    Ok(async { ended.await.map_err(|_| io::Error::other("its thread died"))? })
}
