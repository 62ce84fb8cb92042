//! The configuration file: one TOML table. Pure.
//!
//! The environment (`RACKSTRAP_KEY`) overrides the file, and flags override both; see `cli`.

mod load;
mod values;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use load::{ConfigError, KeyChange, Sources};
pub use values::{
    DatabaseUrl, InvalidValue, MachineUrl, OidcIssuer, PortRange, WebhookSecret, WebhookUrl,
};

/// How the server runs. Every key is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory of the database, the boot files and the secrets.
    pub data_dir: PathBuf,
    /// The database. Default: SQLite in `data_dir`.
    #[serde(with = "values::optional")]
    pub database: Option<DatabaseUrl>,
    /// The inventory that must be in the database: with another one, or none, the server does
    /// not start. `rackstrap init` sets it. Default: the one that `data_dir` remembers.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub inventory_id: Option<String>,
    /// The interfaces that serve DHCP, TFTP and router advertisements. Without one, all three
    /// are off.
    pub interfaces: Vec<String>,
    /// Whether to serve DHCP on `interfaces`.
    pub dhcp: bool,
    /// Whether to answer DHCPv6 requests of the UEFI firmware of hosts on `interfaces`, which saves
    /// them two minutes for each NIC. Nobody else is answered.
    pub dhcp6: bool,
    /// Whether to send boot data only, beside another DHCP server that assigns the addresses.
    pub proxy_dhcp: ProxyDhcp,
    /// The interfaces where `proxy_dhcp` applies; empty for all of them.
    pub proxy_interfaces: Vec<String>,
    /// Whether to serve TFTP on `interfaces`.
    pub tftp: bool,
    /// Whether to send router advertisements (lifetime 0, no prefix) on `interfaces`. Without
    /// them iPXE 1.0 (2019) waits 13 to 16 s for IPv6.
    pub router_advertisements: bool,
    /// Address and port of the web UI and the API.
    pub admin_listen: SocketAddr,
    /// The certificate of the web UI and the API, in PEM, with those above it behind it. With it
    /// `admin_listen` speaks HTTPS. Read again when the file changes.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub tls_certificate: Option<PathBuf>,
    /// The key of `tls_certificate`, in PEM.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub tls_key: Option<PathBuf>,
    /// Reverse proxies before the web UI and the API: `X-Forwarded-For` and `X-Forwarded-Proto`
    /// are believed from these addresses.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Address and port that hosts fetch scripts, files and their network configuration from.
    /// `[::]` listens on every address of both families.
    pub machine_listen: SocketAddr,
    /// Address and port of the same by HTTPS. Default: none.
    #[serde(with = "values::optional")]
    pub machine_tls_listen: Option<SocketAddr>,
    /// The certificate of `machine_tls_listen`, in PEM, with those above it behind it, for an RSA
    /// key. Default: one that the CA of `rackstrap ca` signs. Read again when the file changes.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub machine_tls_certificate: Option<PathBuf>,
    /// The key of `machine_tls_certificate`, in PEM.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub machine_tls_key: Option<PathBuf>,
    /// The networks whose firmware and iPXE are told `https://` URLs, as far as they take them. The
    /// firmware must trust the CA.
    pub https_boot: Vec<ipnet::IpNet>,
    /// Address and port that take syslog messages of booting hosts, by UDP. Default: none.
    #[serde(with = "values::optional")]
    pub syslog_listen: Option<SocketAddr>,
    /// Base URL that hosts are given. Default: this server's address on the link of the request.
    #[serde(with = "values::optional")]
    pub machine_url: Option<MachineUrl>,
    /// Directory of kernels, initrds and other image files. Default: `files` in `data_dir`.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub files_dir: Option<PathBuf>,
    /// The key that secrets are sealed with, made when there is none: servers on one database need
    /// the same. Default: `secret.key` in `data_dir`.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub secret_key_file: Option<PathBuf>,
    /// Directory of the distribution's iPXE programs. Default: that of Debian or else of Fedora,
    /// whichever exists.
    pub ipxe_dir: PathBuf,
    /// Whether to serve TFTP over IPv6 too, on every address of the interfaces.
    pub tftp_ipv6: bool,
    /// UDP source ports of TFTP transfers. Default: any.
    #[serde(with = "values::optional")]
    pub tftp_ports: Option<PortRange>,
    /// The number of the TFTP block after 65535, for clients that do not request one.
    pub tftp_rollover: TftpRollover,
    /// Clients that get no file size, even if they request TFTP's `tsize`.
    pub tftp_without_size: Vec<ipnet::IpNet>,
    /// The most TFTP transfers at a time.
    pub tftp_max_transfers: usize,
    /// How long a silent boot is taken to go on, in per cent of the usual times of its stages.
    pub boot_patience_percent: u32,
    /// Seconds for which an offered address stays reserved for its client.
    pub offer_seconds: u32,
    /// Seconds for which an address stays out of use after a client found it taken (DHCPDECLINE).
    pub decline_seconds: u32,
    /// Whether to send a DHCPNAK to an unknown client that requests an address of another
    /// network. Only safe where no other DHCP server serves.
    pub authoritative: bool,
    /// Whether to broadcast every direct answer, for switches that drop unicast to a client
    /// without an address.
    pub always_broadcast: bool,
    /// Relay agents to answer. Empty: any whose address is in a subnet of the site.
    pub relays: Vec<Ipv4Addr>,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// The log filter, such as `info` or `rackstrap::dhcp=debug,info`.
    pub log_level: String,
    /// Days for which events are kept.
    pub event_days: u32,
    /// Boots of a host of which events are kept.
    pub event_boots: u32,
    /// The most events that are kept; the oldest go first.
    pub event_rows: u64,
    /// Days for which the audit log is kept: changes, logins, uses of tokens.
    pub audit_days: u32,
    /// Hours without activity after which a login expires.
    pub session_hours: u32,
    /// What a program must show to read `/metrics`, as a bearer token. Empty: nothing.
    pub metrics_token: String,
    /// Where messages about hosts are sent by HTTP POST.
    pub webhook_urls: Vec<WebhookUrl>,
    /// What they are about.
    pub webhook_events: Vec<WebhookTopic>,
    /// What signs them, so that a receiver knows that they are from this server. Without it they are
    /// not signed.
    #[serde(with = "values::optional")]
    pub webhook_secret: Option<WebhookSecret>,
    /// DNS names of the UI, besides localhost and this server's addresses. A request for any
    /// other name is refused, against DNS rebinding.
    pub admin_names: Vec<String>,
    /// The name server that takes dynamic updates (RFC 2136) of `dns_zones`. Default: none.
    #[serde(with = "values::optional")]
    pub dns_server: Option<SocketAddr>,
    /// The zones that get the addresses of hosts, forward and reverse.
    pub dns_zones: Vec<String>,
    /// The domain of the names in reverse zones. Default: the first forward zone.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub dns_domain: Option<String>,
    /// The key that signs updates (TSIG), as `tsig-keygen` prints it.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub dns_key_file: Option<PathBuf>,
    /// Seconds for which resolvers may keep a record.
    pub dns_ttl: u32,
    /// The OpenID Connect provider by which people may log in to the UI, besides local users.
    #[serde(with = "values::optional")]
    pub oidc_issuer: Option<OidcIssuer>,
    /// What the button of the login page calls it. Empty: its host name.
    pub oidc_name: String,
    /// What the provider knows this server as.
    pub oidc_client_id: String,
    /// The file with the secret of that client. Default: none, for a public client.
    #[serde(deserialize_with = "values::optional::deserialize")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// What is asked for besides `openid`.
    pub oidc_scopes: Vec<String>,
    /// The claim with the name of the user here.
    pub oidc_name_claim: String,
    /// The claim with the groups of the user.
    pub oidc_groups_claim: String,
    /// Groups whose members are admins.
    pub oidc_admins: Vec<String>,
    /// Groups whose members are operators.
    pub oidc_operators: Vec<String>,
    /// Groups whose members are viewers. Who is in no group of a role is refused.
    pub oidc_viewers: Vec<String>,
}

