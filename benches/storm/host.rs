//! One simulated host: ROM, iPXE and OS, one after the other, without a pause of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::burst;
use crate::dhcp::AddressPool;
use crate::dhcp::packet::{ACK, Ask, NAK, OFFER, Reply, mac_text, parse};
use crate::lab::{SERVER, host_address};
use crate::tftp::transfer::{Request, Step, Transfer};

/// How long a host waits before it repeats itself, and how often it does.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u32 = 20;

/// The stages, by their place in [`Booted::stages`].
const DHCP: usize = 0;
const NBP: usize = 1;
const SCRIPT: usize = 2;
const CONFIGURATION: usize = 3;

/// What became of a host that came through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Booted {
    /// Seconds in DHCP, TFTP, for the script and for the configuration.
    pub stages: [f64; 4],
    /// How many packets it had to repeat.
    pub repeated: u32,
    /// When it was through, in seconds from the beginning of the storm.
    pub ended: f64,
}

impl Booted {
    /// Seconds that the host waited for the server.
    pub(super) fn total(&self) -> f64 {
        self.stages.iter().sum()
    }
}

/// The relay agent that all hosts are behind: one socket, answers sorted by transaction.
pub(super) struct Dhcp {
    socket: Rc<UdpSocket>,
    waiting: Rc<RefCell<HashMap<u32, mpsc::UnboundedSender<Reply>>>>,
}

impl Dhcp {
    /// Opens the relay agent's port and starts to sort.
    pub(super) async fn start() -> Self {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 67)).expect("port 67");
        socket.set_nonblocking(true).expect("a socket takes it");
        burst::widen(&socket, 8 << 20);
        let socket = Rc::new(UdpSocket::from_std(socket).expect("in a runtime"));
        let waiting: Rc<RefCell<HashMap<u32, mpsc::UnboundedSender<Reply>>>> = Rc::default();
        let dhcp = Self { socket: Rc::clone(&socket), waiting: Rc::clone(&waiting) };
        tokio::task::spawn_local(async move {
            let mut room = [0; 1500];
            while let Ok(length) = socket.recv(&mut room).await {
                let Ok(reply) = parse(&room[..length]) else { continue };
                if let Some(host) = waiting.borrow().get(&reply.xid) {
                    let _ = host.send(reply);
                }
            }
        });
        dhcp
    }

    /// One exchange of four messages; gives the address.
    async fn exchange(&self, ask: Ask, booted: &mut Booted) -> Result<Ipv4Addr, String> {
        let (sender, mut replies) = mpsc::unbounded_channel();
        self.waiting.borrow_mut().insert(ask.xid, sender);
        let mut packet = Vec::new();
        ask.discover(&mut packet);
        let offer = self.ask(&packet, &mut replies, OFFER, booted).await?;
        ask.request(&mut packet, offer.your_address, offer.server);
        let ack = self.ask(&packet, &mut replies, ACK, booted).await?;
        self.waiting.borrow_mut().remove(&ask.xid);
        Ok(ack.your_address)
    }

    /// Sends until the right answer comes.
    async fn ask(
        &self,
        packet: &[u8],
        replies: &mut mpsc::UnboundedReceiver<Reply>,
        wanted: u8,
        booted: &mut Booted,
    ) -> Result<Reply, String> {
        for _ in 0..TRIES {
            let _ = self.socket.send_to(packet, (SERVER, 67)).await;
            let end = tokio::time::Instant::now() + PATIENCE;
            while let Ok(Some(reply)) = tokio::time::timeout_at(end, replies.recv()).await {
                match reply.kind {
                    kind if kind == wanted => return Ok(reply),
                    NAK => return Err("refused by a DHCPNAK".to_owned()),
                    _ => {}
                }
            }
            booted.repeated += 1;
        }
        let wanted = if wanted == OFFER { "offer" } else { "acknowledgement" };
        Err(format!("no {wanted} after {TRIES} tries"))
    }
}

