//! Merges file, environment and flags into a configuration. Pure.

use toml::{Table, Value};

use super::Config;
use crate::model::{Zone, check_host_name, check_link_name};

/// A key of the configuration and the values it takes.
struct Key {
    name: &'static str,
    /// The expected value, as the end of "expected ...".
    expected: &'static str,
    /// Whether a running server takes a new value on when its configuration is reloaded.
    live: bool,
}

const KEYS: &[Key] = &[
    key("data_dir", "a directory, such as \"/var/lib/rackstrap\""),
    key("database", "\"sqlite:PATH\" or \"postgres://USER@HOST/NAME\""),
    key("inventory_id", "16 hexadecimal digits, as rackstrap init writes them"),
    key("interfaces", "a list of interface names, such as [\"eth1\"]"),
    key("dhcp", "true or false"),
    key("dhcp6", "true or false"),
    live("proxy_dhcp", "\"off\", \"direct\" or \"redirect\""),
    live("proxy_interfaces", "a list of interface names, such as [\"eth1\"]"),
    key("tftp", "true or false"),
    key("router_advertisements", "true or false"),
    key("admin_listen", "an address and a port, such as \"127.0.0.1:8080\""),
    live("tls_certificate", "a file with a certificate in PEM, such as \"/etc/rackstrap/tls.crt\""),
    live("tls_key", "a file with a private key in PEM, such as \"/etc/rackstrap/tls.key\""),
    live("trusted_proxies", "a list of networks, such as [\"10.77.0.5/32\"]"),
    key("machine_listen", "an address and a port, such as \"0.0.0.0:80\""),
    key("machine_tls_listen", "an address and a port, such as \"0.0.0.0:443\""),
    live(
        "machine_tls_certificate",
        "a file with a certificate in PEM, such as \"/etc/rackstrap/boot.crt\"",
    ),
    live(
        "machine_tls_key",
        "a file with a private key in PEM, such as \"/etc/rackstrap/boot.key\"",
    ),
    live("https_boot", "a list of networks, such as [\"10.77.0.0/24\"]"),
    key("syslog_listen", "an address and a port, such as \"0.0.0.0:514\""),
    live(
        "machine_url",
        "\"http://HOST\" or \"http://HOST:PORT\" of at most 120 bytes (https if the boot \
         programs support it)",
    ),
    key("files_dir", "a directory, such as \"/srv/boot\""),
    key("secret_key_file", "a file, such as \"/etc/rackstrap/secret.key\""),
    key("ipxe_dir", "the directory of the iPXE programs, such as \"/usr/lib/ipxe\""),
    key("tftp_ipv6", "true or false"),
    key("tftp_ports", "a range of UDP ports, such as \"40000-40999\""),
    live("tftp_rollover", "\"zero\" or \"one\""),
    live("tftp_without_size", "a list of networks, such as [\"10.77.0.5/32\"]"),
    live("tftp_max_transfers", "a number from 1 to 65536"),
    live("boot_patience_percent", "a number from 1 to 10000"),
    live("offer_seconds", "a number of seconds from 10 to 600"),
    live("decline_seconds", "a number of seconds from 60 to 2592000"),
    live("authoritative", "true or false"),
    live("always_broadcast", "true or false"),
    live("relays", "a list of IPv4 addresses, such as [\"10.20.0.1\"]"),
    key("log_format", "\"text\" or \"json\""),
    live(
        "log_level",
        "\"error\", \"warn\", \"info\", \"debug\" or \"trace\", or a filter such as \
         \"rackstrap::dhcp=debug,info\"",
    ),
    live("event_days", "a number of days from 1 to 36500"),
    live("event_boots", "a number of boots from 1 to 100000"),
    live("event_rows", "a number of events from 10000 to 100000000"),
    live("audit_days", "a number of days from 1 to 36500"),
    key("session_hours", "a number of hours from 1 to 720"),
    live("metrics_token", "a text of at least 16 characters, or an empty one"),
    live("webhook_urls", "a list of URLs, such as [\"https://chat.example.net/hooks/rack\"]"),
    live(
        "webhook_events",
        "a list of \"up\", \"stuck\", \"failed\", \"installed\" and \"warning\"",
    ),
    live(
        "webhook_secret",
        "\"whsec_\" and 24 to 64 bytes in base64, as echo whsec_$(openssl rand -base64 32) prints them",
    ),
    live("admin_names", "a list of host names, such as [\"rackstrap.example.net\"]"),
    live("dns_server", "an address and a port, such as \"10.0.0.53:53\""),
    live("dns_zones", "a list of zones, such as [\"example.net\", \"77.10.in-addr.arpa\"]"),
    live("dns_domain", "the domain of the hosts, such as \"example.net\""),
    live("dns_key_file", "a file, such as \"/etc/rackstrap/dns.key\""),
    live("dns_ttl", "a number of seconds from 1 to 604800"),
    live("oidc_issuer", "\"https://HOST\" or \"https://HOST/PATH\", or http on this server itself"),
    live("oidc_name", "a text of at most 40 characters, such as \"Example SSO\""),
    live("oidc_client_id", "the identifier that the provider gave, such as \"rackstrap\""),
    live("oidc_client_secret_file", "a file, such as \"/etc/rackstrap/oidc.secret\""),
    live("oidc_scopes", "a list of scopes, such as [\"profile\", \"groups\"]"),
    live("oidc_name_claim", "the name of a claim, such as \"preferred_username\" or \"email\""),
    live("oidc_groups_claim", "the name of a claim, such as \"groups\" or \"realm_access.roles\""),
    live("oidc_admins", "a list of groups, such as [\"infra-admins\"]"),
    live("oidc_operators", "a list of groups, such as [\"infra\"]"),
    live("oidc_viewers", "a list of groups, such as [\"staff\"]"),
];

