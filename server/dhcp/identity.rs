//! By what a message tells its host, where its MAC does not. Pure.

use super::wire::Packet;
use crate::model::Identity;
use crate::options::code;

/// What the sender of a message may be known by, in the order in which it counts: UUID,
/// client identifier, switch port (with its relay, alone, and the relay alone).
///
/// Option 82 counts without a relay's address too: switches that snoop put it in without
/// passing the packet on, and a client that makes it up could as well make up its MAC.
pub(crate) fn identities<'a>(request: &'a Packet<'_>) -> impl Iterator<Item = Identity> + 'a {
    let uuid = uuid(request).map(Identity::uuid);
    let client_id = request.client_id().map(|id| Identity::ClientId(id.to_vec()));
    let filled = |bytes: &&[u8]| !bytes.is_empty();
    let info = request.relay_info();
    let circuit = info.and_then(|info| info.circuit_id).filter(filled);
    let remote = info.and_then(|info| info.remote_id).filter(filled);
    let ports = [(circuit, remote), (circuit, None), (None, remote)];
    let given = ports.into_iter().filter(|(circuit, remote)| circuit.is_some() || remote.is_some());
    let ports = given.map(|(circuit, remote)| Identity::Port {
        circuit: circuit.map(<[u8]>::to_vec),
        remote: remote.map(<[u8]>::to_vec),
    });
    uuid.into_iter().chain(client_id).chain(ports)
}

/// The machine's UUID: option 97 (RFC 4578 section 2.3), a client identifier of type 0 that
/// is one, or UEFI's hardware address of 16 bytes (EDK2 SendGUID).
fn uuid(request: &Packet<'_>) -> Option<[u8; 16]> {
    let typed = |bytes: &[u8]| match bytes {
        [0, uuid @ ..] => <[u8; 16]>::try_from(uuid).ok(),
        _ => None,
    };
    let uuid = request.option(code::CLIENT_UUID).and_then(typed);
    let uuid = uuid.or_else(|| request.client_id().and_then(typed));
    let uuid = uuid.or_else(|| request.hardware.try_into().ok());
    // Boards without one of their own.
    uuid.filter(|uuid| *uuid != [0; 16] && *uuid != [0xff; 16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::test_packets::message;
    use crate::dhcp::wire::Packet;

    fn told(bytes: &[u8]) -> Vec<String> {
        let request = Packet::parse(bytes).unwrap();
        request.check_request().unwrap();
        identities(&request).map(|identity| identity.to_string()).collect()
    }

    #[test]
    fn a_message_tells_who_sent_it_in_the_order_that_counts() {
        let uuid: Vec<u8> = (0..=16).collect();
        let port: &[u8] = &[82, 9, 1, 3, b'g', b'e', b'1', 2, 2, b's', b'w'];
        let option = |code: u8, data: &[u8]| [&[code, data.len() as u8], data].concat();
        let shown = "UUID 01020304-0506-0708-090a-0b0c0d0e0f10";
        let cases: [(&str, &[&[u8]], &[&str]); 6] = [
            ("nothing", &[], &[]),
            ("option 97", &[&option(97, &uuid)], &[shown]),
            (
                "a client identifier that is a UUID",
                &[&option(61, &uuid)],
                &[shown, "client identifier hex:000102030405060708090a0b0c0d0e0f10"],
            ),
            ("a board without a UUID", &[&option(97, &[0; 17])], &[]),
            ("a port", &[port], &["port ge1 of sw", "port ge1", "relay sw"]),
            (
                "everything",
                &[port, &option(61, b"\0me"), &option(97, &uuid)],
                &[shown, "client identifier hex:006d65", "port ge1 of sw", "port ge1", "relay sw"],
            ),
        ];
        for (name, options, expected) in cases {
            assert_eq!(told(&message(1, options)), expected, "{name}");
        }
        let mut guid = message(1, &[]);
        guid[2] = 16;
        guid[28..44].copy_from_slice(&uuid[1..]);
        assert_eq!(told(&guid), [shown], "EDK2 SendGUID");
    }
}
