//! How many events are recorded: a client that repeats itself costs a few events and then a count.
//! Pure.

use std::collections::HashMap;
use std::net::IpAddr;

use super::event::Warning;
use super::{Event, EventData, EventKind};

/// On whose account an event is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Account {
    /// A host of the inventory.
    Host(String),
    /// A client by its address, which it cannot forge where it speaks TCP.
    Client(IpAddr),
    /// All clients that nobody knows.
    Strangers,
}

/// How many may come at once, and how soon one more may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allowance {
    burst: i64,
    every_ms: i64,
}

impl Account {
    /// Whose account an event is on.
    fn of(event: &Event) -> Self {
        match (&event.data, &event.host) {
            // It is about a host; it was a stranger who asked.
            (EventData::Warning(Warning::ConfigRefused { to, .. }), _) => Self::Client(*to),
            (_, Some(host)) => Self::Host(host.clone()),
            (EventData::Script(script), None) => Self::Client(script.to),
            (data, None) => match data {
                EventData::Nbp(sent)
                | EventData::Kernel(sent)
                | EventData::Initrd(sent)
                | EventData::Config(sent)
                | EventData::File(sent) => Self::Client(sent.to),
                _ => Self::Strangers,
            },
        }
    }

    /// What is recorded of one kind of event.
    fn allowance(&self, kind: EventKind) -> Allowance {
        match self {
            // A kernel that is asked to be quiet writes some dozen lines.
            Self::Host(_) if kind == EventKind::Syslog => Allowance { burst: 150, every_ms: 5000 },
            // A boot has some dozen events; a Raspberry Pi asks TFTP for thirty files.
            Self::Host(_) => Allowance { burst: 200, every_ms: 2000 },
            Self::Client(_) => Allowance { burst: 20, every_ms: 10_000 },
            // A rack of new hosts is powered on.
            Self::Strangers => Allowance { burst: 400, every_ms: 50 },
        }
    }
}

#[derive(Clone, Debug)]
struct Bucket {
    /// What is left, in milliseconds of the allowance's pace.
    left_ms: i64,
    at_ms: i64,
    left_out: u64,
    since_ms: i64,
}

/// How many clients that are not hosts are told apart; the others are strangers together.
const MOST_ACCOUNTS: usize = 20_000;
/// How often what was left out is told.
const TOLD_EVERY_MS: i64 = 60_000;

/// What was recorded lately, by account and kind of event.
#[derive(Debug, Default)]
pub struct EventBudget {
    buckets: HashMap<(Account, EventKind), Bucket>,
}

impl EventBudget {
    /// Whether an event is recorded. One that is not is counted.
    pub fn takes(&mut self, event: &Event) -> bool {
        // What says how many were left out is never left out itself.
        if matches!(event.data, EventData::Warning(Warning::LeftOut { .. })) {
            return true;
        }
        let account = Account::of(event);
        let is_client = matches!(account, Account::Client(_));
        let (kind, at_ms) = (event.kind(), event.at_ms);
        self.takes_on(account, kind, at_ms)
            && (!is_client || self.takes_on(Account::Strangers, kind, at_ms))
    }

    /// Whether a failed request of a client is logged. One that is not is counted.
    pub fn takes_failure(&mut self, from: IpAddr, now_ms: i64) -> bool {
        self.takes_on(Account::Client(from), EventKind::Error, now_ms)
            && self.takes_on(Account::Strangers, EventKind::Error, now_ms)
    }