const fn key(name: &'static str, expected: &'static str) -> Key {
    Key { name, expected, live: false }
}

/// A key that a running server takes on.
const fn live(name: &'static str, expected: &'static str) -> Key {
    Key { name, expected, live: true }
}

/// Why a configuration is refused. `source_name` is the file, `environment NAME` or
/// `command line`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is not TOML.
    #[error("{source_name}: {message}")]
    Syntax {
        /// The source.
        source_name: String,
        /// Position and problem, as the TOML parser reports them.
        message: String,
    },
    /// A key that does not exist.
    #[error("{source_name}: unknown key \"{key}\"{hint}")]
    UnknownKey {
        /// The source.
        source_name: String,
        /// The key as written.
        key: String,
        /// `; did you mean "KEY"?`, or where to find the list of keys.
        hint: String,
    },
    /// A value that its key does not take.
    #[error("{source_name}: invalid value {value} for {key}: expected {expected}")]
    Value {
        /// The source.
        source_name: String,
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// The values that the key takes, as the end of "expected ...".
        expected: String,
    },
    /// A key that means nothing without another one.
    #[error("{given} is set, and {missing} is not: set both, or neither")]
    Half {
        /// The key that is there.
        given: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// Nobody could log in by the provider.
    #[error(
        "oidc_issuer is set, and no group has a role: set oidc_admins, oidc_operators or oidc_viewers"
    )]
    NoGroups,
}

/// Where the values come from. The environment overrides the file; flags override both.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Name and text of the file.
    pub file: Option<(String, String)>,
    /// `RACKSTRAP_...` variables.
    pub environment: Vec<(String, String)>,
    /// Keys and values of the command line.
    pub flags: Vec<(String, String)>,
}

impl Config {
    /// Merges the sources over the defaults and checks every value.
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
            // Other variables are not keys: RACKSTRAP_CONFIG, and switches of the lab and the tests.
            if !KEYS.iter().any(|known| known.name.eq_ignore_ascii_case(key)) {
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
        let config: Self = table.try_into().map_err(|error| syntax("configuration", &error))?;
        let has_client = !config.oidc_client_id.is_empty();
        let pairs = [
            (
                "tls_certificate",
                config.tls_certificate.is_some(),
                "tls_key",
                config.tls_key.is_some(),
            ),
            (
                "machine_tls_certificate",
                config.machine_tls_certificate.is_some(),
                "machine_tls_key",
                config.machine_tls_key.is_some(),
            ),
            ("oidc_issuer", config.oidc_issuer.is_some(), "oidc_client_id", has_client),
            (
                "dns_server",
                config.dns_server.is_some(),
                "dns_key_file",
                config.dns_key_file.is_some(),
            ),
        ];
        for (one, has_one, other, has_other) in pairs {
            match (has_one, has_other) {
                (true, false) => return Err(ConfigError::Half { given: one, missing: other }),
                (false, true) => return Err(ConfigError::Half { given: other, missing: one }),
                (true, true) | (false, false) => {}
            }
        }
        if !config.https_boot.is_empty() && config.machine_tls_listen.is_none() {
            return Err(ConfigError::Half { given: "https_boot", missing: "machine_tls_listen" });
        }
        let has_reverse_only = config.dns_zones.iter().all(|zone| Zone::new(zone).is_reverse());
        if !config.dns_zones.is_empty() && has_reverse_only && config.dns_domain.is_none() {
            return Err(ConfigError::Half { given: "dns_zones", missing: "dns_domain" });
        }
        let groups = [&config.oidc_admins, &config.oidc_operators, &config.oidc_viewers];
        if config.oidc_issuer.is_some() && groups.iter().all(|groups| groups.is_empty()) {
            return Err(ConfigError::NoGroups);
        }
        Ok(config)
    }
}

