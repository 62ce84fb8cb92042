//! DHCP option codes by name, and the sub-options inside an option (RFC 2132, RFC 3046). Pure.
//!
//! Below `model`, `boot` and `dhcp`, which all read options.

/// Option codes, named as in their RFC (RFC 2132 unless said otherwise).
pub(crate) mod code {
    /// Fills space between options; has no length.
    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const TIME_OFFSET: u8 = 2;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const TIME_SERVER: u8 = 4;
    pub(crate) const NAME_SERVER: u8 = 5;
    pub(crate) const DOMAIN_NAME_SERVER: u8 = 6;
    pub(crate) const LOG_SERVER: u8 = 7;
    pub(crate) const COOKIE_SERVER: u8 = 8;
    pub(crate) const LPR_SERVER: u8 = 9;
    pub(crate) const IMPRESS_SERVER: u8 = 10;
    pub(crate) const RESOURCE_LOCATION_SERVER: u8 = 11;
    pub(crate) const HOST_NAME: u8 = 12;
    pub(crate) const BOOT_FILE_SIZE: u8 = 13;
    pub(crate) const MERIT_DUMP_FILE: u8 = 14;
    pub(crate) const DOMAIN_NAME: u8 = 15;
    pub(crate) const SWAP_SERVER: u8 = 16;
    pub(crate) const ROOT_PATH: u8 = 17;
    pub(crate) const EXTENSIONS_PATH: u8 = 18;
    pub(crate) const IP_FORWARDING: u8 = 19;
    pub(crate) const NON_LOCAL_SOURCE_ROUTING: u8 = 20;
    pub(crate) const POLICY_FILTER: u8 = 21;
    pub(crate) const MAX_DATAGRAM_REASSEMBLY: u8 = 22;
    pub(crate) const DEFAULT_TTL: u8 = 23;
    pub(crate) const PATH_MTU_AGING_TIMEOUT: u8 = 24;
    pub(crate) const INTERFACE_MTU: u8 = 26;
    pub(crate) const ALL_SUBNETS_LOCAL: u8 = 27;
    pub(crate) const BROADCAST_ADDRESS: u8 = 28;
    pub(crate) const PERFORM_MASK_DISCOVERY: u8 = 29;
    pub(crate) const MASK_SUPPLIER: u8 = 30;
    pub(crate) const ROUTER_DISCOVERY: u8 = 31;
    pub(crate) const ROUTER_SOLICITATION_ADDRESS: u8 = 32;
    pub(crate) const STATIC_ROUTES: u8 = 33;
    pub(crate) const TRAILER_ENCAPSULATION: u8 = 34;
    pub(crate) const ARP_CACHE_TIMEOUT: u8 = 35;
    pub(crate) const ETHERNET_ENCAPSULATION: u8 = 36;
    pub(crate) const TCP_DEFAULT_TTL: u8 = 37;
    pub(crate) const TCP_KEEPALIVE_INTERVAL: u8 = 38;
    pub(crate) const TCP_KEEPALIVE_GARBAGE: u8 = 39;
    pub(crate) const NIS_DOMAIN: u8 = 40;
    pub(crate) const NIS_SERVERS: u8 = 41;
    pub(crate) const NTP_SERVERS: u8 = 42;
    /// Sub-options of a vendor's own; PXE's for firmware (PXE 2.1).
    pub(crate) const VENDOR_SPECIFIC: u8 = 43;
    pub(crate) const NETBIOS_NAME_SERVERS: u8 = 44;
    pub(crate) const NETBIOS_NODE_TYPE: u8 = 46;
    pub(crate) const NETBIOS_SCOPE: u8 = 47;
    pub(crate) const FONT_SERVERS: u8 = 48;
    pub(crate) const X_DISPLAY_MANAGERS: u8 = 49;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    /// Says that the fields `file` and `sname` hold options too.
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER_ID: u8 = 54;
    pub(crate) const PARAMETER_REQUEST_LIST: u8 = 55;
    pub(crate) const MESSAGE: u8 = 56;
    pub(crate) const MAX_MESSAGE_SIZE: u8 = 57;
    pub(crate) const RENEWAL_TIME: u8 = 58;
    pub(crate) const REBINDING_TIME: u8 = 59;
    pub(crate) const VENDOR_CLASS: u8 = 60;
    pub(crate) const CLIENT_ID: u8 = 61;
    pub(crate) const TFTP_SERVER_NAME: u8 = 66;
    pub(crate) const BOOT_FILE_NAME: u8 = 67;
    pub(crate) const SMTP_SERVERS: u8 = 69;
    pub(crate) const WWW_SERVERS: u8 = 72;
    /// RFC 3004.
    pub(crate) const USER_CLASS: u8 = 77;
    /// RFC 4039.
    pub(crate) const RAPID_COMMIT: u8 = 80;
    /// RFC 4702.
    #[cfg(any(test, fuzzing))]
    pub(crate) const CLIENT_FQDN: u8 = 81;
    /// RFC 3046.
    pub(crate) const RELAY_INFO: u8 = 82;
    /// RFC 4578.
    pub(crate) const CLIENT_ARCH: u8 = 93;
    /// RFC 4578.
    #[cfg(any(test, fuzzing))]
    pub(crate) const CLIENT_NDI: u8 = 94;
    /// RFC 4578.
    pub(crate) const CLIENT_UUID: u8 = 97;
    /// RFC 4833.
    pub(crate) const POSIX_TIMEZONE: u8 = 100;
    /// RFC 4833.
    pub(crate) const TIMEZONE: u8 = 101;
    /// RFC 8925.
    pub(crate) const IPV6_ONLY_PREFERRED: u8 = 108;
    /// RFC 8910.
    pub(crate) const CAPTIVE_PORTAL: u8 = 114;
    /// RFC 3011.
    pub(crate) const SUBNET_SELECTION: u8 = 118;
    /// RFC 3397.
    pub(crate) const DOMAIN_SEARCH: u8 = 119;
    /// RFC 3442.
    pub(crate) const CLASSLESS_ROUTES: u8 = 121;
    /// RFC 5417.
    pub(crate) const CAPWAP_CONTROLLERS: u8 = 138;
    /// RFC 5859.
    pub(crate) const TFTP_SERVERS: u8 = 150;
    /// RFC 6926.
    #[cfg(any(test, fuzzing))]
    pub(crate) const STATUS_CODE: u8 = 151;
    /// RFC 6926.
    #[cfg(any(test, fuzzing))]
    pub(crate) const BASE_TIME: u8 = 152;
    /// RFC 6926.
    #[cfg(any(test, fuzzing))]
    pub(crate) const QUERY_END_TIME: u8 = 155;
    /// iPXE's own sub-options (iPXE `src/include/ipxe/dhcp.h`).
    pub(crate) const IPXE: u8 = 175;
    /// Classless routes for clients older than RFC 3442 (MS-DHCPE).
    pub(crate) const MICROSOFT_ROUTES: u8 = 249;
    pub(crate) const PROXY_AUTODISCOVERY: u8 = 252;
    /// Ends the options; has no length.
    pub(crate) const END: u8 = 255;
}

/// Every sub-option of an encapsulated option in order; what is cut short ends the list.
pub(crate) fn sub_options(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut all = Vec::new();
    while let [code, rest @ ..] = bytes {
        if *code == code::PAD {
            bytes = rest;
            continue;
        }
        let Some((length, rest)) = rest.split_first().filter(|_| *code != code::END) else { break };
        let Some((data, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
        all.push((*code, data));
        bytes = rest;
    }
    all
}

/// The first sub-option of a code in an encapsulated option, such as 43, 82 and 175.
pub(crate) fn sub_option(mut bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, length, rest @ ..] = bytes {
        let (data, rest) = rest.split_at_checked(usize::from(*length))?;
        if *code == wanted {
            return Some(data);
        }
        bytes = rest;
    }
    None
}
