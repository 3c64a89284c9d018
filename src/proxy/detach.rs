//! From Pingora's two sessions to the two raw sockets of a relay. Everything big stays behind: what is left of an idle stream is the
//! relay's own few bytes.

use bytes::{Buf, Bytes};
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;
use tokio::net::TcpStream;

use crate::transport::{Socket, Transport};

/// The client's socket. Its response head is written, its request body is read, and the head said that the connection closes: bytes
/// that came after the request are forgotten.
#[must_use]
pub fn downstream(session: ServerSession) -> Option<TcpStream> {
    let ServerSession::H1(session) = session else { return None };
    let (socket, _, _) = Transport::from_stream(session.into_inner())?.into_parts()?;
    socket.into_tcp()
}

/// The server's socket, and what was read of the body together with the heads: all that was recorded past the first `heads` bytes.
#[must_use]
pub fn upstream(session: UpstreamSession, heads: usize) -> Option<(Socket, Bytes)> {
    let (socket, _, mut recorded) = Transport::from_stream(session.into_inner())?.into_parts()?;
    recorded.advance(heads.min(recorded.len()));
    // A copy: the slice would keep the whole head alive for as long as the stream lives.
    Some((socket, Bytes::copy_from_slice(&recorded)))
}
