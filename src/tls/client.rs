//! What the servers of an upstream are connected with over TLS. Their certificates are always verified.

use std::fmt;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::current::{Current, Loaded};
use super::error::TlsError;
use super::spec::ClientTlsSpec;
use super::{Reloaded, certificates, files, provider};

/// The settings of an upstream, as its files are now.
pub struct ClientTls {
    spec: ClientTlsSpec,
    /// The one protocol that is offered.
    protocol: &'static [u8],
    current: Current<ClientConfig>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Reads the files; `protocol` is what servers must speak, by its ALPN name.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn new(spec: ClientTlsSpec, protocol: &'static [u8]) -> Result<Self, TlsError> {
        let current = Current::new(load(&spec, protocol)?);
        Ok(Self { spec, protocol, current })
    }

    /// For the next connection.
    #[must_use]
    pub fn current(&self) -> Arc<ClientConfig> {
        self.current.get()
    }

    /// Reads the files again. Connections that stand keep what they have.
    ///
    /// # Errors
    /// The first that cannot be used; then what held holds on.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        load(&self.spec, self.protocol).map(|loaded| self.current.replace(loaded))
    }

    /// Where its files are.
    #[must_use]
    pub fn spec(&self) -> &ClientTlsSpec {
        &self.spec
    }

    /// The ALPN name of what servers must speak.
    #[must_use]
    pub fn protocol(&self) -> &'static [u8] {
        self.protocol
    }
}

fn load(spec: &ClientTlsSpec, protocol: &[u8]) -> Result<Loaded<ClientConfig>, TlsError> {
    let provider = provider();
    let mut seen = Vec::new();
    let roots = match &spec.ca {
        Some(path) => {
            let pem = files::read(path)?;
            let roots = files::roots(path, &pem)?;
            seen.extend_from_slice(&pem);
            roots
        }
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError { path: None, reason: error.to_string(), help: "" })?
        .with_root_certificates(roots);
    let mut config = match &spec.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let certified = certificates::load(identity, &provider, &mut seen)?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(Loaded::new(config, &seen))
}

/// The authorities that this machine trusts.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
        return Err(TlsError {
            path: None,
            reason: format!("this machine has no authorities to verify servers with: {reason}"),
            help: "write `ca`, or install the package ca-certificates",
        });
    }
    Ok(roots)
}
