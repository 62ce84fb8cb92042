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

/// It is recorded by its MAC alone: what a BMC does is nothing that its host does.
#[tokio::test]
async fn what_a_bmc_does_is_on_the_page_of_its_host() {
    let site = "hosts:\n  n1: {nics: {eth0: \"52:54:00:aa:00:01\"}, bmc: {mac: \"52:54:00:aa:09:01\"}}\n  \
                n2: {nics: {eth0: \"52:54:00:aa:00:02\"}}\n";
    let server = Server::with_site(serde_saphyr::from_str(site).unwrap()).await;
    let at_ms = jiff::Timestamp::now().as_millisecond();
    let mac = "52:54:00:aa:09:01".parse().ok();
    let event = Event { at_ms, host: None, mac, data: boots::discover() };
    server.app.inventory.database.add_events(&[event], 0, &|_| None).await.unwrap();
    let operator = server.operator().await;
    let row = "<span class=\"mono\">52:54:00:aa:09:01</span>";
    for (path, count) in
        [("/hosts/n1", 1), ("/hosts/n2", 0), ("/events?host=n1", 1), ("/events?host=n2", 0)]
    {
        let page = operator.page(path).await;
        assert_eq!(page.matches(row).count(), count, "{path}: {page}");
    }
    let page = operator.page("/hosts/n1").await;
    assert!(page.contains("This host has not asked for anything yet"), "{page}");
}
