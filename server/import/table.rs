//! Tables of hosts and of subnets: CSV as spreadsheets, NetBox and people write it. Pure.

mod shape;

use std::net::IpAddr;

use ipnet::IpNet;

use super::columns::{self, Fact};
use super::draft::{Client, Draft, HostValue, noun_name};
use super::{ImportError, Place, Question, Reason, Source, TableColumn, UnsureColumn};
use crate::model::{NicAddress, check_link_name};
use shape::{Row, Table};

/// Reads files.
pub(super) fn read(draft: &mut Draft, files: &[&Source]) -> Result<(), ImportError> {
    for file in files {
        let table = shape::read(draft, file)?;
        let columns = columns(draft, &table)?;
        draft.columns.extend(described(&table, &columns));
        for (index, _) in columns.iter().enumerate().filter(|(_, one)| one.is_none()) {
            report_column(draft, &table, index);
        }
        let is_of_subnets =
            columns.contains(&Some(Fact::Prefix)) && !columns.contains(&Some(Fact::Host));
        for row in &table.rows {
            match is_of_subnets {
                true => subnet(draft, &columns, row),
                false => host(draft, &columns, row),
            }
        }
    }
    Ok(())
}

/// Reports a column that is not taken over, with how many cells it has.
fn report_column(draft: &mut Draft, table: &Table, index: usize) {
    let filled = table.rows.iter().filter(|row| !row.cell(index).is_empty()).count();
    let Some(name) = table.head.cells.get(index).filter(|name| !name.is_empty()) else {
        for row in table.rows.iter().filter(|row| !row.cell(index).is_empty()) {
            draft.report(&row.place, row.cell(index).to_owned(), Reason::UnnamedColumn);
        }
        return;
    };
    if filled > 0 {
        let text = format!("column \"{name}\"");
        draft.report(&table.head.place, text, Reason::Column { cells: filled });
    }
}

/// What each column is; nothing of one that is left out.
fn columns(draft: &Draft, table: &Table) -> Result<Vec<Option<Fact>>, ImportError> {
    let answers = &draft.choices.columns;
    let answered =
        |name: &str| answers.iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
    let mut unsure = Vec::new();
    let mut found: Vec<Option<Fact>> = Vec::new();
    for (index, name) in table.head.cells.iter().enumerate() {
        let fact = match answered(name) {
            Some((_, key)) => match columns::named(key) {
                Some(fact) => Some(fact),
                None => return Err(question(table, Question::UnknownKey { key: key.clone() })),
            },
            None => columns::fact(name),
        };
        // NetBox: the name of the NIC beside the name of the device.
        let has_host = found.contains(&Some(Fact::Host));
        let first = found.iter().position(|one| *one == Some(Fact::Host));
        if let (Some(Fact::Host), Some(first)) = (&fact, first)
            && is_name(&table.head.cells[first])
            && !is_name(name)
        {
            found[first] = Some(Fact::NicName);
        }
        let has_host = has_host && found.contains(&Some(Fact::Host));
        let fact = match fact {
            Some(Fact::Host)
                if has_host && !found.contains(&Some(Fact::NicName)) && is_name(name) =>
            {
                Some(Fact::NicName)
            }
            // A label of a NIC in NetBox's export, not of a host.
            Some(Fact::Labels) if found.contains(&Some(Fact::NicName)) => None,
            Some(Fact::Key(key)) if key == "notes" && found.contains(&Some(Fact::NicName)) => None,
            other => other,
        };
        let is_given = answered(name).is_some();
        let looks = table.looks(index);
        if fact.is_none()
            && !name.is_empty()
            && let (Some(guess), false) = (looks, is_given)
        {
            unsure.push(UnsureColumn {
                name: name.clone(),
                reason: format!("its cells are {guess}"),
            });
        }
        if let Some(fact) = fact.as_ref().filter(|fact| **fact != Fact::Nothing)
            && let Some(first) = found.iter().position(|one| one.as_ref() == Some(fact))
        {
            let other = &table.head.cells[first];
            let reason = format!("it may be the same as \"{other}\"");
            unsure.push(UnsureColumn { name: name.clone(), reason });
        }
        found.push(fact);
    }
    // NIC names come before the host's in some exports.
    let is_there = |fact: &Fact| found.contains(&Some(fact.clone()));
    if !is_there(&Fact::Host) && !is_there(&Fact::Prefix) {
        let reason = "no column is the host's name".to_owned();
        unsure.push(UnsureColumn { name: "NAME".into(), reason });
    }
    if !unsure.is_empty() {
        let columns = described(table, &found);
        return Err(question(table, Question::Columns { unsure, columns }));
    }
    Ok(found)
}

