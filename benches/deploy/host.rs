//! A simulated host that is deployed: what iPXE and the live system ask for, in their order.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::lab::SERVER;

/// How long a host waits for the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request by the host's own address; the stream stands behind the head of an answer 200.
struct Answer {
    stream: TcpStream,
    /// The bytes of the body that came with the head.
    first: Vec<u8>,
    length: usize,
}

fn ask(own: Ipv4Addr, head: &str, body: &str) -> Result<Answer, String> {
    let told = |error: std::io::Error| format!("{head}: {error}");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(told)?;
    socket.bind(&SocketAddr::from((own, 0)).into()).map_err(told)?;
    let server = SocketAddr::from((SERVER, 80)).into();
    socket.connect_timeout(&server, PATIENCE).map_err(told)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let request = format!(
        "{head}\r\nHost: {SERVER}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).map_err(told)?;
    let (mut read, mut room) = (Vec::new(), vec![0; 16 << 10]);
    let end = loop {
        let count = stream.read(&mut room).map_err(told)?;
        read.extend_from_slice(&room[..count]);
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if count == 0 {
            return Err(format!("{head}: no answer"));
        }
    };
    let first = read.split_off(end);
    let answered = String::from_utf8_lossy(&read).to_ascii_lowercase();
    let length = answered.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok());
    match length {
        Some(length) if answered.starts_with("http/1.1 200") => {
            Ok(Answer { stream, first, length })
        }
        _ => {
            let text = String::from_utf8_lossy(&first).trim().to_owned();
            Err(format!("{head}: {} {text}", answered.lines().next().unwrap_or_default()))
        }
    }
}

impl Answer {
    fn text(mut self) -> Result<String, String> {
        self.stream.read_to_end(&mut self.first).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&self.first).into_owned())
    }

    /// Takes the whole body, and compares every byte.
    fn compare(mut self, expected: &[u8]) -> Result<(), String> {
        if self.length != expected.len() {
            return Err(format!("{} bytes in place of {}", self.length, expected.len()));
        }
        let mut got = self.first.len();
        if expected.get(..got) != Some(&self.first[..]) {
            return Err("the image differs at its beginning".into());
        }
        let mut room = vec![0; 256 << 10];
        while got < expected.len() {
            let count = self.stream.read(&mut room).map_err(|error| error.to_string())?;
            if count == 0 {
                return Err(format!("the stream was cut after {got} bytes"));
            }
            if expected.get(got..got + count) != Some(&room[..count]) {
                return Err(format!("the image differs after byte {got}"));
            }
            got += count;
        }
        Ok(())
    }
}

/// A file alone, as nginx serves it.
pub(super) fn download(own: Ipv4Addr, path: &str, image: &[u8]) -> Result<(), String> {
    ask(own, &format!("GET {path} HTTP/1.1"), "")?.compare(image)
}

/// A whole deployment: script, kernel and initrd, plan, the word to begin, the image, the report.
pub(super) fn deploy(own: Ipv4Addr, mac: &str, image: &[u8]) -> Result<(), String> {
    let script = ask(own, &format!("GET /boot/{mac}.ipxe HTTP/1.1"), "")?.text()?;
    let words = || script.split_whitespace();
    let token = words().find_map(|word| word.strip_prefix("rackstrap.token="));
    let token = token.ok_or_else(|| format!("the script installs nothing: {script}"))?.to_owned();
    let base = format!("http://{SERVER}");
    let files = words().filter_map(|word| word.strip_prefix(&base));
    for path in files.filter(|path| path.starts_with("/files/")) {
        ask(own, &format!("GET {path} HTTP/1.1"), "")?.text()?;
    }
    let with_token = |method: &str, path: &str| {
        format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}")
    };
    let plan = ask(own, &with_token("GET", &format!("/deploy/{mac}")), "")?.text()?;
    let plan: Value = serde_json::from_str(&plan).map_err(|error| format!("{error}: {plan}"))?;
    let path = plan["source"]["path"].as_str().ok_or_else(|| format!("no source in {plan}"))?;
    let report = with_token("POST", &format!("/report/{mac}"));
    ask(own, &report, "installing")?.text()?;
    ask(own, &format!("GET {path}?token={token} HTTP/1.1"), "")?.compare(image)?;
    ask(own, &report, "installed: bench on vda")?.text()?;
    Ok(())
}
