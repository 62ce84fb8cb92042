//! A client's connection: a file's bytes leave it by sendfile, everything else as it is written.
//!
//! Bodies are `Bytes` all the way down. Where such bytes are a mapped file's, the kernel
//! is told which instead of being given them: it sends its own pages and copies nothing.

use std::io::{self, IoSlice};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::files;

/// How much of a file one call sends at most: it may have to wait for the disk, and
/// whoever shares the thread waits with it.
const CALL_BYTES: usize = 1024 * 1024;

/// How much of a file is read and encrypted at a time: the plaintext of one TLS record (RFC 8446
/// section 5.1). Each connection keeps this much.
const ENCRYPT_BYTES: usize = 16 * 1024;

/// A connection of a client.
pub(super) struct Connection {
    stream: TcpStream,
    /// Whether the kernel holds back what does not fill a packet, because more follows.
    corked: bool,
}

impl Connection {
    /// A connection that was just accepted.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, corked: false }
    }

    /// The stream, for what is no file: nothing is held back any longer.
    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        let this = self.get_mut();
        this.cork(false);
        Pin::new(&mut this.stream)
    }

    /// Without a cork each call of sendfile ends in a packet that is not full, and a wake-up
    /// of the client for it. tcp(7): a cork that is forgotten holds back for 200 ms.
    fn cork(&mut self, more_follows: bool) {
        if self.corked != more_follows
            && SockRef::from(&self.stream).set_tcp_cork(more_follows).is_ok()
        {
            self.corked = more_follows;
        }
    }

    /// Sends a part of a mapped file; none if `bytes` are no such part.
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        let (file, offset) = files::file_of(bytes)?;
        let length = NonZeroUsize::new(bytes.len().min(CALL_BYTES));
        if bytes.len() > CALL_BYTES {
            self.cork(true);
        }
        let send = || SockRef::from(&self.stream).sendfile(&file, offset, length);
        Some(loop {
            match self.stream.poll_write_ready(context) {
                Poll::Ready(Ok(())) => {}
                not_ready => break not_ready.map_ok(|()| 0),
            }
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => {
                    let truncated = io::Error::other("the file was truncated meanwhile");
                    break Poll::Ready(Err(truncated));
                }
                sent => {
                    if sent.as_ref().is_ok_and(|sent| *sent == bytes.len()) {
                        self.cork(false);
                    }
                    break Poll::Ready(sent);
                }
            }
        })
    }
}

/// An encrypted connection of a client. What is encrypted has to be looked at, which a mapping does
/// not allow: the bytes of files are read.
pub(super) struct TlsConnection {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

impl TlsConnection {
    /// A connection whose handshake is done.
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, read: Vec::new() }
    }
}

impl AsyncRead for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, read } = self.get_mut();
        let Some((file, offset)) = files::mapping_of(bytes) else {
            return Pin::new(stream).poll_write(context, bytes);
        };
        read.resize(bytes.len().min(ENCRYPT_BYTES), 0);
        file.read_exact_at(read, offset as u64)?;
        Pin::new(stream).poll_write(context, read)
    }

    // Without, hyper would copy what follows a head into one buffer, and so read a mapping.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(context, first.map_or(&[], |slice| slice))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.poll_send_file(context, bytes) {
            Some(sent) => sent,
            None => self.stream().poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = slices.iter().take_while(|slice| files::file_of(slice).is_none()).count();
        match slices.get(before) {
            Some(slice) if before == 0 => self.poll_write(context, slice),
            Some(_) => {
                // The head leaves in the first packet of the file that follows it.
                self.cork(true);
                Pin::new(&mut self.stream).poll_write_vectored(context, &slices[..before])
            }
            None => self.stream().poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    // What was written leaves now, full packet or not.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::files::FileStore;

    #[tokio::test]
    async fn nothing_of_a_file_is_held_back() {
        let directory = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..2_500_001_u32).map(|n| (n % 251) as u8).collect();
        std::fs::write(directory.path().join("initrd"), &content).unwrap();
        let store = FileStore::new(vec![directory.path().to_owned()]);
        let file = store.open("initrd").await.unwrap().bytes;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Connection::new(listener.accept().await.unwrap().0);
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.map(|_| got)
        });
        let is_corked = |on: &Connection| SockRef::from(&on.stream).tcp_cork().unwrap();

        let both = [IoSlice::new(b"head"), IoSlice::new(&file)];
        assert_eq!(connection.write_vectored(&both).await.unwrap(), 4, "the file comes after it");
        assert!(is_corked(&connection));
        let first = connection.write(&file).await.unwrap();
        assert!(first <= CALL_BYTES && is_corked(&connection), "more of it follows");
        let last = &file[content.len() - 70_001..];
        connection.write_all(last).await.unwrap();
        assert!(!is_corked(&connection), "this part was the last");

        drop(connection);
        assert!(reading.await.unwrap().unwrap() == [b"head", &content[..first], last].concat());
    }
}
