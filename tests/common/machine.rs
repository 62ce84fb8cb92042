//! The machine-facing server on a loopback port, with a database and boot files of its own.

use rackstrap::app::App;
use rackstrap::config::Config;
use rackstrap::files::FileStore;
use rackstrap::http::machine;
use rackstrap::inventory::{Change, Database, Inventory};
use rackstrap::leases::LeaseBook;
use rackstrap::model::Site;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A server on a loopback port, with a database and files of its own.
pub(crate) struct Server {
    /// What the services share.
    pub app: App,
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// Its data directory.
    pub directory: TempDir,
    stop: CancellationToken,
}

impl Server {
    /// Starts one with this site.
    pub(crate) async fn start(site: &str) -> Self {
        Self::start_with(site, Config::default()).await
    }

    /// Starts one with this site and configuration.
    pub(crate) async fn start_with(site: &str, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, site, config).await
    }

    /// Starts one on a listener that is bound already, maybe in another network namespace.
    pub(crate) async fn start_on(listener: TcpListener, site: &str, config: Config) -> Self {
        let directory = TempDir::new().unwrap();
        let address = listener.local_addr().unwrap();
        let config =
            Config { data_dir: directory.path().to_owned(), machine_listen: address, ..config };
        let inventory = fill(&config, site).await;
        let leases = LeaseBook::open(inventory.database.clone()).await.unwrap();
        let files = FileStore::new(vec![config.files_path()]);
        let app = App { config: config.into(), inventory, leases, files };
        let stop = CancellationToken::new();
        tokio::spawn(machine::run(app.clone(), listener, stop.clone()));
        Self { app, url: format!("http://{address}"), directory, stop }
    }

    /// Fetches a path.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        reqwest::get(format!("{}{path}", self.url)).await.unwrap()
    }

    /// Fetches a path and gives its text.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    /// Fetches a path with one more header.
    pub(crate) async fn get_with(
        &self,
        path: &str,
        header: &str,
        value: &str,
    ) -> reqwest::Response {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url));
        request.header(header, value).send().await.unwrap()
    }

    /// Reports for a host.
    pub(crate) async fn report(
        &self,
        mac: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let request = reqwest::Client::new().post(format!("{}/report/{mac}", self.url));
        request.body(body).send().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Makes the database and the boot files of a data directory.
pub(crate) async fn fill(config: &Config, site: &str) -> Inventory {
    let database = Database::open(&config.database_url()).await.unwrap();
    let inventory = Inventory::open(database).await.unwrap();
    let site: Site = serde_saphyr::from_str(site).unwrap();
    let change = Change { who: "test", summary: "fill", ..Change::default() };
    inventory.replace_site(change, site).await.unwrap();
    let files = config.files_path();
    std::fs::create_dir_all(files.join("live")).unwrap();
    std::fs::write(files.join("live/vmlinuz"), b"0123456789").unwrap();
    std::fs::write(files.join("live/initrd.img"), vec![7; 3_000_000]).unwrap();
    std::fs::write(files.join("ipxe.efi"), b"MZ efi").unwrap();
    inventory
}
