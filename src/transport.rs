//! The byte streams under Pingora's HTTP/1 sessions: a connection of ours, over TCP or a unix socket, that can replay what was read
//! before and record what is read from now on.
//!
//! - Downstream, the door reads a request head and judges it first; the session then reads those same bytes again.
//! - Upstream, the session parses the response head; what it read beyond it is the start of an event stream, which leaves the session
//!   for the relay and must not lose a byte.
//!
//! Because the type is ours, the socket comes back out of a session by a downcast: no second descriptor, no `unsafe`.

use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest, UniqueID,
    UniqueIDType,
};
use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::message::framing::{self, Decoder, Framing};

mod socket;
mod tls;
mod wire;

pub use socket::Socket;
pub use tls::Tls;
pub use wire::Wire;

/// Finds a peer that is gone without a word within a minute and a half: heartbeats find dead clients, but nothing else finds a dead
/// server whose stream is merely silent.
#[must_use]
pub fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3)
}

/// One connection, a client's or to a server.
#[derive(Debug)]
pub struct Transport {
    wire: Wire,
    /// Read before the socket is.
    ahead: Bytes,
    /// Whether reads are kept in `record`.
    recording: AtomicBool,
    record: BytesMut,
    vectored: bool,
    check: Mutex<Option<BodyCheck>>,
}

/// Holds a chunked body to our own reading of it, which is stricter than the session's.
#[derive(Debug)]
struct BodyCheck {
    decoder: Decoder,
    payload: Vec<Range<usize>>,
}

impl Transport {
    /// A connection of which nothing was read yet.
    #[must_use]
    pub fn new(socket: impl Into<Socket>) -> Self {
        Self::replaying(socket, Bytes::new())
    }

    /// A connection of which `ahead` was read: it is read again, then the socket.
    #[must_use]
    pub fn replaying(socket: impl Into<Socket>, ahead: Bytes) -> Self {
        Self {
            wire: Wire::Own(socket.into()),
            ahead,
            recording: AtomicBool::new(false),
            record: BytesMut::new(),
            vectored: true,
            check: Mutex::new(None),
        }
    }

    /// Says that it gathers nothing: the h2 crate then gathers small frames itself, which makes fewer and larger writes.
    #[must_use]
    pub fn unvectored(self) -> Self {
        Self { vectored: false, ..self }
    }

    /// Holds a chunked body to our own reading from now on, of which all past the first `skip` recorded bytes was read already: where
    /// it breaks, reading fails with [`io::ErrorKind::InvalidData`]. By shared reference, since a session lends no other.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when what was read breaks already.
    pub fn check_recorded_chunks(&self, skip: usize) -> io::Result<()> {
        let mut check = BodyCheck::new();
        if !check.is_over(self.record.get(skip..).unwrap_or_default())? {
            *self.check.lock().unwrap_or_else(PoisonError::into_inner) = Some(check);
        }
        Ok(())
    }

    /// Keeps a copy of what is read from now on.
    pub fn start_recording(&mut self) {
        self.record.clear();
        self.recording = AtomicBool::new(true);
    }

    /// Keeps no more. By shared reference, since a session lends no other.
    pub fn stop_recording(&self) {
        self.recording.store(false, Ordering::Relaxed);
    }

    /// How many bytes were recorded.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.record.len()
    }

    /// Shares the socket with somebody who uses its other direction while a session uses one.
    #[must_use]
    pub fn share(mut self: Box<Self>) -> (Box<Self>, Arc<Socket>) {
        let (wire, shared) = self.wire.share();
        self.wire = wire;
        (self, shared)
    }

    /// The socket, for its options.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        self.wire.socket()
    }

    /// The socket, what was read of it and is still unread, and what was recorded.
    #[must_use]
    pub fn into_parts(self) -> (Wire, Bytes, Bytes) {
        (self.wire.unshared(), self.ahead, self.record.freeze())
    }

    /// Gets back what was put into a session; `None` when it is some other kind of stream.
    #[must_use]
    pub fn from_stream(stream: Stream) -> Option<Box<Self>> {
        stream.into_any().downcast().ok()
    }

    /// The same by reference.
    #[must_use]
    pub fn of_stream(stream: &Stream) -> Option<&Self> {
        stream.as_any().downcast_ref()
    }
}

impl BodyCheck {
    fn new() -> Self {
        Self { decoder: Decoder::new(Framing::Chunked), payload: Vec::new() }
    }

    /// Whether the body ended within `read`; what follows it is not part of it.
    fn is_over(&mut self, read: &[u8]) -> io::Result<bool> {
        self.payload.clear();
        let decoded = self.decoder.decode(read, &mut self.payload);
        decoded.map(|decoded| decoded.done).map_err(|framing::Malformed| io::ErrorKind::InvalidData.into())
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if this.ahead.has_remaining() {
            let n = this.ahead.remaining().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(n));
        } else {
            std::task::ready!(Pin::new(&mut this.wire).poll_read(cx, buf))?;
        }
        let read = &buf.filled()[before..];
        if *this.recording.get_mut() {
            this.record.extend_from_slice(read);
        } else if !this.record.is_empty() {
            this.record = BytesMut::new();
        }
        let check = this.check.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(body) = check
            && body.is_over(read)?
        {
            *check = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Transport {
    async fn shutdown(&mut self) {
        // The peer may be gone already; there is nothing left to do about it.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Transport {
    fn id(&self) -> UniqueIDType {
        self.socket().as_raw_fd()
    }
}

impl Ssl for Transport {}

impl GetTimingDigest for Transport {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Transport {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Transport {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

/// Says `false`: what was read ahead would be missed.
#[async_trait]
impl Peek for Transport {}
