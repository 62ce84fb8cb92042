//! A UI on a loopback port with a database of its own, and a client that is logged in.

use std::net::IpAddr;

use rackstrap::app::App;
use rackstrap::config::Config;
use rackstrap::files::FileStore;
use rackstrap::http::ui;
use rackstrap::inventory::{Change, Database, Inventory};
use rackstrap::leases::LeaseBook;
use rackstrap::model::Site;
use reqwest::header::{HeaderMap, SET_COOKIE};
use reqwest::{Client, Response, redirect};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::common::sample;

pub(crate) const PASSWORD: &str = "cold aisle 42";

const SITE: &str = r#"
racks: {r1: {location: hall 2}}
switches: {leaf1a: {vendor: eos, rack: r1, native-vlan: 10}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
hosts:
  r1-n01:
    {rack: r1, unit: 1, serial: CZ4711, profile: hypervisor, image: live,
     nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"},
     addresses: {virbr0: 172.16.160.12}, reservations: {provisioning: 10.77.0.11}}
  r1-n02:
    {rack: r1, unit: 2, profile: hypervisor, image: live,
     nics: {eth0: {mac: "52:54:00:aa:00:03", switch: leaf1a, port: Ethernet2}, eth1: "52:54:00:aa:00:04"},
     addresses: {virbr0: 172.16.160.13}}
"#;

/// A running UI.
pub(crate) struct Server {
    pub app: App,
    pub url: String,
    stop: CancellationToken,
    _directory: TempDir,
}

impl Server {
    /// Starts one with the sample site and a user `ada`.
    pub(crate) async fn start() -> Self {
        Self::with(sample_site(), Config::default()).await
    }

    /// Starts one that answers at every address of this machine.
    pub(crate) async fn at_all_addresses() -> Self {
        let config = Config { admin_listen: ([0, 0, 0, 0], 0).into(), ..Config::default() };
        Self::with(sample_site(), config).await
    }

    /// Starts one with a site of the test's own.
    pub(crate) async fn with_site(site: Site) -> Self {
        Self::with(site, Config::default()).await
    }

    /// Starts one with an empty site and a configuration of the test's own.
    pub(crate) async fn with_config(config: Config) -> Self {
        Self::with(Site::default(), config).await
    }

    async fn with(site: Site, config: Config) -> Self {
        let directory = TempDir::new().unwrap();
        let config = Config { data_dir: directory.path().to_owned(), ..config };
        let database = Database::open(&config.database_url()).await.unwrap();
        database.add_user("ada", PASSWORD, rackstrap::model::Role::Admin).await.unwrap();
        let inventory = Inventory::open(database).await.unwrap();
        let change = Change { who: "ada", summary: "first site", ..Change::default() };
        inventory.replace_site(change, site).await.unwrap();
        let leases = LeaseBook::open(inventory.database.clone()).await.unwrap();
        let files = FileStore::new(vec![config.files_path()]);
        let app = App { config: config.into(), inventory, leases, files };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(ui::run(app.clone(), listener, stop.clone()));
        Self { app, url, stop, _directory: directory }
    }

    /// The URL of the same pages at another address of this machine.
    pub(crate) async fn also_at(&self, address: IpAddr) -> String {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(ui::run(self.app.clone(), listener, self.stop.clone()));
        url
    }

    /// A client without a login, which follows no redirect.
    pub(crate) fn stranger(&self) -> Visitor {
        let client = Client::builder()
            .cookie_store(true)
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        Visitor { url: self.url.clone(), client }
    }

    /// A client that is logged in as `ada`.
    pub(crate) async fn operator(&self) -> Visitor {
        let visitor = self.stranger();
        let answer = visitor.log_in("ada", PASSWORD).await;
        assert_eq!(answer.status(), 303, "login: {}", answer.text().await.unwrap());
        visitor
    }
}

fn sample_site() -> Site {
    let site = [SITE, sample::SUBNETS, &sample::hypervisor("virbr0")].concat();
    serde_saphyr::from_str(&site).unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Somebody with a browser that has cookies and no script.
pub(crate) struct Visitor {
    pub url: String,
    pub client: Client,
}

impl Visitor {
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// A page that must be there.
    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(body).send().await.unwrap()
    }

    /// Fetches a form, replaces values of its fields by name, and sends it as a browser would.
    pub(crate) async fn fill_in(&self, path: &str, values: &[(&str, &str)]) -> Response {
        let mut fields = fields(&self.page(path).await);
        for (name, value) in values {
            match fields.iter_mut().find(|(field, _)| field == name) {
                Some((_, old)) => (*value).clone_into(old),
                None => fields.push(((*name).to_owned(), (*value).to_owned())),
            }
        }
        self.post(path, encode(&fields)).await
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Response {
        self.fill_in("/login", &[("name", name), ("password", password)]).await
    }
}

/// The fields of the last form of a page with their values.
pub(crate) fn fields(html: &str) -> Vec<(String, String)> {
    let form = &html[html.rfind("<form").expect("the page has a form")..];
    let mut fields = Vec::new();
    for tag in form.split('<').skip(1) {
        let name = || attribute(tag, "name").expect("a field has a name");
        match tag.split([' ', '>']).next() {
            Some("input") if tag.contains("\"checkbox\"") && !tag.contains(" checked") => {}
            Some("textarea") => {
                let text = tag.split_once('>').map_or("", |(_, text)| text);
                fields.push((name(), unescape(text)));
            }
            Some("input") => fields.push((name(), attribute(tag, "value").unwrap_or_default())),
            Some("select") => fields.push((name(), String::new())),
            Some("option") if tag.contains(" selected") => {
                fields.last_mut().expect("an option is in a select").1 =
                    attribute(tag, "value").unwrap_or_default();
            }
            _ => {}
        }
    }
    fields
}

/// The value of an attribute in a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let value = rest.split('"').next()?;
    Some(unescape(value))
}

fn unescape(text: &str) -> String {
    let named = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    named.iter().fold(text.to_owned(), |text, (code, character)| text.replace(code, character))
}

/// `name=value&...`
pub(crate) fn encode(fields: &[(String, String)]) -> String {
    let part = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", part(name), part(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The session's cookie as the server sent it.
pub(crate) fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SET_COOKIE).iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}
