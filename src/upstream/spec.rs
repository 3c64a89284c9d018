//! What the configuration says of an upstream. Plain values.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::pki_types::ServerName;

use crate::tls::ClientTlsSpec;

/// One entry of `upstreams`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// Its key in the file.
    pub name: Arc<str>,
    /// The servers behind it, at least one, in the order of the file.
    pub servers: Vec<ServerSpec>,
    /// How often names are looked up again.
    pub resolve: Duration,
    /// Which server a request without a pin goes to.
    pub balance: Balance,
    /// What its servers speak.
    pub protocol: Protocol,
    /// Bounds of its HTTP/2 connections; says nothing to [`Protocol::Http1`].
    pub http2: Http2Spec,
    /// How its servers are verified; `None` where nothing is encrypted.
    pub tls: Option<ClientTlsSpec>,
    /// How long an idle connection to a server is kept; `None` is `off`.
    pub keep_alive: Option<Duration>,
    /// Active checks.
    pub health: Option<HealthSpec>,
    /// Passive ejection.
    pub ejection: EjectionSpec,
}

/// One entry of `servers`. A name stands for all its addresses, each a server with this weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSpec {
    /// Where it is.
    pub address: ServerAddress,
    /// Its share, at least 1.
    pub weight: u32,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerAddress {
    /// `host:port`.
    Tcp {
        /// An IPv4 address, an IPv6 address without brackets, or a name.
        host: String,
        /// Never 0.
        port: u16,
    },
    /// `unix:/path`.
    Unix(PathBuf),
}

impl ServerAddress {
    /// The name that the certificate of a server there must have; `None` if none can have it.
    #[must_use]
    pub fn tls_name(&self, spec: &ClientTlsSpec) -> Option<ServerName<'static>> {
        match self {
            Self::Tcp { host, .. } => spec.name_for(host),
            // A path is no name.
            Self::Unix(_) => spec.server_name.as_ref().and_then(|name| spec.name_for(name)),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What servers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1, `http1` in the file.
    #[default]
    Http1,
    /// HTTP/2: in cleartext with prior knowledge (RFC 9113 section 3.3), `h2c` in the file; over TLS by ALPN (section 3.2), `h2` in the
    /// file.
    Http2,
}

/// Bounds of one HTTP/2 connection to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Spec {
    /// Streams at once, at least 1; the server may allow fewer (RFC 9113 section 5.1.2).
    pub streams: u32,
    /// What a server may send on one stream before it was taken, in bytes (RFC 9113 section 6.9.2).
    pub stream_window: u32,
    /// The same over all streams of the connection, in bytes (RFC 9113 section 6.9.2).
    pub connection_window: u32,
}

impl Default for Http2Spec {
    /// 100 streams are what RFC 9113 section 6.5.2 wants a server to allow at least, and what most allow. 256 KiB are a round trip of
    /// 10 ms at 200 Mbit/s, and bound what one slow client leaves lying here. 25 MiB are 100 such streams: however many stand still,
    /// they never take the connection's window from the others.
    fn default() -> Self {
        Self { streams: 100, stream_window: 256 << 10, connection_window: 25 << 20 }
    }
}

/// `balance` with what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// The server with the least (streams + requests in flight) / weight, ties by a rotating start.
    #[default]
    LeastStreams,
    /// One after the other, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// By a consistent hash: a server that goes moves only its own clients.
    Hash(HashOn),
}

/// What `balance: hash` hashes; an absent header or cookie falls back to the client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashOn {
    /// The client's address.
    #[default]
    Client,
    /// The path, without the query.
    Path,
    /// The value of a request field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
}

/// Active checks of each server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSpec {
    /// What is asked.
    pub check: HealthCheck,
    /// Between two checks.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Successes in a row until a server counts as up.
    pub rise: u32,
    /// Failures in a row until it counts as down.
    pub fall: u32,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthCheck {
    /// GET of this path answers 2xx or 3xx.
    Http(String),
    /// The connection is accepted.
    Tcp,
}

/// Passive ejection, on connect failures and dead connections; never of the last server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EjectionSpec {
    /// In a row.
    pub failures: u32,
    /// How long it gets no new work.
    pub duration: Duration,
}
