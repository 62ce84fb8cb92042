//! Counters since startup, and the health of the database, for `/metrics` and `/readyz`.
//! They are global, because a process runs one server.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most label values in a family; further ones are counted as `other`.
const MAX_LABELS: usize = 64;

/// Well-formed DHCP messages of clients, by type.
pub(crate) static DHCP_MESSAGES: Family = Family::new(
    "rackstrap_dhcp_messages_total",
    "type",
    "Well-formed DHCP messages received, by type",
);
/// DHCP replies, by type.
pub(crate) static DHCP_ANSWERS: Family =
    Family::new("rackstrap_dhcp_answers_total", "type", "DHCP replies sent, by type");
/// Leases to store before their reply, by outcome.
pub(crate) static LEASE_COMMITS: Family = Family::new(
    "rackstrap_lease_commits_total",
    "outcome",
    "Leases to store before their reply, by outcome",
);
/// DHCP packets without a reply, by reason.
pub(crate) static DHCP_UNANSWERED: Family = Family::new(
    "rackstrap_dhcp_unanswered_total",
    "reason",
    "DHCP packets not answered, by reason",
);
/// Finished TFTP transfers, by how they ended.
pub(crate) static TFTP_TRANSFERS: Family = Family::new(
    "rackstrap_tftp_transfers_total",
    "ending",
    "Finished TFTP transfers, by how they ended",
);
/// Refused TFTP requests, by error code.
pub(crate) static TFTP_REFUSED: Family =
    Family::new("rackstrap_tftp_refused_total", "error", "Refused TFTP requests, by error code");
/// Bytes that TFTP clients acknowledged, by how their transfer ended.
pub(crate) static TFTP_BYTES: Family = Family::new(
    "rackstrap_tftp_bytes_total",
    "ending",
    "Bytes acknowledged by TFTP clients, by how the transfer ended",
);
/// When the certificate of the web UI expires, in Unix seconds; 0 without one.
pub(crate) static CERTIFICATE_EXPIRY: AtomicI64 = AtomicI64::new(0);
/// When the certificate of HTTPS for hosts expires, in Unix seconds; 0 without one.
pub(crate) static MACHINE_CERTIFICATE_EXPIRY: AtomicI64 = AtomicI64::new(0);
/// Running TFTP transfers.
pub(crate) static TFTP_RUNNING: AtomicU64 = AtomicU64::new(0);
/// HTTP responses to hosts, by status.
pub(crate) static HTTP_ANSWERS: Family =
    Family::new("rackstrap_http_answers_total", "status", "HTTP responses to hosts, by status");
/// Events, by kind.
pub(crate) static EVENTS: Family =
    Family::new("rackstrap_events_total", "kind", "Events recorded, by kind");
/// Events that the database did not take, by kind.
pub(crate) static EVENTS_SET_ASIDE: Family = Family::new(
    "rackstrap_events_set_aside_total",
    "kind",
    "Events that the database cannot store, by kind",
);
/// Syslog messages, by what became of them.
pub(crate) static SYSLOG_MESSAGES: Family = Family::new(
    "rackstrap_syslog_messages_total",
    "outcome",
    "Syslog messages received, by what became of them",
);
/// Messages of webhooks, by outcome.
pub(crate) static WEBHOOK_MESSAGES: Family = Family::new(
    "rackstrap_webhook_messages_total",
    "outcome",
    "Attempts to send a webhook message, by outcome",
);
/// Dynamic updates of DNS, by outcome.
pub(crate) static DNS_UPDATES: Family = Family::new(
    "rackstrap_dns_updates_total",
    "outcome",
    "Dynamic updates of DNS zones, by outcome",
);
/// How long commits of leases take, which their ACKs wait for.
pub(crate) static LEASE_COMMIT_TIME: Histogram =
    Histogram::new("rackstrap_lease_commit_seconds", "Time of a commit of leases");
/// How long hosts wait for the head of an HTTP response.
pub(crate) static HTTP_TIME: Histogram = Histogram::new(
    "rackstrap_http_answer_seconds",
    "Time until the head of an HTTP response to a host",
);
/// Whether the database is writable.
pub(crate) static DATABASE: Health = Health::new();

