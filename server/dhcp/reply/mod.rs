//! What a server answers: the reply, its options in their order, and where it goes (RFC 2131
//! sections 4.1 and 4.3). Pure.

mod transmit;

use std::net::Ipv4Addr;

use dhcproto::v4::{DhcpOption, MessageType};
use dhcproto::{Encodable, Encoder, Name};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::pxe::merge_added;
use super::wire::{
    BOOT_FILE, BROADCAST_FLAG, HEADER_BYTES, MAGIC_COOKIE, Packet, encode, remove_option,
    write_option, written_data, written_options,
};
use crate::leases::table::v4;
use crate::model::{DhcpOptions, Subnet};
use crate::options::code;

pub(crate) use transmit::Transmit;

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
const USUAL_OPTION_BYTES: usize = 320;
/// IP and UDP headers.
const LOWER_HEADER_BYTES: u16 = 28;

/// A server's answer: the fields of RFC 2131 table 3, which it fills in as its type says, and what
/// its options are taken from. What goes back to the client as it came is in the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    /// Written as option 53 before all others, where old ROMs look for it; none for BOOTP.
    pub message_type: Option<MessageType>,
    /// The address (`yiaddr`); none for the answer to an INFORM, and in a NAK.
    pub address: Option<Ipv4Addr>,
    /// For how long, in seconds.
    pub lease_seconds: u32,
    /// The server identifier on the client's link (option 54).
    pub server_id: Ipv4Addr,
    /// The subnet of the client; none where another server gives the settings.
    pub subnet: Option<&'a Subnet>,
    /// The subnet selection that chose the subnet, which goes back to the client (RFC 3011).
    pub subnet_selection: Option<Ipv4Addr>,
    /// The client's name.
    pub host_name: Option<&'a str>,
    /// Options that the host adds to those of its profile, and the profile to those of the subnet.
    pub own_options: [Option<&'a DhcpOptions>; 2],
    /// Where the boot file is (`siaddr`).
    pub next_server: Ipv4Addr,
    /// The boot file field; left empty where it is longer than 127 bytes.
    pub boot_file: String,
    /// Options about booting, whether the client asks for them or not, as [`write_option`] writes
    /// them.
    pub boot_options: Vec<u8>,
    /// Why it is a NAK, for people (option 56).
    pub message: Option<&'a str>,
}

impl Default for Reply<'_> {
    /// A reply that says nothing yet.
    fn default() -> Self {
        Self {
            message_type: None,
            address: None,
            lease_seconds: 0,
            server_id: Ipv4Addr::UNSPECIFIED,
            subnet: None,
            subnet_selection: None,
            host_name: None,
            own_options: [None, None],
            next_server: Ipv4Addr::UNSPECIFIED,
            boot_file: String::new(),
            boot_options: Vec::new(),
            message: None,
        }
    }
}

impl<'a> Reply<'a> {
    /// The packet's bytes for a client that sent `request` on a link with packets of `link_mtu`
    /// bytes, and the codes of the options for which there was no room.
    pub(crate) fn encode(&self, request: &Packet<'_>, link_mtu: u32) -> (Vec<u8>, Vec<u8>) {
        let header = self.header(request);
        let relay_info = request.relay_info().map(|info| info.bytes);
        let options = match self.message_type {
            None => self.bootp_options(),
            Some(MessageType::Nak) => self.nak_options(request),
            Some(_) => self.ordered_options(request),
        };
        let may_overload = self.may_overload();
        // A NAK has nothing that would need more.
        let is_nak = self.message_type == Some(MessageType::Nak);
        let link_mtu = if is_nak { u32::from(DEFAULT_MESSAGE_BYTES) } else { link_mtu };
        let max_bytes = max_bytes(request, link_mtu);
        encode(&header, self.message_type, &options, relay_info, max_bytes, may_overload)
    }

