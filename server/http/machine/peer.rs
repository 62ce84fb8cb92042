//! Who is at the other end of a connection, and what they may read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::extract::ConnectInfo;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::congestion;
use super::connection::{Connection, TlsConnection};
use super::error::Error;
use crate::address_owner::{host_at, is_nic_of, lease_of, owns_address};
use crate::app::App;
use crate::boot::UrlName;
use crate::boot::ipxe_text::{BootToken, Url};
use crate::config::ProxyDhcp;
use crate::http::listen::LOG_EVERY;
use crate::inventory::{Snapshot, Token};
use crate::lifecycle::audit::{AuditAction, Author, Entrance, Origin};
use crate::model::{ClientKey, Host, Lease, Mac, NicAddress, decide_host};

/// The addresses of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionAddresses {
    /// The client.
    pub peer: SocketAddr,
    /// The address of this server that the client reached.
    pub local: SocketAddr,
    /// Whether it is encrypted.
    pub is_tls: bool,
}

/// Makes a connection of what was accepted, and says between which addresses it is.
pub(super) fn connect(stream: TcpStream, peer: SocketAddr) -> (Connection, ConnectionAddresses) {
    let addresses = prepare(&stream, peer, false);
    (Connection::new(stream), addresses)
}

/// The same of one that begins with a TLS handshake; none if that fails.
pub(super) async fn connect_tls(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
) -> Option<(TlsConnection, ConnectionAddresses)> {
    let addresses = prepare(&stream, peer, true);
    match acceptor.accept(stream).await {
        Ok(stream) => Some((TlsConnection::new(stream), addresses)),
        Err(error) => {
            // Firmware shows no more than that it cannot load the file.
            match may_log(Instant::now()) {
                true => tracing::info!(%peer, "TLS handshake failed: {error}"),
                false => tracing::debug!(%peer, "TLS handshake failed: {error}"),
            }
            None
        }
    }
}

/// Whether one more failed handshake is worth a line: strangers must not fill the log.
fn may_log(now: Instant) -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let may = last.is_none_or(|last| now >= last + LOG_EVERY);
    if may {
        *last = Some(now);
    }
    may
}

fn prepare(stream: &TcpStream, peer: SocketAddr, is_tls: bool) -> ConnectionAddresses {
    // A short answer must not wait for the client's delayed ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    if let Err(error) = congestion::suit(stream, peer.ip()) {
        tracing::debug!(%peer, %error, "congestion control unchanged");
    }
    // A socket that has lost its address is closed already: any answer is lost.
    let unknown = || SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let local = stream.local_addr().unwrap_or_else(|_| unknown());
    ConnectionAddresses { peer, local, is_tls }
}

/// Whether a token is enough, or what is recorded of it.
type Suffices = Result<(), Option<AuditAction>>;

/// Who asks, from where, with which token.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The client's address.
    pub address: IpAddr,
    /// The address of this server that the client reached.
    local: IpAddr,
    /// Whether the connection is encrypted.
    is_tls: bool,
    /// The `Authorization: Bearer` token, if one was sent.
    token: Option<String>,
    /// Whether only the head of the answer is wanted: then nothing is sent to the host.
    pub only_head: bool,
    /// What else the request says.
    pub headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let ConnectInfo(addresses): ConnectInfo<ConnectionAddresses> =
            ConnectInfo::from_request_parts(parts, state).await.map_err(|_| Error::NoPeer)?;
        // Nothing after this looks at them, and a copy costs as much as the answer.
        let headers = std::mem::take(&mut parts.headers);
        let authorization = headers.get(header::AUTHORIZATION);
        let token = authorization
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(|token| token.trim().to_owned());
        Ok(Self {
            address: addresses.peer.ip().to_canonical(),
            local: addresses.local.ip().to_canonical(),
            is_tls: addresses.is_tls,
            token,
            only_head: parts.method == Method::HEAD,
            headers,
        })
    }
}

