//! Cipher suites for firmware: OVMF offers TLS 1.2 with finite-field Diffie-Hellman (RFC 7919) and
//! without elliptic curves. rustls negotiates such suites and leaves the arithmetic to its provider.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{U256, U2048};
use rustls::crypto::ring::{self, cipher_suite};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, KeyExchangeAlgorithm, SharedSecret, SupportedKxGroup,
};
use rustls::ffdhe_groups::{FFDHE2048, FfdheGroup};
use rustls::{
    CipherSuite, CipherSuiteCommon, Error, NamedGroup, PeerMisbehaved, ProtocolVersion,
    SupportedCipherSuite, Tls12CipherSuite,
};

/// The bytes of an exponent: at least 225 bits are to be random (RFC 7919 section 5.2).
const EXPONENT_BYTES: usize = 32;

/// The group's prime, prepared for multiplication.
static PRIME: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> = LazyLock::new(|| {
    let prime = U2048::from_be_slice(FFDHE2048.p).to_odd();
    FixedMontyParams::new_vartime(prime.expect("a prime is odd"))
});

static DHE_RSA_AES_128: LazyLock<Option<Tls12CipherSuite>> = LazyLock::new(|| {
    by_ffdhe(
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
    )
});
static DHE_RSA_AES_256: LazyLock<Option<Tls12CipherSuite>> = LazyLock::new(|| {
    by_ffdhe(
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
    )
});

/// What firmware's HTTPS and iPXE's is answered with: the usual suites, and those of DHE with RSA.
pub(super) fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    for suite in [&DHE_RSA_AES_128, &DHE_RSA_AES_256] {
        provider.cipher_suites.extend(suite.as_ref().map(SupportedCipherSuite::Tls12));
    }
    provider.kx_groups.push(&Ffdhe2048);
    provider
}

/// A suite that differs from one of ring's only in how keys are agreed on.
fn by_ffdhe(of_ring: SupportedCipherSuite, suite: CipherSuite) -> Option<Tls12CipherSuite> {
    let SupportedCipherSuite::Tls12(of_ring) = of_ring else { return None };
    let CipherSuiteCommon { hash_provider, confidentiality_limit, .. } = of_ring.common;
    Some(Tls12CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
        prf_provider: of_ring.prf_provider,
        kx: KeyExchangeAlgorithm::DHE,
        sign: of_ring.sign,
        aead_alg: of_ring.aead_alg,
    })
}

/// The group ffdhe2048, whose generator is 2.
#[derive(Debug)]
struct Ffdhe2048;

impl SupportedKxGroup for Ffdhe2048 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut random = [0; EXPONENT_BYTES];
        ring::default_provider().secure_random.fill(&mut random)?;
        let exponent = U256::from_be_slice(&random);
        let public = power(&U2048::from_u8(2), &exponent);
        let public = public.to_be_bytes();
        let public: &[u8] = public.as_ref();
        Ok(Box::new(Begun { exponent, public: public.to_vec() }))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(FFDHE2048)
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::FFDHE2048
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_2
    }
}

/// A key exchange whose public value was made.
struct Begun {
    exponent: U256,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Begun {
    fn complete(self: Box<Self>, peer_pub_key: &[u8]) -> Result<SharedSecret, Error> {
        let bad = || Error::from(PeerMisbehaved::InvalidKeyShare);
        let zeros = U2048::BYTES.checked_sub(peer_pub_key.len()).ok_or_else(bad)?;
        let padded = [&vec![0; zeros][..], peer_pub_key].concat();
        let theirs = U2048::from_be_slice(&padded);
        // 1 < y < p - 1 (RFC 7919 section 5.1).
        let most = PRIME.modulus().as_ref().wrapping_sub(&U2048::ONE);
        if theirs <= U2048::ONE || theirs >= most {
            return Err(bad());
        }
        let secret = power(&theirs, &self.exponent).to_be_bytes();
        let secret: &[u8] = secret.as_ref();
        Ok(SharedSecret::from(secret))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(FFDHE2048)
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::FFDHE2048
    }
}

/// `base` to the `exponent`, modulo the prime, in a time that does not depend on the exponent.
fn power(base: &U2048, exponent: &U256) -> U2048 {
    FixedMontyForm::new(base, &PRIME).pow(exponent).retrieve()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_the_same_secret() {
        let [ours, theirs] = [Ffdhe2048.start().unwrap(), Ffdhe2048.start().unwrap()];
        let (own, other) = (ours.pub_key().to_vec(), theirs.pub_key().to_vec());
        assert_ne!(own, other);
        let [one, two] = [ours.complete(&other).unwrap(), theirs.complete(&own).unwrap()];
        assert_eq!(one.secret_bytes(), two.secret_bytes());
        assert_eq!(one.secret_bytes().len(), U2048::BYTES);
    }

    #[test]
    fn a_value_that_gives_the_secret_away_is_refused() {
        let prime = FFDHE2048.p.to_vec();
        let mut before_prime = prime.clone();
        *before_prime.last_mut().unwrap() -= 1;
        let too_long = vec![1; 257];
        for value in [vec![], vec![0], vec![1], before_prime, prime, vec![0xff; 256], too_long] {
            let refused = Ffdhe2048.start().unwrap().complete(&value);
            assert!(refused.is_err(), "{value:x?}");
        }
        assert!(Ffdhe2048.start().unwrap().complete(&[2]).is_ok());
    }
}
