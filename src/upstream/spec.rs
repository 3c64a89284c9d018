//! What the configuration says of an upstream. Plain values.

use std::fmt;
use std::sync::Arc;

/// One entry of `upstreams`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSpec {
    /// Its key in the file.
    pub name: Arc<str>,
    /// The server behind it.
    pub server: ServerAddress,
}

/// `host:port`; the host is an address or a name, looked up when it is needed and believed for 10 s.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// An IPv4 address, an IPv6 address without brackets, or a name.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}
