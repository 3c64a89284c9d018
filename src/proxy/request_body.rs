//! What a client sends behind a request's head, read by us and not by a session: a response may begin before it is whole, and must be
//! written meanwhile. Over HTTP/1.1 its framing is read strictly (RFC 9112 sections 6 and 7), over HTTP/2 by the h2 crate, which holds
//! it to its `content-length` (RFC 9113 section 8.1.1). Nothing is read that nobody takes.

use std::cell::RefCell;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;
use tokio::io::{AsyncRead, Interest, ReadBuf};

use super::body_sender::BodySender;
use crate::message::framing::{self, Decoder, Framing};
use crate::message::{RequestFraming, trailers};
use crate::transport::{Socket, Wire};

/// Bytes of one read at most.
const READ_SIZE: usize = 64 * 1024;

thread_local! {
    /// A worker's, shared by all its requests: nothing stays in it between two polls.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    read: Vec<u8>,
    payload: Vec<Range<usize>>,
}

/// One request's body, on its way in.
pub(super) enum RequestBody {
    /// Of an HTTP/1 connection.
    Http1(Http1Body),
    /// Of a stream of an HTTP/2 connection.
    Http2(Http2Body),
}

/// Why no more of a body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// The client closed or broke off.
    ClientGone,
    /// Its framing cannot be read.
    Malformed,
    /// There is more of it than may be.
    TooLarge,
}

/// What came of a body.
#[derive(Debug)]
pub(super) enum Received {
    /// Some of it.
    Part,
    /// The last of it, with the trailers that end it over HTTP/2.
    Last(Option<HeaderMap>),
}

impl RequestBody {
    /// The body of a request with `framing` on `socket`, of which `ahead` was read behind the head.
    pub(super) fn http1(socket: Arc<Socket>, ahead: Bytes, framing: RequestFraming) -> Self {
        let decoder = Decoder::new(match framing {
            RequestFraming::Chunked => Framing::Chunked,
            RequestFraming::Length(length) => Framing::Length(length),
            RequestFraming::None => Framing::Length(0),
        });
        Self::Http1(Http1Body { wire: Wire::Shared(socket), ahead, decoder, allowance: Allowance::ANY, broken: None })
    }

    /// The body of a request that came over HTTP/2.
    pub(super) fn http2(stream: RecvStream) -> Self {
        Self::Http2(Http2Body { stream, allowance: Allowance::ANY, data_over: false })
    }

    /// No more than `bytes` may come.
    pub(super) fn set_limit(&mut self, bytes: u64) {
        match self {
            Self::Http1(body) => body.allowance = Allowance(bytes),
            Self::Http2(body) => body.allowance = Allowance(bytes),
        }
    }

    /// Reads what there is and hands it to `to`; without `to` it is forgotten.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, to: Option<&mut BodySender>) -> Poll<Result<Received, BodyError>> {
        match self {
            Self::Http1(body) => body.poll_read(cx, to),
            Self::Http2(body) => body.poll_read(cx, to),
        }
    }

    /// Behind a whole body: resolves once the client left. Over HTTP/2 the stream's other half tells.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(body) => body.poll_gone(cx),
            Self::Http2(_) => Poll::Pending,
        }
    }

    /// While nothing is read, because nobody takes it: resolves once the connection broke. A mere close cannot be seen behind unread
    /// bytes. Over HTTP/2 the stream's other half tells.
    pub(super) fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(body) => body.poll_broken(cx),
            Self::Http2(_) => Poll::Pending,
        }
    }

    /// What was read beyond the body: the start of the next request.
    pub(super) fn into_ahead(self) -> Bytes {
        match self {
            Self::Http1(body) => body.ahead,
            Self::Http2(_) => Bytes::new(),
        }
    }
}

/// How many bytes may still come.
struct Allowance(u64);

impl Allowance {
    const ANY: Self = Self(u64::MAX);

    fn take(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.0 = self.0.checked_sub(bytes as u64).ok_or(BodyError::TooLarge)?;
        Ok(())
    }
}

