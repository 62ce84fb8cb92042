//! Where in the form of a host a problem is shown. Pure.

use super::HostForm;
use crate::model::{Host, Location, SINGLE_VALUE_KEYS};

impl HostForm {
    /// The field for a problem with these subjects: the first value of this host that the form
    /// has a field for; empty for the form as a whole.
    pub(crate) fn place<'a>(&self, mut subjects: impl Iterator<Item = &'a Location>) -> String {
        subjects.find_map(|subject| self.field(subject)).unwrap_or_default()
    }

    /// The field of a value; none for what the form does not show.
    fn field(&self, subject: &Location) -> Option<String> {
        if !subject.is_in::<Host>(&self.name) {
            return None;
        }
        let rows = |table: &str| match table {
            "nics" => Some(&self.nics),
            "addresses" => Some(&self.addresses),
            "reservations" => Some(&self.reservations),
            "parameters" => Some(&self.parameters),
            "match" => Some(&self.known_by),
            _ => None,
        };
        match subject.field.as_slice() {
            // The entry itself: what is wrong with that is its name.
            [] => Some("name".into()),
            [key] if SINGLE_VALUE_KEYS.contains(&key.as_str()) => Some(key.clone()),
            [key, ..] if key == "labels" || key == "bmc" || key == "height" => Some(key.clone()),
            [_] => None,
            [table, key, ..] => {
                rows(table)?.iter().any(|(own, _)| own == key).then(|| format!("{table}.{key}"))
            }
        }
    }
}
