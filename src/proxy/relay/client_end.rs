//! The client's end of a relay: a raw HTTP/1 connection or a stream of an HTTP/2 connection. It frames what it is given and knows how
//! each version tells a whole body from one that broke off (RFC 9112 sections 7.1 and 8, RFC 9113 section 8.1).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::message::framing::{self, LAST_CHUNK};
use crate::proxy::downstream::ClientStream;
use crate::proxy::http2_turns::{Place, Turns};
use crate::proxy::http2_write::{io_error, poll_capacity};
use crate::stream::{ClientEnd, EndReason};
use crate::transport::Wire;

/// Reads of what a client sends on its stream, of one poll at most.
const READS_PER_POLL: usize = 8;

/// Where a stream is written to.
pub(super) enum ClientSide {
    /// A raw connection.
    Http1 {
        wire: Wire,
        /// Else the body is delimited by its length or by the end of the connection.
        chunked: bool,
    },
    /// A stream of an HTTP/2 connection.
    Http2 {
        stream: SendStream<Bytes>,
        turns: Arc<Turns>,
        place: Place,
        /// Sent with the end.
        trailers: Option<Box<HeaderMap>>,
    },
    /// It was given away.
    Gone,
}

impl ClientSide {
    /// The end that `stream` is, and what is to be written on it first.
    pub(super) fn new(stream: ClientStream, chunked: bool) -> (Self, Vec<u8>) {
        match stream {
            ClientStream::Http1(wire, head) => {
                if !chunked {
                    // Until it ended cleanly, whatever drops this stream must look like what it is: without chunks only a reset does.
                    reset_on_close(&wire, true);
                }
                (Self::Http1 { wire, chunked }, head)
            }
            ClientStream::Http2(stream, turns) => {
                (Self::Http2 { stream, turns, place: Place::default(), trailers: None }, Vec::new())
            }
        }
    }

    /// Whether what goes to the client is framed as chunks.
    pub(super) fn is_chunked(&self) -> bool {
        matches!(self, Self::Http1 { chunked: true, .. })
    }

    /// What the server's body ended with.
    pub(super) fn end_with(&mut self, fields: HeaderMap) {
        if let Self::Http2 { trailers, .. } = self {
            *trailers = Some(Box::new(fields));
        }
    }

    /// Whether the client closed. What it sends on an HTTP/1 stream whose head said `Connection: close` is read and forgotten, unless
    /// somebody else `reads` it.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>, reads: bool) -> Option<ClientEnd> {
        match self {
            Self::Http1 { .. } if !reads => None,
            Self::Http1 { wire, .. } => {
                let mut bytes = [0; 512];
                for _ in 0..READS_PER_POLL {
                    let mut buffer = ReadBuf::new(&mut bytes);
                    match Pin::new(&mut *wire).poll_read(cx, &mut buffer) {
                        Poll::Pending => return None,
                        Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                        Poll::Ready(Ok(())) => return Some(ClientEnd::Closed),
                        Poll::Ready(Err(error)) => return Some(client_end(&error)),
                    }
                }
                cx.waker().wake_by_ref();
                None
            }
            Self::Http2 { stream, .. } => match stream.poll_reset(cx) {
                Poll::Pending => None,
                Poll::Ready(Ok(_)) => Some(ClientEnd::Closed),
                Poll::Ready(Err(error)) => Some(client_end(&io_error(error))),
            },
            Self::Gone => Some(ClientEnd::Closed),
        }
    }

    /// Takes some of `bytes`, which are framed.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Http1 { wire, .. } => Pin::new(wire).poll_write(cx, bytes),
            Self::Http2 { stream, turns, place, .. } => {
                let n = std::task::ready!(poll_capacity(stream, cx, bytes.len()))?.min(bytes.len());
                std::task::ready!(turns.poll_room(place, cx));
                stream.send_data(Bytes::copy_from_slice(&bytes[..n]), false).map_err(io_error)?;
                Poll::Ready(Ok(n))
            }
            Self::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Ready once all that was written is on its way.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Http1 { wire, .. } => wire.socket().poll_flush_shared(cx),
            Self::Http2 { .. } | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Behind a whole body: ready once TLS has told the client so, without which it may take the body for torn (RFC 9112 section 9.8).
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Http1 { wire, .. } if wire.socket().is_tls() => wire.socket().poll_close_write(cx),
            Self::Http1 { .. } | Self::Http2 { .. } | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// What is written behind a whole body.
    pub(super) fn last_bytes(&self) -> &'static [u8] {
        if self.is_chunked() { LAST_CHUNK } else { &[] }
    }

    /// The stream is over: the client must see how. The socket closes when `self` is dropped.
    pub(super) fn close(&mut self, reason: EndReason) {
        match self {
            Self::Http1 { wire, chunked: false } if reason.is_clean() => reset_on_close(wire, false),
            Self::Http1 { .. } | Self::Gone => {}
            Self::Http2 { stream, trailers, .. } if reason.is_clean() => {
                // An error means that the client is gone already.
                let _ = match trailers.take() {
                    Some(trailers) => stream.send_trailers(*trailers),
                    None => stream.send_data(Bytes::new(), true),
                };
            }
            Self::Http2 { stream, .. } => stream.send_reset(reset_reason(reason)),
        }
    }

    /// The turn of the connection behind which all that was written is on the wire; `None` over HTTP/1, where that is so at once.
    pub(super) fn turn(&self) -> Option<u64> {
        match self {
            Self::Http2 { turns, .. } => Some(turns.now()),
            Self::Http1 { .. } | Self::Gone => None,
        }
    }

    /// Ready once that turn is over.
    pub(super) fn poll_after(&self, turn: u64, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http2 { turns, .. } => turns.poll_after(turn, cx),
            Self::Http1 { .. } | Self::Gone => Poll::Ready(()),
        }
    }

    /// Whether the client sent what nobody has read, over HTTP/1: closing now would be a reset, which may take the end from it.
    pub(super) fn has_unread(&self) -> bool {
        let Self::Http1 { wire, .. } = self else { return false };
        SockRef::from(wire).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|waiting| waiting > 0)
    }

    /// Gives the connection away.
    pub(super) fn take_wire(&mut self) -> Option<Wire> {
        match std::mem::replace(self, Self::Gone) {
            Self::Http1 { wire, .. } => Some(wire.unshared()),
            Self::Http2 { .. } | Self::Gone => None,
        }
    }
}