/// How many cells of a column are shown.
const SAMPLES: usize = 3;
/// The longest of them, in characters.
const SAMPLE_CHARACTERS: usize = 40;

/// The columns of a table that have a name.
fn described(table: &Table, facts: &[Option<Fact>]) -> Vec<TableColumn> {
    let mut columns = Vec::new();
    for (index, (name, fact)) in table.head.cells.iter().zip(facts).enumerate() {
        if name.is_empty() {
            continue;
        }
        let mut samples: Vec<String> = Vec::new();
        for row in &table.rows {
            let cell: String = row.cell(index).chars().take(SAMPLE_CHARACTERS).collect();
            if !cell.is_empty() && !samples.contains(&cell) {
                samples.push(cell);
            }
            if samples.len() == SAMPLES {
                break;
            }
        }
        columns.push(TableColumn {
            name: name.clone(),
            key: fact.as_ref().map(Fact::key),
            samples,
        });
    }
    columns
}

fn is_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("name")
}

fn question(table: &Table, question: Question) -> ImportError {
    let text = table.head.cells.join(", ");
    ImportError::Question { place: table.head.place.clone(), text, question }
}

/// What NICs are called that are BMCs.
pub(super) fn is_bmc_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    ["idrac", "ilo", "ipmi", "bmc", "xcc", "imm", "irmc", "drac", "oob", "mgmt"]
        .iter()
        .any(|bmc| lower.starts_with(bmc))
}

fn host(draft: &mut Draft, columns: &[Option<Fact>], row: &Row) {
    let mut client = Client::new(row.place.clone(), row.text());
    let mut bmc = Client::new(row.place.clone(), row.text());
    let mut is_bmc = false;
    let mut gateway = None;
    let mut mask = None;
    let cells = || columns.iter().enumerate().map(|(index, fact)| (fact, row.cell(index)));
    for (fact, cell) in cells().filter(|(_, cell)| !cell.is_empty()) {
        match fact {
            Some(Fact::Host) => client.name = Some(cell.to_owned()),
            Some(Fact::NicName) => {
                is_bmc |= is_bmc_name(cell);
                client.label = Some(cell.to_owned()).filter(|label| check_link_name(label).is_ok());
            }
            Some(Fact::IsBmc) => {
                is_bmc |= matches!(cell.to_ascii_lowercase().as_str(), "true" | "yes" | "1")
            }
            Some(Fact::Mac) => macs(draft, &mut client, cell),
            Some(Fact::MacOf(label)) => {
                if let Some(nic) = nic(draft, &client.place, cell) {
                    client.labelled.push((label.clone(), nic));
                }
            }
            Some(Fact::BmcMac) => macs(draft, &mut bmc, cell),
            Some(Fact::Address) => addresses(draft, &mut client, cell),
            Some(Fact::BmcAddress) => addresses(draft, &mut bmc, cell),
            Some(Fact::Gateway) => gateway = cell.parse::<IpAddr>().ok(),
            Some(Fact::Netmask) => mask = Some(cell.to_owned()),
            Some(Fact::Labels) => {
                let words = cell.split([',', ';', ' ']).filter(|word| !word.is_empty());
                client.labels.extend(words.map(noun_name));
            }
            Some(Fact::Key(key)) => {
                let value = key_value(key, cell);
                client.values.push(HostValue {
                    path: key.clone(),
                    value,
                    place: row.place.clone(),
                });
            }
            // Those are the subnet's.
            Some(Fact::Vlan | Fact::Prefix | Fact::SubnetName | Fact::Nothing) | None => {}
        }
    }
    let Some(name) = client.name.clone() else {
        draft.report(&row.place, row.text(), Reason::NoName);
        return;
    };
    subnet_of_row(draft, columns, row, &client, mask.as_deref(), gateway);
    if is_bmc {
        let client =
            Client { name: Some(format!("{name}-bmc")), label: None, values: Vec::new(), ..client };
        draft.client(client);
        return;
    }
    let has_bmc = !bmc.nics.is_empty();
    if !has_bmc && !bmc.addresses.is_empty() {
        draft.report(&row.place, row.text(), Reason::BmcWithoutMac);
    }
    client.is_named = true;
    draft.client(client);
    if has_bmc {
        bmc.name = Some(format!("{name}-bmc"));
        draft.client(bmc);
    }
}

