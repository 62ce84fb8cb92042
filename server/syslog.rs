//! Syslog messages of booting hosts, by UDP (RFC 5426): each becomes an event of its host.
//!
//! It is not a log server: a host is listened to while it boots, and for [`AFTER_UP_MS`] after that.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use syslog_loose::{ProcId, SyslogSeverity as Level, Variant};
use tokio::net::UdpSocket;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::address_owner::host_at;
use crate::app::App;
use crate::inventory::now_ms;
use crate::lifecycle::event::{SyslogMessage, SyslogSeverity};
use crate::lifecycle::{EventData, HostState, HostStatus};
use crate::metrics::SYSLOG_MESSAGES;

/// The longest datagram that is read: what every receiver should accept (RFC 5424 section 6.1).
const LONGEST: usize = 2048;
/// The most of a message's text that is kept, in bytes.
const TEXT: usize = 1024;
/// The longest name of a program (APP-NAME, RFC 5424 section 6).
const PROGRAM: usize = 48;
/// How long messages are taken of a host that has reported itself up, in milliseconds.
const AFTER_UP_MS: i64 = 10 * 60 * 1000;
/// How many messages are looked at in a second: whose they are takes a look at every host, and
/// anybody can send.
const MOST_A_SECOND: u32 = 1000;
/// How many of one address, so that one sender leaves something to the others.
const MOST_OF_ONE: u32 = 200;
/// How long the socket rests after an error.
const REST: Duration = Duration::from_millis(100);

/// Takes messages until `stop`.
pub(crate) async fn run(
    app: App,
    socket: UdpSocket,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let mut datagram = [0; LONGEST];
    let mut allowance = Allowance::new(Instant::now());
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            received = socket.recv_from(&mut datagram) => received,
        };
        match received {
            Ok((_, from)) if !allowance.takes(from.ip(), Instant::now()) => {
                SYSLOG_MESSAGES.count("too-many");
            }
            Ok((length, from)) => SYSLOG_MESSAGES.count(take(&app, &datagram[..length], from)),
            Err(error) => {
                tracing::debug!(%error, "syslog");
                sleep(REST).await;
            }
        }
    }
}

/// What may still be looked at in this second. Pure.
struct Allowance {
    since: Instant,
    total: u32,
    /// By address; no more than [`MOST_A_SECOND`] have an entry.
    senders: HashMap<IpAddr, u32>,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { since: now, total: 0, senders: HashMap::new() }
    }

    /// Whether a message of this address is looked at now; counts it if so.
    fn takes(&mut self, from: IpAddr, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.total) = (now, 0);
            self.senders.clear();
        }
        if self.total >= MOST_A_SECOND {
            return false;
        }
        let of_sender = self.senders.entry(from).or_default();
        if *of_sender >= MOST_OF_ONE {
            return false;
        }
        *of_sender += 1;
        self.total += 1;
        true
    }
}

/// Records a message; gives what became of it.
fn take(app: &App, datagram: &[u8], from: SocketAddr) -> &'static str {
    let from = from.ip().to_canonical();
    let snapshot = app.inventory.snapshot();
    let Some((name, _)) = host_at(app, &snapshot, from) else { return "unknown-host" };
    let now_ms = now_ms();
    let status = app.inventory.states.find(name, now_ms);
    if !status.is_some_and(|status| is_booting(&status, now_ms)) {
        return "host-is-up";
    }
    let Some(message) = parse(datagram, from) else { return "empty" };
    let mac = app.inventory.states.mac_of(name);
    app.inventory.events.record(Some(name), mac, EventData::Syslog(message));
    "recorded"
}

/// Whether a host boots, or has just done so.
fn is_booting(status: &HostStatus, now_ms: i64) -> bool {
    status.state != HostState::Up || now_ms - status.since_ms < AFTER_UP_MS
}

/// Reads a message of either format; none if it has no text.
fn parse(datagram: &[u8], from: IpAddr) -> Option<SyslogMessage> {
    let text = String::from_utf8_lossy(datagram);
    let mut message = syslog_loose::parse_message(&text, Variant::Either);
    if let (None, Some(short)) = (message.severity, without_time(&text)) {
        message.severity = Some(short.level);
        message.appname = short.program;
        message.msg = short.text;
    }
    // Not the message's own time: the clock of a booting host is often wrong.
    let text = shortened(message.msg.trim_start_matches('\u{feff}'), TEXT);
    let program = message.appname.or(match &message.procid {
        Some(ProcId::Name(name)) => Some(*name),
        Some(ProcId::PID(_)) | None => None,
    });
    Some(SyslogMessage {
        from,
        severity: severity(message.severity),
        program: program.map(|name| shortened(name, PROGRAM)).filter(|name| !name.is_empty()),
        text,
    })
    .filter(|message| !message.text.is_empty())
}

/// A priority and a text, as iPXE and small systems without a clock send it.
struct Short<'a> {
    level: Level,
    program: Option<&'a str>,
    text: &'a str,
}

/// Reads a message without a time: `<30>ipxe: net0: link up`.
fn without_time(message: &str) -> Option<Short<'_>> {
    let (priority, text) = message.strip_prefix('<')?.split_once('>')?;
    let priority: u8 = priority.parse().ok()?;
    let (Some(_), Some(level)) = syslog_loose::decompose_pri(priority) else { return None };
    let is_name = |name: &&str| !name.is_empty() && !name.contains(char::is_whitespace);
    match text.split_once(": ").filter(|(name, _)| is_name(name)) {
        Some((program, text)) => Some(Short { level, program: Some(program), text }),
        None => Some(Short { level, program: None, text }),
    }
}

