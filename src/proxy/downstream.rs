//! The answering half towards a client: a connection over HTTP/1 (`http1_client.rs`), a stream of a connection over HTTP/2. What the
//! client sends behind its head is not here but in `request_body.rs`, so that both directions run at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};

use super::http1_client::Http1Client;
use super::http2_turns::{Place, Turns};
use super::http2_write::poll_send;
use super::relay::reset_on_close;
use crate::message::cors::Grant;
use crate::message::{HeaderEdits, Version, http2};
use crate::transport::{Socket, Wire};

/// How long what was sent may take to go out before its stream is reset.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// The client takes nothing more: it left, or stood still for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Where a response goes.
pub enum Downstream {
    /// An HTTP/1 connection.
    Http1(Http1Answer),
    /// A stream of an HTTP/2 connection.
    Http2(Http2Client),
}

/// An answer on an HTTP/1 connection.
pub struct Http1Answer {
    client: Http1Client,
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
    /// A connection on which a request with `head` came.
    #[must_use]
    pub fn http1(head: RequestHeader, version: Version, socket: Arc<Socket>) -> Self {
        Self::Http1(Http1Answer { client: Http1Client::new(head, version, socket), cors: None, edits: None })
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
            Self::Http1(answer) => answer.client.head(),
            Self::Http2(client) => &client.head,
        }
    }

    /// How long the client may take nothing.
    pub fn set_write_stall(&mut self, write_stall: Duration) {
        match self {
            Self::Http1(answer) => answer.client.set_write_stall(write_stall),
            Self::Http2(client) => client.write_stall = write_stall,
        }
    }

    /// Whether a body broke off because the client took nothing of it for that long.
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        match self {
            Self::Http1(answer) => answer.client.has_stalled(),
            Self::Http2(client) => client.stalled,
        }
    }

    /// What each final response says of who may read it, whoever made it.
    pub fn set_cors(&mut self, grant: Option<Grant>) {
        let (Self::Http1(Http1Answer { cors, .. }) | Self::Http2(Http2Client { cors, .. })) = self;
        *cors = grant.map(Box::new);
    }

    /// Whether responses say so.
    #[must_use]
    pub fn has_cors(&self) -> bool {
        let (Self::Http1(Http1Answer { cors, .. }) | Self::Http2(Http2Client { cors, .. })) = self;
        cors.is_some()
    }

    /// What is done to the fields of each final response, whoever made it.
    pub fn set_response_headers(&mut self, fields: Option<Arc<HeaderEdits>>) {
        let (Self::Http1(Http1Answer { edits, .. }) | Self::Http2(Http2Client { edits, .. })) = self;
        *edits = fields;
    }

    /// How a body of unknown length is delimited for this client.
    #[must_use]
    pub fn body_of_unknown_length(&self) -> Body {
        match self {
            Self::Http1(answer) if answer.client.version() == Version::Http10 => Body::UntilClose,
            Self::Http1(_) | Self::Http2(_) => Body::Framed,
        }
    }

    /// Sends a 1xx head (RFC 9110 section 15.2). HTTP/1.0 clients do not know them.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn informational(&mut self, head: ResponseHeader) -> Result<(), Gone> {
        match self {
            Self::Http1(answer) if answer.client.version() == Version::Http10 => Ok(()),
            Self::Http1(answer) => answer.client.informational(&head).await,
            Self::Http2(Http2Client { answer: Answer::Open(respond), .. }) => {
                respond.send_informational(http2::client_response(&head)).map_err(|_| Gone)
            }
            Self::Http2(_) => Err(Gone),
        }
    }

    /// Sends the final head. Over HTTP/1.1 a body of unknown length becomes chunked, and the head waits for the first piece of its body
    /// or for [`Self::flush`]; `keeps` says whether the connection may serve another request.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn write_head(&mut self, mut head: ResponseHeader, body: Body, keeps: bool) -> Result<(), Gone> {
        let (Self::Http1(Http1Answer { cors, edits, .. }) | Self::Http2(Http2Client { cors, edits, .. })) = &*self;
        // 101 is no response that a page could read.
        if let Some(cors) = cors.as_ref().filter(|_| !head.status.is_informational()) {
            cors.write(&mut head);
        }
        if let Some(edits) = edits {
            edits.edit_response(&mut head).map_err(|_| Gone)?;
        }
        match self {
            Self::Http1(answer) => answer.client.write_head(&head, body, keeps).await,
            Self::Http2(client) => {
                let mut place = Place::default();
                let room = std::future::poll_fn(|cx| client.turns.poll_room(&mut place, cx));
                if tokio::time::timeout(client.write_stall, room).await.is_err() {
                    client.stalled = true;
                    return Err(Gone);
                }
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
            Self::Http1(answer) => answer.client.write_body(data).await,
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

    /// Sends a head that waits for its body.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn flush(&mut self) -> Result<(), Gone> {
        match self {
            Self::Http1(answer) => answer.client.flush().await,
            Self::Http2(_) => Ok(()),
        }
    }

    /// The body is whole. Trailers go to HTTP/2 clients only.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), Gone> {
        match self {
            Self::Http1(answer) => answer.client.finish().await,
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
        let client = match self {
            // A body with a length or in chunks shows it by the close.
            Self::Http1(answer) => {
                let _ = tokio::time::timeout(LAST_WORDS, answer.client.flush()).await;
                return;
            }
            Self::Http2(client) => client,
        };
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
        if let Self::Http1(answer) = self {
            reset_on_close(answer.client.socket(), reset);
        }
    }

    /// Closes our half of the connection: the end of a body that nothing else ends, and that waits for nothing the client still sends.
    pub async fn close_half(&self) {
        if let Self::Http1(answer) = self {
            let closed = std::future::poll_fn(|cx| answer.client.socket().poll_close_write(cx));
            // Who is gone already needs no end.
            let _ = tokio::time::timeout(LAST_WORDS, closed).await;
        }
    }

    /// Resolves once the client reset its stream or its HTTP/2 connection broke. Over HTTP/1 whoever reads the connection sees it;
    /// here a head that waits for its body goes out, which may fail.
    pub async fn gone(&mut self) {
        match self {
            Self::Http1(answer) => {
                if answer.client.flush().await.is_ok() {
                    std::future::pending().await
                }
            }
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

    /// Lets the event stream, whose head is sent or goes with it, out of here.
    #[must_use]
    pub fn into_stream(self) -> Option<ClientStream> {
        match self {
            Self::Http1(answer) => {
                let (wire, head) = answer.client.into_stream();
                Some(ClientStream::Http1(wire, head))
            }
            Self::Http2(Http2Client { answer: Answer::Body(stream), turns, .. }) => Some(ClientStream::Http2(stream, turns)),
            Self::Http2(_) => None,
        }
    }

    /// After a whole response on HTTP/1: the connection, and whether it may serve another request.
    #[must_use]
    pub fn into_connection(self) -> Option<(Wire, bool)> {
        match self {
            Self::Http1(answer) => Some(answer.client.into_connection()),
            Self::Http2(_) => None,
        }
    }
}

/// What an event stream is written to.
pub enum ClientStream {
    /// A raw connection, and the head that is to be written first: together with the first events, if they are there already.
    Http1(Wire, Vec<u8>),
    /// A stream of an HTTP/2 connection, and the turns of that.
    Http2(SendStream<Bytes>, Arc<Turns>),
}
