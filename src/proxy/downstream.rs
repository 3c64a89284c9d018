//! The answering half towards a client: a Pingora session over HTTP/1, a stream of a connection over HTTP/2. What the client sends
//! behind its head is not here but in `request_body.rs`, so that both directions run at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::HeaderMap;
use pingora::ErrorType;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v1::server::HttpSession;

use super::http2_turns::Turns;
use super::http2_write::poll_send;
use super::relay::reset_on_close;
use crate::message::cors::Grant;
use crate::message::{HeaderEdits, Version, http2};
use crate::transport::{Socket, Transport, Wire};

/// How long what was sent may take to go out before its stream is reset.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// The client takes nothing more: it left, or stood still for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Where a response goes.
pub enum Downstream {
    /// An HTTP/1 connection.
    Http1(Http1Client),
    /// A stream of an HTTP/2 connection.
    Http2(Http2Client),
}

/// The answering half of an HTTP/1 connection.
pub struct Http1Client {
    session: Box<HttpSession>,
    version: Version,
    socket: Arc<Socket>,
    keeps: bool,
    stalled: bool,
    cors: Option<Box<Grant>>,
    edits: Option<Arc<HeaderEdits>>,
}

/// The answering half of an HTTP/2 stream.
pub struct Http2Client {
    head: Box<RequestHeader>,
    answer: Answer,
    turns: Arc<Turns>,
    write_stall: Duration,
    stalled: bool,
    cors: Option<Box<Grant>>,
    edits: Option<Arc<HeaderEdits>>,
}

enum Answer {
    /// No head was sent.
    Open(SendResponse<Bytes>),
    /// The body goes here.
    Body(SendStream<Bytes>),
    /// Nothing more may be sent.
    Over,
}

/// How a response's body is delimited towards the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// As the fields of the head say, or by the version's own means.
    Framed,
    /// By the end of the connection, all else being unknown to an HTTP/1.0 client.
    UntilClose,
}

impl Downstream {
    /// A session that read the request's head. `socket` is the one below it.
    #[must_use]
    pub fn http1(session: HttpSession, version: Version, socket: Arc<Socket>) -> Self {
        let session = Box::new(session);
        Self::Http1(Http1Client { session, version, socket, keeps: false, stalled: false, cors: None, edits: None })
    }

    /// A stream on which a request with `head` came, and the turns of its connection.
    #[must_use]
    pub fn http2(head: RequestHeader, respond: SendResponse<Bytes>, turns: Arc<Turns>) -> Self {
        Self::Http2(Http2Client {
            head: Box::new(head),
            answer: Answer::Open(respond),
            turns,
            write_stall: Duration::MAX,
            stalled: false,
            cors: None,
            edits: None,
        })
    }

    /// The request's head.
    #[must_use]
    pub fn head(&self) -> &RequestHeader {
        match self {
            Self::Http1(client) => client.session.req_header(),
            Self::Http2(client) => &client.head,
        }
    }

    /// How long the client may take nothing.
    pub fn set_write_stall(&mut self, write_stall: Duration) {
        match self {
            Self::Http1(client) => client.session.set_write_timeout(Some(write_stall)),
            Self::Http2(client) => client.write_stall = write_stall,
        }
    }

