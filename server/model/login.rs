//! Who may log in to a host as root: SSH keys, and the hash of a password. Pure.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use ssh_key::authorized_keys::Entry;
use ssh_key::public::KeyData;

use super::as_text::as_text;

/// The fewest bits of an RSA key: sshd refuses shorter ones by default (RHEL 9, `RequiredRSASize`).
const RSA_BITS: usize = 2048;
/// Stands where a hash is hidden.
const HIDDEN: &str = "(hidden)";

/// One line of a file `authorized_keys` (sshd(8)): a public key, options before it and a comment
/// behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizedKey(String);

/// A text that is not such a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuthorizedKey {
    /// The other half of the pair, which is not shown again.
    #[error(
        "this is a private key: expected the public key, the line of the file that ends in .pub"
    )]
    Private,
    /// A certificate authority's key, or more than one line.
    #[error(
        "{0:?} is not one line: expected a public key such as \"ssh-ed25519 AAAA... me@example.org\""
    )]
    Lines(String),
    /// Not a key.
    #[error(
        "\"{text}\" is not a public SSH key ({error}): expected a line such as \"ssh-ed25519 AAAA... me@example.org\""
    )]
    Syntax {
        /// What was given.
        text: String,
        /// What the parser says.
        error: String,
    },
    /// OpenSSH reads no such key.
    #[error("\"{0}\" is a DSA key, which OpenSSH does not accept: use ed25519, ECDSA or RSA")]
    Dsa(String),
    /// Too weak.
    #[error("\"{text}\" is an RSA key of {bits} bits: expected at least {RSA_BITS}")]
    Short {
        /// What was given.
        text: String,
        /// Its length.
        bits: usize,
    },
}

impl AuthorizedKey {
    /// The line, without its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AuthorizedKey {
    type Err = InvalidAuthorizedKey;

    fn from_str(text: &str) -> Result<Self, InvalidAuthorizedKey> {
        let line = text.trim();
        if line.contains("PRIVATE KEY") {
            return Err(InvalidAuthorizedKey::Private);
        }
        if line.chars().any(char::is_control) {
            return Err(InvalidAuthorizedKey::Lines(line.to_owned()));
        }
        let text = || line.to_owned();
        let syntax = |error: ssh_key::Error| InvalidAuthorizedKey::Syntax {
            text: text(),
            error: error.to_string(),
        };
        let entry: Entry = line.parse().map_err(syntax)?;
        match entry.public_key().key_data() {
            KeyData::Dsa(_) => Err(InvalidAuthorizedKey::Dsa(text())),
            KeyData::Rsa(key) => match key.n.as_positive_bytes().map_or(0, bits) {
                bits if bits < RSA_BITS => Err(InvalidAuthorizedKey::Short { text: text(), bits }),
                _ => Ok(Self(text())),
            },
            _ => Ok(Self(text())),
        }
    }
}

/// The length of a number, the highest byte first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.first().map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() * 8).saturating_sub(zeros)
}

impl fmt::Display for AuthorizedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands in the password field of `/etc/shadow` for root: a hash (crypt(5)), or that no
/// password is right. It is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct RootPassword(String);

/// A text that is neither a hash nor `locked`. It is not shown: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRootPassword {
    /// Not a hash at all.
    #[error(
        "this is not a password hash (not shown): expected one of crypt(5) as `mkpasswd -m yescrypt` or `openssl passwd -6` prints it, or locked"
    )]
    Syntax,
    /// A hash that is guessed in hours.
    #[error(
        "a hash of {0} is too weak: expected yescrypt ($y$), scrypt ($7$), bcrypt ($2b$), SHA-512 ($6$) or SHA-256 ($5$)"
    )]
    Weak(&'static str),
}

impl RootPassword {
    /// The word for a password that nobody has.
    pub const LOCKED: &'static str = "locked";

    /// The field of `/etc/shadow`. Without a password it is `*` and not `!`, with which sshd
    /// refuses keys as well where it does not use PAM (sshd(8)).
    pub fn shadow_field(&self) -> &str {
        if self.0 == Self::LOCKED { "*" } else { &self.0 }
    }
}

/// The alphabet of crypt(5).
fn is_crypt(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
}