/// The subnet that a row says the address is in.
fn subnet_of_row(
    draft: &mut Draft,
    columns: &[Option<Fact>],
    row: &Row,
    client: &Client,
    mask: Option<&str>,
    gateway: Option<IpAddr>,
) {
    let cell = |fact: &Fact| {
        let index = columns.iter().position(|one| one.as_ref() == Some(fact))?;
        Some(row.cell(index)).filter(|cell| !cell.is_empty())
    };
    let by_prefix = cell(&Fact::Prefix).and_then(|cell| cell.parse::<IpNet>().ok());
    let by_mask = client.addresses.first().zip(mask).and_then(|(address, mask)| {
        let length = mask.trim_start_matches('/').parse::<u8>().ok();
        match (length, mask.parse::<IpAddr>()) {
            (Some(length), _) => IpNet::new(*address, length).ok(),
            (None, Ok(mask)) => IpNet::with_netmask(*address, mask).ok(),
            _ => None,
        }
    });
    let vlan = cell(&Fact::Vlan);
    let name = cell(&Fact::SubnetName).map(str::to_owned);
    let Some(cidr) = by_prefix.or(by_mask) else {
        if let Some(vlan) = vlan {
            draft.report(&row.place, format!("VLAN {vlan}"), Reason::VlanOfNic);
        }
        return;
    };
    let name = draft.subnet(cidr, name.as_deref(), &row.place);
    let number = vlan.and_then(vlan_number);
    if let Some(subnet) = draft.site.subnets.get_mut(&name) {
        subnet.gateway = subnet.gateway.or(gateway);
        subnet.vlan = subnet.vlan.or(number);
    }
}

/// A row that is a subnet.
fn subnet(draft: &mut Draft, columns: &[Option<Fact>], row: &Row) {
    let (mut cidr, mut vlan, mut gateway, mut name, mut notes) = (None, None, None, None, None);
    for (index, fact) in columns.iter().enumerate() {
        let cell = row.cell(index);
        if cell.is_empty() {
            continue;
        }
        match fact {
            Some(Fact::Prefix) => match cell.parse::<IpNet>() {
                Ok(net) => cidr = Some(net),
                Err(_) => {
                    let reason = Reason::Invalid(format!("\"{cell}\" is not a prefix"));
                    draft.report(&row.place, row.text(), reason);
                }
            },
            Some(Fact::Vlan) => vlan = vlan_number(cell),
            Some(Fact::Gateway) => gateway = cell.parse().ok(),
            Some(Fact::SubnetName) => name = Some(cell.to_owned()),
            Some(Fact::Key(key)) if key == "notes" => notes = Some(cell.to_owned()),
            Some(Fact::Nothing) | None => {}
            Some(_) => draft.report(&row.place, cell.to_owned(), Reason::NoCounterpart),
        }
    }
    let Some(cidr) = cidr else { return };
    let name = draft.subnet(cidr, name.as_deref(), &row.place);
    if let Some(subnet) = draft.site.subnets.get_mut(&name) {
        (subnet.vlan, subnet.gateway, subnet.notes) = (vlan, gateway, notes);
    }
}

/// The id in `120`, `VLAN 120` and NetBox's `servers (120)`.
fn vlan_number(cell: &str) -> Option<u16> {
    let digits = cell.rsplit(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty())?;
    digits.parse().ok().filter(|id| (1..=4094).contains(id))
}

/// A cell as the site file has it: spreadsheets write numbers with a fraction, NetBox units so.
fn key_value(key: &str, cell: &str) -> String {
    match key {
        "unit" | "index" => cell.trim_start_matches(['U', 'u']).trim_end_matches(".0").to_owned(),
        "rack" => noun_name(cell),
        _ => cell.to_owned(),
    }
}

fn nic(draft: &mut Draft, place: &Place, cell: &str) -> Option<NicAddress> {
    match cell.parse() {
        Ok(nic) => Some(nic),
        Err(error) => {
            let reason = Reason::Invalid(format!("{error}"));
            draft.report(place, cell.to_owned(), reason);
            None
        }
    }
}

fn macs(draft: &mut Draft, client: &mut Client, cell: &str) {
    let words = cell.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '/'));
    for word in words.filter(|word| !word.is_empty()) {
        client.nics.extend(nic(draft, &client.place.clone(), word));
    }
}

fn addresses(draft: &mut Draft, client: &mut Client, cell: &str) {
    let words = cell.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
    for word in words.filter(|word| !word.is_empty()) {
        if let Ok(address) = word.parse::<IpAddr>() {
            client.addresses.push(address);
        } else if let Ok(net) = word.parse::<IpNet>() {
            client.addresses.push(net.addr());
            if net.prefix_len() < net.max_prefix_len() {
                draft.subnet(net, None, &client.place);
            }
        } else {
            draft.report(&client.place, word.to_owned(), Reason::NotAnAddress);
        }
    }
}
