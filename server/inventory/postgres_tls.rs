//! What a database URL says of TLS, and what a failed handshake means.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{CertificateError, Error as TlsError, RootCertStore};

/// How a PostgreSQL server is to be known, in the words of libpq.
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// What sqlx reads about TLS. It passes over other parameters with a line of the log, so that
/// `ssl_mode=require` would mean a connection without TLS.
const PARAMETERS: [&str; 9] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
];

/// What a URL says of TLS that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum TlsParameterError {
    /// No such mode.
    #[error("{key} \"{value}\" is not one of {}", MODES.join(", "))]
    Mode {
        /// The parameter, as it is written.
        key: String,
        /// What it says.
        value: String,
    },
    /// sqlx would pass over it.
    #[error("parameter \"{key}\" is not supported: expected {}", PARAMETERS[..4].join(", "))]
    Unknown {
        /// The parameter.
        key: String,
    },
    /// Its certificates cannot be used.
    #[error("{key} {path}: {source}")]
    Authorities {
        /// The parameter, as it is written.
        key: String,
        /// The file.
        path: String,
        /// What is wrong with it.
        source: AuthorityFileError,
    },
    /// The system's authorities sign for anybody, and the name is not compared.
    #[error("verify-ca needs sslrootcert=FILE, the certificate of the authority")]
    NoAuthority,
}

/// Why a file is none of authorities.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityFileError {
    /// It cannot be read.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// A certificate in it cannot be used.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// It has nothing in it.
    #[error("has no certificate in PEM")]
    Empty,
}

/// Refuses parameters that would not do what they seem to.
pub(super) fn check(url: &str) -> Result<(), TlsParameterError> {
    let Some((_, query)) = url.split_once('?') else { return Ok(()) };
    let (mut mode, mut authority) = (None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sslmode" | "ssl-mode" => {
                if !MODES.contains(&&*value) {
                    let (key, value) = (key.into_owned(), value.into_owned());
                    return Err(TlsParameterError::Mode { key, value });
                }
                mode = Some(value.into_owned());
            }
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => authority = Some((key, value)),
            key if key.starts_with("ssl") && !PARAMETERS.contains(&key) => {
                return Err(TlsParameterError::Unknown { key: key.to_owned() });
            }
            _ => {}
        }
    }
    match authority {
        Some((key, path)) => check_authorities(&path).map_err(|source| {
            let (key, path) = (key.into_owned(), path.into_owned());
            TlsParameterError::Authorities { key, path, source }
        }),
        None if mode.as_deref() == Some("verify-ca") => Err(TlsParameterError::NoAuthority),
        None => Ok(()),
    }
}

fn check_authorities(path: &str) -> Result<(), AuthorityFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err(AuthorityFileError::Empty) } else { Ok(()) }
}

/// Why no encrypted connection came about, in words; none if it is another failure.
pub(super) fn refusal(error: &sqlx::Error) -> Option<String> {
    if let sqlx::Error::Tls(error) = error {
        return Some(match error.to_string().as_str() {
            "server does not support TLS" => "the server does not offer TLS: set ssl = on in \
                 postgresql.conf, or another sslmode"
                .to_owned(),
            other => format!("TLS failed: {other}"),
        });
    }
    let sqlx::Error::Io(error) = error else { return None };
    let error = error.get_ref()?.downcast_ref::<TlsError>()?;
    let TlsError::InvalidCertificate(why) = error else {
        return Some(format!("TLS failed: {error}"));
    };
    Some(match why {
        // An authority of the same name and another key: BadSignature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the server's certificate is not signed by an \
             authority in sslrootcert, nor by one of this system"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is for another name ({why}): connect by that name")
        }
        why => format!("the server's certificate is not valid: {why}"),
    })
}
