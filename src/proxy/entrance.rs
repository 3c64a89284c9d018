//! Who may come in: caps and rates of connections, and before all else the PROXY header of a trusted proxy, which says whose connection
//! it is (`listeners[].proxy_protocol`).
//!
//! A trusted proxy must send its header, as HAProxy and nginx want it: one that did only sometimes could not be told from a client that
//! writes one itself. Whoever else connects is served as he is, and a header of his is judged as HTTP, which it is not. The address
//! that a header names is the client's from there on: it is the one that caps count, and what it says in `X-Forwarded-For` counts only
//! where it is a trusted proxy too.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use super::door::{DRAIN_GRACE, Door};
use super::listener::Listener;
use super::record::Client;
use crate::admission::{ConnectRate, ConnectionPermit, Connections, Refusal};
use crate::clock;
use crate::message::ProxyHeader;
use crate::message::proxy_header::LONGEST_V2;
use crate::telemetry::{ConnectionCap, ProxyHeaderFault, Seldom};
use crate::transport::Socket;

/// Counts connections, and tells of those that may not come in.
#[derive(Debug)]
pub struct Entrance {
    connections: Connections,
    rate: Option<ConnectRate>,
    refusals: Seldom,
    faults: Seldom,
}

/// Why a connection on which a header is due has none.
enum NoHeader {
    /// The proxy only looked whether the port is open, or we are leaving: there is nothing to tell.
    Quiet,
    Fault(ProxyHeaderFault, &'static str),
}

const HEADER_WANTED: &str = "a trusted proxy gave no PROXY header that can be read, and its connection is closed: let it send one \
     (HAProxy: `send-proxy-v2`; nginx: `proxy_protocol on`), or write `proxy_protocol: off`";

impl Entrance {
    /// `rate` is how many new connections of one client are taken a second; `None` for any number.
    #[must_use]
    pub fn new(connections: Connections, rate: Option<ConnectRate>) -> Self {
        Self { connections, rate, refusals: Seldom::default(), faults: Seldom::default() }
    }
}

impl Door {
    /// A connection from `address` was accepted at `listener`; `None` if a cap is reached, and it is to be closed.
    #[must_use]
    pub fn admit(&self, address: SocketAddr, listener: &Arc<Listener>) -> Option<Client> {
        let permit = self.permit(address)?;
        let listener = Arc::clone(listener);
        Some(Client::new(address, listener, self.app.metrics.open_connection(), permit, self.app.drain.guard()))
    }

    /// The right to a connection for whoever has this address.
    fn permit(&self, address: SocketAddr) -> Option<ConnectionPermit> {
        let peer = address.ip().to_canonical();
        let exempt = self.is_exempt(address)?;
        self.entrance.connections.try_acquire(peer, exempt).map_err(|refusal| self.over_cap(address, refusal)).ok()
    }

    /// The proxy that has connected says that it did so for `source`, who counts as if he had come himself.
    fn named(&self, client: &mut Client, source: SocketAddr) -> Option<()> {
        if !self.is_exempt(source)? {
            let peer = source.ip().to_canonical();
            let named = self.entrance.connections.try_name(&mut client.permit, peer);
            named.map_err(|refusal| self.over_cap(source, refusal)).ok()?;
        }
        client.address = source;
        Some(())
    }

    /// Whether caps of clients do not hold for `address`; `None` if it is over its rate.
    fn is_exempt(&self, address: SocketAddr) -> Option<bool> {
        let peer = address.ip().to_canonical();
        let exempt = self.app.trusted.contains(peer);
        if !exempt && self.entrance.rate.as_ref().is_some_and(|rate| !rate.admits(peer)) {
            self.turn_away(address, ConnectionCap::Rate, "limits.connect_rate_per_client");
            return None;
        }
        Some(exempt)
    }

    /// A connection was closed at once: there was no descriptor for it.
    pub fn no_descriptor(&self) {
        self.app.metrics.connection_refused(ConnectionCap::Descriptors);
    }

