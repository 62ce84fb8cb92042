//! A client's connection: a file's bytes leave it by sendfile, everything else as it is written.
//!
//! Bodies are `Bytes` all the way down. Where such bytes are a mapped file's, the kernel
//! is told which instead of being given them: it sends its own pages and copies nothing.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::files;

/// A connection of a client.
pub struct Connection(pub TcpStream);

impl Connection {
    /// The address of this server that the client reached.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().0)
    }

    /// Sends a part of a mapped file; none if `bytes` are no such part.
    fn poll_send_file(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        let (file, offset) = files::file_of(bytes)?;
        let length = NonZeroUsize::new(bytes.len());
        let send = || SockRef::from(&self.0).sendfile(&file, offset, length);
        Some(loop {
            match self.0.poll_write_ready(context) {
                Poll::Ready(Ok(())) => {}
                not_ready => break not_ready.map_ok(|()| 0),
            }
            match self.0.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => {
                    let truncated = io::Error::other("the file was truncated meanwhile");
                    break Poll::Ready(Err(truncated));
                }
                sent => break Poll::Ready(sent),
            }
        })
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.poll_send_file(context, bytes) {
            Some(sent) => sent,
            None => self.stream().poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let before = slices.iter().take_while(|slice| files::file_of(slice).is_none()).count();
        match slices.get(before).filter(|_| before == 0) {
            Some(slice) => self.poll_write(context, slice),
            None => self.stream().poll_write_vectored(context, &slices[..before]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
