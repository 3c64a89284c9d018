//! The byte streams under HTTP: sockets of any kind (`socket.rs`, `tls.rs`), alone or shared by two directions (`wire.rs`).

use std::time::Duration;

use socket2::TcpKeepalive;

mod socket;
mod tls;
mod wire;

pub use socket::Socket;
pub use tls::Tls;
pub use wire::Wire;

/// Finds a peer that is gone without a word within a minute and a half: heartbeats find dead clients, but nothing else finds a dead
/// server whose stream is merely silent.
#[must_use]
pub fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3)
}
