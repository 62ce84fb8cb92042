//! The configuration file: one TOML table of about twenty keys. Pure.
//!
//! Environment (`RACKSTRAP_KEY`) and flags override the file; see `cli`.

mod load;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use load::{ConfigError, Sources};

/// How the server runs. Every key may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the database, the boot files and the secrets live.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://...`; empty means SQLite in `data_dir`.
    pub database: String,
    /// The interfaces that DHCP, TFTP and router advertisements are served on. None: they stay off.
    pub interfaces: Vec<String>,
    /// Whether DHCP is served on `interfaces`.
    pub dhcp: bool,
    /// Whether boot data alone is given, beside another server that gives the addresses.
    pub proxy_dhcp: ProxyDhcp,
    /// Whether TFTP is served on `interfaces`.
    pub tftp: bool,
    /// Whether router advertisements (lifetime 0, no prefix) are sent on `interfaces`,
    /// which spares the 2019 iPXE a wait of 13 to 16 s for IPv6.
    pub router_advertisements: bool,
    /// Where people reach the UI and the API.
    pub admin_listen: SocketAddr,
    /// Where machines fetch scripts, files and their network configuration. `[::]` is every
    /// address of both families.
    pub machine_listen: SocketAddr,
    /// What machines are told to fetch from, such as `http://10.77.0.1`; empty
    /// means this server's own address on the link that asked.
    pub machine_url: String,
    /// Kernels, initrds and other files of images; empty means `files` in `data_dir`.
    pub files_dir: PathBuf,
    /// Where the distribution's iPXE programs are.
    pub ipxe_dir: PathBuf,
    /// Whether TFTP is served over IPv6 too, at every address of the interfaces.
    pub tftp_ipv6: bool,
    /// UDP ports that TFTP transfers answer from, such as `40000-40999`; empty means any.
    pub tftp_ports: String,
    /// The number of the TFTP block after 65535, for clients that do not ask for one.
    pub tftp_rollover: TftpRollover,
    /// Clients that are not told how long a file is even if they ask by TFTP's `tsize`.
    pub tftp_without_size: Vec<ipnet::IpNet>,
    /// How many TFTP transfers may run at once.
    pub tftp_max_transfers: usize,
    /// How long an offered address is held for the client, in seconds.
    pub offer_seconds: u32,
    /// How long an address that a client found in use is given to nobody, in seconds.
    pub decline_seconds: u32,
    /// Whether a client that asks for an address which is wrong here is told so at
    /// once (DHCPNAK) even if it is unknown. Only where no other DHCP server serves.
    pub authoritative: bool,
    /// Whether every direct answer is broadcast, for switches that lose unicast to a
    /// client without an address.
    pub always_broadcast: bool,
    /// Relay agents that are answered; empty means any whose address is in a subnet of the site.
    pub relays: Vec<Ipv4Addr>,
    /// `text` for people or `json` for machines.
    pub log_format: LogFormat,
    /// What is logged, such as `info` or `rackstrap::dhcp=debug,info`.
    pub log_level: String,
    /// How long a login lasts without use, in hours.
    pub session_hours: u32,
    /// DNS names under which people open the UI, besides localhost and its addresses: a
    /// request under any other name is refused, which stops DNS rebinding.
    pub admin_names: Vec<String>,
}

/// Whether another DHCP server gives the addresses, and how boot data is then said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyDhcp {
    /// This server gives the addresses.
    #[default]
    Off,
    /// The proxy's offer names the boot file.
    Direct,
    /// The proxy's offer sends UEFI to port 4011, for firmware that ignores a boot
    /// file in it. BIOS is told at once.
    Redirect,
}

/// The number of the TFTP block after 65535.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TftpRollover {
    /// 0, as nearly all clients expect.
    #[default]
    Zero,
    /// 1, as some old ROMs expect.
    One,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/rackstrap"),
            database: String::new(),
            interfaces: Vec::new(),
            dhcp: true,
            proxy_dhcp: ProxyDhcp::Off,
            tftp: true,
            router_advertisements: true,
            admin_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            machine_listen: SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 80),
            machine_url: String::new(),
            files_dir: PathBuf::new(),
            ipxe_dir: PathBuf::from("/usr/lib/ipxe"),
            tftp_ipv6: true,
            tftp_ports: String::new(),
            tftp_rollover: TftpRollover::Zero,
            tftp_without_size: Vec::new(),
            tftp_max_transfers: 4096,
            offer_seconds: 60,
            decline_seconds: 86_400,
            authoritative: false,
            always_broadcast: false,
            relays: Vec::new(),
            log_format: LogFormat::Text,
            log_level: "info".into(),
            session_hours: 12,
            admin_names: Vec::new(),
        }
    }
}

impl Config {
    /// The database URL with the default filled in.
    pub fn database_url(&self) -> String {
        if self.database.is_empty() {
            return format!("sqlite:{}", self.data_dir.join("rackstrap.db").display());
        }
        self.database.clone()
    }

    /// The files directory with the default filled in.
    pub fn files_path(&self) -> PathBuf {
        if self.files_dir == Path::new("") {
            self.data_dir.join("files")
        } else {
            self.files_dir.clone()
        }
    }

    /// What a machine that reached this server at `local` is told to fetch from, without
    /// a slash at the end. Port 80 is left out: some firmware mishandles it.
    pub fn machine_base_url(&self, local: IpAddr) -> String {
        if !self.machine_url.is_empty() {
            return self.machine_url.trim_end_matches('/').to_owned();
        }
        let port = self.machine_listen.port();
        let host = match local {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        if port == 80 { format!("http://{host}") } else { format!("http://{host}:{port}") }
    }

    /// The addresses that machines fetch from where the served interfaces have `own`: these,
    /// or the one that `machine_url` names. None if that is a name, which a resolver knows.
    pub fn reached_at(&self, own: &[Ipv4Addr]) -> Vec<IpAddr> {
        if self.machine_url.is_empty() {
            return own.iter().copied().map(IpAddr::from).collect();
        }
        let rest = self.machine_url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split(']').next());
        let host = bracketed.unwrap_or_else(|| authority.split(':').next().unwrap_or_default());
        host.parse().into_iter().collect()
    }

    /// The UDP ports that TFTP transfers answer from, if a range is given.
    pub fn tftp_port_range(&self) -> Option<std::ops::RangeInclusive<u16>> {
        let (from, to) = self.tftp_ports.split_once('-')?;
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (1 <= from && from <= to).then_some(from..=to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_reach_the_interfaces_unless_a_url_names_an_address() {
        let own = [Ipv4Addr::new(10, 77, 0, 1)];
        let cases = [
            ("", &["10.77.0.1"][..]),
            ("http://10.77.0.9", &["10.77.0.9"]),
            ("http://10.77.0.9:8080/boot/", &["10.77.0.9"]),
            ("http://[2001:db8::1]:8080", &["2001:db8::1"]),
            ("http://boot.example.net", &[]),
            ("nonsense", &[]),
        ];
        for (url, expected) in cases {
            let config = Config { machine_url: url.into(), ..Config::default() };
            let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(config.reached_at(&own), expected, "{url}");
        }
    }
}
