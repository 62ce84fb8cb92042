//! TLS of the operators' listener: the certificate, read again when its files change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::app::LiveConfig;
use crate::config::Config;
use crate::metrics;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// What clients may choose, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [H2, b"http/1.1"];
/// HTTP/2 in ALPN (RFC 9113 section 3.1).
pub(crate) const H2: &[u8] = b"h2";

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
    /// It is not an X.509 certificate.
    #[error("{path}: the first certificate cannot be read (X.509)")]
    Certificate {
        /// The file.
        path: String,
    },
}

/// The two files, as the configuration has them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(config: &Config) -> Option<Self> {
        let (certificate, key) = (config.tls_certificate.clone()?, config.tls_key.clone()?);
        Some(Self { certificate, key })
    }

    /// What changes when a file is written or replaced.
    fn stamp(&self) -> Stamp {
        let of = |path: &Path| {
            use std::os::unix::fs::MetadataExt;
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len(), found.ino()))
        };
        Stamp { files: self.clone(), of_each: [of(&self.certificate), of(&self.key)] }
    }

    fn load(&self) -> Result<Loaded, TlsError> {
        let shown = |path: &Path| path.display().to_string();
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::Read { path: shown(path), source })
        };
        let certificates = read(&self.certificate)?;
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&certificates).filter_map(Result::ok).collect();
        let first = certificates.first().ok_or_else(|| TlsError::Pem {
            path: shown(&self.certificate),
            expected: "CERTIFICATE",
        })?;
        let (_, parsed) = x509_parser::parse_x509_certificate(first)
            .map_err(|_| TlsError::Certificate { path: shown(&self.certificate) })?;
        let expires_at = parsed.validity().not_after.timestamp();
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|_| TlsError::Pem { path: shown(&self.key), expected: "PRIVATE KEY" })?;
        let unusable = |source| match source {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { key: shown(&self.key), certificate: shown(&self.certificate) }
            }
            source => TlsError::Unusable { certificate: shown(&self.certificate), source },
        };
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(unusable)?;
        server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Loaded { server: Arc::new(server), expires_at })
    }
}

/// What was seen of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    files: Files,
    of_each: [Option<(SystemTime, u64, u64)>; 2],
}

/// A certificate that is in use.
struct Loaded {
    server: Arc<ServerConfig>,
    /// The end of its validity, in Unix seconds.
    expires_at: i64,
}

/// Whether the certificate of a configuration can be used.
pub(crate) fn check(config: &Config) -> Result<(), TlsError> {
    Files::of(config).map_or(Ok(()), |files| files.load().map(drop))
}

/// The certificate of the listener; none while the configuration names none.
#[derive(Clone)]
pub(crate) struct Tls {
    config: LiveConfig,
    current: Arc<ArcSwapOption<Loaded>>,
}

impl Tls {
    /// Loads the certificate, and loads it again whenever its files or their names change, until
    /// `stop`. One that cannot be used is logged, and the one before it stays.
    ///
    /// # Errors
    /// If the first one cannot be used.
    pub(crate) fn start(config: LiveConfig, stop: CancellationToken) -> Result<Self, TlsError> {
        let tls = Self { config, current: Arc::default() };
        let mut seen = Files::of(&tls.config.now()).map(|files| files.stamp());
        if let Some(stamp) = &seen {
            tls.take(stamp.files.load()?, &stamp.files);
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
        let now = Files::of(&self.config.now()).map(|files| files.stamp());
        if *seen == now {
            return;
        }
        match &now {
            None => {
                tracing::warn!("no certificate is configured: the web UI speaks plain HTTP");
                self.current.store(None);
                metrics::CERTIFICATE_EXPIRY.store(0, Ordering::Relaxed);
            }
            Some(stamp) => match stamp.files.load() {
                Ok(loaded) => self.take(loaded, &stamp.files),
                // Certificate and key are often written one after the other.
                Err(error) => tracing::error!(%error, "the certificate is not replaced"),
            },
        }
        *seen = now;
    }

    fn take(&self, loaded: Loaded, files: &Files) {
        let path = files.certificate.display();
        let expires = jiff::Timestamp::from_second(loaded.expires_at).unwrap_or_default();
        match expires < jiff::Timestamp::now() {
            true => tracing::error!("the certificate in {path} expired at {expires}"),
            false => tracing::info!("the web UI uses the certificate in {path}, until {expires}"),
        }
        metrics::CERTIFICATE_EXPIRY.store(loaded.expires_at, Ordering::Relaxed);
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
        let tls = Tls { config: config.into(), current: Arc::default() };
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