/// Whether what stands behind the prefix of a method has the form that crypt(5) says.
fn has_form(method: &str, rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('$').collect();
    let is = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && is_crypt(part)
    };
    let rounds = |part: &str| {
        let rounds = part.strip_prefix("rounds=").and_then(|rounds| rounds.parse::<u32>().ok());
        rounds.is_some_and(|rounds| rounds > 0)
    };
    let sha = |length: usize| match parts[..] {
        [salt, hash] => is(salt, 1..=16) && is(hash, length..=length),
        [first, salt, hash] => rounds(first) && is(salt, 1..=16) && is(hash, length..=length),
        _ => false,
    };
    match method {
        "y" | "gy" => match parts[..] {
            [cost, salt, hash] => is(cost, 1..=16) && is(salt, 0..=86) && is(hash, 43..=43),
            _ => false,
        },
        "7" => matches!(parts[..], [salt, hash] if is(salt, 11..=97) && is(hash, 43..=43)),
        "2a" | "2b" | "2x" | "2y" => match parts[..] {
            [cost, hash] => {
                cost.len() == 2
                    && cost.parse().is_ok_and(|cost: u8| (4..=31).contains(&cost))
                    && is(hash, 53..=53)
            }
            _ => false,
        },
        "6" => sha(86),
        "5" => sha(43),
        _ => false,
    }
}

impl FromStr for RootPassword {
    type Err = InvalidRootPassword;

    fn from_str(text: &str) -> Result<Self, InvalidRootPassword> {
        if text == Self::LOCKED {
            return Ok(Self(text.to_owned()));
        }
        let parts = text.strip_prefix('$').and_then(|rest| rest.split_once('$'));
        let (method, rest) = parts.ok_or(InvalidRootPassword::Syntax)?;
        match method {
            "1" => Err(InvalidRootPassword::Weak("MD5")),
            "md5" => Err(InvalidRootPassword::Weak("SunMD5")),
            "sha1" => Err(InvalidRootPassword::Weak("SHA-1")),
            "3" => Err(InvalidRootPassword::Weak("NT")),
            method if has_form(method, rest) => Ok(Self(text.to_owned())),
            _ => Err(InvalidRootPassword::Syntax),
        }
    }
}

/// As the site file has it, hash included.
impl fmt::Display for RootPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RootPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.0 == Self::LOCKED { Self::LOCKED } else { HIDDEN };
        write!(f, "RootPassword({shown})")
    }
}

as_text!(AuthorizedKey, RootPassword);

