//! The connection to a NetBox: lists by pages, with the errors that an operator can act on.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::push::Verb;
use super::records::{Interface, Page, Record, put_macs, without_primary_mac};
use crate::causes::WithCauses;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// How long NetBox may think: it takes seconds for a page of a thousand interfaces with cables, and more
/// for a bulk request.
const PAUSE: Duration = Duration::from_secs(180);
/// How many objects are asked for at once; NetBox gives fewer where its `MAX_PAGE_SIZE` is smaller.
const PAGE: usize = 1000;
/// Of how many devices something is asked for at once: web servers take some 4,000 bytes of URL.
const DEVICES: usize = 150;
/// How many objects are written at once: NetBox makes some dozens in a second.
const WRITES: usize = 100;
/// How many requests are on their way at once.
const AT_ONCE: usize = 4;
/// How long an answer may be, in bytes. A page of interfaces with cables has one or two million.
const MOST_BYTES: usize = 64 << 20;
/// How often something is read that NetBox could not give just then.
const TRIES: u32 = 3;
/// What a user of NetBox must be allowed.
const TO_READ: &str = "view devices, racks, interfaces, cables and IPAM";
const TO_WRITE: &str = "add and change interfaces, MAC addresses, IP addresses and cables, and change \
                        devices; the token with writing enabled";
/// The first version whose MAC addresses are objects of their own, and prefixes have scopes.
const FIRST_VERSION: (u32, u32) = (4, 2);

/// Why NetBox cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetBoxError {
    #[error("\"{0}\" is not the URL of a NetBox: expected one such as https://netbox.example.com")]
    Url(String),
    #[error(
        "the token contains characters that NetBox's tokens never have: expected 40 letters and \
         digits, or nbt_KEY.TOKEN"
    )]
    Token,
    #[error("cannot reach {url}: {reason}")]
    Request { url: String, reason: String },
    #[error("{url} redirects to {to}: pass that URL instead")]
    Redirect { url: String, to: String },
    #[error(
        "{url}: NetBox refuses the token ({detail}): expected a token of a user who may {rights}"
    )]
    Refused { url: String, detail: String, rights: &'static str },
    #[error("{url} does not exist: expected the URL of NetBox's home page")]
    NotFound { url: String },
    #[error("{url}: NetBox answers {rejection}")]
    Status { url: String, rejection: Rejection },
    #[error(
        "{url} does not answer with JSON ({content_type}): expected the URL of NetBox's home page"
    )]
    NotJson { url: String, content_type: String },
    #[error("{url}: {noun}: this version of rackstrap does not know their form: {reason}")]
    Form { url: String, noun: &'static str, reason: String },
    #[error("{url}: the answer is longer than {MOST_BYTES} bytes")]
    TooLong { url: String },
    #[error("{url}: this is NetBox {version}; expected 4.2 or newer")]
    Version { url: String, version: String },
    #[error(
        "{url}: NetBox counts {expected} and returned {got}: they changed meanwhile; run the command again"
    )]
    Changed { url: String, expected: usize, got: usize },
}

/// Why NetBox does not take an object, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}{}", .detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default())]
pub(crate) struct Rejection {
    status: StatusCode,
    detail: Option<String>,
}

/// A NetBox that answers.
pub(crate) struct NetBox {
    /// With a slash at the end.
    url: Url,
    client: Client,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "netbox-version")]
    version: String,
}

/// An object that was made or changed.
#[derive(Deserialize)]
struct Written {
    id: u64,
}