/// The keys whose values are secrets, or hold a password.
const SECRETS: [&str; 4] = ["database", "metrics_token", "webhook_urls", "webhook_secret"];

/// A key whose value differs from that of the running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: &'static str,
    /// The new value as TOML; `None` for a default of no value, and for what may be a secret.
    pub value: Option<String>,
    /// Whether the value may be a secret, or hold one.
    pub is_secret: bool,
    /// Whether a running server takes it on; else it needs a restart.
    pub live: bool,
}

impl Config {
    /// What a reload makes of the running configuration: the keys that a running server takes on
    /// are those of `read`, the others stay. Lists every key that differs.
    pub fn reloaded(&self, read: &Self) -> Result<(Self, Vec<KeyChange>), ConfigError> {
        let of = |config| Table::try_from(config).map_err(|error| syntax("configuration", &error));
        let (mut running, read) = (of(self)?, of(read)?);
        let mut changes = Vec::new();
        for Key { name: key, live, .. } in KEYS {
            let value = read.get(*key);
            if running.get(*key) == value {
                continue;
            }
            let is_secret = SECRETS.contains(key);
            let shown = value.filter(|_| !is_secret).map(Value::to_string);
            changes.push(KeyChange { key, value: shown, is_secret, live: *live });
            match (live, value) {
                (false, _) => {}
                (true, Some(value)) => drop(running.insert((*key).to_owned(), value.clone())),
                (true, None) => drop(running.remove(*key)),
            }
        }
        let config = running.try_into().map_err(|error| syntax("configuration", &error))?;
        Ok((config, changes))
    }
}

fn syntax(source_name: &str, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Syntax { source_name: source_name.to_owned(), message: error.to_string() }
}

