//! Builds the answer packet and says where it goes (RFC 2131 sections 4.1 and 4.3). Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

use dhcproto::Name;
use dhcproto::v4::{DhcpOption, MessageType};
use smallvec::SmallVec;

use super::link::{Arrival, LinkSubnet};
use super::pxe::merge_added;
use super::wire::{BROADCAST_FLAG, EncodedOption, Packet, Reply};
use crate::leases::table::v4;
use crate::model::{DhcpOptions, Mac};
use crate::options::code;

/// Where servers and relays listen.
pub(crate) const SERVER_PORT: u16 = 67;
/// Where PXE firmware asks for boot data alone (PXE 2.1 section 2.2.3).
pub(crate) const BOOT_SERVER_PORT: u16 = 4011;
/// Where clients listen.
pub(crate) const CLIENT_PORT: u16 = 68;
/// What every client takes, IP and UDP headers included (RFC 2131 section 2).
const DEFAULT_MESSAGE_BYTES: u16 = 576;
/// What a client without option 55 gets, besides what an operator added, as other servers do: a
/// DHCP client, and a BOOTP client, which has no such option (RFC 1533).
const USUAL_REQUEST: [u8; 7] = [
    code::SUBNET_MASK,
    code::ROUTER,
    code::DOMAIN_NAME_SERVER,
    code::HOST_NAME,
    code::DOMAIN_NAME,
    code::INTERFACE_MTU,
    code::BROADCAST_ADDRESS,
];
/// What every client with an address gets, whatever its option 55 lists: without a mask and a
/// router its lease is of no use, and Kea sends them too.
const BASIC_OPTIONS: [u8; 4] =
    [code::SUBNET_MASK, code::ROUTER, code::DOMAIN_NAME_SERVER, code::DOMAIN_NAME];
/// Capacity that is reserved for options; few replies need more.
const USUAL_OPTIONS: usize = 16;
/// IP and UDP headers.
const HEADER_BYTES: u16 = 28;

/// The content of a reply.
#[derive(Clone, Debug)]
pub(crate) struct ReplyContent<'a> {
    /// Offer or Ack; none in an answer to BOOTP.
    pub message_type: Option<MessageType>,
    /// The address; none for the answer to an INFORM.
    pub address: Option<Ipv4Addr>,
    /// For how long, in seconds.
    pub lease_seconds: u32,
    /// The subnet of the client; none where another server gives the settings.
    pub subnet: Option<LinkSubnet<'a>>,
    /// The server identifier there (option 54).
    pub server_id: Ipv4Addr,
    /// The client's name.
    pub host_name: Option<&'a str>,
    /// Options that the host adds to those of its profile, and the profile to those of the subnet.
    pub own_options: [Option<&'a DhcpOptions>; 2],
    /// What it boots: next server, boot file and options alone.
    pub boot: Reply<'static>,
    /// The largest packet of the link in bytes.
    pub link_mtu: u32,
    /// Whether it answers a DISCOVER with a lease (RFC 4039).
    pub rapid_commit: bool,
    /// The subnet selection that chose the subnet, which goes back to the client (RFC 3011).
    pub subnet_selection: Option<Ipv4Addr>,
}

impl<'a> ReplyContent<'a> {
    /// An option that an operator added: to the host, else its profile, else the subnet.
    pub(crate) fn added(&self, code: u8) -> Option<&'a [u8]> {
        let own = self.own_options.into_iter().flatten().find_map(|options| options.get(code));
        own.or_else(|| self.subnet.and_then(|subnet| subnet.subnet.dhcp_options.get(code)))
    }

    /// The codes of all options that an operator added.
    fn added_codes(&self) -> impl Iterator<Item = u8> {
        let own = self.own_options.into_iter().flatten();
        let of_subnet = self.subnet.map(|subnet| &subnet.subnet.dhcp_options);
        own.chain(of_subnet).flat_map(DhcpOptions::codes)
    }

    /// An option that an operator added, as it is sent: routes have a default route, since a
    /// client that gets routes ignores the router (RFC 3442).
    fn added_option(&self, code: u8) -> Option<EncodedOption> {
        let data = self.added(code)?;
        let is_routes = matches!(code, code::CLASSLESS_ROUTES | code::MICROSOFT_ROUTES);
        let gateway = self.subnet.and_then(|subnet| subnet.subnet.gateway).and_then(v4);
        match gateway {
            Some(gateway) if is_routes && !has_default_route(data) => {
                let mut routes = data.to_vec();
                routes.push(0);
                routes.extend(gateway.octets());
                Some(EncodedOption::raw(code, &routes))
            }
            _ => Some(EncodedOption::raw(code, data)),
        }
    }

    /// Puts the operator's vendor options beside those of the boot data.
    pub(crate) fn merge_added(&mut self) {
        let mut boot = std::mem::take(&mut self.boot);
        merge_added(&mut boot, |code| self.added(code));
        self.boot = boot;
    }
}

