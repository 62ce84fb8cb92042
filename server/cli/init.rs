//! `rackstrap init`: asks what must be known, writes the configuration, makes the first user.

use std::io::{BufRead, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use ipnet::Ipv4Net;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::cli::context::{Context, change, operator, print, somebody_can_be_asked};
use crate::cli::settings::Settings;
use crate::cli::user::tell_first_password;
use crate::config::Config;
use crate::inventory::{ChangeError, Inventory};
use crate::model::{Range, RangeUse, Site, Subnet};

/// What `init` is told; it asks for the rest at a terminal.
#[derive(Debug, Args)]
pub struct Init {
    /// The subnet on the interface, such as 10.77.0.0/24 [default: the interface's own]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<Ipv4Net>,
    /// The addresses that DHCP gives to unknown clients, such as 10.77.0.100-10.77.0.199
    #[arg(long, value_name = "FROM-TO", value_parser = addresses)]
    dhcp_range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// What the subnet is called
    #[arg(long, value_name = "NAME", default_value = "provisioning")]
    subnet_name: String,
    /// Write over a configuration file that is there
    #[arg(long)]
    force: bool,
}

fn addresses(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let parsed = text.split_once('-').and_then(|(from, to)| {
        Some((from.trim().parse().ok()?, to.trim().parse().ok()?)).filter(|(from, to)| from <= to)
    });
    parsed.ok_or_else(|| format!("\"{text}\" is not FROM-TO, such as 10.77.0.100-10.77.0.199"))
}

/// An interface of this machine and its address.
struct Interface {
    name: String,
    net: Ipv4Net,
}

impl Init {
    /// Asks, writes and says what to do next.
    pub async fn run(self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let path = settings.path();
        if path.exists() && !self.force {
            bail!("{} is there already; --force writes over it", path.display());
        }
        let mut config = settings.without_file()?;
        let interfaces = interfaces()?;
        if config.interfaces.is_empty() {
            config.interfaces = vec![ask_interface(&interfaces)?];
        }
        let own = interfaces.iter().find(|interface| interface.name == config.interfaces[0]);
        let subnet = self.choose_subnet(own)?;
        let range = self.choose_range(subnet)?;

        let context = Context { config, json: false };
        let inventory = context.inventory().await?;
        let added = add_subnet(&inventory, &self.subnet_name, subnet, range).await?;
        write_file(path, &context.config)?;
        print(&format!("wrote {}\n{added}\n", path.display()))?;
        if let Some(password) = inventory.database.add_first_user().await? {
            tell_first_password(&password)?;
        }
        if !own.is_some_and(|own| subnet.contains(&own.net.addr())) {
            let name = &context.config.interfaces[0];
            eprintln!("warning: {name} has no address in {subnet} yet: give it one before serving");
        }
        print(&next_steps(path, &context.config))?;
        Ok(ExitCode::SUCCESS)
    }

    fn choose_subnet(&self, own: Option<&Interface>) -> anyhow::Result<Ipv4Net> {
        let usual = own.map(|own| own.net.trunc());
        match self.subnet {
            Some(subnet) => Ok(subnet.trunc()),
            None => ask("Subnet", usual, "--subnet CIDR", |text| {
                text.parse::<Ipv4Net>().map(|net| net.trunc()).map_err(|error| error.to_string())
            }),
        }
    }

    fn choose_range(&self, subnet: Ipv4Net) -> anyhow::Result<Option<(Ipv4Addr, Ipv4Addr)>> {
        let usual = usual_range(subnet);
        if self.dhcp_range.is_some() || usual.is_none() || !somebody_can_be_asked() {
            return Ok(self.dhcp_range.or(usual));
        }
        let shown = usual.map(|(from, to)| RangeText(from, to));
        let chosen = ask("Addresses for DHCP", shown, "--dhcp-range FROM-TO", |text| {
            addresses(text).map(|(from, to)| RangeText(from, to))
        })?;
        Ok(Some((chosen.0, chosen.1)))
    }
}

struct RangeText(Ipv4Addr, Ipv4Addr);

impl std::fmt::Display for RangeText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// The middle of a subnet, 200 addresses at most: the ends are where routers and servers
/// stand. None for a subnet of less than sixteen addresses.
fn usual_range(subnet: Ipv4Net) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let size = 1_u64 << (32 - u32::from(subnet.prefix_len()));
    if size < 16 {
        return None;
    }
    let first = u64::from(subnet.network().to_bits()) + (size * 2 / 5).min(100);
    let last = first + (size / 3).min(100) - 1;
    let address = |bits| u32::try_from(bits).ok().map(Ipv4Addr::from_bits);
    Some((address(first)?, address(last)?))
}

