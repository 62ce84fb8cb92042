//! Which units of a rack its hosts and switches fill. Pure.

use super::{Host, Location, Site, Switch};

/// A host or a switch at its place in a rack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RackItem<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is a switch.
    pub is_switch: bool,
    /// Its rack.
    pub rack: &'a str,
    /// The lowest unit that it fills.
    pub unit: u16,
    /// How many units it fills, at least 1.
    pub height: u16,
}

impl<'a> RackItem<'a> {
    fn of_host((name, host): (&'a String, &'a Host)) -> Option<Self> {
        let (rack, height) = (host.rack.as_deref()?, host.height.unwrap_or(1).max(1));
        Some(Self { name, is_switch: false, rack, unit: host.unit?, height })
    }

    fn of_switch((name, switch): (&'a String, &'a Switch)) -> Option<Self> {
        let (rack, height) = (switch.rack.as_deref()?, switch.height.unwrap_or(1).max(1));
        Some(Self { name, is_switch: true, rack, unit: switch.unit?, height })
    }

    /// The highest unit that it fills.
    pub fn top(&self) -> u16 {
        self.unit.saturating_add(self.height - 1)
    }

    /// Whether both fill the same unit of a rack.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.rack == other.rack && self.unit <= other.top() && other.unit <= self.top()
    }

    /// Where its unit is written.
    pub fn location(&self) -> Location {
        if self.is_switch {
            Location::of::<Switch>(self.name).at("unit")
        } else {
            Location::of::<Host>(self.name).at("unit")
        }
    }
}

impl Site {
    /// What has a place in a rack: hosts, then switches.
    pub fn rack_items(&self) -> impl Iterator<Item = RackItem<'_>> {
        let switches = self.switches.iter().filter_map(RackItem::of_switch);
        self.hosts.iter().filter_map(RackItem::of_host).chain(switches)
    }
}
