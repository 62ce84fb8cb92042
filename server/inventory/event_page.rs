//! Pages of events, filtered in the database: by the index of full segments, and row by row in the
//! newest few hundred events.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::inventory::database::with_pool;
use crate::inventory::event_log::{EventRow, SELECT};
use crate::inventory::event_segments::{Members, SEGMENT};
use crate::inventory::{Database, Error};
use crate::lifecycle::search::{self, Field, Term};
use crate::lifecycle::{Event, EventKind};
use crate::model::{Mac, Site};

/// A host, as its events are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsOf {
    /// The name of the host.
    pub name: String,
    /// The MAC of its baseboard management controller. What that does is recorded by its MAC alone:
    /// it is nothing that the host does.
    pub bmc: Option<Mac>,
}

impl EventsOf {
    /// A host of the inventory, or one that it had.
    pub fn host(site: &Site, name: &str) -> Self {
        let bmc = site.hosts.get(name).and_then(|host| host.bmc.as_ref());
        Self { name: name.to_owned(), bmc: bmc.map(|bmc| bmc.mac) }
    }

    /// Whether an event is one of them.
    pub fn has(&self, event: &Event) -> bool {
        event.host.as_ref() == Some(&self.name) || (self.bmc.is_some() && event.mac == self.bmc)
    }
}

impl From<&str> for EventsOf {
    /// Those of the host alone, without its BMC.
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), bmc: None }
    }
}

/// Terms of which an event must have one.
struct Alternatives(Vec<Term>);

/// Which events a page is to have.
#[derive(Clone, Debug, Default)]
pub struct EventPageQuery {
    /// Those of one host only, its BMC's included.
    pub host: Option<EventsOf>,
    /// Those about one hardware address only.
    pub mac: Option<Mac>,
    /// Those of one kind only.
    pub kind: Option<EventKind>,
    /// Those about one address only.
    pub address: Option<IpAddr>,
    /// Those with words that begin with the words of this text.
    pub text: String,
    /// Those of this moment or later, in Unix milliseconds.
    pub from_ms: i64,
    /// Those before this moment, in Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Those stored before the event with this number.
    pub before: Option<i64>,
    /// Those stored after the event with this number.
    pub after: Option<i64>,
    /// The oldest first, not the newest.
    pub oldest_first: bool,
    /// How many at most.
    pub limit: u32,
}

impl EventPageQuery {
    fn terms(&self) -> Vec<Alternatives> {
        let field = |field, value: Option<String>| Some(vec![Term::Field(field, value?)]);
        let of_host = |host: &EventsOf| {
            let bmc = host.bmc.map(|mac| Term::Field(Field::Mac, mac.to_string()));
            bmc.into_iter().chain([Term::Field(Field::Host, host.name.clone())]).collect()
        };
        let fields = [
            self.host.as_ref().map(of_host),
            field(Field::Mac, self.mac.map(|mac| mac.to_string())),
            field(Field::Kind, self.kind.map(|kind| kind.label().to_owned())),
            field(Field::Address, self.address.map(|address| address.to_string())),
        ];
        let words = search::asked(&self.text).into_iter().map(|word| vec![word]);
        fields.into_iter().flatten().chain(words).map(Alternatives).collect()
    }

    /// How the rows are sorted.
    fn direction(&self) -> &'static str {
        if self.oldest_first { "ASC" } else { "DESC" }
    }

    fn has_time(&self, at_ms: i64) -> bool {
        at_ms >= self.from_ms && self.until_ms.is_none_or(|until| at_ms < until)
    }
}

/// An event, and the number that continues behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// In the order in which events were stored.
    pub number: i64,
    /// What happened.
    pub event: Event,
}

/// How many segments are looked at first; then four times as many, and so on.
const FIRST_SEGMENTS: usize = 4;
/// How many segments are looked at together at most.
const MOST_SEGMENTS: usize = 256;
/// How many rows of the unindexed end are read together.
const ROWS: i64 = 1000;

impl Database {
    /// One page of events, newest first unless the query says otherwise.
    pub async fn page_events(&self, query: &EventPageQuery) -> Result<Vec<StoredEvent>, Error> {
        // Such as "%": a text without letters and digits is in no event, and not in all of them.
        if !query.text.trim().is_empty() && search::asked(&query.text).is_empty() {
            return Ok(Vec::new());
        }
        let terms = query.terms();
        let mut page = Vec::new();
        let indexed_until = self.first_unindexed().await? * SEGMENT;
        let first = query.after.map_or(0, |after| after.saturating_add(1));
        let end_from = indexed_until.max(first);
        if !query.oldest_first {
            self.search_end(query, &terms, end_from, &mut page).await?;
        }
        let before = query.before.unwrap_or(i64::MAX).min(indexed_until);
        let segments = self.segments(query, before).await?;
        let mut at = 0;
        let mut count = FIRST_SEGMENTS;
        while at < segments.len() && page.len() < query.limit as usize {
            let some = segments.get(at..segments.len().min(at + count)).unwrap_or_default();
            let found = self.members(some, &terms).await?;
            let numbers = some.iter().filter_map(|segment| Some((segment, found.get(segment)?)));
            let numbers = numbers.flat_map(|(segment, members)| {
                members.newest_first().map(move |position| segment * SEGMENT + position)
            });
            let mut numbers: Vec<i64> =
                numbers.filter(|number| (first..before).contains(number)).collect();
            if query.oldest_first {
                numbers.sort_unstable();
            }
            self.fetch(query, &numbers, &mut page).await?;
            at += count;
            count = (count * 4).min(MOST_SEGMENTS);
        }
        if query.oldest_first {
            self.search_end(query, &terms, end_from, &mut page).await?;
        }
        Ok(page)
    }

