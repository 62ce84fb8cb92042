//! Delivery: messages are stored as things happen, and sent, each by one server.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::message::{GIVEN_UP_AFTER, ID, Message, SIGNATURE, TIMESTAMP, signature, wait_after};
use crate::app::App;
use crate::config::{Config, WebhookSecret};
use crate::inventory::{Database, Live, WaitingMessage, now_ms};
use crate::metrics::WEBHOOK_MESSAGES;

/// How often receivers are looked at whose messages are due.
const DUE_EVERY: Duration = Duration::from_secs(1);
/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How many messages one receiver gets at a time.
const AT_ONCE: usize = 4;
/// How many due messages are read together.
const READ: i64 = 64;
/// How long a message that a server has taken up is left alone by the others.
const CLAIM: Duration = Duration::from_secs(60);
/// How long it is known that a message was sent: another server may see what happened later.
const REMEMBERED: Duration = Duration::from_secs(48 * 3600);
/// How often what is no longer needed is removed.
const TRIM_EVERY: Duration = Duration::from_secs(600);

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The receiver has it.
    Delivered,
    /// The receiver wants no more of it (410 Gone).
    Gone,
    /// Not now: why, and how long the receiver asked to wait.
    Failed {
        /// In words.
        reason: String,
        /// What it asked for by `Retry-After`.
        wait: Option<Duration>,
    },
}

/// What messages are sent with.
#[derive(Clone, Debug)]
pub(crate) struct Deliverer(Client);

impl Deliverer {
    /// # Errors
    /// The TLS library finds no roots.
    pub(crate) fn new() -> io::Result<Self> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            // A receiver that moved is the operator's to know: the secret's signature goes to no other.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("rackstrap/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map(Self).map_err(io::Error::other)
    }

    /// Sends a message once.
    pub(crate) async fn send(
        &self,
        url: &str,
        id: &str,
        body: &str,
        secret: Option<&WebhookSecret>,
    ) -> Attempt {
        let now = now_ms() / 1000;
        let mut request = self.0.post(url).header(CONTENT_TYPE, "application/json");
        request = request.header(ID, id).header(TIMESTAMP, now.to_string());
        if let Some(secret) = secret {
            request = request.header(SIGNATURE, signature(secret.key(), id, now, body));
        }
        let response = match request.body(body.to_owned()).send().await {
            Ok(response) => response,
            Err(error) => {
                let reason = match error.is_timeout() {
                    true => format!("no answer within {} s", TIMEOUT.as_secs()),
                    // Its own text repeats the URL, which may hold a secret.
                    false => last_cause(&error.without_url()),
                };
                return Attempt::Failed { reason, wait: None };
            }
        };
        let status = response.status();
        if status.is_success() {
            return Attempt::Delivered;
        }
        if status == StatusCode::GONE {
            return Attempt::Gone;
        }
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        Attempt::Failed { reason: format!("it answers {status}"), wait }
    }
}

/// The innermost reason of an error: the others say "error sending request".
fn last_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A receiver's URL without what may be a secret: scheme, host and port.
pub(crate) fn shown_receiver(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => "a receiver".to_owned(),
    }
}

/// Stores and sends messages until `stop`. What happens after this call is noticed, however late the
/// future runs first: the report of a host must not be lost that comes while the server starts.
pub(crate) fn run(
    app: App,
    stop: CancellationToken,
) -> impl Future<Output = io::Result<()>> + Send + 'static {
    let live = watched(&app);
    async move {
        let noticing = note_what_happens(app.clone(), live);
        let sending = send_what_is_due(app);
        let both = async { tokio::join!(noticing, sending) };
        stop.run_until_cancelled(both).await;
        Ok(())
    }
}

/// What happens from now on. Nobody watches in vain: a watcher costs each event a copy.
fn watched(app: &App) -> Option<Receiver<Live>> {
    (!app.config.now().webhook_urls.is_empty()).then(|| app.inventory.events.watch())
}

/// Stores messages as things happen, while there are receivers.
async fn note_what_happens(app: App, mut watching: Option<Receiver<Live>>) {
    let mut timer = interval(DUE_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let Some(mut live) = watching.take().or_else(|| watched(&app)) else { continue };
        while !app.config.now().webhook_urls.is_empty() {
            let happened = tokio::select! {
                happened = live.recv() => happened,
                _ = timer.tick() => continue,
            };
            let message = match happened {
                Ok(Live::State(change)) => Message::of_state(&change),
                Ok(Live::Event(event)) => Message::of_event(&event),
                Ok(Live::Progress(_) | Live::Revision(_) | Live::Audit(_)) => None,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(
                        missed,
                        "webhooks: too much happened at once; some of it is not sent"
                    );
                    None
                }
                Err(RecvError::Closed) => return,
            };
            if let Some(message) = message {
                store(&app, &message).await;
            }
        }
    }
}

