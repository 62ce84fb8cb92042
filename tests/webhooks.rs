//! Webhooks: the real program, a receiver that is away, and two servers on one database.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::desk::Desk;
use crate::common::store::Store;

const SITE: &str = "hosts: {n1: {nics: {eth0: \"52:54:00:aa:00:01\"}}}\n";
/// A message is sent again after 5 s; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a receiver got.
#[derive(Clone, Debug)]
struct Received {
    id: String,
    signature: Option<String>,
    body: Value,
}

/// A receiver on a loopback port.
#[derive(Clone, Default)]
struct Receiver {
    received: Arc<Mutex<Vec<Received>>>,
    /// What it answers.
    status: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    /// Starts one that answers with `status`. Gives its URL.
    async fn start(status: StatusCode) -> (Self, String) {
        let receiver = Self::default();
        receiver.answer(status);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=secret", listener.local_addr().unwrap());
        let routes = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (receiver, url)
    }

    fn answer(&self, status: StatusCode) {
        *self.status.lock().unwrap() = status;
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    async fn wait_for(&self, count: usize) -> Vec<Received> {
        let end = Instant::now() + PATIENCE;
        while self.received().len() < count {
            assert!(Instant::now() < end, "{count} messages expected: {:?}", self.received());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.received()
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let header = |name| headers.get(name).map(|value: &_| value.to_str().unwrap().to_owned());
    let received = Received {
        id: header("webhook-id").unwrap(),
        signature: header("webhook-signature"),
        body: serde_json::from_str(&body).unwrap(),
    };
    receiver.received.lock().unwrap().push(received);
    *receiver.status.lock().unwrap()
}

/// A server, ended when it is dropped.
struct Server {
    child: Child,
    machine_port: u16,
    directory: TempDir,
}

impl Server {
    fn start(database: &str, url: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let child = serve(&directory, database, url, 0);
        let mut server = Self { child, machine_port: 0, directory };
        server.restart(database, url);
        server
    }

    /// Ends the server as a power cut does, and starts it again.
    fn restart(&mut self, database: &str, url: &str) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.machine_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.child = serve(&self.directory, database, url, self.machine_port);
    }

    /// Reports for the host, as soon as the server answers.
    async fn report(&self, text: &'static str) {
        let url = format!("http://127.0.0.1:{}/report/52:54:00:aa:00:01", self.machine_port);
        let end = Instant::now() + PATIENCE;
        loop {
            match reqwest::Client::new().post(&url).body(text).send().await {
                Ok(response) => {
                    assert!(response.status().is_success(), "{response:?}");
                    return;
                }
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(directory: &TempDir, database: &str, url: &str, port: u16) -> Child {
    let log = std::fs::OpenOptions::new();
    let log = { log }.create(true).append(true).open(directory.path().join("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_rackstrap"))
        .args(["--database", database, "--admin-listen", "127.0.0.1:0", "--machine-listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .arg("serve")
        .env("RACKSTRAP_WEBHOOK_URLS", url)
        .env("RACKSTRAP_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_a_receiver_that_was_away_and_a_server_that_was_killed() {
    for store in Store::both().await {
        let url = store.url.clone();
        let desk = Desk::new(store);
        desk.good_with("apply -", SITE);
        let (receiver, hook) = Receiver::start(StatusCode::SERVICE_UNAVAILABLE).await;
        let mut server = Server::start(&url, &hook);
        server.report("up: all links").await;
        let first = receiver.wait_for(1).await.remove(0);
        assert_eq!(first.body["type"], "up", "{url}");
        assert_eq!(first.body["data"]["host"], "n1", "{url}");
        assert!(first.signature.as_ref().unwrap().starts_with("v1,"), "{first:?}");
        receiver.answer(StatusCode::NO_CONTENT);
        server.restart(&url, &hook);
        let second = receiver.wait_for(2).await.remove(1);
        assert_eq!((second.id, second.body), (first.id, first.body), "{url}: the same message");
        server.report("failed: no partner").await;
        let third = receiver.wait_for(3).await.remove(2);
        assert_eq!(third.body["type"], "failed", "{url}");
        // What has arrived is not sent again.
        tokio::time::sleep(Duration::from_secs(7)).await;
        assert_eq!(receiver.received().len(), 3, "{url}");
        let log = std::fs::read_to_string(server.directory.path().join("log")).unwrap();
        assert!(log.contains("does not take a message (it answers 503"), "{log}");
        assert!(!log.contains("key=secret"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_on_one_database_one_sends_each_message() {
    let store = Store::postgres().await;
    let url = store.url.clone();
    let desk = Desk::new(store);
    desk.good_with("apply -", SITE);
    let (receiver, hook) = Receiver::start(StatusCode::OK).await;
    let servers = [Server::start(&url, &hook), Server::start(&url, &hook)];
    // Both see the host up, whichever it reports to.
    for (number, text) in ["up", "failed: link", "up", "failed: link"].iter().enumerate() {
        servers[number % 2].report(text).await;
        let received = receiver.wait_for(number + 1).await;
        let expected = if text.starts_with("up") { "up" } else { "failed" };
        assert_eq!(received[number].body["type"], expected);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(receiver.received().len(), number + 1, "{:?}", receiver.received());
    }
}

#[test]
fn a_test_message_says_what_the_receiver_answers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (receiver, hook) = runtime.block_on(Receiver::start(StatusCode::OK));
    let run = |hook: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_rackstrap"))
            .args(["webhook", "test"])
            .env("RACKSTRAP_WEBHOOK_URLS", hook)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let (is_good, text) = run(&hook);
    assert!(is_good && text.contains(": accepted"), "{text}");
    assert!(!text.contains("secret\n") && text.contains("not signed"), "{text}");
    assert_eq!(receiver.received()[0].body["type"], "test");
    receiver.answer(StatusCode::FORBIDDEN);
    let (is_good, text) = run(&hook);
    assert!(!is_good && text.contains("not accepted: it answers 403 Forbidden"), "{text}");
    let (is_good, text) = run("http://127.0.0.1:1/x");
    assert!(!is_good && text.contains("Connection refused"), "{text}");
    let (is_good, text) = run("");
    assert!(!is_good && text.contains("set webhook_urls"), "{text}");
}
