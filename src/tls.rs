//! Certificates and keys: PEM files in, rustls configurations out, swapped for new ones without touching a connection.
//!
//! ```text
//!   spec (paths) ──► files ──► certificates (names, SNI) ──► ServerTls   what listeners accept with
//!                      │
//!                      └─────► roots (CAs) ────────────────► ClientTls   what upstreams are connected with
//! ```
//!
//! It opens no connection. Every file that cannot be used is told by its path with the reason and what to do; a reload that fails leaves
//! what holds. TLS 1.2 and 1.3 with what rustls offers by default (RFC 8446, RFC 9325); ALPN by RFC 7301, SNI by RFC 6066 section 3.

mod certificates;
mod client;
mod current;
mod error;
mod files;
mod server;
mod spec;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::ClientTls;
pub use error::TlsError;
pub use server::ServerTls;
pub use spec::{CertificateSpec, ClientAuth, ClientTlsSpec, ServerTlsSpec};

/// The protocol names of ALPN (RFC 7301 section 6).
pub mod alpn {
    /// RFC 9113 section 3.2.
    pub const H2: &[u8] = b"h2";
    /// RFC 7301 section 6.
    pub const HTTP_1_1: &[u8] = b"http/1.1";
    /// The same, for clients that have nothing newer.
    pub const HTTP_1_0: &[u8] = b"http/1.0";
}

/// Whether something else holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files have changed, and new connections use them.
    Changed,
    /// The files are as they were.
    Same,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
