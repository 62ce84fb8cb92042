//! Lists: one page of what there is, sorted, with a link to the next.

use std::cmp::Ordering;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::parsed::{Limit, Parsed};
use super::problem::{Error, Fault};

/// How many items a page has when the request does not say.
pub(super) const DEFAULT_LIMIT: usize = 100;
/// How many items a page has at most.
pub(super) const MAX_LIMIT: usize = 1000;

/// One page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Page<T> {
    /// The items, in the order that was asked for.
    pub(super) items: Vec<T>,
    /// Where the next page is: a path and a query for the same server. The last page has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(super) next: Option<String>,
    /// How many items there are on all pages, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default)]
    pub(super) total: Option<usize>,
}

impl<T> Page<T> {
    /// The headers of the page: a link to the next one (RFC 8288).
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let link = self.next.as_ref().map(|next| format!("<{next}>; rel=\"next\""));
        if let Some(Ok(link)) = link.map(HeaderValue::try_from) {
            headers.insert(header::LINK, link);
        }
        headers
    }
}

/// What an item is sorted by; what is missing comes last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortValue {
    Number(i64),
    Text(String),
    Missing,
}

/// Where an item is in a sorted list: by its value, then by a key of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) value: SortValue,
    pub(super) key: String,
}

impl Position {
    /// The cursor that continues behind this item.
    fn cursor(&self) -> String {
        match &self.value {
            SortValue::Number(number) => format!("n{number}~{}", self.key),
            SortValue::Text(text) => format!("t{text}~{}", self.key),
            SortValue::Missing => format!("~{}", self.key),
        }
    }

    /// Reads a cursor.
    fn read(cursor: &str) -> Option<Self> {
        let (value, key) = cursor.rsplit_once('~')?;
        let value = match (value.strip_prefix('n'), value.strip_prefix('t')) {
            (Some(number), _) => SortValue::Number(number.parse().ok()?),
            (None, Some(text)) => SortValue::Text(text.to_owned()),
            (None, None) if value.is_empty() => SortValue::Missing,
            (None, None) => return None,
        };
        Some(Self { value, key: key.to_owned() })
    }
}

/// Which page of a list is wanted, and in which order.
#[derive(Clone, Debug)]
pub(super) struct Paging {
    pub(super) limit: usize,
    pub(super) cursor: Option<String>,
    /// The key that the list is sorted by.
    pub(super) sort: String,
    pub(super) is_descending: bool,
}

impl Paging {
    /// Reads `limit`, `cursor` and `sort`; a list is sorted by the first of `sort_keys` unless the
    /// request names another one, with `-` in front for the opposite order.
    pub(super) fn new(
        limit: Option<Parsed<Limit>>,
        cursor: Option<String>,
        sort: Option<&str>,
        sort_keys: &[&str],
    ) -> Result<Self, Error> {
        let sort = sort.unwrap_or_else(|| sort_keys.first().copied().unwrap_or_default());
        let (is_descending, sort) = match sort.strip_prefix('-') {
            Some(key) => (true, key),
            None => (false, sort),
        };
        if !sort_keys.contains(&sort) {
            let detail =
                format!("\"{sort}\" cannot be sorted by; expected {}", sort_keys.join(", "));
            return Err(Error::Request(vec![Fault::parameter("sort", detail)]));
        }
        let sort = sort.to_owned();
        Ok(Self { limit: limit_of(limit)?, cursor, sort, is_descending })
    }

    /// What a cursor of this list in this order begins with: it is of no use for another one.
    fn mark(&self, uri: &Uri, position: &str) -> String {
        let Self { sort, is_descending, .. } = self;
        let digest = Sha256::digest(format!("{} {sort} {is_descending} {position}", uri.path()));
        digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The cursor that continues behind an item.
    fn cursor_behind(&self, uri: &Uri, position: &Position) -> String {
        let position = position.cursor();
        format!("{}~{position}", self.mark(uri, &position))
    }

    /// Where the page begins.
    fn start(&self, uri: &Uri) -> Result<Option<Position>, Error> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let own = cursor.split_once('~').filter(|(mark, at)| *mark == self.mark(uri, at));
        match own.and_then(|(_, position)| Position::read(position)) {
            Some(position) => Ok(Some(position)),
            None => {
                let detail = format!(
                    "\"{cursor}\" is not a cursor of this list in this order: take it from the \
                     link to the next page"
                );
                Err(Error::Request(vec![Fault::parameter("cursor", detail)]))
            }
        }
    }

    /// Takes the page out of all items, each with its position.
    ///
    /// # Errors
    /// For a cursor that is not of this list.
    pub(super) fn page<T>(
        &self,
        mut items: Vec<(Position, T)>,
        uri: &Uri,
    ) -> Result<Page<T>, Error> {
        let total = Some(items.len());
        let order = |a: &Position, b: &Position| -> Ordering {
            if self.is_descending { b.cmp(a) } else { a.cmp(b) }
        };
        items.sort_by(|(a, _), (b, _)| order(a, b));
        let start = self.start(uri)?.map_or(0, |after| {
            items.partition_point(|(position, _)| order(position, &after) != Ordering::Greater)
        });
        let end = items.len().min(start.saturating_add(self.limit));
        let last = items.get(end.wrapping_sub(1)).filter(|_| start < end && end < items.len());
        let next = last.map(|(last, _)| next_link(uri, &self.cursor_behind(uri, last)));
        let items = items.drain(start..end).map(|(_, item)| item).collect();
        Ok(Page { items, next, total })
    }
}

/// How a list of what happened is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub(super) enum TimeOrder {
    /// The newest first.
    #[default]
    #[serde(rename = "-id")]
    NewestFirst,
    /// The oldest first.
    #[serde(rename = "id")]
    OldestFirst,
}