/// A text without the password hashes in it: what begins like one of crypt(5) is hidden wherever
/// it stands, so that a key, a parameter, a recipe's value and a difference are hidden alike.
pub fn hide_password_hashes(text: &str) -> Cow<'_, str> {
    const METHODS: [&str; 13] =
        ["y", "gy", "7", "2", "2a", "2b", "2x", "2y", "6", "5", "1", "sha1", "md5"];
    /// The fewest bytes behind the prefix: the shortest hash has 22.
    const LEAST: usize = 8;
    let mut shown = String::new();
    let (mut rest, mut is_changed) = (text, false);
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let is_part = |c: &char| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '$' | '=' | ',' | '+' | '-' | '_')
        };
        let length = from.chars().take_while(is_part).count();
        let (word, after) = from.split_at(length);
        let mut parts = word[1..].splitn(2, '$');
        let method = parts.next().unwrap_or_default();
        let is_hash =
            METHODS.contains(&method) && parts.next().is_some_and(|hash| hash.len() >= LEAST);
        shown.push_str(before);
        if is_hash {
            shown.push_str(HIDDEN);
            (rest, is_changed) = (after, true);
        } else {
            shown.push('$');
            rest = &from[1..];
        }
    }
    if !is_changed {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

#[cfg(test)]
pub(crate) const SAMPLE_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ada@example.org";

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGj+eMspS8HW6fvNuXr5VdFBlUYOrWtCKIuDVm7FMt1hx6ANZyTqZkQXzSPnynnOngUx9syqafXNG0zC77GQ9jw= me@x";
    const RSA_2048: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC6eoPXIp8nSU09AuJRpU8vyZKRyxB0e6UNOnlqX7pCxgZIkgDJC8biXJoHTXcRztG1TCtEv0fDX3AcdHMefk2SPXIE39mvgvpXZiXeNl3yCPwjTcVqwonG6RxxNNlnPBXqNVpQgxTJXTxCTqdIRap3I70Eswaqb63d+m40AhcsoOcam4wIyCst3f0REYuqUv22prUpx2Fu1QNL3bu+ivUNH2IoP/pFho/TsK0jss8aXcqWwi+m3y4DfJSfOFfttViZ6lIT3zcpK12Zkg2cWEVNgKdU0m7bCX3l77SkLl3I6Zi1QgyKctm9bZ77JFgHvWz3UjI84gC5XOJ+V0+fNJ6t";
    const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDUP9Tha5c1Qosgty+aj2K0Lexo2eXn/yjdNIryh/cGpI1koivyWHZrQNKkJ4g/6D2R/kwrwyDurD7rNE/0AfBN09scQOn84GX4Mln5saQfgPMBqMv505MQ+eVDdZQR0vEjNsZqISfxkMon7WlSEkAgGF17FD6JdvqOWCqn7/0xWQ==";

    #[test]
    fn an_authorized_key_is_one_line_that_sshd_reads() {
        let options = format!("from=\"10.0.0.0/8\",command=\"/bin/true\" {SAMPLE_KEY}");
        let padded = format!("  {SAMPLE_KEY}\n");
        for text in [SAMPLE_KEY, P256, RSA_2048, &options, &padded] {
            assert_eq!(text.parse::<AuthorizedKey>().map(|key| key.0), Ok(text.trim().to_owned()));
        }
        let two = format!("{SAMPLE_KEY}\n{P256}");
        let other = SAMPLE_KEY.replace("ssh-ed25519", "ssh-rsa");
        let cut = &SAMPLE_KEY[..60];
        let cases = [
            ("", "is not a public SSH key"),
            ("ssh-ed25519", "is not a public SSH key"),
            (cut, "is not a public SSH key"),
            (other.as_str(), "is not a public SSH key"),
            ("AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN", "is not a public SSH key"),
            (two.as_str(), "is not one line"),
            (RSA_1024, "is an RSA key of 1024 bits: expected at least 2048"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key: expected the public"),
        ];
        for (text, expected) in cases {
            let refusal = text.parse::<AuthorizedKey>().unwrap_err().to_string();
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
        let secret = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpA".parse::<AuthorizedKey>();
        assert!(!secret.unwrap_err().to_string().contains("MIIE"));
    }

    const HASHES: [&str; 7] = [
        "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
        "$6$rounds=5000$abc$IdWKNKTJEb8LxY7CGg8YBXlvtfZzFw7Mp/r6niK9YB2mdvgY..TKjv1T..8RadRt2qvUHYRLr/TsVArtr91iR1",
        "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
        "$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$uE5FcoxTz78xZpMZkpTmj/0MogyeNUSLIjdCxpQjz.8",
        "$7$CU..../....2Q9obwLhin8qvQl6sisAO/$zLxvLFYPM5KAGpCZJUSlO9j165rU./sf1Adr0M4C5A4",
        "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
    ];

    #[test]
    fn a_root_password_is_a_hash_of_crypt_or_locked() {
        for hash in HASHES {
            let read: RootPassword = hash.parse().unwrap();
            assert_eq!(read.shadow_field(), hash);
            assert_eq!(format!("{read:?}"), "RootPassword((hidden))");
            let cut = &hash[..hash.len() - 1];
            assert_eq!(cut.parse::<RootPassword>(), Err(InvalidRootPassword::Syntax), "{cut}");
            let line = format!("{hash}:0:0:99999:7:::");
            assert_eq!(line.parse::<RootPassword>(), Err(InvalidRootPassword::Syntax), "{line}");
        }
        assert_eq!("locked".parse::<RootPassword>().unwrap().shadow_field(), "*");
        for text in
            ["", "secret", "!", "*", "x", "$6$", "$6$a$b", "$y$$$", "$9$a$b", "abJnggxhB/yWI"]
        {
            let refusal = text.parse::<RootPassword>().unwrap_err();
            assert_eq!(refusal, InvalidRootPassword::Syntax, "{text}");
        }
        let weak = "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1".parse::<RootPassword>();
        assert_eq!(weak, Err(InvalidRootPassword::Weak("MD5")));
        assert!(!"hunter2".parse::<RootPassword>().unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn a_hash_is_hidden_wherever_it_stands() {
        for hash in HASHES.into_iter().chain(["$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"]) {
            let text = format!("{{\"a\":\"{hash}\",\"b\":\"- pw: {hash}\\n+ pw: $$ {hash}\"}}");
            let shown = hide_password_hashes(&text);
            let expected = r#"{"a":"(hidden)","b":"- pw: (hidden)\n+ pw: $$ (hidden)"}"#;
            assert_eq!(shown, expected, "{hash}");
        }
        for text in
            ["", "plain", "$net_default_mac", "${rackstrap-url}/$6", "$5 and $6 $", "$$$", "a$6$b"]
        {
            assert_eq!(hide_password_hashes(text), text);
        }
    }
}
