//! The answering half of a client's HTTP/1 connection: heads and bodies as they go over the wire (RFC 9112 sections 4, 6 and 7).
//!
//! A head waits for the first piece of its body, so that an answer which is there at once is one write and wakes its client once; who
//! has nothing behind it flushes. Compared with a Pingora session, which parses the head again, copies both and writes twice, this
//! halves what an ordinary request costs.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::date::get_cached_date;

use super::downstream::{Body, Gone};
use super::in_time::in_time;
use crate::message::framing::{self, LAST_CHUNK};
use crate::message::{Version, response_head};
use crate::transport::{Socket, Wire};

/// A piece up to this size is copied behind what waits, and one plain write takes both: cheaper than to gather two.
const COPIED: usize = 16 * 1024;
/// What a head takes as a rule.
const USUAL_HEAD: usize = 512;

/// One connection, and what of the current response it still owes.
pub(super) struct Http1Client {
    head: Box<RequestHeader>,
    version: Version,
    socket: Arc<Socket>,
    write_stall: Duration,
    keeps: bool,
    stalled: bool,
    /// Written by us and not yet given to the system.
    held: Vec<u8>,
    delimited: Delimited,
}

/// What ends the body that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delimited {
    /// Nothing follows the head.
    Nothing,
    /// So many bytes are still to come.
    Length(u64),
    Chunks,
    Close,
}

impl Http1Client {
    /// On `socket` a request with `head` came.
    pub(super) fn new(head: RequestHeader, version: Version, socket: Arc<Socket>) -> Self {
        Self {
            head: Box::new(head),
            version,
            socket,
            write_stall: Duration::MAX,
            keeps: false,
            stalled: false,
            held: Vec::new(),
            delimited: Delimited::Nothing,
        }
    }

    /// The request's head.
    pub(super) fn head(&self) -> &RequestHeader {
        &self.head
    }

    /// The client's version.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The connection, for its options.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// How long the client may take nothing.
    pub(super) fn set_write_stall(&mut self, write_stall: Duration) {
        self.write_stall = write_stall;
    }

    /// Whether it took nothing for that long.
    pub(super) fn has_stalled(&self) -> bool {
        self.stalled
    }

    /// Sends a 1xx head. One of 101 is the last.
    pub(super) async fn informational(&mut self, head: &ResponseHeader) -> Result<(), Gone> {
        self.hold_head(head, "");
        self.flush().await
    }

    /// The final head of a response whose body is delimited as `body` says; `keeps` says whether the connection may serve another
    /// request. With a body it waits for the first piece of that, or for [`Self::flush`].
    pub(super) async fn write_head(&mut self, head: &ResponseHeader, body: Body, keeps: bool) -> Result<(), Gone> {
        self.keeps = keeps && body != Body::UntilClose;
        self.delimited = match body {
            Body::None => Delimited::Nothing,
            Body::UntilClose => Delimited::Close,
            Body::Framed => match head.headers.get(CONTENT_LENGTH) {
                Some(length) => Delimited::Length(length.to_str().ok().and_then(|length| length.parse().ok()).ok_or(Gone)?),
                None => Delimited::Chunks,
            },
        };
        self.hold_head(head, if self.keeps { "Connection: keep-alive\r\n" } else { "Connection: close\r\n" });
        match self.delimited {
            Delimited::Nothing | Delimited::Length(0) => self.flush().await,
            _ => Ok(()),
        }
    }

    fn hold_head(&mut self, head: &ResponseHeader, connection: &str) {
        self.held.reserve(USUAL_HEAD);
        response_head::write(head, &mut self.held);
        if !head.status.is_informational() {
            self.held.extend_from_slice(connection.as_bytes());
            if self.delimited == Delimited::Chunks {
                self.held.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            // RFC 9110 section 6.6.1: a server's own stands.
            if !head.headers.contains_key(DATE) {
                self.held.extend_from_slice(b"Date: ");
                self.held.extend_from_slice(get_cached_date().as_bytes());
                self.held.extend_from_slice(b"\r\n");
            }
        }
        self.held.extend_from_slice(b"\r\n");
    }

    /// Sends a piece of the body. Not to be dropped half-way, unless the response is given up.
    pub(super) async fn write_body(&mut self, mut data: Bytes) -> Result<(), Gone> {
        let mut behind: &[u8] = b"";
        match &mut self.delimited {
            // Nobody may send more than was promised.
            Delimited::Nothing => return Ok(()),
            Delimited::Length(left) => {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
            }
            // It would be the last chunk.
            Delimited::Chunks if data.is_empty() => return Ok(()),
            Delimited::Chunks => {
                framing::begin_chunk(data.len(), &mut self.held);
                behind = b"\r\n";
            }
            Delimited::Close => {}
        }
        if data.len() <= COPIED {
            self.held.extend_from_slice(&data);
            self.held.extend_from_slice(behind);
            return self.flush().await;
        }
        self.gather(&data, behind).await.map_err(|error| self.lost(&error))
    }

    /// The body is whole.
    pub(super) async fn finish(&mut self) -> Result<(), Gone> {
        match self.delimited {
            Delimited::Length(1..) => return Err(Gone),
            Delimited::Chunks => self.held.extend_from_slice(LAST_CHUNK),
            Delimited::Nothing | Delimited::Length(0) | Delimited::Close => {}
        }
        self.delimited = Delimited::Nothing;
        self.flush().await
    }

    /// Sends what waits. Dropped half-way, it goes on at the next call.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        self.send_held().await.map_err(|error| self.lost(&error))
    }

    async fn send_held(&mut self) -> io::Result<()> {
        while !self.held.is_empty() {
            let n = in_time(self.write_stall, |cx| self.socket.poll_write_shared(cx, &self.held)).await?;
            self.held.drain(..n);
        }
        in_time(self.write_stall, |cx| self.socket.poll_flush_shared(cx)).await
    }

    /// Sends `data`, with what waits before it and `behind` after it.
    async fn gather(&mut self, data: &[u8], behind: &[u8]) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        let mut pieces: &mut [IoSlice<'_>] = &mut [IoSlice::new(&held), IoSlice::new(data), IoSlice::new(behind)];
        while !pieces.is_empty() {
            let n = in_time(self.write_stall, |cx| self.socket.poll_write_vectored_shared(cx, pieces)).await?;
            IoSlice::advance_slices(&mut pieces, n);
        }
        self.send_held().await
    }

    /// The system keeps the same time for the connection as we do, and may be first.
    fn lost(&mut self, error: &io::Error) -> Gone {
        self.stalled = error.kind() == io::ErrorKind::TimedOut;
        Gone
    }

    /// The connection, and what of the head still waits to be written.
    pub(super) fn into_stream(self) -> (Wire, Vec<u8>) {
        (Wire::Shared(self.socket).unshared(), self.held)
    }

    /// The connection, and whether it may serve another request.
    pub(super) fn into_connection(self) -> (Wire, bool) {
        (Wire::Shared(self.socket).unshared(), self.keeps)
    }
}

#[cfg(test)]
mod tests;
