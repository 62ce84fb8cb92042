//! What a provider sends back by the browser, which anybody can make up. Pure.

/// The longest parameter that is taken, in bytes: codes of real providers have up to two thousand.
const PARAMETER_BYTES: usize = 4096;

/// The query of the redirect URL (RFC 6749 section 4.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub state: String,
    /// The provider that answers, where it says so (RFC 9207).
    pub issuer: Option<String>,
    pub result: AnswerResult,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AnswerResult {
    Code(String),
    Refused { error: String, description: String },
}

/// Why a query is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadAnswer {
    /// RFC 6749 section 3.1.
    #[error("\"{0}\" is given twice")]
    Twice(&'static str),
    #[error("\"{0}\" is too long: at most {PARAMETER_BYTES} bytes are allowed")]
    TooLong(&'static str),
    #[error("\"state\" is missing")]
    NoState,
    #[error("neither \"code\" nor \"error\" is given")]
    NoResult,
    #[error("both \"code\" and \"error\" are given")]
    TwoResults,
}

impl Answer {
    /// Reads a query. Parameters that nobody knows are ignored, as RFC 6749 section 4.1.2 demands.
    pub(super) fn read(query: &str) -> Result<Self, BadAnswer> {
        const NAMES: [&str; 5] = ["state", "code", "error", "error_description", "iss"];
        let mut found: [Option<String>; NAMES.len()] = Default::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(at) = NAMES.iter().position(|known| *known == name) else { continue };
            if found[at].is_some() {
                return Err(BadAnswer::Twice(NAMES[at]));
            }
            if value.len() > PARAMETER_BYTES {
                return Err(BadAnswer::TooLong(NAMES[at]));
            }
            found[at] = Some(value.into_owned());
        }
        let [state, code, error, description, issuer] = found;
        // A parameter without a value counts as left out (RFC 6749 section 3.1).
        let [state, code, error, issuer] =
            [state, code, error, issuer].map(|value| value.filter(|value| !value.is_empty()));
        let state = state.ok_or(BadAnswer::NoState)?;
        let result = match (code, error) {
            (Some(code), None) => AnswerResult::Code(code),
            (None, Some(error)) => {
                AnswerResult::Refused { error, description: description.unwrap_or_default() }
            }
            (None, None) => return Err(BadAnswer::NoResult),
            (Some(_), Some(_)) => return Err(BadAnswer::TwoResults),
        };
        Ok(Self { state, issuer, result })
    }
}

/// The text of a provider, short enough for a page and without control characters.
pub(super) fn shown(text: &str) -> String {
    const CHARACTERS: usize = 200;
    text.chars().filter(|c| !c.is_control()).take(CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_state_with_a_code_or_an_error_is_an_answer() {
        let code = |code: &str| Ok(AnswerResult::Code(code.into()));
        let refused = |error: &str, description: &str| {
            let (error, description) = (error.into(), description.into());
            Ok(AnswerResult::Refused { error, description })
        };
        let long = format!("state=s&code={}", "x".repeat(PARAMETER_BYTES + 1));
        let longest = format!("state=s&code={}", "x".repeat(PARAMETER_BYTES));
        let cases = [
            ("state=s&code=c", code("c")),
            ("code=c&state=s&session_state=x&scope=openid", code("c")),
            ("state=s&code=%2F%3D+%00", code("/= \0")),
            ("state=s&code=%FF", code("\u{fffd}")),
            (&longest, code(&"x".repeat(PARAMETER_BYTES))),
            ("state=s&error=access_denied", refused("access_denied", "")),
            ("state=s&error=e&error_description=no%20way", refused("e", "no way")),
            ("state=s&error=e&code=", refused("e", "")),
            ("", Err(BadAnswer::NoState)),
            ("code=c", Err(BadAnswer::NoState)),
            ("state=&code=c", Err(BadAnswer::NoState)),
            ("STATE=s&code=c", Err(BadAnswer::NoState)),
            ("state=s", Err(BadAnswer::NoResult)),
            ("state=s&code=", Err(BadAnswer::NoResult)),
            ("state=s&code=c&error=e", Err(BadAnswer::TwoResults)),
            ("state=s&state=t&code=c", Err(BadAnswer::Twice("state"))),
            ("state=s&code=c&code=", Err(BadAnswer::Twice("code"))),
            ("state=s&code=c&%63ode=d", Err(BadAnswer::Twice("code"))),
            ("state=s&code=c&iss=a&iss=b", Err(BadAnswer::Twice("iss"))),
            (&long, Err(BadAnswer::TooLong("code"))),
        ];
        for (query, expected) in cases {
            assert_eq!(Answer::read(query).map(|answer| answer.result), expected, "{query}");
        }
        let issuer = Answer::read("state=s&code=c&iss=https%3A%2F%2Fid").unwrap().issuer;
        assert_eq!(issuer.as_deref(), Some("https://id"));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded(
            parts in prop::collection::vec(
                ("(state|code|error|error_description|iss|[a-z%&=]{0,4})", "[ -~]{0,40}|.{0,9}"), 0..9
            ),
        ) {
            let pairs: Vec<String> =
                parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if let Ok(answer) = Answer::read(&pairs.join("&")) {
                prop_assert!(!answer.state.is_empty());
                match answer.result {
                    AnswerResult::Code(code) => prop_assert!(!code.is_empty()),
                    AnswerResult::Refused { error, description } => {
                        prop_assert!(!error.is_empty());
                        let text = shown(&format!("{error}{description}"));
                        prop_assert!(!text.contains(char::is_control));
                    }
                }
            }
        }
    }
}
