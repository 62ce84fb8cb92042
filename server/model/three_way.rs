//! Two changes of one entry put together, value by value. Pure.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::diff::shown;

/// A value that two people have changed, each in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeConflict {
    /// The keys that lead to it.
    pub path: Vec<String>,
    /// What it was when both began, if it was set.
    pub base: Option<String>,
    /// What the one sets.
    pub mine: Option<String>,
    /// What the other has set.
    pub theirs: Option<String>,
}

/// Two changes of one entry together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged<T> {
    /// The entry; where both changed a value, with mine.
    pub entry: T,
    /// What both changed.
    pub conflicts: Vec<MergeConflict>,
}

/// Puts `mine` and `theirs`, both made of `base`, together. None where the result is not an entry
/// of this kind.
pub fn merge_changes<T: Serialize + DeserializeOwned>(
    base: &T,
    mine: &T,
    theirs: &T,
) -> Option<Merged<T>> {
    let value = |entry: &T| serde_json::to_value(entry).ok();
    let (base, mine, theirs) = (value(base)?, value(mine)?, value(theirs)?);
    let mut merging = Merging { path: Vec::new(), conflicts: Vec::new() };
    let merged = merging.value(Some(&base), Some(&mine), Some(&theirs))?;
    let entry = serde_json::from_value(merged).ok()?;
    Some(Merged { entry, conflicts: merging.conflicts })
}

struct Merging {
    path: Vec<String>,
    conflicts: Vec<MergeConflict>,
}

impl Merging {
    fn value(
        &mut self,
        base: Option<&Value>,
        mine: Option<&Value>,
        theirs: Option<&Value>,
    ) -> Option<Value> {
        let is_same = |a: Option<&Value>, b: Option<&Value>| {
            // The order of NICs means something.
            a.map(Value::to_string) == b.map(Value::to_string)
        };
        if is_same(mine, base) || is_same(mine, theirs) {
            return theirs.cloned();
        }
        if is_same(theirs, base) {
            return mine.cloned();
        }
        let all = [base, mine, theirs];
        let are_maps = all.iter().flatten().all(|value| value.is_object());
        if are_maps && all.iter().flatten().count() > 1 {
            let empty = Map::new();
            let map = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned();
            let [base, mine, theirs] = all.map(|value| map(value).unwrap_or_else(|| empty.clone()));
            return Some(self.maps(&base, &mine, &theirs)).filter(|merged| {
                // What is left of a map that was taken away is nothing.
                merged.as_object().is_some_and(|map| !map.is_empty())
            });
        }
        let text = |value: Option<&Value>| value.map(shown);
        self.conflicts.push(MergeConflict {
            path: self.path.clone(),
            base: text(base),
            mine: text(mine),
            theirs: text(theirs),
        });
        mine.cloned()
    }

    fn maps(
        &mut self,
        base: &Map<String, Value>,
        mine: &Map<String, Value>,
        theirs: &Map<String, Value>,
    ) -> Value {
        let others = theirs.keys().filter(|key| !mine.contains_key(*key));
        let gone = base.keys().filter(|key| !mine.contains_key(*key) && !theirs.contains_key(*key));
        let mut merged = Map::new();
        for key in mine.keys().chain(others).chain(gone) {
            self.path.push(key.clone());
            if let Some(value) = self.value(base.get(key), mine.get(key), theirs.get(key)) {
                merged.insert(key.clone(), value);
            }
            self.path.pop();
        }
        merged.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Host;

    fn host(json: Value) -> Host {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn changes_of_different_values_go_together() {
        let mac = |last| format!("52:54:00:aa:00:0{last}");
        let base = host(serde_json::json!({
            "rack": "r1", "unit": 1, "nics": {"eth0": mac(1), "eth1": mac(2)},
            "addresses": {"br0": "10.0.0.1"}, "labels": ["a"],
        }));
        let cases = [
            // mine, theirs, together, the paths of conflicts
            (r#"{"unit": 2}"#, r#"{"rack": "r2"}"#, r#"{"unit": 2, "rack": "r2"}"#, ""),
            (r#"{"unit": 2}"#, r#"{"unit": 2}"#, r#"{"unit": 2}"#, ""),
            (r#"{"unit": 2}"#, r#"{"unit": 3}"#, r#"{"unit": 2}"#, "unit"),
            (r#"{"unit": null}"#, r#"{"unit": 3}"#, r#"{"unit": null}"#, "unit"),
            (
                r#"{"addresses": {"br0": "10.0.0.2"}}"#,
                r#"{"addresses": {"br0": "10.0.0.1", "br1": "10.1.0.1"}}"#,
                r#"{"addresses": {"br0": "10.0.0.2", "br1": "10.1.0.1"}}"#,
                "",
            ),
            (
                r#"{"parameters": {"a": "1"}}"#,
                r#"{"parameters": {"b": "2"}}"#,
                r#"{"parameters": {"a": "1", "b": "2"}}"#,
                "",
            ),
            (
                r#"{"labels": ["a", "b"]}"#,
                r#"{"labels": ["c"]}"#,
                r#"{"labels": ["a", "b"]}"#,
                "labels",
            ),
        ];
        let with = |changes: &str| {
            let mut value = serde_json::to_value(&base).unwrap();
            let changes: Map<String, Value> = serde_json::from_str(changes).unwrap();
            for (key, new) in changes {
                value[key] = new;
            }
            host(value)
        };
        for (mine, theirs, together, conflicts) in cases {
            let merged = merge_changes(&base, &with(mine), &with(theirs)).unwrap();
            assert_eq!(merged.entry, with(together), "{mine} and {theirs}");
            let paths: Vec<_> = merged.conflicts.iter().map(|it| it.path.join(".")).collect();
            assert_eq!(paths.join(" "), conflicts, "{mine} and {theirs}");
        }
    }

    #[test]
    fn the_order_of_nics_is_kept() {
        let base = host(serde_json::json!({"unit": 1, "nics": {
            "eth0": "52:54:00:aa:00:01", "eth1": "52:54:00:aa:00:02"}}));
        let mut mine = base.clone();
        mine.nics.reverse();
        let theirs = Host { unit: Some(2), ..base.clone() };
        let merged = merge_changes(&base, &mine, &theirs).unwrap();
        assert_eq!(merged.entry.nics.get_index(0), mine.nics.get_index(0));
        assert_eq!(merged.entry.unit, Some(2));
        assert!(merged.conflicts.is_empty());
    }
}
