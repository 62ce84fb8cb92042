//! Puts a configuration together from file, environment and flags. Pure.

use toml::{Table, Value};

use super::Config;
use crate::model::{check_host_name, check_link_name};

/// Every key and what is right for it.
const KEYS: [(&str, &str); 26] = [
    ("data_dir", "a directory, such as \"/var/lib/rackstrap\""),
    (
        "database",
        "\"sqlite:PATH\" or \"postgres://USER@HOST/NAME\", or \"\" for SQLite in data_dir",
    ),
    ("interfaces", "a list of interface names, such as [\"eth1\"]"),
    ("dhcp", "true or false"),
    ("proxy_dhcp", "\"off\", \"direct\" or \"redirect\""),
    ("tftp", "true or false"),
    ("router_advertisements", "true or false"),
    ("admin_listen", "an address and port, such as \"127.0.0.1:8080\""),
    ("machine_listen", "an address and port, such as \"0.0.0.0:80\""),
    (
        "machine_url",
        "\"http://HOST\" or \"http://HOST:PORT\" (https where the boot programs speak it), at most \
         120 bytes, or \"\"",
    ),
    ("files_dir", "a directory, or \"\" for files in data_dir"),
    ("ipxe_dir", "the directory of the iPXE programs, such as \"/usr/lib/ipxe\""),
    ("tftp_ipv6", "true or false"),
    ("tftp_ports", "a range of UDP ports, such as \"40000-40999\", or \"\" for any"),
    ("tftp_rollover", "\"zero\" or \"one\""),
    ("tftp_without_size", "a list of networks, such as [\"10.77.0.5/32\"]"),
    ("tftp_max_transfers", "a number from 1 to 65536"),
    ("offer_seconds", "a number of seconds from 10 to 600"),
    ("decline_seconds", "a number of seconds from 60 to 2592000"),
    ("authoritative", "true or false"),
    ("always_broadcast", "true or false"),
    ("relays", "a list of IPv4 addresses, such as [\"10.20.0.1\"]"),
    ("log_format", "\"text\" or \"json\""),
    (
        "log_level",
        "\"error\", \"warn\", \"info\", \"debug\" or \"trace\", or a list such as \"rackstrap::dhcp=debug,info\"",
    ),
    ("session_hours", "a number of hours from 1 to 720"),
    ("admin_names", "a list of host names, such as [\"rackstrap.example.net\"]"),
];

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("{source_name}: {message}")]
    Syntax {
        /// The file.
        source_name: String,
        /// Where and what, in the parser's words.
        message: String,
    },
    /// A key that does not exist.
    #[error("{source_name}: there is no key \"{key}\"{hint}")]
    UnknownKey {
        /// The file, `environment` or `flag`.
        source_name: String,
        /// The key as given.
        key: String,
        /// The nearest right name, as a question.
        hint: String,
    },
    /// A value that is not right for its key.
    #[error("{source_name}: {key} = {value} is not right; {expected} is needed")]
    Value {
        /// The file, `environment` or `flag`.
        source_name: String,
        /// The key.
        key: String,
        /// The value as given.
        value: String,
        /// What would be right.
        expected: String,
    },
}

/// Where the values come from; later ones override earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file's name and text.
    pub file: Option<(String, String)>,
    /// `RACKSTRAP_...` variables.
    pub environment: Vec<(String, String)>,
    /// Keys given by flags.
    pub flags: Vec<(String, String)>,
}

impl Config {
    /// Puts the configuration together and checks every value.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut table =
            Table::try_from(Self::default()).map_err(|error| syntax("defaults", &error))?;
        if let Some((name, text)) = &sources.file {
            let given: Table = text.parse().map_err(|error| syntax(name, &error))?;
            for (key, value) in given {
                set(&mut table, name, &key, value)?;
            }
        }
        for (variable, text) in &sources.environment {
            let Some(key) = variable.strip_prefix("RACKSTRAP_") else { continue };
            // The program's own variables: which file to read, and the lab's and tests' switches.
            if !KEYS.iter().any(|(name, _)| name.eq_ignore_ascii_case(key)) {
                continue;
            }
            let key = key.to_ascii_lowercase();
            let value = from_text(&table, &key, text);
            set(&mut table, &format!("environment {variable}"), &key, value)?;
        }
        for (key, text) in &sources.flags {
            let value = from_text(&table, key, text);
            set(&mut table, "command line", key, value)?;
        }
        table.try_into().map_err(|error| syntax("configuration", &error))
    }
}

fn syntax(source_name: &str, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Syntax { source_name: source_name.to_owned(), message: error.to_string() }
}

/// Puts one value in, if the key exists and the value is right for it.
fn set(table: &mut Table, source_name: &str, key: &str, value: Value) -> Result<(), ConfigError> {
    let Some((_, expected)) = KEYS.iter().find(|(name, _)| *name == key) else {
        return Err(ConfigError::UnknownKey {
            source_name: source_name.to_owned(),
            key: key.to_owned(),
            hint: nearest(key),
        });
    };
    let refused = ConfigError::Value {
        source_name: source_name.to_owned(),
        key: key.to_owned(),
        value: value.to_string(),
        expected: (*expected).to_owned(),
    };
    table.insert(key.to_owned(), value);
    // Deserialising after each key is how the error knows its key; twenty keys cost nothing.
    let config: Config = table.clone().try_into().map_err(|_| refused.clone())?;
    if is_right(key, &config) { Ok(()) } else { Err(refused) }
}

