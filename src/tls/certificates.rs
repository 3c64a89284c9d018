//! Which certificate a client gets: the one with the name that it asks for (SNI, RFC 6066 section 3), else the first.
//!
//! Names are those of the certificates themselves (subjectAltName, RFC 9525 section 6.3); a wildcard stands for exactly one label. Where
//! several certificates have a name, such as one with an RSA key and one with ECDSA, the first whose key the client knows is taken.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::TlsError;
use super::files;
use super::spec::CertificateSpec;

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct Certificates {
    /// At least one.
    all: Vec<Arc<CertifiedKey>>,
    /// Positions by name, in lower case; a wildcard under what follows its star, dot included.
    by_name: HashMap<Box<str>, Vec<usize>>,
}

/// Reads a certificate with its key, and sees that they belong together. What was read is added to `seen`.
pub(super) fn load(spec: &CertificateSpec, provider: &CryptoProvider, seen: &mut Vec<u8>) -> Result<CertifiedKey, TlsError> {
    let cert = files::read(&spec.cert)?;
    let chain = files::certificates(&spec.cert, &cert)?;
    let key = files::read(&spec.key)?;
    let signing = files::key(&spec.key, &key)?;
    seen.extend_from_slice(&cert);
    seen.extend_from_slice(&key);
    let signing = provider.key_provider.load_private_key(signing).map_err(|error| {
        TlsError::of(
            &spec.key,
            format_args!("has a key that cannot be used: {error}"),
            "use an RSA key of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519",
        )
    })?;
    let certified = CertifiedKey::new(chain, signing);
    certified.keys_match().map_err(|error| {
        let reason = match error {
            rustls::Error::InconsistentKeys(_) => format!("is not the key of the certificate in {}", spec.cert.display()),
            error => format!("cannot be used with the certificate in {}: {error}", spec.cert.display()),
        };
        TlsError::of(
            &spec.key,
            reason,
            "name the key that the certificate was made for; its chain follows the certificate, never precedes it",
        )
    })?;
    Ok(certified)
}

impl Certificates {
    /// Of `all`, at least one.
    pub(super) fn new(all: Vec<CertifiedKey>) -> Self {
        let mut by_name = HashMap::<Box<str>, Vec<usize>>::new();
        for (position, certified) in all.iter().enumerate() {
            for name in certified.cert.first().map(names).unwrap_or_default() {
                let name = name.strip_prefix('*').map_or_else(|| name.clone(), str::to_owned);
                by_name.entry(name.into()).or_default().push(position);
            }
        }
        Self { all: all.into_iter().map(Arc::new).collect(), by_name }
    }

    /// For a client that asks for `name` and knows the keys that `knows` says.
    fn find(&self, name: Option<&str>, knows: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<CertifiedKey>> {
        let of = |name: &str| self.by_name.get(name).into_iter().flatten().filter_map(|position| self.all.get(*position));
        let name = name.map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
        let exact = name.iter().flat_map(|name| of(name));
        let wildcard = name.iter().filter_map(|name| name.get(name.find('.')?..)).flat_map(of);
        let mut candidates: Vec<_> = exact.chain(wildcard).collect();
        if candidates.is_empty() {
            candidates.extend(&self.all);
        }
        // One that knows none of the keys gets a certificate all the same, and says itself what it misses.
        candidates.iter().find(|certified| knows(certified)).or(candidates.first()).copied().map(Arc::clone)
    }
}

/// The DNS names that a certificate has, in lower case.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let parsed = webpki::EndEntityCert::try_from(certificate);
    parsed.map(|parsed| parsed.valid_dns_names().map(str::to_ascii_lowercase).collect()).unwrap_or_default()
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), |certified| certified.key.choose_scheme(hello.signature_schemes()).is_some())
    }
}

#[cfg(test)]
mod tests;