/// Where an answer goes (RFC 2131 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To an address and port that the kernel can reach by itself: a relay, or
    /// a client that has its address already.
    Routed(SocketAddrV4),
    /// To everybody on the link, on the client port.
    Broadcast,
    /// To a client that does not answer ARP for its address yet.
    Hardware(Ipv4Addr, Mac),
}

/// Builds an OFFER or an ACK (RFC 2131 table 3).
pub(crate) fn build_reply<'a>(request: &'a Packet<'_>, content: &ReplyContent<'_>) -> Reply<'a> {
    let mut reply = empty_reply(request, content.message_type, content.link_mtu);
    reply.options = ordered_options(request, content);
    reply.your_address = content.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    if content.message_type == Some(MessageType::Ack) {
        // Copied from the request, except from a DISCOVER that is answered at once (option 80):
        // its `ciaddr` means nothing.
        reply.client_address = request.client_address().unwrap_or(Ipv4Addr::UNSPECIFIED);
    }
    reply.next_server = content.boot.next_server;
    reply.boot_file = content.boot.boot_file.clone();
    // PXE reads `file` as a name whatever option 52 says.
    reply.may_overload = content.boot == Reply::default();
    reply
}

/// Builds the answer to a BOOTP client: an address without an end and no DHCP option
/// (RFC 1534 section 2). The client's vendor area has 64 bytes, a modern one takes more.
pub(crate) fn build_bootp<'a>(request: &'a Packet<'_>, content: &ReplyContent<'_>) -> Reply<'a> {
    let mut reply = empty_reply(request, None, content.link_mtu);
    let codes = USUAL_REQUEST.into_iter();
    reply.options = codes
        .filter_map(|code| content.added_option(code).or_else(|| inventory_option(code, content)))
        .collect();
    reply.your_address = content.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
    reply.next_server = content.boot.next_server;
    reply.boot_file = content.boot.boot_file.clone();
    reply
}

/// Builds a NAK: message type, server, reason, and what was sent along; no address at all.
pub(crate) fn build_nak<'a>(
    request: &'a Packet<'_>,
    server_id: Ipv4Addr,
    subnet_selection: Option<Ipv4Addr>,
    reason: &str,
) -> Reply<'a> {
    let mut reply = empty_reply(request, Some(MessageType::Nak), u32::from(DEFAULT_MESSAGE_BYTES));
    reply.options = vec![EncodedOption::address(code::SERVER_ID, server_id)];
    reply.options.extend(request.client_id().map(|id| EncodedOption::raw(code::CLIENT_ID, id)));
    let selection = |it| EncodedOption::address(code::SUBNET_SELECTION, it);
    reply.options.extend(subnet_selection.map(selection));
    reply.options.push(EncodedOption::raw(code::MESSAGE, reason.as_bytes()));
    if request.relay_address().is_some() {
        // The relay then broadcasts it: the client's address is wrong.
        reply.flags |= BROADCAST_FLAG;
    }
    reply
}

