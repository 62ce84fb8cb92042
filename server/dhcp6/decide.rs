//! Reads a DHCPv6 message and writes its answer (RFC 8415). Pure, and keeps no state: the address
//! of an answer is made from the client's own link-local one.

use std::net::Ipv6Addr;

use dhcproto::v6::{
    DhcpOption, IAAddr, IANA, Message, MessageType, OptionCode, Status, StatusCode, UnknownOption,
};
use dhcproto::{Encodable, Encoder};

use crate::model::{Identity, Mac};

/// A DUID is at most this long (RFC 8415 section 11.1), in bytes.
const MAX_DUID_BYTES: usize = 130;
/// More associations of one client than this are not answered.
const MAX_ASSOCIATIONS: usize = 4;
/// More addresses of one association than this are not read.
const MAX_ADDRESSES: usize = 4;
/// The prefix of the addresses of hosts that boot their disk. It is unique local and routed nowhere:
/// EDK2 gives up before it uses the address.
const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd72, 0x6163, 0x6b73, 0x7472, 0, 0, 0, 0);
/// How long an address is valid, in seconds; it is preferred for half of that.
const VALID_SECONDS: u32 = 120;
/// How a vendor class of UEFI HTTP Boot begins (UEFI specification section 24.7).
const HTTP_CLIENT: &[u8] = b"HTTPClient";
/// The enterprise number of the vendor class in answers: Intel's, which firmware sends itself.
const ENTERPRISE: u32 = 343;
/// OPT_BOOTFILE_URL (RFC 5970 section 3.1).
const BOOT_FILE_URL: u16 = 59;

/// A client's message, reduced to what its answer depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientMessage {
    kind: MessageType,
    transaction_id: [u8; 3],
    client_id: Vec<u8>,
    server_id: Option<Vec<u8>>,
    associations: Vec<Association>,
    source: Ipv6Addr,
    /// Whether firmware asks in order to boot, not an operating system.
    pub boots: bool,
    /// The first architecture that it names (RFC 5970 section 3.3).
    pub arch: Option<u16>,
    /// Whether it loads its boot program by HTTP.
    pub is_http: bool,
    /// The MAC addresses that the client shows: in its DUID, and in its link-local address.
    pub macs: Vec<Mac>,
    /// The machine's UUID, if its DUID is one.
    pub uuid: Option<Identity>,
}

/// An IA_NA that a client names, with the addresses in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Association {
    id: u32,
    addresses: Vec<Ipv6Addr>,
}

impl Association {
    /// Reads the value of the option: id, T1, T2, options (RFC 8415 section 21.4).
    fn read(data: &[u8]) -> Option<Self> {
        let id = u32::from_be_bytes(*data.first_chunk()?);
        let addresses = options(data.get(12..)?)
            .filter(|(code, _)| *code == OptionCode::IAAddr)
            .filter_map(|(_, data)| Some(Ipv6Addr::from(*data.first_chunk::<16>()?)))
            .take(MAX_ADDRESSES)
            .collect();
        Some(Self { id, addresses })
    }
}

