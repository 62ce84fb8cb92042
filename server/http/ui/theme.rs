//! Light or dark by choice. The choice is a cookie, which the style sheet follows: it holds for every
//! page from the first moment, also before the login, and without script.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use time::Duration;
use tower_sessions::cookie::{Cookie, SameSite};

use super::error::Error;
use super::form::CheckedForm;
use super::login::cookie_of;

const COOKIE: &str = "rackstrap-theme";
/// How the style sheet says that a page follows the system.
const BY_SYSTEM: &str = "color-scheme: light dark;";
/// The longest that browsers keep a cookie (RFC 6265bis section 5.5).
const KEPT: Duration = Duration::days(400);

/// Which colours the pages have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Those that the system asks for.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// In the form and the cookie.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// For people.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::System => "Same as the system",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.word() == word)
    }

    /// The one that a browser has chosen.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self::of_word(&cookie_of(headers, COOKIE)).unwrap_or_default()
    }

    /// The style sheet in these colours.
    pub(super) fn sheet(self, by_system: &str) -> Cow<'_, str> {
        match self {
            Self::System => by_system.into(),
            Self::Light => by_system.replacen(BY_SYSTEM, "color-scheme: light;", 1).into(),
            Self::Dark => by_system.replacen(BY_SYSTEM, "color-scheme: dark;", 1).into(),
        }
    }

    /// The cookie of the choice; the system's needs none.
    fn cookie(self) -> String {
        let kept = if self == Self::System { Duration::ZERO } else { KEPT };
        Cookie::build((COOKIE, self.word()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .max_age(kept)
            .build()
            .to_string()
    }
}

/// `POST /access/theme`
pub(super) async fn choose(sent: CheckedForm) -> Result<Response, Error> {
    let word = sent.fields.text("theme");
    let theme = Theme::of_word(word).ok_or_else(|| {
        Error::Malformed(format!("\"{word}\" is not a theme: expected system, light or dark"))
    })?;
    let cookie = HeaderValue::from_str(&theme.cookie());
    let cookie = cookie.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/access#theme")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHEET: &str = include_str!("../../../web/static/ui.css");

    #[test]
    fn the_sheet_follows_the_choice() {
        assert_eq!(SHEET.matches(BY_SYSTEM).count(), 1);
        for theme in Theme::ALL {
            let sheet = theme.sheet(SHEET);
            assert_eq!(sheet.contains(BY_SYSTEM), theme == Theme::System, "{theme:?}");
            // On paper it is light in any case.
            assert!(sheet.contains(":root { color-scheme: light; }"), "{theme:?}");
        }
    }

    #[test]
    fn only_a_known_theme_is_taken_from_a_cookie() {
        let cases = [
            ("", Theme::System),
            ("rackstrap-theme=dark", Theme::Dark),
            ("rackstrap=x; rackstrap-theme=light", Theme::Light),
            ("rackstrap-theme=system", Theme::System),
            ("rackstrap-theme=<b>", Theme::System),
        ];
        for (cookie, theme) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
            assert_eq!(Theme::of(&headers), theme, "{cookie}");
        }
    }
}
