//! What the configuration says of TLS. Plain values; the paths are not looked at here.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

/// `tls` of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTlsSpec {
    /// At least one; the first is for clients that ask for none of the names.
    pub certificates: Vec<CertificateSpec>,
    /// Whether clients show certificates too.
    pub client_auth: ClientAuth,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSpec {
    /// PEM: the certificate, then those that lead to its root.
    pub cert: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// `client_auth` with `client_ca`, a PEM file of the authorities that issue certificates to clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// Clients are asked for nothing.
    #[default]
    None,
    /// A client may show a certificate, which must be good then.
    Optional(PathBuf),
    /// A client without a good certificate gets no connection.
    Required(PathBuf),
}

/// `tls` of an upstream. Its servers' certificates are always verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTlsSpec {
    /// The name that the certificate must have, and that is asked for; else the server's own host.
    pub server_name: Option<String>,
    /// PEM: who may have issued the certificate; else the system's authorities.
    pub ca: Option<PathBuf>,
    /// What we show to servers that ask for it.
    pub identity: Option<CertificateSpec>,
}

impl ClientTlsSpec {
    /// The name that the certificate of a server at `host`, a name or an IP address without brackets, must have; `None` if no
    /// certificate can have it.
    #[must_use]
    pub fn name_for(&self, host: &str) -> Option<ServerName<'static>> {
        ServerName::try_from(self.server_name.clone().unwrap_or_else(|| host.to_owned())).ok()
    }
}
