//! Certificates for tests, made on the spot, in a directory that goes with them.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use tempfile::TempDir;

use super::CertificateSpec;

/// An authority, and a directory for what it issues.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { directory: TempDir::new().unwrap(), issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, as a file.
    pub(crate) fn ca(&self) -> PathBuf {
        self.write("ca.pem", &self.pem)
    }

    /// A certificate for `names` with an ECDSA key, in files called after `file`.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> CertificateSpec {
        self.issue_with(file, names, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    /// The same with an Ed25519 key.
    pub(crate) fn issue_ed25519(&self, file: &str, names: &[&str]) -> CertificateSpec {
        self.issue_with(file, names, &KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    fn issue_with(&self, file: &str, names: &[&str], key: &KeyPair) -> CertificateSpec {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(key, &self.issuer).unwrap();
        CertificateSpec {
            cert: self.write(&format!("{file}.pem"), &certificate.pem()),
            key: self.write(&format!("{file}.key"), &key.serialize_pem()),
        }
    }

    /// A file in the directory.
    pub(crate) fn write(&self, file: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(file);
        std::fs::write(&path, text).unwrap();
        path
    }
}
