//! Connections to the servers: pooled ones from Pingora's pool, fresh ones from the operating system.
//!
//! The pool and its checks (closed meanwhile, unexpected bytes) are Pingora's. The connect is ours, so that the socket inside stays of a
//! type that the relay can take out again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::Stream;
use pingora::upstreams::peer::{HttpPeer, Peer};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::spec::UpstreamSpec;
use crate::clock;
use crate::transport::{self, Transport};

/// How long an idle connection to a server is kept: Node and uvicorn drop theirs at 5 s, and a race is worth avoiding.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
/// How long a looked-up name is believed.
const RESOLVE: Duration = Duration::from_secs(10);
/// Idle connections kept over all servers.
const POOL_SIZE: usize = 1024;

/// The connections to one upstream.
pub struct Pool {
    spec: Arc<UpstreamSpec>,
    connector: TransportConnector,
    /// Where the server is, and since when we know.
    peers: Mutex<Option<(Instant, Arc<[HttpPeer]>)>>,
}

/// A connection, ready for a request.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub transport: Box<Transport>,
    /// It served a request before: the server may be closing it right now.
    pub reused: bool,
    /// Its address.
    pub server: SocketAddr,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// The name has no address.
    Unresolved(io::Error),
    /// The server does not accept.
    Refused(io::Error),
    /// This process has no descriptors left.
    Exhausted(io::Error),
    /// `timeouts.connect` passed.
    TimedOut,
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unresolved(error) => write!(f, "its name has no address: {error}"),
            Self::Refused(error) => write!(f, "no connection: {error}"),
            Self::Exhausted(error) => write!(f, "no descriptor for a connection, raise `ulimit -n`: {error}"),
            Self::TimedOut => write!(f, "no connection within timeouts.connect"),
        }
    }
}

impl std::error::Error for ConnectError {}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("upstream", &self.spec.name).finish_non_exhaustive()
    }
}

impl Pool {
    /// No connection is made yet.
    #[must_use]
    pub fn new(spec: Arc<UpstreamSpec>) -> Self {
        Self { spec, connector: TransportConnector::new(Some(ConnectorOptions::new(POOL_SIZE))), peers: Mutex::new(None) }
    }

    /// The upstream's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The server, as the configuration names it.
    #[must_use]
    pub fn server(&self) -> &super::ServerAddress {
        &self.spec.server
    }

    /// An idle connection if there is one, else a fresh one. `timeout` bounds all of it, name and attempts.
    ///
    /// # Errors
    /// [`ConnectError`], after each address of the server was tried.
    pub async fn connect(&self, timeout: Duration) -> Result<Connection, ConnectError> {
        within(timeout, async {
            let peers = self.peers().await?;
            for peer in peers.iter() {
                let Some(stream) = self.connector.reused_stream(peer).await else { continue };
                if let (Some(transport), Some(server)) = (Transport::from_stream(stream), peer.address().as_inet()) {
                    return Ok(Connection { transport, reused: true, server: *server });
                }
            }
            self.open(&peers).await
        })
        .await
    }

    /// A fresh connection, within `timeout`.
    ///
    /// # Errors
    /// [`ConnectError`], after each address of the server was tried.
    pub async fn connect_fresh(&self, timeout: Duration) -> Result<Connection, ConnectError> {
        within(timeout, async { self.open(&self.peers().await?).await }).await
    }

    /// Takes a connection back whose response was read to its end, for the next request.
    pub fn release(&self, stream: Stream, server: SocketAddr) {
        self.connector.release_stream(stream, peer(server).reuse_hash(), Some(KEEP_ALIVE));
    }

    async fn open(&self, peers: &[HttpPeer]) -> Result<Connection, ConnectError> {
        let mut last = ConnectError::TimedOut;
        for peer in peers {
            let Some(server) = peer.address().as_inet().copied() else { continue };
            match TcpStream::connect(server).await {
                Ok(socket) => {
                    let options =
                        socket.set_nodelay(true).and_then(|()| SockRef::from(&socket).set_tcp_keepalive(&transport::keepalive()));
                    if let Err(error) = options {
                        tracing::debug!(%server, %error, "a socket option was refused");
                    }
                    return Ok(Connection { transport: Box::new(Transport::new(socket)), reused: false, server });
                }
                // EMFILE and ENFILE: no other address will do better.
                Err(error) if matches!(error.raw_os_error(), Some(23 | 24)) => return Err(ConnectError::Exhausted(error)),
                Err(error) => last = ConnectError::Refused(error),
            }
        }
        self.expire();
        Err(last)
    }

    /// Where the server is. An address is itself; a name is looked up, and believed for a while.
    async fn peers(&self) -> Result<Arc<[HttpPeer]>, ConnectError> {
        let now = clock::now();
        let known = self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((since, peers)) = &known
            && (self.spec.server.host.parse::<IpAddr>().is_ok() || now < *since + RESOLVE)
        {
            return Ok(Arc::clone(peers));
        }
        let target = (self.spec.server.host.as_str(), self.spec.server.port);
        let looked_up = tokio::net::lookup_host(target).await.map(|found| found.map(peer).collect::<Arc<[_]>>());
        match (looked_up, known) {
            (Ok(peers), _) if !peers.is_empty() => {
                self.remember(Some((now, Arc::clone(&peers))));
                Ok(peers)
            }
            // What it was is better than nothing.
            (_, Some((_, peers))) => Ok(peers),
            (Ok(_), None) => Err(ConnectError::Unresolved(io::Error::from(io::ErrorKind::NotFound))),
            (Err(error), None) => Err(ConnectError::Unresolved(error)),
        }
    }

    /// Perhaps the server moved: its name is looked up again next time.
    fn expire(&self) {
        if let Some((since, _)) = self.peers.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *since = since.checked_sub(RESOLVE).unwrap_or(*since);
        }
    }

    fn remember(&self, peers: Option<(Instant, Arc<[HttpPeer]>)>) {
        *self.peers.lock().unwrap_or_else(PoisonError::into_inner) = peers;
    }
}

async fn within<T>(timeout: Duration, work: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(ConnectError::TimedOut))
}

fn peer(server: SocketAddr) -> HttpPeer {
    HttpPeer::new(server, false, String::new())
}