    /// Whether a body broke off because the client took nothing of it for that long.
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        let (Self::Http1(Http1Client { stalled, .. }) | Self::Http2(Http2Client { stalled, .. })) = self;
        *stalled
    }

    /// What each final response says of who may read it, whoever made it.
    pub fn set_cors(&mut self, grant: Option<Grant>) {
        let (Self::Http1(Http1Client { cors, .. }) | Self::Http2(Http2Client { cors, .. })) = self;
        *cors = grant.map(Box::new);
    }

    /// Whether responses say so.
    #[must_use]
    pub fn has_cors(&self) -> bool {
        let (Self::Http1(Http1Client { cors, .. }) | Self::Http2(Http2Client { cors, .. })) = self;
        cors.is_some()
    }

    /// What is done to the fields of each final response, whoever made it.
    pub fn set_response_headers(&mut self, fields: Option<Arc<HeaderEdits>>) {
        let (Self::Http1(Http1Client { edits, .. }) | Self::Http2(Http2Client { edits, .. })) = self;
        *edits = fields;
    }

    /// How a body of unknown length is delimited for this client.
    #[must_use]
    pub fn body_of_unknown_length(&self) -> Body {
        match self {
            Self::Http1(client) if client.version == Version::Http10 => Body::UntilClose,
            Self::Http1(_) | Self::Http2(_) => Body::Framed,
        }
    }

    /// Sends a 1xx head (RFC 9110 section 15.2). HTTP/1.0 clients do not know them.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn informational(&mut self, mut head: ResponseHeader) -> Result<(), Gone> {
        match self {
            Self::Http1(client) if client.version == Version::Http10 => Ok(()),
            Self::Http1(client) => {
                head.set_version(http::Version::HTTP_11);
                client.write_head(head).await
            }
            Self::Http2(Http2Client { answer: Answer::Open(respond), .. }) => {
                respond.send_informational(http2::client_response(&head)).map_err(|_| Gone)
            }
            Self::Http2(_) => Err(Gone),
        }
    }

    /// Sends the final head. Over HTTP/1.1 a body of unknown length becomes chunked; `keeps` says whether the connection may serve
    /// another request.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn write_head(&mut self, mut head: ResponseHeader, body: Body, keeps: bool) -> Result<(), Gone> {
        let (Self::Http1(Http1Client { cors, edits, .. }) | Self::Http2(Http2Client { cors, edits, .. })) = &*self;
        // 101 is no response that a page could read.
        if let Some(cors) = cors.as_ref().filter(|_| !head.status.is_informational()) {
            cors.write(&mut head);
        }
        if let Some(edits) = edits {
            edits.edit_response(&mut head).map_err(|_| Gone)?;
        }
        match self {
            Self::Http1(client) => {
                head.set_version(http::Version::HTTP_11);
                if body == Body::Framed && !head.headers.contains_key(http::header::CONTENT_LENGTH) {
                    // The name is valid and the value is a constant.
                    let _ = head.insert_header(http::header::TRANSFER_ENCODING, "chunked");
                }
                client.keeps = keeps && body != Body::UntilClose;
                client.session.set_server_keepalive(client.keeps.then_some(0));
                client.write_head(head).await
            }
            Self::Http2(client) => {
                let Answer::Open(mut respond) = std::mem::replace(&mut client.answer, Answer::Over) else { return Err(Gone) };
                let over = body == Body::None;
                if !head.headers.contains_key(http::header::DATE) {
                    // RFC 9110 section 6.6.1; over HTTP/1 the session does it.
                    head.insert_header(http::header::DATE, pingora::protocols::http::date::get_cached_date()).map_err(|_| Gone)?;
                }
                let stream = respond.send_response(http2::client_response(&head), over).map_err(|_| Gone)?;
                if !over {
                    client.answer = Answer::Body(stream);
                }
                Ok(())
            }
        }
    }

    /// Sends a piece of the body. Not to be dropped half-way, unless the response is given up.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn write_body(&mut self, mut data: Bytes) -> Result<(), Gone> {
        match self {
            Self::Http1(client) => client.session.write_body(&data).await.map(drop).map_err(|error| {
                client.stalled = *error.etype() == ErrorType::WriteTimedout;
                Gone
            }),
            Self::Http2(Http2Client { answer: Answer::Body(stream), write_stall, stalled, .. }) => {
                while data.has_remaining() {
                    let sent = std::future::poll_fn(|cx| poll_send(stream, cx, &mut data, false));
                    match tokio::time::timeout(*write_stall, sent).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            // The system keeps the same time for the connection, and may be first.
                            *stalled = error.kind() == io::ErrorKind::TimedOut;
                            return Err(Gone);
                        }
                        Err(_) => {
                            *stalled = true;
                            return Err(Gone);
                        }
                    }
                }
                Ok(())
            }
            Self::Http2(_) => Err(Gone),
        }
    }

    /// The body is whole. Trailers go to HTTP/2 clients only.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), Gone> {
        match self {
            Self::Http1(client) => client.session.finish_body().await.map(drop).map_err(|_| Gone),
            Self::Http2(client) => match std::mem::replace(&mut client.answer, Answer::Over) {
                Answer::Body(mut stream) => match trailers {
                    Some(trailers) => stream.send_trailers(trailers).map_err(|_| Gone),
                    None => stream.send_data(Bytes::new(), true).map_err(|_| Gone),
                },
                Answer::Open(_) => Err(Gone),
                Answer::Over => Ok(()),
            },
        }
    }

    /// What was sent is not all: the client gets it, and must see that (RFC 9112 section 8, RFC 9113 section 8.1).
    pub async fn break_off(&mut self, reason: Reason) {
        // A body with a length or in chunks shows it by the close.
        let Self::Http2(client) = self else { return };
        let turn = client.turns.now();
        let gone_out = std::future::poll_fn(|cx| client.turns.poll_after(turn, cx));
        // One who takes nothing loses what it did not take.
        let _ = tokio::time::timeout(LAST_WORDS, gone_out).await;
        match &mut client.answer {
            Answer::Open(respond) => respond.send_reset(reason),
            Answer::Body(stream) => stream.send_reset(reason),
            Answer::Over => {}
        }
    }

    /// Whether closing the connection shows that the body is not whole: the only way where its end is the body's end.
    pub fn set_reset_on_close(&self, reset: bool) {
        if let Self::Http1(client) = self {
            reset_on_close(&*client.socket, reset);
        }
    }

    /// Closes our half of the connection: the end of a body that nothing else ends, and that waits for nothing the client still sends.
    pub async fn close_half(&self) {
        if let Self::Http1(client) = self {
            let closed = std::future::poll_fn(|cx| client.socket.poll_close_write(cx));
            // Who is gone already needs no end.
            let _ = tokio::time::timeout(LAST_WORDS, closed).await;
        }
    }

    /// Resolves once the client reset its stream or its HTTP/2 connection broke. Over HTTP/1 whoever reads the connection sees it.
    pub async fn gone(&mut self) {
        match self {
            Self::Http1(_) => std::future::pending().await,
            Self::Http2(client) => {
                std::future::poll_fn(|cx| match &mut client.answer {
                    Answer::Open(respond) => respond.poll_reset(cx).map(drop),
                    Answer::Body(stream) => stream.poll_reset(cx).map(drop),
                    Answer::Over => std::task::Poll::Pending,
                })
                .await;
            }
        }
    }

    /// Lets the event stream, whose head is sent, out of here.
    #[must_use]
    pub fn into_stream(self) -> Option<ClientStream> {
        match self {
            Self::Http1(client) => Some(ClientStream::Http1(client.into_wire()?)),
            Self::Http2(Http2Client { answer: Answer::Body(stream), turns, .. }) => Some(ClientStream::Http2(stream, turns)),
            Self::Http2(_) => None,
        }
    }

    /// After a whole response on HTTP/1: the connection, and whether it may serve another request.
    #[must_use]
    pub fn into_connection(self) -> Option<(Wire, bool)> {
        match self {
            Self::Http1(client) => {
                let keeps = client.keeps && client.session.will_keepalive();
                Some((client.into_wire()?, keeps))
            }
            Self::Http2(_) => None,
        }
    }
}

/// What an event stream is written to.
pub enum ClientStream {
    /// A raw connection.
    Http1(Wire),
    /// A stream of an HTTP/2 connection, and the turns of that.
    Http2(SendStream<Bytes>, Arc<Turns>),
}

impl Http1Client {
    async fn write_head(&mut self, head: ResponseHeader) -> Result<(), Gone> {
        let patience = self.session.get_write_timeout().unwrap_or(Duration::MAX);
        match tokio::time::timeout(patience, self.session.write_response_header(Box::new(head))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    /// The connection. A request's head was read of it and nothing more.
    fn into_wire(self) -> Option<Wire> {
        let Self { session, socket, .. } = self;
        drop(socket);
        let (wire, _, _) = Transport::from_stream(session.into_inner())?.into_parts();
        Some(wire)
    }
}
