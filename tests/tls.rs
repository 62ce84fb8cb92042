//! The web UI and the API by HTTPS: the real program, asked by real clients across a link.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::common::netns::Netns;
use crate::ui::browser::Browser;

const PATIENCE: Duration = Duration::from_secs(30);
/// The address of the server on its link to the clients.
const SERVER: &str = "10.91.0.1";
const CLIENT: &str = "10.91.0.2";

/// A server that was set up by `init --self-signed`, and a client on a link to it.
struct Site {
    inside: Netns,
    client: Netns,
    directory: TempDir,
    child: Option<Child>,
    password: String,
}

impl Site {
    fn start(more: &str) -> Self {
        let (inside, client) = (Netns::new("tls"), Netns::new("far"));
        inside.join("lan", &client, "eth0");
        inside.ip(&format!("address add {SERVER}/24 dev lan"));
        client.ip(&format!("address add {CLIENT}/24 dev eth0"));
        let directory = TempDir::new().unwrap();
        let mut site = Self { inside, client, directory, child: None, password: String::new() };
        let made = site
            .rackstrap("--interface lan --admin-listen 0.0.0.0:8443 init --self-signed --no-start");
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(made.status.success(), "{said}{}", String::from_utf8_lossy(&made.stderr));
        assert!(said.contains("valid for localhost, ") && said.contains(SERVER), "{said}");
        assert!(said.contains("open https://0.0.0.0:8443"), "{said}");
        let (_, rest) = said.split_once("with the password ").unwrap();
        site.password = rest.split(' ').next().unwrap().to_owned();
        let config = std::fs::read_to_string(site.at("rackstrap.toml")).unwrap();
        std::fs::write(site.at("rackstrap.toml"), format!("{more}\n{config}")).unwrap();
        let mut serve = site.command("--machine-listen 127.0.0.1:8081 serve");
        let child = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        site.child = Some(child.unwrap());
        site.until("the server answers", |site| {
            site.curl("https://10.91.0.1:8443/healthz") == "ok\n"
        });
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = self.inside.command(env!("CARGO_BIN_EXE_rackstrap"));
        command.arg("--config").arg(self.at("rackstrap.toml"));
        command.arg("--data-dir").arg(self.at("data"));
        command.args(words.split(' ')).stdin(Stdio::null());
        command
    }

