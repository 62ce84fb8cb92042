//! Starts all services and stops them together.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, LogFormat};
use crate::files::FileStore;
use crate::images::{self, ImageStore};
use crate::inventory::vault::exposed_mode;
use crate::inventory::{
    self, Database, Expected, Inventory, OpenError, Retention, create_private_directory,
    directory_of, not_writable,
};
use crate::leases::LeaseBook;
use crate::lifecycle::stall::Patience;
use crate::{dhcp, dhcp6, dns, http, memory, supervisor, syslog, tftp, webhooks};

/// How long the services may take to finish running transfers when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The listen backlog: all hosts of a rack that is powered on connect at once.
const BACKLOG: i32 = 1024;

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The files directory or the lock of the database cannot be created.
    #[error("cannot create {path}: {source}")]
    Create {
        /// The directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another server has the database.
    #[error(
        "another rackstrap{process} serves {database}: several servers need PostgreSQL, and one \
         database of SQLite has one server"
    )]
    AlreadyServed {
        /// The file.
        database: String,
        /// ` (process ID)`, or nothing if that is unknown.
        process: String,
    },
    /// The inventory cannot be read.
    #[error(transparent)]
    Inventory(#[from] inventory::Error),
    /// The leases cannot be read.
    #[error("cannot read the leases: {0}")]
    Leases(#[from] sqlx::Error),
    /// The certificate of a listener cannot be used.
    #[error(transparent)]
    Tls(#[from] http::tls::CertificateError),
    /// A listener cannot be bound: the port is in use or not allowed.
    #[error("cannot listen on {address}: {source}; set {key} to another address")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A service failed.
    #[error("{service} failed: {source}")]
    Service {
        /// Name of the service, such as `DHCP`.
        service: &'static str,
        /// The reason.
        source: io::Error,
    },
}

/// A server whose database is open and whose listeners are bound.
pub(crate) struct Server {
    app: App,
    admin: TcpListener,
    machine: TcpListener,
    machine_tls: Option<TcpListener>,
    syslog: Option<UdpSocket>,
    /// Keeps other servers from SQLite's file, until this one ends.
    _lock: Option<Flock<File>>,
}

impl Server {
    /// Opens the database, reads the inventory and binds both HTTP listeners.
    pub(crate) async fn open(config: Config) -> Result<Self, ServeError> {
        memory::keep_no_large_blocks();
        http::listen::raise_descriptor_limit();
        http::tls::check(&config)?;
        let Config { data_dir, inventory_id, .. } = &config;
        let url = config.database_url();
        create_private_directory(data_dir).map_err(creating(data_dir))?;
        // Before the schema is upgraded: it may be another server's.
        let lock = lock_database(&url)?;
        let expected = Expected { data_dir, id: inventory_id.as_deref() };
        let database = Database::open_known(&url, &expected).await?;
        let files = config.files_path();
        std::fs::create_dir_all(&files).map_err(creating(&files))?;
        let inventory = Inventory::open(database.clone()).await?;
        let key = config.secret_key_path();
        inventory.use_key_file(&key, true).await?;
        if let Some(mode) = exposed_mode(&key) {
            let path = key.display();
            tracing::warn!(
                "key file {path} has mode {mode:04o}: other users of this machine can use the key of all \
                 secrets; chmod 600 {path}"
            );
        }
        inventory.states.set_patience(Patience { percent: config.boot_patience_percent });
        if config.log_format == LogFormat::Json {
            inventory.events.log_fields();
        }
        let leases = LeaseBook::open(database).await?;
        let files = FileStore::new(vec![config.files_path()]).with_package(config.ipxe_dir.clone());
        let (of_images, store) = (files.clone(), ImageStore::new(config.files_path()));
        match store.sweep() {
            Ok(0) => {}
            Ok(swept) => tracing::info!("removed {swept} files that did not arrive whole"),
            Err(error) => tracing::warn!("files that did not arrive whole remain: {error}"),
        }
        inventory.set_boot_files(move |name, record| {
            let of_record = images::file_fault(&store, record);
            of_record.or_else(|| of_images.fault(name).map(|fault| fault.to_string()))
        });
        let admin = listen("admin_listen", config.admin_listen)?;
        let machine = listen("machine_listen", config.machine_listen)?;
        let listen_tls = |address| listen("machine_tls_listen", address);
        let machine_tls = config.machine_tls_listen.map(listen_tls).transpose()?;
        let syslog = config.syslog_listen.map(listen_for_syslog).transpose()?;
        let app = App { config: config.into(), inventory, leases, files };
        Ok(Self { app, admin, machine, machine_tls, syslog, _lock: lock })
    }

    /// The state that the services share.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Runs all services until `stop`, or until one fails; then stops the others: HTTP first, and
    /// DHCP and TFTP when its requests are answered, so that a host that boots meanwhile goes on.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), ServeError> {
        let Self { app, admin, machine, machine_tls, syslog, _lock } = self;
        log_services(&app, &admin, &machine);
        let ending = stop.clone();
        let last = CancellationToken::new();
        // Before a host can report.
        let webhooks = webhooks::run(app.clone(), last.clone());
        let mut http = Services::new(&stop);
        http.start("machine HTTP", http::machine::run(app.clone(), machine, stop.clone()));
        if let Some(listener) = machine_tls {
            let service = http::machine::run_tls(app.clone(), listener, stop.clone());
            http.start("machine HTTPS", service);
        }
        http.start("web UI", http::ui::run(app.clone(), admin, stop.clone()));
        let mut others = Services::new(&stop);
        let inventory = &app.inventory;
        let live = app.config.clone();
        let retention = move || {
            let Config { event_days, event_boots, event_rows, .. } = *live.now();
            Retention { days: event_days, boots: event_boots, rows: event_rows }
        };
        others.start("event log", inventory.clone().run_events(retention, last.clone()));
        others.start("host states", inventory.clone().run_states(last.clone()));
        others.start("inventory watch", inventory.clone().run_watch(last.clone()));
        others.start("lease watch", app.leases.clone().run_watch(last.clone()));
        let live = app.config.clone();
        let audit_days = move || live.now().audit_days;
        others.start("audit log", inventory.clone().run_audit(audit_days, last.clone()));
        others.start("unknown clients", inventory.clone().run_unknown_clients(last.clone()));
        others.start("roll-outs", inventory.clone().run_roll_outs(last.clone()));
        others.start("rental watch", inventory.clone().run_rental_ends(last.clone()));
        if let Some(socket) = syslog {
            others.start("syslog", syslog::run(app.clone(), socket, last.clone()));
        }
        others.start("DNS updates", dns::run(app.clone(), last.clone()));
        others.start("webhooks", webhooks);
        let database = inventory.database.clone();
        others.start("database", database.run_upkeep(last.clone()));
        let config = app.config.now();
        if !config.interfaces.is_empty() {
            if config.dhcp {
                others.start("DHCP", dhcp::run(app.clone(), last.clone()));
            }
            if config.dhcp && config.dhcp6 {
                others.start("DHCPv6", dhcp6::run(app.clone(), last.clone()));
            }
            if config.router_advertisements {
                others.start("router advertisements", dhcp::advertise(app.clone(), last.clone()));
            }
            if config.tftp {
                others.start("TFTP", tftp::run(app.clone(), last.clone()));
            }
        }
        let leases = app.leases.clone();
        let lock_is_free = move || leases.wait_for_decision();
        tokio::spawn(supervisor::run_watchdog(lock_is_free, last.clone()));
        supervisor::ready();
        let ended = async {
            tokio::join!(http.until_all_end(), others.until_one_ends());
            last.cancel();
            others.until_all_end().await;
        };
        let deadline = async {
            ending.cancelled().await;
            supervisor::stopping();
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            () = ended => {}
            () = deadline => {
                tracing::warn!("requests or transfers still run after {DRAIN:?}; closing them");
            }
        }
        let outcome = http.close().await.and(others.close().await);
        app.inventory.events.flush(DRAIN).await;
        app.inventory.database.close().await;
        outcome
    }
}

/// Whether the certificates that the configuration names can be used.
pub(crate) fn check_certificate(config: &Config) -> Result<(), ServeError> {
    Ok(http::tls::check(config)?)
}

/// The error of a file or directory that cannot be made.
fn creating(path: &Path) -> impl Fn(io::Error) -> ServeError {
    move |source| ServeError::Create { path: path.display().to_string(), source }
}

/// Takes SQLite's database for this server alone: two would give leases without knowing of each
/// other. The lock ends with the process, however that ends.
pub(crate) fn lock_database(url: &str) -> Result<Option<Flock<File>>, ServeError> {
    let Some(database) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = PathBuf::from(format!("{database}.lock"));
    let failed = creating(&path);
    let mut create = OpenOptions::new();
    let file = create.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = file.open(&path).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => not_writable(&path, directory_of(&path)).into(),
        _ => failed(source),
    })?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
            written.map_err(&failed)?;
            Ok(Some(lock))
        }
        Err((_, Errno::EWOULDBLOCK)) => {
            let id = std::fs::read_to_string(&path).unwrap_or_default();
            let process = match id.trim() {
                "" => String::new(),
                id => format!(" (process {id})"),
            };
            Err(ServeError::AlreadyServed { database: database.to_owned(), process })
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

/// Services that run. When one ends, `stop` ends the others.
struct Services {
    tasks: JoinSet<(&'static str, io::Result<()>)>,
    stop: CancellationToken,
    outcome: Result<(), ServeError>,
}

impl Services {
    fn new(stop: &CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), stop: stop.clone(), outcome: Ok(()) }
    }

    fn start(
        &mut self,
        name: &'static str,
        service: impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (name, service.await) });
    }

    /// Waits until all have ended.
    async fn until_all_end(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            self.note(ended);
        }
    }

    /// Waits until one has ended, or until `stop`.
    async fn until_one_ends(&mut self) {
        let stop = self.stop.clone();
        if let Some(Some(ended)) = stop.run_until_cancelled(self.tasks.join_next()).await {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Result<(&'static str, io::Result<()>), JoinError>) {
        let (service, ended) = ended.unwrap_or_else(|error| ("a service", Err(error.into())));
        if let (Err(source), true) = (ended, self.outcome.is_ok()) {
            self.outcome = Err(ServeError::Service { service, source });
        }
        self.stop.cancel();
    }

    /// Ends those that still run. The error is that of the first that failed.
    async fn close(mut self) -> Result<(), ServeError> {
        self.tasks.shutdown().await;
        self.outcome
    }
}

fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    let listener = bind(address).and_then(|socket| TcpListener::from_std(socket.into()));
    listener.map_err(|source| ServeError::Listen { key, address, source })
}

