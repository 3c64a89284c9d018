//! What holds for all connections of one listener.

use std::net::SocketAddr;

/// Where clients come in.
#[derive(Debug)]
pub struct Listener {
    /// Its address, port 0 resolved.
    pub address: SocketAddr,
}
