//! Hosts as rows of comma-separated values, the way they come with a rack. Pure.
//!
//! The first row names the columns: `host`, `rack`, `unit`, `index`, `serial`, `tenant`,
//! `rented-from`, `rented-until`, `profile`, `image`, `boot-file`, `local-boot`, `protected`, `labels` (several
//! in one cell), `next-server`, `dhcp`, `bmc.mac`, `bmc.address` (or `bmc_mac`, `bmc_ip`), `nics.LABEL` with
//! `nics.LABEL.switch` and `nics.LABEL.port`, `addresses.LINK`, `reservations.SUBNET`,
//! `parameters.NAME`, `match.KEY`, `notes`, and `macs`: several MACs in one cell, which become eth0,
//! eth1 and so on. An empty cell leaves what is. The list of hosts that the UI gives as CSV has these
//! columns, too, and some that only show something; it comes back in unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::edit::set_host;
use crate::model::{
    Host, HostDhcp, HostMatch, NicAddress, SINGLE_VALUE_KEYS, Site, check_noun_name,
    current_host_key,
};
use crate::tree::unknown;

/// Columns that are written only where a host has such a value.
const RARE: [&str; 5] = ["next-server", "dhcp", "bmc.mac", "bmc.address", "height"];
const MAPS: [&str; 6] = ["nics", "addresses", "reservations", "parameters", "match", "bmc"];

/// Columns of the UI's list of hosts that only show something, in a table that has the first two.
const SHOWN: [&str; 5] = ["state", "cause", "addresses", "lease", "ports"];

/// Rows that were read: which host each is about, and what it says of it.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    /// What each column is, and its name in the file.
    columns: Vec<(Column, String)>,
}

#[derive(Clone, Debug)]
struct Row {
    line: u64,
    host: String,
    values: Vec<(String, String)>,
    /// Of the column with all MACs.
    macs: Vec<String>,
    /// Of the column with all labels.
    labels: Vec<String>,
    notes: Option<String>,
}

/// A row that cannot be taken, or a first row that names no columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Its line in the file, counted from 1.
    pub line: u64,
    /// The path in the host that is wrong, such as `unit`; empty where it is the row itself.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl RowError {
    /// An error of a whole row.
    fn new(line: u64, message: impl Into<String>) -> Self {
        Self { line, path: String::new(), message: message.into() }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "row {}: {}", self.line, self.message),
            path => write!(f, "row {}: {path}: {}", self.line, self.message),
        }
    }
}

impl std::error::Error for RowError {}

impl Rows {
    /// Reads rows. All that are wrong in themselves are found, not only the first.
    pub fn parse(text: &str) -> Result<Self, Vec<RowError>> {
        // Excel writes the separator into a line of its own; an empty one keeps the numbers of
        // the lines.
        // The reader counts the lines of a record before the second byte of CRLF.
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let text = text.as_str();
        let first = text.lines().next().unwrap_or_default();
        let (separator, text) = match first.to_ascii_lowercase().strip_prefix("sep=") {
            Some(named) => {
                let rest = text.find('\n').unwrap_or(text.len());
                (named.bytes().next().unwrap_or(b','), &text[rest..])
            }
            None => (separator(text), text),
        };
        if let Some(line) = unclosed_quote(text, separator) {
            return Err(vec![RowError::new(line, UNCLOSED)]);
        }
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .delimiter(separator)
            .flexible(true)
            .from_reader(text.as_bytes());
        let header = reader.headers().map_err(|error| vec![malformed(&error)])?.clone();
        let columns = columns(&header)?;
        let names = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned());
        let named = columns.iter().cloned().zip(names).collect();
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        let mut seen = BTreeMap::new();
        for record in reader.records() {
            match record.map_err(|error| malformed(&error)).and_then(|r| row(&columns, &r)) {
                Ok(None) => {}
                Ok(Some(row)) => match seen.insert(row.host.clone(), row.line) {
                    Some(first) => {
                        let message = format!("host {} is in row {first} already", row.host);
                        errors.push(RowError::new(row.line, message));
                    }
                    None => rows.push(row),
                },
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self { rows, columns: named }) } else { Err(errors) }
    }

    /// Adds the hosts to the site, or changes those that it has. Nothing is changed if a
    /// row is wrong.
    pub fn put_into(&self, site: &mut Site) -> Result<(), Vec<RowError>> {
        let (mut hosts, mut errors) = (Vec::new(), Vec::new());
        for row in &self.rows {
            let known = site.hosts.get(&row.host);
            match set_host(known, &row.values_for(known)) {
                Ok(mut host) => {
                    row.note(&mut host);
                    hosts.push((row.host.clone(), host));
                }
                Err(error) => errors.push(RowError {
                    line: row.line,
                    path: error.path(),
                    message: error.message(),
                }),
            }
        }
        if errors.is_empty() {
            site.hosts.extend(hosts);
            return Ok(());
        }
        Err(errors)
    }

    /// An error about a host, with the row that brought the host.
    pub fn error_about(&self, host: Option<&str>, message: String) -> Option<RowError> {
        let row = self.rows.iter().find(|row| Some(row.host.as_str()) == host)?;
        Some(RowError::new(row.line, message))
    }

    /// How many hosts there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The hosts that the rows are about.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.host.as_str())
    }

    /// The columns that only show something, as the file names them.
    pub fn shown_columns(&self) -> impl Iterator<Item = &str> {
        let is_shown = |(column, _): &&(Column, String)| *column == Column::Shown;
        self.columns.iter().filter(is_shown).map(|(_, name)| name.as_str())
    }

    /// The column that a path in a host comes from, such as `unit`, as the file names it.
    pub fn column_of(&self, path: &str) -> Option<&str> {
        let covers = |column: &Column| match column {
            Column::Path(own) => {
                let begins = |a: &str, b: &str| {
                    a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                begins(path, own) || begins(own, path)
            }
            Column::Macs => path.starts_with("nics."),
            Column::Labels => path.starts_with("labels"),
            Column::Notes => path == "notes",
            Column::Host | Column::Shown | Column::Unnamed => false,
        };
        let found = self.columns.iter().filter(|(column, _)| covers(column));
        let exact = |(column, _): &&(Column, String)| match column {
            Column::Path(own) => own.len(),
            _ => 0,
        };
        found.max_by_key(exact).map(|(_, name)| name.as_str())
    }
}

