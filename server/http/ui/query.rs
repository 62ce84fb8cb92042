//! The query of a URL; an invalid one gets an error page.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::Error;

/// The query, read as `T`.
pub(crate) struct UrlQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for UrlQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Error::Malformed(format!(
                "invalid query \"?{}\": {}",
                parts.uri.query().unwrap_or_default(),
                std::error::Error::source(&rejection)
                    .map_or_else(|| rejection.to_string(), ToString::to_string)
            ))),
        }
    }
}