    fn rackstrap(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    /// What curl prints at the client, which trusts the certificate.
    fn curl(&self, words: &str) -> String {
        let certificate = self.at("data/tls/admin.crt");
        let line = format!("curl -sS -m 10 --cacert {} {words} 2>&1", certificate.display());
        String::from_utf8_lossy(&self.client.sh(&line).stdout).into_owned()
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "{what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The serial number of the certificate that a client is shown.
    fn serial(&self) -> String {
        let line = format!(
            "openssl s_client -connect {SERVER}:8443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
        );
        String::from_utf8_lossy(&self.client.sh(&line).stdout).into_owned()
    }

    /// Puts another certificate and its key in place of those that are there.
    fn renew(&self) {
        let line = format!(
            "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -keyout new.key -out new.crt -days 30 -subj /CN=renewed \
             -addext subjectAltName=IP:{SERVER} 2>/dev/null && mv new.key admin.key && mv new.crt admin.crt",
            self.at("data/tls").display()
        );
        let output = self.inside.sh(&line);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn audit(&self) -> String {
        String::from_utf8_lossy(&self.rackstrap("audit --json").stdout).into_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _ = child.wait();
        }
    }
}

#[test]
fn the_ui_speaks_https_and_a_renewed_certificate_is_used_at_once() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::start("");
    let mode = std::fs::metadata(site.at("data/tls/admin.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let page = "https://10.91.0.1:8443/login";
    let head = site.curl(&format!("-o /dev/null -D - {page}"));
    assert!(head.starts_with("HTTP/2 200"), "{head}");
    assert!(head.contains("strict-transport-security: max-age=31536000"), "{head}");
    let cookie = head.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(cookie.ends_with("; Secure") && cookie.contains("HttpOnly"), "{cookie}");
    assert!(site.curl(&format!("--http1.1 -o /dev/null -D - {page}")).starts_with("HTTP/1.1 200"));
    for (version, works) in [("1.1", false), ("1.2", true), ("1.3", true)] {
        let said = site.curl(&format!(
            "--tlsv1.0 --tls-max {version} --ciphers DEFAULT@SECLEVEL=0 -o /dev/null -w %{{http_code}} {page}"
        ));
        assert_eq!(said == "200", works, "TLS {version}: {said}");
    }
    let strict = site.client.sh(&format!("curl -sS -m 10 {page} 2>&1"));
    let strict = String::from_utf8_lossy(&strict.stdout).into_owned();
    assert!(
        strict.contains("self-signed certificate") || strict.contains("self signed"),
        "{strict}"
    );

    // In clear: from elsewhere to HTTPS, on the server itself as it is.
    let head = site.curl("-o /dev/null -D - http://10.91.0.1:8443/hosts?text=x");
    assert!(head.starts_with("HTTP/1.1 308"), "{head}");
    assert!(head.contains("Location: https://10.91.0.1:8443/hosts?text=x"), "{head}");
    assert!(!head.to_lowercase().contains("strict-transport-security"), "{head}");
    let own = site.inside.sh("curl -sS -m 10 http://127.0.0.1:8443/healthz");
    assert_eq!(String::from_utf8_lossy(&own.stdout), "ok\n");

    let expiry = |site: &Site| {
        let text = site.curl("https://10.91.0.1:8443/metrics");
        let name = "rackstrap_certificate_expiry_timestamp_seconds ";
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        line.parse::<i64>().unwrap() - jiff::Timestamp::now().as_second()
    };
    assert!((820 * 86_400..=825 * 86_400).contains(&expiry(&site)));
    let first = site.serial();
    assert!(first.starts_with("serial="), "{first}");
    site.renew();
    site.until("the new certificate is used", |site| {
        let now = site.serial();
        now.starts_with("serial=") && now != first
    });
    assert!((29 * 86_400..=30 * 86_400).contains(&expiry(&site)));
    // One that does not fit is not used.
    let second = site.serial();
    std::fs::write(site.at("data/tls/admin.crt"), "nonsense").unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(site.serial(), second);
    let refused = site.rackstrap("--machine-listen 127.0.0.1:8082 serve");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("has no CERTIFICATE in PEM"), "{said}");
}

#[test]
fn a_handshake_that_does_not_go_on_holds_nobody_up() {
    let site = Site::start("");
    let line = format!(
        "for i in $(seq 40); do (printf '\\026\\003\\001'; sleep 20) | busybox nc -w 20 {SERVER} 8443 & done; sleep 1"
    );
    let stalled = site.client.command("bash").args(["-c", &line]).spawn();
    std::thread::sleep(Duration::from_secs(2));
    let begin = Instant::now();
    assert_eq!(site.curl("https://10.91.0.1:8443/healthz"), "ok\n");
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    let _ = stalled.unwrap().wait();
}

#[test]
fn behind_a_reverse_proxy_the_client_is_known_and_cookies_are_secure() {
    let site = Site::start("trusted_proxies = [\"10.91.0.2/32\"]");
    let forwarded = "-H 'X-Forwarded-For: 203.0.113.9, 198.51.100.7' -H 'X-Forwarded-Proto: https'";
    let log_in = |more: &str, name: &str| {
        let page = "https://10.91.0.1:8443/login";
        let jar = site.at("jar");
        let html = site.curl(&format!("-c {} {page}", jar.display()));
        let (_, rest) = html.split_once("name=\"csrf\" value=\"").unwrap();
        let token = rest.split('"').next().unwrap().to_owned();
        site.curl(&format!(
            "-b {} {more} -d csrf={token} -d name={name} -d password=nonsense -o /dev/null -D - {page}",
            jar.display()
        ))
    };
    let head = log_in(forwarded, "eve");
    assert!(head.starts_with("HTTP/2 401") && head.contains("; Secure"), "{head}");
    site.until("the refused login is recorded", |site| site.audit().contains("198.51.100.7"));
    assert!(!site.audit().contains("203.0.113.9"), "what the client says itself is not believed");
    // Who came in clear to the proxy has a page without promises.
    let head = log_in("-H 'X-Forwarded-Proto: http'", "mallory");
    assert!(
        !head.to_lowercase().contains("strict-transport-security") && !head.contains("; Secure"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_by_https() {
    let site = Site::start("");
    let browser = Browser::inside(&site.client).await;
    browser.client.goto("https://10.91.0.1:8443/").await.unwrap();
    browser.fill("#name", "admin").await;
    browser.fill("#password", &site.password).await;
    browser.click("button").await;
    browser.wait_for_text("h1", "Fleet").await;
    let version =
        browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol").await;
    assert_eq!(version, "h2");
    let cookies = browser.client.get_all_cookies().await.unwrap();
    let session = cookies.iter().find(|cookie| cookie.name() == "rackstrap").unwrap();
    assert_eq!((session.secure(), session.http_only()), (Some(true), Some(true)));
    // The live stream of the page runs over the same connection.
    browser.wait_for_text("#stream-state", "updates itself").await;
    browser.close().await;
}
