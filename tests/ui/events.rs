//! The list of events as a page, without a script.

use rackstrap::lifecycle::Event;

use super::server::Server;
use crate::common::boots;

#[tokio::test]
async fn events_are_filtered_and_older_ones_are_behind_a_link() {
    let server = Server::start().await;
    let mac = "52:54:00:aa:00:01".parse().ok();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let event = |number: i64| Event {
        at_ms: now_ms - 1000 + number,
        host: Some("r1-n01".into()),
        mac,
        data: boots::kernel(&format!("file-{number:03}")),
    };
    let mut events: Vec<Event> = (0..450).map(event).collect();
    let (host, data) = (Some("r1-n02".into()), boots::script("live"));
    events.push(Event { at_ms: now_ms, host, mac: None, data });
    server.app.inventory.database.add_events(&events, 0, &|_| None).await.unwrap();
    let operator = server.operator().await;
    let (mut path, mut seen, mut pages) = ("/events?kind=kernel".to_owned(), Vec::new(), 0);
    loop {
        let page = operator.page(&path).await;
        pages += 1;
        let names = page.match_indices("text\">file-");
        seen.extend(names.map(|(at, text)| page[at + text.len()..][..3].to_owned()));
        let Some((before, _)) = page.split_once("\" rel=\"next\"") else { break };
        let query = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
        path = format!("/events{}", query.replace("&amp;", "&"));
    }
    let expected: Vec<_> = (0..450).rev().map(|n| format!("{n:03}")).collect();
    assert_eq!((seen, pages), (expected, 3));
    for (query, count) in [
        ("text=file-007", 1),
        ("text=FILE-00", 10),
        ("mac=5254.00aa.0001&text=file-44", 10),
        ("host=r1-n02&text=file", 0),
        ("host=r1-n01&text=file-1&from=1h", 100),
        ("text=file&until=2020-01-01", 0),
        ("text=10.77.0.11+file-123", 1),
    ] {
        let page = operator.page(&format!("/events?{query}")).await;
        assert_eq!(page.matches("text\">file-").count(), count, "{query}");
    }
    for query in ["mac=x", "kind=x", "address=x", "from=x", "before=x"] {
        let page = operator.page(&format!("/events?{query}")).await;
        assert!(page.contains("role=\"alert\""), "{query}");
    }
}