/// The severity; a message without one is a notice (RFC 3164 section 4.3.3).
fn severity(level: Option<Level>) -> SyslogSeverity {
    match level {
        Some(Level::SEV_EMERG) => SyslogSeverity::Emergency,
        Some(Level::SEV_ALERT) => SyslogSeverity::Alert,
        Some(Level::SEV_CRIT) => SyslogSeverity::Critical,
        Some(Level::SEV_ERR) => SyslogSeverity::Error,
        Some(Level::SEV_WARNING) => SyslogSeverity::Warning,
        Some(Level::SEV_NOTICE) | None => SyslogSeverity::Notice,
        Some(Level::SEV_INFO) => SyslogSeverity::Informational,
        Some(Level::SEV_DEBUG) => SyslogSeverity::Debug,
    }
}

/// A text of at most `most` bytes in one line.
fn shortened(text: &str, most: usize) -> String {
    let text = text.trim();
    let end = text.floor_char_boundary(most);
    text[..end].replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 5));

    #[test]
    fn a_sender_that_floods_leaves_the_others_their_part() {
        let begin = Instant::now();
        let mut allowance = Allowance::new(begin);
        let at = |last| IpAddr::V4(Ipv4Addr::new(10, 77, 0, last));
        let mut taken = |from, now| (0..5000).filter(|_| allowance.takes(from, now)).count();
        assert_eq!(taken(at(1), begin), 200);
        assert_eq!(taken(at(2), begin), 200);
        let rest: usize = (3..=254).map(|last| taken(at(last), begin)).sum();
        assert_eq!(rest, 600);
        assert_eq!(taken(at(1), begin + Duration::from_millis(999)), 0);
        assert_eq!(taken(at(1), begin + Duration::from_secs(1)), 200);
        assert!(allowance.senders.len() <= MOST_A_SECOND as usize);
    }

    fn read(datagram: &[u8]) -> Option<(SyslogSeverity, Option<String>, String)> {
        let message = parse(datagram, FROM)?;
        Some((message.severity, message.program, message.text))
    }

    #[test]
    fn messages_are_read_as_programs_write_them() {
        use SyslogSeverity as S;
        let cases: [(&[u8], S, Option<&str>, &str); 9] = [
            // systemd-journal-remote, rsyslog with RFC 5424.
            (
                b"<11>1 2026-11-29T10:00:00Z n1 sshd 811 ID47 - error: no key",
                S::Error,
                Some("sshd"),
                "error: no key",
            ),
            (
                b"<14>1 2026-11-29T10:00:00.123456+01:00 n1 app - - [x@1 a=\"b\"] \xef\xbb\xbfhello",
                S::Informational,
                Some("app"),
                "hello",
            ),
            // rsyslog and busybox's syslogd with RFC 3164.
            (
                b"<3>Nov 29 10:00:00 n1 kernel: EXT4-fs error (device sda2)",
                S::Error,
                Some("kernel"),
                "EXT4-fs error (device sda2)",
            ),
            (
                b"<30>Nov 29 10:00:00 n1 systemd[1]: Started sshd.service.\n",
                S::Informational,
                Some("systemd"),
                "Started sshd.service.",
            ),
            // iPXE's syslog console.
            (b"<30>ipxe: net0: link up", S::Informational, Some("ipxe"), "net0: link up"),
            // A line without a priority, and bytes that are not text.
            (b"just a line", S::Notice, None, "just a line"),
            (b"<13>Nov 29 10:00:00 n1 x: a\tb\x07c", S::Notice, Some("x"), "a b c"),
            (b"<13>Nov 29 10:00:00 n1 x: \xff\xfe", S::Notice, Some("x"), "\u{fffd}\u{fffd}"),
            (b"<999>x", S::Notice, None, "<999>x"),
        ];
        for (datagram, severity, program, text) in cases {
            let expected = (severity, program.map(str::to_owned), text.to_owned());
            let name = String::from_utf8_lossy(datagram);
            assert_eq!(read(datagram), Some(expected), "{name}");
        }
        assert_eq!((read(b""), read(b"\n")), (None, None));
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        let long = format!("<13>Nov 29 10:00:00 n1 x: {}", "\u{e9}".repeat(5000));
        let (_, _, text) = read(long.as_bytes()).unwrap();
        assert_eq!(text.len(), TEXT);
        let name = "p".repeat(500);
        let (_, program, _) = read(format!("<13>1 - - {name} - - - x").as_bytes()).unwrap();
        assert_eq!(program.map(|name| name.len()), Some(PROGRAM));
    }

    #[test]
    fn a_host_is_heard_while_it_boots_and_for_a_while_after_that() {
        let status = |state, since_ms| HostStatus {
            state,
            since_ms,
            stage: None,
            cause: None,
            reason: String::new(),
            armed_until_ms: None,
            armed_until: None,
        };
        let now = 10_000_000;
        let cases = [
            (HostState::Booting, 0, true),
            (HostState::Stuck, 0, true),
            (HostState::Failed, 0, true),
            (HostState::Up, now - AFTER_UP_MS + 1, true),
            (HostState::Up, now - AFTER_UP_MS, false),
        ];
        for (state, since_ms, expected) in cases {
            assert_eq!(is_booting(&status(state, since_ms), now), expected, "{state:?}");
        }
    }
}
