//! What holds for all connections of one listener.

use std::sync::Arc;
use std::time::Duration;

use crate::tls::ServerTls;

/// Where clients come in.
#[derive(Debug)]
pub struct Listener {
    /// What its clients speak TLS with; `None` where they speak HTTP in cleartext.
    pub tls: Option<Arc<ServerTls>>,
    /// Bounds of its HTTP/2 connections.
    pub http2: Http2Settings,
    /// Connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The port of HTTPS that requests are sent to; `None` where they are served.
    pub redirect_to_https: Option<u16>,
}

/// Bounds of one HTTP/2 connection of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Settings {
    /// Streams at once (RFC 9113 section 5.1.2).
    pub streams: u32,
    /// What the client may send on one stream before it was taken, in bytes (RFC 9113 section 6.9.2).
    pub stream_window: u32,
    /// The same over all streams, in bytes.
    pub connection_window: u32,
    /// A connection on which no stream is open is closed after so long.
    pub idle: Duration,
}
