//! What may stand in an iPXE script: kernel arguments, URLs and words for people. Pure.
//!
//! iPXE has no quoting. It expands `${...}`, splits a line at white space and
//! ends a command at a word `||`, `&&` or `;`. So nothing gets into a script
//! but through one of these types, each with its list of allowed characters.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::model::command_line::{ArgumentError, HostWord, check_argument, fill_argument};

/// The longest kernel command line that Linux reads on x86 (`COMMAND_LINE_SIZE`), in bytes.
pub(crate) const MAX_COMMAND_LINE_BYTES: usize = 2048;

/// A text that cannot stand in a script, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// A kernel argument that iPXE would read as something else, or that the host has no value for.
    #[error(transparent)]
    KernelArg(#[from] ArgumentError),
    /// The arguments are longer than the kernel reads.
    #[error("the kernel's command line is {0} bytes long; Linux reads {MAX_COMMAND_LINE_BYTES}")]
    CommandLine(usize),
    /// A base URL that is none.
    #[error("\"{0}\" is not a URL that iPXE can use, such as http://10.77.0.1")]
    Url(String),
    /// A text that cannot be the token of a boot.
    #[error("a boot token is 1 to 64 letters and digits")]
    Token,
    /// A file name without a character.
    #[error("the image names a file with an empty name")]
    EmptyPath,
}

/// One argument of a kernel's command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KernelArg(String);

impl KernelArg {
    /// Splits a command line at white space and checks every argument.
    pub(crate) fn split(cmdline: &str) -> Result<Vec<Self>, Unsafe> {
        cmdline.split_whitespace().map(str::parse).collect()
    }

    /// One argument of an image, with the words for the host replaced.
    pub(crate) fn fill(
        argument: &str,
        value: impl Fn(HostWord) -> Option<String>,
    ) -> Result<Self, Unsafe> {
        Ok(Self(fill_argument(argument, value)?))
    }

    /// Checks that the arguments with a space between them are not longer than Linux reads.
    pub(crate) fn check_length(arguments: &[Self]) -> Result<(), Unsafe> {
        // The end counts too: the kernel keeps a NUL behind its command line.
        let bytes = arguments.iter().map(|argument| argument.0.len() + 1).sum();
        if bytes > MAX_COMMAND_LINE_BYTES { Err(Unsafe::CommandLine(bytes)) } else { Ok(()) }
    }
}

impl FromStr for KernelArg {
    type Err = Unsafe;

    fn from_str(text: &str) -> Result<Self, Unsafe> {
        check_argument(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KernelArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An absolute URL on this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The URL of a path that is made of fixed words and checked parts only.
    pub fn join(&self, path: &str) -> Result<Self, Unsafe> {
        format!("{}/{}", self.0, path.trim_start_matches('/')).parse()
    }

    /// The URL of a file under `/files/`, its name percent-encoded (RFC 3986 section 2.1).
    pub fn of_file(&self, name: &str) -> Result<Self, Unsafe> {
        use std::fmt::Write;
        let name = name.trim_start_matches('/');
        if name.is_empty() {
            return Err(Unsafe::EmptyPath);
        }
        let mut url = format!("{}/files/", self.0);
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~+@/".contains(&byte) {
                url.push(char::from(byte));
            } else {
                let _ = write!(url, "%{byte:02X}");
            }
        }
        Ok(Self(url))
    }
}

impl Url {
    /// Host and port, without the scheme: what stands for `{server}`.
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// The same with the token of a boot, which marks the last file that the boot loads.
    #[must_use]
    pub fn with_token(&self, token: &BootToken, is_last: bool) -> Self {
        let key = if is_last { LAST_KEY } else { TOKEN_KEY };
        Self(format!("{}?{key}={token}", self.0))
    }
}

/// The key of a boot's token in the query of a URL.
pub(crate) const TOKEN_KEY: &str = "token";
/// The same in the URL of the last file that a boot loads.
pub(crate) const LAST_KEY: &str = "last";

/// The token of one boot: letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BootToken(String);

