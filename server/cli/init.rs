//! `rackstrap init`: asks for interface and subnet, writes the configuration file, creates the
//! first user.

use std::fmt;
use std::fs::{OpenOptions, Permissions};
use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::Args;
use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nameindex};
use nix::unistd::Uid;

use crate::cli::context::{Context, audit, change, is_interactive, operator, print};
use crate::cli::self_signed;
use crate::cli::settings::Settings;
use crate::cli::user::print_first_password;
use crate::config::Config;
use crate::inventory::{ChangeError, FIRST_USER, Inventory};
use crate::lifecycle::audit::AuditAction;
use crate::model::{Noun, Range, RangeUse, Role, Site, Subnet};

/// The service of the packages.
const SERVICE: &str = "rackstrap.service";

/// `rackstrap init`. At a terminal it asks for what the flags leave out.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Subnet of the interface, such as 10.77.0.0/24 [default: the interface's]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<Ipv4Net>,
    /// Address range for unknown DHCP clients, such as 10.77.0.100-10.77.0.199
    #[arg(long, value_name = "FROM-TO")]
    dhcp_range: Option<AddressRange>,
    /// Name of the subnet
    #[arg(long, value_name = "NAME", default_value = "provisioning")]
    subnet_name: String,
    /// Leave the service stopped: init by root starts rackstrap.service if it is installed
    #[arg(long)]
    no_start: bool,
    /// Serve the web UI by HTTPS, with a certificate that is made now and signed by itself
    #[arg(long)]
    self_signed: bool,
    /// Overwrite an existing configuration file
    #[arg(long)]
    force: bool,
}

/// A range of addresses, both ends included, written `FROM-TO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AddressRange {
    from: Ipv4Addr,
    to: Ipv4Addr,
}

#[derive(Debug, thiserror::Error)]
#[error("expected FROM-TO, such as 10.77.0.100-10.77.0.199")]
struct InvalidAddressRange;

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    fn from_str(text: &str) -> Result<Self, InvalidAddressRange> {
        let (from, to) = text.split_once('-').ok_or(InvalidAddressRange)?;
        let address = |text: &str| text.trim().parse().map_err(|_| InvalidAddressRange);
        let (from, to) = (address(from)?, address(to)?);
        if to < from {
            return Err(InvalidAddressRange);
        }
        Ok(Self { from, to })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

/// A local interface and its IPv4 address.
struct Interface {
    name: String,
    net: Ipv4Net,
}

impl Init {
    /// Asks, writes the file and prints the next steps.
    pub(crate) async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let path = settings.path();
        if !self.force && settings.is_configured()? {
            bail!("{} already exists; overwrite it with --force", path.display());
        }
        let mut config = settings.without_file()?;
        let interfaces = interfaces()?;
        if config.interfaces.is_empty() {
            config.interfaces = vec![ask_interface(&interfaces)?];
        }
        // Before anything is written: the service would end again and again.
        let starts = !self.no_start && settings.config.is_none() && is_packaged();
        let (name, known) = (&config.interfaces[0], interface_names()?);
        if starts && !known.contains(name) {
            bail!(
                "interface \"{name}\" does not exist; expected one of: {}. With --no-start the \
                 configuration is written all the same",
                known.join(", ")
            );
        }
        let own = interfaces.iter().find(|interface| interface.name == config.interfaces[0]);
        let subnet = self.choose_subnet(own)?;
        let range = self.choose_range(subnet)?;

        let mut context = Context { config, json: false };
        let inventory = context.inventory().await?;
        context.config.inventory_id = Some(inventory.database.inventory_id().await?);
        if self.self_signed {
            let made = self_signed::write(&context.config)?;
            print(&format!(
                "wrote {}, valid for {}\n",
                made.certificate.display(),
                made.names.join(", ")
            ))?;
            context.config.tls_certificate = Some(made.certificate);
            context.config.tls_key = Some(made.key);
        }
        let added = add_subnet(&inventory, &self.subnet_name, subnet, range).await?;
        write_file(path, &context.config)?;
        print(&format!("wrote {}\n{added}\n", path.display()))?;
        if let Some(password) = inventory.database.add_first_user().await? {
            let user = FIRST_USER.to_owned();
            audit(&inventory, AuditAction::UserAdded { user, role: Some(Role::Admin) }).await;
            print_first_password(&password)?;
        }
        if !own.is_some_and(|own| subnet.contains(&own.net.addr())) {
            let name = &context.config.interfaces[0];
            eprintln!(
                "warning: {name} has no address in {subnet}; assign one before you start the server"
            );
        }
        if starts {
            return start_service(&context.config);
        }
        print(&next_steps(path, &context.config))?;
        Ok(ExitCode::SUCCESS)
    }

    fn choose_subnet(&self, own: Option<&Interface>) -> anyhow::Result<Ipv4Net> {
        let usual = own.map(|own| own.net.trunc());
        match self.subnet {
            Some(subnet) => Ok(subnet.trunc()),
            None => {
                ask("Subnet", usual, "--subnet CIDR", |text| Ok(text.parse::<Ipv4Net>()?.trunc()))
            }
        }
    }

    fn choose_range(&self, subnet: Ipv4Net) -> anyhow::Result<Option<AddressRange>> {
        let usual = usual_range(subnet);
        if self.dhcp_range.is_some() || usual.is_none() || !is_interactive() {
            return Ok(self.dhcp_range.or(usual));
        }
        let flag = "--dhcp-range FROM-TO";
        ask("Addresses for DHCP", usual, flag, |text| Ok(text.parse()?)).map(Some)
    }
}

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether this process may start the service that a package has installed.
fn is_packaged() -> bool {
    let has_unit = || systemctl(&["cat", "--no-pager", SERVICE]).is_ok_and(|o| o.status.success());
    Uid::effective().is_root() && Path::new("/run/systemd/system").is_dir() && has_unit()
}

