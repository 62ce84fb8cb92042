//! A way to a server on which the first requests for each path go wrong.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The connection closes without an answer.
    Closed,
    /// The server says 503.
    Unavailable,
    /// The connection closes in the middle of the body.
    Half,
    /// The body stops in its middle and the connection stays.
    Stalled,
}

/// Passes requests on, except the first of each path; gone when dropped.
pub(crate) struct Spoiler {
    /// Where it listens.
    pub address: SocketAddr,
    listener: Option<TcpListener>,
    seen: Arc<Mutex<Vec<String>>>,
    task: Option<JoinHandle<()>>,
}

impl Spoiler {
    /// Listens on a loopback port; nothing is accepted before `pass_to`.
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, listener: Some(listener), seen: Arc::default(), task: None }
    }

    /// Passes requests on to `server`. The first requests of each path that `spoils`
    /// holds for go wrong in the ways of `mishaps`, one after the other.
    pub(crate) fn pass_to(
        &mut self,
        server: &str,
        mishaps: &'static [Mishap],
        spoils: fn(&str) -> bool,
    ) {
        let listener = self.listener.take().unwrap();
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let seen = self.seen.clone();
        self.task = Some(tokio::spawn(async move {
            let mut counts: HashMap<String, usize> = HashMap::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let Some(head) = read_head(&mut client).await else { continue };
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(path.clone());
                let count = counts.entry(path.clone()).or_default();
                let mishap = mishaps.get(*count).copied().filter(|_| spoils(&path));
                *count += 1;
                let server = server.clone();
                tokio::spawn(async move {
                    // A client that goes away is none of the test's business.
                    let _ = answer(client, &head, &server, mishap).await;
                });
            }
        }));
    }

    /// Every path asked for so far, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Spoiler {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Answers one request; the connection serves no second one.
async fn answer(
    mut client: TcpStream,
    head: &str,
    server: &str,
    mishap: Option<Mishap>,
) -> std::io::Result<()> {
    match mishap {
        Some(Mishap::Closed) => return Ok(()),
        Some(Mishap::Unavailable) => {
            let refusal = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
            return client.write_all(refusal).await;
        }
        _ => {}
    }
    let mut server = TcpStream::connect(server).await?;
    let head = head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    server.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    if mishap.is_some() {
        answer.truncate(answer.len() / 2);
    }
    client.write_all(&answer).await?;
    if mishap == Some(Mishap::Stalled) {
        client.read_u8().await?;
    }
    client.shutdown().await
}
