//! Translates a message into the fields of events.

use crate::boot::next::Next;
use crate::dhcp::identity::identities;
use crate::dhcp::link::ServedLink;
use crate::dhcp::wire::Packet;
use crate::lifecycle::client::Client;
use crate::lifecycle::event::{Boots, Way};
use crate::lifecycle::reason::Reason;
use crate::lifecycle::unknown::ClientMarks;
use crate::model::{Identity, Uuid};
use crate::options::code;

/// The way by which a request came: the interface, or the relay and its port.
pub(super) fn way(request: &Packet<'_>, link: &ServedLink) -> Way {
    let Some(address) = request.relay_address() else {
        return Way::Interface(link.interface.clone());
    };
    let circuit = request.relay_info().and_then(|info| info.circuit_id);
    Way::Relay { address, port: circuit.map(printable) }
}

/// What marks an unknown client, as its message shows it.
pub(super) fn marks(
    request: &Packet<'_>,
    link: &ServedLink,
    client: Client,
    unanswered: Option<Reason>,
) -> ClientMarks {
    let uuid = identities(request).find_map(|identity| match identity {
        Identity::Uuid(bytes) => Some(Uuid(bytes).to_string()),
        _ => None,
    });
    ClientMarks {
        client,
        vendor_class: request.filled_option(code::VENDOR_CLASS).map(text),
        host_name: request.filled_option(code::HOST_NAME).map(text),
        uuid,
        way: way(request, link),
        remote_id: request.relay_info().and_then(|info| info.remote_id).map(printable),
        unanswered,
    }
}

/// Bytes of a client as text, without a NUL at the end; in hexadecimal if they are not printable.
fn text(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(128)];
    let short = short.strip_suffix(&[0]).unwrap_or(short);
    if !short.is_empty() && short.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return String::from_utf8_lossy(short).into_owned();
    }
    let digits: String = short.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("hex:{digits}")
}

/// What a client boots, as it is recorded.
pub(super) fn boots(next: &Next, client: Client, boot_file: &str) -> Option<Boots> {
    Some(match next {
        Next::Nothing(_) => return None,
        Next::LocalMenu | Next::LocalUrl => Boots::LocalDisk,
        Next::Nbp(_) if next.is_url(client) => Boots::Url(boot_file.to_owned()),
        Next::Nbp(name) => Boots::Tftp(name.clone()),
        Next::Script => Boots::Script(boot_file.to_owned()),
        Next::RaspberryPi => Boots::RaspberryPi,
    })
}

/// Bytes of a client as text: as they are if printable, else in hexadecimal.
pub(super) fn printable(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(64)];
    if !short.is_empty() && short.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return format!("\"{}\"", String::from_utf8_lossy(short));
    }
    short.iter().map(|byte| format!("{byte:02x}")).collect()
}
