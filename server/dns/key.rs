//! The key that signs updates (TSIG, RFC 8945), in a file as `tsig-keygen` writes it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::tsig::{Algorithm, Key, KeyName, NewKeyError};

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyFileError {
    /// The system's reason.
    #[error("cannot read {path} (dns_key_file): {cause}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        cause: String,
    },
    /// It is not what `tsig-keygen` writes.
    #[error("{path} (dns_key_file): {cause}; expected the output of \"tsig-keygen NAME\"")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        cause: KeySyntaxError,
    },
}

/// What is wrong with the text of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySyntaxError {
    #[error("it does not begin with \"key\"")]
    NotAKey,
    #[error("the key has no {0}")]
    Lacks(&'static str),
    #[error("\"{0}\" is missing")]
    Missing(char),
    #[error("unknown word \"{0}\"")]
    Word(String),
    #[error("\"{0}\" follows the key: one key is expected")]
    More(String),
    #[error("algorithm \"{0}\" is not supported: use hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm(String),
    #[error("the secret is not base64")]
    Secret,
    #[error("\"{0}\" is not a name of a key")]
    Name(String),
    #[error(transparent)]
    Key(#[from] NewKeyError),
    #[error("a {0} has no end")]
    Endless(&'static str),
}

/// Reads a key file.
pub(super) fn read_key(path: &Path) -> Result<Key, KeyFileError> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| KeyFileError::Read { path: shown(), cause: error.to_string() })?;
    parse(&text).map_err(|cause| KeyFileError::Content { path: shown(), cause })
}

/// Reads `key "NAME" { algorithm ALGORITHM; secret "BASE64"; };`, as named.conf has it.
fn parse(text: &str) -> Result<Key, KeySyntaxError> {
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("key") {
        return Err(KeySyntaxError::NotAKey);
    }
    let name = words.next().ok_or(KeySyntaxError::Lacks("name"))?;
    if words.next() != Some("{") {
        return Err(KeySyntaxError::Missing('{'));
    }
    let (mut algorithm, mut secret) = (None, None);
    loop {
        match words.next() {
            Some("algorithm") => algorithm = words.next(),
            Some("secret") => secret = words.next(),
            Some(";") => {}
            Some("}") => break,
            Some(word) => return Err(KeySyntaxError::Word(word.to_owned())),
            None => return Err(KeySyntaxError::Missing('}')),
        }
    }
    if let Some(word) = words.find(|word| *word != ";") {
        return Err(KeySyntaxError::More(word.to_owned()));
    }
    let algorithm = match algorithm.ok_or(KeySyntaxError::Lacks("algorithm"))? {
        "hmac-sha1" => Algorithm::Sha1,
        "hmac-sha256" => Algorithm::Sha256,
        "hmac-sha384" => Algorithm::Sha384,
        "hmac-sha512" => Algorithm::Sha512,
        other => return Err(KeySyntaxError::Algorithm(other.to_owned())),
    };
    let secret = secret.ok_or(KeySyntaxError::Lacks("secret"))?;
    let secret = STANDARD.decode(secret).map_err(|_| KeySyntaxError::Secret)?;
    let name: KeyName = name.parse().map_err(|_| KeySyntaxError::Name(name.to_owned()))?;
    Ok(Key::new(algorithm, &secret, name, None, None)?)
}

/// The words of a file of BIND, without comments; braces and semicolons are words.
fn words(text: &str) -> Result<Vec<String>, KeySyntaxError> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = if first.is_whitespace() {
            rest.trim_start()
        } else if rest.starts_with('#') || rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").ok_or(KeySyntaxError::Endless("comment"))?.1
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, rest) =
                quoted.split_once('"').ok_or(KeySyntaxError::Endless("quotation"))?;
            words.push(word.to_owned());
            rest
        } else if "{};".contains(first) {
            words.push(first.to_string());
            &rest[1..]
        } else {
            let ends = |c: char| c.is_whitespace() || "{};\"#".contains(c);
            let (word, rest) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
            words.push(word.to_owned());
            rest
        };
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_tsig_keygen_writes_it() {
        let text = "key \"rack\" {\n\talgorithm hmac-sha256;\n\tsecret \"bm90IGEgc2VjcmV0\";\n};\n";
        let key = parse(text).unwrap();
        assert_eq!((key.algorithm(), key.name().to_string()), (Algorithm::Sha256, "rack".into()));
        let other = "# mine\nkey rack.example.net { // old\n secret bm90IGEgc2VjcmV0; /* x */\n algorithm \"hmac-sha512\"; };";
        assert_eq!(parse(other).unwrap().algorithm(), Algorithm::Sha512);
        let cases = [
            ("", "does not begin with \"key\""),
            ("bm90IGEgc2VjcmV0", "does not begin with \"key\""),
            ("key", "has no name"),
            ("key \"a", "a quotation has no end"),
            ("key a /* {", "a comment has no end"),
            ("key a;", "\"{\" is missing"),
            ("key a { algorithm hmac-sha256;", "\"}\" is missing"),
            ("key a { algorithm hmac-sha256; };", "has no secret"),
            ("key a { secret \"eA==\"; };", "has no algorithm"),
            ("key a { algorithm hmac-md5; secret \"eA==\"; };", "\"hmac-md5\" is not supported"),
            ("key a { algorithm hmac-sha256; secret \"!\"; };", "is not base64"),
            ("key a { port 53; };", "unknown word \"port\""),
            ("key a..b { algorithm hmac-sha256; secret \"eA==\"; };", "is not a name"),
            (&format!("{text}{text}"), "one key is expected"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
