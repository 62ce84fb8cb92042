//! What is wrong with a form, each at its place. Pure.

use crate::inventory::ChangeError;
use crate::network::Finding;

/// What is wrong, by the place in the host: `name`, `unit`, `nics.eth0`,
/// `addresses.virbr0`, or nothing for the host as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FormErrors(Vec<(String, String)>);

impl FormErrors {
    /// Notes something wrong.
    pub(crate) fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.0.push((place.into(), text.into()));
    }

    /// Why a change of an entry is refused, each finding at its `place`.
    pub(crate) fn of_change(error: &ChangeError, place: impl Fn(&Finding) -> String) -> Self {
        let mut form_errors = Self::default();
        match error {
            ChangeError::Refused(findings) => {
                findings.iter().for_each(|found| form_errors.add(place(found), &*found.text));
            }
            ChangeError::Exists { .. } => form_errors.add("entry-name", error.to_string()),
            error => form_errors.add("", error.to_string()),
        }
        form_errors
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong at a place.
    pub(crate) fn at(&self, place: &str) -> Option<&str> {
        self.0.iter().find(|(at, _)| at == place).map(|(_, text)| text.as_str())
    }

    /// What is wrong at a place of a table, such as `nics` and `eth0`.
    pub(crate) fn in_row(&self, table: &str, key: &str) -> Option<&str> {
        self.at(&format!("{table}.{key}"))
    }

    /// Everything, as place and text.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(place, text)| (place.as_str(), text.as_str()))
    }
}
