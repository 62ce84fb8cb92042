//! Secrets by name. A value goes in and never comes out.

use axum::extract::{Extension, OriginalUri, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::ApiResponse;
use super::auth::Program;
use super::extract::{Document, Named, PathOf, Reads};
use super::problem::{Error, Fault};
use crate::app::App;
use crate::inventory::{Change, SecretError, StoredSecret};

/// All secrets, without their values.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Secrets {
    /// By name.
    items: Vec<StoredSecret>,
}

/// What a secret is to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretValue {
    /// The value: 1 to 65536 bytes without NUL.
    #[schemars(length(min = 1, max = 65_536))]
    pub(super) value: String,
}

/// The body of a request that sets a secret.
pub(super) struct SecretBody;

impl Reads for SecretBody {
    const MAX_BYTES: usize = 1 << 20;
    type Schema = SecretValue;
}

/// That a secret was set or removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SecretResult {
    /// The secret.
    name: String,
    /// The revision by which hosts get it.
    revision: i64,
}

/// `GET /secrets`
pub(super) async fn list(State(app): State<App>) -> Result<ApiResponse<Secrets>, Error> {
    Ok(ApiResponse::new(Secrets { items: app.inventory.list_secrets().await? }))
}

/// `PUT /secrets/{name}`
pub(super) async fn put(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
    OriginalUri(uri): OriginalUri,
    body: Document<SecretBody>,
) -> Result<ApiResponse<SecretResult>, Error> {
    let SecretValue { value } = body.read()?;
    let is_new = !app.inventory.snapshot().site.keyring().names().any(|known| known == name);
    let summary = format!("set secret {name}");
    app.inventory.set_secret(change(&program, &summary), &name, &value).await?;
    let revision = app.inventory.snapshot().revision;
    let answer = ApiResponse::new(SecretResult { name, revision });
    Ok(if is_new { answer.created(uri.path()) } else { answer })
}

/// `DELETE /secrets/{name}`
pub(super) async fn remove(
    State(app): State<App>,
    Extension(program): Extension<Program>,
    PathOf(Named { name }): PathOf<Named>,
) -> Result<ApiResponse<SecretResult>, Error> {
    let summary = format!("removed secret {name}");
    app.inventory.remove_secret(change(&program, &summary), &name).await?;
    let revision = app.inventory.snapshot().revision;
    Ok(ApiResponse::new(SecretResult { name, revision }))
}

fn change<'a>(program: &'a Program, summary: &'a str) -> Change<'a> {
    program.change(summary)
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        let text = error.to_string();
        match error {
            SecretError::Name(_) => Self::Request(vec![Fault::parameter("name", text)]),
            SecretError::Value { .. } => Self::Values(vec![Fault::pointer("/value", text)]),
            SecretError::Key(_) | SecretError::NoKey => Self::Conflict(text),
            SecretError::InUse { used_by, name } => {
                let detail = |at: &crate::model::Location| {
                    format!("{} {} names secret {name}", at.noun, at.name)
                };
                Self::in_conflict(text, used_by, detail)
            }
            SecretError::Missing(name) => {
                Self::NotFound { noun: "secret", name, hint: String::new() }
            }
            SecretError::Denied(denied) => Self::Outside(denied),
            SecretError::Inventory(error) => Self::Inventory(error),
        }
    }
}
