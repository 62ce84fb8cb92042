//! The lease files of other DHCP servers: `dhcpd.leases` of ISC dhcpd (dhcpd.leases(5)),
//! `kea-leases4.csv` of Kea (the memfile backend), and `dnsmasq.leases`. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::Mac;

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Dhcpd,
    Kea,
    Dnsmasq,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dhcpd => "ISC dhcpd",
            Self::Kea => "Kea",
            Self::Dnsmasq => "dnsmasq",
        })
    }
}

/// A lease as another server wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignLease {
    /// Its line in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) address: Ipv4Addr,
    /// None where the hardware address is not that of Ethernet.
    pub(crate) mac: Option<Mac>,
    /// Option 61.
    pub(crate) client_id: Option<Vec<u8>>,
    /// Unix seconds; none of a lease without an end.
    pub(crate) ends_at: Option<i64>,
    pub(crate) state: ForeignState,
}

/// What the other server knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignState {
    /// A client has it.
    Bound,
    /// A client, or a probe, found somebody else on it (dhcpd: abandoned, Kea: declined).
    InUse,
    /// Nobody has it.
    Free,
}

/// A part of a file that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Its line in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) reason: UnreadReason,
}

/// Why a part of a lease file is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnreadReason {
    #[error("\"{0}\" is not an IPv4 address")]
    Address(String),
    #[error("\"{0}\" is not a hardware address")]
    Hardware(String),
    #[error("\"{0}\" is not a client identifier")]
    ClientId(String),
    #[error("\"{0}\" is not a time")]
    Time(String),
    #[error("the column {0} is missing")]
    Column(&'static str),
    #[error("leases of IPv6 are not taken")]
    Ipv6,
    #[error("the line is not a lease")]
    NotALease,
    #[error("the lease is cut off: its closing brace is missing")]
    CutOff,
}

/// What a lease file says: the last word about each address, in the order of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseFile {
    pub(crate) leases: Vec<ForeignLease>,
    pub(crate) unread: Vec<Unread>,
}

impl LeaseFile {
    /// Whose lease file a text is; none of any other text.
    pub(crate) fn writer(text: &str) -> Option<Writer> {
        if text.starts_with("address,hwaddr,client_id,") {
            return Some(Writer::Kea);
        }
        let mut lines = text.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
        if text.contains("format of this file is documented in the dhcpd.leases")
            || lease_address(first).is_some()
        {
            return Some(Writer::Dhcpd);
        }
        let words: Vec<&str> = first.split_whitespace().collect();
        let is_dnsmasq = matches!(words[..], [time, _, address, _, _]
            if time.parse::<i64>().is_ok() && address.parse::<Ipv4Addr>().is_ok());
        is_dnsmasq.then_some(Writer::Dnsmasq)
    }

    /// Reads a file.
    pub(crate) fn read(text: &str, writer: Writer) -> Self {
        let entries: Vec<Result<ForeignLease, Unread>> = match writer {
            Writer::Dhcpd => read_dhcpd(text),
            Writer::Kea => read_kea(text),
            Writer::Dnsmasq => read_dnsmasq(text),
        };
        let mut file = Self::default();
        // Dhcpd and Kea append: what comes later replaces what was.
        let mut last: BTreeMap<Ipv4Addr, ForeignLease> = BTreeMap::new();
        for entry in entries {
            match entry {
                Ok(lease) => drop(last.insert(lease.address, lease)),
                Err(unread) => file.unread.push(unread),
            }
        }
        file.leases = last.into_values().collect();
        file.leases.sort_by_key(|lease| lease.line);
        file
    }
}

/// The address in `lease 10.0.0.9 {`.
fn lease_address(line: &str) -> Option<&str> {
    line.strip_prefix("lease ")?.strip_suffix('{').map(str::trim)
}

