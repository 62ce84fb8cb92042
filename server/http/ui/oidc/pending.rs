//! A login that was begun here and goes on at the provider. The browser keeps it, sealed: strangers
//! cannot fill the database with logins, and any server of the inventory can end what another began.

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tower_sessions::cookie::{Cookie, SameSite, time::Duration};

use crate::http::ui::error::Error;
use crate::http::ui::login::cookie_of;
use crate::inventory::{Inventory, SecretError};

const COOKIE: &str = "rackstrap-oidc";
const SEALED_AS: &str = "oidc";
/// The path of the pages that need the cookie.
const PATH: &str = "/login/oidc";
/// How long somebody may take at the provider, in seconds.
pub(super) const LASTS: i64 = 600;
/// The longest path that is kept: a cookie has at most 4096 bytes.
const THEN_BYTES: usize = 1000;

/// What is needed to end a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PendingLogin {
    pub issuer: String,
    pub state: String,
    pub nonce: String,
    /// The secret of PKCE (RFC 7636).
    pub verifier: String,
    pub redirect_url: String,
    /// Where the login leads.
    pub then: String,
    /// In Unix seconds.
    pub expires_at: i64,
}

impl PendingLogin {
    /// The one that a browser keeps, if it is this server's and not too old.
    pub(super) fn of(
        headers: &HeaderMap,
        inventory: &Inventory,
        now: i64,
    ) -> Result<Option<Self>, SecretError> {
        let sealed = cookie_of(headers, COOKIE);
        let opened = inventory.unseal_from_browser(SEALED_AS, &sealed)?;
        let pending = opened.and_then(|text| serde_json::from_str::<Self>(&text).ok());
        Ok(pending.filter(|pending| pending.expires_at > now))
    }

    /// Whether a provider's answer is about this login. Compared in constant time.
    pub(super) fn has_state(&self, state: &str) -> bool {
        bool::from(self.state.as_bytes().ct_eq(state.as_bytes()))
    }

    /// The cookie in which a browser keeps it. Other sites' links send it too, as the way back from the
    /// provider is one.
    pub(super) fn cookie(mut self, inventory: &Inventory) -> Result<HeaderValue, CookieError> {
        if self.then.len() > THEN_BYTES {
            self.then = "/".into();
        }
        let text = serde_json::to_string(&self).map_err(|e| Error::Internal(e.to_string()))?;
        let sealed = inventory.seal_for_browser(SEALED_AS, &text)?;
        Ok(cookie(sealed, LASTS)?)
    }
}

/// Why a login cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum CookieError {
    #[error(transparent)]
    Key(#[from] SecretError),
    #[error(transparent)]
    Other(#[from] Error),
}

/// Makes a browser forget a login.
pub(super) fn forget() -> Result<HeaderValue, Error> {
    cookie(String::new(), 0)
}

fn cookie(value: String, seconds: i64) -> Result<HeaderValue, Error> {
    let cookie = Cookie::build((COOKIE, value))
        .path(PATH)
        .http_only(true)
        .same_site(SameSite::Lax)
        .max_age(Duration::seconds(seconds))
        .build()
        .to_string();
    HeaderValue::from_str(&cookie).map_err(|error| Error::Internal(error.to_string()))
}