    fn takes_on(&mut self, account: Account, kind: EventKind, now_ms: i64) -> bool {
        let key = (account, kind);
        // Hosts are as many as the inventory has; addresses are without number.
        let is_full = matches!(key.0, Account::Client(_))
            && self.buckets.len() >= MOST_ACCOUNTS
            && !self.buckets.contains_key(&key);
        let key = if is_full { (Account::Strangers, key.1) } else { key };
        let Allowance { burst, every_ms } = key.0.allowance(kind);
        let full_ms = burst * every_ms;
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            left_ms: full_ms,
            at_ms: now_ms,
            left_out: 0,
            since_ms: now_ms,
        });
        let passed_ms = now_ms.saturating_sub(bucket.at_ms).max(0);
        bucket.left_ms = full_ms.min(bucket.left_ms.saturating_add(passed_ms));
        bucket.at_ms = now_ms;
        if bucket.left_ms >= every_ms {
            bucket.left_ms -= every_ms;
            return true;
        }
        if bucket.left_out == 0 {
            bucket.since_ms = now_ms;
        }
        bucket.left_out += 1;
        false
    }

    /// The events that tell at `now_ms` (Unix milliseconds) how many were left out. Accounts that
    /// have been quiet are forgotten.
    pub fn tell(&mut self, now_ms: i64) -> Vec<Event> {
        let mut told = Vec::new();
        self.buckets.retain(|(account, kind), bucket| {
            if bucket.left_out > 0 && now_ms - bucket.since_ms >= TOLD_EVERY_MS {
                let (host, from) = match account {
                    Account::Host(host) => (Some(host.clone()), None),
                    Account::Client(address) => (None, Some(*address)),
                    Account::Strangers => (None, None),
                };
                let warning = Warning::LeftOut {
                    of: *kind,
                    times: bucket.left_out,
                    seconds: (now_ms - bucket.since_ms).unsigned_abs() / 1000,
                    from,
                };
                let data = EventData::Warning(warning);
                told.push(Event { at_ms: now_ms, host, mac: None, data });
                bucket.left_out = 0;
            }
            let Allowance { burst, every_ms } = account.allowance(*kind);
            let is_full = bucket.left_ms + (now_ms - bucket.at_ms) >= burst * every_ms;
            bucket.left_out > 0 || !is_full
        });
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::samples;

    fn event(host: Option<&str>, kind: EventKind, at_ms: i64) -> Event {
        Event { at_ms, host: host.map(str::to_owned), mac: None, data: samples::data(kind) }
    }

    #[test]
    fn a_flood_is_recorded_in_part_and_counted() {
        let cases = [
            // A host with a known MAC, 6,000 DISCOVERs a second for ten seconds.
            (Some("n1"), EventKind::Discover, 200, 210),
            // A client that fetches over and over by HTTP.
            (None, EventKind::Script, 20, 22),
            // Clients with forged MACs.
            (None, EventKind::Discover, 400, 610),
        ];
        for (host, kind, least, most) in cases {
            let mut budget = EventBudget::default();
            let flood = (0..60_000).map(|n| event(host, kind, n / 6));
            let recorded = flood.filter(|event| budget.takes(event)).count();
            assert!((least..=most).contains(&recorded), "{host:?} {kind}: {recorded}");
            assert_eq!(budget.tell(20_000), [], "not yet");
            let told = budget.tell(70_000);
            let left_out: u64 = told
                .iter()
                .map(|event| match &event.data {
                    EventData::Warning(Warning::LeftOut { of, times, .. }) if *of == kind => *times,
                    other => panic!("{other}"),
                })
                .sum();
            assert_eq!(left_out as usize, 60_000 - recorded, "{host:?} {kind}");
            assert_eq!(told[0].host.as_deref(), host);
            assert_eq!(budget.tell(200_000), [], "told once");
        }
    }

    #[test]
    fn a_flood_of_one_costs_others_and_other_kinds_nothing() {
        let mut budget = EventBudget::default();
        for n in 0..10_000 {
            budget.takes(&event(Some("n1"), EventKind::Discover, n / 10));
        }
        assert!(budget.takes(&event(Some("n1"), EventKind::Report, 1000)));
        assert!(budget.takes(&event(Some("n2"), EventKind::Discover, 1000)));
    }

    #[test]
    fn a_rack_that_boots_is_recorded_as_a_whole() {
        let mut budget = EventBudget::default();
        for boot in 0..10 {
            for kind in EventKind::ALL.iter().filter(|kind| **kind != EventKind::Warning) {
                for n in 0..10 {
                    let event = event(Some("n1"), *kind, boot * 60_000 + n);
                    assert!(budget.takes(&event), "{kind} {boot} {n}");
                }
            }
        }
    }

    #[test]
    fn four_thousand_hosts_that_boot_at_once_are_recorded_as_a_whole() {
        let mut budget = EventBudget::default();
        for host in 0..4000 {
            let name = format!("n{host}");
            for kind in EventKind::ALL.iter().filter(|kind| **kind != EventKind::Warning) {
                assert!(budget.takes(&event(Some(&name), *kind, 7)), "{name} {kind}");
            }
        }
    }

    #[test]
    fn addresses_without_number_are_bounded() {
        let mut budget = EventBudget::default();
        for n in 0..100_000_u128 {
            let to = IpAddr::V6((n << 64).into());
            let mut event = event(None, EventKind::Kernel, (n / 1000) as i64);
            event.data = EventData::Kernel(crate::lifecycle::event::Sent {
                to,
                file: "x".into(),
                bytes: 1,
                milliseconds: None,
            });
            budget.takes(&event);
        }
        assert!(budget.buckets.len() <= MOST_ACCOUNTS + 1);
    }
}