impl Row {
    /// The values that the row sets in a host. What a list of hosts shows of one, without the names of
    /// its NICs, changes nothing where it is what the host has.
    fn values_for(&self, host: Option<&Host>) -> Vec<(String, String)> {
        let mut values = self.nics_for(host);
        values.extend(self.values.iter().cloned());
        let known = host.map(|host| words(&host.labels.join(" ")));
        if known.as_ref() != Some(&self.labels) {
            values.extend(self.label_value());
        }
        values
    }

    /// A text is what it says, also one that begins as YAML does; blanks around it are lost in a cell.
    fn note(&self, host: &mut Host) {
        let is_known = |text: &String| host.notes.as_ref().is_some_and(|it| it.trim() == text);
        if let Some(text) = self.notes.as_ref().filter(|text| !is_known(text)) {
            host.notes = Some(text.clone());
        }
    }

    fn label_value(&self) -> Option<(String, String)> {
        let text = || serde_json::json!(self.labels).to_string();
        (!self.labels.is_empty()).then(|| ("labels".to_owned(), text()))
    }

    /// The NICs that the MACs are. Those of a host whose NICs have other names than eth0, eth1, ... keep
    /// them: a new MAC is that of the NIC whose own is missing.
    fn nics_for(&self, host: Option<&Host>) -> Vec<(String, String)> {
        let path = |label: &str, mac: &String| (format!("nics.{label}"), mac.clone());
        let given: Vec<Option<NicAddress>> = self.macs.iter().map(|mac| mac.parse().ok()).collect();
        let known = host.map(|host| &host.nics).filter(|nics| !nics.is_empty());
        let counted = |n: usize| format!("eth{n}");
        let Some(known) = known else {
            return self.macs.iter().enumerate().map(|(n, mac)| path(&counted(n), mac)).collect();
        };
        let has = |mac: Option<NicAddress>| known.values().any(|nic| Some(nic.address) == mac);
        let is_same = given.len() == known.len()
            && known.values().zip(&given).all(|(nic, mac)| Some(nic.address) == *mac);
        if is_same {
            return Vec::new();
        }
        let is_counted = known.keys().all(|label| (0..known.len()).any(|n| *label == counted(n)));
        if is_counted {
            return self.macs.iter().enumerate().map(|(n, mac)| path(&counted(n), mac)).collect();
        }
        let left = known.iter().filter(|(_, nic)| !given.contains(&Some(nic.address)));
        let left = left.map(|(label, _)| label.clone());
        let free = (0..).map(counted).filter(|label| !known.contains_key(label));
        let mut labels = left.chain(free);
        let new = self.macs.iter().zip(&given).filter(|(_, mac)| !has(**mac));
        new.filter_map(|(mac, _)| Some(path(&labels.next()?, mac))).collect()
    }
}

