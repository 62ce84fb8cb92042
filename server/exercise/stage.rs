//! The shared parts of a server on a database of its own, for checks that ask real services.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::{Builder, Runtime};

use crate::app::App;
use crate::config::Config;
use crate::files::FileStore;
use crate::inventory::{Change, Database, Inventory};
use crate::leases::LeaseBook;
use crate::site_file;

/// A server without sockets, and the runtime that its tasks are on: they go on only
/// while somebody waits in [`TestServer::block_on`].
pub(crate) struct TestServer {
    pub(crate) app: App,
    runtime: Runtime,
    directory: PathBuf,
}

impl TestServer {
    /// Sets one up with a site. Its database goes with it.
    pub(crate) fn set(config: Config, site: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rackstrap-exercise-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let site = site_file::parse(site, "site.yaml").expect("a sound site");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("sqlite:{}", directory.join("db").display());
        let app = runtime.block_on(async {
            let database = Database::open(&url).await.expect("a database");
            let inventory = Inventory::open(database.clone()).await.expect("an inventory");
            let change = Change { who: "test", summary: "site", ..Change::default() };
            inventory.replace_site(change, site).await.expect("a sound site");
            inventory.use_key_file(&directory.join("key"), true).await.expect("a key");
            let leases = LeaseBook::open(database).await.expect("a lease book");
            let files = FileStore::new(vec![config.files_path()]);
            App { config: config.into(), inventory, leases, files }
        });
        Self { app, runtime, directory }
    }

    /// Waits for something that the server does.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
