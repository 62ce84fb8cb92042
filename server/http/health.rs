//! `/healthz`, `/readyz` and `/metrics`, for supervisors and monitoring, without a login.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::lifecycle::EventKind;
use crate::metrics::{self, counters, escaped, gauge};

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

/// `GET /metrics`: counters and gauges in the Prometheus text format. No names of hosts, because
/// it needs no login.
pub async fn metrics(State(app): State<App>) -> Response {
    // A counter that appears with its first event is an increase of nothing to Prometheus.
    EventKind::ALL.iter().for_each(|kind| metrics::EVENTS.add(kind.label(), 0));
    let mut text = counters();
    let one = |value: u64| [(String::new(), value)];
    let ready = u64::from(metrics::DATABASE.failure().is_none());
    gauge(&mut text, "rackstrap_ready", "1 if the database is writable", &one(ready));
    let snapshot = app.inventory.snapshot();
    let states = app.inventory.states.count(jiff::Timestamp::now().as_millisecond());
    let labels = |(state, count)| (format!("{{state=\"{state}\"}}"), count);
    let hosts: Vec<_> = states.into_iter().map(labels).collect();
    gauge(&mut text, "rackstrap_hosts", "Hosts in the inventory by state", &hosts);
    let (mut pools, mut levels) = (Vec::new(), Vec::new());
    let now = jiff::Timestamp::now().as_second();
    let mut table = app.leases.table();
    let leases = table.at(snapshot.revision, &snapshot.site, now);
    for (name, subnet) in &snapshot.site.subnets {
        let ipnet::IpNet::V4(net) = subnet.cidr else { continue };
        let (all, free) = leases.count(net.trunc());
        let level = leases.usage(net.trunc()).level();
        levels.push((format!("{{subnet=\"{}\"}}", escaped(name)), level as u64));
        let labels = |state: &str| format!("{{subnet=\"{}\",state=\"{state}\"}}", escaped(name));
        pools.extend([(labels("all"), all), (labels("free"), free)]);
    }
    let live = leases.count_live();
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
    let version = [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1)];
    gauge(&mut text, "rackstrap_build_info", "Version of the server", &version);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
