//! Facts of hosts by name, as inventories have them: variables and keys in place of columns. Pure.

use std::net::IpAddr;

use ipnet::IpNet;

use super::columns::{Fact, fact};
use super::draft::{Client, Draft, HostValue, noun_name};
use super::{Place, Reason};

/// A host of an inventory: what it says of the host itself, and of its BMC.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) host: Client,
    bmc: Client,
    name: String,
    netmask: Option<String>,
    gateway: Option<IpAddr>,
}

impl Facts {
    pub(super) fn of(name: &str, place: &Place) -> Self {
        let mut host = Client::new(place.clone(), format!("host {name}"));
        host.name = Some(name.to_owned());
        host.is_named = true;
        let mut bmc = Client::new(place.clone(), format!("BMC of {name}"));
        bmc.name = Some(format!("{name}-bmc"));
        Self { host, bmc, name: name.to_owned(), netmask: None, gateway: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes a variable over, or reports it.
    pub(super) fn add(&mut self, draft: &mut Draft, place: &Place, key: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let text = format!("{key}: {value}");
        let invalid = |draft: &mut Draft, error: String| {
            draft.report(place, text.clone(), Reason::Invalid(error));
        };
        match fact(key) {
            Some(Fact::Mac) => match value.parse() {
                Ok(nic) => self.host.nics.push(nic),
                Err(error) => invalid(draft, format!("{error}")),
            },
            Some(Fact::MacOf(label)) => match value.parse() {
                Ok(nic) => self.host.labelled.push((label, nic)),
                Err(error) => invalid(draft, format!("{error}")),
            },
            Some(Fact::BmcMac) => match value.parse() {
                Ok(nic) => self.bmc.nics.push(nic),
                Err(error) => invalid(draft, format!("{error}")),
            },
            Some(Fact::Address) => match address(value) {
                Some(found) => self.address(draft, place, found),
                None => draft.report(place, text, Reason::NotAnAddress),
            },
            Some(Fact::BmcAddress) => match address(value) {
                Some(found) => self.bmc.addresses.push(found.addr()),
                None => draft.report(place, text, Reason::NotAnAddress),
            },
            Some(Fact::Netmask) => self.netmask = Some(value.to_owned()),
            Some(Fact::Gateway) => self.gateway = value.parse().ok(),
            Some(Fact::Labels) => {
                let words = value.split([',', ';', ' ']).filter(|word| !word.is_empty());
                self.host.labels.extend(words.map(noun_name));
            }
            Some(Fact::Key(path)) => {
                let value = if path == "rack" { noun_name(value) } else { value.to_owned() };
                self.host.values.push(HostValue { path, value, place: place.clone() });
            }
            _ => draft.report(place, text, Reason::NoCounterpart),
        }
    }

    fn address(&mut self, draft: &mut Draft, place: &Place, found: IpNet) {
        if found.prefix_len() < found.max_prefix_len() {
            draft.subnet(found, None, place);
        }
        if !self.host.addresses.contains(&found.addr()) {
            self.host.addresses.push(found.addr());
        }
    }

    /// The host is complete.
    pub(super) fn finish(self, draft: &mut Draft) {
        let Self { host, bmc, netmask, gateway, .. } = self;
        let cidr = host.addresses.first().zip(netmask.as_deref());
        let cidr =
            cidr.and_then(|(address, mask)| match mask.trim_start_matches('/').parse::<u8>() {
                Ok(length) => IpNet::new(*address, length).ok(),
                Err(_) => IpNet::with_netmask(*address, mask.parse().ok()?).ok(),
            });
        if let Some(cidr) = cidr {
            let name = draft.subnet(cidr, None, &host.place);
            if let Some(subnet) = draft.site.subnets.get_mut(&name) {
                subnet.gateway = subnet.gateway.or(gateway);
            }
        }
        match (bmc.nics.is_empty(), bmc.addresses.is_empty()) {
            (false, _) => {
                draft.client(host);
                draft.client(bmc);
            }
            (true, is_without_address) => {
                if !is_without_address {
                    draft.report(&bmc.place, bmc.text, Reason::BmcWithoutMac);
                }
                draft.client(host);
            }
        }
    }
}

/// `10.0.0.1` or `10.0.0.1/24`.
fn address(value: &str) -> Option<IpNet> {
    value.parse::<IpNet>().ok().or_else(|| value.parse::<IpAddr>().ok().map(IpNet::from))
}