impl Caller {
    /// This server as the caller reaches it.
    pub(super) fn base(&self, app: &App) -> Result<Url, Error> {
        Ok(app.config.now().machine_base_url(self.local).parse()?)
    }

    /// The same for what loads the next stage of a boot: who came by HTTPS goes on by it. Operating
    /// systems do not know the CA, so [`Self::base`] stays HTTP.
    pub(super) fn loader_base(&self, app: &App) -> Result<Url, Error> {
        let config = app.config.now();
        let by_tls = self.is_tls.then(|| config.machine_tls_base_url(self.local)).flatten();
        Ok(by_tls.unwrap_or_else(|| config.machine_base_url(self.local)).parse()?)
    }

    /// The bearer's token, if it can be that of a boot. The API's tokens contain a `_`.
    pub(super) fn boot_token(&self) -> Option<BootToken> {
        self.token.as_deref()?.parse().ok()
    }

    /// Whether the caller is the host itself: its address is one that the host owns or leases, or
    /// that another DHCP server gave to one of its NICs.
    pub(super) fn is_host(&self, app: &App, name: &str, host: &Host) -> bool {
        owns_address(&app.inventory.snapshot(), host, self.address)
            || self.lease(app).is_some_and(|lease| held_by(&lease, name, host))
            || self.is_neighbour(app, host)
    }

    /// Beside another DHCP server (`proxy_dhcp`) this one has no leases: the caller is the host
    /// whose NIC answers ARP for its address. Not behind a router, where that is the router's.
    fn is_neighbour(&self, app: &App, host: &Host) -> bool {
        app.config.now().proxy_dhcp != ProxyDhcp::Off && is_nic_of(self.address, host)
    }

    /// The address that a host boots with: the caller's, if it is the host; else one that DHCP
    /// gives it.
    pub(super) fn boot_address(&self, app: &App, name: &str, host: &Host) -> Option<IpAddr> {
        match self.is_host(app, name, host) {
            true => Some(self.address),
            false => host.reservations.values().chain(host.addresses.values()).next().copied(),
        }
    }

