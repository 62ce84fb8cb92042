//! Forms: their fields, accepted only with the session's CSRF token.

use axum::extract::rejection::RawFormRejection;
use axum::extract::{FromRequest, RawForm, Request};
use percent_encoding::percent_decode;
use subtle::ConstantTimeEq;

use super::error::Error;
use super::session::Operator;

/// Name of the field with the CSRF token.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// The most fields of a form.
const MOST_FIELDS: usize = 2000;

/// The fields of a form in their order, without the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `name=value&...` (application/x-www-form-urlencoded).
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        let pieces = body.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
        let pairs: Vec<_> = pieces.take(MOST_FIELDS + 1).map(pair).collect::<Result<_, _>>()?;
        if pairs.len() > MOST_FIELDS {
            return Err(Error::Malformed(format!(
                "too many fields: at most {MOST_FIELDS} are allowed"
            )));
        }
        Ok(Self(pairs))
    }

    /// The value of a field, or an empty text.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let pair = self.0.iter().find(|(field, _)| field == name);
        pair.map_or("", |(_, value)| value.as_str())
    }

    /// The trimmed value of a field, or an empty text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The trimmed values of a repeated field.
    pub(crate) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// Whether the form carries `token`. Compared in constant time.
    pub(crate) fn has_token(&self, token: &str) -> bool {
        !token.is_empty() && bool::from(self.text(CSRF_FIELD).as_bytes().ct_eq(token.as_bytes()))
    }
}

fn pair(piece: &[u8]) -> Result<(String, String), Error> {
    let split = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
    let (name, value) = piece.split_at(split);
    Ok((decode(name)?, decode(value.strip_prefix(b"=").unwrap_or_default())?))
}

fn decode(bytes: &[u8]) -> Result<String, Error> {
    let spaced: Vec<u8> =
        bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8();
    let text = text.map_err(|_| Error::Malformed("the form is not valid UTF-8".into()))?;
    // Browsers send CR LF for every line break in a text area.
    Ok(text.replace("\r\n", "\n"))
}

/// A form with a valid CSRF token. Every handler that changes something takes one, so that it
/// cannot read the fields without the check.
pub(crate) struct CheckedForm {
    /// Who sent it.
    pub operator: Operator,
    /// Its fields.
    pub fields: Fields,
}

impl<S: Send + Sync> FromRequest<S> for CheckedForm {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let operator = request.extensions().get::<Operator>().cloned();
        let operator = operator.ok_or(Error::Csrf)?;
        let fields = read(request, state).await?;
        if !fields.has_token(&operator.csrf) {
            return Err(Error::Csrf);
        }
        Ok(Self { operator, fields })
    }
}

/// Reads the fields without checking the CSRF token, for the login only.
pub(crate) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Fields, Error> {
    let RawForm(body) = RawForm::from_request(request, state).await.map_err(|rejection| {
        Error::Malformed(match rejection {
            RawFormRejection::InvalidFormContentType(_) => {
                "expected application/x-www-form-urlencoded".into()
            }
            other => format!("cannot read the form: {}", other.body_text().to_lowercase()),
        })
    })?;
    Fields::parse(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_and_kept_in_order() {
        let fields =
            Fields::parse(b"csrf=t&name=r1-n01+&nic.label=eth0&nic.label=eth1&x=a%0D%0Ab&y")
                .unwrap();
        assert_eq!(fields.text("name"), "r1-n01");
        assert_eq!(fields.texts("nic.label").collect::<Vec<_>>(), ["eth0", "eth1"]);
        assert_eq!((fields.raw("name"), fields.raw("z")), ("r1-n01 ", ""));
        assert_eq!((fields.text("x"), fields.text("y"), fields.text("z")), ("a\nb", "", ""));
    }

    #[test]
    fn a_token_must_be_there_and_right() {
        let fields = Fields::parse(b"csrf=abc").unwrap();
        for (token, right) in [("abc", true), ("abd", false), ("", false), ("abcd", false)] {
            assert_eq!(fields.has_token(token), right, "{token}");
        }
        assert!(!Fields::default().has_token(""));
    }

    #[test]
    fn malformed_forms_are_refused() {
        assert!(Fields::parse(b"name=%ff").is_err());
        assert!(Fields::parse("a=1&".repeat(MOST_FIELDS + 1).as_bytes()).is_err());
        assert!(Fields::parse(b"&&=&=&%").is_ok());
    }
}
