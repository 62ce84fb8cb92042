//! A disk image on its way from the server to the disk: fetched, unpacked, compared, written.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout};

use super::client::{ClientError, DeployClient, FileHead};
use crate::deploy::disk::{self, Disk, DiskRefusal};
use crate::deploy::image_format::{BEGINNING_BYTES, Beginning, ImageFormat, NotAnImage};
use crate::deploy::write::{DiskTarget, ImageWriter, WriteError};
use crate::deploy::{ImageSource, StepReport};
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
    #[error(
        "the unpacked image's SHA-256 is {own}, expected {expected}: this host corrupted it, \
         possibly by faulty memory; nothing of it boots"
    )]
    Unpacked { own: String, expected: String },
    #[error("the unpacked image has {own} bytes, expected {expected}; nothing of it boots")]
    UnpackedLength { own: u64, expected: u64 },
    #[error(transparent)]
    Changed(ClientError),
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
    Refused(#[from] DiskRefusal),
    #[error("a thread ended unexpectedly")]
    Thread,
}

/// What is known of the image before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub format: ImageFormat,
    pub unpacked_bytes: Option<u64>,
    /// What the unpacked image begins with.
    pub beginning: Beginning,
    /// The entity tag of the file.
    tag: Option<String>,
}

impl Image {
    /// An image whose file begins with `head`.
    pub(crate) fn of(source: &ImageSource, head: FileHead) -> Result<Self, StreamError> {
        let FileHead { bytes, tag } = head;
        let format = ImageFormat::of(&bytes)?;
        let beginning = match format.unpacker() {
            None => Beginning::of(&bytes)?,
            Some(words) => Beginning::of(&unpacked_beginning(words, &bytes)?)?,
        };
        let in_file = || format.unpacked_bytes(&bytes, source.bytes);
        let unpacked_bytes = source.disk_bytes.or_else(in_file);
        Ok(Self { format, unpacked_bytes, beginning, tag })
    }
}

fn start(words: &'static [&'static str]) -> Result<Child, StreamError> {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/bin:/usr/sbin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| StreamError::Start(program, error))
}

/// The beginning of what the beginning of a file unpacks to.
fn unpacked_beginning(words: &'static [&'static str], head: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut child = start(words)?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(StreamError::Thread);
    };
    let mut beginning = Vec::new();
    let read = thread::scope(|scope| {
        // The unpacker is not heard out, and the file ends in its middle.
        scope.spawn(move || stdin.write_all(head));
        stdout.take(BEGINNING_BYTES as u64).read_to_end(&mut beginning)
    });
    let _ = child.kill();
    let complaint = end(child);
    match (read, beginning.is_empty()) {
        (Err(error), _) => Err(StreamError::Unpack(error.to_string())),
        (Ok(_), true) => {
            Err(complaint.err().unwrap_or_else(|| StreamError::Unpack("it is empty".to_owned())))
        }
        (Ok(_), false) => Ok(beginning),
    }
}

/// A block device.
struct Device(File);

impl DiskTarget for Device {
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
    client: &DeployClient,
    source: &ImageSource,
    image: Image,
    disk: &Disk,
    device: &Path,
) -> Result<u64, StreamError> {
    let file = File::options()
        .write(true)
        // Refused while anything else has the disk.
        .custom_flags(OFlag::O_EXCL.bits())
        .open(device)
        .map_err(|error| StreamError::Open(device.display().to_string(), error))?;
    let writer = ImageWriter::new(Device(file), disk.bytes);
    let (pieces, incoming) = mpsc::channel(WAITING);
    let (format, expected) = (image.format, source.disk_sha256.clone());
    let unpacking = thread::spawn(move || unpack(format, incoming, writer, expected.is_some()));
    let fetched = Arc::new(AtomicU64::new(0));
    let reporting =
        tokio::spawn(report(client.clone(), source.clone(), disk.to_string(), fetched.clone()));
    let fetch = fetch(client, source, image.tag.as_deref(), pieces, &fetched).await;
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
    let own = unpacked.writer.received();
    if let Some(expected) = source.disk_bytes.filter(|expected| *expected != own) {
        return Err(StreamError::UnpackedLength { own, expected });
    }
    match (unpacked.disk_sha256, &source.disk_sha256) {
        (Some(own), Some(expected)) if !expected.eq_ignore_ascii_case(&own) => {
            let expected = expected.clone();
            return Err(StreamError::Unpacked { own, expected });
        }
        _ => {}
    }
    disk::check_sectors(disk, Beginning::of(unpacked.writer.first())?.sector_bytes)?;
    let sealed = tokio::task::spawn_blocking(move || unpacked.writer.seal());
    Ok(sealed.await.map_err(|_| StreamError::Thread)??)
}

