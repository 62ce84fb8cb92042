//! Receives files from a path or from a stream of bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};

use super::names::FileRole;
use super::store::{ExpectedFile, ImageStore, ReceivedFile, StoreError};

/// What is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// How many pieces of a stream wait for the disk.
const WAITING_PIECES: usize = 16;

/// What a file is to be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What it is called by whoever sends it.
    pub name: String,
    /// What it is for; what its contents are for where none is given.
    pub role: Option<FileRole>,
    /// How many bytes come, if that is known.
    pub size_bytes: Option<u64>,
    /// Its SHA-256 in lower-case hexadecimal, if it was given.
    pub sha256: Option<String>,
}

impl Expected {
    pub(super) fn wanted(&self) -> ExpectedFile<'_> {
        ExpectedFile {
            name: &self.name,
            role: self.role,
            size_bytes: self.size_bytes,
            sha256: self.sha256.as_deref(),
        }
    }
}

/// Is told how many bytes have come, each time.
pub type Progress = Box<dyn FnMut(u64) + Send>;

/// Why a file was not received. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// It is not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be read at its path.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The stream broke off.
    #[error("{name} broke off after {bytes} bytes: {source}")]
    Stream {
        /// The file.
        name: String,
        /// How many bytes had come.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// The thread that writes it ended.
    #[error("the thread that stores the file ended: {0}")]
    Thread(#[from] JoinError),
}

/// Copies a file of this host: of an ISO its kernel and its initrd. [`keep`](super::keep) adds it to
/// the store.
pub async fn receive_file(
    store: &ImageStore,
    path: &Path,
    expected: Expected,
    mut progress: Progress,
) -> Result<Vec<ReceivedFile>, ReceiveError> {
    let (store, path) = (store.clone(), path.to_owned());
    let copy = move || {
        let failed = |source| ReceiveError::Read { path: path.display().to_string(), source };
        let mut file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("it is not a regular file")));
        }
        let expected = Expected { size_bytes: Some(metadata.len()), ..expected };
        let mut incoming = store.receive(expected.size_bytes)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let length = file.read(&mut buffer).map_err(failed)?;
            if length == 0 {
                break;
            }
            incoming.write_wanted(&buffer[..length], &expected.wanted())?;
            progress(incoming.size_bytes());
        }
        Ok(incoming.finish(&expected.wanted())?)
    };
    spawn_blocking(copy).await?
}

/// Receives what a stream sends. The disk is waited for by a thread of its own.
pub async fn receive_stream(
    store: &ImageStore,
    mut stream: impl Stream<Item = io::Result<Bytes>> + Unpin,
    expected: Expected,
    mut progress: Progress,
) -> Result<Vec<ReceivedFile>, ReceiveError> {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(WAITING_PIECES);
    let store = store.clone();
    let write = move || {
        let mut incoming = store.receive(expected.size_bytes)?;
        let mut is_whole = false;
        while let Some(piece) = receiver.blocking_recv() {
            let piece = match piece {
                // The end is said: a sender that is dropped with its request says nothing.
                Ok(piece) if piece.is_empty() => {
                    is_whole = true;
                    break;
                }
                Ok(piece) => piece,
                Err(source) => {
                    let (name, bytes) = (expected.name.clone(), incoming.size_bytes());
                    return Err(ReceiveError::Stream { name, bytes, source });
                }
            };
            incoming.write_wanted(&piece, &expected.wanted())?;
            progress(incoming.size_bytes());
        }
        if !is_whole {
            let (name, bytes) = (expected.name.clone(), incoming.size_bytes());
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(ReceiveError::Stream { name, bytes, source });
        }
        Ok(incoming.finish(&expected.wanted())?)
    };
    let writing = spawn_blocking(write);
    while let Some(piece) = stream.next().await {
        let is_error = piece.is_err();
        if matches!(&piece, Ok(piece) if piece.is_empty()) {
            continue;
        }
        // A writer that failed takes no more.
        if sender.send(piece).await.is_err() || is_error {
            break;
        }
    }
    let _ = sender.send(Ok(Bytes::new())).await;
    drop(sender);
    writing.await?
}
