//! Translates a message into the fields of events.

use crate::boot::next::Next;
use crate::dhcp::link::ServedLink;
use crate::dhcp::wire::Packet;
use crate::lifecycle::event::{Boots, Way};

/// The way by which a request came: the interface, or the relay and its port.
pub(super) fn way(request: &Packet<'_>, link: &ServedLink) -> Way {
    let Some(address) = request.relay_address() else {
        return Way::Interface(link.interface.clone());
    };
    let circuit = request.relay_info().and_then(|info| info.circuit_id);
    Way::Relay { address, port: circuit.map(printable) }
}

/// What a client boots, as it is recorded.
pub(super) fn boots(next: &Next) -> Option<Boots> {
    Some(match next {
        Next::Nothing(_) => return None,
        Next::LocalMenu | Next::LocalUrl(_) => Boots::LocalDisk,
        Next::NbpByTftp(name) => Boots::Tftp(name.clone()),
        Next::NbpByUrl(url) => Boots::Url(url.clone()),
        Next::Script(url) => Boots::Script(url.clone()),
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
