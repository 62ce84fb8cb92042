//! Local ports that are forwarded to the server in its namespace.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::inside::Inside;

/// How many ports to try.
const TRIES: u16 = 50;
/// Timeout of a connection to the server, which is local.
const PATIENCE: Duration = Duration::from_secs(1);

/// A forwarded port. Closed when dropped.
pub(super) struct Forward {
    /// Listening address.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Forward {
    /// Listens on 127.0.0.1, port `wanted` or the next free one, and forwards connections to
    /// 127.0.0.1 port `target` in the namespace.
    pub(super) async fn start(inside: Inside, wanted: u16, target: u16) -> io::Result<Self> {
        let listener = listen(wanted).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((mut outer, _)) = listener.accept().await {
                let inside = inside.clone();
                tokio::spawn(async move {
                    let mut inner = connect(&inside, target).await?;
                    copy_bidirectional(&mut outer, &mut inner).await
                });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to a port on the loopback of the namespace.
pub(super) async fn connect(inside: &Inside, port: u16) -> io::Result<tokio::net::TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = inside.call(move || TcpStream::connect_timeout(&address, PATIENCE)).await?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

async fn listen(wanted: u16) -> io::Result<TcpListener> {
    let mut outcome = Err(io::ErrorKind::AddrInUse.into());
    for port in wanted..wanted.saturating_add(TRIES) {
        outcome = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        match &outcome {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    outcome
}
