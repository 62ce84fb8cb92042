//! `rackstrap watch`: the boots as they go, with a bar for every long transfer.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::causes::WithCauses;
use crate::cli::context::{Context, audit, moment, print};
use crate::cli::host::name_of;
use crate::inventory::{EventFilter, EventsOf, Inventory, NewToken};
use crate::lifecycle::audit::AuditAction;
use crate::lifecycle::stall::Cause;
use crate::lifecycle::{Event, HostState, Progress, StateChange};
use crate::model::{Limits, Role};

/// How often the database is looked at where no server can be asked.
const POLL: Duration = Duration::from_millis(500);
/// How long the server may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long the token lasts that the server is asked with, in seconds.
const TOKEN_SECONDS: i64 = 7 * 86_400;

/// What `watch` is told.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// One host only, by name or by any of its MACs
    host: Option<String>,
}

impl Watch {
    /// Shows what happens until Ctrl-C.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let inventory = context.read_inventory().await?;
        let snapshot = inventory.snapshot();
        let host = self.host.map(|host| name_of(&snapshot, &host).to_owned());
        if let Some(host) = host.as_ref().filter(|host| !snapshot.site.hosts.contains_key(*host)) {
            bail!("host \"{host}\" does not exist");
        }
        let database = &inventory.database;
        let now = jiff::Timestamp::now();
        let name = format!("watch-{}-{}", std::process::id(), now.as_millisecond());
        let expires_at = Some(now.as_second() + TOKEN_SECONDS);
        let role = Role::Viewer;
        let new = NewToken { expires_at, ..NewToken::new(&name, role) };
        let token = database.add_token(&new).await?;
        let added = AuditAction::TokenAdded {
            token: name.clone(),
            may_change: false,
            role: Some(role),
            expires_at,
            limits: Limits::default(),
        };
        audit(&inventory, added).await;
        let mut terminated = signal(SignalKind::terminate())?;
        let host = host.map(|host| EventsOf::host(&inventory.snapshot().site, &host));
        let mut screen = Screen::new(host, context.json);
        let watched = async {
            let connected = connect(&context, &token).await;
            // Only now: what changes before the server sends it would be seen by neither.
            inventory.take_over_events().await?;
            screen.states_at_start(&inventory)?;
            match connected {
                Ok(lines) => follow(lines, &mut screen).await,
                Err(error) => {
                    let error = WithCauses(error.as_ref());
                    eprintln!("{error}: events come from the database, without progress");
                    poll(&inventory, &mut screen, now.as_millisecond()).await
                }
            }
        };
        let outcome = tokio::select! {
            outcome = watched => outcome,
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminated.recv() => Ok(()),
        };
        database.remove_token(&name).await?;
        audit(&inventory, AuditAction::TokenRemoved { token: name }).await;
        outcome.map(|()| ExitCode::SUCCESS)
    }
}

type Stream = Lines<BufReader<TcpStream>>;

/// Asks the server for everything that happens (server-sent events over HTTP/1.0, which
/// knows no chunks).
async fn connect(context: &Context, token: &str) -> anyhow::Result<Stream> {
    let listening = context.config.admin_listen;
    let asked = async {
        let mut address = listening;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET /api/v1/live HTTP/1.0\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next_line().await?.unwrap_or_default();
        if status.split(' ').nth(1) != Some("200") {
            bail!("it answered \"{status}\"");
        }
        while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}
        Ok(lines)
    };
    let answered = timeout(ANSWER, asked).await.context("it did not answer in time").flatten();
    answered.with_context(|| format!("cannot reach the server at {listening}"))
}

/// Shows what the server sends until it ends.
async fn follow(mut lines: Stream, screen: &mut Screen) -> anyhow::Result<()> {
    let mut kind = String::new();
    while let Some(line) = lines.next_line().await? {
        match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
            Some(("event", value)) => value.clone_into(&mut kind),
            Some(("data", data)) if kind == "event" => screen.event(&read(data)?)?,
            Some(("data", data)) if kind == "state" => screen.state(&read(data)?)?,
            Some(("data", data)) if kind == "progress" => screen.progress(&read(data)?),
            Some(("data", data)) if kind == "missed" => eprintln!("missed: {data}"),
            _ => {}
        }
    }
    bail!("the server ended")
}

fn read<T: DeserializeOwned>(data: &str) -> anyhow::Result<T> {
    serde_json::from_str(data).with_context(|| format!("the server sent what is not known: {data}"))
}

