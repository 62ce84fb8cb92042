//! The certificate authority of `rackstrap ca`, which firmware trusts to fetch by HTTPS from the
//! machine listener.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Date, Month, OffsetDateTime};

/// iPXE 1.21 and OVMF take RSA keys only; 2048 bits are what all of them know.
const RSA_BITS: usize = 2048;
/// How long a new CA is valid: it is enrolled in firmware by hand.
const YEARS: i64 = 20;
/// How the CA is called, with this server's name behind it.
const COMMON_NAME: &str = "rackstrap boot CA";
/// Who enrolled a key (`SignatureOwner`): any number does, as long as it stays the same.
const OWNER: [u8; 16] = *b"rackstrap-boot01";
/// `EFI_CERT_X509_GUID` (UEFI 2.10 section 32.4.1), in the byte order of a GUID.
const EFI_CERT_X509: [u8; 16] = [
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorityError {
    /// No key could be made.
    #[error("cannot make an RSA key: {0}")]
    Key(#[from] rsa::Error),
    /// The key cannot be written as PKCS #8.
    #[error("cannot encode an RSA key: {0}")]
    Encode(#[from] rsa::pkcs8::Error),
    /// The library refuses a certificate, a key or a name.
    #[error("{0}")]
    Certificate(#[from] rcgen::Error),
}

/// The files of the CA: its certificate, and its key.
pub(crate) fn files(data_dir: &Path) -> [PathBuf; 2] {
    let directory = data_dir.join("tls");
    [directory.join("boot-ca.crt"), directory.join("boot-ca.key")]
}

/// A new CA: its certificate and its key, in PEM.
pub(crate) fn create(of: &str) -> Result<[String; 2], AuthorityError> {
    let key = RsaPrivateKey::new(&mut OsRng, RSA_BITS)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF)?;
    let pair = KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_RSA_SHA256)?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = named(&format!("{COMMON_NAME} {of}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = long_ago();
    parameters.not_after = OffsetDateTime::now_utc() + time::Duration::days(YEARS * 365);
    Ok([parameters.self_signed(&pair)?.pem(), pem.to_string()])
}

/// Whether a CA, whose files are given in PEM, can sign.
pub(crate) fn check(ca: &str, ca_key: &str) -> Result<(), AuthorityError> {
    let signing = KeyPair::from_pem_and_sign_algo(ca_key, &PKCS_RSA_SHA256)?;
    Issuer::from_ca_cert_pem(ca, signing).map(drop).map_err(Into::into)
}

/// A certificate for `names`, with that of the CA behind it, and its key. The CA's files are given
/// in PEM.
pub(crate) fn issue(
    ca: &str,
    ca_key: &str,
    names: &[String],
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), AuthorityError> {
    let signing = KeyPair::from_pem_and_sign_algo(ca_key, &PKCS_RSA_SHA256)?;
    let issuer = Issuer::from_ca_cert_pem(ca, signing)?;
    let own = own_key()?;
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&own, &PKCS_RSA_SHA256)?;
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = named("rackstrap");
    parameters.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters.not_before = long_ago();
    parameters.not_after = OffsetDateTime::now_utc() + time::Duration::days(YEARS * 365);
    let certificate = parameters.signed_by(&pair, &issuer)?;
    Ok((vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(own)))
}

/// The key of this process, which is never written to a file: made once, as it takes up to a second.
fn own_key() -> Result<PrivatePkcs8KeyDer<'static>, AuthorityError> {
    static KEY: Mutex<Option<PrivatePkcs8KeyDer<'static>>> = Mutex::new(None);
    let mut kept = KEY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = kept.as_ref() {
        return Ok(key.clone_key());
    }
    let made = RsaPrivateKey::new(&mut OsRng, RSA_BITS)?.to_pkcs8_der()?;
    let made = PrivatePkcs8KeyDer::from(made.as_bytes().to_vec());
    *kept = Some(made.clone_key());
    Ok(made)
}

/// A new server's clock may stand at the day it was built, or at 2000 when its battery is empty.
fn long_ago() -> OffsetDateTime {
    let first = Date::from_calendar_date(2000, Month::January, 1);
    first.map_or(OffsetDateTime::UNIX_EPOCH, |date| date.midnight().assume_utc())
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

/// A certificate in DER as an `EFI_SIGNATURE_LIST` of one (UEFI 2.10 section 32.4.1), as OVMF reads
/// it from QEMU and firmware from a file.
pub(crate) fn signature_list(certificate: &[u8]) -> Vec<u8> {
    let signature = 16 + certificate.len() as u32;
    let header = 16 + 3 * 4;
    let mut list = EFI_CERT_X509.to_vec();
    for number in [header + signature, 0, signature] {
        list.extend(number.to_le_bytes());
    }
    list.extend(OWNER);
    list.extend(certificate);
    list
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

    use super::*;

    #[test]
    fn the_authority_signs_for_addresses_and_names_and_firmware_takes_both() {
        let [ca, key] = create("node1").unwrap();
        let names = ["10.77.0.1".to_owned(), "fd00::1".to_owned(), "boot.example.net".to_owned()];
        let (chain, _) = issue(&ca, &key, &names).unwrap();
        let (_, issued) = X509Certificate::from_der(&chain[0]).unwrap();
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
        let (_, parsed) = X509Certificate::from_der(&ca).unwrap();
        assert_eq!(parsed.subject().to_string(), "CN=rackstrap boot CA node1");
        assert!(parsed.is_ca() && !issued.is_ca());
        issued.verify_signature(Some(parsed.public_key())).unwrap();
        let alternative = issued.subject_alternative_name().unwrap().unwrap();
        let addresses = alternative.value.general_names.iter();
        let addresses = addresses.filter(|name| matches!(name, GeneralName::IPAddress(_)));
        assert_eq!((alternative.value.general_names.len(), addresses.count()), (3, 2));
        for certificate in [&parsed, &issued] {
            assert_eq!(certificate.validity().not_before.timestamp(), 946_684_800);
            let oid = certificate.signature_algorithm.algorithm.to_id_string();
            assert_eq!(oid, "1.2.840.113549.1.1.11", "SHA-256 with RSA");
        }
    }

    #[test]
    fn a_signature_list_has_the_lengths_that_firmware_checks() {
        let list = signature_list(&[7; 1000]);
        let number = |at: usize| u32::from_le_bytes(list[at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20), number(24)), (list.len() as u32, 0, 1016));
        assert_eq!((list.len(), &list[44..]), (1044, &[7; 1000][..]));
    }
}