/// Frames `length` bytes that `pieces` hold together.
pub(super) fn frame<'a>(chunked: bool, length: usize, pieces: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    if length == 0 {
        return;
    }
    if chunked {
        framing::begin_chunk(length, out);
    }
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    if chunked {
        framing::end_chunk(out);
    }
}

/// RFC 9113 section 7: what an abnormal end is called.
fn reset_reason(reason: EndReason) -> Reason {
    match reason {
        EndReason::UpstreamLost | EndReason::UpstreamMalformed | EndReason::UpstreamSilent => Reason::INTERNAL_ERROR,
        _ => Reason::CANCEL,
    }
}

pub(super) fn client_end(error: &io::Error) -> ClientEnd {
    if error.kind() == io::ErrorKind::TimedOut { ClientEnd::TimedOut } else { ClientEnd::Closed }
}

/// Whether closing `socket` resets the connection: the only way to say that something is missing to a client whose body ends with
/// the connection (RFC 9112 section 8).
pub(in crate::proxy) fn reset_on_close(socket: &impl AsFd, reset: bool) {
    if let Err(error) = SockRef::from(socket).set_linger(reset.then_some(Duration::ZERO)) {
        tracing::debug!(%error, "SO_LINGER was refused");
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http::{Request, Response};
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

    use super::ClientSide;
    use crate::proxy::downstream::ClientStream;
    use crate::stream::ClientEnd;

    /// A connection that the system gives up, as it does after the TCP user timeout.
    struct GivenUp(DuplexStream, Arc<AtomicBool>);

    impl AsyncRead for GivenUp {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if self.1.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for GivenUp {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// The system and the stall limit keep the same time: whichever is first, the stream ends for the same reason, over HTTP/2 too.
    #[tokio::test]
    async fn a_connection_that_the_system_gave_up_is_no_client_that_left() {
        let is_given_up = Arc::new(AtomicBool::new(false));
        let (near, far) = tokio::io::duplex(64 << 10);
        let near = GivenUp(near, Arc::clone(&is_given_up));
        let (server, client) = tokio::join!(h2::server::handshake(near), h2::client::handshake(far));
        let (mut server, (mut requests, connection)) = (server.unwrap(), client.unwrap());
        let client = tokio::spawn(connection);
        let ask = || Request::get("http://test/").body(()).unwrap();
        let _answer = requests.send_request(ask(), true).unwrap();
        let (_, mut respond) = server.accept().await.unwrap().unwrap();
        let stream = respond.send_response(Response::new(()), false).unwrap();
        let (mut side, _) = ClientSide::new(ClientStream::Http2(stream, Arc::default()), false);
        is_given_up.store(true, Ordering::Relaxed);
        // Wakes the server's side, which reads.
        let _next = requests.send_request(ask(), true).unwrap();
        assert!(server.accept().await.unwrap().is_err());
        let end = poll_fn(|cx| side.poll_left(cx, true).map_or(Poll::Pending, Poll::Ready)).await;
        assert_eq!(end, ClientEnd::TimedOut);
        let written = poll_fn(|cx| side.poll_write(cx, &Bytes::from_static(b"x"))).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        client.abort();
    }
}