    fn header(&self, request: &Packet<'_>) -> [u8; HEADER_BYTES] {
        let hardware = &request.hardware[..request.hardware.len().min(16)];
        let client_address = match self.message_type {
            // Copied from the request, except from a DISCOVER that is answered at once (option
            // 80): its `ciaddr` means nothing.
            Some(MessageType::Ack) => request.client_address(),
            _ => None,
        };
        let goes_to_all = match self.message_type {
            // The relay then broadcasts it: the client's address is wrong.
            Some(MessageType::Nak) => request.relay_address().is_some(),
            // Boot data alone: the client has no address yet, and we do not know which it gets.
            Some(MessageType::Offer) => self.address.is_none(),
            _ => false,
        };
        let flags = request.flags | if goes_to_all { BROADCAST_FLAG } else { 0 };
        let address = |address: Option<Ipv4Addr>| address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
        let mut header = [0; HEADER_BYTES];
        header[..3].copy_from_slice(&[2, request.hardware_type, hardware.len() as u8]);
        header[4..8].copy_from_slice(&request.transaction_id.to_be_bytes());
        header[10..12].copy_from_slice(&flags.to_be_bytes());
        header[12..16].copy_from_slice(&address(client_address));
        header[16..20].copy_from_slice(&address(self.address));
        header[20..24].copy_from_slice(&self.next_server.octets());
        header[24..28].copy_from_slice(&request.giaddr.octets());
        header[28..28 + hardware.len()].copy_from_slice(hardware);
        if self.boot_file.len() < BOOT_FILE.len() {
            let end = BOOT_FILE.start + self.boot_file.len();
            header[BOOT_FILE.start..end].copy_from_slice(self.boot_file.as_bytes());
        }
        header[236..].copy_from_slice(&MAGIC_COOKIE);
        header
    }

    /// Whether options that do not fit may go into `file` and `sname`. PXE reads `file` as a name
    /// whatever option 52 says.
    fn may_overload(&self) -> bool {
        let is_boot_data = !self.boot_file.is_empty()
            || !self.boot_options.is_empty()
            || !self.next_server.is_unspecified();
        !is_boot_data && !matches!(self.message_type, None | Some(MessageType::Nak))
    }

