//! `/live` over real HTTP: what other processes do, and a stream that goes on by numbers.

use std::time::Duration;

use rackstrap::inventory::Change;
use rackstrap::lifecycle::audit::AuditAction;
use rackstrap::lifecycle::{Event, EventData};
use rackstrap::model::Mac;
use reqwest::Response;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api_server::ApiServer;
use crate::common::sample;
use crate::common::store::Store;

fn released(last: u8) -> EventData {
    EventData::Release { address: [10, 77, 0, last].into() }
}

/// One message of a stream.
#[derive(Debug)]
struct Message {
    kind: String,
    id: Option<String>,
    data: Value,
}

/// A stream that is read message by message.
struct Stream {
    response: Response,
    read: String,
}

impl Stream {
    async fn open(server: &ApiServer, last: Option<&str>) -> Self {
        let mut request = server.request("GET", "/live");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{last:?}");
        Self { response, read: String::new() }
    }

    async fn next(&mut self) -> Message {
        let reading = async {
            loop {
                if let Some((message, rest)) = self.read.split_once("\n\n") {
                    let field = |name: &str| {
                        message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                    };
                    let data = field("data: ").unwrap_or_default();
                    let found = Message {
                        kind: field("event: ").unwrap_or_default(),
                        id: field("id: "),
                        data: serde_json::from_str(&data).unwrap_or_default(),
                    };
                    self.read = rest.to_owned();
                    return found;
                }
                let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
                self.read.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("a message")
    }

    /// The next message that is wanted.
    async fn find(&mut self, is_wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next().await;
            if is_wanted(&message) {
                return message;
            }
        }
    }

    /// The last part of the address of the next `count` events, with their numbers.
    async fn released(&mut self, count: usize) -> Vec<(i64, String)> {
        let mut found = Vec::new();
        while found.len() < count {
            let message = self.find(|message| message.data["kind"] == "release").await;
            let number = message.data["id"].as_i64().unwrap();
            assert_eq!(message.kind, "event");
            assert!(message.id.unwrap().starts_with(&format!("{number}.")), "{}", message.data);
            found.push((number, message.data["data"]["address"].as_str().unwrap().to_owned()));
        }
        found
    }
}

/// Watches the database as a server does, until it is dropped.
struct Watching(CancellationToken);

impl Watching {
    fn begin(server: &ApiServer) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(server.app.inventory.clone().run_watch(stop.clone()));
        tokio::spawn(server.app.inventory.clone().run_states(stop.clone()));
        Self(stop)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// An event that another server stores late, with an earlier time, is in the stream of a reader
/// that comes back, once.
#[tokio::test]
async fn a_stream_goes_on_behind_the_number_of_an_event() {
    for store in Store::both().await {
        let kind = store.kind;
        let other = store.inventory().await;
        let server = ApiServer::with_store(store).await;
        let _watching = Watching::begin(&server);
        let events = &server.app.inventory.events;
        let mut stream = Stream::open(&server, None).await;
        events.record(None, Some(Mac([2; 6])), released(1));
        let first = stream.released(1).await;
        // By another server, an hour ago.
        let at_ms = jiff::Timestamp::now().as_millisecond() - 3_600_000;
        let late = |last| Event { at_ms, host: None, mac: None, data: released(last) };
        let no_host = |_: &str| None;
        other.database.add_events(&[late(2)], 7, &no_host).await.unwrap();
        let second = stream.released(1).await;
        assert_eq!((first[0].1.as_str(), second[0].1.as_str()), ("10.77.0.1", "10.77.0.2"));
        assert!(first[0].0 < second[0].0, "{kind}");
        drop(stream);

        // Nobody reads now.
        other.database.add_events(&[late(3)], 7, &no_host).await.unwrap();
        events.record(None, None, released(4));
        assert!(events.flush(Duration::from_secs(10)).await);
        other.database.add_events(&[late(5)], 7, &no_host).await.unwrap();
        let number = second[0].0.to_string();
        let mut stream = Stream::open(&server, Some(&number)).await;
        let missed = stream.released(3).await;
        events.record(None, None, released(6));
        let after = stream.released(1).await;
        let shown: Vec<&str> = missed.iter().chain(&after).map(|(_, text)| text.as_str()).collect();
        assert_eq!(shown, ["10.77.0.3", "10.77.0.4", "10.77.0.5", "10.77.0.6"], "{kind}");
        let numbers: Vec<i64> = missed.iter().chain(&after).map(|(number, _)| *number).collect();
        assert!(numbers.is_sorted(), "{kind}: {numbers:?}");

        // The same by pages, in both orders.
        let pages = async |query: &str| -> Vec<i64> {
            let mut path = format!("/events?kind=release&limit=2{query}");
            let mut found = Vec::new();
            loop {
                let page = server.request("GET", &path).send().await.unwrap();
                let page: Value = page.json().await.unwrap();
                let items = page["items"].as_array().unwrap().iter();
                found.extend(items.map(|event| event["id"].as_i64().unwrap()));
                let Some(next) = page["next"].as_str() else { return found };
                path = next.strip_prefix("/api/v1").unwrap().to_owned();
            }
        };
        assert_eq!(pages(&format!("&sort=id&after={number}")).await, numbers, "{kind}");
        let reversed: Vec<i64> = numbers.iter().rev().copied().collect();
        assert_eq!(pages(&format!("&sort=-id&after={number}")).await, reversed, "{kind}");
        assert_eq!(pages(&format!("&before={}", numbers[0])).await.len(), 2, "{kind}");
        assert_eq!(pages(&format!("&sort=id&before={}", numbers[1])).await.len(), 3, "{kind}");
    }
}

#[tokio::test]
async fn what_another_process_does_is_in_the_stream_once() {
    for store in Store::both().await {
        let kind = store.kind;
        // As `rackstrap user set bob` beside the server.
        let beside = store.inventory().await;
        let server = ApiServer::with_store(store).await;
        let _watching = Watching::begin(&server);
        let mut stream = Stream::open(&server, None).await;
        let added = |name: &str| AuditAction::UserAdded { user: name.to_owned(), role: None };
        beside.audit("ann", added("bob")).await;
        let is_added = |message: &Message| message.data["kind"] == "user-added";
        let bob = stream.find(is_added).await;
        assert_eq!((bob.kind.as_str(), &bob.data["data"]["user"]), ("audit", &json!("bob")));
        assert!(bob.id.unwrap().ends_with(bob.data["id"].as_str().unwrap()), "{kind}");
        // Its own are shown at once, and not again when the database is read.
        server.app.inventory.audit("ann", added("eve")).await;
        beside.audit("ann", added("dan")).await;
        let mut names = Vec::new();
        while names.len() < 2 {
            names.push(stream.find(is_added).await.data["data"]["user"].clone());
        }
        names.sort_by_key(Value::to_string);
        assert_eq!(names, ["dan", "eve"], "{kind}");
        beside.audit("ann", added("zoe")).await;
        assert_eq!(stream.find(is_added).await.data["data"]["user"], "zoe", "{kind}: none twice");

        let page = server.request("GET", "/audit?kind=user-added&sort=id&limit=3").send().await;
        let page: Value = page.unwrap().json().await.unwrap();
        let ids: Vec<&str> =
            page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert!(ids.is_sorted() && page["items"][0]["data"]["user"] == "bob", "{kind}: {page}");
        let next = page["next"].as_str().unwrap().strip_prefix("/api/v1").unwrap();
        let rest: Value = server.request("GET", next).send().await.unwrap().json().await.unwrap();
        assert_eq!(rest["items"][0]["data"]["user"], "zoe", "{kind}: {rest}");
    }
}

#[tokio::test]
async fn arming_and_cancelling_change_the_state() {
    let server = ApiServer::start().await;
    let change = Change { who: "ada", summary: "for the test", ..Change::default() };
    let done = server.app.inventory.change_site(change, |site| {
        sample::install_first_host(site);
        Ok(())
    });
    done.await.unwrap();
    let _watching = Watching::begin(&server);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut stream = Stream::open(&server, None).await;
    let is_state = |message: &Message| message.kind == "state";
    let armed = server.request("POST", "/hosts/r1-n01/install").send().await.unwrap();
    let armed: Value = armed.json().await.unwrap();
    let state = stream.find(is_state).await;
    let until = &armed["install"]["armed-until"];
    assert_eq!(state.data["host"], "r1-n01");
    assert_eq!(&state.data["status"]["armed_until"], until, "{}", state.data);
    let until_ms = until.as_i64().unwrap() * 1000;
    assert_eq!(state.data["status"]["armed_until_ms"], until_ms, "{}", state.data);
    assert_eq!(armed["install"]["armed_until_ms"], until_ms, "{armed}");
    let cancelled = server.request("DELETE", "/hosts/r1-n01/install").send().await.unwrap();
    assert_eq!(cancelled.status(), 200);
    let state = stream.find(is_state).await;
    assert_eq!(state.data["status"].get("armed_until"), None, "{}", state.data);
}
