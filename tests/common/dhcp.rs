//! A real `rackstrap serve` in a namespace, and a bare DHCP client of our own making.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rackstrap::inventory::{Change, Database, EventFilter, Inventory};
use rackstrap::leases::LeaseBook;
use rackstrap::lifecycle::Event;
use rackstrap::model::{ClientKey, Lease, LeaseState, Mac};
use rackstrap::site_file;
use tempfile::TempDir;

pub(crate) use super::message::{Message, Reply, options};
use super::netns::Netns;

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server (not started) whose bridge `lan` has 10.77.0.1 and one port for each client
/// NIC, and the clients' namespace.
pub(crate) fn lan(site: &str, nics: &[&str]) -> (DhcpServer, Netns) {
    lan_on(None, site, nics)
}

/// The same with the server's inventory in a database of its own; none for SQLite.
pub(crate) fn lan_on(database: Option<&str>, site: &str, nics: &[&str]) -> (DhcpServer, Netns) {
    let (inside, clients) = (Netns::new("server"), Netns::new("clients"));
    inside.bridge("lan", "10.77.0.1/24");
    for (number, mac) in nics.iter().enumerate() {
        let (port, nic) = (format!("p{number}"), format!("eth{number}"));
        inside.join(&port, &clients, &nic);
        inside.ip(&format!("link set {port} master lan"));
        clients.ip(&format!("link set {nic} address {mac}"));
    }
    (DhcpServer::on(database, inside, site), clients)
}

/// Waits until `ready`, within `PATIENCE`.
pub(crate) fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Those packets of the servers that the clients' `eth0` sees: their frame, addresses and length.
pub(crate) const ANSWERS: [&str; 2] = ["-e", "udp and src port 67"];

/// Has tcpdump write the packets on `eth0` into `log` until the answer is dropped. It listens by
/// the time that this returns.
pub(crate) fn capture(clients: &Netns, wanted: [&str; 2], log: &std::path::Path) -> Running {
    let mut command = clients.command("tcpdump");
    command.args(["-i", "eth0", "-n", "-l", "-U"]).args(wanted);
    let capture = start(&mut command, log);
    wait_for("tcpdump listens", || fs::read_to_string(log).unwrap().contains("listening on"));
    capture
}

/// A server in a namespace of its own, on the site that a test gives it.
pub(crate) struct DhcpServer {
    /// The server's namespace.
    pub inside: Netns,
    /// Its data directory.
    pub directory: TempDir,
    logs: TempDir,
    process: Option<Child>,
    settings: Vec<(String, String)>,
    by: Option<std::path::PathBuf>,
    /// What `--database` takes.
    pub(crate) database: String,
    log_level: String,
}

impl DhcpServer {
    /// A server with `site` (a site file) in its database; not started yet.
    pub(crate) fn new(inside: Netns, site: &str) -> Self {
        Self::on(None, inside, site)
    }

    /// The same on a database of its own; none for SQLite.
    pub(crate) fn on(database: Option<&str>, inside: Netns, site: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let logs = tempfile::tempdir().unwrap();
        let sqlite = format!("sqlite:{}", directory.path().join("rackstrap.db").display());
        let database = database.map_or(sqlite, str::to_owned);
        let settings = vec![("RACKSTRAP_DATABASE".to_owned(), database.clone())];
        let (process, by) = (None, None);
        let log_level = "rackstrap=debug,info".to_owned();
        let server = Self { inside, directory, logs, process, settings, by, database, log_level };
        server.set_site(site);
        server
    }

