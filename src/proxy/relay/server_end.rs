//! The server's end of a relay: a raw HTTP/1 connection, whose framing is read here, or a stream of an HTTP/2 connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use tokio::io::{AsyncRead, ReadBuf};

use crate::message::framing::{Decoder, Framing};
use crate::message::trailers;
use crate::proxy::server_response::ServerStream;
use crate::stream::UpstreamEnd;
use crate::transport::Wire;
use crate::upstream::Http2Lease;

/// Where a stream is read from.
pub(super) enum ServerSide {
    Http1 { wire: Wire, decoder: Decoder },
    Http2 { body: RecvStream, _lease: Box<Http2Lease> },
}

/// What one read brought.
pub(super) enum Read {
    /// So many bytes of the buffer, in the framing of the connection.
    Framed(usize),
    /// Payload.
    Plain(Bytes),
    /// The end, with the trailers behind it.
    End(UpstreamEnd, Option<HeaderMap>),
}

impl ServerSide {
    /// With what was read of the body together with the head.
    pub(super) fn new(stream: ServerStream, framing: Framing) -> (Self, Bytes) {
        match stream {
            ServerStream::Http1(wire, start) => (Self::Http1 { wire: wire.unshared(), decoder: Decoder::new(framing) }, start),
            ServerStream::Http2(body, lease) => (Self::Http2 { body, _lease: lease }, Bytes::new()),
        }
    }

    /// Reads once, where the version needs one into `buffer`.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Read> {
        match self {
            Self::Http1 { wire, decoder } => {
                let mut buffer = ReadBuf::new(buffer);
                let read = std::task::ready!(Pin::new(wire).poll_read(cx, &mut buffer));
                Poll::Ready(match (read, buffer.filled().len()) {
                    (Ok(()), 0) if decoder.may_close() => Read::End(UpstreamEnd::Clean, None),
                    (Ok(()), 0) | (Err(_), _) => Read::End(UpstreamEnd::Lost, None),
                    (Ok(()), n) => Read::Framed(n),
                })
            }
            Self::Http2 { body, .. } => match std::task::ready!(body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // An error means that the stream is over, which the next read tells.
                    let _ = body.flow_control().release_capacity(data.len());
                    Poll::Ready(Read::Plain(data))
                }
                Some(Err(_)) => Poll::Ready(Read::End(UpstreamEnd::Lost, None)),
                None => body.poll_trailers(cx).map(|fields| match fields {
                    Ok(fields) => Read::End(UpstreamEnd::Clean, trailers::filtered(fields)),
                    Err(_) => Read::End(UpstreamEnd::Lost, None),
                }),
            },
        }
    }
}
