//! The server as the agent reaches it: plain HTTP with the token of the boot.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::causes::WithCauses;
use crate::deploy::image_format::HEAD_BYTES;
use crate::deploy::{ImageSource, Plan, StepReport};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(15);
/// The most bytes of an answer that is no file.
const MOST: usize = 4 << 20;

/// Why the server did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("the kernel's command line has no {0}")]
    NoWord(&'static str),
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    #[error("the server refuses: {0}")]
    Refused(String),
    #[error("the server answers {status} for {path}: {text}")]
    Status { path: String, status: StatusCode, text: String },
    #[error(
        "the image's file changed on the server while it was written; nothing of it boots, install again"
    )]
    Changed,
    #[error("the server's plan cannot be read: {0}")]
    Plan(#[from] serde_json::Error),
}

/// The beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHead {
    pub bytes: Vec<u8>,
    /// Its entity tag: another one is another file.
    pub tag: Option<String>,
}

/// A part of a file that is asked for.
#[derive(Default)]
struct Part<'a> {
    range: Option<String>,
    /// The entity tag of the file that it is a part of.
    of: Option<&'a str>,
}

/// What the server says to a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReportReply {
    Taken,
    Refused(String),
}

/// The server.
#[derive(Clone)]
pub(crate) struct DeployClient {
    http: HttpClient<HttpConnector, Body>,
    base: String,
    mac: String,
    token: String,
}

impl DeployClient {
    /// The server that the kernel's command line names.
    pub(crate) fn of_command_line(line: &str) -> Result<Self, ClientError> {
        let word = |key: &'static str| {
            let mut words = line.split_whitespace();
            let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            value.map(str::to_owned).ok_or(ClientError::NoWord(key))
        };
        let bootif = word("BOOTIF")?;
        // 01- is the type of the hardware: Ethernet.
        let mac = bootif.strip_prefix("01-").unwrap_or(&bootif).to_owned();
        let http = HttpClient::builder(TokioExecutor::new()).build(HttpConnector::new());
        let base = word("rackstrap.url")?.trim_end_matches('/').to_owned();
        Ok(Self { http, base, mac, token: word("rackstrap.token")? })
    }

    /// The server's URL.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The MAC that the host booted with, with hyphens.
    pub(crate) fn mac(&self) -> &str {
        &self.mac
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        part: Part<'_>,
        body: Body,
    ) -> Result<axum::http::Response<Body>, ClientError> {
        let unreachable = |error: String| ClientError::Unreachable(error);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(range) = part.range {
            request = request.header(header::RANGE, range);
            // Of another file all of it comes (RFC 9110 section 13.1.5).
            request = part.of.into_iter().fold(request, |it, tag| it.header(header::IF_RANGE, tag));
        }
        let request = request.body(body).map_err(|error| unreachable(error.to_string()))?;
        let response = timeout(ANSWER, self.http.request(request)).await;
        let response = response.map_err(|_| unreachable("no answer within 15 s".into()))?;
        Ok(response.map_err(|error| unreachable(WithCauses(&error).to_string()))?.map(Body::new))
    }

    /// The whole of a short answer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(StatusCode, String), ClientError> {
        let response = self.send(method, path, Part::default(), Body::from(body)).await?;
        let status = response.status();
        let body = timeout(ANSWER, axum::body::to_bytes(response.into_body(), MOST)).await;
        let body = body.map_err(|_| ClientError::Unreachable("the answer stopped".into()))?;
        let body =
            body.map_err(|error| ClientError::Unreachable(WithCauses(&error).to_string()))?;
        Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
    }

    /// What is to be done.
    pub(crate) async fn plan(&self) -> Result<Plan, ClientError> {
        let path = format!("/deploy/{}", self.mac);
        let (status, text) = self.ask(Method::GET, &path, String::new()).await?;
        match status {
            StatusCode::OK => Ok(serde_json::from_str(&text)?),
            status if status.is_server_error() => Err(ClientError::Status { path, status, text }),
            _ => Err(ClientError::Refused(text)),
        }
    }

    /// Reports on the install: `installing`, `installed...` or `failed...`.
    pub(crate) async fn report(&self, text: &str) -> Result<ReportReply, ClientError> {
        let path = format!("/report/{}", self.mac);
        let (status, answer) = self.ask(Method::POST, &path, text.to_owned()).await?;
        match status {
            StatusCode::OK => Ok(ReportReply::Taken),
            status if status.is_server_error() => {
                Err(ClientError::Status { path, status, text: answer })
            }
            _ => Ok(ReportReply::Refused(answer)),
        }
    }

    /// Says which step it is at. A step that the server does not hear of changes nothing.
    pub(crate) async fn step(&self, step: &StepReport) {
        println!("rackstrap: {step}");
        let Ok(body) = serde_json::to_string(step) else { return };
        let _ = self.ask(Method::POST, &format!("/deploy/{}", self.mac), body).await;
    }

    /// The first bytes of a file.
    pub(crate) async fn head(&self, source: &ImageSource) -> Result<FileHead, ClientError> {
        let range = Some(format!("bytes=0-{}", HEAD_BYTES - 1));
        let path = self.with_token(source);
        let part = Part { range, of: None };
        let response = self.send(Method::GET, &path, part, Body::empty()).await?;
        let (status, tag) = (response.status(), tag(&response));
        let body = axum::body::to_bytes(response.into_body(), MOST).await;
        let body =
            body.map_err(|error| ClientError::Unreachable(WithCauses(&error).to_string()))?;
        match status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                Ok(FileHead { bytes: body.to_vec(), tag })
            }
            status => {
                let text = String::from_utf8_lossy(&body).trim().to_owned();
                Err(ClientError::Status { path: source.path.clone(), status, text })
            }
        }
    }

    /// The file from byte `at` on, if it is the one with this entity tag.
    pub(crate) async fn fetch(
        &self,
        source: &ImageSource,
        of: Option<&str>,
        at: u64,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<>, ClientError> {
        let range = (at > 0).then(|| format!("bytes={at}-"));
        let path = self.with_token(source);
        let part = Part { range, of };
        let response = self.send(Method::GET, &path, part, Body::empty()).await?;
        let expected = if at > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let status = response.status();
        if status.is_success() && of.is_some() && tag(&response).as_deref() != of {
            return Err(ClientError::Changed);
        }
        if status != expected {
            let text = axum::body::to_bytes(response.into_body(), MOST).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).trim().to_owned();
            return Err(ClientError::Status { path: source.path.clone(), status, text });
        }
        Ok(response.into_body().into_data_stream().map(|piece| piece.map_err(io::Error::other)))
    }

    /// A file of an image that installs is given only with the token in its URL.
    fn with_token(&self, source: &ImageSource) -> String {
        format!("{}?token={}", source.path, self.token)
    }
}

/// The entity tag of the file that comes.
fn tag(response: &axum::http::Response<Body>) -> Option<String> {
    let tag = response.headers().get(header::ETAG)?;
    tag.to_str().ok().map(str::to_owned)
}
