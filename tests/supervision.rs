//! The server beneath systemd: what it is told by sd_notify(3), SIGHUP, and SIGTERM with open
//! streams. The real program.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long the server may take for a step, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long SIGTERM may take while streams are open.
const DRAINED: Duration = Duration::from_secs(3);

/// A server whose messages to systemd come here, and its log. It is ended when it is dropped.
struct Server {
    child: Child,
    socket: UnixDatagram,
    log: Receiver<String>,
    /// All lines of the log so far.
    logged: String,
    directory: TempDir,
}

impl Server {
    fn start(config: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let at = |name: &str| directory.path().join(name);
        let socket = UnixDatagram::bind(at("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        std::fs::write(at("rackstrap.toml"), config).unwrap();
        let mut child = program(directory.path())
            .args(["--admin-listen", "127.0.0.1:0", "--machine-listen", "127.0.0.1:0", "serve"])
            .env("NOTIFY_SOCKET", at("notify"))
            .env("WATCHDOG_USEC", "600000")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Self { child, socket, log, logged: String::new(), directory }
    }

    /// Waits for a message to systemd that has `word`. Gives the messages until then.
    fn told(&self, word: &str) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).expect(word);
            told.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            if told.last().unwrap().contains(word) {
                return told;
            }
        }
    }

    /// Waits for a line of the log that has `text`.
    fn logs(&mut self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no \"{text}\" in:\n{}", self.logged));
            self.logged.push_str(&line);
            self.logged.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    fn write_config(&self, text: &str) {
        std::fs::write(self.directory.path().join("rackstrap.toml"), text).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// How long it takes to end, if it does.
    fn ends(&mut self) -> Option<Duration> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if self.child.try_wait().unwrap().is_some() {
                return Some(begin.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--config").arg(directory.join("rackstrap.toml"));
    command.arg("--data-dir").arg(directory.join("data"));
    command
}

#[test]
fn systemd_learns_that_the_server_serves_lives_reloads_and_stops() {
    let mut server = Server::start("");
    let told = server.told("READY=1");
    assert_eq!(told.len(), 1, "{told:?}");
    server.told("WATCHDOG=1");
    server.told("WATCHDOG=1");
    server.signal(Signal::SIGHUP);
    let reloading = server.told("RELOADING=1").pop().unwrap();
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    server.told("READY=1");
    server.signal(Signal::SIGTERM);
    server.told("STOPPING=1");
    assert!(server.ends().is_some());
}

#[test]
fn a_reload_takes_on_what_it_may_and_says_what_needs_a_restart() {
    let mut server = Server::start("offer_seconds = 30\n");
    server.told("READY=1");
    server.write_config("offer_seconds = 40\nlog_level = \"debug\"\ninterfaces = [\"eth7\"]\n");
    server.signal(Signal::SIGHUP);
    server.logs("interfaces has changed to [\"eth7\"]: restart to apply it");
    server.logs("configuration reloaded: offer_seconds is now 40");
    server.logs("configuration reloaded: log_level is now \"debug\"");
    let audited = server.logs("rackstrap reloaded the configuration; changed: ");
    assert!(audited.contains("offer_seconds") && audited.contains("log_level"), "{audited}");
    assert!(audited.contains("; after a restart: interfaces"), "{audited}");
    // A configuration with an error changes nothing.
    server.write_config("offer_seconds = 50\nlog_level = \"error\"\ndhpc = true\n");
    server.signal(Signal::SIGHUP);
    let refused = server.logs("configuration not reloaded");
    assert!(refused.contains("unknown key \"dhpc\"; did you mean \"dhcp\"?"), "{refused}");
    server.write_config("offer_seconds = 40\nlog_level = \"rackstrap=loud\"\n");
    server.signal(Signal::SIGHUP);
    let refused = server.logs("configuration not reloaded");
    assert!(refused.contains("log_level"), "{refused}");
    server.write_config("offer_seconds = 40\nlog_level = \"debug\"\n");
    server.signal(Signal::SIGHUP);
    server.logs("configuration reloaded: no key has changed");
    // The filter has been replaced: what is only a warning is still logged, information is not.
    server.write_config("offer_seconds = 60\nlog_level = \"warn\"\n");
    server.signal(Signal::SIGHUP);
    server.told("RELOADING=1");
    server.write_config("offer_seconds = 70\nlog_level = \"warn\"\ndhcp = false\n");
    server.signal(Signal::SIGHUP);
    server.logs("dhcp has changed to false: restart to apply it");
    assert!(!server.logged.contains("offer_seconds is now 70"), "{}", server.logged);
}

/// The address of the UI, as the log says it.
fn ui(server: &mut Server) -> String {
    let line = server.logs("web UI at http://");
    line.rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn sigterm_ends_the_server_at_once_although_streams_are_open() {
    let mut server = Server::start("");
    let ui = ui(&mut server);
    server.told("READY=1");
    let token = program(server.directory.path()).args(["token", "add", "t"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let token = token.split_whitespace().find(|word| word.len() > 30).unwrap();
    let client = reqwest::Client::new();
    let mut streams = Vec::new();
    for _ in 0..8 {
        let request = client.get(format!("{ui}/api/v1/live")).bearer_auth(token);
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    server.signal(Signal::SIGTERM);
    let took = server.ends().expect("SIGTERM ends the server");
    println!("{} open streams: ended {} ms after SIGTERM", streams.len(), took.as_millis());
    assert!(took < DRAINED, "{took:?}");
}
