//! Values of the configuration that have a form of their own. Each is parsed once, at load.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A key that may be left out or be `""`, both of which mean its default: for
/// `#[serde(with = "values::optional")]`.
pub(super) mod optional {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::config) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::config) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}

/// The longest `machine_url`: with `/files/` and a boot file name of 127 bytes it still fits
/// the 254 bytes of option 67, of which firmware reads only the first instance.
const BASE_URL_BYTES: usize = 120;

/// A value that does not have the form of its key. [`ConfigError`](super::ConfigError) names
/// the key, the value and the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in the expected form")]
pub struct InvalidValue;

/// A base URL such as `http://10.77.0.1` or `http://HOST:PORT/PATH`, without a slash at the end.
/// Its characters are safe inside an iPXE script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineUrl(String);

impl MachineUrl {
    /// The URL, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address that the URL names, or `None` if it names a host.
    pub fn address(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// The host that the URL names, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split(']').next());
        bracketed.unwrap_or_else(|| authority.split(':').next().unwrap_or_default())
    }
}

impl FromStr for MachineUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let host = rest.ok_or(InvalidValue)?.trim_end_matches('/');
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]/".contains(c);
        if host.is_empty() || text.len() > BASE_URL_BYTES || !host.chars().all(is_allowed) {
            return Err(InvalidValue);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for MachineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A range of UDP ports, written `FIRST-LAST`; port 0 is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port of the range.
    pub fn ports(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let (first, last) = text.split_once('-').ok_or(InvalidValue)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| InvalidValue);
        let (first, last) = (port(first)?, port(last)?);
        if first == 0 || last < first {
            return Err(InvalidValue);
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The URL of a database, by its scheme: `sqlite:`, `postgres://` or `postgresql://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    const SCHEMES: &[&str] = &["sqlite:", "postgres://", "postgresql://"];
}

impl FromStr for DatabaseUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_known = Self::SCHEMES
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if is_known { Ok(Self(text.to_owned())) } else { Err(InvalidValue) }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where webhook messages go: an `http` or `https` URL. Its path may be a secret.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(String);

impl TryFrom<String> for WebhookUrl {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).ok_or(InvalidValue)?;
        let is_plain = text.chars().all(|c| c.is_ascii_graphic());
        if host.is_empty() || !is_plain || text.len() > WEBHOOK_URL_BYTES {
            return Err(InvalidValue);
        }
        Ok(Self(text))
    }
}

/// The longest URL of a webhook: far longer than any in use.
const WEBHOOK_URL_BYTES: usize = 2000;

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookUrl(..)")
    }
}

/// An OpenID Connect provider: the URL that it calls itself (`iss`), which is compared byte by byte.
/// Plain HTTP would show the client's secret to others, so it has to stay on this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcIssuer(String);

impl OidcIssuer {
    /// The URL as the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host's name, for people.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default()
    }
}

impl FromStr for OidcIssuer {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let issuer = Self(text.to_owned());
        let is_plain =
            text.chars().all(|c| c.is_ascii_graphic()) && !text.contains(['?', '#', '@']);
        let is_here = ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| {
            let port = issuer.host().strip_prefix(own);
            port.is_some_and(|port| port.is_empty() || port.starts_with(':'))
        });
        let is_safe = text.starts_with("https://") || (text.starts_with("http://") && is_here);
        if issuer.host().is_empty() || !is_plain || !is_safe || text.len() > ISSUER_BYTES {
            return Err(InvalidValue);
        }
        Ok(issuer)
    }
}

/// The longest URL of a provider: far longer than any in use.
const ISSUER_BYTES: usize = 500;

impl fmt::Display for OidcIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key that signs webhook messages, written as Standard Webhooks has it: `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret {
    key: Vec<u8>,
}

impl WebhookSecret {
    const PREFIX: &str = "whsec_";

    /// The bytes of the key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl FromStr for WebhookSecret {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(InvalidValue)?;
        let key = STANDARD.decode(encoded).map_err(|_| InvalidValue)?;
        if (24..=64).contains(&key.len()) { Ok(Self { key }) } else { Err(InvalidValue) }
    }
}

impl fmt::Display for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, STANDARD.encode(&self.key))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_url_is_a_scheme_and_a_host_of_safe_characters() {
        let cases = [
            ("http://10.77.0.9", Some("10.77.0.9")),
            ("http://10.77.0.9:8080/boot/", Some("10.77.0.9")),
            ("https://[2001:db8::1]:8080", Some("2001:db8::1")),
            ("http://boot.example.net", None),
        ];
        for (text, address) in cases {
            let url: MachineUrl = text.parse().unwrap();
            assert_eq!(url.address(), address.map(|text| text.parse().unwrap()), "{text}");
            assert_eq!(url.as_str(), text.trim_end_matches('/'));
        }
        for text in ["", "http://", "http:///", "ftp://x", "http://a b", "http://x${y}"] {
            assert_eq!(text.parse::<MachineUrl>(), Err(InvalidValue), "{text}");
        }
    }

    #[test]
    fn a_provider_is_reached_by_https_or_on_this_server() {
        for (text, host) in [
            ("https://id.example.net", "id.example.net"),
            ("https://id.example.net:8443/realms/infra/", "id.example.net:8443"),
            ("http://localhost:9400", "localhost:9400"),
            ("http://[::1]/x", "[::1]"),
        ] {
            let issuer: OidcIssuer = text.parse().unwrap();
            assert_eq!((issuer.as_str(), issuer.host()), (text, host));
        }
        for text in [
            "",
            "https://",
            "id.example.net",
            "http://id.example.net",
            "http://localhost.example.net",
            "http://127.0.0.1.example.net",
            "http://localhost@id.example.net",
            "https://id.example.net/a b",
            "https://id.example.net?x=1",
            "https://id.example.net#x",
        ] {
            assert_eq!(text.parse::<OidcIssuer>(), Err(InvalidValue), "{text}");
        }
    }

    #[test]
    fn a_port_range_runs_upwards_from_1() {
        assert_eq!("40000 - 40999".parse::<PortRange>().unwrap().ports(), 40_000..=40_999);
        assert_eq!("69-69".parse::<PortRange>().unwrap().to_string(), "69-69");
        for text in ["", "1", "0-9", "900-100", "1-65536", "a-b"] {
            assert_eq!(text.parse::<PortRange>(), Err(InvalidValue), "{text}");
        }
    }
}