/// Boots one host; an error says where it stopped.
pub(super) async fn boot(number: u32, dhcp: &Dhcp, program: &[u8]) -> Result<Booted, String> {
    let mut booted = Booted::default();
    let own = host_address(number);
    let mut began = Instant::now();
    for (turn, stage) in [DHCP, NBP, DHCP, SCRIPT, DHCP, CONFIGURATION].into_iter().enumerate() {
        match stage {
            DHCP => {
                let xid = number * 8 + turn as u32 + 1;
                let relay = AddressPool::LARGE.relay;
                let ask = Ask { xid, client: number, relay, circuit: false };
                let given = dhcp.exchange(ask, &mut booted).await?;
                if given != own {
                    return Err(format!("was given {given} instead of {own}"));
                }
            }
            NBP => download(own, program, &mut booted).await?,
            SCRIPT => {
                let script = fetch(own, &format!("/boot/{}.ipxe", mac_text(number))).await?;
                if !script.contains("#!ipxe") || !script.contains("initrd.img") {
                    return Err("the script is not its image's".to_owned());
                }
            }
            _ => {
                let files = fetch(own, &format!("/config/{}", mac_text(number))).await?;
                if !files.contains("vlan500") {
                    return Err("the configuration is not its own".to_owned());
                }
            }
        }
        booted.stages[stage] += began.elapsed().as_secs_f64();
        began = Instant::now();
    }
    Ok(booted)
}

/// The network boot program, by TFTP as a UEFI firmware asks.
async fn download(own: Ipv4Addr, program: &[u8], booted: &mut Booted) -> Result<(), String> {
    let request = Request { name: "storm.efi", content: program, block_size: 1468, window: 1 };
    let told = |error: std::io::Error| format!("TFTP: {error}");
    let socket = UdpSocket::bind((own, 0)).await.map_err(told)?;
    let mut transfer = Transfer::new();
    let mut room = [0; 1600];
    let mut connected = false;
    let mut silent = 0;
    socket.send_to(&request.encode(), (SERVER, 69)).await.map_err(told)?;
    loop {
        let Ok(received) = timeout(PATIENCE, socket.recv_from(&mut room)).await else {
            silent += 1;
            booted.repeated += 1;
            if silent == TRIES {
                return Err(format!("TFTP: silence after {} blocks", transfer.blocks));
            }
            let _ = if connected {
                acknowledge(&socket, transfer.last()).await
            } else {
                socket.send_to(&request.encode(), (SERVER, 69)).await
            };
            continue;
        };
        // A refused port is silence too.
        let Ok((length, from)) = received else { continue };
        silent = 0;
        if !connected {
            connected = true;
            socket.connect(from).await.map_err(told)?;
        }
        match transfer.handle(&request, &room[..length]) {
            Step::Wait => {}
            Step::Acknowledge(block) => drop(acknowledge(&socket, block).await),
            Step::Finish(block) => {
                let _ = acknowledge(&socket, block).await;
                return Ok(());
            }
            Step::Fail(fault) => return Err(format!("TFTP: {fault}")),
        }
    }
}

async fn acknowledge(socket: &UdpSocket, block: u16) -> std::io::Result<usize> {
    let [high, low] = block.to_be_bytes();
    socket.send(&[0, 4, high, low]).await
}

/// A small text by HTTP, asked from the host's own address.
async fn fetch(own: Ipv4Addr, path: &str) -> Result<String, String> {
    let told = |error: std::io::Error| format!("{path}: {error}");
    let socket = TcpSocket::new_v4().map_err(told)?;
    socket.bind(SocketAddr::from((own, 0))).map_err(told)?;
    let mut stream = socket.connect(SocketAddr::from((SERVER, 80))).await.map_err(told)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {SERVER}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(told)?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(answer);
    }
    Err(format!("{path}: {}", answer.lines().next().unwrap_or("an empty answer")))
}
