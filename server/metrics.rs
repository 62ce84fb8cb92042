//! What happened since the start, counted, and whether the database takes writes:
//! `/metrics` and `/readyz` are made of this. One process is one server, so it is global.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many labels of one family are told apart; what comes after is counted as `other`.
const MAX_LABELS: usize = 64;

/// DHCP messages of clients by type.
pub static DHCP_MESSAGES: Family = Family::new(
    "rackstrap_dhcp_messages_total",
    "type",
    "DHCP messages that could be read, by type",
);
/// DHCP answers that were sent, by type.
pub static DHCP_ANSWERS: Family =
    Family::new("rackstrap_dhcp_answers_total", "type", "DHCP answers that were sent, by type");
/// Leases that were to be stored before their answer, by what became of it.
pub static LEASE_COMMITS: Family = Family::new(
    "rackstrap_lease_commits_total",
    "outcome",
    "Leases that were to be stored before their answer, by outcome",
);
/// DHCP packets without an answer, by reason.
pub static DHCP_UNANSWERED: Family = Family::new(
    "rackstrap_dhcp_unanswered_total",
    "reason",
    "DHCP packets that were not answered, by reason",
);
/// TFTP transfers by how they ended.
pub static TFTP_TRANSFERS: Family =
    Family::new("rackstrap_tftp_transfers_total", "ending", "TFTP transfers by how they ended");
/// TFTP requests that were refused, by what the client was told.
pub static TFTP_REFUSED: Family = Family::new(
    "rackstrap_tftp_refused_total",
    "error",
    "TFTP requests that were refused, by error code",
);
/// Bytes that clients acknowledged, by how their transfer ended.
pub static TFTP_BYTES: Family = Family::new(
    "rackstrap_tftp_bytes_total",
    "ending",
    "Bytes of TFTP transfers that clients acknowledged, by how the transfer ended",
);
/// TFTP transfers that run.
pub static TFTP_RUNNING: AtomicU64 = AtomicU64::new(0);
/// Answers of the machine-facing HTTP server, by status.
pub static HTTP_ANSWERS: Family =
    Family::new("rackstrap_http_answers_total", "status", "Answers to machines by HTTP, by status");
/// Everything that is told of, by kind: warnings are one.
pub static EVENTS: Family = Family::new("rackstrap_events_total", "kind", "Events, by kind");
/// Whether the database takes writes.
pub static DATABASE: Health = Health::new();

const FAMILIES: [&Family; 9] = [
    &DHCP_MESSAGES,
    &DHCP_ANSWERS,
    &DHCP_UNANSWERED,
    &LEASE_COMMITS,
    &TFTP_TRANSFERS,
    &TFTP_BYTES,
    &TFTP_REFUSED,
    &HTTP_ANSWERS,
    &EVENTS,
];

/// Counters of one kind that differ in one label.
#[derive(Debug)]
pub struct Family {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Family {
    const fn new(name: &'static str, label: &'static str, help: &'static str) -> Self {
        Self { name, label, help, counts: Mutex::new(BTreeMap::new()) }
    }

    /// Counts one.
    pub fn count(&self, label: &str) {
        self.add(label, 1);
    }

    /// Counts several.
    pub fn add(&self, label: &str, many: u64) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(label) {
            *count += many;
            return;
        }
        let label = if counts.len() < MAX_LABELS { label } else { "other" };
        *counts.entry(label.to_owned()).or_default() += many;
    }

    fn write(&self, text: &mut String) {
        let Self { name, label, help, counts } = self;
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} counter");
        for (value, count) in lock(counts).iter() {
            let _ = writeln!(text, "{name}{{{label}=\"{}\"}} {count}", escaped(value));
        }
    }
}

/// Every counter in Prometheus's text format (version 0.0.4).
pub fn counters() -> String {
    let mut text = String::new();
    FAMILIES.iter().for_each(|family| family.write(&mut text));
    text
}

/// How many TFTP transfers run.
pub fn running_transfers() -> u64 {
    TFTP_RUNNING.load(Ordering::Relaxed)
}

/// One gauge in the same format, with the value of its label where it has one.
pub fn gauge(text: &mut String, name: &str, help: &str, values: &[(String, u64)]) {
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} gauge");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// A label's value as the format wants it.
pub fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// How long nothing may fail until a failure is over: on a disk that is all but full a small
/// write is stored between two that are not.
const SETTLED: Duration = Duration::from_secs(2);

/// Whether something works; its failure is said once, and its return.
#[derive(Debug)]
pub struct Health(Mutex<Option<Failure>>);

#[derive(Debug)]
struct Failure {
    since: Instant,
    reason: String,
    /// The first write that was stored after the last that failed.
    stored: Option<Instant>,
}

impl Health {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Notes that a write failed.
    pub fn failed(&self, reason: &impl ToString) {
        let mut failure = lock(&self.0);
        let reason = reason.to_string();
        if failure.is_none() {
            tracing::error!(
                "the database does not take writes: {reason}; leases that run are confirmed from \
                 memory, new ones are not given until it does"
            );
        }
        let since = failure.as_ref().map_or_else(Instant::now, |before| before.since);
        *failure = Some(Failure { since, reason, stored: None });
    }

    /// Notes that a write was stored.
    pub fn works(&self) {
        let now = Instant::now();
        if let Some(failure) = lock(&self.0).as_mut() {
            failure.stored.get_or_insert(now);
        }
        self.settle(now);
    }

    /// Why it does not work; none if it does.
    pub fn failure(&self) -> Option<String> {
        self.settle(Instant::now());
        lock(&self.0).as_ref().map(|failure| failure.reason.clone())
    }

    /// Ends a failure that has not come back for [`SETTLED`].
    fn settle(&self, now: Instant) {
        let is_over = |failure: &mut Failure| {
            failure.stored.is_some_and(|stored| now.duration_since(stored) >= SETTLED)
        };
        if let Some(failure) = lock(&self.0).take_if(is_over) {
            let seconds = now.duration_since(failure.since).as_secs();
            tracing::info!("the database takes writes again, after {seconds} s");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_by_label_and_labels_are_bounded() {
        let family = Family::new("x_total", "reason", "Things");
        family.count("a \"b\"\\\n");
        (0..200).for_each(|number| family.count(&format!("label {number}")));
        family.count("a \"b\"\\\n");
        let mut text = String::new();
        family.write(&mut text);
        assert!(text.starts_with("# HELP x_total Things.\n# TYPE x_total counter\n"));
        assert!(text.contains("x_total{reason=\"a \\\"b\\\"\\\\\\n\"} 2\n"), "{text}");
        assert!(text.contains("x_total{reason=\"other\"} 137\n"), "{text}");
        assert_eq!(text.lines().count(), 2 + MAX_LABELS + 1);
    }

    #[test]
    fn a_failure_lasts_until_writes_are_stored_for_some_time() {
        let health = Health::new();
        health.works();
        assert_eq!(health.failure(), None);
        health.failed(&"disk full");
        health.failed(&"disk still full");
        assert_eq!(health.failure().as_deref(), Some("disk still full"));
        let start = Instant::now();
        health.works();
        assert_eq!(health.failure().as_deref(), Some("disk still full"));
        health.failed(&"disk full again");
        health.settle(start + 2 * SETTLED);
        assert_eq!(health.failure().as_deref(), Some("disk full again"));
        health.works();
        health.settle(Instant::now() + SETTLED);
        assert_eq!(health.failure(), None);
    }
}
