//! A connection of any kind: the operating system's sockets, bare or under TLS. No policy.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::Tls;

/// A connected stream: a TCP or unix socket, or TLS over one of them.
///
/// All of it works by shared reference too, for one who writes while another reads. Both belong to one task, since each direction keeps
/// one waker.
#[derive(Debug)]
pub enum Socket {
    /// Over IP.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// Encrypted.
    Tls(Box<Tls>),
}

impl Socket {
    /// Whether what goes over it is encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Reads what is there; 0 is the end.
    pub fn poll_read_shared(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_drain(
                || socket.poll_read_ready(cx),
                |read| socket.try_io(Interest::READABLE, read),
                || Ok((rustix::net::recv(socket, &mut *buf, RecvFlags::empty())?.0, buf.len())),
            ),
            Self::Unix(socket) => poll_drain(
                || socket.poll_read_ready(cx),
                |read| socket.try_io(Interest::READABLE, read),
                || Ok((rustix::net::recv(socket, &mut *buf, RecvFlags::empty())?.0, buf.len())),
            ),
            Self::Tls(tls) => tls.poll_read(cx, buf),
        }
    }

    /// The same into the room behind what `buf` holds, which is made once there is something to read: `most` bytes of it.
    pub fn poll_fill_shared(&self, cx: &mut Context<'_>, buf: &mut Vec<u8>, most: usize) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => {
                poll_fill(|| socket.poll_read_ready(cx), |read| socket.try_io(Interest::READABLE, read), socket.as_fd(), buf, most)
            }
            Self::Unix(socket) => {
                poll_fill(|| socket.poll_read_ready(cx), |read| socket.try_io(Interest::READABLE, read), socket.as_fd(), buf, most)
            }
            Self::Tls(tls) => {
                let held = buf.len();
                buf.resize(held + most, 0);
                let polled = tls.poll_read(cx, &mut buf[held..]);
                buf.truncate(held + if let Poll::Ready(Ok(n)) = polled { n } else { 0 });
                if polled.is_pending() {
                    buf.shrink_to(held);
                }
                polled
            }
        }
    }

    /// Writes what fits. Of TLS, what was taken may still wait for [`Self::poll_flush_shared`].
    pub fn poll_write_shared(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_try(|| socket.poll_write_ready(cx), || socket.try_write(buf)),
            Self::Unix(socket) => poll_try(|| socket.poll_write_ready(cx), || socket.try_write(buf)),
            Self::Tls(tls) => tls.poll_write(cx, buf),
        }
    }

    /// The same for several pieces.
    pub fn poll_write_vectored_shared(&self, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(socket) => poll_try(|| socket.poll_write_ready(cx), || socket.try_write_vectored(bufs)),
            Self::Unix(socket) => poll_try(|| socket.poll_write_ready(cx), || socket.try_write_vectored(bufs)),
            Self::Tls(tls) => tls.poll_write_vectored(cx, bufs),
        }
    }

    /// Ready once the operating system has all that was written. It keeps nothing back of a plain socket.
    pub fn poll_flush_shared(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Closes for writing; TLS says so first (RFC 8446 section 6.1).
    pub fn poll_close_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(SockRef::from(self).shutdown(std::net::Shutdown::Write)),
            Self::Tls(tls) => tls.poll_close_write(cx),
        }
    }

    /// Waits until the socket below is as `interest` says.
    ///
    /// # Errors
    /// When the runtime is going down.
    pub async fn ready(&self, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.ready(interest).await.map(drop),
            Self::Unix(socket) => socket.ready(interest).await.map(drop),
            Self::Tls(tls) => Box::pin(tls.plain().ready(interest)).await,
        }
    }
}

/// Tries until it would block, then waits to be ready.
fn poll_try<T>(mut ready: impl FnMut() -> Poll<io::Result<()>>, mut attempt: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        std::task::ready!(ready())?;
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return Poll::Ready(done),
        }
    }
}

/// Reads, and takes the socket for drained when less came than there was room for, as Tokio does for whoever has a socket to himself:
/// the next poll waits for the system's word, where it would otherwise ask in vain. That was two calls for each ordinary request.
fn poll_drain(
    mut ready: impl FnMut() -> Poll<io::Result<()>>,
    try_io: impl Fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
    mut recv: impl FnMut() -> io::Result<(usize, usize)>,
) -> Poll<io::Result<usize>> {
    loop {
        std::task::ready!(ready())?;
        let mut read = None;
        let tried = try_io(&mut || {
            let (n, room) = recv()?;
            read = Some(n);
            // Only that takes the readiness away. A close stays to be seen all the same.
            if n > 0 && n < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (read, tried) {
            (Some(n), _) => return Poll::Ready(Ok(n)),
            (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
            (None, _) => {}
        }
    }
}

/// Into the room behind what `buf` holds, which nobody has to make zero first.
fn poll_fill(
    ready: impl FnMut() -> Poll<io::Result<()>>,
    try_io: impl Fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
    fd: BorrowedFd<'_>,
    buf: &mut Vec<u8>,
    most: usize,
) -> Poll<io::Result<usize>> {
    poll_drain(ready, try_io, || {
        buf.reserve(most);
        let room = buf.capacity() - buf.len();
        let n = rustix::net::recv(fd, rustix::buffer::spare_capacity(buf), RecvFlags::empty())?.0;
        Ok((n, room))
    })
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self::Tcp(socket)
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        Self::Unix(socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Tls(tls) => tls.plain().as_fd(),
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.get_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls.get_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls.get_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush_shared(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close_write(cx)
    }
}
