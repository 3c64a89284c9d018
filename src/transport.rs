//! The byte streams under HTTP: sockets of any kind (`socket.rs`, `tls.rs`), alone or shared by two directions (`wire.rs`), and here
//! one that replays what was read of it before: the door reads until it knows that a client speaks HTTP/2, and the h2 crate then reads
//! those same bytes again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::TcpKeepalive;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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

/// A client's connection, some bytes of which were read before.
#[derive(Debug)]
pub struct Transport {
    socket: Socket,
    /// Read before the socket is.
    ahead: Bytes,
}

impl Transport {
    /// A connection of which `ahead` was read: it is read again, then the socket.
    #[must_use]
    pub fn replaying(socket: Socket, ahead: Bytes) -> Self {
        Self { socket, ahead }
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ahead.has_remaining() {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        let n = this.ahead.remaining().min(buf.remaining());
        buf.put_slice(&this.ahead.split_to(n));
        Poll::Ready(Ok(()))
    }
}

/// It says that it gathers nothing: the h2 crate then gathers small frames itself, which makes fewer and larger writes.
impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