/// The value that a text from environment or command line stands for, by the type of the default.
fn from_text(table: &Table, key: &str, text: &str) -> Value {
    let text = text.trim();
    let fallback = || Value::String(text.to_owned());
    match table.get(key) {
        Some(Value::Boolean(_)) => text.parse().map_or_else(|_| fallback(), Value::Boolean),
        Some(Value::Integer(_)) => text.parse().map_or_else(|_| fallback(), Value::Integer),
        Some(Value::Array(_)) => {
            let words = text.split([',', ' ']).filter(|word| !word.is_empty());
            Value::Array(words.map(|word| Value::String(word.to_owned())).collect())
        }
        _ => fallback(),
    }
}

/// `; did you mean "x"?`, if a key is near enough.
fn nearest(key: &str) -> String {
    let near = |name: &&str| strsim::jaro_winkler(name, key);
    KEYS.iter()
        .map(|(name, _)| *name)
        .max_by(|a, b| near(a).total_cmp(&near(b)))
        .filter(|name| near(name) > 0.8)
        .map_or_else(
            || "; rackstrap.example.toml lists them all".into(),
            |name| format!("; did you mean \"{name}\"?"),
        )
}

/// What the type alone does not say.
fn is_right(key: &str, config: &Config) -> bool {
    match key {
        "interfaces" => config.interfaces.iter().all(|name| check_link_name(name).is_ok()),
        "tftp_ports" => config.tftp_ports.is_empty() || config.tftp_port_range().is_some(),
        "tftp_max_transfers" => (1..=65_536).contains(&config.tftp_max_transfers),
        "offer_seconds" => (10..=600).contains(&config.offer_seconds),
        "decline_seconds" => (60..=2_592_000).contains(&config.decline_seconds),
        "session_hours" => (1..=720).contains(&config.session_hours),
        "machine_url" => is_base_url(&config.machine_url),
        "admin_names" => config.admin_names.iter().all(|name| check_host_name(name).is_ok()),
        "database" => is_database(&config.database),
        _ => true,
    }
}

fn is_database(url: &str) -> bool {
    let schemes = ["sqlite:", "postgres://", "postgresql://"];
    url.is_empty()
        || schemes.iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme))
}

/// The longest `machine_url`: with `/files/` and a boot file's name of 127 bytes it still fits
/// the 254 bytes of option 67, of which firmware takes the first instance only.
const BASE_URL_BYTES: usize = 120;

/// Whether the text is a scheme and an authority of safe characters: it goes into iPXE scripts.
fn is_base_url(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return url.is_empty();
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]/".contains(c);
    let fits = url.len() <= BASE_URL_BYTES;
    fits && !rest.trim_end_matches('/').is_empty() && rest.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Sources {
        Sources { file: Some(("rackstrap.toml".into(), text.into())), ..Sources::default() }
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(Config::load(&Sources::default()), Ok(Config::default()));
    }

    #[test]
    fn flags_override_environment_overrides_file() {
        let mut sources = file("interfaces = [\"eth1\"]\noffer_seconds = 30\ndhcp = false\n");
        sources.environment = vec![
            ("RACKSTRAP_OFFER_SECONDS".into(), "40".into()),
            ("RACKSTRAP_INTERFACES".into(), "eth2, eth3".into()),
            ("RACKSTRAP_LAB_CACHE".into(), "x".into()),
        ];
        sources.flags = vec![("interfaces".into(), "eth4".into())];
        let config = Config::load(&sources).unwrap();
        assert_eq!((config.offer_seconds, config.dhcp), (40, false));
        assert_eq!(config.interfaces, ["eth4"]);
    }

    /// A base that is longer.
    const LONG_URL: &str = concat!(
        "machine_url = \"http://a-name-of-fifty-bytes-that-nobody-would-give-a-server",
        ".another-name-that-is-as-long-as-the-one-before-it-or-so.example.net\""
    );

    #[test]
    fn every_refusal_names_key_value_and_what_would_be_right() {
        let cases = [
            ("interface = \"eth1\"", "did you mean \"interfaces\"?"),
            ("dhcp = \"yes\"", "dhcp = \"yes\" is not right; true or false is needed"),
            ("admin_listen = \"8080\"", "an address and port"),
            ("tftp_ports = \"900-100\"", "a range of UDP ports"),
            ("interfaces = [\"a b\"]", "a list of interface names"),
            ("offer_seconds = 1", "from 10 to 600"),
            ("relays = [\"x\"]", "a list of IPv4 addresses"),
            ("machine_url = \"http://a b\"", "http://HOST"),
            (LONG_URL, "at most 120 bytes"),
            ("database = \"mysql://x\"", "sqlite:PATH"),
            ("log_format = \"xml\"", "\"text\" or \"json\""),
            ("dhcp = ", "rackstrap.toml"),
        ];
        for (text, expected) in cases {
            let error = Config::load(&file(text)).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_example_file_says_the_defaults_and_every_key() {
        let text = include_str!("../../rackstrap.example.toml");
        assert_eq!(Config::load(&file(text)), Ok(Config::default()));
        for (key, _) in KEYS {
            assert!(text.contains(&format!("\n{key} = ")), "{key} is not in the example");
        }
    }
}