/// The labels of a cell.
fn words(cell: &str) -> Vec<String> {
    let separators = |c: char| c.is_whitespace() || matches!(c, ';' | ',');
    cell.split(separators).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A cell without the mark by which a spreadsheet takes it for text: the lists of the UI have it.
fn unmarked(cell: &str) -> &str {
    let is_marked = |rest: &&str| rest.starts_with(['=', '+', '@', '-']);
    cell.strip_prefix('\'').filter(is_marked).unwrap_or(cell)
}

/// The path in a host that each column fills; the host's name has none.
fn columns(header: &csv::StringRecord) -> Result<Vec<Column>, Vec<RowError>> {
    let has = |wanted: &str| header.iter().any(|name| Column::plain(name) == wanted);
    // These two are nothing of a host's, and the list of the UI has both.
    let is_list = has(SHOWN[0]) && has(SHOWN[1]);
    let read = |name: &str| match is_list && SHOWN.contains(&Column::plain(name).as_str()) {
        true => Ok(Column::Shown),
        false => Column::read(name),
    };
    let found: Vec<_> = header.iter().map(read).collect();
    let unknown = found.iter().filter_map(|column| column.as_ref().err());
    let mut errors: Vec<String> = unknown.map(UnknownColumn::to_string).collect();
    let columns: Vec<Column> = found.into_iter().filter_map(Result::ok).collect();
    if errors.is_empty() && !columns.contains(&Column::Host) {
        errors.push("no column is named \"host\"".into());
    }
    for (index, column) in columns.iter().enumerate() {
        let may_repeat = matches!(column, Column::Unnamed | Column::Shown);
        if !may_repeat && columns[..index].contains(column) {
            errors.push(format!("column {} repeats an earlier column", index + 1));
        }
    }
    if errors.is_empty() {
        return Ok(columns);
    }
    Err(errors.into_iter().map(|message| RowError::new(1, message)).collect())
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Host,
    /// Several MACs in one cell.
    Macs,
    /// Several labels in one cell.
    Labels,
    Path(String),
    Notes,
    /// It only shows something.
    Shown,
    /// Spreadsheets write columns that were in use once; they have no cells.
    Unnamed,
}

/// A name that no column has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", expected_instead(.0))]
struct UnknownColumn(String);

/// What delivery lists call a baseboard management controller, before `_mac` and `_ip`.
const BMC_NAMES: [&str; 6] = ["bmc", "ipmi", "idrac", "ilo", "xcc", "oob"];

/// What to write instead of a column that there is not: names that other lists have, which do
/// not say enough, and else the nearest name.
fn expected_instead(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace(['_', ' '], "-");
    let word = lower.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
    let is_nic = ["eth", "eno", "ens", "enp", "nic", "mac", "port"].contains(&word);
    let hint = match word {
        "ip" | "ips" | "ip-address" | "ipaddress" | "ipaddr" | "ip-addr" | "ipv" | "address"
        | "addresses" | "primary-ip" | "static-ip" => {
            "for an address that DHCP gives write reservations.SUBNET, for one that is configured \
             on a link addresses.LINK, such as addresses.eth0"
        }
        "os" | "operating-system" | "distro" => "for what the host boots write image",
        "role" | "group" | "type" | "model" | "vendor" => {
            "for words to search by write labels, for the network configuration profile"
        }
        "vlan" | "vlan-id" | "subnet" | "network" | "gateway" | "netmask" | "prefix" => {
            "VLAN, gateway and prefix belong to the subnet: write addresses.LINK or \
             reservations.SUBNET, and the rest in the site file"
        }
        "switch" | "switch-port" | "port-name" => {
            "write nics.LABEL.switch and nics.LABEL.port, such as nics.eth0.port"
        }
        _ if is_nic || word.ends_with("-mac") => {
            "for the MAC of one NIC write nics.LABEL, such as nics.eth0; for all MACs in one cell macs"
        }
        _ => {
            let known = [&["host"][..], &SINGLE_VALUE_KEYS, &RARE, &MAP_COLUMNS].concat();
            return unknown("column", name, &known);
        }
    };
    format!("unknown column \"{name}\": {hint}")
}

/// What separates the cells: whichever of comma, semicolon (where the comma is in numbers), tab
/// (pasted) and bar the first row has most of.
fn separator(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |separator: &u8| header.bytes().filter(|byte| byte == separator).count();
    // The last of equals is taken.
    b"|\t;,".iter().copied().max_by_key(count).unwrap_or(b',')
}

/// The text of a file that a spreadsheet wrote: UTF-8, or UTF-16 with its mark.
///
/// # Errors
/// It is neither; with the line.
pub fn decode(bytes: &[u8]) -> Result<String, RowError> {
    let of_units = |units: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks(2).map(|pair| match *pair {
            [first, second] => units([first, second]),
            _ => 0xfffd,
        });
        let text: Result<String, _> = char::decode_utf16(units).collect();
        text.map_err(|_| RowError::new(1, "the file is broken UTF-16"))
    };
    match bytes {
        [0xff, 0xfe, ..] => of_units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => of_units(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            RowError::new(line, "not UTF-8 and not UTF-16: save the sheet as \"CSV UTF-8\"")
        }),
    }
}

