//! Query, path and body of a request, strictly read: every fault becomes a problem document.

use std::marker::PhantomData;
use std::sync::Arc;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, SchemaObject};
use aide::operation::{ParamLocation, add_parameters, parameters_from_schema, set_body};
use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use percent_encoding::percent_decode_str;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::json;
use super::problem::{Error, Fault, refuse_body};
use super::schema::{Input, SiteInputSchema};
use super::secrets::{SecretBody, SecretValue};
use crate::model::Noun;
use crate::site_file::{SiteFile, SiteFileError, is_blank, placed};
use crate::tree::{self, Content, Key, Node, Refusal, Typing, unknown};

/// The parameters of a query. One that `T` does not have is refused, and one that is given twice.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        read_query(&pairs(parts.uri.query().unwrap_or_default())?).map(Self)
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }
}

/// The parameters of a query in their order, each with a name of its own.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    let mut found: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let refuse =
            |name: &str, detail: &str| Err(Error::Request(vec![Fault::parameter(name, detail)]));
        let Ok(name) = decode(name) else {
            return refuse(name, "the name of the parameter is not UTF-8");
        };
        let Ok(value) = decode(value) else { return refuse(&name, NOT_UTF8) };
        if found.iter().any(|(other, _)| *other == name) {
            return refuse(&name, "is given twice");
        }
        found.push((name, value));
    }
    Ok(found)
}

/// What is wrong with a parameter whose bytes are not a text.
const NOT_UTF8: &str =
    "the value is not UTF-8: write the bytes of other characters than ASCII as %C3%A9 for \u{e9}";

/// A name or a value of a query (application/x-www-form-urlencoded).
fn decode(text: &str) -> Result<String, std::string::FromUtf8Error> {
    String::from_utf8(percent_decode_str(&text.replace('+', " ")).collect())
}

/// Reads the parameters of a query.
pub(super) fn read_query<T: DeserializeOwned + JsonSchema>(
    pairs: &[(String, String)],
) -> Result<T, Error> {
    let entry = |(name, value): &(String, String)| {
        let scalar = Content::Scalar { text: value.clone(), plain: false };
        (Key::made(name.clone()), Arc::new(Node::made(scalar)))
    };
    let node = Node::made(Content::Map(pairs.iter().map(entry).collect()));
    tree::read(&node).map_err(|refusal: Refusal| {
        let Some(key) = refusal.key() else {
            return Error::Request(vec![Fault::parameter(&refusal.path(), refusal.to_string())]);
        };
        let schema = schemars::schema_for!(T);
        let known = schema.get("properties").and_then(Value::as_object);
        let known: Vec<&str> = known.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        Error::Request(vec![Fault::parameter(key, unknown("parameter", key, &known))])
    })
}

/// A switch in a query: `?dry-run`, `?dry-run=true` or `?dry-run=false`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "" | "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            other => Err(serde::de::Error::custom(format_args!(
                "expected true, false or no value, not \"{other}\""
            ))),
        }
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": ["", "true", "false"]})
    }
}

/// The parameters of a path.
pub(super) struct PathOf<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathOf<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(rejection)) => {
                let fault = match rejection.into_kind() {
                    ErrorKind::InvalidUtf8InPathParam { key } => Fault::parameter(&key, NOT_UTF8),
                    ErrorKind::ParseErrorAtKey { key, value, .. } => {
                        let detail = format!("expected a whole number such as 12, not \"{value}\"");
                        Fault::parameter(&key, detail)
                    }
                    ErrorKind::DeserializeError { key, message, .. } => {
                        Fault::parameter(&key, message)
                    }
                    other => Fault { detail: other.to_string(), ..Fault::default() },
                };
                Err(Error::Request(vec![fault]))
            }
            Err(rejection) => {
                let detail = rejection.body_text();
                Err(Error::Request(vec![Fault { detail, ..Fault::default() }]))
            }
        }
    }
}

