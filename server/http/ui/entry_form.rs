//! One entry of the site as a form: a field for each of its keys, and back to the text of a site
//! file. Pure.

use serde_json::{Map, Value};

use super::form::Fields;
use super::host_form::FormErrors;
use crate::inventory::ChangeError;
use crate::model::{Field, Input, Location, NounKind};
use crate::site_file::{self, SiteFileError};

/// Rows without a value that a table offers for more.
const SPARE_ROWS: usize = 1;
/// Words of keys that are written in capitals.
const ACRONYMS: [&str; 17] = [
    "bootp", "bpdu", "cidr", "dhcp", "dns", "dnssec", "efi", "lacp", "mlag", "mtu", "ntp", "tftp",
    "tls", "vlan", "vlans", "vrf", "id",
];

/// The form of one entry.
pub(super) struct EntryForm {
    pub kind: NounKind,
    /// Its name; of a new one, what was entered.
    pub name: String,
    /// Whether it is not in the site yet.
    pub is_new: bool,
    pub fields: Vec<FormField>,
}

/// A key with what is entered for it.
pub(super) struct FormField {
    pub field: Field,
    pub value: FieldValue,
}

/// What is entered for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldValue {
    /// A text, a word, or the lines of a list.
    Text(String),
    /// Whether it is so.
    Ticked(bool),
    /// The cells of a table by row; an empty row is a spare one.
    Rows(Vec<Vec<String>>),
    /// A part of a site file.
    Yaml(String),
}

impl FieldValue {
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Yaml(text) => text.trim().is_empty(),
            Self::Ticked(is_so) => !is_so,
            Self::Rows(rows) => rows.iter().all(|row| is_spare(row)),
        }
    }
}

fn is_spare(row: &[String]) -> bool {
    row.iter().all(String::is_empty)
}

impl FormField {
    /// The field with the value that an entry has.
    fn of(field: Field, value: Option<&Value>) -> Self {
        let value = match (&field.input, value) {
            (Input::Tick, None) => FieldValue::Ticked(false),
            (Input::Tick, Some(Value::Bool(is_so))) => FieldValue::Ticked(*is_so),
            (Input::Rows(columns), value) => rows(columns, value),
            (Input::Yaml, None) => FieldValue::Yaml(String::new()),
            (Input::List { .. }, Some(Value::Array(items))) if items.iter().all(is_plain) => {
                FieldValue::Text(items.iter().map(plain).collect::<Vec<_>>().join("\n"))
            }
            (_, None) => FieldValue::Text(String::new()),
            (Input::Yaml | Input::List { .. }, Some(value)) => FieldValue::Yaml(yaml(value)),
            (_, Some(value)) if is_plain(value) => FieldValue::Text(plain(value)),
            (_, Some(value)) => FieldValue::Yaml(yaml(value)),
        };
        Self { field, value }
    }

    /// The field with what was sent.
    fn read(field: Field, sent: &Fields) -> Self {
        let (name, written) = (format!("key.{}", field.key), format!("yaml.{}", field.key));
        let value = match &field.input {
            _ if !sent.text(&written).is_empty() => FieldValue::Yaml(sent.raw(&written).to_owned()),
            Input::Yaml => FieldValue::Yaml(String::new()),
            Input::Tick => FieldValue::Ticked(!sent.text(&name).is_empty()),
            Input::Rows(columns) => {
                let cell = |column: &Field| {
                    let name = format!("{name}.{}", column.key);
                    sent.texts(&name).map(str::to_owned).collect::<Vec<_>>()
                };
                let cells: Vec<_> = columns.iter().map(cell).collect();
                let count = cells.iter().map(Vec::len).max().unwrap_or_default();
                let row = |index| cells.iter().map(|column| cell_at(column, index)).collect();
                let rows: Vec<Vec<String>> = (0..count).map(row).collect();
                let mut rows: Vec<_> = rows.into_iter().filter(|row| !is_spare(row)).collect();
                add_spare(&mut rows, columns.len());
                FieldValue::Rows(rows)
            }
            _ => FieldValue::Text(sent.text(&name).to_owned()),
        };
        Self { field, value }
    }