/// Takes datagrams on an address. `[::]` means every address, as for [`bind`].
fn listen_for_syslog(address: SocketAddr) -> Result<UdpSocket, ServeError> {
    let bound = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), None)?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    };
    bound(address).map_err(|source| ServeError::Listen { key: "syslog_listen", address, source })
}

/// Listens on an address. `[::]` means every address: IPv4 too, and IPv4 only if the kernel
/// has no IPv6.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    match bind_exactly(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && lacks_ipv6(&error) => {
            bind_exactly(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        bound => bound,
    }
}

/// Listens on an address; on `[::]` for IPv4 too, whatever `net.ipv6.bindv6only` is.
fn bind_exactly(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Whether the kernel has no IPv6: not compiled in, or disabled by `ipv6.disable=1`.
fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

/// The URLs that hosts are given: never one with an address that stands for all.
fn fetched_from(config: &Config, machine: &TcpListener) -> String {
    let Ok(address) = machine.local_addr() else { return "an unknown address".to_owned() };
    if config.machine_url.is_some() || !address.ip().is_unspecified() {
        return config.machine_base_url(address.ip());
    }
    let is_served =
        |name: &String| config.interfaces.is_empty() || config.interfaces.contains(name);
    let own = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let own = own.filter(|entry| is_served(&entry.interface_name));
    let own = own.filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()));
    let urls: Vec<String> = own
        .filter(|own| !own.is_loopback())
        .map(|own| config.machine_base_url(own.into()))
        .collect();
    match urls.is_empty() {
        true => format!("port {} of every address of this server", address.port()),
        false => urls.join(", "),
    }
}

/// Logs the listening addresses and which services are on.
fn log_services(app: &App, admin: &TcpListener, machine: &TcpListener) {
    let at = admin.local_addr().map(|address| app.config.now().admin_url(address));
    tracing::info!("web UI at {}", at.unwrap_or_else(|error| error.to_string()));
    tracing::info!("hosts fetch from {}", fetched_from(&app.config.now(), machine));
    let config = app.config.now();
    let Config { interfaces, dhcp, tftp, router_advertisements, .. } = config.as_ref();
    if interfaces.is_empty() {
        tracing::warn!(
            "no interface is configured: DHCP, TFTP and router advertisements are off; set \
             --interface NAME or interfaces = [\"NAME\"]"
        );
        return;
    }
    let on = |enabled: &bool| if *enabled { "on" } else { "off" };
    tracing::info!(
        "serving on {}: DHCP {}, TFTP {}, router advertisements {}",
        interfaces.join(", "),
        on(dhcp),
        on(tftp),
        on(router_advertisements)
    );
}
