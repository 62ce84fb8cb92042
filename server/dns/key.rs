//! The key that signs updates (TSIG, RFC 8945), in a file as `tsig-keygen` writes it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::tsig::{Algorithm, Key, KeyName};

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
        cause: String,
    },
}

/// Reads a key file.
pub(super) fn read_key(path: &Path) -> Result<Key, KeyFileError> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| KeyFileError::Read { path: shown(), cause: error.to_string() })?;
    parse(&text).map_err(|cause| KeyFileError::Content { path: shown(), cause })
}

/// Reads `key "NAME" { algorithm ALGORITHM; secret "BASE64"; };`, as named.conf has it.
fn parse(text: &str) -> Result<Key, String> {
    let words = words(text)?;
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("key") {
        return Err("it does not begin with \"key\"".into());
    }
    let name = words.next().ok_or("the key has no name")?;
    if words.next() != Some("{") {
        return Err("\"{\" is missing".into());
    }
    let (mut algorithm, mut secret) = (None, None);
    loop {
        match words.next() {
            Some("algorithm") => algorithm = words.next(),
            Some("secret") => secret = words.next(),
            Some(";") => {}
            Some("}") => break,
            Some(word) => return Err(format!("unknown word \"{word}\"")),
            None => return Err("\"}\" is missing".into()),
        }
    }
    if let Some(word) = words.find(|word| *word != ";") {
        return Err(format!("\"{word}\" follows the key: one key is expected"));
    }
    let algorithm = match algorithm.ok_or("the key has no algorithm")? {
        "hmac-sha1" => Algorithm::Sha1,
        "hmac-sha256" => Algorithm::Sha256,
        "hmac-sha384" => Algorithm::Sha384,
        "hmac-sha512" => Algorithm::Sha512,
        other => {
            return Err(format!(
                "algorithm \"{other}\" is not supported: use hmac-sha256, hmac-sha384 or hmac-sha512"
            ));
        }
    };
    let secret = secret.ok_or("the key has no secret")?;
    let secret = STANDARD.decode(secret).map_err(|_| "the secret is not base64")?;
    let name: KeyName = name.parse().map_err(|_| format!("\"{name}\" is not a name of a key"))?;
    Key::new(algorithm, &secret, name, None, None).map_err(|error| error.to_string())
}

/// The words of a file of BIND, without comments; braces and semicolons are words.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = if first.is_whitespace() {
            rest.trim_start()
        } else if rest.starts_with('#') || rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").ok_or("a comment has no end")?.1
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (word, rest) = quoted.split_once('"').ok_or("a quotation has no end")?;
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
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