    /// What people call it.
    pub(super) fn label(&self) -> String {
        label(&self.field.key)
    }

    /// Whether a text needs more than a line.
    pub(super) fn is_long(&self) -> bool {
        self.field.key == "notes"
            || matches!(&self.value, FieldValue::Text(text) if text.contains('\n'))
    }

    /// How many lines its text area shows.
    pub(super) fn lines(&self) -> usize {
        match &self.value {
            FieldValue::Text(text) | FieldValue::Yaml(text) => {
                text.lines().count().clamp(1, 14) + 1
            }
            FieldValue::Ticked(_) | FieldValue::Rows(_) => 1,
        }
    }

    /// The key and its value as a site file has them, indented as a value of an entry; nothing for
    /// what is not entered.
    fn write(&self) -> Option<String> {
        let key = &self.field.key;
        if self.value.is_empty() {
            return None;
        }
        let value = match (&self.value, &self.field.input) {
            (FieldValue::Ticked(_), _) => " true\n".to_owned(),
            (FieldValue::Yaml(text), _) => {
                let indented = text.trim_end().lines().map(|line| format!("      {line}\n"));
                format!("\n{}", indented.collect::<String>())
            }
            (FieldValue::Rows(rows), Input::Rows(columns)) => {
                let rows = rows.iter().filter(|row| !is_spare(row));
                let line = |row: &Vec<String>| {
                    let cells = columns.iter().zip(row).filter(|(_, text)| !text.is_empty());
                    let cells: Map<String, Value> = cells
                        .map(|(column, text)| (column.key.clone(), typed(&column.input, text)))
                        .collect();
                    format!("      - {}\n", Value::from(cells))
                };
                format!("\n{}", rows.map(line).collect::<String>())
            }
            (FieldValue::Text(text), Input::List { of_texts }) => {
                let kind = if *of_texts { Input::Text } else { Input::Scalar };
                let items = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let items: Vec<Value> = items.map(|item| typed(&kind, item)).collect();
                format!(" {}\n", Value::from(items))
            }
            (FieldValue::Text(text), input) => format!(" {}\n", typed(input, text)),
            (FieldValue::Rows(_), _) => return None,
        };
        Some(format!("    {key}:{value}"))
    }
}

fn cell_at(column: &[String], index: usize) -> String {
    column.get(index).cloned().unwrap_or_default()
}

fn add_spare(rows: &mut Vec<Vec<String>>, columns: usize) {
    rows.extend(std::iter::repeat_n(vec![String::new(); columns], SPARE_ROWS));
}

/// A table of an entry's rows; text where a cell of one has parts.
fn rows(columns: &[Field], value: Option<&Value>) -> FieldValue {
    let mut rows = Vec::new();
    for item in value.and_then(Value::as_array).into_iter().flatten() {
        let cells = columns.iter().map(|column| &item[column.key.as_str()]);
        let cells: Vec<&Value> = cells.collect();
        if !cells.iter().all(|cell| cell.is_null() || is_plain(cell)) {
            return FieldValue::Yaml(value.map(yaml).unwrap_or_default());
        }
        rows.push(cells.into_iter().map(plain).collect());
    }
    add_spare(&mut rows, columns.len());
    FieldValue::Rows(rows)
}

