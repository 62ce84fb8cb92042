//! Downloads files, and goes on where a connection was cut.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Client, Response, StatusCode};

use super::detect::HEAD_BYTES;
use super::receive::{Expected, Progress, ReceiveError, receive_stream};
use super::store::{ImageStore, ReceivedFile};
use crate::causes::WithCauses;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a server may pause within a file.
const PAUSE: Duration = Duration::from_secs(30);
/// How often in a row it is asked again without a byte of progress.
const MOST_TRIES: u32 = 6;

static CLIENT: LazyLock<reqwest::Result<Client>> = LazyLock::new(|| {
    let client = Client::builder().connect_timeout(CONNECT).read_timeout(PAUSE);
    let client = client.user_agent(concat!("rackstrap/", env!("CARGO_PKG_VERSION")));
    client.build()
});

/// Why a file is not downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server cannot be asked.
    #[error("cannot fetch {url}: {reason}")]
    Request {
        /// What was asked for.
        url: String,
        /// Why not.
        reason: String,
    },
    /// It has another answer than the file.
    #[error("cannot fetch {url}: the server answers {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
}

/// Whether a source is a URL rather than a path.
pub fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// A URL without the user name and the password in it: what is recorded and shown.
pub fn shown_url(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else { return url.to_owned() };
    if parsed.username().is_empty() && parsed.password().is_none() {
        return url.to_owned();
    }
    // They fail for URLs that have none.
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.into()
}

/// A download that begins: the size is known, if the server says it.
pub struct Download {
    url: String,
    /// How many bytes come.
    pub size_bytes: Option<u64>,
    /// What the file is called: the last part of the URL that the server led to.
    pub name: String,
    response: Response,
    /// What tells that it is still the same file: an entity tag, or the time of its last change.
    validator: Option<HeaderValue>,
}

impl Download {
    /// Asks for a file.
    pub async fn begin(url: &str) -> Result<Self, DownloadError> {
        let response = ask(url, 0, None).await?;
        if response.status() != StatusCode::OK {
            return Err(DownloadError::Status { url: shown_url(url), status: response.status() });
        }
        let name = response.url().path_segments().and_then(|mut parts| parts.next_back());
        let name = name.filter(|name| !name.is_empty()).unwrap_or("file").to_owned();
        let size_bytes = response.content_length();
        let validator = validator(response.headers());
        Ok(Self { url: url.to_owned(), size_bytes, name, response, validator })
    }

    /// Its first bytes: what it is follows from them.
    pub(super) async fn beginning(self) -> io::Result<Vec<u8>> {
        let mut beginning = Vec::new();
        let mut pieces = self.into_stream();
        while beginning.len() < HEAD_BYTES
            && let Some(piece) = pieces.next().await
        {
            beginning.extend_from_slice(&piece?);
        }
        beginning.truncate(HEAD_BYTES);
        Ok(beginning)
    }

    /// Receives the file.
    pub async fn receive(
        self,
        store: &ImageStore,
        expected: Expected,
        progress: Progress,
    ) -> Result<Vec<ReceivedFile>, ReceiveError> {
        let expected = Expected { size_bytes: self.size_bytes, ..expected };
        receive_stream(store, self.into_stream(), expected, progress).await
    }

    /// Its bytes, whatever happens to single connections.
    fn into_stream(self) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
        let Self { url, size_bytes, response, validator, .. } = self;
        let reading = Reading {
            url,
            size_bytes,
            validator,
            received: 0,
            skip: 0,
            tries: 0,
            body: Some(Box::pin(response.bytes_stream())),
        };
        let pieces = stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Box::pin(pieces)
    }
}

type Body = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// A file that is read over several connections.
struct Reading {
    url: String,
    size_bytes: Option<u64>,
    validator: Option<HeaderValue>,
    /// How many bytes of the file have come.
    received: u64,
    /// How many bytes of a file that comes whole again are known.
    skip: u64,
    tries: u32,
    body: Option<Body>,
}

impl Reading {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(body) = &mut self.body else {
                self.resume().await?;
                continue;
            };
            match body.next().await {
                Some(Ok(piece)) => {
                    let known = self.skip.min(piece.len() as u64);
                    self.skip -= known;
                    let piece = piece.slice(known as usize..);
                    if piece.is_empty() {
                        continue;
                    }
                    self.tries = 0;
                    self.received += piece.len() as u64;
                    return Ok(Some(piece));
                }
                None if self.size_bytes.is_none_or(|size| self.received >= size) => {
                    return Ok(None);
                }
                None => self.give_up_after("the connection was closed".to_owned()).await?,
                Some(Err(error)) => self.give_up_after(reason(&error)).await?,
            }
        }
    }

    /// Waits before the next try, longer each time.
    async fn give_up_after(&mut self, reason: String) -> io::Result<()> {
        self.body = None;
        self.tries += 1;
        if self.tries >= MOST_TRIES {
            return Err(io::Error::other(format!("{reason}, {MOST_TRIES} times in a row")));
        }
        tokio::time::sleep(Duration::from_millis(250 << self.tries)).await;
        Ok(())
    }

    /// Asks for the rest.
    async fn resume(&mut self) -> io::Result<()> {
        let response = match ask(&self.url, self.received, self.validator.as_ref()).await {
            Ok(response) => response,
            Err(error) => return self.give_up_after(error.to_string()).await,
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(response.headers(), self.received) => {
                self.skip = 0;
            }
            // It does not know ranges, or the file is another one now, which its digest shows.
            StatusCode::OK if validator(response.headers()) == self.validator => {
                self.skip = self.received;
            }
            StatusCode::OK => {
                return Err(io::Error::other("the file changed on the server meanwhile"));
            }
            status if status.is_server_error() => {
                return self.give_up_after(format!("the server answers {status}")).await;
            }
            status => return Err(io::Error::other(format!("the server answers {status}"))),
        }
        self.body = Some(Box::pin(response.bytes_stream()));
        Ok(())
    }
}

async fn ask(
    url: &str,
    from: u64,
    validator: Option<&HeaderValue>,
) -> Result<Response, DownloadError> {
    let failed = |reason: String| DownloadError::Request { url: shown_url(url), reason };
    let client = CLIENT.as_ref().map_err(|error| failed(error.to_string()))?;
    // A compressed transfer has other bytes to go on from.
    let mut request = client.get(url).header(ACCEPT_ENCODING, "identity");
    if from > 0 {
        request = request.header(RANGE, format!("bytes={from}-"));
        if let Some(validator) = validator {
            request = request.header(IF_RANGE, validator);
        }
    }
    request.send().await.map_err(|error| failed(reason(&error)))
}

/// What `If-Range` takes: a strong entity tag, else the time of the last change (RFC 9110 section
/// 13.1.5).
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let tag = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    tag.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// Whether a part begins there: proxies have sent others.
fn begins_at(headers: &HeaderMap, start: u64) -> bool {
    let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// An error with its causes: `reqwest` itself says only that there was one.
fn reason(error: &reqwest::Error) -> String {
    WithCauses(error).to_string()
}
