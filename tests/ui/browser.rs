//! A headless Chromium of the test's own, driven by chromedriver.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tempfile::TempDir;

use crate::common::dhcp::wait_for;
use crate::common::netns::{Netns, run};

/// How long anything on a page may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// A browser; gone when dropped.
pub(crate) struct Browser {
    pub client: Client,
    /// An address at which a namespace's browser reaches programs of the test.
    pub near: Option<IpAddr>,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser with an empty profile.
    pub(crate) async fn start() -> Self {
        Self::driven(Command::new("chromedriver"), "127.0.0.1").await
    }

    /// Starts one inside a namespace, which accepts any certificate.
    pub(crate) async fn inside(namespace: &Netns) -> Self {
        // The driver is reached from here by a link of its own, which no other browser has.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let prefix = format!("10.92.{}", process % 200);
        let (near, far) =
            (format!("{prefix}.{}", number * 4 + 1), format!("{prefix}.{}", number * 4 + 2));
        let name = format!("rsb{process}-{number}");
        let link = format!("link add {name} type veth peer name drv netns {}", namespace.name);
        let lines =
            [link, format!("address add {near}/30 dev {name}"), format!("link set {name} up")];
        for line in lines {
            run(&["ip"].into_iter().chain(line.split(' ')).collect::<Vec<_>>());
        }
        namespace.ip(&format!("address add {far}/30 dev drv"));
        namespace.ip("link set drv up");
        // An address that comes later ends what the browser loads just then (ERR_NETWORK_CHANGED).
        wait_for("no address is tentative", || {
            namespace.sh("ip -6 address show tentative").stdout.is_empty()
        });
        let mut command = namespace.command("chromedriver");
        command.args(["--allowed-ips=", "--allowed-origins=*"]);
        let mut browser = Self::driven(command, &far).await;
        browser.near = near.parse().ok();
        browser
    }

    async fn driven(mut command: Command, address: &str) -> Self {
        let mut driver = command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver)");
        let port = port_of(&mut driver);
        let profile = TempDir::new().unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path()))
            .connect(&format!("http://{address}:{port}"))
            .await
            .unwrap();
        client.set_window_size(1440, 1000).await.unwrap();
        Self { client, near: None, driver, _profile: profile }
    }

    /// Ends the browser.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.unwrap();
    }

    /// The element, once it is there.
    pub(crate) async fn find(&self, css: &str) -> Element {
        let waiting = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css));
        waiting.await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// Waits until the element has a word in its text.
    pub(crate) async fn wait_for_text(&self, css: &str, word: &str) {
        let begin = std::time::Instant::now();
        loop {
            // Read by script: an element that the page replaces meanwhile is no error then.
            let script =
                "const e = document.querySelector(arguments[0]); return e ? e.textContent : ''";
            let text = self.client.execute(script, vec![json!(css)]).await.unwrap();
            if text.as_str().is_some_and(|text| text.contains(word)) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{css} lacks {word:?}: {text}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types into a field in place of what is there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub(crate) async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> serde_json::Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Saves what the window shows, whole, as `target/screenshots/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let height = self.run("return document.documentElement.scrollHeight").await;
        let height = height.as_u64().unwrap().clamp(600, 4000) as u32;
        let width = self.client.get_window_size().await.unwrap().0 as u32;
        self.client.set_window_size(width, height + 140).await.unwrap();
        let picture = self.client.screenshot().await.unwrap();
        self.client.set_window_size(width, 1000).await.unwrap();
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(format!("{name}.png")), picture).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that chromedriver chose, from what it prints.
fn port_of(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let said = lines.map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    said.expect("chromedriver says its port")
}

fn capabilities(profile: &Path) -> serde_json::Map<String, serde_json::Value> {
    let user_data = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        &user_data,
    ];
    let capabilities = json!({
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "goog:chromeOptions": {"args": arguments},
        "goog:loggingPrefs": {"browser": "ALL"},
    });
    capabilities.as_object().unwrap().clone()
}