/// Starts the service, now and at every boot. Returns when it serves.
fn start_service(config: &Config) -> anyhow::Result<ExitCode> {
    for verb in ["enable", "restart"] {
        let output = systemctl(&[verb, SERVICE]).context("cannot run systemctl")?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!("cannot {verb} {SERVICE}: {}; see journalctl -u {SERVICE}", reason.trim());
        }
    }
    let url = config.admin_url(config.admin_listen);
    print(&format!(
        "started {SERVICE}\nnext:\n  open {url}\n  rackstrap doctor\n  rackstrap apply site.yaml\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn systemctl(words: &[&str]) -> std::io::Result<Output> {
    Command::new("systemctl").args(words).stdin(Stdio::null()).output()
}

/// The middle of a subnet, at most 100 addresses: routers and servers are usually at the ends.
/// `None` for a subnet of fewer than 16 addresses.
fn usual_range(subnet: Ipv4Net) -> Option<AddressRange> {
    let size = 1_u64 << (32 - u32::from(subnet.prefix_len()));
    if size < 16 {
        return None;
    }
    let first = u64::from(subnet.network().to_bits()) + (size * 2 / 5).min(100);
    let last = first + (size / 3).min(100) - 1;
    let address = |bits| u32::try_from(bits).ok().map(Ipv4Addr::from_bits);
    Some(AddressRange { from: address(first)?, to: address(last)? })
}

/// The interfaces with an IPv4 address, without loopback.
/// Every interface but loopback, with or without an address.
fn interface_names() -> anyhow::Result<Vec<String>> {
    let all = if_nameindex().context("cannot list the network interfaces")?;
    let names = all.iter().map(|found| found.name().to_string_lossy().into_owned());
    Ok(names.filter(|name| name != "lo").collect())
}

fn interfaces() -> anyhow::Result<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in getifaddrs().context("cannot list the network interfaces")? {
        let address = entry.address.as_ref().and_then(|address| address.as_sockaddr_in());
        let mask = entry.netmask.as_ref().and_then(|mask| mask.as_sockaddr_in());
        let (Some(address), Some(mask)) = (address, mask) else { continue };
        if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let net = Ipv4Net::with_netmask(address.ip(), mask.ip())?;
        found.push(Interface { name: entry.interface_name, net });
    }
    Ok(found)
}

fn ask_interface(interfaces: &[Interface]) -> anyhow::Result<String> {
    let known: Vec<String> = interfaces
        .iter()
        .map(|interface| format!("{} ({})", interface.name, interface.net))
        .collect();
    if is_interactive() {
        eprintln!("Interfaces with an IPv4 address: {}", known.join(", "));
    }
    ask("Interface of the hosts", None, "--interface NAME", |text| {
        crate::model::check_link_name(text)?;
        Ok(text.to_owned())
    })
}

