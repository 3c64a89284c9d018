//! One server: where it is, how it stands and what it has to do. It keeps its identity for as long as anybody holds it, also when it
//! left the list. It opens no socket and never decides who gets work; it is what those who do look at.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use rustls::pki_types::ServerName;

use super::balance;
use super::ejection::Ejection;
use super::http2::Connections;
use super::idle::IdleList;
use super::snapshot::ServerSnapshot;
use super::spec::EjectionSpec;
use crate::tls::ClientTls;

/// Where to connect: what an address of the configuration came down to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A server as connections see it: where it is, and who it must be.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) target: Target,
    pub(super) tls: Option<Verified>,
}

/// A server that shows a certificate.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    pub(super) settings: Arc<ClientTls>,
    /// What the certificate must be for; `None` if none can be.
    pub(super) name: Option<ServerName<'static>>,
}

/// A server of an upstream.
#[derive(Debug)]
pub struct Server {
    upstream: Arc<str>,
    peer: Peer,
    address: Box<str>,
    host: Arc<str>,
    /// The address as a number that is the same in every process.
    identity: u64,
    /// Its idle connections when it speaks HTTP/1.
    pub(super) idle: IdleList,
    /// Its connections when it speaks HTTP/2.
    pub(super) http2: Connections,
    /// What its health checks say; up until they say otherwise.
    up: AtomicBool,
    ejection: Ejection,
    /// What it is owed in a round robin; behind the lock of the balancer.
    pub(super) credit: AtomicI64,
    streams: AtomicUsize,
    requests: AtomicUsize,
    /// What its connections come to.
    pub(super) tally: Arc<Tally>,
}

/// Numbers of a server's connections. Apart from the server, so that an idle connection does not keep it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) idle: AtomicUsize,
    pub(super) opened: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) connect_failures: AtomicU64,
}

impl Server {
    /// A server that is up and has nothing to do. `host` is what its clients call it.
    pub(super) fn new(upstream: Arc<str>, peer: Peer, host: Arc<str>, ejection: EjectionSpec) -> Self {
        let address = peer.target.to_string().into_boxed_str();
        let tally = Arc::<Tally>::default();
        Self {
            upstream,
            peer,
            host,
            identity: balance::stable_hash(address.as_bytes()),
            address,
            idle: IdleList::new(Arc::clone(&tally)),
            http2: Connections::new(Arc::clone(&tally)),
            up: AtomicBool::new(true),
            ejection: Ejection::new(ejection),
            credit: AtomicI64::new(0),
            streams: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            tally,
        }
    }

    /// Its address as pins seal it and logs show it: `10.0.0.1:3000`, `[::1]:3000`, `unix:/run/app.sock`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What to write into `Host` when a request has none: the configured `host:port`, or `localhost` for a unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether its health checks let it have new work.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether passive ejection keeps new work from it.
    #[must_use]
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.ejection.is_out(now)
    }

    /// Counts a request in flight for as long as the guard lives. Take it right after the pick, before the connect, so that the next
    /// pick sees it.
    #[must_use]
    pub fn busy(self: &Arc<Self>) -> BusyGuard {
        self.requests.fetch_add(1, Ordering::Relaxed);
        BusyGuard { server: Arc::clone(self), is_stream: false }
    }

    /// A fresh connection died before it brought a response. A reused one that was closed for being idle is no failure.
    pub fn connection_died(&self, now: Instant) {
        self.failed("the connection died before a response", now);
    }

    /// A response came: failures are no longer in a row, an ejection is over.
    pub fn succeeded(&self) {
        if self.ejection.succeeded() {
            tracing::info!(upstream = &*self.upstream, server = self.address(), "ejection over: the server answered");
        }
    }

    /// No connection came about.
    pub(super) fn connect_failed(&self, reason: &dyn fmt::Display, now: Instant) {
        self.tally.connect_failures.fetch_add(1, Ordering::Relaxed);
        self.failed(reason, now);
    }

    fn failed(&self, reason: &(impl fmt::Display + ?Sized), now: Instant) {
        if let Some(failures) = self.ejection.failed(now) {
            tracing::warn!(upstream = &*self.upstream, server = self.address(), failures, %reason, "server ejected");
        }
    }

    /// Claims it for one request; `false` when it just came out of an ejection and another request is its one try.
    pub(super) fn claim(&self, now: Instant) -> bool {
        self.ejection.claim(now)
    }

    /// What the health checks found. Coming up also ends an ejection: the checks are the younger news.
    pub(super) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Relaxed);
        if up {
            self.ejection.succeeded();
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.peer.target
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether connections to it are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.peer.tls.is_some()
    }

    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// Streams and requests in flight.
    pub(super) fn load(&self) -> usize {
        self.streams.load(Ordering::Relaxed) + self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self, now: Instant, departed: bool) -> ServerSnapshot {
        ServerSnapshot {
            address: self.address().to_owned(),
            up: self.is_up(),
            ejected: self.is_ejected(now),
            departed,
            streams: self.streams.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            idle: self.tally.idle.load(Ordering::Relaxed),
            opened: self.tally.opened.load(Ordering::Relaxed),
            reused: self.tally.reused.load(Ordering::Relaxed),
            connect_failures: self.tally.connect_failures.load(Ordering::Relaxed),
        }
    }
}

/// A request in flight, or the stream that it became. Dropping it is how it ends.
#[derive(Debug)]
pub struct BusyGuard {
    server: Arc<Server>,
    is_stream: bool,
}

impl BusyGuard {
    /// The request became a stream and is counted as one from now on.
    pub fn becomes_stream(&mut self) {
        if !std::mem::replace(&mut self.is_stream, true) {
            // In this order, so that the load is never seen too low.
            self.server.streams.fetch_add(1, Ordering::Relaxed);
            self.server.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        let count = if self.is_stream { &self.server.streams } else { &self.server.requests };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::clock;

    #[test]
    fn a_busy_guard_counts_a_request_then_a_stream_then_nothing() {
        let server = server("10.0.0.1:1");
        let counts = |server: &Server| {
            let snapshot = server.snapshot(clock::now(), false);
            (snapshot.requests, snapshot.streams, server.load())
        };
        let request = server.busy();
        let mut stream = server.busy();
        assert_eq!(counts(&server), (2, 0, 2));
        stream.becomes_stream();
        stream.becomes_stream();
        assert_eq!(counts(&server), (1, 1, 2));
        drop(request);
        assert_eq!(counts(&server), (0, 1, 1));
        drop(stream);
        assert_eq!(counts(&server), (0, 0, 0));
    }

    #[test]
    fn an_address_reads_as_the_configuration_writes_it() {
        let text = |target: Target| {
            Server::new("app".into(), Peer { target, tls: None }, "host".into(), super::super::testing::EJECTION)
                .address()
                .to_owned()
        };
        assert_eq!(text(Target::Tcp("[::1]:3000".parse().unwrap())), "[::1]:3000");
        assert_eq!(text(Target::Unix("/run/app.sock".into())), "unix:/run/app.sock");
    }

    #[test]
    fn a_health_check_that_brings_a_server_up_ends_its_ejection() {
        let (server, now) = (server("10.0.0.1:1"), clock::now());
        for _ in 0..super::super::testing::EJECTION.failures {
            server.connection_died(now);
        }
        assert!(server.is_ejected(now));
        server.set_up(false);
        assert!(server.is_ejected(now) && !server.is_up());
        server.set_up(true);
        assert!(!server.is_ejected(now) && server.is_up());
    }
}