impl<T: JsonSchema> OperationInput for PathOf<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        Path::<T>::operation_input(ctx, operation);
    }
}

/// The path of something that has a name.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Named {
    /// The name of the entry.
    #[schemars(length(min = 1))]
    pub(super) name: String,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Syntax {
    /// Every value has the type that the schema names.
    Json,
    /// The site file's syntax, of which JSON is a part.
    Yaml,
}

impl Syntax {
    /// By the Content-Type. Without one, and with that which curl sends for `--data`, the body is
    /// YAML, and so may be JSON as well.
    fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::Yaml) };
        let text = String::from_utf8_lossy(value.as_bytes());
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "application/yaml"
            | "application/x-yaml"
            | "text/yaml"
            | "text/x-yaml"
            | "application/x-www-form-urlencoded" => Ok(Self::Yaml),
            _ => Err(Error::ContentType(essence)),
        }
    }
}

/// A body that reads as a `T`: JSON or YAML.
pub(super) struct Document<T> {
    syntax: Syntax,
    root: Arc<Node>,
    reads_as: PhantomData<fn() -> T>,
}

/// What a body is to read as.
pub(super) trait Reads {
    /// How large the body may be, in bytes.
    const MAX_BYTES: usize;
    /// The schema of the body.
    type Schema: JsonSchema;
}

/// An entry of the inventory; its name may be in it.
pub(super) struct EntryBody<T>(PhantomData<fn() -> T>);

impl<T: Noun + JsonSchema> Reads for EntryBody<T> {
    const MAX_BYTES: usize = 1 << 20;
    type Schema = Input<T>;
}

/// A site, alone or under the key `site` beside its revision.
pub(super) struct SiteBody;

impl Reads for SiteBody {
    /// What a site file may have.
    const MAX_BYTES: usize = 32 << 20;
    type Schema = SiteInputSchema;
}

impl<T: Reads> OperationInput for Document<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let json_schema = ctx.schema.subschema_for::<T::Schema>();
        let schema = SchemaObject { json_schema, external_docs: None, example: None };
        let media_type = MediaType { schema: Some(schema), ..MediaType::default() };
        // YAML is read as a site file is: its types are looser than a schema can say.
        let body = RequestBody {
            description: Some("JSON; or YAML, as application/yaml.".to_owned()),
            content: [("application/json".to_owned(), media_type)].into_iter().collect(),
            required: true,
            ..RequestBody::default()
        };
        set_body(ctx, operation, body);
    }
}

impl<T: Reads, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = Error;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Error> {
        let syntax = Syntax::of(request.headers())?;
        DefaultBodyLimit::max(T::MAX_BYTES).apply(&mut request);
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable::<T>)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| broken("the body is not UTF-8"))?;
        let root = match syntax {
            Syntax::Json => match json::parse(text) {
                Ok(mut value) => {
                    write_whole_numbers(&mut value);
                    Arc::new(Node::from(&value))
                }
                Err(error) => return Err(broken(format!("JSON syntax: {error}"))),
            },
            Syntax::Yaml if is_blank(text) => return Err(broken("the body is empty")),
            Syntax::Yaml => tree::parse(text).map_err(|refusal| {
                refuse_body(&[placed(&refusal, "body", &Node::nothing())], true)
            })?,
        };
        Ok(Self { syntax, root, reads_as: PhantomData })
    }
}

/// Writes `5.0` as `5`: to JSON Schema both are integers.
fn write_whole_numbers(value: &mut Value) {
    /// Beyond it not every integer is a number of JSON (RFC 8259 section 6).
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if number.fract() == 0.0 && number.abs() <= LARGEST {
                #[expect(clippy::cast_possible_truncation, reason = "a whole number in range")]
                let whole = number as i64;
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(write_whole_numbers),
        _ => {}
    }
}