/// Sets one key, if it exists and takes the value.
fn set(table: &mut Table, source_name: &str, key: &str, value: Value) -> Result<(), ConfigError> {
    let Some(Key { expected, .. }) = KEYS.iter().find(|known| known.name == key) else {
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
    // Deserialising after each key is how the error knows its key; it takes microseconds.
    let config: Config = table.clone().try_into().map_err(|_| refused.clone())?;
    if is_in_range(key, &config) { Ok(()) } else { Err(refused) }
}

/// The value of a text from the environment or the command line, by the type of the default.
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

/// `; did you mean "KEY"?` for the most similar key; else where to find the list.
fn nearest(key: &str) -> String {
    crate::tree::nearest::nearest(key, KEYS.iter().map(|known| known.name)).map_or_else(
        || "; rackstrap.example.toml lists all keys".into(),
        |name| format!("; did you mean \"{name}\"?"),
    )
}

/// Whether a text is a domain's name, with or without the dot at its end.
fn is_zone(text: &str) -> bool {
    check_host_name(text.strip_suffix('.').unwrap_or(text)).is_ok()
}

/// Checks what the types do not: ranges of numbers and forms of names.
fn is_in_range(key: &str, config: &Config) -> bool {
    match key {
        "proxy_interfaces" => {
            config.proxy_interfaces.iter().all(|name| check_link_name(name).is_ok())
        }
        "interfaces" => config.interfaces.iter().all(|name| check_link_name(name).is_ok()),
        "boot_patience_percent" => (1..=10_000).contains(&config.boot_patience_percent),
        "tftp_max_transfers" => (1..=65_536).contains(&config.tftp_max_transfers),
        "offer_seconds" => (10..=600).contains(&config.offer_seconds),
        "decline_seconds" => (60..=2_592_000).contains(&config.decline_seconds),
        "event_days" => (1..=36_500).contains(&config.event_days),
        "event_boots" => (1..=100_000).contains(&config.event_boots),
        "event_rows" => (10_000..=100_000_000).contains(&config.event_rows),
        "inventory_id" => config
            .inventory_id
            .as_ref()
            .is_none_or(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "audit_days" => (1..=36_500).contains(&config.audit_days),
        "metrics_token" => config.metrics_token.is_empty() || config.metrics_token.len() >= 16,
        "session_hours" => (1..=720).contains(&config.session_hours),
        "admin_names" => config.admin_names.iter().all(|name| check_host_name(name).is_ok()),
        "dns_zones" => config.dns_zones.iter().all(|zone| is_zone(zone)),
        "dns_domain" => config.dns_domain.as_deref().is_none_or(is_zone),
        "dns_ttl" => (1..=604_800).contains(&config.dns_ttl),
        "oidc_name" => {
            config.oidc_name.chars().count() <= 40 && !config.oidc_name.contains(char::is_control)
        }
        "oidc_scopes" => config.oidc_scopes.iter().all(|scope| {
            // RFC 6749 section 3.3.
            !scope.is_empty() && scope.chars().all(|c| c.is_ascii_graphic() && !"\"\\".contains(c))
        }),
        "oidc_name_claim" => !config.oidc_name_claim.is_empty(),
        "oidc_groups_claim" => !config.oidc_groups_claim.is_empty(),
        "oidc_admins" => config.oidc_admins.iter().all(|group| !group.is_empty()),
        "oidc_operators" => config.oidc_operators.iter().all(|group| !group.is_empty()),
        "oidc_viewers" => config.oidc_viewers.iter().all(|group| !group.is_empty()),
        _ => true,
    }
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

    /// A `machine_url` of more than 120 bytes.
    const LONG_URL: &str = concat!(
        "machine_url = \"http://a-name-of-fifty-bytes-that-no-server-would-ever-have",
        ".another-name-that-is-as-long-as-the-one-before-it-or-so.example.net\""
    );

    #[test]
    fn every_error_names_the_key_the_value_and_what_is_expected() {
        let cases = [
            ("interface = \"eth1\"", "did you mean \"interfaces\"?"),
            ("dhcp = \"yes\"", "invalid value \"yes\" for dhcp: expected true or false"),
            ("admin_listen = \"8080\"", "an address and a port"),
            ("syslog_listen = \"514\"", "an address and a port"),
            ("https_boot = [\"10.77.0.0/24\"]", "https_boot is set, and machine_tls_listen is not"),
            ("https_boot = [\"10.77.0.0\"]", "a list of networks"),
            (
                "machine_tls_key = \"x\"",
                "machine_tls_key is set, and machine_tls_certificate is not",
            ),
            ("tftp_ports = \"900-100\"", "a range of UDP ports"),
            ("interfaces = [\"a b\"]", "a list of interface names"),
            ("proxy_interfaces = [\"a b\"]", "a list of interface names"),
            ("offer_seconds = 1", "from 10 to 600"),
            ("relays = [\"x\"]", "a list of IPv4 addresses"),
            ("machine_url = \"http://a b\"", "http://HOST"),
            (LONG_URL, "at most 120 bytes"),
            ("database = \"mysql://x\"", "sqlite:PATH"),
            ("log_format = \"xml\"", "\"text\" or \"json\""),
            ("tls_key = \"x\"", "tls_key is set, and tls_certificate is not"),
            ("tls_certificate = \"x\"", "tls_certificate is set, and tls_key is not"),
            ("trusted_proxies = [\"x\"]", "a list of networks"),
            ("webhook_urls = [\"chat.example.net\"]", "a list of URLs"),
            ("webhook_events = [\"down\"]", "\"up\", \"stuck\", \"failed\""),
            ("webhook_secret = \"hunter2\"", "24 to 64 bytes in base64"),
            ("dns_server = \"10.0.0.53\"", "an address and a port"),
            ("dns_zones = [\"a b\"]", "a list of zones"),
            ("dns_ttl = 0", "from 1 to 604800"),
            ("dns_server = \"10.0.0.53:53\"", "dns_server is set, and dns_key_file is not"),
            ("dns_zones = [\"10.in-addr.arpa\"]", "dns_zones is set, and dns_domain is not"),
            ("oidc_issuer = \"http://id.example.net\"", "or http on this server itself"),
            ("oidc_issuer = \"https://id.example.net?x\"", "\"https://HOST/PATH\""),
            ("oidc_scopes = [\"a b\"]", "a list of scopes"),
            ("oidc_admins = [\"\"]", "a list of groups"),
            (
                "oidc_issuer = \"https://id.example.net\"",
                "oidc_issuer is set, and oidc_client_id is not",
            ),
            ("oidc_client_id = \"x\"", "oidc_client_id is set, and oidc_issuer is not"),
            (
                "oidc_issuer = \"https://id.example.net\"\noidc_client_id = \"x\"",
                "set oidc_admins, oidc_operators or oidc_viewers",
            ),
            ("dhcp = ", "rackstrap.toml"),
        ];
        for (text, expected) in cases {
            let error = Config::load(&file(text)).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_topics_of_webhooks_are_called_the_same_everywhere() {
        let key = KEYS.iter().find(|key| key.name == "webhook_events").unwrap();
        for topic in Config::default().webhook_events {
            assert_eq!(serde_json::to_value(topic).unwrap(), topic.label());
            assert!(key.expected.contains(&format!("\"{}\"", topic.label())), "{topic:?}");
        }
    }

    #[test]
    fn an_empty_text_is_the_default() {
        let text = "database = \"\"\nmachine_url = \"\"\nfiles_dir = \"\"\ntftp_ports = \"\"\n";
        assert_eq!(Config::load(&file(text)), Ok(Config::default()));
        let sources = Sources { flags: vec![("database".into(), String::new())], ..file("") };
        assert_eq!(Config::load(&sources), Ok(Config::default()));
    }

    #[test]
    fn a_configuration_can_be_written_and_read_back() {
        let text = "database = \"sqlite:/x.db\"\nmachine_url = \"http://10.0.0.1/\"\n\
                    files_dir = \"/srv\"\ntftp_ports = \"40000-40999\"\n";
        let config = Config::load(&file(text)).unwrap();
        assert_eq!(config.machine_base_url([10, 0, 0, 9].into()), "http://10.0.0.1");
        assert_eq!(config.tftp_ports.unwrap().ports(), 40_000..=40_999);
        let written = toml::to_string(&config).unwrap();
        assert_eq!(Config::load(&file(&written)), Ok(config));
    }

    #[test]
    fn a_reload_takes_on_what_it_may_and_lists_what_needs_a_restart() {
        let running = "offer_seconds = 30\ninterfaces = [\"eth1\"]\nmachine_url = \"http://10.0.0.1\"\n\
                       database = \"postgres://a:b@c/d\"\n";
        let read = "offer_seconds = 40\ninterfaces = [\"eth2\"]\n";
        let (running, read) =
            (Config::load(&file(running)).unwrap(), Config::load(&file(read)).unwrap());
        let (config, changes) = running.reloaded(&read).unwrap();
        assert_eq!((config.offer_seconds, config.machine_url.as_ref()), (40, None));
        assert_eq!(
            (&config.interfaces, &config.database),
            (&running.interfaces, &running.database)
        );
        let changes: Vec<_> = changes.iter().map(|c| (c.key, c.value.as_deref(), c.live)).collect();
        let expected = [
            ("database", None, false),
            ("interfaces", Some("[\"eth2\"]"), false),
            ("machine_url", None, true),
            ("offer_seconds", Some("40"), true),
        ];
        assert_eq!(changes, expected);
        assert_eq!(config.reloaded(&running).unwrap().0, running);
        assert_eq!(running.reloaded(&running), Ok((running.clone(), Vec::new())));
    }

    #[test]
    fn the_guide_says_which_keys_a_reload_takes_on() {
        let page = include_str!("../../docs/guide/configuration.md");
        let section = page.split("## Reload").nth(1).unwrap();
        for key in KEYS {
            let named = section.contains(&format!("`{}`", key.name));
            assert_eq!(named, key.live, "{}", key.name);
        }
    }

    #[test]
    fn proxy_dhcp_is_on_where_it_applies() {
        let on = |text: &str, interface: &str| {
            Config::load(&file(text)).unwrap().proxy_on(interface) != crate::config::ProxyDhcp::Off
        };
        let all = "proxy_dhcp = \"direct\"\n";
        assert!(on(all, "eth1") && on(all, "eth2"));
        let one = "proxy_dhcp = \"direct\"\nproxy_interfaces = [\"eth1\"]\n";
        assert!(on(one, "eth1") && !on(one, "eth2"));
        assert!(!on("proxy_interfaces = [\"eth1\"]\n", "eth1"));
    }

    #[test]
    fn the_example_file_has_every_key_with_its_default() {
        let text = include_str!("../../rackstrap.example.toml");
        assert_eq!(Config::load(&file(text)), Ok(Config::default()));
        for key in KEYS {
            let is_in = |prefix: &str| text.contains(&format!("\n{prefix}{} = ", key.name));
            assert!(is_in("") || is_in("#"), "{} is not in the example", key.name);
        }
        // A commented key shows an example of its value: that has to be valid, too.
        let uncommented = text.lines().filter_map(|line| line.strip_prefix('#'));
        let examples: Vec<&str> = uncommented.filter(|line| !line.starts_with(' ')).collect();
        Config::load(&file(&examples.join("\n"))).unwrap();
    }
}