fn is_plain(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A part of a site file.
fn yaml(value: &Value) -> String {
    // Values of JSON serialise.
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// A text that was entered, as its key takes it. What is no number where one is expected stays a
/// text, which the reader of site files refuses in its own words.
fn typed(input: &Input, text: &str) -> Value {
    match input {
        Input::Text => text.into(),
        _ => match text {
            "true" => true.into(),
            "false" => false.into(),
            // `007` and `1e3` are texts.
            _ => text
                .parse::<i64>()
                .ok()
                .filter(|number| number.to_string() == text)
                .map_or_else(|| text.into(), Value::from),
        },
    }
}

/// What people call a key: `Lease time`, `Native VLAN`.
fn label(key: &str) -> String {
    let word = |(index, word): (usize, &str)| match word {
        _ if ACRONYMS.contains(&word) => match word {
            "vlans" => "VLANs".to_owned(),
            _ => word.to_uppercase(),
        },
        _ if index == 0 => {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_uppercase().chain(letters).collect())
                .unwrap_or_default()
        }
        _ => word.to_owned(),
    };
    key.split('-').enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// The keys that a form of the kind shows at once; the others are folded until they have a value.
/// None for kinds whose entries are edited otherwise.
fn usual(kind: NounKind) -> Option<&'static [&'static str]> {
    match kind {
        NounKind::Subnet => Some(&["cidr", "vlan", "gateway", "ranges", "dns", "domains", "mtu"]),
        NounKind::Switch => Some(&["vendor", "rack", "mlag-peer", "vlans", "native-vlan"]),
        NounKind::Tenant => Some(&["contact"]),
        NounKind::Rack => Some(&["location", "units", "protected"]),
        NounKind::Image => {
            Some(&["kernel", "initrd", "cmdline", "disk", "live-system", "recipe", "boot"])
        }
        // A host has a form of its own; a profile is a tree.
        NounKind::Host | NounKind::ProfileTree => None,
    }
}

/// The text of an entry, and where in it each key stands.
pub(super) struct Written {
    pub text: String,
    /// The first line of each key, counted from 1.
    lines: Vec<(usize, String)>,
}

impl Written {
    /// Where the form shows an error of the text.
    fn place(&self, error: &SiteFileError) -> &str {
        let before = |(line, _): &&(usize, String)| *line <= error.position.line;
        self.lines.iter().rev().find(before).map_or("", |(_, key)| key.as_str())
    }
}

impl EntryForm {
    /// Whether entries of the kind have a form.
    pub(super) fn exists(kind: NounKind) -> bool {
        usual(kind).is_some()
    }

    /// The form of an entry, given as JSON; of a new one without a name, an empty one.
    pub(super) fn of(kind: NounKind, name: &str, entry: &Value) -> Self {
        let field = |field: Field| {
            let value = entry.get(&field.key).filter(|value| !value.is_null());
            FormField::of(field, value)
        };
        let fields = kind.fields().into_iter().map(field).collect();
        Self { kind, name: name.to_owned(), is_new: name.is_empty(), fields }
    }

    /// What was sent. A new entry has its name from the form.
    pub(super) fn read(kind: NounKind, name: &str, sent: &Fields) -> Self {
        let fields = kind.fields().into_iter().map(|field| FormField::read(field, sent)).collect();
        let is_new = name.is_empty();
        let name = if is_new { sent.text("entry-name") } else { name };
        Self { kind, name: name.to_owned(), is_new, fields }
    }

    /// Those that the form shows at once.
    pub(super) fn shown(&self, form_errors: &FormErrors) -> Vec<&FormField> {
        let usual = usual(self.kind).unwrap_or_default();
        let rank = |field: &FormField| usual.iter().position(|key| *key == field.field.key);
        let is_shown = |field: &&FormField| {
            rank(field).is_some()
                || field.field.required
                || !field.value.is_empty()
                || form_errors.at(&field.field.key).is_some()
                || matches!(field.field.key.as_str(), "labels" | "notes")
        };
        let mut shown: Vec<&FormField> = self.fields.iter().filter(is_shown).collect();
        // The usual ones first, in their order; the rest as the model has them, notes last.
        let is_remark = |field: &FormField| matches!(field.field.key.as_str(), "labels" | "notes");
        shown.sort_by_key(|field| (is_remark(field), rank(field).unwrap_or(usual.len())));
        shown
    }

    /// Those that are folded.
    pub(super) fn folded(&self, form_errors: &FormErrors) -> Vec<&FormField> {
        let shown = self.shown(form_errors);
        let is_shown =
            |field: &FormField| shown.iter().any(|other| other.field.key == field.field.key);
        self.fields.iter().filter(|field| !is_shown(field)).collect()
    }

    /// What is wrong before the entry is read as a whole: what must be there and is not, and parts
    /// of a site file that are none by themselves, whose end would be found in a later field.
    pub(super) fn errors(&self) -> FormErrors {
        let mut form_errors = FormErrors::default();
        let noun = self.kind.label();
        if self.name.is_empty() {
            form_errors.add("entry-name", format!("enter a name for the {noun}"));
        }
        for FormField { field, value } in &self.fields {
            match value {
                value if value.is_empty() && field.required => {
                    form_errors.add(&*field.key, format!("enter a value: every {noun} needs one"));
                }
                value if value.is_empty() => {}
                FieldValue::Yaml(text) => {
                    let read = site_file::parse_entry::<Value>(text, "");
                    if let Err(SiteFileError { position, message, .. }) = read {
                        form_errors.add(&*field.key, format!("line {}: {message}", position.line));
                    }
                }
                _ => {}
            }
        }
        form_errors
    }

    /// What is wrong with every field, where a reader stops at the first: what it has found is left out,
    /// and the rest is read again.
    pub(super) fn all_errors(&self, first: &[SiteFileError]) -> FormErrors {
        let mut form_errors = FormErrors::default();
        let mut dropped: Vec<String> = Vec::new();
        let mut written = self.write();
        let mut errors = first.to_vec();
        loop {
            let mut found = Vec::new();
            for error in &errors {
                let place = written.place(error).to_owned();
                if !dropped.contains(&place) && (dropped.is_empty() || place != "entry-name") {
                    form_errors.add(place.as_str(), &*error.message);
                    found.push(place);
                }
            }
            if found.is_empty() || found.iter().all(|place| place == "entry-name") {
                return form_errors;
            }
            dropped.extend(found);
            written = self.write_without(&dropped);
            errors = match site_file::parse(&written.text, "") {
                Ok(_) => return form_errors,
                Err(errors) => errors,
            };
        }
    }

    /// The entry as a site file.
    pub(super) fn write(&self) -> Written {
        self.write_without(&[])
    }

    /// The same, without some of its keys. In place of one that must be there stands a value that is
    /// right.
    fn write_without(&self, dropped: &[String]) -> Written {
        let stand_in = |field: &FormField| {
            let key = field.field.key.as_str();
            let value = match &field.field.input {
                Input::Choice(words) => words.first()?.0.as_str(),
                _ if key == "cidr" => "0.0.0.0/0",
                _ => return None,
            };
            field.field.required.then(|| format!("    {key}: {value}\n"))
        };
        let of_field = |field: &FormField| match dropped.contains(&field.field.key) {
            true => stand_in(field),
            false => field.write(),
        };
        let (section, name) = (self.kind.section(), Value::from(self.name.as_str()));
        let mut text = format!("{section}:\n  {name}:");
        let mut lines = vec![(2, "entry-name".to_owned())];
        let written: Vec<_> = self
            .fields
            .iter()
            .filter_map(|field| Some((&field.field.key, of_field(field)?)))
            .collect();
        text.push_str(if written.is_empty() { " {}\n" } else { "\n" });
        for (key, value) in written {
            lines.push((text.lines().count() + 1, key.clone()));
            text.push_str(&value);
        }
        Written { text, lines }
    }

    /// What people call a place of the form.
    pub(super) fn label(&self, place: &str) -> String {
        if place == "entry-name" { "Name".to_owned() } else { label(place) }
    }

    /// Errors of the text that was made of it, at its fields.
    pub(super) fn text_errors(&self, errors: &[SiteFileError]) -> FormErrors {
        let written = self.write();
        let mut form_errors = FormErrors::default();
        errors.iter().for_each(|error| form_errors.add(written.place(error), &*error.message));
        form_errors
    }

    /// Why a change is refused, at its fields.
    pub(super) fn refusal(&self, error: &ChangeError) -> FormErrors {
        FormErrors::of_change(error, |finding| {
            finding
                .subjects()
                .find_map(|subject| self.place(subject))
                .unwrap_or_default()
                .to_owned()
        })
    }

    /// The field of a value; none for what is not of this entry.
    fn place(&self, subject: &Location) -> Option<&str> {
        if subject.noun != self.kind.label() || subject.name != self.name {
            return None;
        }
        let key = subject.field.first()?;
        let field = self.fields.iter().find(|field| field.field.key == *key);
        field.map(|field| field.field.key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An entry of each kind that has a form, with a value of each kind of field.
    fn entries() -> Vec<(NounKind, Value)> {
        vec![
            (
                NounKind::Subnet,
                json!({"cidr": "10.0.0.0/24", "vlan": 500, "gateway": "10.0.0.1", "mtu": 9000,
                    "labels": ["a", "b"], "notes": "two\nlines: {here}", "dns": ["10.0.0.53", "9.9.9.9#dns.example"],
                    "lease-time": "1h", "rapid-commit": true, "identify-by": "mac",
                    "boot-files": {"x64": "a.efi"}, "dhcp-options": {"ntp-servers": ["10.0.0.9"]},
                    "ranges": [{"from": "10.0.0.10", "to": "10.0.0.20", "for": "hosts"},
                        {"from": "10.0.0.30", "to": "10.0.0.40", "for": "dhcp"}]}),
            ),
            (
                NounKind::Switch,
                json!({"vendor": "eos", "rack": "r1", "vlans": ["10", "3700-3799"], "bpdu-guard": false,
                    "native-vlan": 10, "no-lacp-fallback": true}),
            ),
            (NounKind::Tenant, json!({"contact": "\"ops\": # at acme"})),
            (
                NounKind::Rack,
                json!({"location": "007", "units": 48, "parameters": {"a": 1, "b": "x"},
                    "network": {"bonds": {"bond0": {"mtu": 9000}}}}),
            ),
            (
                NounKind::Image,
                json!({"kernel": "live/vmlinuz", "initrd": ["a", "b"], "cmdline": "a=1 b='2'", "boot": "once"}),
            ),
        ]
    }

    #[test]
    fn what_a_form_shows_is_what_it_writes() {
        for (kind, entry) in entries() {
            let site = json!({(kind.section()): {"it": entry}}).to_string();
            let site = site_file::parse(&site, "json").unwrap();
            let whole = serde_json::to_value(&site).unwrap();
            let form = EntryForm::of(kind, "it", &whole[kind.section()]["it"]);
            let text = form.write().text;
            let again = site_file::parse(&text, "form")
                .unwrap_or_else(|errors| panic!("{errors:?}\n{text}"));
            assert_eq!(serde_json::to_value(again).unwrap(), whole, "{text}");
        }
    }

    #[test]
    fn every_kind_has_its_usual_keys() {
        for kind in NounKind::ALL {
            let fields = kind.fields();
            for key in usual(*kind).unwrap_or_default() {
                assert!(fields.iter().any(|field| field.key == *key), "{key} of {}", kind.label());
            }
        }
    }

    #[test]
    fn errors_stand_at_their_fields() {
        let entry = json!({"cidr": "10.0.0.0/24", "vlan": 500});
        let mut form = EntryForm::of(NounKind::Subnet, "it", &entry);
        for field in &mut form.fields {
            if field.field.key == "vlan" {
                field.value = FieldValue::Text("ten".into());
            }
        }
        let told = |form: &EntryForm| {
            let errors = site_file::parse(&form.write().text, "form").unwrap_err();
            let form_errors = form.text_errors(&errors);
            form_errors.iter().map(|(place, _)| place.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told(&form), ["vlan"]);
        // A part that is cut off ends in another field.
        let options = form.fields.iter_mut().find(|field| field.field.key == "dhcp-options");
        options.unwrap().value = FieldValue::Yaml("a: [".into());
        let form_errors = form.errors();
        assert_eq!(
            form_errors.iter().map(|(place, _)| place).collect::<Vec<_>>(),
            ["dhcp-options"]
        );
    }

    #[test]
    fn labels_are_words() {
        assert_eq!(label("lease-time"), "Lease time");
        assert_eq!(label("native-vlan"), "Native VLAN");
        assert_eq!(label("cidr"), "CIDR");
        assert_eq!(label("no-lacp-fallback"), "No LACP fallback");
    }
}
