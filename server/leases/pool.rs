//! Which addresses of a subnet's `dhcp` ranges are free: a bitmap with a cursor. Pure.

use std::net::{IpAddr, Ipv4Addr};

use crate::model::{RangeUse, Subnet};

/// More addresses of one range than this are left unused: a whole /8 is enough.
const MAX_RANGE: u32 = 1 << 24;

/// The dynamic addresses of one subnet.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    ranges: Vec<PoolRange>,
    /// The range that the next address comes from.
    turn: usize,
}

#[derive(Clone, Debug)]
struct PoolRange {
    first: u32,
    size: u32,
    free: Bitmap,
    /// Where the search goes on, so that an address that was given back rests
    /// the longest before somebody else gets it.
    cursor: u32,
}

impl Pool {
    /// The pool of a subnet with every address free: its `dhcp` ranges without
    /// its `reserved` ones and without the network's first and last address.
    pub fn new(subnet: &Subnet) -> Self {
        let mut kept_off = intervals(subnet, RangeUse::Reserved);
        if let ipnet::IpNet::V4(net) = subnet.cidr
            && net.prefix_len() < 31
        {
            kept_off.extend([net.network(), net.broadcast()].map(|end| (end.into(), end.into())));
        }
        // A range that overlaps an earlier one must not offer the same address twice.
        let mut ranges = Vec::new();
        for (first, last) in intervals(subnet, RangeUse::Dhcp) {
            ranges.extend(subtract(first, last, &kept_off));
            kept_off.push((first, last));
        }
        let ranges = ranges.into_iter().map(|(first, last)| {
            let size = (last - first).saturating_add(1).min(MAX_RANGE);
            PoolRange { first, size, free: Bitmap::filled(size), cursor: 0 }
        });
        Self { ranges: ranges.collect(), turn: 0 }
    }

    /// Whether an address belongs to the pool, free or not.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.place(address).is_some()
    }

    /// Whether an address belongs to the pool and is free.
    pub fn is_free(&self, address: Ipv4Addr) -> bool {
        self.place(address).is_some_and(|(range, index)| self.ranges[range].free.contains(index))
    }

    /// Marks an address as free or taken. An address outside the pool is ignored.
    pub fn set_free(&mut self, address: Ipv4Addr, free: bool) {
        if let Some((range, index)) = self.place(address) {
            self.ranges[range].free.set(index, free);
        }
    }

    /// The next free address. It stays free until it is marked; asking again
    /// without marking gives the same one.
    pub fn next_free(&mut self) -> Option<Ipv4Addr> {
        for step in 0..self.ranges.len() {
            let turn = (self.turn + step) % self.ranges.len();
            let range = &mut self.ranges[turn];
            if let Some(index) = range.free.next_from(range.cursor) {
                range.cursor = index;
                self.turn = turn;
                return Some(Ipv4Addr::from(range.first + index));
            }
        }
        None
    }

    /// The free address at a client's own place, else the next one after it: all servers that share
    /// the pool come to the same one. Any number is a place.
    pub fn free_at(&self, place: u64) -> Option<Ipv4Addr> {
        let mut index = place.checked_rem(self.count().0)?;
        let is_here = |range: &PoolRange| {
            let beyond = index.checked_sub(u64::from(range.size));
            index = beyond.unwrap_or(index);
            beyond.is_none()
        };
        let at = self.ranges.iter().position(is_here)?;
        let first = |turn: usize, from: usize| {
            let range = &self.ranges[turn % self.ranges.len()];
            Some(Ipv4Addr::from(range.first + range.free.at_or_after(from)?))
        };
        let here = first(at, usize::try_from(index).ok()?);
        here.or_else(|| (1..=self.ranges.len()).find_map(|step| first(at + step, 0)))
    }

    /// How many addresses there are, and how many of them are free.
    pub fn count(&self) -> (u64, u64) {
        let size = self.ranges.iter().map(|range| u64::from(range.size)).sum();
        let free = self.ranges.iter().map(|range| u64::from(range.free.count)).sum();
        (size, free)
    }

    fn place(&self, address: Ipv4Addr) -> Option<(usize, u32)> {
        let address = u32::from(address);
        let index_in = |range: &PoolRange| {
            address.checked_sub(range.first).filter(|index| *index < range.size)
        };
        self.ranges.iter().enumerate().find_map(|(at, range)| Some((at, index_in(range)?)))
    }
}