const FAMILIES: &[&Family] = &[
    &DHCP_MESSAGES,
    &DHCP_ANSWERS,
    &DHCP_UNANSWERED,
    &LEASE_COMMITS,
    &TFTP_TRANSFERS,
    &TFTP_BYTES,
    &TFTP_REFUSED,
    &HTTP_ANSWERS,
    &EVENTS,
    &EVENTS_SET_ASIDE,
    &SYSLOG_MESSAGES,
    &WEBHOOK_MESSAGES,
    &DNS_UPDATES,
];

const HISTOGRAMS: &[&Histogram] = &[&LEASE_COMMIT_TIME, &HTTP_TIME];

/// The upper ends of the buckets of a histogram: microseconds, and the same in seconds.
const BUCKETS: [(u64, &str); 11] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

/// How often something took how long.
#[derive(Debug)]
pub(crate) struct Histogram {
    name: &'static str,
    help: &'static str,
    /// Those above the last end are in the count alone.
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    microseconds: AtomicU64,
}

impl Histogram {
    const fn new(name: &'static str, help: &'static str) -> Self {
        let buckets = [const { AtomicU64::new(0) }; BUCKETS.len()];
        Self { name, help, buckets, count: AtomicU64::new(0), microseconds: AtomicU64::new(0) }
    }

    /// Counts something that took this long.
    pub(crate) fn observe(&self, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKETS.iter().position(|(end, _)| microseconds <= *end) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, text: &mut String) {
        let Self { name, help, buckets, count, microseconds } = self;
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} histogram");
        // Read first: what is counted meanwhile must not make a bucket larger than all.
        let below: Vec<u64> = buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let mut sum = 0;
        for ((_, end), counted) in BUCKETS.iter().zip(&below) {
            sum += counted;
            let _ = writeln!(text, "{name}_bucket{{le=\"{end}\"}} {sum}");
        }
        let count = count.load(Ordering::Relaxed).max(sum);
        let seconds = seconds(Duration::from_micros(microseconds.load(Ordering::Relaxed)));
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum {seconds}\n{name}_count {count}");
    }
}

/// A duration as a decimal number of seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}

/// Counters with one name and one label.
#[derive(Debug)]
pub(crate) struct Family {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Family {
    const fn new(name: &'static str, label: &'static str, help: &'static str) -> Self {
        Self { name, label, help, counts: Mutex::new(BTreeMap::new()) }
    }

    /// Adds 1 to the counter of a label value: one of a fixed set, never a client's word.
    pub(crate) fn count(&self, label: &'static str) {
        self.add(label, 1);
    }

    /// Adds `amount` to the counter of a label value.
    pub(crate) fn add(&self, label: &'static str, amount: u64) {
        let mut counts = lock(&self.counts);
        let is_known = counts.len() < MAX_LABELS || counts.contains_key(label);
        *counts.entry(if is_known { label } else { "other" }).or_default() += amount;
    }

    fn write(&self, text: &mut String) {
        let Self { name, label, help, counts } = self;
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} counter");
        for (value, count) in lock(counts).iter() {
            let _ = writeln!(text, "{name}{{{label}=\"{}\"}} {count}", escaped(value));
        }
    }
}

/// All counters in the Prometheus text format (version 0.0.4).
pub(crate) fn counters() -> String {
    let mut text = String::new();
    FAMILIES.iter().for_each(|family| family.write(&mut text));
    HISTOGRAMS.iter().for_each(|histogram| histogram.write(&mut text));
    text
}

/// The number of running TFTP transfers.
pub(crate) fn running_transfers() -> u64 {
    TFTP_RUNNING.load(Ordering::Relaxed)
}

/// Appends a gauge in the Prometheus text format. Each value has its labels, as `{name="value"}`,
/// or an empty text.
pub(crate) fn gauge<T: Display>(text: &mut String, name: &str, help: &str, values: &[(String, T)]) {
    write_all(text, name, help, "gauge", values);
}

/// Appends a counter that is kept elsewhere.
pub(crate) fn counter<T: Display>(text: &mut String, name: &str, help: &str, value: T) {
    write_all(text, name, help, "counter", &[(String::new(), value)]);
}

