//! What is sent, how it is signed, and when it is tried again. Pure.
//!
//! Messages and signatures follow the Standard Webhooks specification (standardwebhooks.com, 1.0): a
//! receiver checks them with a library that exists for its language.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::config::WebhookTopic;
use crate::lifecycle::{Event, EventData, HostState, StateChange};

/// The header of a message's id: the same for each attempt, and from each server.
pub(super) const ID: &str = "webhook-id";
/// The header of the time of the attempt, in Unix seconds.
pub(super) const TIMESTAMP: &str = "webhook-timestamp";
/// The header of the signature.
pub(super) const SIGNATURE: &str = "webhook-signature";

/// A message is given up this long after it was made.
pub(super) const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How long after an attempt the next one follows, by the number of attempts.
const WAITS_SECONDS: [u64; 6] = [5, 30, 120, 600, 1800, 3600];

/// A message for receivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Follows from what happened: all servers that see it make the same one.
    pub id: String,
    /// What it is about.
    pub topic: WebhookTopic,
    /// What is sent.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a, T> {
    r#type: &'a str,
    timestamp: String,
    data: &'a T,
}

impl Message {
    /// The message about a change of a host's state, if receivers may want it.
    pub(crate) fn of_state(change: &StateChange) -> Option<Self> {
        let topic = match change.status.state {
            HostState::Up => WebhookTopic::Up,
            HostState::Stuck => WebhookTopic::Stuck,
            HostState::Failed => WebhookTopic::Failed,
            HostState::Waiting | HostState::Booting | HostState::Installing => return None,
        };
        Some(Self::new(topic, change.status.since_ms, &change))
    }

    /// The message about an event, if receivers may want it.
    pub(crate) fn of_event(event: &Event) -> Option<Self> {
        let topic = match event.data {
            EventData::InstallCompleted { .. } => WebhookTopic::Installed,
            EventData::Warning(_) => WebhookTopic::Warning,
            _ => return None,
        };
        Some(Self::new(topic, event.at_ms, event))
    }

    /// A message that shows whether a receiver can be reached and accepts the signature.
    pub(crate) fn test(now_ms: i64) -> Self {
        Self::new(WebhookTopic::Test, now_ms, &serde_json::json!({}))
    }

    fn new(topic: WebhookTopic, at_ms: i64, data: &impl Serialize) -> Self {
        // Serialising our own types of texts and numbers cannot fail.
        let data = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned());
        let digest = Sha256::digest(format!("{} {at_ms} {data}", topic.label()));
        let id = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        let timestamp = jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default().to_string();
        let body = RawValue::from_string(data).ok().and_then(|data| {
            serde_json::to_string(&Body { r#type: topic.label(), timestamp, data: &data }).ok()
        });
        Self { id: format!("msg_{id}"), topic, body: body.unwrap_or_default() }
    }
}

/// The value of [`SIGNATURE`] for an attempt at `now` (Unix seconds).
pub(super) fn signature(key: &[u8], id: &str, now: i64, body: &str) -> String {
    // A key of HMAC may have any length.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    hmac.update(format!("{id}.{now}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()))
}

/// How long after the attempt with this number (from 1) the next one follows. `asked` is what the
/// receiver asked for (`Retry-After`), of which an hour at most is respected.
pub(super) fn wait_after(attempt: u64, asked: Option<Duration>) -> Duration {
    let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    let last = WAITS_SECONDS[WAITS_SECONDS.len() - 1];
    let own = Duration::from_secs(WAITS_SECONDS.get(at).copied().unwrap_or(last));
    asked.map_or(own, |asked| asked.clamp(own, Duration::from_secs(last).max(own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::samples;
    use crate::lifecycle::{EventKind, HostStatus};

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the specification's reference libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = "{\"test\": 2432232314}";
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn states_and_events_that_people_wait_for_are_messages() {
        let state = |state| {
            let status = HostStatus { state, since_ms: 1000, ..HostStatus::default() };
            Message::of_state(&StateChange { host: "n01".into(), status }).map(|m| m.topic)
        };
        use HostState as S;
        use WebhookTopic as T;
        let states = [S::Waiting, S::Booting, S::Installing, S::Up, S::Stuck, S::Failed].map(state);
        assert_eq!(states, [None, None, None, Some(T::Up), Some(T::Stuck), Some(T::Failed)]);
        let event = |kind| {
            let data = samples::data(kind);
            let event = Event { at_ms: 2000, host: Some("n01".into()), mac: None, data };
            Message::of_event(&event).map(|message| message.topic)
        };
        for kind in EventKind::ALL.iter().copied() {
            let expected = match kind {
                EventKind::InstallCompleted => Some(T::Installed),
                EventKind::Warning => Some(T::Warning),
                _ => None,
            };
            assert_eq!(event(kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_message_says_what_happened_as_data_and_its_id_follows_from_that() {
        let status = HostStatus {
            state: HostState::Stuck,
            since_ms: 1_764_400_000_000,
            reason: "it waits".into(),
            ..HostStatus::default()
        };
        let change = StateChange { host: "n01".into(), status };
        let message = Message::of_state(&change).unwrap();
        let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["type"], "stuck");
        assert_eq!(body["timestamp"], "2025-11-29T07:06:40Z");
        assert_eq!(body["data"]["host"], "n01");
        assert_eq!(body["data"]["status"]["reason"], "it waits");
        assert_eq!(Message::of_state(&change).unwrap(), message);
        let mut other = change;
        other.status.since_ms += 1;
        assert_ne!(Message::of_state(&other).unwrap().id, message.id);
    }

    #[test]
    fn attempts_become_rarer_and_a_receiver_may_ask_for_time() {
        let seconds = |attempt, asked: Option<u64>| {
            wait_after(attempt, asked.map(Duration::from_secs)).as_secs()
        };
        let waits: Vec<u64> = (1..=8).map(|attempt| seconds(attempt, None)).collect();
        assert_eq!(waits, [5, 30, 120, 600, 1800, 3600, 3600, 3600]);
        assert_eq!(seconds(1, Some(60)), 60);
        assert_eq!(seconds(3, Some(60)), 120);
        assert_eq!(seconds(1, Some(1_000_000)), 3600);
    }
}