/// Reads a message from a client on the link itself. None for all that is never answered:
/// relayed and malformed messages, and those without a client identifier.
pub(crate) fn read(bytes: &[u8], source: Ipv6Addr) -> Option<ClientMessage> {
    let kind = MessageType::from(*bytes.first()?);
    let answered = [
        MessageType::Solicit,
        MessageType::Request,
        MessageType::Renew,
        MessageType::Release,
        MessageType::Decline,
    ];
    if !answered.contains(&kind) || !source.is_unicast_link_local() {
        return None;
    }
    let transaction_id = bytes.get(1..4)?.try_into().ok()?;
    let (mut client_id, mut server_id, mut boots) = (None, None, false);
    let (mut arch, mut is_http) = (None, false);
    let mut associations = Vec::new();
    for (code, data) in options(bytes.get(4..)?) {
        match code {
            OptionCode::ClientId => client_id = Some(data.to_vec()),
            OptionCode::ServerId => server_id = Some(data.to_vec()),
            OptionCode::IANA if associations.len() < MAX_ASSOCIATIONS => {
                associations.extend(Association::read(data));
            }
            OptionCode::VendorClass => {
                let class = first_class(data);
                is_http |= class.starts_with(HTTP_CLIENT);
                boots |= is_http || class.starts_with(b"PXEClient");
            }
            OptionCode::ClientArchType => {
                boots = true;
                arch = arch.or_else(|| data.first_chunk().map(|arch| u16::from_be_bytes(*arch)));
            }
            _ => {}
        }
    }
    let client_id = client_id.filter(|id| (1..=MAX_DUID_BYTES).contains(&id.len()))?;
    Some(ClientMessage {
        kind,
        transaction_id,
        associations,
        server_id,
        source,
        boots,
        arch,
        is_http,
        macs: mac_of_duid(&client_id).into_iter().chain(mac_of_address(source)).collect(),
        uuid: uuid_of_duid(&client_id),
        client_id,
    })
}

/// The options of a message with their data, as far as they are whole. By hand: dhcproto 0.15
/// subtracts past zero in a vendor class of less than 4 bytes.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (OptionCode, &[u8])> {
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_first_chunk::<4>()?;
        let [code, length] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes);
        let (data, after) = behind.split_at_checked(length.into())?;
        rest = after;
        Some((code.into(), data))
    })
}

/// The first text of a vendor class: an enterprise number, then texts with their lengths.
fn first_class(vendor_class: &[u8]) -> &[u8] {
    vendor_class.get(6..).unwrap_or_default()
}

/// What firmware is told to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Boots {
    /// Its local disk: an answer without a boot file ends the attempt.
    Disk,
    /// A boot program, by its URL. The client's address has the first 64 bits of `prefix`, which is
    /// an address of this server on the link: its answers would not find another one.
    Url { url: String, prefix: Ipv6Addr },
    /// Nothing of ours: it is not answered.
    Nothing,
}

/// Writes the reply, if there is one (RFC 8415 section 18.3). `server_id` is this server's DUID.
/// A message to another server, or to none where it needs one, gets no reply (section 16).
pub(crate) fn answer(message: &ClientMessage, server_id: &[u8], boots: &Boots) -> Option<Vec<u8>> {
    let names_us = message.server_id.as_deref() == Some(server_id);
    let is_host = *boots != Boots::Nothing;
    let is_served = is_host && message.boots && !message.associations.is_empty();
    let kind = match message.kind {
        MessageType::Solicit if is_served && message.server_id.is_none() => MessageType::Advertise,
        MessageType::Request if is_served && names_us => MessageType::Reply,
        // An unanswered RELEASE holds EDK2 up for 69 s, whoever sends it.
        MessageType::Renew | MessageType::Release | MessageType::Decline if names_us => {
            MessageType::Reply
        }
        _ => return None,
    };
    let mut reply = Message::new_with_id(kind, message.transaction_id);
    let options = reply.opts_mut();
    options.insert(DhcpOption::ClientId(message.client_id.clone()));
    options.insert(DhcpOption::ServerId(server_id.to_vec()));
    let ends = matches!(message.kind, MessageType::Release | MessageType::Decline);
    if ends {
        options.insert(status(Status::Success));
    }
    let own = match boots {
        Boots::Url { prefix, .. } => own_address(*prefix, message.source),
        Boots::Disk | Boots::Nothing => own_address(PREFIX, message.source),
    };
    for Association { id, addresses } in &message.associations {
        let is_bound = addresses.iter().all(|address| *address == own);
        match message.kind {
            MessageType::Renew if !(is_host && is_bound) => options.insert(no_binding(*id)),
            _ if ends && is_bound => {}
            _ if ends => options.insert(no_binding(*id)),
            _ => options.insert(association(*id, own)),
        }
    }
    if let (Boots::Url { url, .. }, MessageType::Advertise | MessageType::Reply, false) =
        (boots, kind, ends)
    {
        options.insert(unknown(BOOT_FILE_URL, url.clone().into_bytes()));
        if message.is_http {
            // Not by dhcproto's own type, which writes a wrong length.
            let length = HTTP_CLIENT.len() as u16;
            let class =
                [&ENTERPRISE.to_be_bytes()[..], &length.to_be_bytes(), HTTP_CLIENT].concat();
            options.insert(unknown(OptionCode::VendorClass.into(), class));
        }
    }
    let mut bytes = Vec::new();
    reply.encode(&mut Encoder::new(&mut bytes)).ok()?;
    Some(bytes)
}

