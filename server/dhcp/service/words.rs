//! What the events say, in words for a person. Client strings are quoted data.

use std::net::Ipv4Addr;

use crate::boot::arch::Client;
use crate::boot::next::Next;
use crate::dhcp::link::Link;
use crate::dhcp::request::Request;

/// Where a request came from: the interface, or the relay and its port.
pub(super) fn way(request: &Request<'_>, link: &Link) -> String {
    let Some(relay) = request.relay_address() else { return format!("on {}", link.interface) };
    let circuit = request.relay_info.and_then(|info| info.circuit_id);
    match circuit {
        Some(circuit) => format!("through relay {relay}, port {}", printable(circuit)),
        None => format!("through relay {relay}"),
    }
}

/// What is asked for, and by what kind of client.
pub(super) fn asks(wanted: Option<Ipv4Addr>, client: Client, way: &str) -> String {
    let what = wanted.map_or_else(|| "asks for an address".to_owned(), |a| format!("asks for {a}"));
    match client {
        Client::Plain => format!("{what} {way}"),
        client => format!("{what} {way} ({client})"),
    }
}

/// What a client is told to boot, to follow what it is given.
pub(super) fn boots(next: &Next) -> String {
    match next {
        Next::Nothing(_) => String::new(),
        Next::LocalMenu => ", boots its local disk".to_owned(),
        Next::LocalUrl(url) => format!(", boots its local disk ({url} does not exist)"),
        Next::NbpByTftp(name) => format!(", boots {name} by TFTP"),
        Next::NbpByUrl(url) => format!(", boots {url}"),
        Next::Script(url) => format!(", script {url}"),
        Next::RaspberryPi => ", boots a Raspberry Pi's files by TFTP".to_owned(),
    }
}

/// A time in the largest unit that says it well enough.
pub(super) fn duration(seconds: u32) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// Bytes of a client as text: as they are if printable, else in hexadecimal.
pub(super) fn printable(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(64)];
    if !short.is_empty() && short.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return format!("\"{}\"", String::from_utf8_lossy(short));
    }
    short.iter().map(|byte| format!("{byte:02x}")).collect()
}
