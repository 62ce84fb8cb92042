//! `/healthz`, `/readyz` and `/metrics`, for supervisors and monitoring, without a login.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::headers::authorization::Bearer;
use axum_extra::headers::{Authorization, HeaderMapExt};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{SysconfVar, sysconf};
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::inventory::{Error, RollOut};
use crate::lifecycle::EventKind;
use crate::metrics::{self, counter, counters, escaped, gauge};

/// `GET /healthz`: 200 while the process runs.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 if the database is writable, else 503 with the reason.
pub async fn ready() -> Response {
    match metrics::DATABASE.failure() {
        None => "ready\n".into_response(),
        Some(reason) => {
            let text = format!("cannot write to the database: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// How long `/metrics` waits for the database.
const PATIENCE: Duration = Duration::from_secs(1);

/// `GET /metrics`: counters and gauges in the Prometheus text format. No names of hosts, because
/// it needs no login, and a token only if the configuration has one.
pub async fn metrics(State(app): State<App>, headers: HeaderMap) -> Response {
    let wanted = app.config.now().metrics_token.clone();
    let shown = headers.typed_get::<Authorization<Bearer>>();
    let shown = shown.as_ref().map_or("", Authorization::token);
    if !wanted.is_empty() && !bool::from(wanted.as_bytes().ct_eq(shown.as_bytes())) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        let text = "/metrics needs the metrics_token of the configuration as a bearer token\n";
        return (StatusCode::UNAUTHORIZED, challenge, text).into_response();
    }
    let mut text = in_memory(&app);
    database(&app, &mut text).await;
    process(&mut text);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// What the process knows without asking anybody.
fn in_memory(app: &App) -> String {
    // A counter that appears with its first event is an increase of nothing to Prometheus.
    EventKind::ALL.iter().for_each(|kind| metrics::EVENTS.add(kind.label(), 0));
    let mut text = counters();
    let one = |value: u64| [(String::new(), value)];
    let ready = u64::from(metrics::DATABASE.failure().is_none());
    gauge(&mut text, "rackstrap_ready", "1 if the database is writable", &one(ready));
    let snapshot = app.inventory.snapshot();
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let states = app.inventory.states.count(now_ms);
    let labels = |(state, count)| (format!("{{state=\"{state}\"}}"), count);
    let hosts: Vec<_> = states.into_iter().map(labels).collect();
    gauge(&mut text, "rackstrap_hosts", "Hosts in the inventory by state", &hosts);
    let mut boots: BTreeMap<_, u64> = BTreeMap::new();
    for status in app.inventory.states.list(now_ms).into_values() {
        if let Some(stage) = status.stage {
            *boots.entry((stage.word(), status.state.label())).or_default() += 1;
        }
    }
    let labels =
        |((stage, state), count)| (format!("{{stage=\"{stage}\",state=\"{state}\"}}"), count);
    let boots: Vec<(String, u64)> = boots.into_iter().map(labels).collect();
    let help = "Hosts by the last stage of their latest boot and by state";
    gauge(&mut text, "rackstrap_boots", help, &boots);
    let (mut pools, mut levels) = (Vec::new(), Vec::new());
    let now = jiff::Timestamp::now().as_second();
    let table = app.leases.at(snapshot.revision, &snapshot.site, now);
    for (name, subnet) in &snapshot.site.subnets {
        let ipnet::IpNet::V4(net) = subnet.cidr else { continue };
        let (all, free) = table.count(net.trunc());
        let level = table.usage(net.trunc()).level();
        levels.push((format!("{{subnet=\"{}\"}}", escaped(name)), level as u64));
        let labels = |state: &str| format!("{{subnet=\"{}\",state=\"{state}\"}}", escaped(name));
        pools.extend([(labels("all"), all), (labels("free"), free)]);
    }
    let live = table.count_live();
    let leases = live.into_iter().map(|((subnet, state), count)| {
        let labels = format!("{{subnet=\"{}\",state=\"{}\"}}", escaped(subnet), state.label());
        (labels, count)
    });
    let leases: Vec<_> = leases.collect();
    drop(table);
    gauge(&mut text, "rackstrap_pool_addresses", "Dynamic addresses of a subnet", &pools);
    let help = "Fill level of the dhcp ranges of a subnet: 0 enough, 1 running low, 2 exhausted";
    gauge(&mut text, "rackstrap_pool_level", help, &levels);
    gauge(&mut text, "rackstrap_leases", "Leases by subnet and state", &leases);
    let running = one(metrics::running_transfers());
    gauge(&mut text, "rackstrap_tftp_transfers_running", "Running TFTP transfers", &running);
    let expiries = [
        (
            &metrics::CERTIFICATE_EXPIRY,
            "rackstrap_certificate_expiry_timestamp_seconds",
            "When the certificate of the web UI expires (Unix seconds)",
        ),
        (
            &metrics::MACHINE_CERTIFICATE_EXPIRY,
            "rackstrap_machine_certificate_expiry_timestamp_seconds",
            "When the certificate of HTTPS for hosts expires (Unix seconds)",
        ),
    ];
    for (expiry, name, help) in expiries {
        let expiry = expiry.load(Ordering::Relaxed);
        if expiry != 0 {
            gauge(&mut text, name, help, &[(String::new(), expiry.unsigned_abs())]);
        }
    }
    let version = [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1)];
    gauge(&mut text, "rackstrap_build_info", "Version of the server", &version);
    text
}

/// What the database answers within [`PATIENCE`], and how soon.
async fn database(app: &App, text: &mut String) {
    let begin = Instant::now();
    let database = &app.inventory.database;
    let asked = async {
        let backup_ms = database.last_backup().await?;
        Ok::<_, Error>((backup_ms, begin.elapsed(), database.last_roll_out().await?))
    };
    // One patience for both: whoever scrapes waits no longer than that.
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    let Ok(Ok((backup_ms, elapsed, last))) = asked else { return };
    roll_out(last.as_ref(), text);
    let took = [(String::new(), metrics::seconds(elapsed))];
    let help = "Time of a query of the database, just now";
    gauge(text, "rackstrap_database_answer_seconds", help, &took);
    let at = [(String::new(), backup_ms.unwrap_or(0) / 1000)];
    let help = "When the last backup was made (Unix seconds), 0 for never";
    gauge(text, "rackstrap_backup_timestamp_seconds", help, &at);
}

/// Whether a roll-out is open, and waits for somebody.
fn roll_out(last: Option<&RollOut>, text: &mut String) {
    let is_in = |state: &str| last.is_some_and(|last| last.state.label() == state);
    let states = ["running", "halted"]
        .map(|state| (format!("{{state=\"{state}\"}}"), u64::from(is_in(state))));
    let help = "1 in the state of the open roll-out; a halted one waits for somebody";
    gauge(text, "rackstrap_roll_out", help, &states);
}

/// The metrics that every exporter has of its process.
fn process(text: &mut String) {
    let one = |value: u64| [(String::new(), value)];
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        let help = "Open file descriptors";
        gauge(text, "process_open_fds", help, &one(entries.count() as u64));
    }
    if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        gauge(text, "process_max_fds", "The most open file descriptors", &one(soft));
    }
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    if let (Some(pages), Ok(Some(page))) = (pages, sysconf(SysconfVar::PAGE_SIZE)) {
        let help = "Memory that is in use (resident), in bytes";
        gauge(text, "process_resident_memory_bytes", help, &one(pages * page.unsigned_abs()));
    }
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = |time: nix::sys::time::TimeVal| {
            Duration::from_micros(time.num_microseconds().unsigned_abs())
        };
        let used = metrics::seconds(micros(usage.user_time()) + micros(usage.system_time()));
        counter(text, "process_cpu_seconds_total", "Processor time used", used);
    }
}
