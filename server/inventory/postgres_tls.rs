//! What a database URL says of TLS, and what a failed handshake means.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
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

/// Refuses parameters that would not do what they seem to.
pub(super) fn check(url: &str) -> Result<(), String> {
    let Some((_, query)) = url.split_once('?') else { return Ok(()) };
    let (mut mode, mut authority) = (None, None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "sslmode" | "ssl-mode" => {
                if !MODES.contains(&&*value) {
                    let modes = MODES.join(", ");
                    return Err(format!("{key} \"{value}\" is not one of {modes}"));
                }
                mode = Some(value.into_owned());
            }
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => authority = Some((key, value)),
            key if key.starts_with("ssl") && !PARAMETERS.contains(&key) => {
                let known = PARAMETERS[..4].join(", ");
                return Err(format!("parameter \"{key}\" is not supported: expected {known}"));
            }
            _ => {}
        }
    }
    match authority {
        Some((key, path)) => check_authorities(&path).map_err(|why| format!("{key} {path}: {why}")),
        // The system's authorities sign for anybody, and the name is not compared.
        None if mode.as_deref() == Some("verify-ca") => {
            Err("verify-ca needs sslrootcert=FILE, the certificate of the authority".to_owned())
        }
        None => Ok(()),
    }
}

fn check_authorities(path: &str) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let added = certificate.map_err(|error| error.to_string());
        added.and_then(|it| roots.add(it).map_err(|error| error.to_string()))?;
    }
    if roots.is_empty() {
        return Err("has no certificate in PEM".to_owned());
    }
    Ok(())
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