    /// What a URL names: a NIC, or a host by its name.
    ///
    /// # Errors
    /// It is neither the address of a NIC nor the name of a host.
    pub(super) fn find<'a>(
        &self,
        app: &App,
        snapshot: &'a Snapshot,
        text: &str,
    ) -> Result<Asked<'a>, Error> {
        match text.parse::<NicAddress>() {
            Ok(nic) => Ok(Asked {
                url_name: UrlName::Nic(nic),
                host: self.host_of_nic(app, snapshot, nic),
            }),
            Err(error) => {
                let host = snapshot.host(text).ok_or(error)?;
                Ok(Asked { url_name: UrlName::Host(text.to_owned()), host: Some(host) })
            }
        }
    }

    /// The host of a NIC: the inventory's, else the one that DHCP knew this very caller for,
    /// by its UUID, client identifier or switch port.
    fn host_of_nic<'a>(
        &self,
        app: &App,
        snapshot: &'a Snapshot,
        nic: NicAddress,
    ) -> Option<(&'a str, &'a Host)> {
        snapshot.host_of_nic(nic).or_else(|| {
            let lease = self.lease(app).filter(|lease| lease.nic == Some(nic.identity()))?;
            let ClientKey::Host(name) = &lease.client else { return None };
            snapshot.host(name)
        })
    }

    /// The host that the caller is, by its address.
    pub(super) fn find_host<'a>(
        &self,
        app: &App,
        snapshot: &'a Snapshot,
    ) -> Option<(&'a str, &'a Host)> {
        host_at(app, snapshot, self.address)
    }

    /// Lets through who may read a host's configuration: the host itself, this very machine
    /// and the bearer of any token. A MAC is no secret, so it alone opens nothing; the
    /// address that the server gave is what counts.
    pub(super) async fn check_may_read(
        &self,
        app: &App,
        name: &str,
        host: &Host,
    ) -> Result<(), Error> {
        self.check(app, name, host, |_| Ok(())).await
    }

    /// Lets through who may speak for a host: the same, but a token that may change.
    pub(super) async fn check_may_report(
        &self,
        app: &App,
        name: &str,
        host: &Host,
    ) -> Result<(), Error> {
        let suffices = |token: &Token| {
            if !token.may_change {
                return Err(Some(AuditAction::TokenReadOnly { token: token.name.clone() }));
            }
            let decided = decide_host(&token.all_limits(), name, Some(host), Some(host));
            decided.map_err(|denied| AuditAction::outside(&denied))
        };
        self.check(app, name, host, suffices).await
    }

    async fn check(
        &self,
        app: &App,
        name: &str,
        host: &Host,
        suffices: impl Fn(&Token) -> Suffices,
    ) -> Result<(), Error> {
        if self.is_host(app, name, host) || self.has_access(app, suffices).await? {
            return Ok(());
        }
        Err(Error::Stranger { host: name.to_owned(), address: self.address })
    }

    /// Whether it is an operator: on this very machine, or with any token of the API.
    pub(super) async fn is_operator(&self, app: &App) -> Result<bool, Error> {
        self.has_access(app, |_| Ok(())).await
    }

    /// Whether it asks from this very machine, or with a token of the API that suffices.
    async fn has_access(
        &self,
        app: &App,
        suffices: impl Fn(&Token) -> Suffices,
    ) -> Result<bool, Error> {
        if self.address.is_loopback() {
            return Ok(true);
        }
        if let Some(token) = &self.token {
            let token = app.inventory.database.find_token(token).await?;
            let origin = Origin { via: Entrance::Api, address: Some(self.address) };
            match token {
                Some(token) => {
                    let who = format!("token {}", token.name);
                    let author = Author { who: &who, origin };
                    match suffices(&token) {
                        Ok(()) => {
                            app.inventory.database.note_use(&token).await?;
                            let action = AuditAction::TokenUsed { token: token.name };
                            app.inventory.audit(author, action).await;
                            return Ok(true);
                        }
                        Err(Some(action)) => app.inventory.audit(author, action).await,
                        Err(None) => {}
                    }
                }
                None => {
                    let author = Author { who: "unknown token", origin };
                    app.inventory.audit(author, AuditAction::TokenRefused).await;
                }
            }
        }
        Ok(false)
    }

    /// The caller's lease, if it holds one.
    fn lease(&self, app: &App) -> Option<Lease> {
        lease_of(app, self.address)
    }
}

/// What a URL names.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    /// As the URL names it.
    pub(super) url_name: UrlName,
    /// The host; none for a NIC of no host.
    pub(super) host: Option<(&'a str, &'a Host)>,
}

impl<'a> Asked<'a> {
    /// The NIC: the one that the URL names, else the host's first.
    pub(super) fn nic(&self) -> Option<NicAddress> {
        let first = || Some(self.host?.1.nics.values().next()?.address);
        self.url_name.nic().or_else(first)
    }

    /// The MAC of that NIC, for events.
    pub(super) fn mac(&self) -> Option<Mac> {
        self.nic().and_then(NicAddress::mac)
    }

    /// The host that it is.
    ///
    /// # Errors
    /// The NIC is of no host.
    pub(super) fn known(&self) -> Result<(&'a str, &'a Host), Error> {
        let nobody = NicAddress::Mac(Mac([0; 6]));
        self.host.ok_or_else(|| Error::UnknownHost(self.url_name.nic().unwrap_or(nobody)))
    }
}

/// Whether a lease is the host's, even one from before it was adopted.
fn held_by(lease: &Lease, name: &str, host: &Host) -> bool {
    match &lease.client {
        ClientKey::Host(holder) => holder == name,
        ClientKey::Mac(mac) => host.has_mac(*mac),
        ClientKey::Guid(guid) => host.has_nic(NicAddress::Guid(*guid)),
        ClientKey::Id(_) => false,
    }
}
