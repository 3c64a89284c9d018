//! A connection to a server on which one request goes out: got from the pool or opened, and the request's head written to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::uri::Scheme;
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::http_req_header_to_wire;

use super::ask::Failure;
use super::body_sender::BodySender;
use super::in_time::in_time;
use super::server_response::{ServerResponse, refused};
use crate::clock;
use crate::message::{RequestFraming, http2};
use crate::telemetry::{ConnectionKind, UpstreamMetrics};
use crate::transport::Socket;
use crate::upstream::{ConnectError, Connection, Http2Lease, Protocol, Server, Upstream};

/// A connection to a server, ready for a request.
pub(super) enum Carrier {
    Http1(Connection),
    Http2(Http2Lease),
}

impl Carrier {
    pub(super) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.reused,
            Self::Http2(lease) => lease.reused,
        }
    }
}

/// A connection to `server`, of which kind it is and how long it took; counted in `metrics`.
pub(super) async fn connect(
    upstream: &Upstream,
    metrics: &UpstreamMetrics,
    server: &Server,
    timeout: Duration,
    fresh: bool,
) -> Result<(Carrier, ConnectionKind, Duration), ConnectError> {
    let began = clock::now();
    let connected = match (upstream.spec().protocol, fresh) {
        (Protocol::Http1, false) => upstream.connect(server, timeout).await.map(Carrier::Http1),
        (Protocol::Http1, true) => upstream.connect_fresh(server, timeout).await.map(Carrier::Http1),
        (Protocol::Http2, false) => Box::pin(upstream.connect_http2(server, timeout)).await.map(Carrier::Http2),
        (Protocol::Http2, true) => Box::pin(upstream.connect_http2_fresh(server, timeout)).await.map(Carrier::Http2),
    };
    let carrier = connected.inspect_err(|_| metrics.connect_failed())?;
    let kind = if carrier.is_reused() { ConnectionKind::Reused } else { ConnectionKind::Fresh };
    metrics.connected(kind);
    Ok((carrier, kind, clock::now().saturating_duration_since(began)))
}

/// Sends the head of a request whose body has `framing`; gives its response, and where the body goes. `trailers` says that the client
/// takes them; `patience` bounds each write over HTTP/1.
pub(super) async fn send_head(
    carrier: Carrier,
    head: &RequestHeader,
    server: &Server,
    framing: RequestFraming,
    trailers: bool,
    patience: Duration,
) -> Result<(ServerResponse, BodySender), Failure> {
    match carrier {
        Carrier::Http1(connection) => {
            let wire = http_req_header_to_wire(head).ok_or(Failure::Client(400, "no request can be built from it"))?;
            let socket = Arc::new(connection.socket);
            write_whole(&socket, wire, patience)
                .await
                .map_err(|error| Failure::Stale(format!("the request was not sent: {error}")))?;
            Ok((ServerResponse::http1(Arc::clone(&socket)), BodySender::http1(socket, framing)))
        }
        Carrier::Http2(mut lease) => {
            let scheme = if server.is_tls() { Scheme::HTTPS } else { Scheme::HTTP };
            let request = http2::upstream_request(head, scheme, trailers)
                .map_err(|_| Failure::Client(400, "no request can be built from it"))?;
            let has_body = framing.has_body();
            let sent = lease.requests.send_request(request, !has_body);
            let (response, stream) = sent.map_err(|error| refused(&error))?;
            let body = if has_body { BodySender::http2(stream) } else { BodySender::none() };
            Ok((ServerResponse::http2(response, lease), body))
        }
    }
}

/// Gives all of `data` to the system, each write within `patience`.
async fn write_whole(socket: &Socket, mut data: BytesMut, patience: Duration) -> io::Result<()> {
    while data.has_remaining() {
        match in_time(patience, |cx| socket.poll_write_shared(cx, &data)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => data.advance(n),
        }
    }
    in_time(patience, |cx| socket.poll_flush_shared(cx)).await
}