impl TryFrom<String> for BootToken {
    type Error = Unsafe;

    fn try_from(text: String) -> Result<Self, Unsafe> {
        text.parse()
    }
}

impl BootToken {
    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BootToken {
    type Err = Unsafe;

    fn from_str(text: &str) -> Result<Self, Unsafe> {
        let is_token =
            (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_token { Ok(Self(text.to_owned())) } else { Err(Unsafe::Token) }
    }
}

impl fmt::Display for BootToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Url {
    type Err = Unsafe;

    fn from_str(text: &str) -> Result<Self, Unsafe> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+=,[]".contains(c);
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match rest {
            Some(rest) if !rest.is_empty() && text.chars().all(allowed) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err(Unsafe::Url(printable(text))),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A line for the console. Characters that iPXE would act on, or cannot show, become `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(String);

impl Words {
    /// Keeps at most 300 characters of `text`.
    pub(crate) fn new(text: &str) -> Self {
        let safe = |c: char| (c == ' ' || c.is_ascii_graphic()) && !"$|&;#{}\\".contains(c);
        Self(text.chars().take(300).map(|c| if safe(c) { c } else { '?' }).collect())
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// At most 80 characters of a refused text, without control characters.
fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_argument_is_one_word_that_ipxe_passes_on() {
        let good = [
            "console=ttyS0,115200n8",
            "root=UUID=1b2c",
            "ds=nocloud;s=http://10.0.0.1/seed/",
            "url=http://h/?a=1&b=2",
            "dyndbg=\"file",
            "--",
            "ip=[fd00::1]:::64::eth0:none",
            "rootpw=$1$abc|d#e\\f",
        ];
        for text in good {
            assert_eq!(text.parse::<KernelArg>().unwrap().to_string(), text);
        }
        let bad = ["", "a b", "a\nchain", "a\rb", "a\0b", "||", "&&", ";", "${net0/ip}", "é", "#c"];
        for text in bad {
            assert!(text.parse::<KernelArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_command_line_that_linux_would_cut_is_refused() {
        let fits = KernelArg::split(&"x".repeat(2047)).unwrap();
        assert_eq!(KernelArg::check_length(&fits), Ok(()));
        let too_long = KernelArg::split(&"x".repeat(2048)).unwrap();
        assert_eq!(KernelArg::check_length(&too_long), Err(Unsafe::CommandLine(2049)));
    }

    #[test]
    fn a_file_name_cannot_leave_its_url() {
        let base: Url = "http://10.77.0.1:8081/".parse().unwrap();
        let cases = [
            ("live/vmlinuz", "http://10.77.0.1:8081/files/live/vmlinuz"),
            ("/live/vmlinuz", "http://10.77.0.1:8081/files/live/vmlinuz"),
            ("a b", "http://10.77.0.1:8081/files/a%20b"),
            ("a\nchain x", "http://10.77.0.1:8081/files/a%0Achain%20x"),
            ("${x}?#", "http://10.77.0.1:8081/files/%24%7Bx%7D%3F%23"),
            ("é", "http://10.77.0.1:8081/files/%C3%A9"),
        ];
        for (name, url) in cases {
            assert_eq!(base.of_file(name).unwrap().to_string(), url);
        }
        assert_eq!(base.of_file("/"), Err(Unsafe::EmptyPath));
    }

    #[test]
    fn a_base_url_is_http_without_anything_that_ipxe_expands() {
        for good in ["http://10.77.0.1", "https://boot.example.net:8443/x", "http://[fd00::1]"] {
            assert_eq!(good.parse::<Url>().unwrap().to_string(), good);
        }
        for bad in ["", "http://", "ftp://x", "http://a b", "http://${next-server}", "http://a\n"] {
            assert!(bad.parse::<Url>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_cannot_run_a_command() {
        let words = Words::new("a\nchain http://x || ${y} ; é \x1b[31m");
        assert_eq!(words.to_string(), "a?chain http://x ?? ??y? ? ? ?[31m");
    }
}
