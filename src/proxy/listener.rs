//! What holds for all connections of one listener.

use std::sync::Arc;

use crate::tls::ServerTls;

/// Where clients come in.
#[derive(Debug)]
pub struct Listener {
    /// What its clients speak TLS with; `None` where they speak HTTP in cleartext.
    pub tls: Option<Arc<ServerTls>>,
}
