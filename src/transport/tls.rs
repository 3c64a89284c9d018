//! TLS over a socket, by tokio-rustls on both sides. A lock makes it work by shared reference, as the other sockets do; nobody ever
//! waits for it, since both directions belong to one task.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, CommonState, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::Socket;

/// A connection whose handshake is done.
#[derive(Debug)]
pub struct Tls {
    plain: Arc<Socket>,
    stream: Mutex<TlsStream<Shared>>,
}

/// The socket below, for TLS.
#[derive(Debug)]
pub(super) struct Shared(Arc<Socket>);

impl Tls {
    /// The handshake of a server (RFC 8446 section 4).
    ///
    /// # Errors
    /// The peer's, or the connection's.
    pub async fn accept(socket: Socket, config: Arc<ServerConfig>) -> io::Result<Self> {
        let plain = Arc::new(socket);
        let stream = TlsAcceptor::from(config).accept(Shared(Arc::clone(&plain))).await?;
        Ok(Self { plain, stream: Mutex::new(stream.into()) })
    }

    /// The handshake of a client with the server called `name`.
    ///
    /// # Errors
    /// The peer's, or the connection's.
    pub async fn connect(socket: Socket, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let plain = Arc::new(socket);
        let stream = TlsConnector::from(config).connect(name, Shared(Arc::clone(&plain))).await?;
        Ok(Self { plain, stream: Mutex::new(stream.into()) })
    }

    /// The protocol that both sides chose (RFC 7301).
    #[must_use]
    pub fn protocol(&self) -> Option<Vec<u8>> {
        let stream = self.lock();
        let state: &CommonState = stream.get_ref().1;
        state.alpn_protocol().map(<[u8]>::to_vec)
    }

    /// The socket below.
    #[must_use]
    pub fn plain(&self) -> &Socket {
        &self.plain
    }

    pub(super) fn get_mut(&mut self) -> &mut TlsStream<Shared> {
        self.stream.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        Pin::new(&mut *self.lock()).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, buf)
    }

    pub(super) fn poll_write_vectored(&self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write_vectored(cx, bufs)
    }

    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    pub(super) fn poll_close_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }

    fn lock(&self) -> MutexGuard<'_, TlsStream<Shared>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = std::task::ready!(self.0.poll_read_shared(cx, buf.initialize_unfilled()))?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write_shared(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.0.poll_write_vectored_shared(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush_shared(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close_write(cx)
    }
}
