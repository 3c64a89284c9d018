//! PEM files (RFC 7468): read with a bound, with errors that say what a person must do.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;

/// A bundle of all authorities of a system has some 200 KiB.
const LARGEST: u64 = 4 << 20;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

const A_CERTIFICATE: &str = "write the path of a PEM file that begins with `-----BEGIN CERTIFICATE-----`";
const A_KEY: &str = "write the path of a PEM file with an unencrypted `-----BEGIN PRIVATE KEY-----`, RSA, ECDSA or Ed25519";

/// What a file holds.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error: std::io::Error| {
        TlsError::of(path, format_args!("cannot be read: {error}"), "write the path of a PEM file that this user may read")
    };
    // Asked before it is opened: to open a pipe waits until somebody writes into it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TlsError::of(path, "is no file", "write the path of a PEM file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(TlsError::of(path, "is larger than 4MiB", "write the path of a PEM file"));
    }
    // Some editors put it there, and the first line would be none of PEM.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// The certificates in `pem`, which was read from `path`: at least one.
pub(super) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain
        .map_err(|error| TlsError::of(path, format_args!("is no PEM file of certificates: {}", show(&error)), A_CERTIFICATE))?;
    if chain.is_empty() {
        return Err(TlsError::of(path, "has no certificate in it", A_CERTIFICATE));
    }
    Ok(chain)
}

/// The first private key in `pem`, which was read from `path`.
pub(super) fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(pem) => {
            TlsError::of(path, "has an encrypted key", "decrypt it, for example with `openssl pkey -in KEY -out PLAIN`")
        }
        pem::Error::NoItemsFound => TlsError::of(path, "has no private key in it", A_KEY),
        error => TlsError::of(path, format_args!("is no PEM file of a private key: {}", show(&error)), A_KEY),
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    const MARK: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    memchr::memmem::find(pem, MARK).is_some()
}

/// The authorities in `pem`, which was read from `path`: at least one.
pub(super) fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| {
            TlsError::of(path, format_args!("has a certificate that no authority can have: {error}"), A_CERTIFICATE)
        })?;
    }
    Ok(roots)
}

/// Without the bytes of the file that the error may hold.
fn show(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section begins with a malformed line",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::NoItemsFound => "nothing of that kind is in it",
        _ => "it cannot be read",
    }
}
