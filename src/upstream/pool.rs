//! Connections to the servers: idle ones from a server's list (`idle.rs`), fresh ones from the operating system.
//!
//! Only a connection whose response was read to its end may come back (RFC 9112 section 9.3).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

use super::server::{Peer, Server, Target, Verified};
use crate::clock;
use crate::tls::alpn;
use crate::transport::{self, Socket, Tls};

/// A server that says how long it keeps a connection is believed but for this: a request may be under way when it closes.
const MARGIN: Duration = Duration::from_secs(1);
/// How long a connection that its server closed may lie here.
const SWEEP: Duration = Duration::from_secs(1);

/// How connections to the servers of one upstream are had and kept.
#[derive(Debug)]
pub(super) struct Pool {
    /// How long an idle one is kept; `None` for not at all.
    pub(super) keep_alive: Option<Duration>,
}

/// A connection, ready for a request.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub socket: Socket,
    /// It served a request before: the server may be closing it right now.
    pub reused: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The server does not accept, or does not speak what it should.
    Refused(io::Error),
    /// This process has no descriptors left.
    Exhausted(io::Error),
    /// The server did not show who it is, or does not speak over TLS what it should.
    Tls(io::Error),
    /// `timeouts.connect` passed.
    TimedOut,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "no connection: {error}"),
            Self::Exhausted(error) => write!(f, "no descriptor for a connection, raise `ulimit -n`: {error}"),
            Self::Tls(error) => write!(f, "no TLS with the server, see `tls` of its upstream: {error}"),
            Self::TimedOut => f.write_str("no connection within timeouts.connect"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl Pool {
    /// An idle connection to `server`, still open as far as can be seen.
    pub(super) fn reuse(&self, server: &Server) -> Option<Connection> {
        self.keep_alive?;
        let socket = server.idle.take(clock::now())?;
        server.tally.reused.fetch_add(1, Ordering::Relaxed);
        Some(Connection { socket, reused: true })
    }

    /// Closes what nobody can use any more, once a second. Does not return.
    pub(super) async fn sweep(&self, servers: impl Fn() -> Vec<Arc<Server>>) {
        if self.keep_alive.is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(SWEEP).await;
            let now = clock::now();
            servers().iter().for_each(|server| server.idle.sweep(now));
        }
    }

    /// A connection that nobody used yet.
    pub(super) async fn fresh(&self, server: &Server) -> Result<Connection, ConnectError> {
        let socket = open(server.peer()).await?;
        server.tally.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Connection { socket, reused: false })
    }

    /// Keeps a connection for the next request, for no longer than its server does, which says so in `promised`.
    pub(super) fn keep(&self, socket: Socket, server: &Server, promised: Option<Duration>) {
        let Some(keep_alive) = self.keep_alive else { return };
        let keep_alive = promised.map_or(keep_alive, |promised| keep_alive.min(promised.saturating_sub(MARGIN)));
        if keep_alive.is_zero() {
            return;
        }
        server.idle.put(socket, clock::now() + keep_alive);
    }
}

/// A fresh connection to `server`.
///
/// # Errors
/// [`ConnectError`], but never [`ConnectError::TimedOut`]: waiting is bounded by who waits.
pub(super) async fn open(server: &Peer) -> Result<Socket, ConnectError> {
    let socket = connect(&server.target).await?;
    match &server.tls {
        Some(tls) => Ok(Socket::Tls(Box::new(Box::pin(secure(socket, tls)).await.map_err(ConnectError::Tls)?))),
        None => Ok(socket),
    }
}

/// TLS with a server that shows who it is, and that speaks what it should: of HTTP/1.1 it may say nothing.
async fn secure(socket: Socket, verified: &Verified) -> io::Result<Tls> {
    let name = verified.name.clone().ok_or_else(|| io::Error::other("no certificate can have its name, write `server_name`"))?;
    let tls = Tls::connect(socket, verified.settings.current(), name).await?;
    let wanted = verified.settings.protocol();
    match tls.protocol() {
        Some(chosen) if chosen == wanted => Ok(tls),
        None if wanted == alpn::HTTP_1_1 => Ok(tls),
        _ => Err(io::Error::other("it does not speak HTTP/2: write `protocol: http1`")),
    }
}

async fn connect(server: &Target) -> Result<Socket, ConnectError> {
    let connected = match server {
        Target::Tcp(address) => TcpStream::connect(address).await.map(|socket| prepared(socket, server)),
        Target::Unix(path) => UnixStream::connect(path).await.map(Socket::Unix),
    };
    connected.map_err(|error| match error.raw_os_error() {
        Some(ENFILE | EMFILE) => ConnectError::Exhausted(error),
        _ => ConnectError::Refused(error),
    })
}

/// No descriptor is left in the system, or in this process.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

fn prepared(socket: TcpStream, server: &Target) -> Socket {
    let options = socket.set_nodelay(true).and_then(|()| SockRef::from(&socket).set_tcp_keepalive(&transport::keepalive()));
    if let Err(error) = options {
        tracing::debug!(%server, %error, "a socket option was refused");
    }
    Socket::Tcp(socket)
}