/// Whether another DHCP server assigns the addresses, and how this server then sends boot data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyDhcp {
    /// This server assigns the addresses.
    #[default]
    Off,
    /// The proxy's offer names the boot file.
    Direct,
    /// The proxy's offer sends UEFI clients to port 4011, for firmware that ignores a boot
    /// file in it. For BIOS clients the offer names the boot file.
    Redirect,
}

/// What a webhook message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebhookTopic {
    /// A host is up.
    Up,
    /// A boot does not go on.
    Stuck,
    /// A host reported a failure, or an installation failed.
    Failed,
    /// An installation, or the erasing of disks, is complete.
    Installed,
    /// Something that the operator should look at.
    Warning,
    /// Nothing: a test, which is sent on request.
    #[serde(skip)]
    Test,
}

impl WebhookTopic {
    const ALL: [Self; 5] = [Self::Up, Self::Stuck, Self::Failed, Self::Installed, Self::Warning];

    /// The word in the configuration, and the `type` of a message.
    pub fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stuck => "stuck",
            Self::Failed => "failed",
            Self::Installed => "installed",
            Self::Warning => "warning",
            Self::Test => "test",
        }
    }
}

/// The number of the TFTP block after 65535.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TftpRollover {
    /// 0, which nearly all clients expect.
    #[default]
    Zero,
    /// 1, which some old ROMs expect.
    One,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Where distributions put their iPXE programs: Debian, Fedora.
