//! How a server stands at one moment, for metrics and the status page. Plain values: reading them steers nothing.

/// One server, or one name that has no address yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerSnapshot {
    /// As in [`super::Server::address`]; of a name that has no address yet, the `host:port` of the configuration.
    pub address: String,
    /// What its health checks say; `false` also for a name without an address.
    pub up: bool,
    /// Passive ejection keeps new work from it.
    pub ejected: bool,
    /// It left the list and is here only because something of it still runs.
    pub departed: bool,
    /// Event streams.
    pub streams: usize,
    /// Requests in flight that are no stream (yet).
    pub requests: usize,
    /// Idle connections in the pool.
    pub idle: usize,
    /// Connections made to it.
    pub opened: u64,
    /// Requests that were given a connection from the pool.
    pub reused: u64,
    /// Connects that failed.
    pub connect_failures: u64,
}