fn read_dhcpd(text: &str) -> Vec<Result<ForeignLease, Unread>> {
    let mut entries = Vec::new();
    let mut open: Option<ForeignLease> = None;
    for (number, line) in text.lines().map(str::trim).enumerate() {
        let line_number = number + 1;
        if let Some(address) = lease_address(line) {
            let cut =
                open.take().map(|lease| Unread { line: lease.line, reason: UnreadReason::CutOff });
            entries.extend(cut.map(Err));
            open = address
                .parse()
                .map(|address| ForeignLease {
                    line: line_number,
                    address,
                    mac: None,
                    client_id: None,
                    ends_at: None,
                    state: ForeignState::Free,
                })
                .map_err(|_| {
                    let reason = UnreadReason::Address(address.to_owned());
                    entries.push(Err(Unread { line: line_number, reason }));
                })
                .ok();
            continue;
        }
        if line.starts_with("ia-na ") || line.starts_with("ia-pd ") {
            entries.push(Err(Unread { line: line_number, reason: UnreadReason::Ipv6 }));
        }
        let Some(lease) = &mut open else { continue };
        if line == "}" {
            entries.extend(open.take().map(Ok));
            continue;
        }
        if let Err(reason) = dhcpd_statement(lease, line.trim_end_matches(';')) {
            entries.push(Err(Unread { line: line_number, reason }));
            open = None;
        }
    }
    let cut = open.map(|lease| Err(Unread { line: lease.line, reason: UnreadReason::CutOff }));
    entries.extend(cut);
    entries
}

fn dhcpd_statement(lease: &mut ForeignLease, line: &str) -> Result<(), UnreadReason> {
    if let Some(time) = line.strip_prefix("ends ") {
        lease.ends_at = dhcpd_time(time)?;
    } else if let Some(state) = line.strip_prefix("binding state ") {
        lease.state = match state {
            "active" => ForeignState::Bound,
            "abandoned" => ForeignState::InUse,
            _ => ForeignState::Free,
        };
    } else if let Some(mac) = line.strip_prefix("hardware ethernet ") {
        let mac = mac.trim();
        lease.mac = Some(mac.parse().map_err(|_| UnreadReason::Hardware(mac.to_owned()))?);
    } else if let Some(id) = line.strip_prefix("uid ") {
        let bytes = dhcpd_bytes(id.trim());
        lease.client_id = Some(bytes.ok_or_else(|| UnreadReason::ClientId(id.to_owned()))?);
    }
    Ok(())
}

/// `6 2026/11/28 23:00:00` (UTC), `epoch 1795914000; # ...` or `never`.
fn dhcpd_time(text: &str) -> Result<Option<i64>, UnreadReason> {
    let wrong = || UnreadReason::Time(text.to_owned());
    let text = text.split(['#', ';']).next().unwrap_or_default().trim();
    if text == "never" {
        return Ok(None);
    }
    if let Some(seconds) = text.strip_prefix("epoch ") {
        return seconds.trim().parse().map(Some).map_err(|_| wrong());
    }
    let (_, date) = text.split_once(' ').ok_or_else(wrong)?;
    let civil = DateTime::strptime("%Y/%m/%d %H:%M:%S", date).map_err(|_| wrong())?;
    let at = civil.to_zoned(TimeZone::UTC).map_err(|_| wrong())?;
    Ok(Some(at.timestamp().as_second()))
}

/// A string with octal escapes, or bytes in hexadecimal with colons.
fn dhcpd_bytes(text: &str) -> Option<Vec<u8>> {
    let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return colon_bytes(text);
    };
    let mut bytes = Vec::new();
    let mut rest = quoted.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'7', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                let value =
                    u32::from(a - b'0') << 6 | u32::from(b - b'0') << 3 | u32::from(c - b'0');
                bytes.push(u8::try_from(value).ok()?);
                rest = after;
            }
            (b'\\', [escaped, after @ ..]) => {
                bytes.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    other => *other,
                });
                rest = after;
            }
            (plain, after) => {
                bytes.push(*plain);
                rest = after;
            }
        }
    }
    Some(bytes)
}

/// Bytes such as `01:52:54:0:aa`; none of an empty text or `*`.
fn colon_bytes(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect()
}

fn read_kea(text: &str) -> Vec<Result<ForeignLease, Unread>> {
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = rows.headers().cloned().unwrap_or_default();
    let column = |name: &'static str| {
        let place = header.iter().position(|column| column == name);
        place.ok_or(Unread { line: 1, reason: UnreadReason::Column(name) })
    };
    let places = ["address", "hwaddr", "client_id", "valid_lifetime", "expire", "state"];
    let places: Result<Vec<usize>, Unread> = places.into_iter().map(column).collect();
    let places = match places {
        Ok(places) => places,
        Err(unread) => return vec![Err(unread)],
    };
    let mut entries = Vec::new();
    for row in rows.records() {
        let Ok(row) = row else {
            let line = entries.len() + 2;
            entries.push(Err(Unread { line, reason: UnreadReason::NotALease }));
            continue;
        };
        let line = row.position().map_or(0, |position| position.line() as usize);
        let cells: Vec<&str> = places.iter().map(|at| row.get(*at).unwrap_or_default()).collect();
        entries.push(kea_lease(line, &cells).map_err(|reason| Unread { line, reason }));
    }
    entries
}