    /// Adds what is found among the events that are not indexed yet.
    async fn search_end(
        &self,
        query: &EventPageQuery,
        terms: &[Alternatives],
        from: i64,
        page: &mut Vec<StoredEvent>,
    ) -> Result<(), Error> {
        let mut texts = Vec::new();
        let mut sql = format!("{SELECT} WHERE number >= $1 AND number < $2 AND at_ms >= $3");
        for Alternatives(terms) in terms {
            let mut conditions = Vec::new();
            for term in terms {
                let Term::Field(field, value) = term else { continue };
                let column = match field {
                    Field::Host => "host",
                    Field::Kind => "kind",
                    Field::Mac => "mac",
                    Field::Address => "address",
                };
                texts.push(value);
                conditions.push(format!("{column} = ${}", texts.len() + 4));
            }
            if !conditions.is_empty() {
                sql.push_str(&format!(" AND ({})", conditions.join(" OR ")));
            }
        }
        sql.push_str(&format!(" ORDER BY number {} LIMIT $4", query.direction()));
        let (mut from, mut before) = (from, query.before.unwrap_or(i64::MAX));
        while before > from && page.len() < query.limit as usize {
            let rows: Vec<EventRow> = with_pool!(self, pool => {
                let asked = sqlx::query_as(sqlx::AssertSqlSafe(sql.clone()));
                let mut asked = asked.bind(from).bind(before).bind(query.from_ms).bind(ROWS);
                for text in &texts {
                    asked = asked.bind(*text);
                }
                asked.fetch_all(pool).await
            })?;
            match rows.last().filter(|_| rows.len() as i64 == ROWS) {
                Some(last) if query.oldest_first => from = last.number + 1,
                Some(last) => before = last.number,
                None => before = from,
            }
            for row in rows.into_iter().filter(|row| query.has_time(row.at_ms)) {
                if page.len() == query.limit as usize {
                    return Ok(());
                }
                let found = row.read()?;
                let own = search::terms(&found.event);
                let has = |Alternatives(terms): &Alternatives| {
                    terms.iter().any(|term| search::finds(std::slice::from_ref(term), &own))
                };
                if query.text.is_empty() || terms.iter().all(has) {
                    page.push(found);
                }
            }
        }
        Ok(())
    }

    /// The indexed segments that may have what is asked for, in the order of the query.
    async fn segments(&self, query: &EventPageQuery, before: i64) -> Result<Vec<i64>, Error> {
        let sql = format!(
            "SELECT segment FROM event_segments
             WHERE segment <= $1 AND last_ms >= $2 AND first_ms < $3 AND segment >= $4
             ORDER BY segment {}",
            query.direction()
        );
        Ok(with_pool!(self, pool => sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(before / SEGMENT)
            .bind(query.from_ms)
            .bind(query.until_ms.unwrap_or(i64::MAX))
            .bind(query.after.unwrap_or_default() / SEGMENT)
            .fetch_all(pool)
            .await)?)
    }

    /// Which events of these segments have all terms; segments with none are left out.
    async fn members(
        &self,
        segments: &[i64],
        terms: &[Alternatives],
    ) -> Result<HashMap<i64, Members>, Error> {
        let mut found: HashMap<i64, Members> =
            segments.iter().map(|segment| (*segment, Members::ALL)).collect();
        // The values first: they leave the fewest events, and words are ranges.
        for Alternatives(terms) in terms {
            if found.is_empty() {
                break;
            }
            let list: Vec<String> = found.keys().map(i64::to_string).collect();
            let mut having: HashMap<i64, Members> = HashMap::new();
            for term in terms {
                let condition = match term {
                    Term::Field(..) => "term = $1",
                    Term::Word(_) => "term >= $1 AND term < $2",
                };
                let sql = format!(
                    "SELECT segment, events FROM event_terms WHERE segment IN ({}) AND {condition}",
                    list.join(", ")
                );
                let rows: Vec<(i64, String)> = with_pool!(self, pool => {
                    let asked = sqlx::query_as(sqlx::AssertSqlSafe(sql)).persistent(false);
                    let asked = asked.bind(term.key());
                    let asked = match term {
                        Term::Field(..) => asked,
                        Term::Word(_) => asked.bind(term.end()),
                    };
                    asked.fetch_all(pool).await
                })?;
                for (segment, events) in rows {
                    having.entry(segment).or_insert(Members::NONE).add(&Members::decode(&events));
                }
            }
            found.retain(|segment, members| {
                members.intersect(having.get(segment).unwrap_or(&Members::NONE));
                !members.is_empty()
            });
        }
        Ok(found)
    }

    /// Adds the events with these numbers, as many as the page takes.
    async fn fetch(
        &self,
        query: &EventPageQuery,
        numbers: &[i64],
        page: &mut Vec<StoredEvent>,
    ) -> Result<(), Error> {
        let mut rest = numbers;
        while !rest.is_empty() && page.len() < query.limit as usize {
            let wanted = query.limit as usize - page.len();
            let (some, later) = rest.split_at(rest.len().min(wanted.clamp(64, ROWS as usize)));
            rest = later;
            let list: Vec<String> = some.iter().map(i64::to_string).collect();
            let sql = format!(
                "{SELECT} WHERE number IN ({}) ORDER BY number {}",
                list.join(", "),
                query.direction()
            );
            let rows: Vec<EventRow> = with_pool!(self, pool =>
                sqlx::query_as(sqlx::AssertSqlSafe(sql)).persistent(false).fetch_all(pool).await)?;
            for row in rows.into_iter().filter(|row| query.has_time(row.at_ms)) {
                if page.len() == query.limit as usize {
                    return Ok(());
                }
                page.push(row.read()?);
            }
        }
        Ok(())
    }
}
