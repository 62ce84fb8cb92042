//! Events in the database: found by every filter, kept as long as configured, and the same for all
//! servers. The last test measures searches among a million events.

use std::time::{Duration, Instant};

use rackstrap::inventory::{
    Change, Database, EventPageQuery, EventsOf, Inventory, Live, Retention, StoredEvent,
};
use rackstrap::lifecycle::client::{Arch, Client};
use rackstrap::lifecycle::event::{
    Ack, AckKind, Boots, DhcpMessage, Offer, Report, ReportResult, Script, ScriptSays, Sent,
    Warning, Way,
};
use rackstrap::lifecycle::{Event, EventData, EventKind, HostState, search};
use rackstrap::model::Mac;
use tokio_util::sync::CancellationToken;

use crate::common::store::Store;

/// The moment of the first event, in Unix milliseconds.
const BEGIN_MS: i64 = 1_790_000_000_000;

/// A boot in the history, one event after the other: number `n` of a site of `hosts` hosts.
fn event(n: usize, hosts: usize) -> Event {
    // Sixteen events make a boot, and forty hosts boot at the same time.
    let (round, step, slot) = (n / 640, n % 640 / 40, n % 40);
    let host = (round * 40 + slot) % hosts;
    let name = format!("r{}-n{:02}", host / 40 + 1, host % 40 + 1);
    let mac = Mac([0x52, 0x54, 0, 0xaa, (host >> 8) as u8, host as u8]);
    let address = std::net::Ipv4Addr::new(10, 77, (host >> 7) as u8, (host & 127) as u8 + 10);
    let way = Way::Interface("provisioning".into());
    let question = |address| DhcpMessage {
        address,
        client: Client::Pxe(Arch::X64Efi),
        way: way.clone(),
        unanswered: None,
    };
    let sent = |file: &str| Sent {
        to: address.into(),
        file: file.into(),
        bytes: 28_731_000,
        milliseconds: Some(400 + n as u64 % 100),
    };
    let boots = Some(Boots::Tftp("ipxe.efi".into()));
    let data = match step {
        0 | 4 | 10 => EventData::Discover(question(None)),
        1 | 5 | 11 => EventData::Offer(Offer { address: Some(address), boots, redirected: false }),
        2 | 6 | 12 => EventData::Request(question(Some(address))),
        3 | 7 | 13 => EventData::Ack(Ack {
            grant: AckKind::Given,
            address: Some(address),
            seconds: Some(3600),
            boots,
        }),
        8 => {
            let says = ScriptSays::Boots("live".into());
            EventData::Script(Script { to: address.into(), says })
        }
        9 => EventData::Kernel(sent("live/vmlinuz-6.1.0-18-amd64")),
        14 if n.is_multiple_of(7919) => EventData::Warning(Warning::ProxyArp),
        14 => EventData::Initrd(sent("live/initrd.img")),
        _ => {
            let verdict =
                if n.is_multiple_of(997) { ReportResult::Failed } else { ReportResult::Up };
            EventData::Report(Report { verdict, text: format!("bond0 up after {} s", n % 60) })
        }
    };
    Event { at_ms: BEGIN_MS + n as i64 * 25, host: Some(name), mac: Some(mac), data }
}

async fn fill(database: &Database, events: usize, hosts: usize) {
    let all: Vec<usize> = (0..events).collect();
    for some in all.chunks(5000) {
        let some: Vec<Event> = some.iter().map(|n| event(*n, hosts)).collect();
        database.add_events(&some, 0, &|_| None).await.unwrap();
    }
}

fn query() -> EventPageQuery {
    EventPageQuery { limit: 100, ..EventPageQuery::default() }
}

/// Whether a query is to find an event, in the plainest way.
fn is_found(query: &EventPageQuery, event: &Event) -> bool {
    query.host.as_ref().is_none_or(|of| {
        event.host.as_ref() == Some(&of.name) || (of.bmc.is_some() && event.mac == of.bmc)
    }) && query.mac.is_none_or(|mac| event.mac == Some(mac))
        && query.kind.is_none_or(|kind| event.kind() == kind)
        && query.address.is_none_or(|address| event.data.address() == Some(address))
        && event.at_ms >= query.from_ms
        && query.until_ms.is_none_or(|until| event.at_ms < until)
        && search::finds(&search::asked(&query.text), &search::terms(event))
}

async fn all_pages(database: &Database, mut query: EventPageQuery) -> Vec<StoredEvent> {
    let mut found = Vec::new();
    loop {
        let page = database.page_events(&query).await.unwrap();
        let is_last = page.len() < query.limit as usize;
        match query.oldest_first {
            true => query.after = page.last().map(|last| last.number),
            false => query.before = page.last().map(|last| last.number),
        }
        found.extend(page);
        if is_last {
            return found;
        }
    }
}