/// [`decode`], or Latin-1, as old spreadsheets and comments of old files are.
///
/// # Errors
/// It has control characters: it is no text.
pub(crate) fn decode_any(bytes: &[u8]) -> Result<String, RowError> {
    let is_text = |byte: &u8| *byte >= 0x20 || matches!(byte, b'\n' | b'\r' | b'\t');
    let latin1 = || bytes.iter().map(|byte| char::from(*byte)).collect();
    decode(bytes).or_else(|error| if bytes.iter().all(is_text) { Ok(latin1()) } else { Err(error) })
}

/// The columns of the mappings of a host, for people.
const MAP_COLUMNS: [&str; 8] = [
    "labels",
    "notes",
    "macs",
    "nics.LABEL",
    "addresses.LINK",
    "reservations.SUBNET",
    "parameters.NAME",
    "match.KEY",
];

impl Column {
    /// A name as it is looked up. Spreadsheets put a byte order mark before the first one.
    fn plain(name: &str) -> String {
        name.trim_start_matches('\u{feff}').to_ascii_lowercase().replace(['_', ' '], "-")
    }

    fn read(name: &str) -> Result<Self, UnknownColumn> {
        let lower = Self::plain(name);
        let name = name.trim_start_matches('\u{feff}');
        match lower.as_str() {
            "" => return Ok(Self::Unnamed),
            "host" | "name" | "hostname" | "host-name" | "server" | "server-name" | "fqdn" => {
                return Ok(Self::Host);
            }
            "labels" | "label" | "tags" => return Ok(Self::Labels),
            "macs" | "mac" | "mac-address" | "mac-addresses" | "macaddress" | "mac-addr"
            | "hwaddr" | "ethernet" | "nics" => return Ok(Self::Macs),
            "serial-number" | "serialnumber" | "serial-no" | "sn" | "service-tag" => {
                return Ok(Self::Path("serial".into()));
            }
            "rack-unit" | "u" | "position" => return Ok(Self::Path("unit".into())),
            "rack-name" | "cabinet" => return Ok(Self::Path("rack".into())),
            "customer" => return Ok(Self::Path("tenant".into())),
            "uuid" => return Ok(Self::Path("match.uuid".into())),
            "notes" => return Ok(Self::Notes),
            "next-server" | "dhcp" | "height" => return Ok(Self::Path(lower)),
            "bmc" => return Ok(Self::Path("bmc.mac".into())),
            of_bmc if of_bmc.split_once('-').is_some_and(|(bmc, _)| BMC_NAMES.contains(&bmc)) => {
                match of_bmc.split_once('-').map(|(_, value)| value) {
                    Some("mac" | "mac-address" | "macaddress") => {
                        return Ok(Self::Path("bmc.mac".into()));
                    }
                    Some("ip" | "address" | "ip-address" | "ipaddr" | "ipv4") => {
                        return Ok(Self::Path("bmc.address".into()));
                    }
                    _ => {}
                }
            }
            plain if SINGLE_VALUE_KEYS.contains(&current_host_key(plain)) => {
                return Ok(Self::Path(current_host_key(plain).to_owned()));
            }
            _ => {}
        }
        if let Some((map, key)) = name.split_once('.') {
            let map = map.to_ascii_lowercase();
            if MAPS.contains(&map.as_str()) && !key.is_empty() {
                return Ok(Self::Path(format!("{map}.{key}")));
            }
        }
        Err(UnknownColumn(name.to_owned()))
    }
}

/// One row; none for one whose cells are all empty.
fn row(columns: &[Column], record: &csv::StringRecord) -> Result<Option<Row>, RowError> {
    let line = record.position().map_or(0, csv::Position::line);
    let refuse = |message: String| Err(RowError::new(line, message));
    let filled = record.iter().enumerate().filter(|(_, cell)| !cell.is_empty());
    let used = filled.last().map_or(0, |(last, _)| last + 1);
    if used == 0 {
        return Ok(None);
    }
    let named = columns.iter().rposition(|column| *column != Column::Unnamed);
    if used > columns.len() || record.len() < named.map_or(0, |last| last + 1) {
        let (len, expected) = (record.len(), columns.len());
        return refuse(format!("{len} cells, where the first row names {expected} columns"));
    }
    let (host, values, macs, labels, notes) = Default::default();
    let mut row = Row { line, host, values, macs, labels, notes };
    for (column, cell) in columns.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        let cell = unmarked(cell);
        match column {
            Column::Shown => {}
            Column::Host => row.host = cell.to_owned(),
            // Spreadsheets write TRUE.
            Column::Path(path) if path == "protected" => {
                row.values.push((path.clone(), cell.to_lowercase()));
            }
            Column::Path(path) => row.values.push((path.clone(), cell.to_owned())),
            Column::Labels => row.labels = words(cell),
            Column::Notes => row.notes = Some(cell.to_owned()),
            Column::Unnamed => {
                return refuse(format!("\"{cell}\" is in a column without a name"));
            }
            Column::Macs => {
                let separators = |c: char| c.is_whitespace() || matches!(c, ';' | ',' | '/');
                let macs = cell.split(separators).filter(|mac| !mac.is_empty());
                row.macs = macs.map(str::to_owned).collect();
            }
        }
    }
    if row.host.is_empty() {
        return refuse("the host has no name".into());
    }
    Ok(Some(row))
}