    /// Sets a configuration key for the next start.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.push((format!("RACKSTRAP_{}", key.to_uppercase()), value.to_owned()));
    }

    /// Sets what the server logs from the next start on.
    pub(crate) fn log_at(&mut self, level: &str) {
        level.clone_into(&mut self.log_level);
    }

    /// Has the server started by a program that takes its command line.
    pub(crate) fn start_by(&mut self, program: std::path::PathBuf) {
        self.by = Some(program);
    }

    /// Replaces the site, whether the server runs or not.
    pub(crate) fn set_site(&self, site: &str) {
        let site = site_file::parse(site, "site.yaml").unwrap();
        self.with_database(async |database| {
            let inventory = Inventory::open(database).await.unwrap();
            let change = Change { who: "test", summary: "site", ..Change::default() };
            inventory.replace_site(change, site).await.unwrap();
        });
    }

    /// Starts the server on `interfaces` and waits until it serves them.
    pub(crate) fn start(&mut self, interfaces: &[&str]) {
        let before = self.log().matches("serving DHCP").count();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let program = env!("CARGO_BIN_EXE_rackstrap");
        let mut command = match &self.by {
            Some(by) => self.inside.command(by.to_str().unwrap()),
            None => self.inside.command(program),
        };
        command.args(self.by.is_some().then_some(program));
        command.args(["serve", "--log-level", &self.log_level]);
        command.arg("--data-dir").arg(self.directory.path());
        for interface in interfaces {
            command.args(["--interface", interface]);
        }
        command.envs(self.settings.iter().cloned());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let end = Instant::now() + PATIENCE;
        while self.log().matches("serving DHCP").count() < before + interfaces.len() {
            assert!(Instant::now() < end, "the server does not serve: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server (SIGKILL), as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The id of the running server.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Waits until the server has ended by itself.
    pub(crate) fn wait_for_end(&mut self) {
        self.process.take().unwrap().wait().unwrap();
    }

    /// The resident memory of the running server, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let id = self.process_id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What the server logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits until the log holds a text.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "the server never logged {text:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The leases in the database.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        let mut leases = Vec::new();
        self.with_database(async |database| {
            leases = LeaseBook::open(database).await.unwrap().list();
        });
        leases
    }

    /// Gives addresses to a stranger each, for an hour.
    pub(crate) fn lease_to_strangers(&self, addresses: impl Iterator<Item = Ipv4Addr>) {
        let now = jiff::Timestamp::now().as_second();
        self.with_database(async |database| {
            let book = LeaseBook::open(database).await.unwrap();
            for address in addresses {
                let [_, _, high, low] = address.octets();
                let mac = Mac([0x52, 0x54, 0, 0xbb, high, low]);
                let lease = Lease {
                    address,
                    client: ClientKey::Mac(mac),
                    nic: Some(mac.into()),
                    subnet: "provisioning".into(),
                    state: LeaseState::Bound,
                    starts_at: now,
                    expires_at: now + 3600,
                    taken_over: false,
                };
                book.commit(lease, now).await.unwrap();
            }
        });
    }

    /// Writes an event down that happens tomorrow.
    pub(crate) fn tell_of_tomorrow(&self) {
        let at_ms = jiff::Timestamp::now().as_millisecond() + 86_400_000;
        let event = Event { at_ms, host: None, mac: None, data: super::boots::ack() };
        self.with_database(async |database| {
            database.add_events(&[event], 0, &|_| None).await.unwrap();
        });
    }

    /// A token that may change everything.
    pub(crate) fn token(&self) -> String {
        let mut token = String::new();
        self.with_database(async |database| {
            token = database
                .add_token(&rackstrap::inventory::NewToken::new(
                    "test",
                    rackstrap::model::Role::Operator,
                ))
                .await
                .unwrap();
        });
        token
    }

    /// What happened to a host, in words, the newest first.
    pub(crate) fn events_of(&self, host: &str) -> Vec<String> {
        let filter = EventFilter { host: Some(host.into()), after_ms: 0, limit: 1000 };
        let mut events = Vec::new();
        self.with_database(async |database| {
            events = database.list_events(&filter).await.unwrap();
        });
        events.into_iter().map(|event| event.text()).collect()
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.logs.path().join("log")
    }

    fn with_database(&self, work: impl AsyncFnOnce(Database)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = Database::open(&self.database).await.unwrap();
            work(database.clone()).await;
            database.close().await;
        });
    }
}

impl Drop for DhcpServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A bare client, or a relay: a socket on some port in a namespace.
pub(crate) struct Client(UdpSocket);

impl Client {
    /// Binds a port in a namespace; `interface` for one that is to hear broadcasts of it.
    pub(crate) fn bind(
        inside: &Netns,
        address: Ipv4Addr,
        port: u16,
        interface: Option<&str>,
    ) -> Self {
        let socket = inside.run(|| {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            socket.set_reuse_address(true).unwrap();
            socket.set_broadcast(true).unwrap();
            socket.bind_device(interface.map(str::as_bytes)).unwrap();
            socket.bind(&SocketAddrV4::new(address, port).into()).unwrap();
            UdpSocket::from(socket)
        });
        Self(socket)
    }

    /// Sends a message.
    pub(crate) fn send(&self, message: &Message, to: Ipv4Addr) {
        self.send_to(message, to, 67);
    }

    /// Sends a message to another port.
    pub(crate) fn send_to(&self, message: &Message, to: Ipv4Addr, port: u16) {
        self.0.send_to(&message.bytes(), (to, port)).unwrap();
    }

    /// Sends bytes that need not be a message.
    pub(crate) fn send_bytes(&self, bytes: &[u8], to: Ipv4Addr) {
        self.pass(bytes, to, 67);
    }

    /// Sends bytes to another port.
    pub(crate) fn pass(&self, bytes: &[u8], to: Ipv4Addr, port: u16) {
        self.0.send_to(bytes, (to, port)).unwrap();
    }

    /// The next answer to this message; none after `patience`.
    pub(crate) fn receive(&self, message: &Message, patience: Duration) -> Option<Reply> {
        let end = Instant::now() + patience;
        let mut buffer = [0; 2048];
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|t| !t.is_zero()) {
            self.0.set_read_timeout(Some(left)).unwrap();
            let Ok((length, _)) = self.0.recv_from(&mut buffer) else { return None };
            let reply = Reply(buffer[..length].to_vec());
            if reply.answers(message) {
                return Some(reply);
            }
        }
        None
    }

    /// The next answer to anybody; none after `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<Reply> {
        let mut buffer = [0; 2048];
        self.0.set_read_timeout(Some(patience)).unwrap();
        let (length, _) = self.0.recv_from(&mut buffer).ok()?;
        Some(Reply(buffer[..length].to_vec()))
    }

    /// Sends a message and gives the answer; asks again each second, as clients do.
    pub(crate) fn ask(&self, message: &Message, to: Ipv4Addr) -> Option<Reply> {
        for _ in 0..5 {
            self.send(message, to);
            if let Some(reply) = self.receive(message, Duration::from_secs(1)) {
                return Some(reply);
            }
        }
        None
    }

    /// DISCOVER and REQUEST of a broadcasting client; gives the address that was acknowledged.
    pub(crate) fn acquire(&self, mac: [u8; 6]) -> Option<Ipv4Addr> {
        let offer = self.ask(&Message::new(1, mac), Ipv4Addr::BROADCAST)?;
        let request = Message::new(3, mac)
            .option(50, &offer.your_address().octets())
            .option(54, &offer.option(54)?);
        let ack = self.ask(&request, Ipv4Addr::BROADCAST)?;
        (ack.kind() == 5).then(|| ack.your_address())
    }
}

/// A process that ends with the test.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command with its output in a file.
pub(crate) fn start(command: &mut Command, log: &std::path::Path) -> Running {
    let log = fs::File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap())
}
