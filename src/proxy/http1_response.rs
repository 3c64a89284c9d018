//! A server's response over HTTP/1: its heads, judged as raw bytes before they are believed, and its body, whose framing is read
//! strictly (RFC 9112 sections 4, 6 and 7).
//!
//! Heads and body are slices of what was read; nothing is copied but payload that chunk lines cut into pieces.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Method;

use super::ask::Failure;
use super::in_time::in_time;
use super::server_response::{Head, malformed};
use crate::message::framing::{Decoder, Framing, Malformed};
use crate::message::{ResponseFraming, response_head};
use crate::transport::{Socket, Wire};

/// Bytes of one read: of a head or a small body, and of a body once a read was filled.
const SMALL_READ: usize = 4 * 1024;
const LARGE_READ: usize = 64 * 1024;
/// Bytes of all heads together: who sends more is not answering.
const MAX_HEAD_BYTES: usize = 1024 * 1024;

/// One response, on a connection that serves nothing else meanwhile.
pub(super) struct Http1Response {
    socket: Arc<Socket>,
    /// What was read of a head that is not whole.
    read: Vec<u8>,
    /// How much of that was searched for the head's end.
    searched: usize,
    /// Bytes of the heads before.
    heads: usize,
    /// What was read behind the head, and was not yet looked at.
    ahead: Bytes,
    body: Body,
}

/// How far the body is.
struct Body {
    decoder: Decoder,
    /// It is over.
    done: bool,
    /// The server sent something behind its response.
    surplus: bool,
    /// Payload that nobody took yet.
    ready: Bytes,
    /// Bytes of the next read.
    next_read: usize,
}

impl Http1Response {
    /// To a request that was sent on `socket`.
    pub(super) fn new(socket: Arc<Socket>) -> Self {
        Self { socket, read: Vec::new(), searched: 0, heads: 0, ahead: Bytes::new(), body: Body::new(ResponseFraming::None) }
    }

    /// The next head. Dropped half-way, it goes on at the next call.
    pub(super) async fn next_head(&mut self, method: &Method) -> Result<Head, Failure> {
        let raw = loop {
            match response_head::end(&self.read, self.searched) {
                Ok(end) if end > 0 => break self.take_head(end),
                Ok(_) => {}
                Err(searched) => self.searched = searched,
            }
            if self.heads + self.read.len() > MAX_HEAD_BYTES {
                return Err(Failure::Upstream(502, format!("no end of the response head within {MAX_HEAD_BYTES} bytes")));
            }
            match poll_fn(|cx| self.socket.poll_fill_shared(cx, &mut self.read, SMALL_READ)).await {
                Ok(0) => return Err(self.lost(&io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.lost(&error)),
            }
        };
        let (judged, header) = response_head::read(&raw, method).map_err(malformed)?;
        if judged.status < 200 && judged.status != 101 {
            // The next head may be here already.
            self.read = std::mem::take(&mut self.ahead).into();
        }
        Ok(Head { header, judged })
    }

    fn take_head(&mut self, end: usize) -> Bytes {
        let mut raw = Bytes::from(std::mem::take(&mut self.read));
        self.searched = 0;
        self.heads += end;
        self.ahead = raw.split_off(end);
        raw
    }

    /// No whole head came. Without a byte of it, a connection that served before was most likely closed for being idle.
    fn lost(&self, error: &io::Error) -> Failure {
        let reason = format!("no whole response head: {error}");
        if self.heads == 0 && self.read.is_empty() { Failure::Stale(reason) } else { Failure::Upstream(502, reason) }
    }

    /// The final head stands, and a body with `framing` follows.
    ///
    /// # Errors
    /// [`Malformed`] when the part of it that was read together with the head is.
    pub(super) fn begin_body(&mut self, framing: ResponseFraming) -> Result<(), Malformed> {
        self.body = Body::new(framing);
        self.body.take(std::mem::take(&mut self.ahead))
    }

    /// The next piece of the body; `None` at its end. `idle` bounds the wait. Dropped half-way, it loses nothing.
    ///
    /// # Errors
    /// Why the rest does not come.
    pub(super) async fn read(&mut self, idle: Duration) -> Result<Option<Bytes>, String> {
        loop {
            if self.body.ready.has_remaining() {
                return Ok(Some(std::mem::take(&mut self.body.ready)));
            }
            if self.body.done {
                return Ok(None);
            }
            let (mut piece, most) = (Vec::new(), self.body.next_read);
            match in_time(idle, |cx| self.socket.poll_fill_shared(cx, &mut piece, most)).await {
                Ok(0) if self.body.decoder.may_close() => self.body.done = true,
                Ok(0) => return Err("the server closed the connection before the end of its response".to_owned()),
                Ok(n) => {
                    self.body.next_read = if n < most { SMALL_READ } else { LARGE_READ };
                    self.body.take(piece.into()).map_err(|Malformed| "the chunked coding is malformed".to_owned())?;
                }
                // The system's own such error is of a server that vanished.
                Err(error) if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none() => {
                    return Err("nothing came within timeouts.response_body_idle".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The connection, if it can serve another request: the body was read to its end, nothing stands behind it, and nobody else holds
    /// it.
    pub(super) fn into_reusable(self) -> Option<Socket> {
        if self.body.done && !self.body.surplus { Arc::into_inner(self.socket) } else { None }
    }

    /// The connection, and what was read of a body that [`Self::begin_body`] did not begin.
    pub(super) fn into_stream(self) -> (Wire, Bytes) {
        // A copy: the slice would keep the whole head alive for as long as the stream lives.
        (Wire::Shared(self.socket), Bytes::copy_from_slice(&self.ahead))
    }
}

impl Body {
    fn new(framing: ResponseFraming) -> Self {
        let (framing, done) = match framing {
            ResponseFraming::None | ResponseFraming::Length(0) => (Framing::Length(0), true),
            ResponseFraming::Length(length) => (Framing::Length(length), false),
            ResponseFraming::Chunked => (Framing::Chunked, false),
            ResponseFraming::CloseDelimited => (Framing::UntilClose, false),
        };
        Self { decoder: Decoder::new(framing), done, surplus: false, ready: Bytes::new(), next_read: SMALL_READ }
    }

    /// Takes the payload out of what was read.
    fn take(&mut self, read: Bytes) -> Result<(), Malformed> {
        let mut payload: Vec<Range<usize>> = Vec::new();
        let decoded = self.decoder.decode(&read, &mut payload)?;
        self.done |= decoded.done;
        self.surplus |= decoded.end < read.len();
        self.ready = match &payload[..] {
            [] => Bytes::new(),
            [piece] => read.slice(piece.clone()),
            pieces => {
                let mut whole = BytesMut::with_capacity(pieces.iter().map(Range::len).sum());
                pieces.iter().for_each(|piece| whole.extend_from_slice(&read[piece.clone()]));
                whole.freeze()
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
