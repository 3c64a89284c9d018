//! A socket that one part of the proxy has to itself, or that two parts use at once: one reads what a client uploads while another
//! writes the answer to it. Both parts belong to one task, since a socket keeps one waker for each direction.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Socket;

/// A socket, alone or shared.
#[derive(Debug)]
pub enum Wire {
    /// Nobody else uses it.
    Own(Socket),
    /// Somebody else reads from it or writes to it.
    Shared(Arc<Socket>),
}

impl Wire {
    /// Shares it, if it is not shared already.
    #[must_use]
    pub fn share(self) -> (Self, Arc<Socket>) {
        let shared = match self {
            Self::Own(socket) => Arc::new(socket),
            Self::Shared(socket) => socket,
        };
        (Self::Shared(Arc::clone(&shared)), shared)
    }

    /// As somebody who has it to himself, if nobody else does any more.
    #[must_use]
    pub fn unshared(self) -> Self {
        match self {
            Self::Own(socket) => Self::Own(socket),
            Self::Shared(socket) => Arc::try_unwrap(socket).map_or_else(Self::Shared, Self::Own),
        }
    }

    /// The socket; `None` while it is shared.
    #[must_use]
    pub fn into_own(self) -> Option<Socket> {
        match self {
            Self::Own(socket) => Some(socket),
            Self::Shared(socket) => Arc::into_inner(socket),
        }
    }

    /// The socket, for its options.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Own(socket) => socket,
            Self::Shared(socket) => socket,
        }
    }
}

impl From<Socket> for Wire {
    fn from(socket: Socket) -> Self {
        Self::Own(socket)
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Shared(socket) => {
                let unfilled = buf.initialize_unfilled();
                let n = std::task::ready!(socket.poll_read_shared(cx, unfilled))?;
                buf.advance(n);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Shared(socket) => socket.poll_write_shared(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Shared(socket) => socket.poll_write_vectored_shared(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush_shared(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_close_write(cx)
    }
}
