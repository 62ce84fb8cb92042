//! TLS of the listeners: the certificate of each, read again when its files change.

mod ffdhe;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use nix::ifaddrs::getifaddrs;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::app::LiveConfig;
use crate::authority::{self, AuthorityError};
use crate::config::{Config, MachineUrl};
use crate::metrics;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// HTTP/2 in ALPN (RFC 9113 section 3.1).
pub(crate) const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Whose listener a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People and programs: `admin_listen`.
    Operators,
    /// Booting hosts: `machine_tls_listen`.
    Machines,
}

impl Audience {
    const ALL: [Self; 2] = [Self::Operators, Self::Machines];

    /// What a client may choose in ALPN, the preferred one first.
    fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::Operators => &[H2, HTTP1],
            Self::Machines => &[HTTP1],
        }
    }

    fn provider(self) -> CryptoProvider {
        match self {
            Self::Operators => ring::default_provider(),
            Self::Machines => ffdhe::provider(),
        }
    }

    /// Where the end of its certificate is published; 0 without one.
    fn expiry(self) -> &'static AtomicI64 {
        match self {
            Self::Operators => &metrics::CERTIFICATE_EXPIRY,
            Self::Machines => &metrics::MACHINE_CERTIFICATE_EXPIRY,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Operators => "the web UI",
            Self::Machines => "HTTPS for hosts",
        }
    }

    /// What to do about a certificate that cannot be used.
    fn remedy(self) -> &'static str {
        match self {
            Self::Operators => "correct tls_certificate and tls_key, or remove them",
            Self::Machines => {
                "create a CA with rackstrap ca create, or correct machine_tls_certificate and \
                 machine_tls_key"
            }
        }
    }
}

/// A listener's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{source}; {}", .audience.remedy())]
pub(crate) struct CertificateError {
    audience: Audience,
    source: TlsError,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what its key is for.
    #[error("{path} has no {expected} in PEM (-----BEGIN {expected}-----)")]
    Pem {
        /// The file.
        path: String,
        /// What it must have.
        expected: &'static str,
    },
    /// The key is another certificate's.
    #[error("the key in {key} does not belong to the first certificate in {certificate}")]
    Mismatch {
        /// The file of the key.
        key: String,
        /// The file of the certificate.
        certificate: String,
    },
    /// The library refuses it.
    #[error("cannot use {certificate}: {source}")]
    Unusable {
        /// The file of the certificate.
        certificate: String,
        /// Why.
        source: rustls::Error,
    },
    /// The CA of hosts signs none.
    #[error("cannot sign with {certificate}: {source}")]
    Authority {
        /// The file of the CA.
        certificate: String,
        /// Why.
        source: AuthorityError,
    },
    /// It is not an X.509 certificate.
    #[error("{path}: the first certificate cannot be read (X.509)")]
    Certificate {
        /// The file.
        path: String,
    },
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// What the two have.
    fn read(&self) -> Result<[Vec<u8>; 2], TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::Read { path: shown(path), source })
        };
        Ok([read(&self.certificate)?, read(&self.key)?])
    }

    /// The error of a CA.
    fn refused(&self, source: AuthorityError) -> TlsError {
        TlsError::Authority { certificate: shown(&self.certificate), source }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Where a certificate comes from, as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// The files have it.
    Files(Files),
    /// The files have a CA, which signs one for these names.
    Authority(Files, Vec<String>),
}

impl Source {
    fn of(audience: Audience, config: &Config) -> Option<Self> {
        let pair = |certificate: &Option<PathBuf>, key: &Option<PathBuf>| {
            Some(Self::Files(Files { certificate: certificate.clone()?, key: key.clone()? }))
        };
        match audience {
            Audience::Operators => pair(&config.tls_certificate, &config.tls_key),
            Audience::Machines => {
                config.machine_tls_listen?;
                let own = pair(&config.machine_tls_certificate, &config.machine_tls_key);
                own.or_else(|| {
                    let [certificate, key] = authority::files(&config.data_dir);
                    let files = Files { certificate, key };
                    Some(Self::Authority(files, names(config)))
                })
            }
        }
    }

    fn files(&self) -> &Files {
        match self {
            Self::Files(files) | Self::Authority(files, _) => files,
        }
    }

