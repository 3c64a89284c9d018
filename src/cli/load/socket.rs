//! Connections: TCP from the right address, with TLS where the URL says so, read as slowly as the arguments want.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::outcome::Failure;
use super::pace::Pace;
use super::tls;
use crate::clock;

/// Until a connection stands, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a slow reader's kernel keeps for it, before Linux doubles it: nearly the least that there is, so that what is not read stays
/// with the sender.
const SLOW_RECEIVE_BUFFER: u32 = 4096;

/// How connections are made.
#[derive(Debug)]
pub(super) struct Dial {
    /// The server's, tried in order.
    pub(super) addresses: Vec<SocketAddr>,
    /// Taken in turn; empty leaves the choice to the system.
    pub(super) sources: Vec<IpAddr>,
    /// The configuration and the name that the certificate must have.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(super) needs_http2: bool,
    /// Bytes a second of one stream.
    pub(super) read_rate: Option<NonZeroU32>,
    /// Version and cipher suite of TLS, as first seen.
    pub(super) tls_seen: OnceLock<String>,
}

impl Dial {
    /// Connection number `n`.
    pub(super) async fn connect(&self, n: u32) -> Result<Connection, Failure> {
        match timeout(CONNECT_TIMEOUT, self.try_connect(n)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Broken(io::ErrorKind::TimedOut)),
        }
    }

    async fn try_connect(&self, n: u32) -> Result<Connection, Failure> {
        let source = match self.sources.len() {
            0 => None,
            sources => Some(self.sources[n as usize % sources]),
        };
        let mut last = Failure::Source;
        let usable = self.addresses.iter().filter(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()));
        for address in usable {
            match self.tcp(*address, source).await {
                Ok(socket) => return self.secure(socket).await,
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn tcp(&self, address: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, Failure> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(source) = source {
            // The port is chosen at the connect, when it need only differ from those that lead to the same server.
            #[cfg(target_os = "linux")]
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
                .map_err(io::Error::from)?;
            socket.bind(SocketAddr::new(source, 0)).map_err(|error| match error.kind() {
                io::ErrorKind::AddrNotAvailable => Failure::Source,
                _ => error.into(),
            })?;
        }
        if self.slow_rate().is_some() {
            // Before the connect, when the window is agreed on.
            socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER)?;
        }
        socket.set_nodelay(true)?;
        Ok(socket.connect(address).await?)
    }

    async fn secure(&self, socket: TcpStream) -> Result<Connection, Failure> {
        let Some((config, name)) = &self.tls else { return Ok(Connection::Plain(self.paced(socket))) };
        let connecting = TlsConnector::from(Arc::clone(config)).connect(name.clone(), Paced { socket, pace: None });
        let mut stream = connecting.await.map_err(|error| tls::failure(&error, self.needs_http2))?;
        if self.needs_http2 && !tls::chose_http2(stream.get_ref().1) {
            return Err(Failure::NoHttp2);
        }
        self.tls_seen.get_or_init(|| tls::describe(stream.get_ref().1));
        // A slow client is not slow to shake hands, or nobody would wait for it.
        stream.get_mut().0.pace = self.pace();
        Ok(Connection::Tls(Box::new(stream)))
    }

    fn paced(&self, socket: TcpStream) -> Paced {
        Paced { socket, pace: self.pace() }
    }

    /// Many streams share an HTTP/2 connection: their windows slow each of them down, and the connection itself is read at once.
    fn slow_rate(&self) -> Option<NonZeroU32> {
        self.read_rate.filter(|_| !self.needs_http2)
    }

    fn pace(&self) -> Option<Box<Slow>> {
        let rate = self.slow_rate()?;
        let now = clock::now();
        Some(Box::new(Slow { pace: Pace::new(rate, now), timer: Box::pin(sleep_until(now.into())) }))
    }
}

/// One connection.
#[derive(Debug)]
pub(super) enum Connection {
    Plain(Paced),
    Tls(Box<TlsStream<Paced>>),
}

/// A socket that may be read slowly.
#[derive(Debug)]
pub(super) struct Paced {
    socket: TcpStream,
    pace: Option<Box<Slow>>,
}

#[derive(Debug)]
struct Slow {
    pace: Pace,
    timer: Pin<Box<Sleep>>,
}

impl AsyncRead for Paced {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(slow) = &mut this.pace else { return Pin::new(&mut this.socket).poll_read(cx, buffer) };
        while let Some(due) = slow.pace.due(clock::now()) {
            slow.timer.as_mut().reset(due.into());
            ready!(slow.timer.as_mut().poll(cx));
        }
        let most = buffer.remaining().min(slow.pace.most());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut this.socket).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        slow.pace.read(read, clock::now());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
