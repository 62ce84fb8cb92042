//! The style sheet, the scripts and the icon, which are part of the program.

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::theme::Theme;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// What has the colours.
const SHEET: &str = "ui.css";

const ASSETS: &[Asset] = &[
    Asset {
        name: SHEET,
        content_type: "text/css; charset=utf-8",
        text: include_str!("../../../web/static/ui.css"),
    },
    Asset {
        name: "live.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("../../../web/static/live.js"),
    },
    Asset {
        name: "palette.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("../../../web/static/palette.js"),
    },
    Asset {
        name: "upload.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("../../../web/static/upload.js"),
    },
    Asset {
        name: "rack.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("../../../web/static/rack.js"),
    },
    Asset {
        name: "icon.svg",
        content_type: "image/svg+xml",
        text: include_str!("../../../web/static/icon.svg"),
    },
];

/// One for all of them: they change together, with the program.
static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.text);
    }
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
});

/// `GET /static/{file}`
pub(crate) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    let asset = ASSETS
        .iter()
        .find(|asset| asset.name == name)
        .ok_or(Error::NotFound { what: "file", name })?;
    // Revalidated on each load, so that an old script never runs in a new page.
    let theme = Theme::of(&headers);
    let tag = format!("\"{}-{}\"", *DIGEST, theme.word());
    let caching = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Cookie"),
    ];
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    if known {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let content_type = [(header::CONTENT_TYPE, asset.content_type)];
    let text: Cow<'static, str> =
        if asset.name == SHEET { theme.sheet(asset.text) } else { asset.text.into() };
    Ok((caching, content_type, text).into_response())
}
