//! The TFTP load generator: many downloads at once on one thread, each from a port of its own.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::burst::{self, Inbox};
use crate::lab::{SERVER, host_address};

use super::transfer::{Request, Step, Transfer};

/// How long a client waits before it repeats itself, as real ones do.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;
const TIMERS: Duration = Duration::from_millis(50);

/// How many downloads, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// What each downloads.
    pub request: Request<'a>,
    /// How many run at once.
    pub concurrent: usize,
    /// How many begin in all; none: as many as `limit` allows, each follows the one before.
    pub total: Option<usize>,
    /// When it is cut off.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Whole files.
    pub done: usize,
    /// Downloads that gave up.
    pub failed: usize,
    /// Bytes that arrived and were right, of unfinished downloads too.
    pub bytes: usize,
    /// From the first request to the last byte.
    pub elapsed: Duration,
    /// Request to first answer, in milliseconds.
    pub first_answers: Vec<f64>,
    /// Request to last byte, in seconds.
    pub durations: Vec<f64>,
    /// What was wrong, some of it.
    pub faults: Vec<String>,
}

impl Outcome {
    /// Megabytes (10^6) in a second.
    pub(super) fn rate(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

struct Client {
    socket: UdpSocket,
    transfer: Transfer,
    began: Instant,
    heard: Instant,
    tries: u32,
    /// The server's port for this transfer, once it has answered.
    peer: Option<SocketAddr>,
}

struct Generator<'a> {
    plan: Plan<'a>,
    epoll: Epoll,
    clients: Vec<Option<Client>>,
    begun: usize,
    outcome: Outcome,
}

/// Runs a plan from inside the client namespace.
pub(super) fn run(plan: Plan<'_>) -> Outcome {
    let epoll = Epoll::new(EpollCreateFlags::empty()).expect("epoll is there");
    let clients = (0..plan.concurrent).map(|_| None).collect();
    let mut generator = Generator { plan, epoll, clients, begun: 0, outcome: Outcome::default() };
    let mut inbox = Inbox::new(plan.request.block_size + 64);
    let mut events = vec![EpollEvent::empty(); 256];
    let began = Instant::now();
    (0..plan.concurrent).for_each(|slot| generator.begin(slot));
    let mut looked_after = began;
    while !generator.is_done() && began.elapsed() < plan.limit {
        let count = generator.epoll.wait(&mut events, 20_u8).unwrap_or(0);
        for event in &events[..count] {
            generator.receive(event.data() as usize, &mut inbox);
        }
        if looked_after.elapsed() > TIMERS {
            looked_after = Instant::now();
            generator.repeat();
        }
    }
    generator.outcome.elapsed = began.elapsed();
    (0..plan.concurrent).for_each(|slot| generator.abort(slot));
    generator.outcome
}

impl Generator<'_> {
    fn is_done(&self) -> bool {
        self.plan.total.is_some_and(|total| self.outcome.done + self.outcome.failed >= total)
    }

    fn begin(&mut self, slot: usize) {
        if self.plan.total.is_some_and(|total| self.begun >= total) {
            return;
        }
        self.begun += 1;
        let socket = UdpSocket::bind((host_address(slot as u32), 0)).expect("a free port");
        socket.set_nonblocking(true).expect("a socket takes it");
        burst::widen(&socket, 1 << 20);
        let _ = self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, slot as u64));
        let now = Instant::now();
        let client = Client {
            socket,
            transfer: Transfer::new(),
            began: now,
            heard: now,
            tries: 1,
            peer: None,
        };
        client.ask(&self.plan.request);
        self.clients[slot] = Some(client);
    }

    fn receive(&mut self, slot: usize, inbox: &mut Inbox) {
        let request = self.plan.request;
        loop {
            let Some(client) = &mut self.clients[slot] else { return };
            // With a window of 1 no second packet follows before the answer to the first.
            let count = match request.window {
                1 => inbox.receive_one(&client.socket),
                _ => inbox.receive(&client.socket),
            };
            for number in 0..count {
                let (packet, from) = inbox.datagram(number);
                if client.peer.is_none() {
                    let waited = client.began.elapsed().as_secs_f64() * 1e3;
                    self.outcome.first_answers.push(waited);
                    client.connect(from);
                }
                client.heard = Instant::now();
                client.tries = 1;
                match client.transfer.handle(&request, packet) {
                    Step::Wait => {}
                    Step::Acknowledge(block) => client.acknowledge(block),
                    Step::Finish(block) => {
                        client.acknowledge(block);
                        return self.end(slot, None);
                    }
                    Step::Fail(fault) => return self.end(slot, Some(fault)),
                }
            }
            if count < burst::BURST {
                return;
            }
        }
    }

    fn end(&mut self, slot: usize, fault: Option<String>) {
        let Some(client) = self.clients[slot].take() else { return };
        self.outcome.bytes += client.transfer.bytes(&self.plan.request);
        match fault {
            None => {
                self.outcome.done += 1;
                self.outcome.durations.push(client.began.elapsed().as_secs_f64());
            }
            Some(fault) => {
                self.outcome.failed += 1;
                if self.outcome.faults.len() < 5 {
                    self.outcome.faults.push(fault);
                }
            }
        }
        self.begin(slot);
    }

    /// Repeats what was not answered, with the patience of a real client.
    fn repeat(&mut self) {
        for slot in 0..self.clients.len() {
            let Some(client) = &mut self.clients[slot] else { continue };
            if client.heard.elapsed() < PATIENCE {
                continue;
            }
            if client.tries == TRIES {
                // Silence is the server's failure, but no wrong byte.
                self.outcome.bytes += client.transfer.bytes(&self.plan.request);
                self.outcome.failed += 1;
                self.clients[slot] = None;
                self.begin(slot);
                continue;
            }
            client.tries += 1;
            client.heard = Instant::now();
            match client.peer {
                None => client.ask(&self.plan.request),
                Some(_) => client.acknowledge(client.transfer.last()),
            }
        }
    }

    /// Ends a download that the clock has cut off, so that the server does not go on.
    fn abort(&mut self, slot: usize) {
        let Some(client) = self.clients[slot].take() else { return };
        self.outcome.bytes += client.transfer.bytes(&self.plan.request);
        if client.peer.is_some() {
            let _ = client.socket.send(b"\0\x05\0\0enough\0");
        }
    }
}

impl Client {
    fn ask(&self, request: &Request<'_>) {
        let _ = self.socket.send_to(&request.encode(), SocketAddrV4::new(SERVER, 69));
    }

    /// Listens to the answering port alone from now on (RFC 1350 section 4).
    fn connect(&mut self, from: Option<SocketAddrV4>) {
        let from = from.unwrap_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let _ = self.socket.connect(from);
        self.peer = Some(from.into());
    }

    fn acknowledge(&self, block: u16) {
        let [high, low] = block.to_be_bytes();
        let _ = self.socket.send(&[0, 4, high, low]);
    }
}