/// The address of a client whose link-local address is `source`, in the network of `prefix`.
fn own_address(prefix: Ipv6Addr, source: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c, d] = source.segments();
    let [p, q, r, s, ..] = prefix.segments();
    Ipv6Addr::new(p, q, r, s, a, b, c, d)
}

fn unknown(code: u16, data: Vec<u8>) -> DhcpOption {
    DhcpOption::Unknown(UnknownOption::new(code.into(), data))
}

fn status(status: Status) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status, msg: String::new() })
}

/// An IA_NA that is not this server's (RFC 8415 sections 18.3.4, 18.3.7 and 18.3.8).
fn no_binding(id: u32) -> DhcpOption {
    let opts = std::iter::once(status(Status::NoBinding)).collect();
    DhcpOption::IANA(IANA { id, t1: 0, t2: 0, opts })
}

/// An IA_NA with one address.
fn association(id: u32, addr: Ipv6Addr) -> DhcpOption {
    let address = IAAddr {
        addr,
        preferred_life: VALID_SECONDS / 2,
        valid_life: VALID_SECONDS,
        opts: std::iter::empty().collect(),
    };
    let opts = std::iter::once(DhcpOption::IAAddr(address)).collect();
    DhcpOption::IANA(IANA { id, t1: VALID_SECONDS / 4, t2: VALID_SECONDS / 3, opts })
}