/// A body on a raw socket.
pub(super) struct Http1Body {
    wire: Wire,
    /// Read before, and not yet taken.
    ahead: Bytes,
    decoder: Decoder,
    allowance: Allowance,
    /// Waits for the connection to break; made only while nothing is read.
    broken: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Http1Body {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: Option<&mut BodySender>) -> Poll<Result<Received, BodyError>> {
        self.broken = None;
        SCRATCH.with_borrow_mut(|scratch| {
            if self.ahead.has_remaining() {
                let ahead = std::mem::take(&mut self.ahead);
                return Poll::Ready(self.take(&ahead, &mut scratch.payload, to).map(|(end, received)| {
                    self.ahead = ahead.slice(end..);
                    received
                }));
            }
            scratch.read.resize(READ_SIZE, 0);
            let mut read = std::mem::take(&mut scratch.read);
            let mut buffer = ReadBuf::new(&mut read);
            let polled = Pin::new(&mut self.wire).poll_read(cx, &mut buffer);
            let n = buffer.filled().len();
            let result = match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) if n > 0 => {
                    Poll::Ready(self.take(&read[..n], &mut scratch.payload, to).map(|(end, received)| {
                        self.ahead = Bytes::copy_from_slice(&read[end..n]);
                        received
                    }))
                }
                Poll::Ready(_) => Poll::Ready(Err(BodyError::ClientGone)),
            };
            scratch.read = read;
            result
        })
    }

    /// Hands over what `input` holds of the body, and says where the body's part of it ends.
    fn take(
        &mut self,
        input: &[u8],
        payload: &mut Vec<Range<usize>>,
        to: Option<&mut BodySender>,
    ) -> Result<(usize, Received), BodyError> {
        payload.clear();
        let decoded = self.decoder.decode(input, payload);
        self.allowance.take(payload.iter().map(Range::len).sum())?;
        if let Some(to) = to {
            for range in payload.iter() {
                to.push(&input[range.clone()]);
            }
        }
        match decoded {
            Ok(decoded) if decoded.done => Ok((decoded.end, Received::Last(None))),
            Ok(decoded) => Ok((decoded.end, Received::Part)),
            Err(framing::Malformed) => Err(BodyError::Malformed),
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The next request is here already: it waits, and hides a close behind it.
        if self.ahead.has_remaining() {
            return self.poll_broken(cx);
        }
        let mut first = [0; 512];
        let mut buffer = ReadBuf::new(&mut first);
        match std::task::ready!(Pin::new(&mut self.wire).poll_read(cx, &mut buffer)) {
            Ok(()) if !buffer.filled().is_empty() => {
                self.ahead = Bytes::copy_from_slice(buffer.filled());
                self.poll_broken(cx)
            }
            Ok(()) | Err(_) => Poll::Ready(()),
        }
    }

    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Wire::Shared(socket) = &self.wire else { return Poll::Pending };
        let broken = self.broken.get_or_insert_with(|| {
            let socket = Arc::clone(socket);
            Box::pin(async move {
                let _ = socket.ready(Interest::ERROR).await;
            })
        });
        broken.as_mut().poll(cx)
    }
}

/// A body on a stream.
pub(super) struct Http2Body {
    stream: RecvStream,
    allowance: Allowance,
    /// What is left are trailers.
    data_over: bool,
}

impl Http2Body {
    fn poll_read(&mut self, cx: &mut Context<'_>, to: Option<&mut BodySender>) -> Poll<Result<Received, BodyError>> {
        if !self.data_over {
            match std::task::ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // An error means that the stream is over, which the next read tells.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.allowance.take(data.len())?;
                    if let Some(to) = to {
                        to.push_bytes(data);
                    }
                    let last = self.stream.is_end_stream();
                    return Poll::Ready(Ok(if last { Received::Last(None) } else { Received::Part }));
                }
                Some(Err(error)) => return Poll::Ready(Err(body_error(&error))),
                None => self.data_over = true,
            }
        }
        match std::task::ready!(self.stream.poll_trailers(cx)) {
            Ok(fields) => Poll::Ready(Ok(Received::Last(trailers::filtered(fields)))),
            Err(error) => Poll::Ready(Err(body_error(&error))),
        }
    }
}

/// The h2 crate resets a stream itself whose body breaks the rules.
fn body_error(error: &h2::Error) -> BodyError {
    if error.is_reset() && error.is_library() { BodyError::Malformed } else { BodyError::ClientGone }
}