impl NetBox {
    /// Connects to one, and makes sure that it is a NetBox of a version that is known.
    pub(crate) async fn open(url: &str, token: &str) -> Result<Self, NetBoxError> {
        let invalid = || NetBoxError::Url(url.to_owned());
        let mut base = Url::parse(url.trim()).map_err(|_| invalid())?;
        let is_http = matches!(base.scheme(), "http" | "https");
        if !is_http || !base.username().is_empty() || base.password().is_some() {
            return Err(invalid());
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/');
        // People give the URL of the API as well.
        let path = format!("{}/", path.strip_suffix("/api").unwrap_or(path));
        base.set_path(&path);
        // Tokens of version 2 have a prefix, and another word before them.
        let word = if token.starts_with("nbt_") { "Bearer" } else { "Token" };
        let mut authorization = HeaderValue::from_str(&format!("{word} {token}"))
            .ok()
            .filter(|_| !token.is_empty() && !token.contains(char::is_whitespace))
            .ok_or(NetBoxError::Token)?;
        authorization.set_sensitive(true);
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), (ACCEPT, json)]);
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(PAUSE)
            .default_headers(headers)
            // A token is for one server, and what is written must not become something that is read.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("rackstrap/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NetBoxError::Request {
                url: base.to_string(),
                reason: WithCauses(&error).to_string(),
            })?;
        let netbox = Self { url: base, client };
        let url = netbox.at("status/", &[]);
        let Status { version } = netbox.get(&url, "its status").await?;
        let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
        let found = numbers.next().flatten().zip(numbers.next().flatten());
        if found.is_none_or(|found| found < FIRST_VERSION) {
            return Err(NetBoxError::Version { url: netbox.url.to_string(), version });
        }
        Ok(netbox)
    }

    /// Its URL, with a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Whether the token crosses a network that others may listen on.
    pub(crate) fn is_open_to_listeners(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let is_here = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.url.scheme() == "http" && !is_here
    }

    /// All objects of a kind with these parameters.
    pub(crate) async fn list<T: Record>(
        &self,
        parameters: &[(&str, String)],
    ) -> Result<Vec<T>, NetBoxError> {
        let page = async |offset: usize| {
            let mut all = vec![
                ("fields", T::FIELDS.to_owned()),
                ("ordering", "id".to_owned()),
                ("limit", PAGE.to_string()),
                ("offset", offset.to_string()),
            ];
            all.extend(parameters.iter().cloned());
            self.get::<Page<T>>(&self.at(T::PATH, &all), T::NOUN).await
        };
        let Page { count, mut results } = page(0).await?;
        // NetBox may give less at once than it is asked for.
        let step = results.len();
        if step > 0 && step < count {
            let offsets = (step..count).step_by(step);
            let mut pages = stream::iter(offsets.map(page)).buffered(AT_ONCE);
            while let Some(next) = pages.try_next().await? {
                results.extend(next.results);
            }
        }
        if results.len() != count {
            let url = self.at(T::PATH, parameters).to_string();
            return Err(NetBoxError::Changed { url, expected: count, got: results.len() });
        }
        Ok(results)
    }

    /// All objects of a kind with one of these values of a parameter, such as `device_id`.
    pub(crate) async fn list_by<T: Record, V: ToString>(
        &self,
        key: &'static str,
        values: &[V],
    ) -> Result<Vec<T>, NetBoxError> {
        let some = values.chunks(DEVICES).map(|some| {
            let parameters: Vec<_> = some.iter().map(|one| (key, one.to_string())).collect();
            async move { self.list::<T>(&parameters).await }
        });
        let lists: Vec<Vec<T>> = stream::iter(some).buffered(AT_ONCE).try_collect().await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Makes or changes objects, and says of each its id, or why NetBox does not take it. Where it refuses
    /// many at once, each is tried by itself: one that is wrong keeps back no other.
    pub(crate) async fn write(
        &self,
        verb: Verb,
        path: &str,
        bodies: &[Value],
    ) -> Result<Vec<Result<u64, Rejection>>, NetBoxError> {
        let mut written = Vec::new();
        for some in bodies.chunks(WRITES) {
            match self.write_some(verb, path, some).await? {
                Ok(ids) => written.extend(ids.into_iter().map(Ok)),
                Err(rejection) if some.len() == 1 => written.push(Err(rejection)),
                Err(_) => {
                    for one in some {
                        match self.write_some(verb, path, std::slice::from_ref(one)).await? {
                            Ok(ids) => written.extend(ids.into_iter().map(Ok)),
                            Err(rejection) => written.push(Err(rejection)),
                        }
                    }
                }
            }
        }
        Ok(written)
    }

    /// Makes or changes objects, all or none; their ids, in order, or why NetBox takes none.
    async fn write_some(
        &self,
        verb: Verb,
        path: &str,
        bodies: &[Value],
    ) -> Result<Result<Vec<u64>, Rejection>, NetBoxError> {
        let url = self.at(path, &[]);
        let method = match verb {
            Verb::Create => Method::POST,
            Verb::Change => Method::PATCH,
        };
        let request = self.client.request(method, url.clone());
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.body(Value::Array(bodies.to_vec()).to_string());
        let body = match self.send(&url, request, TO_WRITE).await {
            Err(NetBoxError::Status { rejection, .. }) if rejection.status.is_client_error() => {
                return Ok(Err(rejection));
            }
            sent => sent?,
        };
        let form =
            |reason: String| NetBoxError::Form { url: shown(&url), noun: "its answer", reason };
        let written: Vec<Written> =
            serde_json::from_slice(&body).map_err(|error| form(error.to_string()))?;
        if written.len() != bodies.len() {
            return Err(form(format!("{} of {} objects", written.len(), bodies.len())));
        }
        Ok(Ok(written.into_iter().map(|one| one.id).collect()))
    }

    /// All interfaces of devices, with their MACs.
    pub(crate) async fn interfaces(&self, devices: &[u64]) -> Result<Vec<Interface>, NetBoxError> {
        let mut interfaces = self.list_by("device_id", devices).await?;
        let macs = self.list_by("device_id", &without_primary_mac(&interfaces)).await?;
        put_macs(&mut interfaces, macs);
        Ok(interfaces)
    }

    fn at(&self, path: &str, parameters: &[(&str, String)]) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}api/{path}", self.url.path()));
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }

    async fn get<T: DeserializeOwned>(
        &self,
        url: &Url,
        noun: &'static str,
    ) -> Result<T, NetBoxError> {
        let mut tries = 1;
        let body = loop {
            let request = self.client.request(Method::GET, url.clone());
            let asked = self.send(url, request, TO_READ).await;
            match asked {
                Err(error) if error.passes() && tries < TRIES => {
                    tokio::time::sleep(Duration::from_secs(tries.into())).await;
                    tries += 1;
                }
                asked => break asked?,
            }
        };
        serde_json::from_slice(&body).map_err(|error| NetBoxError::Form {
            url: shown(url),
            noun,
            reason: error.to_string(),
        })
    }

    /// The body of a good answer.
    async fn send(
        &self,
        url: &Url,
        request: RequestBuilder,
        rights: &'static str,
    ) -> Result<Vec<u8>, NetBoxError> {
        let failed = |error: reqwest::Error| NetBoxError::Request {
            url: shown(url),
            reason: WithCauses(&error.without_url()).to_string(),
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (content_type, location) = (header("content-type"), header("location"));
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(failed)?);
            if body.len() > MOST_BYTES {
                return Err(NetBoxError::TooLong { url: shown(url) });
            }
        }
        let url = shown(url);
        match status {
            status if status.is_redirection() => Err(NetBoxError::Redirect { url, to: location }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(NetBoxError::Refused {
                url,
                detail: detail(&body).unwrap_or_else(|| status.to_string()),
                rights,
            }),
            StatusCode::NOT_FOUND => Err(NetBoxError::NotFound { url }),
            status if !status.is_success() => {
                let rejection = Rejection { status, detail: detail(&body) };
                Err(NetBoxError::Status { url, rejection })
            }
            _ if !content_type.starts_with("application/json") => {
                Err(NetBoxError::NotJson { url, content_type })
            }
            _ => Ok(body),
        }
    }
}

impl NetBoxError {
    /// Whether it may be over soon.
    fn passes(&self) -> bool {
        match self {
            Self::Request { .. } => true,
            Self::Status { rejection, .. } => {
                matches!(rejection.status.as_u16(), 429 | 502 | 503 | 504)
            }
            _ => false,
        }
    }
}

/// A URL without its parameters, which are long.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// What NetBox says is wrong, in one line.
fn detail(body: &[u8]) -> Option<String> {
    const MOST: usize = 400;
    let value: Value = serde_json::from_slice(body).ok()?;
    let said = value.get("detail").and_then(Value::as_str);
    let said = said.map_or_else(|| value.to_string(), str::to_owned);
    Some(said.chars().take(MOST).collect())
}
