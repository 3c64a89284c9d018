//! The byte streams under Pingora's HTTP/1 sessions: a connection of ours, over TCP or a unix socket, that can replay what was read
//! before and record what is read from now on.
//!
//! - Downstream, the door reads a request head and judges it first; the session then reads those same bytes again.
//! - Upstream, the session parses the response head; what it read beyond it is the start of an event stream, which leaves the session
//!   for the relay and must not lose a byte.
//!
//! Because the type is ours, the socket comes back out of a session by a downcast: no second descriptor, no `unsafe`.

use std::io;
use std::net::Shutdown as Shut;
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
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::message::framing::{self, Decoder, Framing};

mod socket;

pub use socket::Socket;

/// Finds a peer that is gone without a word within a minute and a half: heartbeats find dead clients, but nothing else finds a dead
/// server whose stream is merely silent.
#[must_use]
pub fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3)
}

/// One connection, a client's or to a server.
#[derive(Debug)]
pub struct Transport {
    socket: Holding,
    /// Read before the socket is.
    ahead: Bytes,
    /// Whether reads are kept in `record`.
    recording: AtomicBool,
    record: BytesMut,
    check: Mutex<Option<BodyCheck>>,
}

#[derive(Debug)]
enum Holding {
    Own(Socket),
    /// Somebody else writes to it.
    Shared(Arc<Socket>),
}

/// Holds a chunked body to our own reading of it, which is stricter than the session's.
#[derive(Debug)]
struct BodyCheck {
    /// Bytes before the body.
    skip: usize,
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
            socket: Holding::Own(socket.into()),
            ahead,
            recording: AtomicBool::new(false),
            record: BytesMut::new(),
            check: Mutex::new(None),
        }
    }

    /// Holds the chunked body that comes after `skip` bytes to our own reading: where that breaks, reading fails with
    /// [`io::ErrorKind::InvalidData`].
    #[must_use]
    pub fn checking_chunks(self, skip: usize) -> Self {
        Self { check: Mutex::new(Some(BodyCheck::new(skip))), ..self }
    }

    /// The same from now on, for a body of which all past the first `skip` recorded bytes was read already. By shared reference, since
    /// a session lends no other.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when what was read breaks already.
    pub fn check_recorded_chunks(&self, skip: usize) -> io::Result<()> {
        let mut check = BodyCheck::new(0);
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

    /// Shares the socket with somebody who writes to it while a session reads from it.
    #[must_use]
    pub fn share(mut self: Box<Self>) -> (Box<Self>, Arc<Socket>) {
        let shared = match self.socket {
            Holding::Own(socket) => Arc::new(socket),
            Holding::Shared(socket) => socket,
        };
        self.socket = Holding::Shared(Arc::clone(&shared));
        (self, shared)
    }

    /// The socket, for its options.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        match &self.socket {
            Holding::Own(socket) => socket,
            Holding::Shared(socket) => socket,
        }
    }

    /// The socket, what was read of it and is still unread, and what was recorded. `None` while the socket is shared.
    #[must_use]
    pub fn into_parts(self) -> Option<(Socket, Bytes, Bytes)> {
        let socket = match self.socket {
            Holding::Own(socket) => socket,
            Holding::Shared(socket) => Arc::into_inner(socket)?,
        };
        Some((socket, self.ahead, self.record.freeze()))
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
    fn new(skip: usize) -> Self {
        Self { skip, decoder: Decoder::new(Framing::Chunked), payload: Vec::new() }
    }

    /// Whether the body ended within `read`; what follows it is the next request.
    fn is_over(&mut self, read: &[u8]) -> io::Result<bool> {
        let skipped = self.skip.min(read.len());
        self.skip -= skipped;
        self.payload.clear();
        let decoded = self.decoder.decode(&read[skipped..], &mut self.payload);
        decoded.map(|decoded| decoded.done).map_err(|framing::Malformed| io::ErrorKind::InvalidData.into())
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let check = this.check.get_mut().unwrap_or_else(PoisonError::into_inner);
        if this.ahead.has_remaining() {
            // The head alone, so that a body which breaks at once is an error of the body.
            let head = check.as_ref().map_or(0, |check| check.skip);
            let limit = if head > 0 { head } else { usize::MAX };
            let n = this.ahead.remaining().min(buf.remaining()).min(limit);
            buf.put_slice(&this.ahead.split_to(n));
        } else {
            match &mut this.socket {
                Holding::Own(socket) => std::task::ready!(Pin::new(socket).poll_read(cx, buf))?,
                Holding::Shared(socket) => {
                    let unfilled = buf.initialize_unfilled();
                    let polled = poll_shared(cx, Socket::poll_read_ready, socket, |socket| socket.try_read(unfilled));
                    let n = std::task::ready!(polled)?;
                    buf.advance(n);
                }
            }
        }
        let read = &buf.filled()[before..];
        if *this.recording.get_mut() {
            this.record.extend_from_slice(read);
        } else if !this.record.is_empty() {
            this.record = BytesMut::new();
        }
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
        match &mut self.socket {
            Holding::Own(socket) => Pin::new(socket).poll_write(cx, buf),
            Holding::Shared(socket) => poll_shared(cx, Socket::poll_write_ready, socket, |socket| socket.try_write(buf)),
        }
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Holding::Own(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Holding::Shared(socket) => poll_shared(cx, Socket::poll_write_ready, socket, |socket| socket.try_write_vectored(bufs)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// TCP keeps nothing back that could be flushed.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.socket()).shutdown(Shut::Write))
    }
}

/// Tries until it would block, then waits to be ready.
fn poll_shared<T>(
    cx: &mut Context<'_>,
    ready: impl Fn(&Socket, &mut Context<'_>) -> Poll<io::Result<()>>,
    socket: &Socket,
    mut attempt: impl FnMut(&Socket) -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        std::task::ready!(ready(socket, cx))?;
        match attempt(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
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
