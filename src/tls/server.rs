//! What a listener accepts TLS with.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::certificates::{self, Certificates};
use super::current::{Current, Loaded};
use super::error::TlsError;
use super::spec::{ClientAuth, ServerTlsSpec};
use super::{Reloaded, alpn, files, provider};

/// The settings of a listener, as its files are now.
pub struct ServerTls {
    spec: ServerTlsSpec,
    current: Current<ServerConfig>,
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn new(spec: ServerTlsSpec) -> Result<Self, TlsError> {
        let current = Current::new(load(&spec)?);
        Ok(Self { spec, current })
    }

    /// For the next connection.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.get()
    }

    /// Reads the files again. Connections that stand keep what they have.
    ///
    /// # Errors
    /// The first that cannot be used; then what held holds on.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        load(&self.spec).map(|loaded| self.current.replace(loaded))
    }

    /// Where its files are.
    #[must_use]
    pub fn spec(&self) -> &ServerTlsSpec {
        &self.spec
    }
}

fn load(spec: &ServerTlsSpec) -> Result<Loaded<ServerConfig>, TlsError> {
    let provider = provider();
    let mut seen = Vec::new();
    let certified: Result<Vec<_>, _> =
        spec.certificates.iter().map(|certificate| certificates::load(certificate, &provider, &mut seen)).collect();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError { path: None, reason: error.to_string(), help: "" })?;
    let builder = match verifier(&spec.client_auth, &provider, &mut seen)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates::new(certified?)));
    // No tunnel of another protocol behind our back (RFC 7301 section 3.2: a client that offers none of them is refused).
    config.alpn_protocols = [alpn::H2, alpn::HTTP_1_1, alpn::HTTP_1_0].map(<[u8]>::to_vec).to_vec();
    // Sessions are resumed without a word kept here: after a deploy all clients come at once, and a key exchange costs most.
    config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(|error| TlsError {
        path: None,
        reason: format!("no session tickets: {error}"),
        help: "",
    })?;
    Ok(Loaded::new(config, &seen))
}

fn verifier(
    auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
    seen: &mut Vec<u8>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let (path, optional) = match auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::Optional(path) => (path, true),
        ClientAuth::Required(path) => (path, false),
    };
    let pem = files::read(path)?;
    let roots = Arc::new(files::roots(path, &pem)?);
    seen.extend_from_slice(&pem);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    let verifier = builder.build().map_err(|error| {
        TlsError::of(
            path,
            format_args!("cannot verify clients: {error}"),
            "name the certificates of the authorities that issue to clients",
        )
    })?;
    Ok(Some(verifier))
}

#[cfg(test)]
mod tests;