fn kea_lease(line: usize, cells: &[&str]) -> Result<ForeignLease, UnreadReason> {
    let [address, hardware, id, lifetime, expire, state] = cells else {
        return Err(UnreadReason::NotALease);
    };
    let seconds = |text: &str| text.parse::<i64>().map_err(|_| UnreadReason::Time(text.to_owned()));
    let (lifetime, expire) = (seconds(lifetime)?, seconds(expire)?);
    Ok(ForeignLease {
        line,
        address: address.parse().map_err(|_| UnreadReason::Address((*address).to_owned()))?,
        mac: hardware.parse().ok(),
        client_id: colon_bytes(id),
        ends_at: (lifetime != i64::from(u32::MAX)).then_some(expire),
        // 2: expired, 3: released (Kea 2.6). A lifetime of 0 takes an earlier row back.
        state: match *state {
            "0" if lifetime > 0 => ForeignState::Bound,
            "1" => ForeignState::InUse,
            _ => ForeignState::Free,
        },
    })
}

fn read_dnsmasq(text: &str) -> Vec<Result<ForeignLease, Unread>> {
    let mut entries = Vec::new();
    let mut is_ipv6 = false;
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        // What follows the server's DUID is of DHCPv6.
        is_ipv6 |= line.starts_with("duid ");
        if line.trim().is_empty() || line.starts_with("duid ") {
            continue;
        }
        let address = line.split_whitespace().nth(2).unwrap_or_default();
        let lease = match address.parse::<Ipv6Addr>() {
            Ok(_) if is_ipv6 => Err(UnreadReason::Ipv6),
            _ => dnsmasq_lease(line_number, line),
        };
        entries.push(lease.map_err(|reason| Unread { line: line_number, reason }));
    }
    entries
}