const IPXE_DIRS: [&str; 2] = ["/usr/lib/ipxe", "/usr/share/ipxe"];

/// The first of several directories that exists; if none does, the first.
fn first_of(directories: &[&str; 2], exists: impl Fn(&Path) -> bool) -> PathBuf {
    let found = directories.iter().find(|directory| exists(Path::new(directory)));
    PathBuf::from(found.unwrap_or(&directories[0]))
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/rackstrap"),
            database: None,
            inventory_id: None,
            interfaces: Vec::new(),
            dhcp: true,
            dhcp6: true,
            proxy_dhcp: ProxyDhcp::Off,
            proxy_interfaces: Vec::new(),
            tftp: true,
            router_advertisements: true,
            admin_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            tls_certificate: None,
            tls_key: None,
            trusted_proxies: Vec::new(),
            machine_listen: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80),
            machine_tls_listen: None,
            machine_tls_certificate: None,
            machine_tls_key: None,
            https_boot: Vec::new(),
            syslog_listen: None,
            machine_url: None,
            files_dir: None,
            secret_key_file: None,
            ipxe_dir: first_of(&IPXE_DIRS, Path::is_dir),
            tftp_ipv6: true,
            tftp_ports: None,
            tftp_rollover: TftpRollover::Zero,
            tftp_without_size: Vec::new(),
            tftp_max_transfers: 4096,
            boot_patience_percent: 100,
            offer_seconds: 60,
            decline_seconds: 86_400,
            authoritative: false,
            always_broadcast: false,
            relays: Vec::new(),
            log_format: LogFormat::Text,
            log_level: "info".into(),
            event_days: 90,
            event_boots: 50,
            event_rows: 1_000_000,
            audit_days: 730,
            session_hours: 12,
            metrics_token: String::new(),
            webhook_urls: Vec::new(),
            webhook_events: WebhookTopic::ALL.to_vec(),
            webhook_secret: None,
            admin_names: Vec::new(),
            dns_server: None,
            dns_zones: Vec::new(),
            dns_domain: None,
            dns_key_file: None,
            dns_ttl: 300,
            oidc_issuer: None,
            oidc_name: String::new(),
            oidc_client_id: String::new(),
            oidc_client_secret_file: None,
            oidc_scopes: vec!["profile".into()],
            oidc_name_claim: "preferred_username".into(),
            oidc_groups_claim: "groups".into(),
            oidc_admins: Vec::new(),
            oidc_operators: Vec::new(),
            oidc_viewers: Vec::new(),
        }
    }
}