fn empty_reply<'a>(
    request: &'a Packet<'_>,
    message_type: Option<MessageType>,
    link_mtu: u32,
) -> Reply<'a> {
    let asked = request.max_message_bytes().filter(|bytes| *bytes >= DEFAULT_MESSAGE_BYTES);
    let mtu = u16::try_from(link_mtu).unwrap_or(u16::MAX).max(DEFAULT_MESSAGE_BYTES);
    Reply {
        message_type,
        hardware_type: request.hardware_type,
        hardware: request.hardware,
        transaction_id: request.transaction_id,
        flags: request.flags,
        relay_address: request.giaddr,
        relay_info: request.relay_info().map(|info| info.bytes),
        max_bytes: usize::from(asked.unwrap_or(DEFAULT_MESSAGE_BYTES).min(mtu) - HEADER_BYTES),
        ..Reply::default()
    }
}

/// The server and what else no answer may lack; then the options that the client asks for, in
/// its order (RFC 2132 section 9.8); then boot data.
fn ordered_options(request: &Packet<'_>, content: &ReplyContent<'_>) -> Vec<EncodedOption> {
    let mut options = Vec::with_capacity(USUAL_OPTIONS);
    options.push(EncodedOption::address(code::SERVER_ID, content.server_id));
    if content.address.is_some() {
        options.extend(lease_times(content.lease_seconds, content.subnet));
    }
    options.extend(request.client_id().map(|id| EncodedOption::raw(code::CLIENT_ID, id)));
    options.extend(content.rapid_commit.then(|| EncodedOption::raw(code::RAPID_COMMIT, &[])));
    options.extend(
        content.subnet_selection.map(|it| EncodedOption::address(code::SUBNET_SELECTION, it)),
    );
    let mut there = [false; 256];
    there[usize::from(code::MESSAGE_TYPE)] = true;
    for option in options.iter().chain(&content.boot.options) {
        there[usize::from(option.code)] = true;
    }
    for code in wanted_in_order(request, content) {
        if !std::mem::replace(&mut there[usize::from(code)], true) {
            options.extend(content.added_option(code).or_else(|| inventory_option(code, content)));
        }
    }
    // A client that gets routes ignores routers and static routes (RFC 3442 page 5).
    if options.iter().any(|option| option.code == code::CLASSLESS_ROUTES) {
        options.retain(|option| !matches!(option.code, code::ROUTER | code::STATIC_ROUTES));
    }
    options.extend(content.boot.options.iter().cloned());
    options
}

/// How long the address is good, when to renew and when to rebind: as the subnet says, else after
/// half and seven eighths of that (RFC 2131 section 4.4.5). Times of the subnet that are not before
/// the end of a short lease do not count.
fn lease_times(seconds: u32, subnet: Option<LinkSubnet<'_>>) -> [EncodedOption; 3] {
    let rebind =
        subnet.and_then(|it| it.subnet.rebind_seconds()).filter(|rebind| *rebind < seconds);
    let rebind = rebind.unwrap_or_else(|| (u64::from(seconds) * 7 / 8) as u32);
    let renew = subnet.and_then(|it| it.subnet.renew_seconds()).filter(|renew| *renew < rebind);
    [
        EncodedOption::number(code::LEASE_TIME, seconds),
        EncodedOption::number(
            code::RENEWAL_TIME,
            renew.unwrap_or_else(|| (seconds / 2).min(rebind)),
        ),
        EncodedOption::number(code::REBINDING_TIME, rebind),
    ]
}

/// Whether classless routes (RFC 3442) hold a default route; invalid ones are left as they are.
fn has_default_route(mut routes: &[u8]) -> bool {
    while let Some((prefix, rest)) = routes.split_first() {
        let bytes = usize::from(*prefix).div_ceil(8) + 4;
        match rest.split_at_checked(bytes) {
            Some(_) if *prefix == 0 => return true,
            Some((_, behind)) if *prefix <= 32 => routes = behind,
            _ => return true,
        }
    }
    false
}

/// The options that the client asks for and those that it gets anyway, with the mask before any
/// router (RFC 2132 section 3.3) and classless routes before the router that they replace
/// (RFC 3442).
fn wanted_in_order(request: &Packet<'_>, content: &ReplyContent<'_>) -> SmallVec<[u8; 64]> {
    let mut codes = SmallVec::from_slice(request.wanted_options());
    if codes.is_empty() && content.subnet.is_some() {
        codes.extend(USUAL_REQUEST);
        codes.extend(content.added_codes().filter(|code| !is_boot_option(*code)));
    }
    if content.address.is_some() {
        codes.extend(BASIC_OPTIONS);
    }
    let Some(router) = codes.iter().position(|code| *code == code::ROUTER) else { return codes };
    for earlier in [code::CLASSLESS_ROUTES, code::SUBNET_MASK] {
        if let Some(at) = codes.iter().position(|code| *code == earlier).filter(|at| *at > router) {
            codes.remove(at);
            codes.insert(router, earlier);
        }
    }
    codes
}