    fn over_cap(&self, client: SocketAddr, refusal: Refusal) {
        match refusal {
            Refusal::Client => self.turn_away(client, ConnectionCap::Client, "limits.connections_per_client"),
            Refusal::Route | Refusal::Total => self.turn_away(client, ConnectionCap::Total, "limits.connections"),
        }
    }

    fn turn_away(&self, client: SocketAddr, cap: ConnectionCap, key: &str) {
        self.app.metrics.connection_refused(cap);
        if let Some(connections) = self.entrance.refusals.happened(clock::now()) {
            tracing::warn!(%client, connections, "connections are closed at once: {key} is reached");
        }
    }

    /// Whether this connection has to begin with a PROXY header.
    pub(super) fn awaits_header(&self, client: &Client) -> bool {
        client.listener.proxy_protocol && self.app.trusted.contains(client.address.ip())
    }

    /// Reads the PROXY header, and gives the client that it names; `None` if the connection is to be closed. What follows the header
    /// stays unread, be it TLS or HTTP.
    pub(super) async fn introduced(&self, socket: &Socket, mut client: Client) -> Option<Client> {
        let Socket::Tcp(tcp) = socket else { return Some(client) };
        match self.header(tcp).await {
            Ok(None) => Some(client),
            Ok(Some(source)) => self.named(&mut client, source).map(|()| client),
            Err(NoHeader::Quiet) => None,
            Err(NoHeader::Fault(fault, reason)) => {
                self.app.metrics.proxy_header_fault(fault);
                if let Some(connections) = self.entrance.faults.happened(clock::now()) {
                    let proxy = client.address;
                    tracing::warn!(%proxy, connections, reason, "{HEADER_WANTED}");
                }
                None
            }
        }
    }

    async fn header(&self, tcp: &TcpStream) -> Result<Option<SocketAddr>, NoHeader> {
        let mut read = Vec::new();
        tokio::select! {
            // What is there already is served, also when we are leaving.
            biased;
            header = tokio::time::timeout(self.settings.request_head, header(tcp, &mut read)) => {
                if let Ok(header) = header {
                    return header;
                }
            }
            () = async {
                self.app.drain.draining().await;
                tokio::time::sleep(DRAIN_GRACE).await;
            } => return Err(NoHeader::Quiet),
            () = self.app.drain.cut_off() => return Err(NoHeader::Quiet),
        }
        if read.is_empty() {
            return Err(NoHeader::Quiet);
        }
        Err(NoHeader::Fault(ProxyHeaderFault::Incomplete, "its header did not arrive within timeouts.request_head"))
    }
}

/// Reads a header to its last byte and not one more. `read` keeps what was read of it.
async fn header(tcp: &TcpStream, read: &mut Vec<u8>) -> Result<Option<SocketAddr>, NoHeader> {
    loop {
        let there = std::future::poll_fn(|cx| {
            let mut buffer = [0; LONGEST_V2];
            let mut buffer = ReadBuf::new(&mut buffer);
            let n = std::task::ready!(tcp.poll_peek(cx, &mut buffer))?;
            read.extend_from_slice(buffer.filled());
            Poll::Ready(io::Result::Ok(n))
        });
        let there = match there.await {
            Ok(0) | Err(_) if read.is_empty() => return Err(NoHeader::Quiet),
            Ok(0) | Err(_) => {
                return Err(NoHeader::Fault(ProxyHeaderFault::Incomplete, "it closed in the middle of its header"));
            }
            Ok(there) => there,
        };
        let before = read.len() - there;
        let (source, length) = match ProxyHeader::scan(read) {
            ProxyHeader::Partial => (None, read.len()),
            ProxyHeader::Complete { source, length } => (Some(source), length),
            ProxyHeader::Missing => return Err(NoHeader::Fault(ProxyHeaderFault::Missing, "it sent none")),
            ProxyHeader::Malformed(reason) => return Err(NoHeader::Fault(ProxyHeaderFault::Malformed, reason)),
        };
        let taken = match tcp.try_read(&mut read[before..length]) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => return Err(NoHeader::Quiet),
        };
        read.truncate(before + taken);
        if let (Some(source), true) = (source, read.len() == length) {
            return Ok(source);
        }
    }
}