    /// An option that an operator added: to the host, else its profile, else the subnet.
    pub(crate) fn added(&self, code: u8) -> Option<&'a [u8]> {
        let own = self.own_options.into_iter().flatten().find_map(|options| options.get(code));
        own.or_else(|| self.subnet.and_then(|subnet| subnet.dhcp_options.get(code)))
    }

    /// The codes of all options that an operator added.
    fn added_codes(&self) -> impl Iterator<Item = u8> {
        let own = self.own_options.into_iter().flatten();
        let of_subnet = self.subnet.map(|subnet| &subnet.dhcp_options);
        own.chain(of_subnet).flat_map(DhcpOptions::codes)
    }

    /// Puts the operator's vendor options beside those of the boot data.
    pub(crate) fn merge_added(&mut self) {
        let mut boot_options = std::mem::take(&mut self.boot_options);
        merge_added(&mut boot_options, |code| self.added(code));
        self.boot_options = boot_options;
    }

    /// The options of an answer to BOOTP: an address without an end and no DHCP option
    /// (RFC 1534 section 2). The client's vendor area has 64 bytes, a modern one takes more.
    fn bootp_options(&self) -> Vec<u8> {
        let mut options = Vec::with_capacity(USUAL_OPTION_BYTES);
        for code in USUAL_REQUEST {
            self.write_setting(&mut options, code);
        }
        options
    }

    /// The options of a NAK: server, reason, and what was sent along.
    fn nak_options(&self, request: &Packet<'_>) -> Vec<u8> {
        let mut options = Vec::with_capacity(USUAL_OPTION_BYTES);
        self.write_essential(&mut options, request);
        if let Some(message) = self.message {
            write_option(&mut options, code::MESSAGE, message.as_bytes());
        }
        options
    }

    /// The server and what else no answer may lack; then the options that the client asks for, in
    /// its order (RFC 2132 section 9.8); then boot data.
    fn ordered_options(&self, request: &Packet<'_>) -> Vec<u8> {
        let mut options = Vec::with_capacity(USUAL_OPTION_BYTES);
        self.write_essential(&mut options, request);
        let mut there = [false; 256];
        there[usize::from(code::MESSAGE_TYPE)] = true;
        for option in written_options(&options).chain(written_options(&self.boot_options)) {
            there[usize::from(option[0])] = true;
        }
        for code in self.wanted_in_order(request) {
            if !std::mem::replace(&mut there[usize::from(code)], true) {
                self.write_setting(&mut options, code);
            }
        }
        // A client that gets routes ignores routers and static routes (RFC 3442 page 5).
        if written_data(&options, code::CLASSLESS_ROUTES).is_some() {
            remove_option(&mut options, code::ROUTER);
            remove_option(&mut options, code::STATIC_ROUTES);
        }
        options.extend_from_slice(&self.boot_options);
        options
    }

    /// The server, the lease times, and what goes back as it came.
    fn write_essential(&self, options: &mut Vec<u8>, request: &Packet<'_>) {
        write_option(options, code::SERVER_ID, &self.server_id.octets());
        if self.address.is_some() {
            write_lease_times(options, self.lease_seconds, self.subnet);
        }
        if let Some(id) = request.client_id() {
            write_option(options, code::CLIENT_ID, id);
        }
        // A DISCOVER that is answered with a lease (RFC 4039).
        let is_rapid = self.message_type == Some(MessageType::Ack)
            && request.message_type() == Some(MessageType::Discover);
        if is_rapid && self.address.is_some() {
            write_option(options, code::RAPID_COMMIT, &[]);
        }
        if let Some(selection) = self.subnet_selection {
            write_option(options, code::SUBNET_SELECTION, &selection.octets());
        }
    }

    /// The options that the client asks for and those that it gets anyway, with the mask before
    /// any router (RFC 2132 section 3.3) and classless routes before the router that they replace
    /// (RFC 3442).
    fn wanted_in_order(&self, request: &Packet<'_>) -> SmallVec<[u8; 64]> {
        let mut codes = SmallVec::from_slice(request.wanted_options());
        if codes.is_empty() && self.subnet.is_some() {
            codes.extend(USUAL_REQUEST);
            codes.extend(self.added_codes().filter(|code| !is_boot_option(*code)));
        }
        if self.address.is_some() {
            codes.extend(BASIC_OPTIONS);
        }
        let Some(router) = codes.iter().position(|code| *code == code::ROUTER) else {
            return codes;
        };
        for earlier in [code::CLASSLESS_ROUTES, code::SUBNET_MASK] {
            let at = codes.iter().position(|code| *code == earlier);
            if let Some(at) = at.filter(|at| *at > router) {
                codes.remove(at);
                codes.insert(router, earlier);
            }
        }
        codes
    }

    /// Writes an option that the operator added or that the inventory knows the value of.
    fn write_setting(&self, options: &mut Vec<u8>, code: u8) {
        let Some(added) = self.added(code) else { return self.write_known(options, code) };
        let is_routes = matches!(code, code::CLASSLESS_ROUTES | code::MICROSOFT_ROUTES);
        let gateway = self.subnet.and_then(|subnet| subnet.gateway).and_then(v4);
        match gateway {
            // A client that gets routes ignores the router (RFC 3442).
            Some(gateway) if is_routes && !has_default_route(added) => {
                let mut routes = added.to_vec();
                routes.push(0);
                routes.extend(gateway.octets());
                write_option(options, code, &routes);
            }
            _ => write_option(options, code, added),
        }
    }

    /// Writes an option that the inventory knows the value of.
    fn write_known(&self, options: &mut Vec<u8>, option: u8) {
        let Some(subnet) = self.subnet else { return };
        let IpNet::V4(net) = subnet.cidr else { return };
        let router = subnet.gateway.and_then(v4);
        let mut write = |data: &[u8]| {
            // A list without members is not worth a line.
            if !data.is_empty() {
                write_option(options, option, data);
            }
        };
        match option {
            code::SUBNET_MASK => write(&net.netmask().octets()),
            code::ROUTER => {
                if let Some(router) = router {
                    write(&router.octets());
                }
            }
            code::DOMAIN_NAME_SERVER => write(&octets(subnet.usual_resolvers().filter_map(v4))),
            code::HOST_NAME => write(self.host_name.unwrap_or_default().as_bytes()),
            code::DOMAIN_NAME => {
                let domain = subnet.domains.first().map_or("", String::as_str);
                write(domain.trim_end_matches('.').as_bytes());
            }
            code::INTERFACE_MTU => {
                if let Some(mtu) = subnet.mtu.and_then(|mtu| u16::try_from(mtu).ok()) {
                    write(&mtu.to_be_bytes());
                }
            }
            code::BROADCAST_ADDRESS => write(&net.broadcast().octets()),
            code::NTP_SERVERS => {
                write(&octets(subnet.ntp.iter().filter_map(|ntp| ntp.parse().ok())));
            }
            code::DOMAIN_SEARCH => {
                let domains = subnet.domains.iter().filter_map(|text| Name::from_utf8(text).ok());
                write_typed(options, &DhcpOption::DomainSearch(domains.collect()));
            }
            // A client that heeds 121 ignores 3, so that the default route is repeated here.
            code::CLASSLESS_ROUTES => {
                if let Some(router) = router {
                    let [a, b, c, d] = router.octets();
                    write(&[0, a, b, c, d]);
                }
            }
            _ => {}
        }
    }
}