fn unreadable<T: Reads>(rejection: BytesRejection) -> Error {
    match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge { limit_bytes: T::MAX_BYTES },
        _ => broken("the connection ended within the body"),
    }
}

fn broken(detail: impl Into<String>) -> Error {
    Error::Body(vec![Fault::pointer("", detail)])
}

impl<T> Document<T> {
    fn typing(&self) -> Typing {
        match self.syntax {
            Syntax::Json => Typing::Strict,
            Syntax::Yaml => Typing::Loose,
        }
    }

    fn refuse(&self, errors: &[SiteFileError]) -> Error {
        refuse_body(errors, self.syntax == Syntax::Yaml)
    }
}

impl<T: Noun> Document<EntryBody<T>> {
    /// Reads the entry that is to be called `name`. The keys of a representation that are not the
    /// entry's own are taken out: its name, which must be right, and `read_only` ones.
    pub(super) fn read(&self, name: &str, read_only: &[&str]) -> Result<T, Error> {
        let refuse = |refusal: Refusal| self.refuse(&[placed(&refusal, "body", &self.root)]);
        let entries = self.root.entries().map_err(refuse)?;
        if let Some((_, node)) = entries.iter().find(|(key, _)| key.text == "name") {
            let given: String = tree::read_typed(node, self.typing())
                .map_err(|refusal| refuse(refusal.within("name")))?;
            if given != name {
                let detail = format!("\"{given}\" is not the name in the URL, which is \"{name}\"");
                return Err(Error::Values(vec![Fault::pointer("/name", detail)]));
            }
        }
        let is_own = |key: &str| key != "name" && !read_only.contains(&key);
        let own = entries.iter().filter(|(key, _)| is_own(&key.text)).cloned().collect();
        let mut own = Node::made(Content::Map(own));
        own.position = self.root.position;
        tree::read_typed(&own, self.typing()).map_err(refuse)
    }
}

impl Document<SecretBody> {
    /// Reads the value.
    pub(super) fn read(&self) -> Result<SecretValue, Error> {
        tree::read_typed(&self.root, self.typing())
            .map_err(|refusal: Refusal| self.refuse(&[placed(&refusal, "body", &self.root)]))
    }
}

/// A site as a body has it.
pub(super) struct ParsedSite {
    pub(super) file: SiteFile,
    /// The revision that its author read, if the body says so.
    pub(super) revision: Option<i64>,
    /// The pointer to the site within the body.
    pub(super) within: &'static str,
}

impl Document<SiteBody> {
    /// Reads the site: the site file's keys, or `{revision, site}` as `GET /site` has it.
    pub(super) fn read(&self) -> Result<ParsedSite, Error> {
        let entries = self.root.entries().unwrap_or_default();
        let key = |name: &str| entries.iter().find(|(key, _)| key.text == name);
        let Some((_, site)) = key("site") else {
            let file = SiteFile::read(self.root.clone(), "body", self.typing())
                .map_err(|errors| self.refuse(&errors))?;
            return Ok(ParsedSite { file, revision: None, within: "" });
        };
        let others = entries.iter().find(|(key, _)| key.text != "site" && key.text != "revision");
        if let Some((other, _)) = others {
            let detail = unknown("key", &other.text, &["revision", "site"]);
            return Err(Error::Body(vec![Fault::pointer(&format!("/{}", other.text), detail)]));
        }
        let revision = key("revision").map(|(_, node)| tree::read_typed(node, self.typing()));
        let revision = revision.transpose().map_err(|refusal: Refusal| {
            self.refuse(&[placed(&refusal.within("revision"), "body", &self.root)])
        })?;
        let file = SiteFile::read(site.clone(), "body", self.typing()).map_err(|mut errors| {
            errors.iter_mut().for_each(|error| error.pointer.insert_str(0, "/site"));
            self.refuse(&errors)
        })?;
        Ok(ParsedSite { file, revision, within: "/site" })
    }
}
