//! A server's response on its way in: heads one after the other until the final one, then the body piece by piece; over HTTP/1 on a
//! connection (`http1_response.rs`), over HTTP/2 on a stream. Heads are judged before they are believed.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method};
use pingora::http::ResponseHeader;

use super::ask::Failure;
use super::http1_response::Http1Response;
use crate::message::framing::Malformed;
use crate::message::{ResponseFraming, ResponseHead, http2, trailers};
use crate::transport::{Socket, Wire};
use crate::upstream::{Http2Lease, Server, Upstream};

/// Heads of 1xx responses before the final one: who sends more is not answering.
const MAX_INFORMATIONAL: usize = 32;

/// One response.
pub(super) struct ServerResponse {
    carrier: Carrier,
    informational: usize,
}

enum Carrier {
    Http1(Http1Response),
    Http2 { state: Http2State, lease: Http2Lease },
}

enum Http2State {
    Head(ResponseFuture),
    Body(RecvStream),
    Over,
}

/// A head, final or not.
pub(super) struct Head {
    pub(super) header: ResponseHeader,
    pub(super) judged: ResponseHead,
}

/// What the body of an event stream is read from.
pub(super) enum ServerStream {
    /// A raw connection, and what was read of the body together with the head.
    Http1(Wire, Bytes),
    /// A stream of an HTTP/2 connection.
    Http2(RecvStream, Box<Http2Lease>),
}

impl ServerResponse {
    /// To a request that was sent on `socket`.
    pub(super) fn http1(socket: Arc<Socket>) -> Self {
        Self { carrier: Carrier::Http1(Http1Response::new(socket)), informational: 0 }
    }

    /// To a request that was sent on `lease`.
    pub(super) fn http2(response: ResponseFuture, lease: Http2Lease) -> Self {
        Self { carrier: Carrier::Http2 { state: Http2State::Head(response), lease }, informational: 0 }
    }

    /// The next head. Dropped half-way, it goes on at the next call.
    pub(super) async fn next_head(&mut self, method: &Method) -> Result<Head, Failure> {
        let head = match &mut self.carrier {
            Carrier::Http1(response) => response.next_head(method).await?,
            Carrier::Http2 { state, .. } => http2_head(state, method).await?,
        };
        if head.judged.status < 200 {
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err(endless());
            }
        }
        Ok(head)
    }

    /// The final head stands, and an ordinary body comes.
    ///
    /// # Errors
    /// What is wrong with the part of it that was read together with the head.
    pub(super) fn begin_body(&mut self, framing: ResponseFraming) -> Result<(), &'static str> {
        let Carrier::Http1(response) = &mut self.carrier else { return Ok(()) };
        response.begin_body(framing).map_err(|Malformed| "the chunked coding of the response is malformed")
    }

    /// The next piece of the body, never empty; `None` at its end. `idle` bounds the wait. Dropped half-way, it loses nothing.
    ///
    /// # Errors
    /// Why the rest does not come.
    pub(super) async fn read(&mut self, idle: Duration) -> Result<Option<Bytes>, String> {
        loop {
            let piece = match &mut self.carrier {
                Carrier::Http1(response) => response.read(idle).await?,
                Carrier::Http2 { state: Http2State::Body(body), .. } => {
                    let read = tokio::time::timeout(idle, body.data()).await;
                    let read = read.map_err(|_| "nothing came within timeouts.response_body_idle".to_owned())?;
                    let data = read.transpose().map_err(|error| error.to_string())?;
                    if let Some(data) = &data {
                        // An error means that the stream is over, which the next read tells.
                        let _ = body.flow_control().release_capacity(data.len());
                    }
                    data
                }
                Carrier::Http2 { .. } => None,
            };
            // An empty chunk would end the body towards the client.
            if piece.as_ref().is_none_or(Buf::has_remaining) {
                return Ok(piece);
            }
        }
    }

    /// What may follow a whole body, over HTTP/2. `idle` bounds the wait.
    ///
    /// # Errors
    /// Why they do not come.
    pub(super) async fn trailers(&mut self, idle: Duration) -> Result<Option<HeaderMap>, String> {
        let Carrier::Http2 { state: Http2State::Body(body), .. } = &mut self.carrier else { return Ok(None) };
        let fields = tokio::time::timeout(idle, body.trailers()).await;
        let fields = fields.map_err(|_| "no end came within timeouts.response_body_idle".to_owned())?;
        fields.map(trailers::filtered).map_err(|error| error.to_string())
    }

    /// The exchange is over and the response was read to its end: the connection may serve another request, if both sides keep it.
    pub(super) fn release(self, upstream: &Upstream, server: &Server, promised: Option<Duration>) {
        if let Carrier::Http1(response) = self.carrier
            && let Some(socket) = response.into_reusable()
        {
            upstream.release(socket, server, promised);
        }
    }

    /// Lets the body of an event stream, or of a tunnel, out of here.
    pub(super) fn into_stream(self) -> Option<ServerStream> {
        match self.carrier {
            Carrier::Http1(response) => {
                let (wire, start) = response.into_stream();
                Some(ServerStream::Http1(wire, start))
            }
            Carrier::Http2 { state: Http2State::Body(body), lease } => Some(ServerStream::Http2(body, Box::new(lease))),
            Carrier::Http2 { .. } => None,
        }
    }
}

async fn http2_head(state: &mut Http2State, method: &Method) -> Result<Head, Failure> {
    let Http2State::Head(response) = state else { return Err(malformed("there is none")) };
    let (parts, body) = std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(Some(Ok(informational))) = response.poll_informational(cx) {
            return std::task::Poll::Ready(Ok((informational.into_parts().0, None)));
        }
        std::pin::Pin::new(&mut *response).poll(cx).map_ok(|response| {
            let (parts, body) = response.into_parts();
            (parts, Some(body))
        })
    })
    .await
    .map_err(|error| refused(&error))?;
    let over = body.as_ref().is_some_and(RecvStream::is_end_stream);
    let (header, judged) = http2::response(parts, method, over).map_err(malformed)?;
    if let Some(body) = body {
        *state = if over { Http2State::Over } else { Http2State::Body(body) };
    }
    Ok(Head { header, judged })
}

pub(super) fn malformed(reason: &'static str) -> Failure {
    Failure::Upstream(502, format!("the response head is malformed: {reason}"))
}

fn endless() -> Failure {
    Failure::Upstream(502, "informational responses without end".to_owned())
}

/// No response head came over HTTP/2, where the server may say that it did nothing with the request (RFC 9113 section 8.7).
pub(super) fn refused(error: &h2::Error) -> Failure {
    let reason = format!("no response head: {error}");
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => Failure::Unprocessed(reason),
        Some(Reason::HTTP_1_1_REQUIRED) => {
            Failure::Upstream(502, "the server wants HTTP/1.1: set `protocol: http1` for this upstream".to_owned())
        }
        _ if error.is_go_away() && error.is_remote() => Failure::Unprocessed(reason),
        _ if error.is_io() || error.is_go_away() => Failure::Stale(reason),
        _ => Failure::Upstream(502, reason),
    }
}