impl Config {
    /// The URL of the database.
    pub fn database_url(&self) -> String {
        match &self.database {
            Some(url) => url.to_string(),
            None => format!("sqlite:{}", self.data_dir.join("rackstrap.db").display()),
        }
    }

    /// The key file of secrets.
    pub fn secret_key_path(&self) -> PathBuf {
        self.secret_key_file.clone().unwrap_or_else(|| self.data_dir.join("secret.key"))
    }

    /// The URL of the web UI at an address.
    pub fn admin_url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls_certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// The directory of image files.
    pub fn files_path(&self) -> PathBuf {
        self.files_dir.clone().unwrap_or_else(|| self.data_dir.join("files"))
    }

    /// The base URL for a host that reached this server at `local`, without a slash at the
    /// end. Port 80 is left out, because some firmware mishandles it.
    pub fn machine_base_url(&self, local: IpAddr) -> String {
        if let Some(url) = &self.machine_url {
            return url.to_string();
        }
        let port = self.machine_listen.port();
        let host = match local {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") }
    }

    /// The same by HTTPS, with the host of `machine_url` if there is one; none without
    /// `machine_tls_listen`.
    pub fn machine_tls_base_url(&self, local: IpAddr) -> Option<String> {
        let port = self.machine_tls_listen?.port();
        let host = match (&self.machine_url, local) {
            (Some(url), _) if url.host().contains(':') => format!("[{}]", url.host()),
            (Some(url), _) => url.host().to_owned(),
            (None, IpAddr::V6(address)) => format!("[{address}]"),
            (None, IpAddr::V4(address)) => address.to_string(),
        };
        Some(if port == 443 { format!("https://{host}") } else { format!("https://{host}:{port}") })
    }

    /// Whether firmware at an address is told `https://` URLs.
    pub(crate) fn boots_by_https(&self, address: IpAddr) -> bool {
        self.https_boot.iter().any(|network| network.contains(&address))
    }

    /// Whether another DHCP server assigns the addresses on an interface, and how boot data is
    /// sent beside it.
    pub(crate) fn proxy_on(&self, interface: &str) -> ProxyDhcp {
        let is_listed = self.proxy_interfaces.iter().any(|listed| listed == interface);
        let applies = self.proxy_interfaces.is_empty() || is_listed;
        if applies { self.proxy_dhcp } else { ProxyDhcp::Off }
    }

    /// The addresses that hosts fetch from: `own`, the addresses of the served interfaces, or
    /// the address in `machine_url`. Empty if `machine_url` has a name, which only a resolver
    /// knows.
    pub fn reached_at(&self, own: &[Ipv4Addr]) -> Vec<IpAddr> {
        match &self.machine_url {
            Some(url) => url.address().into_iter().collect(),
            None => own.iter().copied().map(IpAddr::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipxe_is_where_the_distribution_has_it() {
        let [debian, fedora] = IPXE_DIRS;
        let cases = [(vec![debian, fedora], debian), (vec![fedora], fedora), (vec![], debian)];
        for (existing, expected) in cases {
            let found =
                first_of(&IPXE_DIRS, |path| existing.iter().any(|it| path == Path::new(it)));
            assert_eq!(found, Path::new(expected), "{existing:?}");
        }
    }

    #[test]
    fn hosts_reach_the_interfaces_unless_a_url_names_an_address() {
        let own = [Ipv4Addr::new(10, 77, 0, 1)];
        let cases = [
            (None, &["10.77.0.1"][..]),
            (Some("http://10.77.0.9"), &["10.77.0.9"]),
            (Some("http://10.77.0.9:8080/boot/"), &["10.77.0.9"]),
            (Some("http://[2001:db8::1]:8080"), &["2001:db8::1"]),
            (Some("http://boot.example.net"), &[]),
        ];
        for (url, expected) in cases {
            let machine_url = url.map(|url| url.parse().unwrap());
            let config = Config { machine_url, ..Config::default() };
            let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(config.reached_at(&own), expected, "{url:?}");
        }
    }
}
