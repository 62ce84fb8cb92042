//! What stands where in a rack, and which units are free. Pure.

use std::collections::BTreeSet;

use crate::model::{Rack, RackItem, Site};

/// How many units a rack has where nobody says.
const UNITS: u16 = 42;
/// The most that are drawn, whatever hosts claim.
const MOST_UNITS: u16 = 100;

/// A rack from the front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elevation<'a> {
    /// How many units are drawn.
    pub units: u16,
    pub items: Vec<PlacedItem<'a>>,
    /// The units of the rack that nothing fills, the lowest first.
    pub free: BTreeSet<u16>,
}

/// A host or a switch in the drawing; those that claim one unit share it side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PlacedItem<'a> {
    pub item: RackItem<'a>,
    pub column: u32,
    pub columns: u32,
}

impl<'a> Elevation<'a> {
    pub(super) fn of(site: &'a Site, name: &str, rack: &Rack) -> Self {
        let items = site.rack_items().filter(|item| item.rack == name);
        let mut items: Vec<RackItem> =
            items.filter(|item| (1..=MOST_UNITS).contains(&item.unit)).collect();
        // From the top, as a page is read.
        items.sort_by(|a, b| b.top().cmp(&a.top()).then(a.name.cmp(b.name)));
        let own = rack.units.unwrap_or(UNITS).min(MOST_UNITS);
        // What is claimed above the rack's end is shown, too.
        let highest = items.iter().map(RackItem::top).max().unwrap_or(1);
        let units = own.max(highest).min(MOST_UNITS);
        let is_free = |unit: &u16| !items.iter().any(|item| fills(item, *unit));
        let free = (1..=own).filter(is_free).collect();
        Self { units, items: side_by_side(&items), free }
    }

    /// Whether an item of this height has room from a unit upwards, if what is `own` moves away.
    pub(super) fn has_room(&self, unit: u16, height: u16, own: &str) -> bool {
        let is_own = |unit: u16| {
            let at = self.items.iter().filter(|placed| fills(&placed.item, unit));
            let mut names = at.map(|placed| (placed.item.name, placed.item.is_switch)).peekable();
            names.peek().is_some() && names.all(|(name, is_switch)| name == own && !is_switch)
        };
        let top = unit.saturating_add(height.max(1) - 1);
        (unit..=top).all(|unit| self.free.contains(&unit) || is_own(unit))
    }
}

fn fills(item: &RackItem, unit: u16) -> bool {
    (item.unit..=item.top()).contains(&unit)
}

/// The columns of items that overlap, directly or by others between them.
fn side_by_side<'a>(items: &[RackItem<'a>]) -> Vec<PlacedItem<'a>> {
    let mut placed: Vec<PlacedItem> = Vec::with_capacity(items.len());
    let mut group = 0;
    for item in items {
        if !placed[group..].iter().any(|other| other.item.overlaps(item)) {
            group = placed.len();
        }
        let taken: BTreeSet<u32> = placed[group..]
            .iter()
            .filter(|other| other.item.overlaps(item))
            .map(|other| other.column)
            .collect();
        let column = (0..).find(|column| !taken.contains(column)).unwrap_or_default();
        placed.push(PlacedItem { item: *item, column, columns: 1 });
        let columns = placed[group..].iter().map(|own| own.column + 1).max().unwrap_or(1);
        placed[group..].iter_mut().for_each(|own| own.columns = columns);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(hosts: serde_json::Value) -> Site {
        serde_json::from_value(serde_json::json!({
            "racks": {"r1": {"units": 6}}, "hosts": hosts,
            "switches": {"leaf": {"vendor": "eos", "rack": "r1", "unit": 6},
                         "away": {"vendor": "eos", "rack": "r2", "unit": 6}},
        }))
        .unwrap()
    }

    fn drawn(site: &Site) -> Vec<String> {
        let found = Elevation::of(site, "r1", &site.racks["r1"]);
        let line = |placed: &PlacedItem| {
            let PlacedItem { item, column, columns } = placed;
            format!("{} {}-{} {column}/{columns}", item.name, item.unit, item.top())
        };
        found.items.iter().map(line).collect()
    }

    #[test]
    fn hosts_and_switches_stand_at_their_units_and_share_one_if_they_must() {
        let host = |unit: u16| serde_json::json!({"rack": "r1", "unit": unit});
        let hosts = |unit: u16| {
            serde_json::json!({
                "a": host(1), "b": host(3), "c": host(3), "none": {"rack": "r1"},
                "tall": {"rack": "r1", "unit": unit, "height": 2}, "wild": host(9999),
            })
        };
        let four = site(hosts(4));
        assert_eq!(
            drawn(&four),
            ["leaf 6-6 0/1", "tall 4-5 0/1", "b 3-3 0/2", "c 3-3 1/2", "a 1-1 0/1"]
        );
        let found = Elevation::of(&four, "r1", &four.racks["r1"]);
        assert_eq!((found.units, found.free), (6, BTreeSet::from([2])));
        let three = site(hosts(3));
        let expected = ["leaf 6-6 0/1", "tall 3-4 0/3", "b 3-3 1/3", "c 3-3 2/3", "a 1-1 0/1"];
        assert_eq!(drawn(&three), expected);
        // One that fills what two others fill, which do not meet.
        let bridge = site(serde_json::json!({
            "low": host(1), "high": host(3), "wide": {"rack": "r1", "unit": 1, "height": 3},
        }));
        assert_eq!(drawn(&bridge)[1..], ["high 3-3 0/2", "wide 1-3 1/2", "low 1-1 0/2"]);
        let above = site(serde_json::json!({"a": host(8)}));
        let found = Elevation::of(&above, "r1", &above.racks["r1"]);
        assert_eq!((found.units, found.free.len()), (8, 5), "free units are those of the rack");
    }

    #[test]
    fn a_unit_is_offered_to_what_fits_there() {
        let host = |unit: u16, height: u16| serde_json::json!({"rack": "r1", "unit": unit, "height": height});
        let site = site(serde_json::json!({"a": host(1, 1), "b": host(4, 2)}));
        let found = Elevation::of(&site, "r1", &site.racks["r1"]);
        for (unit, height, own, has_room) in [
            (2, 1, "", true),
            (2, 2, "", true),
            (2, 3, "", false),
            (2, 3, "b", true),
            (3, 2, "b", true),
            (1, 1, "b", false),
            (6, 1, "leaf", false),
            (7, 1, "", false),
            (0, 1, "", false),
        ] {
            assert_eq!(found.has_room(unit, height, own), has_room, "{unit} {height} {own}");
        }
    }
}