/// Queries of every kind, and combinations.
fn queries(events: usize) -> Vec<(&'static str, EventPageQuery)> {
    let at = |part: usize| BEGIN_MS + (events * part / 100) as i64 * 25;
    let text = |text: &str| EventPageQuery { text: text.into(), ..query() };
    let host = Some(EventsOf::from("r1-n07"));
    let mac = "5254.00aa.0006".parse().ok();
    let with_bmc = EventsOf { name: "r1-n07".to_owned(), bmc: mac };
    let address = "10.77.0.16".parse().ok();
    vec![
        ("everything", query()),
        ("one host", EventPageQuery { host: host.clone(), ..query() }),
        ("a host and its BMC", EventPageQuery { host: Some(with_bmc.clone()), ..query() }),
        (
            "a kind of a host and its BMC",
            EventPageQuery { host: Some(with_bmc), kind: Some(EventKind::Discover), ..query() },
        ),
        ("a host without events", EventPageQuery { host: Some("r9-n99".into()), ..query() }),
        ("a common kind", EventPageQuery { kind: Some(EventKind::Discover), ..query() }),
        ("a rare kind", EventPageQuery { kind: Some(EventKind::Warning), ..query() }),
        ("a kind without events", EventPageQuery { kind: Some(EventKind::Nak), ..query() }),
        ("a MAC", EventPageQuery { mac, ..query() }),
        ("an address", EventPageQuery { address, ..query() }),
        ("a text in everything", text("5")),
        ("a text in many", text("vmlin")),
        ("a text in few", text("failed")),
        ("a text in nothing", text("nothing")),
        ("a beginning of addresses in nothing else", text("10.77 nothing")),
        ("two common words, never together", text("vmlinuz initrd.img")),
        ("two beginnings, never together", text("10.7 52:55")),
        ("a MAC as text", text("52-54-00-AA-00-06")),
        ("an address as text", text("10.77.0.16")),
        ("an old hour", EventPageQuery { from_ms: at(3), until_ms: Some(at(4)), ..query() }),
        ("before all", EventPageQuery { until_ms: Some(BEGIN_MS), ..query() }),
        (
            "a host in an old hour",
            EventPageQuery { host, from_ms: at(3), until_ms: Some(at(40)), ..query() },
        ),
        (
            "a text of a kind in an old hour",
            EventPageQuery {
                kind: Some(EventKind::Report),
                from_ms: at(10),
                until_ms: Some(at(12)),
                ..text("failed bond0")
            },
        ),
        (
            "an address of another host's MAC",
            EventPageQuery { mac, address: "10.77.0.17".parse().ok(), ..query() },
        ),
        (
            "a common text of a common kind that lacks it",
            EventPageQuery { kind: Some(EventKind::Discover), ..text("vmlinuz") },
        ),
    ]
}

#[tokio::test]
async fn every_query_finds_what_a_look_at_every_event_finds() {
    const EVENTS: usize = 2700;
    for store in Store::both().await {
        let database = store.open().await;
        fill(&database, EVENTS, 200).await;
        let all: Vec<Event> = (0..EVENTS).rev().map(|n| event(n, 200)).collect();
        for indexed in [false, true] {
            if indexed {
                database.index_events().await.unwrap();
            }
            for (name, query) in queries(EVENTS) {
                for limit in [90, 1000] {
                    let query = EventPageQuery { limit, ..query.clone() };
                    let found = all_pages(&database, query.clone()).await;
                    let found: Vec<Event> = found.into_iter().map(|stored| stored.event).collect();
                    let expected: Vec<Event> =
                        all.iter().filter(|event| is_found(&query, event)).cloned().collect();
                    let what = format!("{}: {name}, indexed: {indexed}, {limit}", store.kind);
                    assert_eq!(found.len(), expected.len(), "{what}");
                    assert!(found == expected, "{what}");
                    let query = EventPageQuery { oldest_first: true, ..query };
                    let mut found = all_pages(&database, query).await;
                    found.reverse();
                    let found: Vec<Event> = found.into_iter().map(|stored| stored.event).collect();
                    assert!(found == expected, "{what}, oldest first");
                }
            }
        }
    }
}