/// Asks until the answer is valid. An empty answer takes the default.
fn ask<T: fmt::Display>(
    question: &str,
    usual: Option<T>,
    flag: &str,
    parse: impl Fn(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if !is_interactive() {
        return usual.with_context(|| format!("not a terminal: set {flag}"));
    }
    let hint = usual.as_ref().map(|usual| format!(" [{usual}]")).unwrap_or_default();
    loop {
        eprint!("{question}{hint}: ");
        std::io::stderr().flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("no answer; set {flag} instead");
        }
        match (line.trim(), usual.is_some()) {
            ("", true) => break,
            (text, _) => match parse(text) {
                Ok(value) => return Ok(value),
                Err(error) => eprintln!("{error}"),
            },
        }
    }
    usual.context("no answer")
}

/// Adds the subnet, unless the inventory has it. Returns the line to print.
async fn add_subnet(
    inventory: &Inventory,
    name: &str,
    cidr: Ipv4Net,
    range: Option<AddressRange>,
) -> anyhow::Result<String> {
    let known = |site: &Site| {
        let same = site.subnets.iter().find(|(_, subnet)| subnet.cidr == cidr.into());
        same.map(|(name, _)| name.clone())
    };
    if let Some(name) = known(&inventory.snapshot().site) {
        return Ok(format!("subnet {name} ({cidr}) already exists"));
    }
    let who = operator();
    let edit = |site: &mut Site| {
        if site.subnets.contains_key(name) {
            return Err(ChangeError::Exists { noun: Subnet::NOUN, name: name.to_owned() });
        }
        site.subnets.insert(name.to_owned(), subnet(cidr, range)?);
        Ok(())
    };
    match inventory.change_site(change(&who, "init", false), edit).await {
        Err(ChangeError::Exists { name, .. }) => bail!(
            "subnet \"{name}\" already exists with another CIDR; choose a name with --subnet-name"
        ),
        outcome => outcome?,
    };
    let given = range.map(|range| format!(", DHCP range {range}")).unwrap_or_default();
    Ok(format!("added subnet {name} ({cidr}{given})"))
}

fn subnet(cidr: Ipv4Net, range: Option<AddressRange>) -> Result<Subnet, ChangeError> {
    let values = [("cidr".to_owned(), cidr.to_string())];
    let mut subnet: Subnet = crate::site_file::set_values(None, &values)?;
    subnet.ranges.extend(range.map(|AddressRange { from, to }| Range {
        from: IpAddr::V4(from),
        to: IpAddr::V4(to),
        used_for: RangeUse::Dhcp,
    }));
    Ok(subnet)
}

/// Writes the keys that differ from their defaults.
fn write_file(path: &Path, config: &Config) -> anyhow::Result<()> {
    let (chosen, usual) =
        (toml::Table::try_from(config)?, toml::Table::try_from(Config::default())?);
    let differs = |(key, value): &(String, toml::Value)| usual.get(key) != Some(value);
    let chosen: toml::Table = chosen.into_iter().filter(differs).collect();
    let text = format!(
        "# Written by rackstrap init. rackstrap.example.toml explains every key.\n{}",
        toml::to_string(&chosen)?
    );
    write_private(path, &text)
}

/// Writes a configuration file, which may hold a password: not for every user.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| *dir != Path::new("")) {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let failed = || format!("cannot write {}", path.display());
    let mut create = OpenOptions::new();
    let create = create.write(true).create(true).truncate(true).mode(0o640);
    let mut file = create.open(path).with_context(failed)?;
    file.set_permissions(Permissions::from_mode(0o640)).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)
}

fn next_steps(path: &Path, config: &Config) -> String {
    let config_flag = format!(" --config {}", path.display());
    format!(
        "next:\n  rackstrap{config_flag} serve\n  rackstrap{config_flag} apply site.yaml\n  \
         open {}\n",
        config.admin_url(config.admin_listen)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_range_is_inside_its_subnet_and_leaves_both_ends() {
        let cases = [
            ("10.77.0.0/24", Some("10.77.0.100-10.77.0.184")),
            ("10.0.0.0/8", Some("10.0.0.100-10.0.0.199")),
            ("192.0.2.16/28", Some("192.0.2.22-192.0.2.26")),
            ("192.0.2.0/29", None),
            ("255.255.255.240/28", Some("255.255.255.246-255.255.255.250")),
        ];
        for (subnet, expected) in cases {
            let range = usual_range(subnet.parse().unwrap());
            let text = range.map(|range| range.to_string());
            assert_eq!(text.as_deref(), expected, "{subnet}");
        }
    }
}
