//! The real TFTP service in a namespace of its own, and a client that speaks raw packets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rackstrap::app::App;
use rackstrap::config::Config;
use rackstrap::files::FileStore;
use rackstrap::inventory::{Database, EventBus, Inventory, Live};
use rackstrap::leases::LeaseBook;
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::netns::{Netns, enter};

/// Long enough for an answer that must not come to have come.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);
/// The server's address on the link to its clients.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The client's address there.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// How long a test waits for a packet that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server and its client, each in its namespace, joined by a link.
pub(crate) struct Rack {
    pub server: Netns,
    pub client: Netns,
    pub directory: TempDir,
    pub events: broadcast::Receiver<Live>,
    stop: CancellationToken,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Rack {
    /// Starts the service with its default configuration.
    pub(crate) fn start(what: &str) -> Self {
        Self::start_with(what, |_| {})
    }

    /// Starts the service with a configuration that `configure` changed.
    pub(crate) fn start_with(what: &str, configure: impl FnOnce(&mut Config)) -> Self {
        let (server, client) = (Netns::new(&format!("{what}-s")), Netns::new(&format!("{what}-c")));
        server.join("srv0", &client, "cli0");
        server.ip(&format!("address add {SERVER}/24 dev srv0"));
        client.ip(&format!("address add {CLIENT}/24 dev cli0"));
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let mut config = Config {
            data_dir: directory.path().to_owned(),
            interfaces: vec!["srv0".into()],
            ..Config::default()
        };
        configure(&mut config);
        let stop = CancellationToken::new();
        let (events, thread) = start_service(&server, config, files, stop.clone());
        let rack = Self { server, client, directory, events, stop, thread: Some(thread) };
        rack.wait_until_served();
        rack
    }

    /// Where the served files are.
    pub(crate) fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Puts a file there with content that repeats nowhere within a block.
    pub(crate) fn put(&self, name: &str, size: usize) -> Vec<u8> {
        let content = pattern(size);
        std::fs::write(self.files().join(name), &content).unwrap();
        content
    }

    /// A client's socket.
    pub(crate) fn socket(&self) -> Raw {
        Raw::bind(&self.client, SocketAddr::from((CLIENT, 0)))
    }

    /// Tells the service to finish what it is at; gives when it has ended.
    pub(crate) fn stop(&mut self) -> std::io::Result<()> {
        self.stop.cancel();
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap())
    }

    /// Tells the service to finish, and does not wait.
    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// The texts of the events so far.
    pub(crate) fn event_texts(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(live) = self.events.try_recv() {
            if let Live::Event(event) = live {
                texts.push(event.text());
            }
        }
        texts
    }

    /// Waits for an event that contains `text`.
    pub(crate) fn wait_for_event(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        wait_until(&format!("an event with \"{text}\""), || {
            seen.extend(self.event_texts());
            seen.iter().find(|seen| seen.contains(text)).cloned()
        })
    }

    fn wait_until_served(&self) {
        wait_until("a listener on UDP port 69", || {
            let sockets = self.server.sh("cat /proc/net/udp").stdout;
            String::from_utf8_lossy(&sockets).contains(":0045 ").then_some(())
        });
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Looks every 5 ms whether something has happened, for ten seconds.
pub(crate) fn wait_until<T>(what: &str, mut happened: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = happened() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes whose every block differs from its neighbours.
pub(crate) fn pattern(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut content: Vec<u8> = Vec::with_capacity(size + 3);
    while content.len() < size {
        content.extend_from_slice(&next().to_le_bytes());
    }
    content.truncate(size);
    content
}

fn start_service(
    namespace: &Netns,
    config: Config,
    files: PathBuf,
    stop: CancellationToken,
) -> (broadcast::Receiver<Live>, JoinHandle<std::io::Result<()>>) {
    let (sender, receiver) = mpsc::channel();
    let name = namespace.name.clone();
    let thread = std::thread::spawn(move || {
        enter(&name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let app = app(config, &files).await;
            let events: &EventBus = &app.inventory.events;
            sender.send(events.watch()).unwrap();
            rackstrap::tftp::run(app, stop).await
        })
    });
    (receiver.recv().unwrap(), thread)
}

async fn app(config: Config, files: &Path) -> App {
    let database = Database::open(&config.database_url()).await.unwrap();
    App {
        inventory: Inventory::open(database.clone()).await.unwrap(),
        leases: LeaseBook::open(database).await.unwrap(),
        files: FileStore::new(vec![files.to_owned()]),
        config: config.into(),
    }
}

/// A UDP socket of a client, for packets that no proper client sends.
pub(crate) struct Raw {
    pub socket: UdpSocket,
}

impl Raw {
    /// Binds in a namespace: a socket stays in the one it was made in.
    pub(crate) fn bind(namespace: &Netns, address: SocketAddr) -> Self {
        let name = namespace.name.clone();
        let bound = std::thread::spawn(move || {
            enter(&name);
            UdpSocket::bind(address).unwrap()
        });
        let socket = bound.join().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    /// Sends a packet to the server's port 69.
    pub(crate) fn ask(&self, packet: &[u8]) {
        self.socket.send_to(packet, (SERVER, 69)).unwrap();
    }

    /// Asks for a file.
    pub(crate) fn read(&self, name: &str, options: &[(&str, &str)]) {
        self.ask(&read_request(name, options));
    }

    /// The next packet, and where it came from.
    pub(crate) fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 65_536];
        let (length, from) = self.socket.recv_from(&mut buffer).expect("a packet should come");
        (buffer[..length].to_vec(), from)
    }

    /// The next packet, if one comes within `wait`.
    pub(crate) fn receive_within(&self, wait: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 65_536];
        let received = self.socket.recv_from(&mut buffer).ok();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        received.map(|(length, from)| (buffer[..length].to_vec(), from))
    }

    /// Acknowledges a block.
    pub(crate) fn ack(&self, block: u16, to: SocketAddr) {
        let [high, low] = block.to_be_bytes();
        self.socket.send_to(&[0, 4, high, low], to).unwrap();
    }
}

/// An RRQ in octet mode.
pub(crate) fn read_request(name: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut packet = [b"\0\x01", name.as_bytes(), b"\0octet\0"].concat();
    for (option, value) in options {
        packet.extend_from_slice(&[option.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    packet
}

/// The block number of a DATA packet.
pub(crate) fn block_of(packet: &[u8]) -> u16 {
    assert_eq!(packet[..2], [0, 3], "not DATA: {packet:?}");
    u16::from_be_bytes([packet[2], packet[3]])
}

/// Code and text of an ERROR packet.
pub(crate) fn error_of(packet: &[u8]) -> (u16, String) {
    assert_eq!(packet[..2], [0, 5], "not ERROR: {packet:?}");
    let text = packet[4..].split(|byte| *byte == 0).next().unwrap();
    (u16::from_be_bytes([packet[2], packet[3]]), String::from_utf8_lossy(text).into_owned())
}

/// Reads a whole file, block by block, and gives it with the address that sent it. A block that
/// comes again, for its acknowledgement was late, is acknowledged again and counts once.
pub(crate) fn read_all(client: &Raw, name: &str) -> (Vec<u8>, SocketAddr) {
    client.read(name, &[]);
    let (mut content, mut next) = (Vec::new(), 1);
    loop {
        let (packet, from) = client.receive();
        client.ack(block_of(&packet), from);
        if block_of(&packet) != next {
            continue;
        }
        next = next.wrapping_add(1);
        content.extend_from_slice(&packet[4..]);
        if packet.len() < 516 {
            return (content, from);
        }
    }
}