/// The MAC in a DUID of type 1 (link-layer address and time) or 3 (link-layer address) with the
/// hardware type of Ethernet.
fn mac_of_duid(duid: &[u8]) -> Option<Mac> {
    match duid {
        [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().ok().map(Mac),
        _ => None,
    }
}

/// The MAC that a link-local address was made from (RFC 4291 appendix A), as firmware does.
fn mac_of_address(address: Ipv6Addr) -> Option<Mac> {
    match address.octets() {
        [.., a, b, c, 0xff, 0xfe, d, e, f] => Some(Mac([a ^ 2, b, c, d, e, f])),
        _ => None,
    }
}

/// The UUID in a DUID of type 4 (RFC 6355), which EDK2 uses.
fn uuid_of_duid(duid: &[u8]) -> Option<Identity> {
    match duid {
        [0, 4, uuid @ ..] => uuid.try_into().ok().map(Identity::uuid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use dhcproto::{Decodable, Decoder};
    use proptest::prelude::*;

    use super::*;

    const OURS: [u8; 10] = [0, 3, 0, 1, 0x52, 0x54, 0, 0xcc, 0, 1];
    const FIRMWARE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfeaa, 1);
    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    fn message(kind: MessageType, options: Vec<DhcpOption>) -> Vec<u8> {
        let mut message = Message::new_with_id(kind, [1, 2, 3]);
        options.into_iter().for_each(|option| message.opts_mut().insert(option));
        let mut bytes = Vec::new();
        message.encode(&mut Encoder::new(&mut bytes)).unwrap();
        bytes
    }

    fn client() -> DhcpOption {
        DhcpOption::ClientId([&[0, 4][..], &[7; 16]].concat())
    }

    fn wants_address() -> DhcpOption {
        DhcpOption::IANA(IANA { id: 9, t1: 0, t2: 0, opts: std::iter::empty().collect() })
    }

    fn class(text: &[u8]) -> DhcpOption {
        // Not by dhcproto's own type, which writes a wrong length.
        let data = [&343u32.to_be_bytes()[..], &(text.len() as u16).to_be_bytes(), text].concat();
        DhcpOption::Unknown(UnknownOption::new(OptionCode::VendorClass, data))
    }

    fn ask(kind: MessageType, options: Vec<DhcpOption>) -> Option<ClientMessage> {
        read(&message(kind, options), FIRMWARE)
    }

    #[test]
    fn only_firmware_of_a_host_that_boots_its_disk_is_answered() {
        use MessageType as T;
        let arch = || DhcpOption::ClientArchType(vec![7.into()]);
        let ours = || DhcpOption::ServerId(OURS.to_vec());
        let other = || DhcpOption::ServerId(vec![0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
        let pxe = || class(b"PXEClient:Arch:00007:UNDI:003000");
        let (id, ia) = (client, wants_address);
        let cases = [
            ("architecture", T::Solicit, vec![id(), ia(), arch()], true, Some(T::Advertise)),
            ("PXE class", T::Solicit, vec![id(), ia(), pxe()], true, Some(T::Advertise)),
            (
                "HTTP class",
                T::Solicit,
                vec![id(), ia(), class(b"HTTPClient")],
                true,
                Some(T::Advertise),
            ),
            ("another host", T::Solicit, vec![id(), ia(), arch()], false, None),
            ("an operating system", T::Solicit, vec![id(), ia()], true, None),
            ("another class", T::Solicit, vec![id(), ia(), class(b"d-i")], true, None),
            ("no IA_NA", T::Solicit, vec![id(), arch()], true, None),
            ("no client", T::Solicit, vec![ia(), arch()], true, None),
            (
                "a SOLICIT that names a server",
                T::Solicit,
                vec![id(), ours(), ia(), arch()],
                true,
                None,
            ),
            ("REQUEST", T::Request, vec![id(), ours(), ia(), arch()], true, Some(T::Reply)),
            (
                "REQUEST to another server",
                T::Request,
                vec![id(), other(), ia(), arch()],
                true,
                None,
            ),
            ("RELEASE", T::Release, vec![id(), ours(), ia()], false, Some(T::Reply)),
            ("RELEASE to another server", T::Release, vec![id(), other(), ia()], true, None),
            ("RELEASE to no server", T::Release, vec![id(), ia()], true, None),
            ("RELEASE without a client", T::Release, vec![ours(), ia()], true, None),
            ("DECLINE", T::Decline, vec![id(), ours(), ia()], false, Some(T::Reply)),
            ("DECLINE to another server", T::Decline, vec![id(), other(), ia()], true, None),
            ("DECLINE to no server", T::Decline, vec![id(), ia()], true, None),
            ("RENEW", T::Renew, vec![id(), ours(), ia()], false, Some(T::Reply)),
            ("RENEW to another server", T::Renew, vec![id(), other(), ia()], true, None),
            ("RENEW to no server", T::Renew, vec![id(), ia()], true, None),
            ("REBIND", T::Rebind, vec![id(), ia(), arch()], true, None),
            ("REQUEST to no server", T::Request, vec![id(), ia(), arch()], true, None),
            ("INFORMATION-REQUEST", T::InformationRequest, vec![id(), arch()], true, None),
            ("CONFIRM", T::Confirm, vec![id(), ia(), arch()], true, None),
            ("relayed", T::RelayForw, vec![id(), ia(), arch()], true, None),
        ];
        for (name, kind, options, boots_disk, expected) in cases {
            let boots = if boots_disk { Boots::Disk } else { Boots::Nothing };
            let answer = ask(kind, options).and_then(|it| answer(&it, &OURS, &boots));
            let kind = answer.map(|bytes| MessageType::from(bytes[0]));
            assert_eq!(kind, expected, "{name}");
        }
    }

    /// RFC 8415 sections 18.3.4, 18.3.7 and 18.3.8.
    #[test]
    fn an_association_that_is_not_ours_is_answered_with_no_binding() {
        let ours = DhcpOption::ServerId(OURS.to_vec());
        let with = |addr: Ipv6Addr| {
            let address = IAAddr {
                addr,
                preferred_life: 0,
                valid_life: 0,
                opts: std::iter::empty().collect(),
            };
            let opts = std::iter::once(DhcpOption::IAAddr(address)).collect();
            DhcpOption::IANA(IANA { id: 9, t1: 0, t2: 0, opts })
        };
        let own = with(own_address(PREFIX, FIRMWARE));
        let foreign = with("2001:db8::1".parse().unwrap());
        use MessageType as T;
        let none: &[u16] = &[];
        let cases = [
            ("a release of our address", T::Release, &own, true, vec![1, 2, 13], none),
            ("a release of another's", T::Release, &foreign, true, vec![1, 2, 3, 13], &[13]),
            ("a decline of our address", T::Decline, &own, true, vec![1, 2, 13], none),
            ("a decline of another's", T::Decline, &foreign, true, vec![1, 2, 3, 13], &[13]),
            ("a renewal", T::Renew, &own, true, vec![1, 2, 3], &[5]),
            ("a renewal of another's address", T::Renew, &foreign, true, vec![1, 2, 3], &[13]),
            ("a renewal of one that is not served", T::Renew, &own, false, vec![1, 2, 3], &[13]),
        ];
        for (name, kind, association, boots_disk, expected, inside) in cases {
            let asked = ask(kind, vec![client(), ours.clone(), association.clone()]).unwrap();
            let boots = if boots_disk { Boots::Disk } else { Boots::Nothing };
            let bytes = answer(&asked, &OURS, &boots).unwrap();
            let reply = Message::decode(&mut Decoder::new(&bytes)).unwrap();
            let mut codes: Vec<u16> =
                reply.opts().iter().map(|o| OptionCode::from(o).into()).collect();
            codes.sort_unstable();
            assert_eq!(codes, expected, "{name}");
            if let Some(DhcpOption::IANA(found)) = reply.opts().get(OptionCode::IANA) {
                let codes: Vec<u16> =
                    found.opts.iter().map(|o| OptionCode::from(o).into()).collect();
                assert_eq!((found.id, codes.as_slice()), (9, inside), "{name}");
            }
        }
    }

    #[test]
    fn an_advertise_has_an_address_and_no_boot_file() {
        let arch = DhcpOption::ClientArchType(vec![7.into()]);
        let message = ask(MessageType::Solicit, vec![client(), wants_address(), arch]).unwrap();
        let bytes = answer(&message, &OURS, &Boots::Disk).unwrap();
        assert_eq!(bytes[..4], [2, 1, 2, 3], "an ADVERTISE of the same transaction");
        let answer = Message::decode(&mut Decoder::new(&bytes)).unwrap();
        let codes: Vec<u16> = answer.opts().iter().map(|o| OptionCode::from(o).into()).collect();
        assert_eq!(codes, [1, 2, 3], "client, server, IA_NA");
        let Some(DhcpOption::IANA(association)) = answer.opts().get(OptionCode::IANA) else {
            panic!("no IA_NA");
        };
        assert_eq!(association.id, 9);
        let Some(DhcpOption::IAAddr(address)) = association.opts.get(OptionCode::IAAddr) else {
            panic!("no address");
        };
        assert_eq!(address.addr.to_string(), "fd72:6163:6b73:7472:5054:ff:feaa:1");
    }

    #[test]
    fn a_host_that_boots_from_the_network_is_told_its_boot_program() {
        let arch = |number: u16| DhcpOption::ClientArchType(vec![number.into()]);
        let ours = || DhcpOption::ServerId(OURS.to_vec());
        let http = || class(b"HTTPClient:Arch:00016:UNDI:003000");
        let url = "tftp://[fe80::1]/snponly.efi";
        let cases = [
            ("PXE", MessageType::Solicit, vec![arch(7)], (Some(7), false), vec![1, 2, 3, 59]),
            (
                "HTTP",
                MessageType::Solicit,
                vec![arch(16), http()],
                (Some(16), true),
                vec![1, 2, 3, 16, 59],
            ),
            (
                "REQUEST",
                MessageType::Request,
                vec![arch(7), ours()],
                (Some(7), false),
                vec![1, 2, 3, 59],
            ),
            // Firmware gives its address back before it starts what it has loaded.
            ("RELEASE", MessageType::Release, vec![ours()], (None, false), vec![1, 2, 13]),
        ];
        for (name, kind, mut options, told, expected) in cases {
            options.extend([client(), wants_address()]);
            let message = ask(kind, options).unwrap();
            assert_eq!((message.arch, message.is_http), told, "{name}");
            let prefix = "2001:db8:77::1".parse().unwrap();
            let boots = Boots::Url { url: url.to_owned(), prefix };
            let bytes = answer(&message, &OURS, &boots).unwrap();
            let reply = Message::decode(&mut Decoder::new(&bytes)).unwrap();
            let mut codes: Vec<u16> =
                reply.opts().iter().map(|o| OptionCode::from(o).into()).collect();
            codes.sort_unstable();
            assert_eq!(codes, expected, "{name}");
            if let Some(DhcpOption::IANA(association)) = reply.opts().get(OptionCode::IANA) {
                let address = association.opts.get(OptionCode::IAAddr);
                let Some(DhcpOption::IAAddr(address)) = address else { panic!("no address") };
                assert_eq!(address.addr.to_string(), "2001:db8:77:0:5054:ff:feaa:1", "{name}");
            }
            let found: Vec<&[u8]> = options_of(&bytes, BOOT_FILE_URL);
            assert!(found.iter().all(|found| *found == url.as_bytes()), "{name}");
            let found = options_of(&bytes, 16);
            assert!(found.iter().all(|found| first_class(found) == HTTP_CLIENT), "{name}");
        }
    }

    fn options_of(message: &[u8], code: u16) -> Vec<&[u8]> {
        let all = options(&message[4..]);
        all.filter(|(found, _)| u16::from(*found) == code).map(|(_, data)| data).collect()
    }

    #[test]
    fn a_client_shows_its_mac_or_its_uuid() {
        let duid = |bytes: &[u8]| DhcpOption::ClientId(bytes.to_vec());
        let other = [0x52, 0x54, 0, 0xbb, 0, 2];
        let with_time = [&[0, 1, 0, 1, 0, 0, 0, 0][..], &other].concat();
        let plain = [&[0, 3, 0, 1][..], &other].concat();
        let cases = [(with_time, vec![Mac(other), MAC]), (plain, vec![Mac(other), MAC])];
        for (id, macs) in cases {
            assert_eq!(ask(MessageType::Solicit, vec![duid(&id)]).unwrap().macs, macs);
        }
        let by_uuid = ask(MessageType::Solicit, vec![client()]).unwrap();
        assert_eq!((by_uuid.macs, by_uuid.uuid), (vec![MAC], Some(Identity::uuid([7; 16]))));
    }

    #[test]
    fn a_packet_from_beyond_the_link_is_not_read() {
        let bytes = message(MessageType::Solicit, vec![client(), wants_address()]);
        assert!(read(&bytes, FIRMWARE).is_some());
        assert_eq!(read(&bytes, "2001:db8::1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn any_options_are_read_without_harm(
            kind in 0u8..14,
            options in proptest::collection::vec((0u8..70, 0u8..40, any::<[u8; 32]>()), 0..12),
        ) {
            let mut bytes = vec![kind, 1, 2, 3];
            for (code, length, data) in options {
                bytes.extend([0, code, 0, length]);
                bytes.extend(&data[..usize::from(length).min(32)]);
            }
            if let Some(message) = read(&bytes, FIRMWARE) {
                let answer = answer(&message, &OURS, &Boots::Disk).unwrap_or_default();
                prop_assert!(answer.len() <= 400, "{}", answer.len());
            }
        }
    }
}