/// The longest packet that a client takes on a link with packets of `link_mtu` bytes, without IP
/// and UDP headers.
fn max_bytes(request: &Packet<'_>, link_mtu: u32) -> usize {
    let asked = request.max_message_bytes().filter(|bytes| *bytes >= DEFAULT_MESSAGE_BYTES);
    let mtu = u16::try_from(link_mtu).unwrap_or(u16::MAX).max(DEFAULT_MESSAGE_BYTES);
    usize::from(asked.unwrap_or(DEFAULT_MESSAGE_BYTES).min(mtu) - LOWER_HEADER_BYTES)
}

/// How long the address is good, when to renew and when to rebind: as the subnet says, else after
/// half and seven eighths of that (RFC 2131 section 4.4.5). Times of the subnet that are not before
/// the end of a short lease do not count.
fn write_lease_times(options: &mut Vec<u8>, seconds: u32, subnet: Option<&Subnet>) {
    let rebind = subnet.and_then(Subnet::rebind_seconds).filter(|rebind| *rebind < seconds);
    let rebind = rebind.unwrap_or_else(|| (u64::from(seconds) * 7 / 8) as u32);
    let renew = subnet.and_then(Subnet::renew_seconds).filter(|renew| *renew < rebind);
    let renew = renew.unwrap_or_else(|| (seconds / 2).min(rebind));
    write_option(options, code::LEASE_TIME, &seconds.to_be_bytes());
    write_option(options, code::RENEWAL_TIME, &renew.to_be_bytes());
    write_option(options, code::REBINDING_TIME, &rebind.to_be_bytes());
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

/// The bytes of several addresses.
fn octets(addresses: impl Iterator<Item = Ipv4Addr>) -> SmallVec<[u8; 32]> {
    addresses.flat_map(|address| address.octets()).collect()
}

/// Writes an option as dhcproto does, unless it is empty or has no encoding.
fn write_typed(options: &mut Vec<u8>, option: &DhcpOption) {
    let mut bytes = Vec::new();
    if option.encode(&mut Encoder::new(&mut bytes)).is_ok() && bytes.len() > 2 {
        options.extend(bytes);
    }
}

#[cfg(test)]
mod tests;