/// A list that the database pages by itself: a cursor is the number or id of the last
/// item of the page before.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimePaging {
    limit: usize,
}

impl TimePaging {
    /// Reads `limit`.
    pub(super) fn new(limit: Option<Parsed<Limit>>) -> Result<Self, Error> {
        Ok(Self { limit: limit_of(limit)? })
    }

    /// How many items to fetch: one more than the page has shows whether there is a next page.
    pub(super) fn fetched(self) -> u32 {
        self.limit as u32 + 1
    }

    /// Makes the page of what was fetched.
    pub(super) fn page<R, T>(
        self,
        mut found: Vec<R>,
        uri: &Uri,
        cursor: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Page<T> {
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let last = found.last().filter(|_| has_more);
        let next = last.map(|last| next_link(uri, &cursor(last)));
        Page { items: found.into_iter().map(item).collect(), next, total: None }
    }
}

/// How many items a page is to have.
fn limit_of(limit: Option<Parsed<Limit>>) -> Result<usize, Error> {
    let limit = limit.map_or(DEFAULT_LIMIT, |Parsed(Limit(limit))| limit as usize);
    if (1..=MAX_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    let detail = format!("expected a number from 1 to {MAX_LIMIT}, not {limit}");
    Err(Error::Request(vec![Fault::parameter("limit", detail)]))
}

/// The path and query of the page that begins behind `cursor`.
fn next_link(uri: &Uri, cursor: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let given = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    for (name, value) in given.filter(|(name, _)| name != "cursor") {
        query.append_pair(&name, &value);
    }
    query.append_pair("cursor", cursor);
    format!("{}?{}", uri.path(), query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every page of a list, one after another.
    fn pages(sort: &str, limit: u32, items: &[(Option<i64>, &str)]) -> Vec<Vec<String>> {
        let mut uri: Uri = "/api/v1/things?q=a%20b".parse().unwrap();
        let mut pages = Vec::new();
        loop {
            let query = form_urlencoded::parse(uri.query().unwrap().as_bytes());
            let cursor = query.into_iter().find(|(name, _)| name == "cursor");
            let cursor = cursor.map(|(_, value)| value.into_owned());
            let limit = Some(Parsed(Limit(limit)));
            let paging = Paging::new(limit, cursor, Some(sort), &["name", "unit"]).unwrap();
            let items = items.iter().map(|(number, key)| {
                let value = number.map_or(SortValue::Missing, SortValue::Number);
                let value = if paging.sort == "unit" { value } else { SortValue::Missing };
                (Position { value, key: (*key).to_owned() }, (*key).to_owned())
            });
            let page = paging.page(items.collect(), &uri).unwrap();
            assert_eq!(page.total, Some(4));
            pages.push(page.items);
            let Some(next) = page.next else { return pages };
            uri = next.parse().unwrap();
        }
    }

    #[test]
    fn the_pages_of_a_list_have_every_item_once_and_in_order() {
        let items = [(Some(10), "a"), (Some(9), "b"), (None, "c"), (Some(9), "d")];
        let cases: [(&str, u32, &[&[&str]]); 5] = [
            ("name", 100, &[&["a", "b", "c", "d"]]),
            ("name", 2, &[&["a", "b"], &["c", "d"]]),
            ("-name", 3, &[&["d", "c", "b"], &["a"]]),
            ("unit", 1, &[&["b"], &["d"], &["a"], &["c"]]),
            ("-unit", 2, &[&["c", "a"], &["d", "b"]]),
        ];
        for (sort, limit, expected) in cases {
            assert_eq!(pages(sort, limit, &items), expected, "{sort} {limit}");
        }
    }

    #[test]
    fn a_cursor_is_of_one_list_in_one_order() {
        let uri: Uri = "/api/v1/things?limit=1".parse().unwrap();
        let items = || {
            let item = |key: &str| (Position { value: SortValue::Missing, key: key.into() }, ());
            vec![item("a"), item("b"), item("c")]
        };
        let page = |uri: &Uri, sort: &str, cursor: Option<&str>| {
            let (limit, cursor) = (Some(Parsed(Limit(1))), cursor.map(str::to_owned));
            Paging::new(limit, cursor, Some(sort), &["name", "unit"]).unwrap().page(items(), uri)
        };
        let next: Uri = page(&uri, "name", None).unwrap().next.unwrap().parse().unwrap();
        let query = next.query().unwrap().to_owned();
        let cursor = query.split_once("cursor=").unwrap().1.replace("%7E", "~");
        let second = page(&uri, "name", Some(&cursor)).unwrap();
        assert!(second.next.is_some(), "{cursor}");
        let other: Uri = "/api/v1/others".parse().unwrap();
        assert!(page(&other, "name", Some(&cursor)).is_err(), "of another list");
        for sort in ["-name", "unit"] {
            assert!(page(&uri, sort, Some(&cursor)).is_err(), "{sort}");
        }
        for made_up in ["", "zz", "~", "~b", "~~b", "00000000~~b", "n5~b", "00000000", &cursor[1..]]
        {
            assert!(page(&uri, "name", Some(made_up)).is_err(), "{made_up}");
        }
    }

    #[test]
    fn a_limit_has_bounds_and_a_sort_key_a_name() {
        for (limit, good) in [(0, false), (1, true), (1000, true), (1001, false)] {
            assert_eq!(limit_of(Some(Parsed(Limit(limit)))).is_ok(), good, "{limit}");
        }
        assert_eq!(limit_of(None).unwrap(), DEFAULT_LIMIT);
        assert!(Paging::new(None, None, Some("-nam"), &["name"]).is_err());
    }
}
