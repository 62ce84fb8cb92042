//! An error with what caused it, each sentence once: errors of this program say their cause
//! themselves, those of libraries often do not. Pure.

use std::error::Error;
use std::fmt;

/// The texts of an error and of its causes, without those that an earlier text has within.
pub(crate) fn texts(error: &dyn Error) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        // A report of several lines has one at its end.
        let text = error.to_string().trim_end().to_owned();
        if !text.is_empty() && !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
    }
    texts
}

/// An error and its causes in one line.
pub(crate) struct WithCauses<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&texts(self.0).join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Told(&'static str, Option<Box<Told>>);

    impl fmt::Display for Told {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Told {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let cases: [(&[&'static str], &str); 5] = [
            (&["a"], "a"),
            (&["cannot open x: no such file", "no such file"], "cannot open x: no such file"),
            (&["cannot open x", "no such file", "no such file"], "cannot open x: no such file"),
            (
                &["builder error", "invalid URL", "relative URL without a base"],
                "builder error: invalid URL: relative URL without a base",
            ),
            (
                &["database error: pool: refused", "pool: refused", "refused\n", ""],
                "database error: pool: refused",
            ),
        ];
        for (chain, expected) in cases {
            let end = None;
            let error =
                chain.iter().rev().fold(end, |cause, text| Some(Box::new(Told(text, cause))));
            assert_eq!(WithCauses(&*error.unwrap()).to_string(), expected);
        }
    }
}