/// `EXPIRY MAC ADDRESS NAME CLIENT-ID`; a MAC of another kind begins with its type and `-`.
fn dnsmasq_lease(line: usize, text: &str) -> Result<ForeignLease, UnreadReason> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [expiry, hardware, address, _, id] = words[..] else {
        return Err(UnreadReason::NotALease);
    };
    let expiry: i64 = expiry.parse().map_err(|_| UnreadReason::Time(expiry.to_owned()))?;
    Ok(ForeignLease {
        line,
        address: address.parse().map_err(|_| UnreadReason::Address(address.to_owned()))?,
        mac: hardware.parse().ok(),
        client_id: colon_bytes(id),
        ends_at: (expiry != 0).then_some(expiry),
        state: ForeignState::Bound,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

    fn lease(
        line: usize,
        last: u8,
        client_id: Option<&[u8]>,
        ends_at: Option<i64>,
    ) -> ForeignLease {
        ForeignLease {
            line,
            address: Ipv4Addr::new(10, 0, 0, last),
            mac: Some(MAC),
            client_id: client_id.map(<[u8]>::to_vec),
            ends_at,
            state: ForeignState::Bound,
        }
    }

    fn read(text: &str) -> (Writer, LeaseFile) {
        let writer = LeaseFile::writer(text).unwrap();
        (writer, LeaseFile::read(text, writer))
    }

    #[test]
    fn the_last_lease_of_an_address_counts_in_dhcpds_file() {
        let text = r#"# The format of this file is documented in the dhcpd.leases(5) manual page.
authoring-byte-order little-endian;
server-duid "\000\001\000\001";
lease 10.0.0.1 {
  starts 6 2026/11/28 22:00:00;
  ends 6 2026/11/28 23:00:00;
  binding state active;
  hardware ethernet 52:54:00:aa:00:02;
}
lease 10.0.0.1 {
  starts 6 2026/11/28 22:30:00;
  ends 6 2026/11/28 23:30:00;
  cltt 6 2026/11/28 22:30:00;
  binding state active;
  next binding state free;
  hardware ethernet 52:54:0:aa:0:1;
  uid "\001RT\000\252\000\001\"\\";
  set vendor-class-identifier = "PXEClient";
  client-hostname "n1";
}
lease 10.0.0.2 {
  ends epoch 1795914000; # Sat Nov 28 23:00:00 2026
  binding state active;
  hardware ethernet 52:54:00:aa:00:01;
  uid 01:52:54;
}
lease 10.0.0.3 {
  ends never;
  binding state active;
  hardware ethernet 52:54:00:aa:00:01;
}
lease 10.0.0.4 {
  ends 6 2026/11/28 23:00:00;
  binding state free;
  hardware ethernet 52:54:00:aa:00:01;
}
lease 10.0.0.5 {
  ends 6 tomorrow;
}
lease fe80::1 {
}
lease 10.0.0.6 {
  binding state abandoned;
}
lease 10.0.0.7 {
  binding state active;
"#;
        let (writer, file) = read(text);
        assert_eq!(writer, Writer::Dhcpd);
        let id: &[u8] = b"\x01RT\0\xaa\0\x01\"\\";
        assert_eq!(
            file.leases,
            [
                lease(10, 1, Some(id), Some(1_795_908_600)),
                lease(21, 2, Some(&[1, 0x52, 0x54]), Some(1_795_914_000)),
                lease(27, 3, None, None),
                ForeignLease {
                    state: ForeignState::Free,
                    ..lease(32, 4, None, Some(1_795_906_800))
                },
                ForeignLease { mac: None, state: ForeignState::InUse, ..lease(42, 6, None, None) },
            ]
        );
        assert_eq!(
            file.unread,
            [
                Unread { line: 38, reason: UnreadReason::Time("6 tomorrow".into()) },
                Unread { line: 40, reason: UnreadReason::Address("fe80::1".into()) },
                Unread { line: 45, reason: UnreadReason::CutOff },
            ]
        );
    }

    #[test]
    fn rows_of_keas_file_replace_earlier_ones() {
        let text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
10.0.0.1,52:54:00:aa:00:01,01:52:54,600,1795900000,1,0,0,n1,0,,0
10.0.0.2,52:54:00:aa:00:01,,4294967295,6090867295,1,0,0,,0,,0
10.0.0.1,52:54:00:aa:00:01,01:52:54,600,1795900300,1,0,0,n1,0,,0
10.0.0.3,52:54:00:aa:00:01,,600,1795900000,1,0,0,,1,,0
10.0.0.4,52:54:00:aa:00:01,,0,1795900000,1,0,0,,0,,0
10.0.0.5,52:54:00:aa:00:01,,soon,1795900000,1,0,0,,0,,0
";
        let (writer, file) = read(text);
        assert_eq!(writer, Writer::Kea);
        let unbound = |line, last, state| ForeignLease {
            state,
            ..lease(line, last, None, Some(1_795_900_000))
        };
        assert_eq!(
            file.leases,
            [
                lease(3, 2, None, None),
                lease(4, 1, Some(&[1, 0x52, 0x54]), Some(1_795_900_300)),
                unbound(5, 3, ForeignState::InUse),
                unbound(6, 4, ForeignState::Free),
            ]
        );
        let unread = Unread { line: 7, reason: UnreadReason::Time("soon".into()) };
        assert_eq!(file.unread, [unread]);
        let without = LeaseFile::read("address,hwaddr,client_id,expire,state\n", Writer::Kea);
        assert_eq!(without.unread[0].reason, UnreadReason::Column("valid_lifetime"));
    }

    #[test]
    fn lines_of_dnsmasqs_file_are_leases_up_to_those_of_ipv6() {
        let text = "1795900000 52:54:00:aa:00:01 10.0.0.1 n1 01:52:54
0 52:54:00:aa:00:01 10.0.0.2 * *
1795900000 20-00:00:00:00 10.0.0.3 * ff:01
rubbish
duid 00:01:00:01
1795900000 12345 fd00::1 * 00:01
";
        let (writer, file) = read(text);
        assert_eq!(writer, Writer::Dnsmasq);
        let infiniband =
            ForeignLease { mac: None, ..lease(3, 3, Some(&[0xff, 1]), Some(1_795_900_000)) };
        assert_eq!(
            file.leases,
            [
                lease(1, 1, Some(&[1, 0x52, 0x54]), Some(1_795_900_000)),
                lease(2, 2, None, None),
                infiniband
            ]
        );
        let reasons = file.unread.into_iter().map(|unread| (unread.line, unread.reason));
        assert_eq!(
            reasons.collect::<Vec<_>>(),
            [(4, UnreadReason::NotALease), (6, UnreadReason::Ipv6)]
        );
    }

    #[test]
    fn other_files_are_no_lease_files() {
        for text in
            ["", "host,mac\nn1,52:54:00:aa:00:01\n", "subnet 10.0.0.0 netmask 255.0.0.0 {\n"]
        {
            assert_eq!(LeaseFile::writer(text), None, "{text}");
        }
    }
}
