//! A set of VLAN ids, as people write it: `[10, 20]`, `[10, 2000-2999]` or `2-4094`. Pure.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// VLAN ids in ranges that do not touch, the lowest first: the whole of `2-4094` is one range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VlanIds(Vec<RangeInclusive<u16>>);

/// A text that is neither an id nor a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a VLAN id or a range of them: expected one such as 10 or 2-4094")]
pub struct InvalidVlanIds(String);

impl VlanIds {
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has `id`.
    pub fn contains(&self, id: u16) -> bool {
        let at = self.0.partition_point(|range| *range.end() < id);
        self.0.get(at).is_some_and(|range| range.contains(&id))
    }

    /// Its ranges, the lowest first.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u16>> {
        self.0.iter().cloned()
    }

    /// Every id, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().cloned().flatten()
    }

    /// Adds an id.
    pub fn insert(&mut self, id: u16) {
        self.insert_range(id..=id);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        other.ranges().for_each(|range| self.insert_range(range));
    }

    fn insert_range(&mut self, range: RangeInclusive<u16>) {
        // What overlaps or touches it becomes one with it.
        let first = self.0.partition_point(|own| own.end().saturating_add(1) < *range.start());
        let after = self.0.partition_point(|own| *own.start() <= range.end().saturating_add(1));
        let touched = self.0.drain(first..after.max(first));
        let joined = touched
            .fold(range, |all, own| *all.start().min(own.start())..=*all.end().max(own.end()));
        self.0.insert(first, joined);
    }

    /// Those that `other` does not have.
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Self::default();
        for range in self.ranges() {
            let mut from = u32::from(*range.start());
            let cut = other
                .0
                .iter()
                .filter(|cut| cut.end() >= range.start() && cut.start() <= range.end());
            for cut in cut {
                if let Some(to) = cut.start().checked_sub(1).filter(|to| u32::from(*to) >= from) {
                    left.insert_range(from as u16..=to);
                }
                from = u32::from(*cut.end()) + 1;
            }
            if from <= u32::from(*range.end()) {
                left.insert_range(from as u16..=*range.end());
            }
        }
        left
    }

    /// The ranges as texts with `separator` between them, such as `10,500-502`.
    pub fn joined(&self, separator: &str) -> String {
        self.0.iter().map(text).collect::<Vec<_>>().join(separator)
    }
}

/// A range as people write it.
fn text(range: &RangeInclusive<u16>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    }
}

impl fmt::Display for VlanIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(","))
    }
}

impl From<RangeInclusive<u16>> for VlanIds {
    fn from(range: RangeInclusive<u16>) -> Self {
        let mut all = Self::default();
        all.insert_range(range);
        all
    }
}

impl FromIterator<u16> for VlanIds {
    fn from_iter<T: IntoIterator<Item = u16>>(ids: T) -> Self {
        let mut all = Self::default();
        ids.into_iter().for_each(|id| all.insert(id));
        all
    }
}

impl FromStr for VlanIds {
    type Err = InvalidVlanIds;

    /// Ids and ranges with commas or spaces between them.
    fn from_str(text: &str) -> Result<Self, InvalidVlanIds> {
        let mut all = Self::default();
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.parse::<u16>(), to.parse::<u16>()) {
                (Ok(from), Ok(to)) if from <= to => all.insert_range(from..=to),
                _ => return Err(InvalidVlanIds(part.to_owned())),
            }
        }
        Ok(all)
    }
}

/// A list of ids, and of ranges where three or more follow each other.
impl Serialize for VlanIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for range in &self.0 {
            match range.end() - range.start() {
                0 | 1 => range.clone().try_for_each(|id| list.serialize_element(&id))?,
                _ => list.serialize_element(&text(range))?,
            }
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for VlanIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VlanIdsVisitor)
    }
}

struct VlanIdsVisitor;

impl<'de> Visitor<'de> for VlanIdsVisitor {
    type Value = VlanIds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VLAN ids and ranges, such as [10, 2000-2999]")
    }

    fn visit_unit<E: Error>(self) -> Result<VlanIds, E> {
        Ok(VlanIds::default())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<VlanIds, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<VlanIds, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<VlanIds, E> {
        value.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<VlanIds, A::Error> {
        let mut all = VlanIds::default();
        while let Some(Item(ids)) = list.next_element()? {
            all.extend(&ids);
        }
        Ok(all)
    }
}

/// One element of a list: not a list itself.
struct Item(VlanIds);

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;

        impl Visitor<'_> for ItemVisitor {
            type Value = VlanIds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a VLAN id or a range such as 2000-2999")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<VlanIds, E> {
                VlanIdsVisitor.visit_u64(value)
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<VlanIds, E> {
                VlanIdsVisitor.visit_i64(value)
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<VlanIds, E> {
                VlanIdsVisitor.visit_str(value)
            }
        }

        deserializer.deserialize_any(ItemVisitor).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> VlanIds {
        text.parse().unwrap()
    }

    #[test]
    fn ids_and_ranges_are_joined() {
        let cases = [
            ("", Some("")),
            ("7", Some("7")),
            ("2-4094", Some("2-4094")),
            ("20,10,21,22,4094,20", Some("10,20-22,4094")),
            ("10-20,15-30 31", Some("10-31")),
            ("10-20,30-40,5-50", Some("5-50")),
            ("1,3,2", Some("1-3")),
            ("65535,65534", Some("65534-65535")),
            ("0,1", Some("0-1")),
            ("5-3", None),
            ("65536", None),
            ("a", None),
            ("-5", None),
            ("3-", None),
        ];
        for (text, expected) in cases {
            let read = text.parse::<VlanIds>().ok().map(|ids| ids.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_set_is_what_its_ids_say() {
        let set = ids("10,20-29,4094");
        assert!([10, 20, 25, 29, 4094].into_iter().all(|id| set.contains(id)));
        assert!([9, 11, 19, 30, 4093].into_iter().all(|id| !set.contains(id)));
        assert_eq!(set.iter().count(), 12);
        assert_eq!([30, 10, 11].into_iter().collect::<VlanIds>(), ids("10-11,30"));
        let cases = [
            ("2-4094", "100", "2-99,101-4094"),
            ("2-4094", "2-4094", ""),
            ("10,20", "30", "10,20"),
            ("10-20", "5-12,18-30", "13-17"),
            ("10-20,30-40", "15-35", "10-14,36-40"),
            ("0-65535", "0,65535", "1-65534"),
            ("", "1", ""),
        ];
        for (all, cut, left) in cases {
            assert_eq!(ids(all).without(&ids(cut)), ids(left), "{all} without {cut}");
        }
    }

    #[test]
    fn a_file_has_a_list_of_them_or_one_text() {
        let cases = [
            ("[10, 20]", "[10,20]"),
            ("[10, 11]", "[10,11]"),
            ("[10, 11, 12]", r#"["10-12"]"#),
            ("[10, 2000-2999]", r#"[10,"2000-2999"]"#),
            ("2-4094", r#"["2-4094"]"#),
            ("10", "[10]"),
            ("\"10,20-29\"", r#"[10,"20-29"]"#),
        ];
        for (text, json) in cases {
            let node = crate::tree::parse(text).unwrap();
            let read: VlanIds = crate::tree::read(&node).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json, "{text}");
            assert_eq!(serde_json::from_str::<VlanIds>(json).unwrap(), read, "{text}");
        }
        for wrong in ["[[10]]", "{a: 1}", "[x]", "9-3"] {
            let node = crate::tree::parse(wrong).unwrap();
            assert!(crate::tree::read::<VlanIds>(&node).is_err(), "{wrong}");
        }
    }
}
