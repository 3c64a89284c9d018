//! A request's body on its way to the server, beside whoever reads the answer: a server may answer before it took the whole body, or
//! without taking it at all, and must be heard meanwhile. Framing is built here (RFC 9112 sections 6 and 7.1, RFC 9113 section 8.1).

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h2::SendStream;
use http::HeaderMap;

use super::http2_write::poll_send;
use crate::message::RequestFraming;
use crate::message::framing::{self, LAST_CHUNK};
use crate::transport::Socket;

/// What is kept of a body so that it can go to another server, at most: servers that restart refuse requests over HTTP/2, most of
/// which are small.
const MAX_KEPT: usize = 64 * 1024;

/// Sends one body. At most one read waits in it.
pub(super) struct BodySender {
    carrier: Carrier,
    state: State,
    /// All of it so far, where the server may still say that it did nothing with it.
    kept: Option<Vec<u8>>,
}

enum Carrier {
    /// There is no body, or the server takes no more of it.
    None,
    Http1 {
        socket: Arc<Socket>,
        chunked: bool,
        /// What `Content-Length` still promises.
        left: u64,
        pending: Vec<u8>,
        sent: usize,
    },
    Http2 {
        stream: SendStream<Bytes>,
        pending: Bytes,
        /// The end waits behind `pending`, with these trailers.
        end: Option<HeaderMap>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Its end is sent or pending.
    Ended,
    /// The server takes no more of it, or it broke its promise: nothing may follow.
    Broken,
}

impl BodySender {
    /// For a request without a body, of which nothing is left to send.
    pub(super) fn none() -> Self {
        Self { carrier: Carrier::None, state: State::Ended, kept: None }
    }

    /// A body with `framing`, whose head is sent on `socket`.
    pub(super) fn http1(socket: Arc<Socket>, framing: RequestFraming) -> Self {
        let (chunked, left) = match framing {
            RequestFraming::Chunked => (true, 0),
            RequestFraming::Length(length) if length > 0 => (false, length),
            RequestFraming::Length(_) | RequestFraming::None => return Self::none(),
        };
        Self { carrier: Carrier::Http1 { socket, chunked, left, pending: Vec::new(), sent: 0 }, state: State::Open, kept: None }
    }

    /// A body on a stream, whose head is sent.
    pub(super) fn http2(stream: SendStream<Bytes>) -> Self {
        Self { carrier: Carrier::Http2 { stream, pending: Bytes::new(), end: None }, state: State::Open, kept: Some(Vec::new()) }
    }

    /// Whether something waits for the server.
    pub(super) fn is_pending(&self) -> bool {
        match &self.carrier {
            Carrier::None => false,
            Carrier::Http1 { pending, sent, .. } => *sent < pending.len(),
            Carrier::Http2 { pending, end, .. } => pending.has_remaining() || end.is_some(),
        }
    }

    /// Whether the body can still grow.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the server takes no more of it.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Whether all of it so far is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// What is kept of it.
    pub(super) fn into_kept(self) -> Option<Vec<u8>> {
        self.kept
    }

    /// It goes to no other server.
    pub(super) fn forget_kept(&mut self) {
        self.kept = None;
    }

    fn keep(&mut self, piece: &[u8]) {
        if let Some(kept) = &mut self.kept {
            if kept.len() + piece.len() <= MAX_KEPT {
                kept.extend_from_slice(piece);
            } else {
                self.kept = None;
            }
        }
    }

    /// Whether the server has the whole request: only then may its connection serve another.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Ended && !self.is_pending()
    }

    /// Holds the server's connection no longer: what nobody shares can serve another request.
    pub(super) fn let_go(&mut self) {
        self.carrier = Carrier::None;
    }

    /// Takes a piece of the body.
    pub(super) fn push(&mut self, piece: &[u8]) {
        if self.state != State::Open || piece.is_empty() {
            return;
        }
        self.keep(piece);
        match &mut self.carrier {
            Carrier::None => {}
            Carrier::Http1 { chunked: true, pending, .. } => {
                framing::begin_chunk(piece.len(), pending);
                pending.extend_from_slice(piece);
                framing::end_chunk(pending);
            }
            Carrier::Http1 { chunked: false, pending, left, .. } => {
                pending.extend_from_slice(piece);
                *left = left.saturating_sub(piece.len() as u64);
            }
            Carrier::Http2 { pending, .. } if pending.is_empty() => *pending = Bytes::copy_from_slice(piece),
            Carrier::Http2 { pending, .. } => *pending = [&pending[..], piece].concat().into(),
        }
    }

    /// The same without a copy, where the server's connection can do without.
    pub(super) fn push_bytes(&mut self, piece: Bytes) {
        match &mut self.carrier {
            Carrier::Http2 { pending, .. } if self.state == State::Open && pending.is_empty() => {
                *pending = piece.clone();
                self.keep(&piece);
            }
            _ => self.push(&piece),
        }
    }

    /// That was the last of it. Trailers go on where the server's connection can carry them (RFC 9110 section 6.5.1).
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) {
        if self.state != State::Open {
            return;
        }
        self.state = State::Ended;
        if trailers.is_some() {
            self.kept = None;
        }
        match &mut self.carrier {
            Carrier::None => {}
            Carrier::Http1 { chunked: true, pending, .. } => pending.extend_from_slice(LAST_CHUNK),
            Carrier::Http1 { left: 0, .. } => {}
            Carrier::Http1 { .. } => self.state = State::Broken,
            Carrier::Http2 { end, .. } => *end = Some(trailers.unwrap_or_default()),
        }
    }

    /// Writes what is pending. Ready when nothing is any more.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match std::task::ready!(self.carrier.poll_flush(cx)) {
            Ok(()) => {}
            Err(_) => {
                self.state = State::Broken;
                self.carrier = Carrier::None;
            }
        }
        Poll::Ready(())
    }
}

impl Carrier {
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::None => Poll::Ready(Ok(())),
            Self::Http1 { socket, pending, sent, .. } => {
                while *sent < pending.len() {
                    *sent += std::task::ready!(socket.poll_write_shared(cx, &pending[*sent..]))?;
                }
                std::task::ready!(socket.poll_flush_shared(cx))?;
                // A burst is over: what it needed is given back.
                *pending = Vec::new();
                *sent = 0;
                Poll::Ready(Ok(()))
            }
            Self::Http2 { stream, pending, end } => {
                while pending.has_remaining() {
                    let end_here = end.as_ref().is_some_and(HeaderMap::is_empty);
                    std::task::ready!(poll_send(stream, cx, pending, end_here))?;
                    if end_here && pending.is_empty() {
                        *end = None;
                    }
                }
                if let Some(trailers) = end.take() {
                    let sent =
                        if trailers.is_empty() { stream.send_data(Bytes::new(), true) } else { stream.send_trailers(trailers) };
                    sent.map_err(io::Error::other)?;
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}