/// Says how far it is.
async fn report(client: DeployClient, source: ImageSource, disk: String, fetched: Arc<AtomicU64>) {
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
    client: &DeployClient,
    source: &ImageSource,
    tag: Option<&str>,
    pieces: mpsc::Sender<Bytes>,
    fetched: &AtomicU64,
) -> Result<(), StreamError> {
    let mut at = 0;
    let mut heard = Instant::now();
    while at < source.bytes {
        let error = match client.fetch(source, tag, at).await {
            Err(error @ ClientError::Changed) => return Err(StreamError::Changed(error)),
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
    /// Of what it unpacks to, where that is another one and is wanted.
    disk_sha256: Option<String>,
}

/// Computes the SHA-256 of the unpacked image while it is written.
struct Digesting {
    pieces: SyncSender<Vec<u8>>,
    thread: thread::JoinHandle<String>,
}

impl Digesting {
    fn begin() -> Self {
        let (pieces, incoming) = sync_channel::<Vec<u8>>(WAITING);
        let digest = move || {
            let mut hash = Sha256::new();
            incoming.iter().for_each(|piece| hash.update(&piece));
            hex(hash)
        };
        Self { pieces, thread: thread::spawn(digest) }
    }

    fn end(self) -> Result<String, StreamError> {
        drop(self.pieces);
        self.thread.join().map_err(|_| StreamError::Thread)
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes what comes, compares it, unpacks it and writes it.
fn unpack(
    format: ImageFormat,
    incoming: mpsc::Receiver<Bytes>,
    mut writer: ImageWriter<Device>,
    digests: bool,
) -> Result<Unpacked, StreamError> {
    let Some(words) = format.unpacker() else {
        let (bytes, sha256) =
            pass(incoming, |piece| writer.push(piece).map_err(StreamError::from))?;
        writer.complete()?;
        return Ok(Unpacked { writer, bytes, sha256, disk_sha256: None });
    };
    let mut child = start(words)?;
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(StreamError::Thread);
    };
    let feeding = thread::spawn(move || {
        // An unpacker that takes no more has found a fault, and says which.
        pass(incoming, |piece| stdin.write_all(piece).map_err(|_| StreamError::Thread))
    });
    let digesting = digests.then(Digesting::begin);
    let mut block = vec![0; 1 << 20];
    let written = loop {
        match stdout.read(&mut block) {
            Ok(0) => break Ok(()),
            Ok(length) => {
                let piece = &block[..length];
                if let Some(digesting) = &digesting {
                    digesting.pieces.send(piece.to_vec()).map_err(|_| StreamError::Thread)?;
                }
                match writer.push(piece) {
                    Ok(()) => {}
                    Err(error) => break Err(error.into()),
                }
            }
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
    let disk_sha256 = digesting.map(Digesting::end).transpose()?;
    Ok(Unpacked { writer, bytes, sha256, disk_sha256 })
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
    Ok((bytes, hex(hash)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode, header};
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;

    use super::*;
    use crate::deploy::image_format::HEAD_BYTES;

    /// What the server sends: the file, and how it misbehaves.
    struct Served {
        file: Vec<u8>,
        /// Where each connection breaks, in order; then none does.
        breaks: Mutex<Vec<usize>>,
        /// How many requests there were for its first byte.
        starts: AtomicU64,
        /// Whether another file is there after the first request.
        changes: bool,
    }

    const TAG: &str = "\"1\"";

    async fn send(State(served): State<Arc<Served>>, headers: HeaderMap) -> Response {
        let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let from =
            range.and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        let is_first = served.starts.load(Ordering::Relaxed) == 0;
        let tag = if served.changes && !is_first { "\"2\"" } else { TAG };
        let is_other = headers.get(header::IF_RANGE).is_some_and(|of| of != tag);
        let from: usize = from.filter(|_| !is_other).unwrap_or(0);
        served.starts.fetch_add(u64::from(from == 0), Ordering::Relaxed);
        let rest = served.file[from..].to_vec();
        let broken = served.breaks.lock().unwrap().pop();
        let pieces: Vec<std::io::Result<Bytes>> = match broken {
            None => vec![Ok(rest.into())],
            Some(at) => {
                let cut = Bytes::copy_from_slice(&rest[..at.min(rest.len())]);
                vec![Ok(cut), Err(std::io::Error::other("cut"))]
            }
        };
        let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        // A piece has to leave before the connection breaks.
        let pieces = futures_util::stream::iter(pieces).then(|piece| async {
            if piece.is_err() {
                sleep(Duration::from_millis(200)).await;
            }
            piece
        });
        (status, [(header::ETAG, tag)], Body::from_stream(pieces)).into_response()
    }

    /// A disk image of 9 MiB with a master boot record, a run of zeros, and bytes that do not repeat.
    fn raw() -> Vec<u8> {
        let byte = |at: usize| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        let mut image: Vec<u8> = (0..9 << 20).map(byte).collect();
        image[4 << 20..8 << 20].fill(0);
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        image
    }

    fn packed(program: &str, image: &[u8]) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
        fs::write(&path, image).unwrap();
        Command::new(program).args(["-c", "-q"]).arg(&path).output().unwrap().stdout
    }

    fn digest(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn head(file: &[u8]) -> FileHead {
        let bytes = file[..file.len().min(HEAD_BYTES)].to_vec();
        FileHead { bytes, tag: Some(TAG.to_owned()) }
    }

    struct Written {
        outcome: Result<u64, StreamError>,
        disk: Vec<u8>,
        starts: u64,
    }

    const DISK: usize = 12 << 20;

    async fn written(
        file: Vec<u8>,
        breaks: &[usize],
        change: impl FnOnce(&mut ImageSource),
    ) -> Written {
        written_from(file, breaks, false, change).await
    }

    async fn written_from(
        file: Vec<u8>,
        breaks: &[usize],
        changes: bool,
        change: impl FnOnce(&mut ImageSource),
    ) -> Written {
        let directory = tempfile::tempdir().unwrap();
        let device: PathBuf = directory.path().join("disk");
        fs::write(&device, vec![9; DISK]).unwrap();
        let breaks = Mutex::new(breaks.iter().rev().copied().collect());
        let mut source = ImageSource {
            path: "/files/image".into(),
            bytes: file.len() as u64,
            sha256: Some(digest(&file)),
            disk_bytes: None,
            disk_sha256: None,
        };
        change(&mut source);
        let served = Arc::new(Served { file, breaks, starts: AtomicU64::new(0), changes });
        let routes = Router::new().route("/files/image", get(send)).with_state(served.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let line = format!("rackstrap.url={base} rackstrap.token=t BOOTIF=01-52-54-00-aa-00-01");
        let client = DeployClient::of_command_line(&line).unwrap();
        let image = Image::of(&source, head(&served.file)).unwrap();
        let disk =
            Disk { name: "test".into(), bytes: DISK as u64, sector_bytes: 512, ..Disk::default() };
        let outcome = write(&client, &source, image, &disk, &device).await;
        server.abort();
        let starts = served.starts.load(Ordering::Relaxed);
        Written { outcome, disk: fs::read(&device).unwrap(), starts }
    }

    #[tokio::test]
    async fn an_image_comes_whole_however_it_is_compressed() {
        let image = raw();
        let files =
            [image.clone(), packed("zstd", &image), packed("xz", &image), packed("gzip", &image)];
        for file in files {
            let format = ImageFormat::of(&file[..1024]);
            let written = written(file, &[], |source| {
                source.disk_bytes = Some(image.len() as u64);
                source.disk_sha256 = Some(digest(&image));
            });
            let written = written.await;
            assert_eq!(written.outcome.unwrap(), image.len() as u64, "{format:?}");
            assert!(written.disk[..image.len()] == image[..], "{format:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_goes_on_where_it_broke() {
        let image = raw();
        let file = packed("zstd", &image);
        let written = written(file, &[0, 100_000, 1], |_| {}).await;
        assert_eq!(written.outcome.unwrap(), image.len() as u64);
        assert!(written.disk[..image.len()] == image[..]);
        assert_eq!(written.starts, 2, "only what had not come is asked for again");
    }

    #[tokio::test]
    async fn a_file_that_changes_between_two_requests_is_not_joined() {
        let file = packed("zstd", &raw());
        let written = written_from(file, &[100_000], true, |_| {}).await;
        let error = written.outcome.unwrap_err().to_string();
        assert!(error.contains("changed on the server while it was written"), "{error}");
        assert!(written.disk[..1 << 20].iter().all(|byte| *byte == 9));
    }

    #[tokio::test]
    async fn an_image_that_this_host_unpacks_to_something_else_is_not_sealed() {
        let image = raw();
        for (sha256, bytes, expected) in [
            (Some("0".repeat(64)), None, "the unpacked image's SHA-256 is"),
            (None, Some(image.len() as u64 + 1), "the unpacked image has 9437184 bytes, expected"),
        ] {
            let written = written(packed("xz", &image), &[], |source| {
                (source.disk_sha256, source.disk_bytes) = (sha256, bytes);
            });
            let written = written.await;
            let error = written.outcome.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(written.disk[..1 << 20].iter().all(|byte| *byte == 9), "{expected}");
        }
    }

    #[test]
    fn what_cannot_boot_is_known_before_anything_is_written() {
        let with = |parts: &[(usize, &[u8])]| {
            let mut image = raw();
            image[..1 << 20].fill(0);
            // The first block of zstd becomes as long as it can.
            image[64 << 10..1 << 20].copy_from_slice(&raw()[64 << 10..1 << 20]);
            for (at, part) in parts {
                image[*at..at + part.len()].copy_from_slice(part);
            }
            image
        };
        let signature: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        let is = |sector_bytes, has_boot_code| Ok((sector_bytes, has_boot_code, Some(9 << 20)));
        let cases: [(&str, Vec<u8>, Result<_, &str>); 5] = [
            ("GPT", with(&[signature, (512, b"EFI PART")]), is(Some(512), false)),
            ("4Kn", with(&[signature, (4096, b"EFI PART")]), is(Some(4096), false)),
            ("boot code", with(&[signature, (0, b"\xeb\x63")]), is(None, true)),
            ("ext4", with(&[(0x438, b"\x53\xef")]), Err("no partition table")),
            ("tar", with(&[(257, b"ustar")]), Err("the image is a tarball")),
        ];
        for (name, image, expected) in cases {
            let files = ["zstd", "xz", "gzip"].map(|program| packed(program, &image));
            for file in files {
                let source = ImageSource {
                    path: "/files/image".into(),
                    bytes: file.len() as u64,
                    sha256: None,
                    disk_bytes: Some(image.len() as u64),
                    disk_sha256: None,
                };
                match (Image::of(&source, head(&file)), expected) {
                    (Ok(found), Ok(expected)) => {
                        let Image { beginning, unpacked_bytes, .. } = found;
                        let Beginning { sector_bytes, has_boot_code } = beginning;
                        assert_eq!(
                            (sector_bytes, has_boot_code, unpacked_bytes),
                            expected,
                            "{name}"
                        );
                    }
                    (Err(error), Err(expected)) => {
                        assert!(error.to_string().contains(expected), "{name}: {error}");
                    }
                    (found, _) => panic!("{name}: {found:?}, expected {expected:?}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn an_image_that_is_not_whole_leaves_nothing_that_boots() {
        let image = raw();
        let zstd = packed("zstd", &image);
        let mut damaged = zstd.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        let trailing = [&zstd[..], b"trailing"].concat();
        let large = vec![[1; 1 << 20].to_vec(); 13].concat();
        let mut large_raw = image.clone();
        large_raw.extend(&large);
        let cut = |file: &[u8]| file[..file.len() - 1000].to_vec();
        let cases = [
            ("truncated zstd", cut(&zstd), None, "damaged: "),
            ("truncated xz", cut(&packed("xz", &image)), None, "damaged: "),
            ("truncated gzip", cut(&packed("gzip", &image)), None, "damaged: "),
            ("damaged", damaged, None, "damaged: "),
            ("trailing bytes", trailing, None, "damaged: "),
            ("wrong digest", zstd.clone(), Some("0".repeat(64)), "SHA-256 is"),
            ("wrong digest, raw", image.clone(), Some("0".repeat(64)), "SHA-256 is"),
            ("too large", packed("zstd", &large_raw), None, "larger than the disk"),
            ("too large, raw", large_raw.clone(), None, "larger than the disk"),
        ];
        for (name, file, sha256, expected) in cases {
            let written = written(file, &[], |source| {
                source.sha256 = sha256.or_else(|| source.sha256.clone());
            });
            let written = written.await;
            let error = written.outcome.unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
            assert!(written.disk[..1 << 20].iter().all(|byte| *byte == 9), "{name}");
        }
    }
}