/// Stores a message for each receiver, if they are to have it.
async fn store(app: &App, message: &Message) {
    let config = app.config.now();
    if !config.webhook_events.contains(&message.topic) {
        return;
    }
    for url in &config.webhook_urls {
        let waiting = WaitingMessage {
            id: message.id.clone(),
            url: url.to_string(),
            body: message.body.clone(),
            made_ms: now_ms(),
            attempts: 0,
        };
        match app.inventory.database.add_webhook_message(&waiting, now_ms()).await {
            Ok(true) => {}
            Ok(false) => {
                WEBHOOK_MESSAGES.count("dropped");
                let receiver = shown_receiver(&waiting.url);
                tracing::warn!(
                    receiver,
                    "webhooks: too many messages wait for {receiver}; one is dropped"
                );
            }
            Err(error) => {
                WEBHOOK_MESSAGES.count("dropped");
                tracing::warn!(%error, "webhooks: cannot store a message; it is dropped");
            }
        }
    }
}

/// Sends what is due, each receiver's messages apart: one that is slow holds up no other.
async fn send_what_is_due(app: App) {
    // Made with the first receiver: it holds the certificates of all authorities.
    let mut deliverer: Option<Deliverer> = None;
    let mut is_told = false;
    let mut running: HashMap<String, Running> = HashMap::new();
    let (mut due, mut trim) = (interval(DUE_EVERY), interval(TRIM_EVERY));
    for timer in [&mut due, &mut trim] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = due.tick() => {
                running.retain(|_, task| !task.0.is_finished());
                let config = app.config.now();
                if config.webhook_urls.is_empty() {
                    continue;
                }
                let deliverer = match &mut deliverer {
                    Some(deliverer) => deliverer,
                    none => match Deliverer::new() {
                        Ok(made) => none.insert(made),
                        Err(error) => {
                            if !std::mem::replace(&mut is_told, true) {
                                tracing::error!(%error, "webhooks: nothing can be sent; trying again every second");
                            }
                            continue;
                        }
                    },
                };
                for url in &config.webhook_urls {
                    let url = url.to_string();
                    running.entry(url.clone()).or_insert_with(|| {
                        Running(tokio::spawn(send_all(app.clone(), deliverer.clone(), url)))
                    });
                }
            }
            _ = trim.tick() => {
                let before = now_ms() - millis(REMEMBERED);
                if let Err(error) = app.inventory.database.trim_webhook_messages(before).await {
                    tracing::warn!(%error, "webhooks: cannot remove old messages");
                }
            }
        }
    }
}

/// A task that ends with whoever started it.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the messages of one receiver that are due now.
async fn send_all(app: App, deliverer: Deliverer, url: String) {
    let database = &app.inventory.database;
    loop {
        let due = match database.due_webhook_messages(&url, now_ms(), READ).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "webhooks: cannot read the messages that are due");
                return;
            }
        };
        let count = due.len() as i64;
        let config = app.config.now();
        let send =
            |(message, next_ms)| send_claimed(database, &deliverer, &config, message, next_ms);
        stream::iter(due).for_each_concurrent(AT_ONCE, send).await;
        if count < READ {
            return;
        }
    }
}

/// Sends a message, unless another server has just taken it up.
async fn send_claimed(
    database: &Database,
    deliverer: &Deliverer,
    config: &Config,
    message: WaitingMessage,
    next_ms: i64,
) {
    let claimed = database.claim_webhook_message(&message, next_ms, now_ms() + millis(CLAIM)).await;
    if !matches!(claimed, Ok(true)) {
        return;
    }
    let WaitingMessage { id, url, body, made_ms, attempts } = &message;
    let attempt = attempts + 1;
    let secret = config.webhook_secret.as_ref();
    let outcome = deliverer.send(url, id, body, secret).await;
    let receiver = shown_receiver(url);
    let next_ms = match outcome {
        Attempt::Delivered => {
            WEBHOOK_MESSAGES.count("delivered");
            None
        }
        Attempt::Gone => {
            WEBHOOK_MESSAGES.count("given-up");
            tracing::warn!(
                receiver,
                id,
                "webhooks: {receiver} is gone (410): a message is given up"
            );
            None
        }
        Attempt::Failed { reason, wait } => {
            let wait = wait_after(attempt.cast_unsigned(), wait);
            let next = now_ms() + millis(wait);
            if next > made_ms + millis(GIVEN_UP_AFTER) {
                WEBHOOK_MESSAGES.count("given-up");
                tracing::error!(
                    receiver,
                    id,
                    attempt,
                    reason,
                    "webhooks: {receiver} did not take a message in 24 hours ({reason}): it is given up"
                );
                None
            } else {
                WEBHOOK_MESSAGES.count("failed");
                let seconds = wait.as_secs();
                tracing::warn!(
                    receiver,
                    id,
                    attempt,
                    reason,
                    "webhooks: {receiver} does not take a message ({reason}); it is sent again in {seconds} s"
                );
                Some(next)
            }
        }
    };
    if let Err(error) = database.set_webhook_attempt(&message, next_ms, attempt).await {
        // It is sent again when the claim is over: receivers know it by its id.
        tracing::warn!(%error, "webhooks: cannot store how an attempt ended");
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