fn write_all<T: Display>(
    text: &mut String,
    name: &str,
    help: &str,
    kind: &str,
    values: &[(String, T)],
) {
    let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// A label value with the escapes of the text format.
pub(crate) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// How long all writes must succeed before a failure is over: on a nearly full disk, a small
/// write succeeds between two that fail.
const SETTLED: Duration = Duration::from_secs(2);

/// Whether the database is writable. Logs the beginning and the end of a failure once.
#[derive(Debug)]
pub(crate) struct Health {
    failure: Mutex<Option<Failure>>,
    /// Whether the database server did not answer when it was last asked.
    unreachable: AtomicBool,
}

#[derive(Debug)]
struct Failure {
    since: Instant,
    reason: String,
    /// When the first write since the last failure succeeded.
    stored: Option<Instant>,
}

impl Health {
    const fn new() -> Self {
        Self { failure: Mutex::new(None), unreachable: AtomicBool::new(false) }
    }

    /// Notes that a write failed.
    pub(crate) fn failed(&self, reason: &impl ToString) {
        let mut failure = lock(&self.failure);
        let reason = reason.to_string();
        if failure.is_none() {
            tracing::error!(
                "cannot write to the database: {reason}; existing leases are renewed from memory, new \
                 clients get no address until writes succeed"
            );
        }
        let since = failure.as_ref().map_or_else(Instant::now, |before| before.since);
        *failure = Some(Failure { since, reason, stored: None });
    }

    /// Notes that a write succeeded.
    pub(crate) fn works(&self) {
        let now = Instant::now();
        if let Some(failure) = lock(&self.failure).as_mut() {
            failure.stored.get_or_insert(now);
        }
        self.settle(now);
    }

    /// Notes whether the database server answered: `failure` says why not. That it answers says
    /// nothing about writes, unless it did not before.
    pub(crate) fn reached(&self, failure: Option<&str>) {
        match failure {
            Some(reason) => {
                self.unreachable.store(true, Ordering::Relaxed);
                self.failed(&reason);
            }
            None if self.unreachable.swap(false, Ordering::Relaxed) => self.works(),
            None => {}
        }
    }

    /// Whether the database server did not answer when it was last asked: writing would only
    /// make a client wait.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Relaxed)
    }

    /// Why the last write failed, or `None` if the database is writable.
    pub(crate) fn failure(&self) -> Option<String> {
        self.settle(Instant::now());
        lock(&self.failure).as_ref().map(|failure| failure.reason.clone())
    }

    /// Ends a failure if no write has failed for [`SETTLED`].
    fn settle(&self, now: Instant) {
        let is_over = |failure: &mut Failure| {
            failure.stored.is_some_and(|stored| now.duration_since(stored) >= SETTLED)
        };
        if let Some(failure) = lock(&self.failure).take_if(is_over) {
            let seconds = now.duration_since(failure.since).as_secs();
            tracing::info!("database is writable again after {seconds} s");
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
        (0..200).for_each(|number| family.count(format!("label {number}").leak()));
        family.count("a \"b\"\\\n");
        let mut text = String::new();
        family.write(&mut text);
        assert!(text.starts_with("# HELP x_total Things.\n# TYPE x_total counter\n"));
        assert!(text.contains("x_total{reason=\"a \\\"b\\\"\\\\\\n\"} 2\n"), "{text}");
        assert!(text.contains("x_total{reason=\"other\"} 137\n"), "{text}");
        assert_eq!(text.lines().count(), 2 + MAX_LABELS + 1);
    }

    #[test]
    fn a_histogram_counts_what_is_below_each_end() {
        let histogram = Histogram::new("x_seconds", "Time");
        for microseconds in [400, 500, 501, 60_000, 9_000_000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let mut text = String::new();
        histogram.write(&mut text);
        for line in [
            "# TYPE x_seconds histogram",
            "x_seconds_bucket{le=\"0.0005\"} 2",
            "x_seconds_bucket{le=\"0.001\"} 3",
            "x_seconds_bucket{le=\"0.05\"} 3",
            "x_seconds_bucket{le=\"0.1\"} 4",
            "x_seconds_bucket{le=\"5\"} 4",
            "x_seconds_bucket{le=\"+Inf\"} 5",
            "x_seconds_sum 9.061401",
            "x_seconds_count 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
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