/// What is wrong with a table whose last quote is missing.
pub(crate) const UNCLOSED: &str =
    "the quotation mark that opens a cell here is never closed: close it, or remove it";

/// The line, from 1, of a cell whose quotation mark is never closed (RFC 4180 section 2): a reader takes
/// all that follows for a part of it.
pub(crate) fn unclosed_quote(text: &str, separator: u8) -> Option<u64> {
    let (mut line, mut opened, mut at_start) = (1, None, true);
    for byte in text.bytes() {
        match (byte, opened) {
            (b'"', None) if at_start => opened = Some(line),
            // A doubled one opens it again.
            (b'"', Some(_)) => opened = None,
            _ => {}
        }
        // What follows a quotation mark within a cell may be its second half.
        at_start = opened.is_none() && (byte == separator || byte == b'\n' || byte == b'"');
        line += u64::from(byte == b'\n');
    }
    opened
}

fn malformed(error: &csv::Error) -> RowError {
    RowError::new(error.position().map_or(1, csv::Position::line), error.to_string())
}

/// Every host of the site as a row; reading them again changes nothing.
pub fn render(site: &Site) -> String {
    let key_set = |keys: fn(&Host) -> Vec<&String>| {
        site.hosts.values().flat_map(keys).collect::<BTreeSet<_>>()
    };
    let nics = key_set(|host| host.nics.keys().collect());
    let links = key_set(|host| host.addresses.keys().collect());
    let subnets = key_set(|host| host.reservations.keys().collect());
    let parameters = key_set(|host| host.parameters.keys().collect());
    let mut header: Vec<String> = vec!["host".into()];
    header.extend(SINGLE_VALUE_KEYS.map(str::to_owned));
    // Labels that a cell cannot have are left out: an empty column leaves what is.
    let labels = || site.hosts.values().flat_map(|host| &host.labels);
    let has_labels =
        labels().next().is_some() && labels().all(|label| check_noun_name("label", label).is_ok());
    header.extend(has_labels.then(|| "labels".to_owned()));
    header.extend(nics.iter().map(|label| format!("nics.{label}")));
    let cabled = key_set(|host| {
        let cabled = host.nics.iter().filter(|(_, nic)| nic.cable.is_some());
        cabled.map(|(label, _)| label).collect()
    });
    header.extend(
        cabled.iter().flat_map(|label| ["switch", "port"].map(|end| format!("nics.{label}.{end}"))),
    );
    header.extend(links.iter().map(|link| format!("addresses.{link}")));
    header.extend(subnets.iter().map(|subnet| format!("reservations.{subnet}")));
    header.extend(parameters.iter().map(|name| format!("parameters.{name}")));
    let matches: Vec<&str> =
        HostMatch::KEYS.into_iter().filter(|key| is_matched(site, key)).collect();
    header.extend(matches.iter().map(|key| format!("match.{key}")));
    let rare: Vec<usize> = (0..RARE.len())
        .filter(|column| site.hosts.values().any(|host| rare_values(host)[*column].is_some()))
        .collect();
    header.extend(rare.iter().map(|column| RARE[*column].to_owned()));

    let mut writer = csv::Writer::from_writer(Vec::new());
    let text =
        |value: Option<&dyn fmt::Display>| value.map(ToString::to_string).unwrap_or_default();
    let mut records = vec![header];
    for (name, host) in &site.hosts {
        // Every model type serialises: its maps have string keys and its numbers are finite.
        let entry = serde_json::to_value(host).unwrap_or_default();
        let single = |key: &str| match &entry[key] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let mut record = vec![name.clone()];
        record.extend(SINGLE_VALUE_KEYS.map(single));
        record.extend(has_labels.then(|| host.labels.join(" ")));
        record.extend(nics.iter().map(|key| text(host.nics.get(*key).map(|nic| nic as _))));
        record.extend(cabled.iter().flat_map(|key| {
            let cable = host.nics.get(*key).and_then(|nic| nic.cable.clone());
            cable.map_or_else(Default::default, |cable| [cable.switch, cable.port])
        }));
        record.extend(links.iter().map(|key| text(host.addresses.get(*key).map(|a| a as _))));
        record.extend(subnets.iter().map(|key| text(host.reservations.get(*key).map(|a| a as _))));
        record.extend(parameters.iter().map(|key| text(host.parameters.get(*key).map(|v| v as _))));
        let values = host.known_by.values().into_iter();
        let used = values.filter(|(key, _)| matches.contains(key));
        record.extend(used.map(|(_, value)| value.unwrap_or_default()));
        let values = rare_values(host);
        record.extend(rare.iter().map(|column| values[*column].clone().unwrap_or_default()));
        records.push(record);
    }
    // Writing to memory fails for no reason of its own.
    let written = records.iter().try_for_each(|record| writer.write_record(record));
    let bytes = written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The values of a host in the columns of [`RARE`].
fn rare_values(host: &Host) -> [Option<String>; RARE.len()] {
    let dhcp = Some(host.dhcp).filter(|dhcp| *dhcp != HostDhcp::On);
    let bmc = host.bmc.as_ref();
    [
        host.next_server.map(|address| address.to_string()),
        dhcp.map(|dhcp| dhcp.to_string()),
        bmc.map(|bmc| bmc.mac.to_string()),
        bmc.and_then(|bmc| bmc.address).map(|address| address.to_string()),
        host.height.map(|height| height.to_string()),
    ]
}

/// Whether some host is known by this key.
fn is_matched(site: &Site, key: &str) -> bool {
    let has =
        |host: &Host| host.known_by.values().iter().any(|(own, v)| *own == key && v.is_some());
    site.hosts.values().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_named_or_found() {
        for text in [
            "sep=;\nhost;macs\nn1;52:54:00:aa:00:01\n",
            "\u{feff}SEP=|\r\nhost|macs\r\nn1|52:54:00:aa:00:01\r\n",
            "\nhost|macs\nn1|52:54:00:aa:00:01\n",
        ] {
            let rows = Rows::parse(text).unwrap();
            assert_eq!((rows.rows[0].host.as_str(), rows.rows[0].line), ("n1", 3), "{text}");
        }
    }

    fn imported(text: &str) -> Result<Site, Vec<String>> {
        let mut site = Site::default();
        let told = |errors: Vec<RowError>| -> Vec<String> {
            errors.iter().map(ToString::to_string).collect()
        };
        Rows::parse(text).and_then(|rows| rows.put_into(&mut site)).map_err(told)?;
        Ok(site)
    }

    #[test]
    fn rows_become_hosts_and_hosts_become_rows() {
        let text = "\u{feff}Host,Rack,unit,macs,addresses.virbr0,reservations.pxe,serial,index,parameters.rails,match.circuit-id\n\
            r1-n01,r1,1,52:54:00:AA:00:01 525400aa0002,10.0.0.1,10.1.0.1,\"7, B\",7,8,ge-0/0/1\n\
            \n\
            r1-n02,r1,2,52-54-00-aa-00-03,,,,,,\n";
        let site = imported(text).unwrap();
        let first = &site.hosts["r1-n01"];
        assert_eq!(first.nics["eth1"].to_string(), "52:54:00:aa:00:02");
        assert_eq!(first.serial.as_deref(), Some("7, B"));
        assert_eq!((first.index, first.parameters["rails"].0.as_str()), (Some(7), "8"));
        assert_eq!(site.hosts["r1-n02"].unit, Some(2));
        assert_eq!(imported(&render(&site)).unwrap(), site);
    }

    #[test]
    fn a_bmc_and_what_few_hosts_have_come_in_columns_of_their_own() {
        let text = "host,bmc_mac,BMC_IP,next-server,dhcp\n\
                    a,2:0:5e:10:1:1,10.1.0.9,10.0.0.5,off\n\
                    b,52:54:00:aa:01:02,,,\n\
                    c,,,,\n";
        let site = imported(text).unwrap();
        let bmc = site.hosts["a"].bmc.clone().unwrap();
        assert_eq!(bmc.mac.to_string(), "02:00:5e:10:01:01");
        assert_eq!(bmc.address, Some("10.1.0.9".parse().unwrap()));
        assert_eq!(site.hosts["a"].next_server, Some("10.0.0.5".parse().unwrap()));
        assert_eq!(site.hosts["a"].dhcp, HostDhcp::Off);
        assert_eq!(site.hosts["b"].bmc.as_ref().unwrap().address, None);
        assert_eq!(site.hosts["c"].bmc, None);
        let rendered = render(&site);
        assert_eq!(imported(&rendered).unwrap(), site);
        let same = imported("host,bmc.mac,bmc.address\na,02005e100101,10.1.0.9\n").unwrap();
        assert_eq!(same.hosts["a"].bmc, site.hosts["a"].bmc);
        let plain = imported("host,unit\na,1\n").unwrap();
        assert!(!render(&plain).contains("bmc"), "only where a host has one");
    }

    #[test]
    fn cables_come_in_columns_of_their_own_and_a_new_mac_keeps_its_cable() {
        let text = "host,nics.eth0,nics.eth0.switch,nics.eth0.port\na,52:54:00:aa:00:01,leaf1a,Ethernet12\n";
        let mut site = imported(text).unwrap();
        let nic = |site: &Site| format!("{:?}", site.hosts["a"].nics["eth0"]);
        assert!(nic(&site).contains("Ethernet12"));
        assert_eq!(imported(&render(&site)).unwrap(), site);
        for (text, mac, port) in [
            ("host,nics.eth0\na,52:54:00:aa:00:02\n", "aa:00:02", "Ethernet12"),
            ("host,nics.eth0.port\na,Ethernet13\n", "aa:00:02", "Ethernet13"),
        ] {
            Rows::parse(text).unwrap().put_into(&mut site).unwrap();
            assert!(nic(&site).contains(mac) && nic(&site).contains(port), "{}", nic(&site));
        }
        let plain = imported("host,nics.eth0\na,52:54:00:aa:00:01\n").unwrap();
        let mut site = plain.clone();
        let cabling = "host,nics.eth0.switch,nics.eth0.port\na,leaf1a,Ethernet12\n";
        Rows::parse(cabling).unwrap().put_into(&mut site).unwrap();
        assert!(nic(&site).contains("aa:00:01") && nic(&site).contains("leaf1a"));
    }

    #[test]
    fn what_spreadsheets_write_is_read() {
        let expected = imported("host,mac,labels\nn1,02:00:5e:90:00:01,db\n").unwrap();
        for text in [
            "host;mac;labels\nn1;02:00:5e:90:00:01;db\n",
            "Hostname\tMAC\tLabel\nn1\t2:0:5e:90:0:1\tdb\n",
            "host,mac,labels,,\nn1,02:00:5e:90:00:01,db,,\n,,,,\n\n,,\n",
            "host,mac,labels,,\nn1,02:00:5e:90:00:01,db\n",
            "host;mac;labels\nn1;02:00:5e:90:00:01;\"db\"\n;;\n",
        ] {
            assert_eq!(imported(text).as_ref(), Ok(&expected), "{text:?}");
        }
        let stray = imported("host,mac,\nn1,02:00:5e:90:00:01,7\n").unwrap_err();
        assert_eq!(stray, ["row 2: \"7\" is in a column without a name"]);
        let site = imported("host,labels,protected\nn1,\"a, b\",TRUE\n").unwrap();
        assert_eq!((site.hosts["n1"].labels.len(), site.hosts["n1"].protected), (2, true));
        assert_eq!(imported(&render(&site)).unwrap(), site);
    }

    #[test]
    fn the_encodings_of_spreadsheets_are_read_or_named() {
        let text = "host,serial\nn1,\u{e9}7\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little = [vec![0xff, 0xfe], units.iter().flat_map(|u| u.to_le_bytes()).collect()];
        let big = [vec![0xfe, 0xff], units.iter().flat_map(|u| u.to_be_bytes()).collect()];
        for bytes in [text.as_bytes().to_vec(), little.concat(), big.concat()] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text), "{bytes:?}");
        }
        let latin = decode(b"host,serial\nn1,\xe97\n").unwrap_err().to_string();
        assert!(latin.starts_with("row 2: not UTF-8 and not UTF-16"), "{latin}");
        assert!(decode(b"\xff\xfeh\0\x00\xd8").is_err(), "half a character");
    }

    #[test]
    fn names_that_other_lists_have_are_read_or_answered_with_the_right_ones() {
        let expected = imported(
            "host,macs,serial,unit,tenant,bmc.mac,bmc.address\n\
                                 n1,02:00:5e:90:00:01,S7,4,acme,02:00:5e:90:00:09,10.9.0.1\n",
        );
        for header in [
            "hostname,mac_address,serial_number,rack_unit,customer,ipmi_mac,ipmi_ip",
            "Host Name,MAC Address,Serial Number,U,Customer,iDRAC_MAC,iDRAC_IP_Address",
            "FQDN,hwaddr,sn,position,tenant,ilo-mac,ilo-address",
            "server,MACs,Service Tag,unit,tenant,BMC MAC,BMC IP",
        ] {
            let text =
                format!("{header}\nn1,02:00:5e:90:00:01,S7,4,acme,02:00:5e:90:00:09,10.9.0.1\n");
            assert_eq!(imported(&text), expected, "{header}");
        }
        for (name, hint) in [
            ("ip", "reservations.SUBNET"),
            ("IP_Address", "addresses.LINK"),
            ("ipaddr", "addresses.LINK"),
            ("IPv4", "reservations.SUBNET"),
            ("ip1", "reservations.SUBNET"),
            ("eth0", "nics.LABEL"),
            ("eth0_mac", "nics.LABEL"),
            ("mac1", "nics.LABEL"),
            ("vlan", "belong to the subnet"),
            ("OS", "write image"),
            ("role", "write labels"),
            ("switch_port", "nics.LABEL.port"),
            ("serail", "did you mean \"serial\"?"),
        ] {
            let errors = imported(&format!("host,{name}\nn1,x\n")).unwrap_err();
            assert!(errors.len() == 1 && errors[0].contains(hint), "{name}: {errors:?}");
            assert!(errors[0].contains(&format!("unknown column \"{name}\"")), "{errors:?}");
        }
    }

    #[test]
    fn a_row_changes_only_what_it_says() {
        let mut site = imported("host,rack,unit\na,r1,1\nb,r1,2\n").unwrap();
        Rows::parse("host,unit,rack\na,5,\n").unwrap().put_into(&mut site).unwrap();
        assert_eq!((site.hosts["a"].unit, site.hosts["a"].rack.as_deref()), (Some(5), Some("r1")));
        assert_eq!(site.hosts["b"].unit, Some(2));
    }

    #[test]
    fn the_list_of_the_ui_comes_back_in_unchanged() {
        let mut site = imported(
            "host,rack,nics.ens1f1,nics.ens1f0,labels,notes\n\
             a,r1,02:00:5e:00:00:01,02:00:5e:00:00:02,gpu new,\"[loud], it's\"\n\
             b,r1,,,,\n",
        )
        .unwrap();
        let before = site.clone();
        let list = "name,rack,unit,state,cause,addresses,serial,macs,labels,lease,ports,notes\n\
                    a,r1,,up,,10.0.0.1 10.0.0.2,,02:00:5e:00:00:01 02:00:5e:00:00:02,\"gpu, new\",,leaf1 swp1,\"[loud], it's\"\n\
                    b,r1,,waiting,'-,,,,,,,\n";
        let rows = Rows::parse(list).unwrap();
        rows.put_into(&mut site).unwrap();
        assert_eq!(site, before);
        let shown: Vec<&str> = rows.shown_columns().collect();
        assert_eq!(shown, ["state", "cause", "addresses", "lease", "ports"]);
        // One changed MAC keeps the name of its NIC; a mark of spreadsheets is no part of a text.
        let list = list.replace("00:00:02", "00:00:03").replace(",waiting", ",up");
        let list = list.replace("b,r1,,up,'-,,,,,,,", "b,r2,,up,,,,,,,,'-- loud");
        Rows::parse(&list).unwrap().put_into(&mut site).unwrap();
        assert_eq!(site.hosts["a"].nics["ens1f0"].to_string(), "02:00:5e:00:00:03");
        assert_eq!(site.hosts["a"].nics.len(), 2);
        let b = &site.hosts["b"];
        assert_eq!((b.rack.as_deref(), b.notes.as_deref()), (Some("r2"), Some("-- loud")));
        // Elsewhere such names say too little.
        let errors = imported("name,state\na,up\n").unwrap_err();
        assert!(errors[0].contains("unknown column \"state\""), "{errors:?}");
    }

    #[test]
    fn an_error_has_the_column_as_the_file_names_it() {
        let rows = Rows::parse("Server Name,U,iDRAC IP,MACs\na,x,10.9.0.1,\nb,1,y,5\n").unwrap();
        let errors = rows.put_into(&mut Site::default()).unwrap_err();
        let found =
            |error: &RowError| (error.line, rows.column_of(&error.path).unwrap_or("").to_owned());
        assert_eq!(errors.iter().map(found).collect::<Vec<_>>()[0], (2, "U".to_owned()));
        assert_eq!(rows.column_of("nics.eth0.mac"), Some("MACs"));
        assert_eq!(rows.column_of("bmc.address"), Some("iDRAC IP"));
        assert_eq!(rows.column_of("profile"), None);
    }

    #[test]
    fn every_bad_row_is_named_and_nothing_is_done() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &["row 1: no column is named \"host\""]),
            (
                "host,colour\na,red\n",
                &["row 1: unknown column \"colour\"; expected one of 26, \
                        such as host, rack, unit, index, serial, tenant, rented-from, rented-until"],
            ),
            (
                "host,unit\na,x\nb,1,2\n,3\n",
                &[
                    "row 3: 3 cells, where the first row names 2 columns",
                    "row 4: the host has no name",
                ],
            ),
            (
                "host,unit\na,x\nb,70000\n",
                &[
                    "row 2: unit: expected a number from 0 to 65535, found \"x\"",
                    "row 3: unit: expected a number from 0 to 65535, found \"70000\"",
                ],
            ),
            ("host,unit\na,1\na,2\n", &["row 3: host a is in row 2 already"]),
            (
                "host,unit\n\"a,1\nb,2\n",
                &[
                    "row 2: the quotation mark that opens a cell here is never closed: close it, or \
                    remove it",
                ],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(imported(text).unwrap_err(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_quotation_mark_is_closed_by_one_that_is_not_doubled() {
        for (text, expected) in [
            ("", None),
            ("a,b\n", None),
            ("\"a\",\"b\nc\"\n", None),
            ("\"a \"\"b\"\"\",\"\"\n", None),
            ("a,5\" disk\nb,c", None),
            ("a\n\"b,c\nd", Some(2)),
            ("a,\"b\"\"\nc", Some(1)),
            ("\"", Some(1)),
        ] {
            assert_eq!(unclosed_quote(text, b','), expected, "{text:?}");
        }
    }
}
