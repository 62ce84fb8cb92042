//! The index of events: for each segment of numbers, which of its events have which term. It is
//! written when a segment is full, so that storing an event writes no index but its host's.

use std::collections::BTreeMap;

use crate::inventory::database::{execute, insert_rows, with_pool};
use crate::inventory::event_log::{EventRow, SELECT};
use crate::inventory::{Database, Error};
use crate::lifecycle::search::{self, Term};

/// How many numbers a segment has.
pub(super) const SEGMENT: i64 = 768;

/// Which events of a segment are meant: a bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members([u64; Self::WORDS]);

impl Members {
    const WORDS: usize = (SEGMENT / 64) as usize;

    /// None of them.
    pub(super) const NONE: Self = Self([0; Self::WORDS]);
    /// All of them.
    pub(super) const ALL: Self = Self([u64::MAX; Self::WORDS]);

    /// Adds the event at a position.
    pub(super) fn insert(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Keeps those that are in both.
    pub(super) fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own &= other);
    }

    /// Adds those of another.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
    }

    /// The positions, the highest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = i64> + '_ {
        let has = |position: &i64| {
            let word = self.0.get((*position / 64) as usize).copied().unwrap_or_default();
            word >> (position % 64) & 1 == 1
        };
        (0..SEGMENT).rev().filter(has)
    }

    /// As it is stored: the non-zero words in hexadecimal, each with its place before it.
    fn encode(&self) -> String {
        let words = self.0.iter().enumerate().filter(|(_, word)| **word != 0);
        let words: Vec<String> = words.map(|(place, word)| format!("{place}:{word:x}")).collect();
        words.join(" ")
    }

    /// What was stored; what cannot be read is left out.
    pub(super) fn decode(text: &str) -> Self {
        let mut members = Self::NONE;
        for part in text.split(' ') {
            let Some((place, word)) = part.split_once(':') else { continue };
            let place = place.parse().ok().and_then(|place: usize| members.0.get_mut(place));
            if let (Some(place), Ok(word)) = (place, u64::from_str_radix(word, 16)) {
                *place = word;
            }
        }
        members
    }
}

impl Database {
    /// Indexes the segments that are full and not indexed yet. Several servers may do so at once.
    pub async fn index_events(&self) -> Result<(), Error> {
        let full = (self.last_event().await? + 1) / SEGMENT;
        let mut next = self.first_unindexed().await?;
        while next < full {
            self.index_segment(next).await?;
            next += 1;
        }
        Ok(())
    }

    /// The first segment that is not indexed.
    pub(super) async fn first_unindexed(&self) -> Result<i64, Error> {
        const NEXT: &str = "SELECT MAX(segment) FROM event_segments";
        const OLDEST: &str = "SELECT MIN(number) FROM events";
        let indexed: Option<i64> =
            with_pool!(self, pool => sqlx::query_scalar(NEXT).fetch_one(pool).await)?;
        if let Some(indexed) = indexed {
            return Ok(indexed + 1);
        }
        let oldest: Option<i64> =
            with_pool!(self, pool => sqlx::query_scalar(OLDEST).fetch_one(pool).await)?;
        Ok(oldest.unwrap_or_default() / SEGMENT)
    }

    async fn index_segment(&self, segment: i64) -> Result<(), Error> {
        const CLAIM: &str = "INSERT INTO event_segments (segment, first_ms, last_ms)
             VALUES ($1, $2, $3) ON CONFLICT (segment) DO NOTHING";
        const ADD: &str = "INSERT INTO event_terms (segment, term, events) ";
        let sql = format!("{SELECT} WHERE number >= $1 AND number < $2");
        let rows: Vec<EventRow> = with_pool!(self, pool =>
            sqlx::query_as(sqlx::AssertSqlSafe(sql))
                .bind(segment * SEGMENT)
                .bind((segment + 1) * SEGMENT)
                .fetch_all(pool)
                .await)?;
        let mut terms: BTreeMap<Term, Members> = BTreeMap::new();
        let (mut first_ms, mut last_ms) = (i64::MAX, 0);
        for row in rows {
            let position = (row.number - segment * SEGMENT) as usize;
            (first_ms, last_ms) = (first_ms.min(row.at_ms), last_ms.max(row.at_ms));
            // An event of a newer version is not found; it does not stop the index.
            let Ok(stored) = row.read() else { continue };
            for term in search::terms(&stored.event) {
                terms.entry(term).or_insert(Members::NONE).insert(position);
            }
        }
        let terms: Vec<(String, String)> =
            terms.iter().map(|(term, members)| (term.key(), members.encode())).collect();
        let mut transaction = self.begin_writing().await?;
        if execute!(&mut transaction, CLAIM, segment, first_ms.min(last_ms), last_ms)? == 0 {
            transaction.roll_back().await?;
            return Ok(());
        }
        insert_rows!(&mut transaction, ADD, &terms, |(term, events)| [segment, term, events], "");
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_stored_and_read_back() {
        for positions in [vec![], vec![0], vec![767], vec![0, 1, 63, 64, 200, 767]] {
            let mut members = Members::NONE;
            positions.iter().for_each(|position| members.insert(*position));
            assert_eq!(Members::decode(&members.encode()), members);
            let newest: Vec<i64> = positions.iter().rev().map(|at| *at as i64).collect();
            assert_eq!(members.newest_first().collect::<Vec<_>>(), newest);
        }
        assert_eq!(Members::decode(&Members::ALL.encode()), Members::ALL);
        assert!(Members::decode("99:1 x 3:zz").is_empty());
    }
}