#[tokio::test]
async fn events_are_removed_by_age_by_boots_and_by_number() {
    for store in Store::both().await {
        let database = store.open().await;
        fill(&database, 3000, 200).await;
        database.index_events().await.unwrap();
        let count = async || all_pages(&database, query()).await.len();
        let keep = Retention { days: 1, boots: 1000, rows: 1_000_000 };
        let day_ms = 86_400_000;
        let removed = database.trim_events(keep, BEGIN_MS + day_ms).await.unwrap();
        assert_eq!((removed, count().await), (0, 3000), "{}", store.kind);
        let now_ms = BEGIN_MS + day_ms + 700 * 25;
        assert_eq!(database.trim_events(keep, now_ms).await.unwrap(), 700, "{}", store.kind);
        assert_eq!(count().await, 2300, "{}", store.kind);
        let fewer = Retention { rows: 1000, ..keep };
        assert_eq!(database.trim_events(fewer, now_ms).await.unwrap(), 1300, "{}", store.kind);
        assert_eq!(count().await, 1000, "{}", store.kind);
        let oldest = all_pages(&database, query()).await.pop().unwrap();
        assert_eq!(oldest.event, event(2000, 200), "{}", store.kind);
        let text = EventPageQuery { text: "offered".into(), ..query() };
        assert!(!all_pages(&database, text.clone()).await.is_empty(), "{}", store.kind);

        assert_eq!(database.remove_events_before(i64::MAX).await.unwrap(), 1000, "{}", store.kind);
        assert_eq!(count().await, 0, "{}", store.kind);
        // What comes next is found as before.
        fill(&database, 1500, 200).await;
        database.index_events().await.unwrap();
        assert_eq!(count().await, 1500, "{}", store.kind);
        let expected = (0..1500).filter(|n| is_found(&text, &event(*n, 200))).count();
        assert_eq!(all_pages(&database, text).await.len(), expected, "{}", store.kind);
    }
}

#[tokio::test]
async fn a_host_keeps_the_events_of_its_last_boots() {
    for store in Store::both().await {
        let inventory = with_hosts(&store).await;
        let database = &inventory.database;
        let of = |host: &str| EventPageQuery { host: Some(host.into()), ..query() };
        // Seven boots of one host and two of another, three events each.
        for boot in 0..7 {
            for (host, step) in [("a", 0), ("b", 1)] {
                if host == "b" && boot >= 2 {
                    continue;
                }
                let at_ms = BEGIN_MS + boot * 3_600_000 + step;
                let events = [0, 1, 15].map(|n| Event {
                    at_ms: at_ms + n as i64 * 10,
                    host: Some(host.into()),
                    ..event(n * 40, 200)
                });
                database.add_events(&events, 0, &|_| Some(false)).await.unwrap();
            }
        }
        assert_eq!(database.remove_old_boots(3).await.unwrap(), 12, "{}", store.kind);
        let kept = all_pages(database, of("a")).await;
        assert_eq!(kept.len(), 9, "{}", store.kind);
        assert_eq!(kept[8].event.at_ms, BEGIN_MS + 4 * 3_600_000, "{}", store.kind);
        assert_eq!(all_pages(database, of("b")).await.len(), 6, "{}", store.kind);
        assert_eq!(database.remove_old_boots(3).await.unwrap(), 0, "{}", store.kind);
    }
}

/// An inventory with two hosts.
async fn with_hosts(store: &Store) -> Inventory {
    let inventory = store.inventory().await;
    let site = "images: {live: {kernel: k, initrd: [i]}}\n\
                hosts: {a: {image: live}, b: {image: live}}";
    let change = Change { who: "test", summary: "hosts", ..Change::default() };
    inventory.replace_site(change, serde_saphyr::from_str(site).unwrap()).await.unwrap();
    inventory
}

