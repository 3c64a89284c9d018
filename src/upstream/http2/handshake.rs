//! From a socket to an HTTP/2 connection: our settings, and the server's, which must be the first that it says (RFC 9113 section 3.4).
//!
//! A server that really speaks HTTP/1.1 answers our preface with its words. They are read here before the codec sees them, since all it
//! could say is that the frame is too large.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::empty_data::EmptyData;
use crate::transport::Socket;
use crate::upstream::spec::Http2Spec;

/// What carries the frames.
pub(in crate::upstream) type Connection = h2::client::Connection<Prefaced, Bytes>;

/// Bytes of one stream that lie here for the server: two reads of a request body ahead of its windows.
const SEND_BUFFER: usize = 64 << 10;

/// Size of a response head as RFC 9113 section 6.5.2 counts it: 256 fields, which is how many may pass, of a KiB each.
const HEAD_SIZE: u32 = 256 << 10;

/// How many times the connection's window the overhead of small DATA frames may be. The codec ends a connection on which too many
/// lie unread, and its default lets a few stalled readers of short events do that to all others. With four, windows bind first for
/// events from 52 bytes on, and memory stays bounded.
const OVERHEAD: usize = 4;

/// Frames for a stream that we reset may be under way for a second; those that come later cost a reset each, and beyond so many over its
/// life the codec ends a connection. Clients that leave are daily life here, so it is far above the default of 1,024.
const STRAY_FRAMES: usize = 1 << 16;

/// What we sent and the server's kernel did not take for so long is lost, and the connection with it. Without this, requests would go
/// into a dead connection until the system gives up its retransmissions, a quarter of an hour later: keepalive probes are only sent when
/// nothing is under way.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// No server says this: its limit is below 2^32, or none at all, which reads as the largest number.
const NOT_SAID: usize = usize::MAX - 1;

/// A connection on `socket` whose server sent its SETTINGS.
///
/// # Errors
/// The socket's, or what the server does in place of HTTP/2, in plain words.
pub(in crate::upstream) async fn handshake(socket: Socket, spec: &Http2Spec) -> io::Result<(SendRequest<Bytes>, Connection)> {
    prepare(&socket)?;
    let (requests, mut connection) = builder(spec).handshake(Prefaced::new(socket)).await.map_err(into_io)?;
    poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(closed())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(into_io(error))),
        Poll::Pending if connection.max_concurrent_send_streams() == NOT_SAID => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    if requests.current_max_send_streams() == 0 {
        return Err(io::Error::other("the server allows no streams (SETTINGS_MAX_CONCURRENT_STREAMS is 0)"));
    }
    Ok((requests, connection))
}

fn prepare(socket: &Socket) -> io::Result<()> {
    match socket {
        Socket::Tcp(tcp) => SockRef::from(tcp).set_tcp_user_timeout(Some(UNACKNOWLEDGED)),
        Socket::Unix(_) => Ok(()),
        Socket::Tls(tls) => prepare(tls.plain()),
    }
}

fn builder(spec: &Http2Spec) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(spec.stream_window)
        .initial_connection_window_size(spec.connection_window)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEAD_SIZE)
        .data_frame_budget((spec.connection_window as usize).saturating_mul(OVERHEAD))
        .max_concurrent_reset_streams(spec.streams as usize)
        .max_local_error_reset_streams(Some(STRAY_FRAMES))
        .initial_max_send_streams(NOT_SAID);
    builder
}

/// As the socket's own error where it is one.
fn into_io(error: h2::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, Other, UnexpectedEof};
    match error.get_io().map(io::Error::kind) {
        // Other is what the codec says of half a frame.
        Some(UnexpectedEof | BrokenPipe | ConnectionReset | Other) => closed(),
        Some(_) => error.into_io().unwrap_or_else(closed),
        None => io::Error::other(error),
    }
}

fn closed() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server closed the connection in the handshake of HTTP/2, which it may not speak",
    )
}

/// A socket whose first bytes must be those of a SETTINGS frame, and whose frames say something.
#[derive(Debug)]
pub(in crate::upstream) struct Prefaced {
    socket: Socket,
    /// The head of the first frame, as far as it was read.
    head: [u8; 9],
    length: usize,
    empty: EmptyData,
}

impl Prefaced {
    fn new(socket: Socket) -> Self {
        Self { socket, head: [0; 9], length: 0, empty: EmptyData::default() }
    }

    fn check(&mut self, read: &[u8]) -> io::Result<()> {
        let n = read.len().min(self.head.len() - self.length);
        self.head[self.length..self.length + n].copy_from_slice(&read[..n]);
        self.length += n;
        let head = &self.head[..self.length];
        if head.iter().enumerate().all(|(position, byte)| is_settings(position, *byte)) {
            return Ok(());
        }
        let what = if head.starts_with(b"HTTP") { "it answers in HTTP/1" } else { "its first bytes are no SETTINGS frame" };
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("the server does not speak HTTP/2: {what}")))
    }
}

/// Whether the byte may stand there in the head of a SETTINGS frame that acknowledges nothing (RFC 9113 sections 4.1 and 6.5).
fn is_settings(position: usize, byte: u8) -> bool {
    match position {
        // A frame of that size is no frame that a client takes before it said so (section 4.2).
        0 => byte == 0,
        3 => byte == 4,
        4 => byte & 1 == 0,
        // The first bit is reserved, and ignored.
        5 => byte & 0x7f == 0,
        6..=8 => byte == 0,
        _ => true,
    }
}

impl AsyncRead for Prefaced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
            let read = &mut buf.filled_mut()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.length < self.head.len() {
                self.check(read)?;
            }
            let kept = self.empty.strip(read);
            buf.set_filled(before + kept);
            // Nothing read is an end, and this is none.
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Prefaced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of these bytes when they come in reads of `n`.
    async fn verdict(bytes: &[u8], n: usize) -> io::Result<()> {
        let mut prefaced = Prefaced::new(Socket::Unix(tokio::net::UnixStream::pair().unwrap().0));
        bytes.chunks(n).try_for_each(|read| prefaced.check(read))
    }

    #[tokio::test]
    async fn what_a_dead_server_never_acknowledges_is_given_up_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = Socket::Tcp(tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        prepare(&socket).unwrap();
        assert_eq!(SockRef::from(&socket).tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
        prepare(&Socket::Unix(tokio::net::UnixStream::pair().unwrap().0)).unwrap();
    }

    #[tokio::test]
    async fn a_settings_frame_passes_however_it_comes() {
        for settings in [b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\xff\xff", b"\x00\x00\x00\x04\x00\x80\x00\x00\x00\xff\xff"] {
            for n in 1..=settings.len() {
                verdict(settings, n).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_settings_frame_is_refused_at_its_first_wrong_byte() {
        for wrong in [
            b"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
            b"\x00\x00\x00\x04\x00\x00\x00\x00\x01",
            b"\x00\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\x00\x00\x08\x07\x00\x00\x00\x00\x00",
            b"SSH-2.0-O",
        ] {
            for n in 1..=wrong.len() {
                let error = verdict(wrong, n).await.unwrap_err();
                assert!(error.to_string().ends_with("its first bytes are no SETTINGS frame"), "{error}");
            }
        }
        let error = verdict(b"HTTP/1.1 400 Bad Request\r\n\r\n", 28).await.unwrap_err();
        assert_eq!(error.to_string(), "the server does not speak HTTP/2: it answers in HTTP/1");
    }
}
