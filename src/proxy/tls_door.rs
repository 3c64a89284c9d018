//! From a connection that was accepted to one whose TLS stands. Nothing is kept for a client that says nothing, and one that speaks HTTP
//! to this port is told so in HTTP.

use std::io;
use std::time::Duration;

use super::door::DRAIN_GRACE;
use crate::clock;
use crate::drain::Drain;
use crate::telemetry::TlsHandshake;
use crate::tls::ServerTls;
use crate::transport::{Socket, Tls};

/// Why there is no TLS.
#[derive(Debug)]
pub(super) enum NoTls {
    /// The client closed before it said anything, or said nothing for too long.
    Silent,
    /// It speaks HTTP in cleartext: what it said is still to be read.
    PlainHttp(Socket),
    /// It did not finish in time.
    TimedOut,
    /// The handshake failed.
    Failed(io::Error),
}

impl NoTls {
    /// What it counts as.
    pub(super) fn label(&self) -> TlsHandshake {
        match self {
            Self::Silent => TlsHandshake::Silent,
            Self::PlainHttp(_) => TlsHandshake::PlainHttp,
            Self::TimedOut => TlsHandshake::TimedOut,
            Self::Failed(_) => TlsHandshake::Failed,
        }
    }
}

/// The handshake on `socket`, first byte to last within `patience`. Once we are leaving, one that has begun may end soon, and no other.
pub(super) async fn accept(socket: Socket, tls: &ServerTls, patience: Duration, drain: &Drain) -> Result<Tls, NoTls> {
    let deadline = tokio::time::Instant::from_std(clock::now() + patience);
    if let Socket::Tcp(tcp) = &socket {
        let mut first = [0];
        let begun = tokio::select! {
            // What is there already is served, also when we are leaving.
            biased;
            begun = tokio::time::timeout_at(deadline, tcp.peek(&mut first)) => begun,
            () = drain.draining() => return Err(NoTls::Silent),
        };
        match begun {
            Ok(Ok(1..)) if is_http(first[0]) => return Err(NoTls::PlainHttp(socket)),
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return Err(NoTls::Silent),
        }
    }
    let handshake = tokio::time::timeout_at(deadline, Box::pin(Tls::accept(socket, tls.current())));
    tokio::select! {
        biased;
        done = handshake => done.map_or(Err(NoTls::TimedOut), |done| done.map_err(NoTls::Failed)),
        () = async { drain.draining().await; tokio::time::sleep(DRAIN_GRACE).await } => Err(NoTls::TimedOut),
    }
}

/// Whether a connection that begins with `first` speaks HTTP, with the name of a method: TLS begins with the type of a record (RFC 8446
/// section 5.1), which is no letter.
fn is_http(first: u8) -> bool {
    first.is_ascii_alphabetic()
}
