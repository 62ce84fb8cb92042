//! The query of a URL; an invalid one gets an error page.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::Error;
use crate::tree::{self, Content, Key, Node};

/// The query, read as `T`. Parameters that `T` does not have are ignored.
pub(crate) struct UrlQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for UrlQuery<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let scalar = |text: &str| Node::made(Content::Scalar { text: text.into(), plain: false });
        let pairs = form_urlencoded::parse(query.as_bytes());
        let entries = pairs.map(|(name, value)| (Key::made(name.into()), Arc::new(scalar(&value))));
        let node = Node::made(Content::Map(entries.collect()));
        tree::read(&node).map(Self).map_err(|refusal| {
            Error::Malformed(format!("invalid query \"?{query}\": {}", refusal.told()))
        })
    }
}
