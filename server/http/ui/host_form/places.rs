//! Where in the form of a host something is to be said. Pure.

use super::HostForm;
use crate::model::Mac;
use crate::network::Finding;

impl HostForm {
    /// Where in the form a finding belongs: its own place if it is about this host and the
    /// form has that place, else the field whose value the finding names.
    pub fn place(&self, finding: &Finding) -> String {
        let own = finding.path.strip_prefix(&format!("hosts.{}.", self.name)).unwrap_or_default();
        if self.has_place(own) {
            return own.to_owned();
        }
        self.place_of_value(&finding.text)
    }

    /// The place of the field whose value stands in a text; nothing where there is none.
    pub fn place_of_value(&self, text: &str) -> String {
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || "\",;()".contains(c))
            .map(|w| w.trim_end_matches(['.', ':']))
            .collect();
        let named = |value: &String| !value.is_empty() && words.contains(&value.as_str());
        let nic_named = |value: &String| {
            value.parse::<Mac>().is_ok_and(|mac| words.contains(&mac.to_string().as_str()))
        };
        let tables = [("addresses", &self.addresses), ("reservations", &self.reservations)];
        if words.contains(&self.name.as_str()) && text.starts_with("there is a host") {
            return "name".into();
        }
        let in_nics = self
            .nics
            .iter()
            .find(|(_, mac)| nic_named(mac))
            .map(|(label, _)| format!("nics.{label}"));
        let in_tables = || {
            tables.iter().find_map(|(table, rows)| {
                let (key, _) = rows.iter().find(|(_, value)| named(value))?;
                Some(format!("{table}.{key}"))
            })
        };
        in_nics.or_else(in_tables).unwrap_or_default()
    }

    fn has_place(&self, place: &str) -> bool {
        let in_rows = |rows: &[(String, String)], key: &str| rows.iter().any(|(own, _)| own == key);
        match place.split_once('.') {
            None => matches!(
                place,
                "rack"
                    | "unit"
                    | "index"
                    | "serial"
                    | "tenant"
                    | "leased-from"
                    | "leased-until"
                    | "profile"
                    | "image"
                    | "boot-file"
            ),
            Some(("nics", key)) => in_rows(&self.nics, key),
            Some(("addresses", key)) => in_rows(&self.addresses, key),
            Some(("reservations", key)) => in_rows(&self.reservations, key),
            Some(("parameters", key)) => in_rows(&self.parameters, key),
            Some(("match", key)) => in_rows(&self.known_by, key),
            Some(_) => false,
        }
    }
}