/// Shows what comes into the database, for ever.
async fn poll(inventory: &Inventory, screen: &mut Screen, since_ms: i64) -> anyhow::Result<()> {
    let mut after_ms = since_ms - 1;
    loop {
        let filter = EventFilter { host: screen.host.clone(), after_ms, limit: 1000 };
        let events = inventory.database.list_events(&filter).await?;
        for event in events.iter().rev() {
            screen.event(event)?;
            after_ms = after_ms.max(event.at_ms);
        }
        inventory.take_over_events().await?;
        for (host, status) in inventory.states.list(jiff::Timestamp::now().as_millisecond()) {
            screen.state(&StateChange { host, status })?;
        }
        sleep(POLL).await;
    }
}

/// Where it is shown: lines that stay, and bars below them at a terminal.
struct Screen {
    host: Option<EventsOf>,
    json: bool,
    bars: Option<MultiProgress>,
    running: HashMap<(Option<String>, String), ProgressBar>,
    /// The states that were shown, by host.
    states: HashMap<String, (HostState, Option<Cause>)>,
}

impl Screen {
    fn new(host: Option<EventsOf>, json: bool) -> Self {
        let at_terminal =
            !json && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self {
            host,
            json,
            bars: at_terminal.then(MultiProgress::new),
            running: HashMap::new(),
            states: HashMap::new(),
        }
    }

    fn shows(&self, host: Option<&String>) -> bool {
        self.host.as_ref().is_none_or(|of| Some(&of.name) == host)
    }

    /// Shows what needs a person already; of one host its state in any case.
    fn states_at_start(&mut self, inventory: &Inventory) -> anyhow::Result<()> {
        for (host, status) in inventory.states.list(jiff::Timestamp::now().as_millisecond()) {
            if status.is_stopped() || self.host.as_ref().is_some_and(|of| of.name == host) {
                self.state(&StateChange { host, status })?;
            } else {
                self.states.insert(host, (status.state, status.cause));
            }
        }
        Ok(())
    }

    /// Shows the state of a host, unless it was shown already.
    fn state(&mut self, change: &StateChange) -> anyhow::Result<()> {
        let StateChange { host, status } = change;
        let now = (status.state, status.cause.clone());
        if !self.shows(Some(host)) || self.states.get(host) == Some(&now) {
            return Ok(());
        }
        self.states.insert(host.clone(), now);
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let line = match self.json {
            true => serde_json::to_string(change)?,
            false => {
                let (state, reason) = (status.state.label(), &status.reason);
                format!("{} {host:<17} {:<8} {reason}", moment(now_ms), format!("= {state}"))
            }
        };
        self.print_line(line)
    }

    fn print_line(&self, line: String) -> anyhow::Result<()> {
        match &self.bars {
            Some(bars) => Ok(bars.println(line)?),
            None => print(&(line.trim_end().to_owned() + "\n")),
        }
    }

    fn event(&self, event: &Event) -> anyhow::Result<()> {
        if self.host.as_ref().is_some_and(|of| !of.has(event)) {
            return Ok(());
        }
        let line = match self.json {
            true => serde_json::to_string(event)?,
            false => line(event),
        };
        self.print_line(line)
    }

    fn progress(&mut self, progress: &Progress) {
        let Some(bars) = self.bars.as_ref().filter(|_| self.shows(progress.host.as_ref())) else {
            return;
        };
        let Progress { host, kind, file, sent_bytes, total_bytes } = progress;
        let key = (host.clone(), file.clone());
        let bar = self.running.entry(key.clone()).or_insert_with(|| {
            let style = "{prefix} [{bar:30}] {percent:>3} % {bytes_per_sec}";
            // The template is a constant and right; the plain bar would do as well.
            let style = ProgressStyle::with_template(style)
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let whom = host.as_deref().unwrap_or("unknown host");
            let bar = ProgressBar::new(*total_bytes).with_style(style);
            bars.add(bar.with_prefix(format!("{whom} {kind} {file}")))
        });
        bar.set_position(*sent_bytes);
        if sent_bytes >= total_bytes {
            bar.finish_and_clear();
            self.running.remove(&key);
        }
    }
}

fn line(event: &Event) -> String {
    let whom = event.host.clone().or_else(|| Some(event.mac?.to_string())).unwrap_or_default();
    format!("{} {whom:<17} {:<8} {}", moment(event.at_ms), event.kind().label(), event.text())
}
