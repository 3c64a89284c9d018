//! HTTP/2 connections to the servers (RFC 9113), in cleartext with prior knowledge or over TLS by ALPN: several a server, each shared by many requests.
//!
//! A request gets a lease: the right to one stream, counted by its connection until the lease is dropped. A connection never takes more
//! than the server allows, so that no request waits in it behind another; one more opens a further connection, and requests that come
//! while it is opened share it. One that failed, or whose server said GOAWAY, gets no new stream and goes on with those that it has. It
//! is the same rule at every end: a connection whose sender of requests was dropped closes once its last lease is gone.
//!
//! `list` counts, `handshake` opens, `empty_data` keeps a connection from ending for nothing; the tasks are here. What flows over a stream is not our business.

mod empty_data;
mod handshake;
mod list;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

use super::Upstream;
use super::pool::{self, ConnectError};
use super::server::{Peer, Server, Tally, Target};
use super::spec::Http2Spec;
use crate::clock;
use handshake::Connection;
use list::{Attempt, Claim, List, Outcome, Rest, Taken};

pub(super) use handshake::handshake;

/// How long a connection without streams may take to say goodbye, before it is just dropped: its server reads no more.
const FAREWELL: Duration = Duration::from_secs(5);

/// The right to one stream on an HTTP/2 connection; the connection counts it until this is dropped. To be held for as long as the stream
/// lasts.
#[derive(Debug)]
pub struct Http2Lease {
    /// Ready to send one request.
    pub requests: SendRequest<Bytes>,
    /// It served a request before: the server may be closing it right now.
    pub reused: bool,
    // Behind `requests`: when the connection counts one less, the sender is gone already.
    _claim: Claim,
}

/// The connections of one server. When this is dropped they get no new stream, and close with their last lease.
pub(super) struct Connections(Arc<List>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    /// None yet.
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self(Arc::new(List::new(tally)))
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Upstream {
    /// A stream on a connection to `server` that has room for one, else on a fresh one. `timeout` bounds all of it, the server's
    /// SETTINGS included.
    ///
    /// # Errors
    /// As [`Upstream::connect`]; a server that does not speak HTTP/2 counts as one that does not accept. A connect that many requests
    /// waited for counts once.
    pub async fn connect_http2(&self, server: &Server, timeout: Duration) -> Result<Http2Lease, ConnectError> {
        self.lease(server, timeout, false).await
    }

    /// The same on a connection that served no request before.
    ///
    /// # Errors
    /// As [`Upstream::connect_http2`].
    pub async fn connect_http2_fresh(&self, server: &Server, timeout: Duration) -> Result<Http2Lease, ConnectError> {
        self.lease(server, timeout, true).await
    }

    async fn lease(&self, server: &Server, timeout: Duration, fresh: bool) -> Result<Http2Lease, ConnectError> {
        let most = self.spec.http2.streams as usize;
        let deadline = tokio::time::Instant::from_std(clock::now() + timeout);
        loop {
            let waiting = match server.http2.0.take(fresh, most) {
                Taken::Lease(lease) => return Ok(lease),
                Taken::Joined(waiting) => waiting,
                Taken::Opening(ticket, waiting) => {
                    let opening = Opening { peer: server.peer().clone(), spec: self.spec.http2, keep_alive: self.spec.keep_alive };
                    tokio::spawn(opening.run(ticket, timeout));
                    waiting
                }
            };
            let error = match tokio::time::timeout_at(deadline, waiting.outcome).await {
                Ok(Ok(Outcome::Lease(lease))) => return Ok(lease),
                Ok(Ok(Outcome::Full)) => continue,
                Ok(Ok(Outcome::Failed(error))) => error,
                // The ticket tells every end; this one is the runtime's.
                Ok(Err(_)) => return Err(ConnectError::Refused(io::Error::other("the process is going down"))),
                Err(_) => ConnectError::TimedOut,
            };
            return self.judged_once(server, &waiting.attempt, error);
        }
    }

    /// One failed connect counts once, however many requests waited for it.
    fn judged_once(&self, server: &Server, attempt: &Attempt, error: ConnectError) -> Result<Http2Lease, ConnectError> {
        if attempt.is_first_to_tell() { self.judged(server, Err(error)) } else { Err(error) }
    }
}

/// A connection on its way. A task of its own, since the request that began it may leave before those that joined.
struct Opening {
    peer: Peer,
    spec: Http2Spec,
    keep_alive: Option<Duration>,
}

impl Opening {
    async fn run(self, ticket: list::Ticket, timeout: Duration) {
        let connected = async {
            let socket = pool::open(&self.peer).await?;
            handshake(socket, &self.spec).await.map_err(ConnectError::Refused)
        };
        match tokio::time::timeout(timeout, connected).await.unwrap_or(Err(ConnectError::TimedOut)) {
            Ok((requests, connection)) => {
                let driven = ticket.opened(requests, self.spec.streams as usize, self.keep_alive);
                drive(connection, &driven, &self.peer.target).await;
            }
            Err(error) => ticket.failed(&error),
        }
    }
}

/// Runs the connection to its end.
async fn drive(connection: Connection, driven: &list::Driven, server: &Target) {
    let mut connection = std::pin::pin!(connection);
    let mut is_leaving = false;
    loop {
        let pause = match driven.rest(clock::now()) {
            Rest::For(pause) => pause,
            Rest::Leaving if is_leaving => {
                tracing::debug!(%server, "HTTP/2 connection dropped: the server does not read its end");
                return;
            }
            Rest::Leaving => {
                is_leaving = true;
                FAREWELL
            }
        };
        tokio::select! {
            ended = &mut connection => {
                match ended {
                    Ok(()) => tracing::debug!(%server, "HTTP/2 connection closed"),
                    Err(error) => tracing::debug!(%server, %error, "HTTP/2 connection failed"),
                }
                return;
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests;
