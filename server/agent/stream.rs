//! A disk image on its way from the server to the disk: fetched, unpacked, compared, written.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout};

use super::client::{Client, ClientError};
use super::tools;
use crate::deploy::disk::{self, Disk, Refusal};
use crate::deploy::image_format::{ImageFormat, NotAnImage};
use crate::deploy::partitions;
use crate::deploy::write::{ImageWriter, Target, WriteError};
use crate::deploy::{Source, StepReport};
use crate::lifecycle::event::DeployStep;

/// A server that sends nothing for so long is asked again.
const SILENCE: Duration = Duration::from_secs(20);
/// For how long it is asked again before the deployment fails.
const OUTAGE: Duration = Duration::from_secs(900);
/// Between two requests.
const PAUSE: Duration = Duration::from_secs(2);
/// How often progress is reported.
const PROGRESS: Duration = Duration::from_secs(5);
/// How many pieces of the stream wait for the unpacker.
const WAITING: usize = 64;

/// Why the disk does not have the image. Its first MiB is empty then, and it does not boot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Format(#[from] NotAnImage),
    #[error(
        "the image was cut: the server is gone since {seconds} s, after {bytes} bytes; {error}"
    )]
    Outage { seconds: u64, bytes: u64, error: String },
    #[error("the image has {own} bytes, expected {expected}")]
    Length { own: u64, expected: u64 },
    #[error("the image's SHA-256 is {own}, expected {expected}; nothing of it boots")]
    Digest { own: String, expected: String },
    #[error("the image is damaged: {0}")]
    Unpack(String),
    #[error("{0} cannot be opened: {1}")]
    Open(String, std::io::Error),
    #[error(transparent)]
    Write(#[from] WriteError<std::io::Error>),
    #[error("{0} does not start: {1}")]
    Start(&'static str, std::io::Error),
    #[error("the server refuses the image: {0}")]
    Forbidden(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("a thread ended unexpectedly")]
    Thread,
}

/// What is known of the image before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub format: ImageFormat,
    pub unpacked_bytes: Option<u64>,
}

impl Image {
    /// An image that begins with `head`.
    pub(crate) fn of(source: &Source, head: &[u8]) -> Result<Self, StreamError> {
        let format = ImageFormat::of(head)?;
        Ok(Self { format, unpacked_bytes: format.unpacked_bytes(head, source.bytes) })
    }
}

/// A block device.
struct Device(File);

impl Target for Device {
    type Error = std::io::Error;