/// Two servers on one database share what happens to a host between them; each knows its state
/// within a second of what the other one saw.
#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_database_agree_on_states() {
    let store = Store::postgres().await;
    let one = with_hosts(&store).await;
    let two = store.inventory().await;
    let stop = CancellationToken::new();
    for server in [&one, &two] {
        tokio::spawn(server.clone().run_watch(stop.clone()));
    }
    let mut watched = two.events.watch();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let state = |server: &Inventory| {
        server.states.find("a", jiff::Timestamp::now().as_millisecond()).unwrap()
    };
    // Who sees which event of the boot, and what state follows.
    let steps = [
        (&one, 0, HostState::Booting),
        (&two, 1, HostState::Booting),
        (&one, 2, HostState::Booting),
        (&one, 3, HostState::Booting),
        (&two, 8, HostState::Booting),
        (&one, 9, HostState::Booting),
        (&two, 15, HostState::Up),
    ];
    for (server, step, expected) in steps {
        server.events.record(Some("a"), None, event(step * 40, 200).data);
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            let (here, there) = (state(&one), state(&two));
            if here == there && here.state == expected && here.since_ms > 0 {
                break;
            }
            assert!(Instant::now() < end, "step {step}: {here:?} and {there:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // Whoever watches the other server has seen each event once, its own ones a moment earlier.
    let mut seen = Vec::new();
    while let Ok(Ok(live)) = tokio::time::timeout(Duration::from_secs(1), watched.recv()).await {
        if let Live::Event(event) = live {
            seen.push(event.kind());
        }
    }
    use EventKind::*;
    seen.sort_by_key(|kind| EventKind::ALL.iter().position(|known| known == kind));
    assert_eq!(seen, [Discover, Offer, Request, Ack, Script, Kernel, Report]);
    stop.cancel();
}

/// How long a query may take, in milliseconds. Without optimisation our own code takes several times
/// as long as it does for users.
const QUERY_MS: f64 = if cfg!(debug_assertions) { 250.0 } else { 100.0 };

/// Prints how long each query takes among `EVENTS` (default: 1,000,000) stored events, and what
/// storing them costs. Part of `make test-full`; `cargo test --release` has the times of users.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn every_query_among_a_million_events_takes_less_than_100_ms() {
    let events = std::env::var("EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_600);
    let mut slow = Vec::new();
    for store in Store::both().await {
        let database = store.open().await;
        let begin = Instant::now();
        fill(&database, events, 4000).await;
        let stored = begin.elapsed();
        let begin = Instant::now();
        database.index_events().await.unwrap();
        let indexed = begin.elapsed();
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / events as f64;
        println!(
            "\n{}, {events} events: stored in {:.0} us each, indexed in {:.0} us each",
            store.kind,
            each(stored),
            each(indexed)
        );
        if let Some(path) = store.url.strip_prefix("sqlite:") {
            let bytes = std::fs::metadata(path).unwrap().len();
            println!("database: {} MB", bytes / 1_000_000);
        }
        println!("| query | found | ms |\n|---|---|---|");
        for (name, query) in queries(events) {
            let mut spent = Duration::MAX;
            let mut found = 0;
            for _ in 0..3 {
                let begin = Instant::now();
                found = database.page_events(&query).await.unwrap().len();
                spent = spent.min(begin.elapsed());
            }
            let milliseconds = spent.as_secs_f64() * 1000.0;
            println!("| {name} | {found} | {milliseconds:.1} |");
            if milliseconds >= QUERY_MS {
                slow.push(format!("{}: {name}: {milliseconds:.0} ms", store.kind));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

/// An event that PostgreSQL does not take: there is no NUL in its texts.
#[tokio::test]
async fn an_event_that_cannot_be_stored_holds_up_no_other() {
    let store = Store::postgres().await;
    let inventory = with_hosts(&store).await;
    inventory.events.record(Some("a"), None, event(0, 200).data);
    inventory.events.record(Some("nul\0"), None, event(40, 200).data);
    inventory.events.record(Some("a"), None, event(80, 200).data);
    assert!(inventory.events.flush(Duration::from_secs(10)).await);
    let stored = all_pages(&inventory.database, query()).await;
    let kinds: Vec<_> = stored.iter().map(|stored| stored.event.kind()).collect();
    assert_eq!(kinds, [EventKind::Request, EventKind::Discover]);
    inventory.events.record(Some("b"), None, event(0, 200).data);
    assert!(inventory.events.flush(Duration::from_secs(10)).await);
    assert_eq!(all_pages(&inventory.database, query()).await.len(), 3);
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_refused_when_opened() {
    let store = Store::postgres().await;
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(&store.url).await.unwrap();
    let name = format!("latin1_{}", std::process::id());
    let create = format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    );
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    let (server, query) = store.url.split_once('?').map_or((&*store.url, ""), |(a, b)| (a, b));
    let (server, _) = server.rsplit_once('/').unwrap();
    let error = Database::open(&format!("{server}/{name}?{query}")).await.unwrap_err().to_string();
    assert!(error.contains("has the encoding LATIN1: expected UTF8"), "{error}");
}

#[tokio::test]
async fn events_of_strangers_do_not_displace_those_of_hosts() {
    for store in Store::both().await {
        let database = store.open().await;
        fill(&database, 600, 200).await;
        let strangers: Vec<Event> =
            (0..900).map(|n| Event { host: None, ..event(n, 200) }).collect();
        database.add_events(&strangers, 0, &|_| None).await.unwrap();
        assert_eq!(database.remove_events_of_strangers(200).await.unwrap(), 700, "{}", store.kind);
        let left = all_pages(&database, query()).await;
        assert_eq!(left.len(), 800, "{}", store.kind);
        assert_eq!(left.iter().filter(|stored| stored.event.host.is_some()).count(), 600);
        assert_eq!(left[0].event.at_ms, strangers[899].at_ms, "{}", store.kind);
    }
}