/// First and last address of each IPv4 range of a subnet with a use.
fn intervals(subnet: &Subnet, used_for: RangeUse) -> Vec<(u32, u32)> {
    let ranges = subnet.ranges.iter().filter(|range| range.used_for == used_for);
    ranges
        .filter_map(|range| match (range.from, range.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => Some((from.into(), to.into())),
            _ => None,
        })
        .collect()
}

/// What is left of the interval from `first` to `last` without others.
fn subtract(first: u32, last: u32, others: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut left = vec![(first, last)];
    for &(from, to) in others {
        let cut = |(first, last): (u32, u32)| {
            let before = (first < from).then(|| (first, last.min(from.saturating_sub(1))));
            let after = (last > to).then(|| (first.max(to.saturating_add(1)), last));
            before.into_iter().chain(after)
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

/// A set of small numbers. Each level above the lowest has one bit for 64 below,
/// so that the next member is found in a handful of steps however many there are.
#[derive(Clone, Debug)]
struct Bitmap {
    levels: Vec<Vec<u64>>,
    count: u32,
}

impl Bitmap {
    /// The set of all numbers below `size`.
    fn filled(size: u32) -> Self {
        let mut levels = Vec::new();
        let mut bits = size as usize;
        loop {
            let mut words = vec![u64::MAX; bits.div_ceil(64)];
            if let Some(last) = words.last_mut().filter(|_| !bits.is_multiple_of(64)) {
                *last = (1 << (bits % 64)) - 1;
            }
            bits = words.len();
            levels.push(words);
            if bits <= 1 {
                break;
            }
        }
        Self { levels, count: size }
    }

    fn contains(&self, index: u32) -> bool {
        self.levels[0][index as usize / 64] >> (index % 64) & 1 == 1
    }

    fn set(&mut self, index: u32, member: bool) {
        if self.contains(index) == member {
            return;
        }
        self.count = if member { self.count + 1 } else { self.count - 1 };
        let mut index = index as usize;
        for level in &mut self.levels {
            let word = &mut level[index / 64];
            let was_empty = *word == 0;
            *word ^= 1 << (index % 64);
            let is_empty = *word == 0;
            if was_empty == is_empty {
                return;
            }
            index /= 64;
        }
    }

    /// The first member that is not below `from`, else the first of all.
    fn next_from(&self, from: u32) -> Option<u32> {
        self.at_or_after(from as usize).or_else(|| self.at_or_after(0))
    }

    fn at_or_after(&self, from: usize) -> Option<u32> {
        let mut index = from;
        for (height, level) in self.levels.iter().enumerate() {
            let word = level.get(index / 64).copied().unwrap_or(0) & (u64::MAX << (index % 64));
            if word != 0 {
                return Some(
                    self.descend(height, index / 64 * 64 + word.trailing_zeros() as usize),
                );
            }
            index = index / 64 + 1;
        }
        None
    }

    /// The lowest member under a bit of a level.
    fn descend(&self, height: usize, mut index: usize) -> u32 {
        for level in self.levels[..height].iter().rev() {
            index = index * 64 + level[index].trailing_zeros() as usize;
        }
        index as u32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::dhcp::test_packets::subnet;

    fn pool(ranges: &[(&str, &str)]) -> Pool {
        Pool::new(&subnet("10.0.0.0/8", ranges))
    }

    #[test]
    fn addresses_come_in_turn_and_a_returned_one_rests() {
        let mut pool = pool(&[("10.0.0.1", "10.0.0.3")]);
        let take = |pool: &mut Pool| {
            let address = pool.next_free().unwrap();
            pool.set_free(address, false);
            address.octets()[3]
        };
        assert_eq!([take(&mut pool), take(&mut pool)], [1, 2]);
        pool.set_free(Ipv4Addr::new(10, 0, 0, 1), true);
        assert_eq!([take(&mut pool), take(&mut pool)], [3, 1]);
        assert_eq!(pool.next_free(), None);
        assert_eq!(pool.count(), (3, 0));
    }

    #[test]
    fn a_place_gives_the_same_address_until_it_is_taken_and_then_the_next_one() {
        let mut pool = pool(&[("10.0.0.1", "10.0.0.2"), ("10.0.9.1", "10.0.9.3")]);
        let at = |pool: &Pool, place| pool.free_at(place).map(|address| address.to_string());
        let all = [0, 1, 2, 3, 4].map(|place| at(&pool, place).unwrap());
        assert_eq!(all, ["10.0.0.1", "10.0.0.2", "10.0.9.1", "10.0.9.2", "10.0.9.3"]);
        assert_eq!(at(&pool, u64::MAX), at(&pool, u64::MAX % 5));
        let taken = std::iter::from_fn(|| {
            let address = pool.free_at(3)?;
            pool.set_free(address, false);
            Some(address.octets()[2..].to_vec())
        });
        assert_eq!(taken.collect::<Vec<_>>(), [[9, 2], [9, 3], [0, 1], [0, 2], [9, 1]]);
        assert_eq!(Pool::default().free_at(1), None);
    }

    #[test]
    fn a_full_range_gives_way_to_the_next_one() {
        let mut pool = pool(&[("10.0.0.1", "10.0.0.1"), ("10.0.9.1", "10.0.9.1")]);
        for expected in ["10.0.0.1", "10.0.9.1"] {
            let address = pool.next_free().unwrap();
            assert_eq!(address.to_string(), expected);
            pool.set_free(address, false);
        }
        assert_eq!(pool.next_free(), None);
        assert!(!pool.contains(Ipv4Addr::new(10, 0, 5, 0)));
    }

    #[test]
    fn overlapping_ranges_and_the_ends_of_the_network_give_no_address_twice() {
        let mut subnet =
            subnet("10.0.0.0/28", &[("10.0.0.0", "10.0.0.9"), ("10.0.0.5", "10.0.0.15")]);
        subnet.ranges.push(crate::model::Range {
            from: "10.0.0.2".parse().unwrap(),
            to: "10.0.0.4".parse().unwrap(),
            used_for: RangeUse::Reserved,
        });
        let mut pool = Pool::new(&subnet);
        let mut all = Vec::new();
        while let Some(address) = pool.next_free() {
            pool.set_free(address, false);
            all.push(address.octets()[3]);
        }
        assert_eq!(all, [1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    }

    #[test]
    fn sixteen_million_addresses_are_searched_in_a_few_steps() {
        let mut pool = pool(&[("10.0.0.1", "10.255.255.254")]);
        for number in 0..10_000_u32 {
            let address = pool.next_free().unwrap();
            assert_eq!(u32::from(address), 0x0a00_0001 + number);
            pool.set_free(address, false);
        }
        let last = Ipv4Addr::new(10, 255, 255, 254);
        assert!(pool.is_free(last));
        assert_eq!(pool.count(), ((1 << 24) - 2, (1 << 24) - 10_002));
    }

    proptest! {
        #[test]
        fn the_bitmap_is_a_set(
            size in 1_u32..10_000,
            changes in prop::collection::vec((0_u32..10_000, any::<bool>()), 0..200),
            from in 0_u32..10_000,
        ) {
            let mut bitmap = Bitmap::filled(size);
            let mut set: BTreeSet<u32> = (0..size).collect();
            for (index, member) in changes {
                let index = index % size;
                bitmap.set(index, member);
                if member { set.insert(index); } else { set.remove(&index); }
            }
            let from = from % size;
            let expected = set.range(from..).next().or_else(|| set.first()).copied();
            prop_assert_eq!(bitmap.next_from(from), expected);
            prop_assert_eq!(bitmap.count as usize, set.len());
        }

        #[test]
        fn an_emptied_bitmap_finds_the_one_member(size in 1_u32..9_000, member in any::<u32>()) {
            let mut bitmap = Bitmap::filled(size);
            for index in 0..size {
                bitmap.set(index, false);
            }
            prop_assert_eq!(bitmap.next_from(0), None);
            bitmap.set(member % size, true);
            prop_assert_eq!(bitmap.next_from(size / 2), Some(member % size));
        }
    }
}
