//! Connections to the servers: pooled ones from Pingora's pool, fresh ones from the operating system.
//!
//! The pool and its checks (closed meanwhile, unexpected bytes) are Pingora's. The connect is ours, so that the socket inside stays of a
//! type that the relay can take out again. Only a connection whose response was read to its end may come back (RFC 9112 section 9.3).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::Peer as PoolPeer;
use socket2::SockRef;
use tokio::net::{TcpStream, UnixStream};

use super::idle::Idle;
use super::server::{Peer, Server, Target, Verified};
use crate::tls::alpn;
use crate::transport::{self, Socket, Tls};

/// Idle connections kept over all servers of an upstream.
const POOL_SIZE: usize = 1024;
/// A server that says how long it keeps a connection is believed but for this: a request may be under way when it closes.
const MARGIN: Duration = Duration::from_secs(1);

/// The idle connections of one upstream.
pub(super) struct Pool {
    connector: TransportConnector,
    /// How long one is kept; `None` for not at all.
    keep_alive: Option<Duration>,
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

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("keep_alive", &self.keep_alive).finish_non_exhaustive()
    }
}

impl Pool {
    /// Holds nothing yet.
    pub(super) fn new(keep_alive: Option<Duration>) -> Self {
        Self { connector: TransportConnector::new(Some(ConnectorOptions::new(POOL_SIZE))), keep_alive }
    }

    /// An idle connection to `server`, still open as far as can be seen.
    pub(super) async fn reuse(&self, server: &Server) -> Option<Connection> {
        self.keep_alive?;
        let stream = self.connector.reused_stream(&server.pool_key).await?;
        let idle: Box<Idle> = stream.into_any().downcast().ok()?;
        server.tally.reused.fetch_add(1, Ordering::Relaxed);
        Some(Connection { socket: idle.into_socket(), reused: true })
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
        let idle = Idle::new(socket, Arc::clone(&server.tally));
        self.connector.release_stream(Box::new(idle), server.pool_key.reuse_hash(), Some(keep_alive));
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

/// The place of a server in the pool: a number of its own.
///
/// Pingora's own peers are found by a hash of their address, and checked against the peer's name of the socket. For a unix socket that
/// is the path by which the server bound it, which need not be the one that we connect to (a link, a mount, a relative path): such
/// connections would never be reused.
#[derive(Debug, Clone)]
pub(super) struct PoolKey(u64);

/// What a pool key says of its address. Nobody asks: connects do not go through Pingora.
static NOWHERE: SocketAddr = SocketAddr::Inet(std::net::SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));

impl PoolKey {
    /// One that no other server has.
    pub(super) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {}", self.0)
    }
}

impl PoolPeer for PoolKey {
    fn address(&self) -> &SocketAddr {
        &NOWHERE
    }

    fn tls(&self) -> bool {
        false
    }

    fn sni(&self) -> &str {
        ""
    }

    fn reuse_hash(&self) -> u64 {
        self.0
    }

    /// The hash is one server's and nobody else's: asking the system for the peer's name would be one more call for each request.
    fn matches_fd<V: AsRawFd>(&self, _: V) -> bool {
        true
    }
}
