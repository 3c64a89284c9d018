//! Writing to a stream of an HTTP/2 connection within what the peer takes (RFC 9113 section 5.2). Nothing is reserved that is not sent
//! at once: a reservation that waits would keep a share of the connection's window from the other streams.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h2::SendStream;

/// Sends some of `data`, with END_STREAM behind the last of it if `end`. Ready when something was sent.
pub(super) fn poll_send(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>, data: &mut Bytes, end: bool) -> Poll<io::Result<()>> {
    let n = std::task::ready!(poll_capacity(stream, cx, data.remaining()))?;
    let piece = data.split_to(n.min(data.len()));
    let last = end && data.is_empty();
    Poll::Ready(stream.send_data(piece, last).map_err(io_error))
}

/// How many bytes may be sent now, of `wanted`; at least one.
pub(super) fn poll_capacity(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
    stream.reserve_capacity(wanted);
    loop {
        let capacity = stream.capacity();
        if capacity > 0 {
            return Poll::Ready(Ok(capacity));
        }
        match std::task::ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            // It is over; why, the other question tells.
            None => {
                return Poll::Ready(Err(match stream.poll_reset(cx) {
                    Poll::Ready(Err(error)) => io_error(error),
                    _ => io::ErrorKind::BrokenPipe.into(),
                }));
            }
        }
    }
}

/// Why a stream cannot go on, with what the operating system said of its connection, if that broke.
pub(super) fn io_error(error: h2::Error) -> io::Error {
    if !error.is_io() {
        return io::Error::other(error);
    }
    error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
}