    /// What changes when a file is written or replaced.
    fn stamp(self) -> Stamp {
        let of = |path: &Path| {
            use std::os::unix::fs::MetadataExt;
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        };
        let Files { certificate, key } = self.files();
        let of_each = [of(certificate), of(key)];
        Stamp { source: self, of_each }
    }

    /// Whether it can be used. A CA signs nothing for that: a new key takes up to a second, which
    /// DHCP would wait for.
    fn check(&self, audience: Audience) -> Result<(), TlsError> {
        let Self::Authority(files, _) = self else { return self.load(audience).map(drop) };
        let [pem, key_pem] = files.read()?.map(|text| String::from_utf8_lossy(&text).into_owned());
        authority::check(&pem, &key_pem).map_err(|source| files.refused(source))
    }

    fn load(&self, audience: Audience) -> Result<Loaded, TlsError> {
        let files = self.files();
        let Files { certificate, key } = files;
        let not_pem = |path: &Path, expected| TlsError::Pem { path: shown(path), expected };
        let [pem, key_pem] = files.read()?;
        let (chain, private) = match self {
            Self::Files(_) => {
                let chain: Vec<CertificateDer<'static>> =
                    CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
                let private = PrivateKeyDer::from_pem_slice(&key_pem)
                    .map_err(|_| not_pem(key, "PRIVATE KEY"));
                (chain, private)
            }
            Self::Authority(_, names) => {
                let (pem, key_pem) =
                    (String::from_utf8_lossy(&pem), String::from_utf8_lossy(&key_pem));
                let issued = authority::issue(&pem, &key_pem, names);
                let (chain, private) = issued.map_err(|source| files.refused(source))?;
                (chain, Ok(private))
            }
        };
        let first = chain.first().ok_or_else(|| not_pem(certificate, "CERTIFICATE"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(first)
            .map_err(|_| TlsError::Certificate { path: shown(certificate) })?;
        let expires_at = parsed.validity().not_after.timestamp();
        let unusable = |source| match source {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { key: shown(key), certificate: shown(certificate) }
            }
            source => TlsError::Unusable { certificate: shown(certificate), source },
        };
        let mut server = ServerConfig::builder_with_provider(Arc::new(audience.provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, private?)
            .map_err(unusable)?;
        server.alpn_protocols =
            audience.protocols().iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Loaded { server: Arc::new(server), expires_at })
    }
}

/// What hosts reach this server by: its addresses, and the host of `machine_url`, which may be an
/// address that another server has at the moment. Sorted.
fn names(config: &Config) -> Vec<String> {
    let addresses = getifaddrs().into_iter().flatten().filter_map(|entry| entry.address);
    let mut addresses: Vec<IpAddr> = addresses
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|found| IpAddr::from(found.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::from(found.ip())))
        })
        .filter(|address| match address {
            IpAddr::V4(address) => !address.is_loopback(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        })
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let mut names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let host = config.machine_url.as_ref().map(MachineUrl::host);
    if let Some(host) = host.filter(|host| !names.iter().any(|name| name == host)) {
        names.push(host.to_owned());
    }
    names
}

/// What was seen of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    source: Source,
    of_each: [Option<(SystemTime, u64, u64)>; 2],
}

/// A certificate that is in use.
struct Loaded {
    server: Arc<ServerConfig>,
    /// The end of its validity, in Unix seconds.
    expires_at: i64,
}

/// Whether the certificates of a configuration can be used.
pub(crate) fn check(config: &Config) -> Result<(), CertificateError> {
    Audience::ALL.into_iter().try_for_each(|audience| {
        let usable = Source::of(audience, config).map_or(Ok(()), |source| source.check(audience));
        usable.map_err(|source| CertificateError { audience, source })
    })
}

/// The certificate of the listener; none while the configuration names none.
#[derive(Clone)]
pub(crate) struct Tls {
    audience: Audience,
    config: LiveConfig,
    current: Arc<ArcSwapOption<Loaded>>,
}

