//! HTTPS for hosts: the CA of `rackstrap ca`, and real clients of OpenSSL with the cipher suites of
//! firmware. Real firmware boots by it in `firmware.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::common::dhcp::{DhcpServer, lan};
use crate::common::netns::Netns;

const SITE: &str = r#"
subnets:
  provisioning:
    cidr: 10.77.0.0/24
    conflict-probe: off
    ranges: [{from: 10.77.0.100, to: 10.77.0.199, for: dhcp}]
profiles:
  plain: {nics: {eth0: {subnet: provisioning}}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
hosts:
  one: {profile: plain, image: live, addresses: {eth0: 10.77.0.11}, nics: {eth0: "52:54:00:aa:00:01"}}
"#;

/// A server with a CA that serves HTTPS, and a client on its link that trusts the CA.
struct Rack {
    server: DhcpServer,
    client: Netns,
}

impl Rack {
    fn start() -> Self {
        let (mut server, client) = lan(SITE, &["52:54:00:aa:00:01"]);
        client.ip("address add 10.77.0.11/24 dev eth0");
        client.ip("link set eth0 up");
        let made = rackstrap(&server, &["ca", "create"]);
        assert!(made.status.success(), "{made:?}");
        server.set("machine_tls_listen", "[::]:443");
        server.set("https_boot", "10.77.0.0/24");
        let files = server.directory.path().join("files/live");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("vmlinuz"), random(20 << 20)).unwrap();
        fs::write(files.join("initrd.img"), random(100_001)).unwrap();
        server.start(&["lan"]);
        Self { server, client }
    }

    fn ca(&self) -> PathBuf {
        self.server.directory.path().join("tls/boot-ca.crt")
    }

    /// What curl does at the client, which trusts the CA.
    fn curl(&self, words: &str) -> Output {
        self.client.sh(&format!("curl -sS -m 20 --cacert {} {words}", self.ca().display()))
    }
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes[..]);
    bytes
}

fn rackstrap(server: &DhcpServer, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path()).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn hosts_fetch_by_https_with_the_suites_of_ipxe_and_of_firmware() {
    let rack = Rack::start();
    let files = rack.server.directory.path().join("files/live");
    // OVMF's, iPXE's, and what curl chooses itself.
    let suites = [
        "--tls-max 1.2 --ciphers DHE-RSA-AES128-GCM-SHA256",
        "--tls-max 1.2 --ciphers DHE-RSA-AES256-GCM-SHA384",
        "--tls-max 1.2 --ciphers ECDHE-RSA-AES256-GCM-SHA384",
        "",
    ];
    for suite in suites {
        for name in ["vmlinuz", "initrd.img"] {
            let got = rack.curl(&format!("{suite} https://10.77.0.1/files/live/{name}"));
            assert!(got.status.success(), "{suite} {name}: {}", text(&got.stderr));
            assert!(got.stdout == fs::read(files.join(name)).unwrap(), "{suite} {name}");
        }
    }
    let part = rack.curl("-r 5000-5009 https://10.77.0.1/files/live/vmlinuz");
    assert_eq!(part.stdout, fs::read(files.join("vmlinuz")).unwrap()[5000..5010]);

    // What came by HTTPS goes on by it; what is booted does not know the CA.
    let script = rack.curl("https://10.77.0.1/boot/52-54-00-aa-00-01.ipxe");
    let script = text(&script.stdout);
    assert!(script.contains("https://10.77.0.1/files/live/vmlinuz"), "{script}");
    assert!(script.contains("https://10.77.0.1/files/live/initrd.img"), "{script}");
    assert!(script.contains("rackstrap.url=http://10.77.0.1 "), "{script}");
    let plain = text(&rack.curl("http://10.77.0.1/boot/52-54-00-aa-00-01.ipxe").stdout);
    assert!(!plain.contains("https://"), "{plain}");

    let stranger = rack.client.sh("curl -sS -m 20 https://10.77.0.1/healthz 2>&1");
    assert!(text(&stranger.stdout).contains("certificate"), "{stranger:?}");
    rack.client.ip("address add 10.78.0.2/24 dev eth0");
    rack.server.inside.ip("address add 10.78.0.1/24 dev lan");
    let again = || rack.curl("https://10.78.0.1/healthz").status.success();
    let begin = std::time::Instant::now();
    while !again() {
        assert!(begin.elapsed() < Duration::from_secs(20), "a new address is certified");
    }
    let metrics = text(&rack.server.inside.sh("curl -sS http://127.0.0.1:8080/metrics").stdout);
    let name = "rackstrap_machine_certificate_expiry_timestamp_seconds ";
    let expires = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let days = (expires.parse::<i64>().unwrap() - jiff::Timestamp::now().as_second()) / 86_400;
    assert!((7299..=7300).contains(&days), "{days}");
}

/// A root, a CA below it that signs for the server, and the server's pair with that CA behind it: `pair.crt`, `pair.key`. `$1` is the
/// serial number.
const OWN_PKI: &str = r#"
[ -e root.crt ] || {
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=site root' -keyout root.key -out root.crt
    openssl req -newkey rsa:2048 -nodes -subj '/CN=site issuer' -keyout issuer.key -out issuer.csr
    printf 'basicConstraints=critical,CA:true\n' > issuer.ext
    openssl x509 -req -in issuer.csr -CA root.crt -CAkey root.key -days 20 -set_serial 2 -extfile issuer.ext -out issuer.crt
}
openssl req -newkey rsa:2048 -nodes -subj '/CN=boot' -keyout new.key -out server.csr
printf 'subjectAltName=IP:10.77.0.1\n' > server.ext
openssl x509 -req -in server.csr -CA issuer.crt -CAkey issuer.key -days 10 -set_serial "$1" -extfile server.ext -out server.crt
cat server.crt issuer.crt > new.crt
mv new.crt pair.crt; mv new.key pair.key
"#;

