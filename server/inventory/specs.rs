//! Racks, tenants, switches, profiles, images and the site itself: what is a row of a name and its
//! JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::inventory::Error;
use crate::inventory::database::{Transaction, execute, with_connection};
use crate::model::{Image, Noun, ProfileTree, Rack, SiteWide, Switch, Tenant};

/// What is stored as one JSON text under its name.
pub(crate) trait Stored: Serialize + DeserializeOwned + PartialEq {
    /// The operator's word for one.
    const WORD: &'static str;
    /// Reads every row.
    const LIST: &'static str;
    /// Adds a row, or changes the one of that name.
    const SET: &'static str;
    /// Removes a row by its name.
    const REMOVE: &'static str;
}

macro_rules! stored {
    ($($type:ident $word:expr, in $table:literal);* $(;)?) => {$(
        impl Stored for $type {
            const WORD: &'static str = $word;
            const LIST: &'static str = concat!("SELECT name, spec FROM ", $table);
            const SET: &'static str = concat!(
                "INSERT INTO ", $table, " (name, spec) VALUES ($1, $2)",
                " ON CONFLICT (name) DO UPDATE SET spec = excluded.spec"
            );
            const REMOVE: &'static str = concat!("DELETE FROM ", $table, " WHERE name = $1");
        }
    )*};
}

stored! {
    Rack Rack::NOUN, in "racks";
    Tenant Tenant::NOUN, in "tenants";
    Switch Switch::NOUN, in "switches";
    ProfileTree ProfileTree::NOUN, in "profiles";
    Image Image::NOUN, in "images";
    SiteWide "site", in "site_wide";
}

/// Reads every row of a noun.
pub(crate) async fn list<T: Stored>(
    transaction: &mut Transaction,
) -> Result<BTreeMap<String, T>, Error> {
    let rows: Vec<(String, String)> = with_connection!(transaction, connection =>
        sqlx::query_as(T::LIST).fetch_all(connection).await)?;
    rows.into_iter()
        .map(|(name, spec)| {
            let value = serde_json::from_str(&spec)
                .map_err(|error| Error::unreadable(T::WORD, &name, error))?;
            Ok((name, value))
        })
        .collect()
}

/// Writes the rows of `after` that `before` lacks or has otherwise.
pub(crate) async fn set_changed<T: Stored>(
    transaction: &mut Transaction,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Result<(), Error> {
    for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(*value)) {
        let spec = to_json(T::WORD, name, value)?;
        execute!(transaction, T::SET, name, spec)?;
    }
    Ok(())
}

/// Removes the rows of `before` that `after` lacks.
pub(crate) async fn remove_missing<T: Stored>(
    transaction: &mut Transaction,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
) -> Result<(), Error> {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        execute!(transaction, T::REMOVE, name)?;
    }
    Ok(())
}

/// The JSON that is stored for `value`.
pub(crate) fn to_json<T: Serialize>(
    noun: &'static str,
    name: &str,
    value: &T,
) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::unreadable(noun, name, error))
}