/// Whether an option belongs to the boot data of firmware, which lists what it asks for.
fn is_boot_option(code: u8) -> bool {
    matches!(
        code,
        code::VENDOR_SPECIFIC
            | code::VENDOR_CLASS
            | code::TFTP_SERVER_NAME
            | code::BOOT_FILE_NAME
            | code::IPXE
    )
}

/// An option that the inventory knows the value of.
fn inventory_option(option: u8, content: &ReplyContent<'_>) -> Option<EncodedOption> {
    let LinkSubnet { subnet, net, .. } = content.subnet?;
    let router = subnet.gateway.and_then(v4);
    let encoded = match option {
        code::SUBNET_MASK => EncodedOption::address(option, net.netmask()),
        code::ROUTER => EncodedOption::address(option, router?),
        code::DOMAIN_NAME_SERVER => addresses(option, subnet.usual_resolvers().filter_map(v4)),
        code::HOST_NAME => EncodedOption::raw(option, content.host_name?.as_bytes()),
        code::DOMAIN_NAME => {
            let domain = subnet.domains.first()?.trim_end_matches('.');
            EncodedOption::raw(option, domain.as_bytes())
        }
        code::INTERFACE_MTU => {
            EncodedOption::raw(option, &u16::try_from(subnet.mtu?).ok()?.to_be_bytes())
        }
        code::BROADCAST_ADDRESS => EncodedOption::address(option, net.broadcast()),
        code::NTP_SERVERS => {
            addresses(option, subnet.ntp.iter().filter_map(|ntp| ntp.parse().ok()))
        }
        code::DOMAIN_SEARCH => {
            let domains = subnet.domains.iter().filter_map(|text| Name::from_utf8(text).ok());
            EncodedOption::typed(&DhcpOption::DomainSearch(domains.collect()))?
        }
        // A client that heeds 121 ignores 3, so that the default route is repeated here.
        code::CLASSLESS_ROUTES => {
            let default = vec![(ipnet::Ipv4Net::default(), router?)];
            EncodedOption::typed(&DhcpOption::ClasslessStaticRoute(default))?
        }
        _ => return None,
    };
    Some(encoded).filter(|encoded| !encoded.is_empty())
}

/// An option of several addresses.
fn addresses(code: u8, addresses: impl Iterator<Item = Ipv4Addr>) -> EncodedOption {
    let bytes: Vec<u8> = addresses.flat_map(|address| address.octets()).collect();
    EncodedOption::raw(code, &bytes)
}

/// Says where the answer to a request goes.
pub(crate) fn destination(
    request: &Packet<'_>,
    reply: &Reply<'_>,
    arrival: &Arrival,
    always_broadcast: bool,
) -> Destination {
    if let Some(relay) = request.relay_address() {
        // A relay that needs its own port back says so (RFC 8357).
        let own_port = request.relay_info().is_some_and(|info| info.source_port);
        let port = if own_port { arrival.source.port() } else { SERVER_PORT };
        return Destination::Routed(SocketAddrV4::new(relay, port));
    }
    if reply.message_type == Some(MessageType::Nak) {
        return Destination::Broadcast;
    }
    if let Some(address) = request.client_address() {
        return Destination::Routed(SocketAddrV4::new(address, CLIENT_PORT));
    }
    if request.message_type() == Some(MessageType::Inform) {
        return Destination::Routed(SocketAddrV4::new(*arrival.source.ip(), CLIENT_PORT));
    }
    match request.mac() {
        Some(mac) if !request.wants_broadcast() && !always_broadcast => {
            Destination::Hardware(reply.your_address, mac)
        }
        _ => Destination::Broadcast,
    }
}

#[cfg(test)]
mod tests;