    fn write_at(&mut self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn zero(&mut self, at: u64, length: u64) -> std::io::Result<()> {
        // The kernel has the disk do it where it can, and writes zeros where not.
        let flags = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let whole = at.is_multiple_of(4096) && length.is_multiple_of(4096);
        if whole && fallocate(self.0.as_fd(), flags, at as i64, length as i64).is_ok() {
            return Ok(());
        }
        self.0.write_all_at(&vec![0; length as usize], at)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync_all()
    }
}

/// Writes the image to the disk. The number of its bytes.
pub(crate) async fn write(
    client: &Client,
    source: &Source,
    image: Image,
    disk: &Disk,
) -> Result<u64, StreamError> {
    let device = tools::device(disk);
    let file = File::options()
        .write(true)
        // Refused while anything else has the disk.
        .custom_flags(OFlag::O_EXCL.bits())
        .open(&device)
        .map_err(|error| StreamError::Open(device.display().to_string(), error))?;
    let writer = ImageWriter::new(Device(file), disk.bytes);
    let (pieces, incoming) = mpsc::channel(WAITING);
    let unpacking = thread::spawn(move || unpack(image.format, incoming, writer));
    let fetched = Arc::new(AtomicU64::new(0));
    let reporting =
        tokio::spawn(report(client.clone(), source.clone(), disk.to_string(), fetched.clone()));
    let fetch = fetch(client, source, pieces, &fetched).await;
    reporting.abort();
    let unpacked = tokio::task::spawn_blocking(move || unpacking.join());
    let unpacked =
        unpacked.await.map_err(|_| StreamError::Thread)?.map_err(|_| StreamError::Thread)?;
    // What the unpacker or the disk says is the cause of a stream that nobody takes any more.
    let unpacked = match (fetch, unpacked) {
        (Err(StreamError::Thread) | Ok(()), unpacked) => unpacked?,
        (Err(error), _) => return Err(error),
    };
    if unpacked.bytes != source.bytes {
        return Err(StreamError::Length { own: unpacked.bytes, expected: source.bytes });
    }
    if let Some(expected) =
        source.sha256.as_ref().filter(|it| !it.eq_ignore_ascii_case(&unpacked.sha256))
    {
        let expected = expected.clone();
        return Err(StreamError::Digest { own: unpacked.sha256, expected });
    }
    disk::check_sectors(disk, partitions::table_sector_bytes(unpacked.writer.first()))?;
    let sealed = tokio::task::spawn_blocking(move || unpacked.writer.seal());
    Ok(sealed.await.map_err(|_| StreamError::Thread)??)
}

/// Says how far it is.
async fn report(client: Client, source: Source, disk: String, fetched: Arc<AtomicU64>) {
    let began = Instant::now();
    let mut ticks = interval(PROGRESS);
    loop {
        ticks.tick().await;
        let done = fetched.load(Ordering::Relaxed);
        let rate = done as f64 / began.elapsed().as_secs_f64().max(0.1);
        client
            .step(&StepReport {
                disk: Some(disk.clone()),
                done: Some(done),
                total: Some(source.bytes),
                bytes_per_second: Some(rate as u64).filter(|_| done > 0),
                ..StepReport::of(DeployStep::Write)
            })
            .await;
    }
}

/// Fetches the file into the channel. A connection that breaks is taken up where it broke.
async fn fetch(
    client: &Client,
    source: &Source,
    pieces: mpsc::Sender<Bytes>,
    fetched: &AtomicU64,
) -> Result<(), StreamError> {
    let mut at = 0;
    let mut heard = Instant::now();
    while at < source.bytes {
        let error = match client.fetch(source, at).await {
            // The range that was asked for is not there, or the host may not have it any more.
            Err(ClientError::Status { status, text, .. }) if status.is_client_error() => {
                return Err(StreamError::Forbidden(text));
            }
            Err(error) => error.to_string(),
            Ok(mut body) => loop {
                let piece = match timeout(SILENCE, body.next()).await {
                    Ok(Some(Ok(piece))) => piece,
                    Ok(Some(Err(error))) => break error.to_string(),
                    Ok(None) => break "the connection was closed".to_owned(),
                    Err(_) => break "the connection is silent".to_owned(),
                };
                heard = Instant::now();
                at += piece.len() as u64;
                fetched.store(at, Ordering::Relaxed);
                pieces.send(piece).await.map_err(|_| StreamError::Thread)?;
            },
        };
        if at >= source.bytes {
            break;
        }
        if heard.elapsed() > OUTAGE {
            let seconds = heard.elapsed().as_secs();
            return Err(StreamError::Outage { seconds, bytes: at, error });
        }
        println!("rackstrap: {error}; asking again from byte {at}");
        sleep(PAUSE).await;
    }
    Ok(())
}

/// An image that is on the disk but for its first MiB.
struct Unpacked {
    writer: ImageWriter<Device>,
    /// Of the file.
    bytes: u64,
    sha256: String,
}

/// Takes what comes, compares it, unpacks it and writes it.
fn unpack(
    format: ImageFormat,
    incoming: mpsc::Receiver<Bytes>,
    mut writer: ImageWriter<Device>,
) -> Result<Unpacked, StreamError> {
    let Some(words) = format.unpacker() else {
        let (bytes, sha256) =
            pass(incoming, |piece| writer.push(piece).map_err(StreamError::from))?;
        writer.complete()?;
        return Ok(Unpacked { writer, bytes, sha256 });
    };
    let program = words[0];
    let mut child = Command::new(program)
        .args(&words[1..])
        .env("PATH", "/usr/bin:/usr/sbin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| StreamError::Start(program, error))?;
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(StreamError::Thread);
    };
    let feeding = thread::spawn(move || {
        // An unpacker that takes no more has found a fault, and says which.
        pass(incoming, |piece| stdin.write_all(piece).map_err(|_| StreamError::Thread))
    });
    let mut block = vec![0; 1 << 20];
    let written = loop {
        match stdout.read(&mut block) {
            Ok(0) => break Ok(()),
            Ok(length) => match writer.push(&block[..length]) {
                Ok(()) => {}
                Err(error) => break Err(error.into()),
            },
            Err(error) => break Err(StreamError::Unpack(error.to_string())),
        }
    };
    drop(stdout);
    let complaint = end(child);
    let fed = feeding.join().map_err(|_| StreamError::Thread)?;
    written?;
    complaint?;
    let (bytes, sha256) = fed?;
    writer.complete()?;
    Ok(Unpacked { writer, bytes, sha256 })
}

/// Waits for the unpacker: only a whole stream makes it succeed.
fn end(mut child: Child) -> Result<(), StreamError> {
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(|error| StreamError::Unpack(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    let said = said.trim().replace('\n', "; ");
    Err(StreamError::Unpack(if said.is_empty() { status.to_string() } else { said }))
}

/// Passes all pieces on; their number of bytes, and their SHA-256.
fn pass(
    mut incoming: mpsc::Receiver<Bytes>,
    mut take: impl FnMut(&[u8]) -> Result<(), StreamError>,
) -> Result<(u64, String), StreamError> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    while let Some(piece) = incoming.blocking_recv() {
        hash.update(&piece);
        bytes += piece.len() as u64;
        take(&piece)?;
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
