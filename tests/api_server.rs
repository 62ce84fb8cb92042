//! A server of the API on a loopback port, with a real site and tokens.

use rackstrap::app::App;
use rackstrap::config::Config;
use rackstrap::files::FileStore;
use rackstrap::http::ui;
use rackstrap::inventory::Change;
use rackstrap::leases::LeaseBook;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::common::sample;
use crate::common::store::Store;

/// Every noun that [`sample`] has not.
const SITE: &str = r#"
racks: {r1: {location: hall 2, units: 42}}
tenants: {acme: {contact: ops@acme.example}}
switches: {leaf1: {vendor: eos, rack: r1}}
images:
  live: {kernel: live/vmlinuz, initrd: [live/initrd.img], cmdline: "console=ttyS0"}
  disk: {local: true}
hosts:
  r1-n01:
    {rack: r1, unit: 1, serial: CZ4711, profile: hypervisor, image: live, tenant: acme,
     nics: {eth0: "52:54:00:aa:00:01", eth1: "52:54:00:aa:00:02"},
     addresses: {br0: 172.16.160.12}, reservations: {provisioning: 10.77.0.11}}
  r1-n02:
    {rack: r1, unit: 2, profile: hypervisor, image: disk,
     nics: {eth0: {mac: "52:54:00:aa:00:03", switch: leaf1, port: Ethernet2}, eth1: "52:54:00:aa:00:04"},
     addresses: {br0: 172.16.160.13}}
"#;

/// A site with an entry of every noun.
pub(crate) fn site() -> String {
    [SITE, sample::SUBNETS, &sample::hypervisor("br0")].concat()
}

/// A running server.
pub(crate) struct ApiServer {
    pub app: App,
    /// Its address with `/api/v1`.
    pub url: String,
    /// A token that may change.
    pub token: String,
    stop: CancellationToken,
    _store: Store,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        Self::with_store(Store::sqlite()).await
    }

    pub(crate) async fn with_store(store: Store) -> Self {
        let inventory = store.inventory().await;
        let keys = tempfile::TempDir::new().unwrap();
        inventory.use_key_file(&keys.path().join("secret.key"), true).await.unwrap();
        let change = Change { who: "ada", summary: "first site", ..Change::default() };
        inventory.replace_site(change, serde_saphyr::from_str(&site()).unwrap()).await.unwrap();
        let token = inventory
            .database
            .add_token(&rackstrap::inventory::NewToken::new(
                "writer",
                rackstrap::model::Role::Operator,
            ))
            .await
            .unwrap();
        let leases = LeaseBook::open(inventory.database.clone()).await.unwrap();
        let files = FileStore::new(Vec::new());
        let app = App { config: Config::default().into(), inventory, leases, files };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(ui::run(app.clone(), listener, stop.clone()));
        Self { app, url, token, stop, _store: store }
    }

    /// Begins a request with the token.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        let url = format!("{}{path}", self.url);
        reqwest::Client::new().request(method, url).bearer_auth(&self.token)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