/// The interfaces that have an IPv4 address and are not loopback.
fn interfaces() -> anyhow::Result<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in getifaddrs().context("the interfaces of this machine cannot be listed")? {
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
    if somebody_can_be_asked() {
        eprintln!("Interfaces with an address: {}", known.join(", "));
    }
    ask("Interface that the hosts are on", None, "--interface NAME", |text| {
        crate::model::check_link_name(text).map(|()| text.to_owned()).map_err(|e| e.to_string())
    })
}

/// Asks until the answer is right; an empty one takes what is usual.
fn ask<T: std::fmt::Display>(
    question: &str,
    usual: Option<T>,
    flag: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> anyhow::Result<T> {
    if !somebody_can_be_asked() {
        return usual.with_context(|| format!("nobody can be asked here: {flag} is needed"));
    }
    let hint = usual.as_ref().map(|usual| format!(" [{usual}]")).unwrap_or_default();
    loop {
        eprint!("{question}{hint}: ");
        std::io::stderr().flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("no answer; {flag} says it too");
        }
        match (line.trim(), usual.is_some()) {
            ("", true) => break,
            (text, _) => match parse(text) {
                Ok(value) => return Ok(value),
                Err(error) => eprintln!("{error}"),
            },
        }
    }
    usual.context("nothing was answered")
}

/// Adds the subnet, unless the inventory has it; says what was done.
async fn add_subnet(
    inventory: &Inventory,
    name: &str,
    cidr: Ipv4Net,
    range: Option<(Ipv4Addr, Ipv4Addr)>,
) -> anyhow::Result<String> {
    let known = |site: &Site| {
        let same = site.subnets.iter().find(|(_, subnet)| subnet.cidr == cidr.into());
        same.map(|(name, _)| name.clone())
    };
    if let Some(name) = known(&inventory.snapshot().site) {
        return Ok(format!("subnet {name} ({cidr}) is in the inventory already"));
    }
    let who = operator();
    let edit = |site: &mut Site| {
        if site.subnets.contains_key(name) {
            return Err(ChangeError::Edit(format!(
                "there is a subnet \"{name}\" already, another one: --subnet-name NAME"
            )));
        }
        site.subnets.insert(name.to_owned(), subnet(cidr, range)?);
        Ok(())
    };
    inventory.change_site(change(&who, "init", false), edit).await?;
    let given = range.map(|(from, to)| format!(", DHCP gives {from} to {to}")).unwrap_or_default();
    Ok(format!("added subnet {name} ({cidr}{given})"))
}

fn subnet(cidr: Ipv4Net, range: Option<(Ipv4Addr, Ipv4Addr)>) -> Result<Subnet, ChangeError> {
    let values = [("cidr".to_owned(), cidr.to_string())];
    let mut subnet: Subnet =
        crate::site_file::set_values(None, &values).map_err(ChangeError::Edit)?;
    subnet.ranges.extend(range.map(|(from, to)| Range {
        from: IpAddr::V4(from),
        to: IpAddr::V4(to),
        used_for: RangeUse::Dhcp,
    }));
    Ok(subnet)
}

/// Writes the keys that are otherwise than by default.
fn write_file(path: &Path, config: &Config) -> anyhow::Result<()> {
    let (chosen, usual) =
        (toml::Table::try_from(config)?, toml::Table::try_from(Config::default())?);
    let differs = |(key, value): &(String, toml::Value)| usual.get(key) != Some(value);
    let chosen: toml::Table = chosen.into_iter().filter(differs).collect();
    let text = format!(
        "# Written by rackstrap init. rackstrap.example.toml explains every key.\n{}",
        toml::to_string(&chosen)?
    );
    if let Some(dir) = path.parent().filter(|dir| *dir != Path::new("")) {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("{} cannot be made", dir.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn next_steps(path: &Path, config: &Config) -> String {
    let config_flag = format!(" --config {}", path.display());
    format!(
        "next:\n  rackstrap{config_flag} serve\n  rackstrap{config_flag} apply site.yaml\n  \
         open http://{}\n",
        config.admin_listen
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
            let text = range.map(|(from, to)| RangeText(from, to).to_string());
            assert_eq!(text.as_deref(), expected, "{subnet}");
        }
    }
}