#[test]
fn a_certificate_of_ones_own_pki_is_used_and_followed() {
    let (mut server, client) = lan(SITE, &["52:54:00:aa:00:01"]);
    client.ip("address add 10.77.0.11/24 dev eth0");
    client.ip("link set eth0 up");
    let pki = server.directory.path().join("pki");
    fs::create_dir(&pki).unwrap();
    let make = |serial: &str| {
        let mut script = Command::new("sh");
        let made = script.args(["-ec", OWN_PKI, "pki", serial]).current_dir(&pki).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
    };
    make("17");
    let at = |name: &str| pki.join(name).to_str().unwrap().to_owned();
    server.set("machine_tls_listen", "[::]:443");
    server.set("machine_tls_certificate", &at("pair.crt"));
    server.set("machine_tls_key", &at("pair.key"));
    server.start(&["lan"]);

    // As firmware does: by the root alone, the CA below it comes with the certificate.
    let curl = |suite: &str| {
        client.sh(&format!(
            "curl -sS -m 20 --cacert {} {suite} https://10.77.0.1/healthz",
            at("root.crt")
        ))
    };
    for suite in ["--tls-max 1.2 --ciphers DHE-RSA-AES128-GCM-SHA256", ""] {
        let got = curl(suite);
        assert!(got.status.success(), "{suite}: {}", text(&got.stderr));
    }
    let serial = || {
        let line = "openssl s_client -connect 10.77.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -serial";
        text(&client.sh(line).stdout).trim().to_owned()
    };
    assert_eq!(serial(), "serial=11");
    make("18");
    let begin = std::time::Instant::now();
    while serial() != "serial=12" {
        assert!(begin.elapsed() < Duration::from_secs(20), "a renewed certificate is used");
    }
    // Half a renewal changes nothing.
    fs::write(at("pair.key"), "no key").unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert!(curl("").status.success());
    assert_eq!(serial(), "serial=12");
}

#[test]
fn a_file_that_is_truncated_while_it_is_sent_ends_its_transfer_alone() {
    let rack = Rack::start();
    let kernel = rack.server.directory.path().join("files/live/vmlinuz");
    let url = "https://10.77.0.1/files/live/vmlinuz";
    let slow = format!("curl -sS -m 20 --limit-rate 2M --cacert {} {url}", rack.ca().display());
    let transfer = std::thread::scope(|scope| {
        let transfer = scope.spawn(|| rack.client.sh(&slow));
        std::thread::sleep(Duration::from_secs(2));
        fs::OpenOptions::new().write(true).open(&kernel).unwrap().set_len(1000).unwrap();
        transfer.join().unwrap()
    });
    assert!(!transfer.status.success(), "a file that is cut is no success");
    let after = rack.curl("https://10.77.0.1/files/live/initrd.img");
    assert_eq!(after.stdout.len(), 100_001, "the server goes on: {}", text(&after.stderr));
}

#[test]
fn the_ca_is_made_once_shown_and_given_to_firmware() {
    let (server, _clients) = lan(SITE, &[]);
    let (certificate, key) = (server.directory.path().join("tls/boot-ca.crt"), "tls/boot-ca.key");
    let key = server.directory.path().join(key);
    let refused = rackstrap(&server, &["ca", "show"]);
    let said = text(&refused.stderr);
    assert!(!refused.status.success() && said.contains("rackstrap ca create"), "{said}");
    let made = text(&rackstrap(&server, &["ca", "create"]).stdout);
    assert!(
        made.contains("CN=rackstrap boot CA ") && made.contains("next: set machine_tls_listen")
    );
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let openssl = |words: &[&str], path: &Path| {
        let output = Command::new("openssl").args(words).arg("-in").arg(path).output().unwrap();
        text(&output.stdout)
    };
    let print = openssl(&["x509", "-noout", "-fingerprint", "-sha256"], &certificate);
    let (_, fingerprint) = print.trim().split_once('=').unwrap();
    assert!(made.contains(fingerprint), "{fingerprint}: {made}");
    let before = fs::read(&certificate).unwrap();
    let again = rackstrap(&server, &["ca", "create"]);
    assert!(text(&again.stderr).contains("already exists; rackstrap ca show"), "{again:?}");
    assert_eq!(fs::read(&certificate).unwrap(), before);
    let der = rackstrap(&server, &["ca", "export", "--format", "der"]).stdout;
    let list = rackstrap(&server, &["ca", "export", "--format", "esl"]).stdout;
    assert_eq!(list[44..], der);
    assert_eq!(rackstrap(&server, &["ca", "export"]).stdout, before);
    let replaced = rackstrap(&server, &["ca", "create", "--replace"]);
    assert!(replaced.status.success() && fs::read(&certificate).unwrap() != before);

    let audited = text(&rackstrap(&server, &["audit", "--kind", "authority-created"]).stdout);
    assert!(audited.contains(&format!("created the CA {fingerprint} (SHA-256)")), "{audited}");
    assert!(audited.contains("replaced the CA by"), "{audited}");

    // Without a CA the server says what is missing, and does not start.
    fs::remove_file(&certificate).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rackstrap"));
    command.arg("--data-dir").arg(server.directory.path());
    command.env("RACKSTRAP_MACHINE_TLS_LISTEN", "127.0.0.1:0").arg("serve");
    let said = text(&command.output().unwrap().stderr);
    assert!(said.contains("cannot read ") && said.contains("rackstrap ca create"), "{said}");
}
