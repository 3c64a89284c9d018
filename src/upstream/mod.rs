//! The servers behind us and the connections to them.
//!
//! ```text
//!   spec ──► roster ◄── discovery (names)        request ──► pick ◄── balance
//!   (file)   who the                                          │
//!            servers are ──► server ◄── health, ejection      ▼
//!                            how each stands        pool ──► connection
//!                                                    http2 ─► stream of one
//! ```
//!
//! An [`Upstream`] knows neither requests nor what flows over its connections. Statistics, checks and lists are plain values with time
//! as an argument; sockets are opened in `pool`, shared by many requests in `http2`, names looked up in `discovery`, checks asked in
//! `health`.

mod balance;
mod discovery;
mod ejection;
mod health;
mod http2;
mod idle;
mod pick;
mod pool;
mod roster;
mod server;
mod snapshot;
mod spec;
#[cfg(test)]
mod testing;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::tls::ClientTls;
use crate::transport::Socket;
use balance::Balancer;
use discovery::{Lookup, SystemLookup};
use pool::Pool;
use roster::Roster;

pub use http2::Http2Lease;
pub use pick::Pick;
pub use pool::{ConnectError, Connection};
pub use server::{BusyGuard, Server};
pub use snapshot::ServerSnapshot;
pub use spec::{
    Balance, EjectionSpec, HashOn, HealthCheck, HealthSpec, Http2Spec, Protocol, ServerAddress, ServerSpec, UpstreamSpec,
};

/// One entry of `upstreams` at work. Its servers with an address get requests at once, those with a name once [`Upstream::run`]
/// found them.
pub struct Upstream {
    spec: Arc<UpstreamSpec>,
    roster: RwLock<Roster>,
    balancer: Balancer,
    pool: Pool,
    lookup: Arc<dyn Lookup>,
    /// Names that were never looked up to an end.
    unsettled: watch::Sender<usize>,
    /// Changes of the list.
    changes: watch::Sender<u64>,
    /// Told at each failed connect: perhaps the server moved.
    failed_connects: watch::Sender<()>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Nothing is looked up, checked or connected yet. `tls` is what its servers are connected with, in cleartext without.
    #[must_use]
    pub fn new(spec: Arc<UpstreamSpec>, tls: Option<Arc<ClientTls>>) -> Arc<Self> {
        Self::with_lookup(spec, tls, Arc::new(SystemLookup))
    }

    fn with_lookup(spec: Arc<UpstreamSpec>, tls: Option<Arc<ClientTls>>, lookup: Arc<dyn Lookup>) -> Arc<Self> {
        let upstream = Self {
            roster: RwLock::new(Roster::new(&spec, tls)),
            balancer: Balancer::new(spec.balance.clone()),
            pool: Pool { keep_alive: spec.keep_alive },
            lookup,
            unsettled: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            failed_connects: watch::Sender::new(()),
            spec,
        };
        let names = discovery::names(&upstream).count();
        upstream.unsettled.send_replace(names);
        Arc::new(upstream)
    }

    /// What the configuration says of it.
    #[must_use]
    pub fn spec(&self) -> &Arc<UpstreamSpec> {
        &self.spec
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Looks names up and checks servers until `stop`. To be run once, for as long as the upstream serves; when the future is dropped,
    /// all of it ends.
    pub async fn run(self: Arc<Self>, stop: impl Future) {
        let mut tasks = JoinSet::new();
        for (position, host, port) in discovery::names(&self) {
            tasks.spawn(discovery::follow(Arc::clone(&self), position, host.to_owned(), port));
        }
        if let Some(health) = self.spec.health.clone() {
            tasks.spawn(health::check_all(Arc::clone(&self), health, self.changes.subscribe()));
        }
        // They run for ever, and end when they are dropped.
        tokio::select! {
            _ = stop => {}
            () = self.pool.sweep(|| self.servers()) => {}
        }
    }

    /// Resolves once every name was looked up at least once, whether it has an address or not. Only [`Upstream::run`] gets there.
    pub async fn settled(&self) {
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = self.unsettled.subscribe().wait_for(|names| *names == 0).await;
    }

    /// The server for one request: the pinned one if it is up and not ejected, else whom `balance` says; `None` when none is up that
    /// the request did not try. Ejection is ignored where it would leave no server.
    #[must_use]
    pub fn pick(&self, wanted: &Pick<'_>, now: Instant) -> Option<Arc<Server>> {
        pick::pick(self.roster().members(), &self.balancer, wanted, now).cloned()
    }

    /// An idle connection to `server` if there is one, else a fresh one. `timeout` bounds all of it.
    ///
    /// # Errors
    /// [`ConnectError`]; it is counted against the server already, unless this process was to blame.
    pub async fn connect(&self, server: &Server, timeout: Duration) -> Result<Connection, ConnectError> {
        match self.pool.reuse(server) {
            Some(connection) => Ok(connection),
            None => self.connect_fresh(server, timeout).await,
        }
    }

    /// A fresh connection to `server`, within `timeout`.
    ///
    /// # Errors
    /// As [`Upstream::connect`].
    pub async fn connect_fresh(&self, server: &Server, timeout: Duration) -> Result<Connection, ConnectError> {
        let connection = tokio::time::timeout(timeout, self.pool.fresh(server));
        self.judged(server, connection.await.unwrap_or(Err(ConnectError::TimedOut)))
    }

    /// A connect that failed counts against the server, and has its name looked up again: perhaps it moved.
    fn judged<C>(&self, server: &Server, connected: Result<C, ConnectError>) -> Result<C, ConnectError> {
        if let Err(error @ (ConnectError::Refused(_) | ConnectError::Tls(_) | ConnectError::TimedOut)) = &connected {
            server.connect_failed(error, clock::now());
            self.failed_connects.send_replace(());
        }
        connected
    }

    /// Takes a connection back whose response was read to its end, for the next request. `promised` is the `timeout` of the response's
    /// `Keep-Alive`, if it had one: the connection is kept for no longer than that less a second.
    pub fn release(&self, socket: Socket, server: &Server, promised: Option<Duration>) {
        self.pool.keep(socket, server, promised);
    }

    /// How each server stands: those in the list, names without an address, and servers that left and still run something.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Vec<ServerSnapshot> {
        let roster = self.roster();
        let listed = roster.members().iter().map(|member| member.server.snapshot(now, false));
        let unresolved = roster.unresolved().map(|name| ServerSnapshot { address: name.to_owned(), ..ServerSnapshot::default() });
        let departed =
            roster.departed().map(|server| server.snapshot(now, true)).filter(|server| server.streams + server.requests > 0);
        listed.chain(unresolved).chain(departed).collect()
    }

    fn servers(&self) -> Vec<Arc<Server>> {
        self.roster().members().iter().map(|member| Arc::clone(&member.server)).collect()
    }

    /// A lookup found the addresses of the entry at this position.
    fn learn(&self, position: usize, addresses: &[SocketAddr]) {
        let changed = self.roster.write().unwrap_or_else(PoisonError::into_inner).learn(position, addresses);
        if changed {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// For a moment: never held over an await.
    fn roster(&self) -> RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