impl Tls {
    /// Loads the certificate, and loads it again whenever its files or their names change, until
    /// `stop`. One that cannot be used is logged, and the one before it stays.
    ///
    /// # Errors
    /// If the first one cannot be used.
    pub(crate) fn start(
        audience: Audience,
        config: LiveConfig,
        stop: CancellationToken,
    ) -> Result<Self, TlsError> {
        let tls = Self { audience, config, current: Arc::default() };
        let mut seen = Source::of(audience, &tls.config.now()).map(Source::stamp);
        if let Some(stamp) = &seen {
            tls.take(stamp.source.load(audience)?, &stamp.source);
        }
        let own = tls.clone();
        tokio::spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
                own.refresh(&mut seen);
            }
        });
        Ok(tls)
    }

    /// What a new connection is accepted with; none without a certificate.
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.current.load_full().map(|loaded| TlsAcceptor::from(loaded.server.clone()))
    }

    fn refresh(&self, seen: &mut Option<Stamp>) {
        let now = Source::of(self.audience, &self.config.now()).map(Source::stamp);
        if *seen == now {
            return;
        }
        match &now {
            None => {
                tracing::warn!("no certificate is configured for {}", self.audience.label());
                self.current.store(None);
                self.audience.expiry().store(0, Ordering::Relaxed);
            }
            Some(stamp) => match stamp.source.load(self.audience) {
                Ok(loaded) => self.take(loaded, &stamp.source),
                // Certificate and key are often written one after the other.
                Err(error) => tracing::error!(%error, "the certificate is not replaced"),
            },
        }
        *seen = now;
    }

    fn take(&self, loaded: Loaded, source: &Source) {
        let label = self.audience.label();
        let whose = match source {
            Source::Files(files) => format!("the certificate in {}", files.certificate.display()),
            Source::Authority(files, names) => format!(
                "a certificate for {}, signed with {}",
                names.join(", "),
                files.certificate.display()
            ),
        };
        let expires = jiff::Timestamp::from_second(loaded.expires_at).unwrap_or_default();
        match expires < jiff::Timestamp::now() {
            true => tracing::error!("{label} uses {whose}, which expired at {expires}"),
            false => tracing::info!("{label} uses {whose}, until {expires}"),
        }
        self.audience.expiry().store(loaded.expires_at, Ordering::Relaxed);
        self.current.store(Some(Arc::new(loaded)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, in PEM.
    fn pair() -> [String; 2] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        [made.cert.pem(), made.signing_key.serialize_pem()]
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let ([certificate, key], [_, other]) = (pair(), pair());
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned();
        for (name, text) in
            [("crt", &certificate), ("key", &key), ("other", &other), ("broken", &broken)]
        {
            fs::write(path(name), text).unwrap();
        }
        let cases = [
            ("crt", "key", ""),
            ("none", "key", "cannot read "),
            ("crt", "none", "cannot read "),
            ("key", "key", "has no CERTIFICATE in PEM"),
            ("crt", "crt", "has no PRIVATE KEY in PEM"),
            ("crt", "other", "does not belong to the first certificate in "),
            ("broken", "key", "the first certificate cannot be read"),
        ];
        for (certificate, key, expected) in cases {
            let config = Config {
                tls_certificate: Some(path(certificate)),
                tls_key: Some(path(key)),
                ..Config::default()
            };
            let said = check(&config).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{said}");
        }
    }

    #[test]
    fn a_pair_that_does_not_fit_leaves_the_old_one_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
        let ([certificate, key], [new_certificate, new_key]) = (pair(), pair());
        write("crt", &certificate);
        write("key", &key);
        let config = Config {
            tls_certificate: Some(path("crt")),
            tls_key: Some(path("key")),
            ..Config::default()
        };
        let audience = Audience::Operators;
        let tls = Tls { audience, config: config.into(), current: Arc::default() };
        let mut seen = None;
        let refresh = |seen: &mut Option<Stamp>| {
            tls.refresh(seen);
            tls.current.load_full().map(|loaded| Arc::as_ptr(&loaded.server))
        };
        let first = refresh(&mut seen);
        assert!(first.is_some());
        assert_eq!(refresh(&mut seen), first);
        write("crt", &new_certificate);
        assert_eq!(refresh(&mut seen), first, "the key is not there yet");
        write("key", &new_key);
        let second = refresh(&mut seen);
        assert!(second.is_some() && second != first);
        fs::remove_file(path("crt")).unwrap();
        assert_eq!(refresh(&mut seen), second, "a missing file takes nothing away");
        tls.config.replace(Config::default());
        assert_eq!(refresh(&mut seen), None);
    }
}
