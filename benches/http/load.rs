//! The HTTP load generator: keep-alive connections on one thread, every body compared.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::lab::SERVER;

/// What to ask for and how often.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The path with its slash.
    pub path: &'a str,
    /// What every body must be.
    pub body: &'a [u8],
    /// How many connections ask, each for one thing at a time.
    pub connections: usize,
    /// How long.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whole answers.
    pub done: usize,
    /// Bytes of bodies, of unfinished ones too.
    pub bytes: usize,
    /// From when all are connected to the end.
    pub elapsed: Duration,
    /// Request to last byte, in milliseconds.
    pub waits: Vec<f64>,
    /// What was wrong, some of it.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Answers in a second.
    pub(super) fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Megabytes (10^6) in a second.
    pub(super) fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

struct Connection {
    stream: TcpStream,
    asked: Instant,
    /// The head, until it is whole.
    head: Vec<u8>,
    /// Bytes of the body that have come, once the head is whole.
    got: Option<usize>,
}

/// Asks once and gives the body; an error is the status line or what else went wrong.
pub(crate) fn fetch(path: &str) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| error.to_string();
    let address = SocketAddr::from((SERVER, 80));
    let mut stream =
        TcpStream::connect_timeout(&address, Duration::from_millis(500)).map_err(told)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(told)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(told)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no head")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer);
    if head.starts_with("HTTP/1.1 200") {
        return Ok(body);
    }
    let status = head.lines().next().unwrap_or_default();
    Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body).trim()))
}

/// Runs a plan from inside the client namespace.
pub(super) fn run(plan: Plan<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let request = format!("GET {} HTTP/1.1\r\nHost: {SERVER}\r\n\r\n", plan.path).into_bytes();
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll is there");
    let mut connections = Vec::new();
    for slot in 0..plan.connections {
        match Connection::open(&request) {
            Ok(connection) => {
                let interest = EpollEvent::new(EpollFlags::EPOLLIN, slot as u64);
                let _ = epoll.add(&connection.stream, interest);
                connections.push(connection);
            }
            Err(error) => {
                outcome.faults.push(format!("no connection: {error}"));
                return outcome;
            }
        }
    }
    let began = Instant::now();
    let mut room = vec![0; 256 << 10];
    let mut events = vec![EpollEvent::empty(); 128];
    while began.elapsed() < plan.limit && outcome.faults.is_empty() {
        let count = epoll.wait(&mut events, 20_u8).unwrap_or(0);
        for event in &events[..count] {
            let connection = &mut connections[event.data() as usize];
            if let Err(fault) = connection.receive(&plan, &request, &mut room, &mut outcome) {
                outcome.faults.push(fault);
            }
        }
    }
    outcome.elapsed = began.elapsed();
    outcome.bytes += connections.iter().filter_map(|connection| connection.got).sum::<usize>();
    outcome
}

impl Connection {
    fn open(request: &[u8]) -> std::io::Result<Self> {
        let stream = TcpStream::connect((SERVER, 80))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut connection = Self { stream, asked: Instant::now(), head: Vec::new(), got: None };
        connection.ask(request)?;
        Ok(connection)
    }

    fn ask(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.head.clear();
        self.got = None;
        self.asked = Instant::now();
        // A request of a hundred bytes always fits an empty send buffer.
        self.stream.write_all(request)
    }

    /// Reads once: epoll says so if there is more.
    fn receive(
        &mut self,
        plan: &Plan<'_>,
        request: &[u8],
        room: &mut [u8],
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let length = match self.stream.read(room) {
            Ok(0) => return Err("the server closed a connection that was kept alive".to_owned()),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let mut data = &room[..length];
        if self.got.is_none() {
            data = match self.take_head(data, plan.body.len())? {
                Some(used) => &data[used..],
                None => return Ok(()),
            };
        }
        let got = self.got.unwrap_or_default();
        if plan.body.get(got..got + data.len()) != Some(data) {
            return Err(format!("{}: the body differs after byte {got}", plan.path));
        }
        let got = got + data.len();
        self.got = Some(got);
        if got == plan.body.len() {
            outcome.done += 1;
            outcome.bytes += got;
            outcome.waits.push(self.asked.elapsed().as_secs_f64() * 1e3);
            self.ask(request).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Collects the head; says how many of the bytes belong to it once it is whole.
    fn take_head(&mut self, data: &[u8], expected: usize) -> Result<Option<usize>, String> {
        let before = self.head.len();
        self.head.extend_from_slice(&data[..data.len().min(4096)]);
        let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&self.head[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.and_then(|length| length.trim().parse::<usize>().ok());
        if !head.starts_with("http/1.1 200") || length != Some(expected) {
            return Err(format!("not the answer that was expected: {head}"));
        }
        self.got = Some(0);
        Ok(Some(end + 4 - before))
    }
}
