//! The connection before Pingora sees it (design `pingora.md`, trap 10): every wait has a deadline, every request head is read and
//! judged as raw bytes, and only what can be read in one way is replayed to a session. RFC 9112 sections 2.2 to 3.2, 9.3 and 9.6.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use pingora::protocols::http::ServerSession;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::app::App;
use super::record::Client;
use super::reject;
use crate::admission::{self, Connections};
use crate::clock;
use crate::message::request_head::{self, RequestHead};
use crate::message::{HeadEnd, HeadScanner, Refusal, RequestFraming};
use crate::telemetry::access_log::{Asked, RequestLine};
use crate::telemetry::{ConnectionCap, StatusClass};
use crate::transport::Transport;

/// Bytes read at a time while a head is incomplete.
const HEAD_READ: usize = 4 * 1024;
/// How long a head that has begun may take once we are leaving.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// How long and how much we still read from a client that gets an early answer, so that it can read the answer (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// Bounds on a client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoorSettings {
    /// Bytes of a request head.
    pub request_head_bytes: usize,
    /// The whole head, first byte to last; also from accept to the first byte.
    pub request_head: Duration,
    /// Idle between two requests.
    pub keep_alive: Duration,
    /// A client takes nothing of what we answer for so long.
    pub write_stall: Duration,
}

/// Where clients come in.
#[derive(Debug)]
pub struct Door {
    settings: DoorSettings,
    connections: Connections,
    app: Arc<App>,
}

/// What becomes of a connection after a request.
#[derive(Debug)]
pub enum After {
    /// The next request may come; its first bytes may be there already.
    Next(TcpStream, Bytes, Client),
    /// It is to be closed, but the client may still be sending.
    Linger(TcpStream, Client),
    /// It is closed, or belongs to a relay.
    Gone,
}

/// Why no request came.
enum NoRequest {
    /// The client closed or broke off, or was idle for too long, or we are leaving.
    Quiet,
    /// It gets this answer.
    Refused(Refusal),
}

impl Door {
    /// A door to `app`.
    #[must_use]
    pub fn new(settings: DoorSettings, connections: Connections, app: Arc<App>) -> Self {
        Self { settings, connections, app }
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, socket: TcpStream, client: Client) {
        tokio::select! {
            () = self.requests(socket, client) => {}
            () = self.app.drain.cut_off() => {}
        }
    }

    /// A connection from `address` was accepted; `None` if a cap is reached, and it is to be closed.
    #[must_use]
    pub fn admit(&self, address: SocketAddr) -> Option<Client> {
        let peer = address.ip().to_canonical();
        match self.connections.try_acquire(peer, self.app.trusted.contains(peer)) {
            Ok(permit) => Some(Client::new(address, self.app.metrics.open_connection(), permit, self.app.drain.guard())),
            Err(refusal) => {
                let cap = if refusal == admission::Refusal::Client { ConnectionCap::Client } else { ConnectionCap::Total };
                self.app.metrics.connection_refused(cap);
                tracing::debug!(client = %address, "connection refused: a cap on connections is reached");
                None
            }
        }
    }

    /// One request after the other.
    async fn requests(&self, mut socket: TcpStream, mut client: Client) {
        let mut ahead = BytesMut::new();
        let mut first_wait = self.settings.request_head;
        loop {
            let (head, head_bytes) = match self.read_head(&mut socket, &mut ahead, first_wait).await {
                Ok(head) => head,
                Err(NoRequest::Quiet) => return,
                Err(NoRequest::Refused(refusal)) => return self.refuse(socket, refusal, &ahead, &client).await,
            };
            let mut transport = Transport::replaying(socket, ahead.freeze());
            if head.framing == RequestFraming::Chunked {
                transport = transport.checking_chunks(head_bytes);
            }
            let mut session = ServerSession::new_http1(Box::new(transport));
            // What the door lets through, Pingora's parser takes: a property test of `message` holds them together.
            match session.read_request().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(client = %client.address, %error, "a request head that we judged clean was refused by the session");
                    return;
                }
            }
            match Box::pin(self.app.handle(session, head, client)).await {
                After::Next(next_socket, next_ahead, same_client) => {
                    (socket, ahead, client) = (next_socket, BytesMut::from(next_ahead), same_client);
                    first_wait = self.settings.keep_alive;
                }
                After::Linger(socket, _client) => return linger(socket).await,
                After::Gone => return,
            }
        }
    }

    /// Reads and judges the next head, and says how long it is. It stays in `ahead`, with whatever came after it.
    async fn read_head(
        &self,
        socket: &mut TcpStream,
        ahead: &mut BytesMut,
        first_wait: Duration,
    ) -> Result<(RequestHead, usize), NoRequest> {
        if ahead.is_empty() {
            tokio::select! {
                // What is there already is served, also when we are leaving.
                biased;
                begun = tokio::time::timeout(first_wait, first_bytes(socket, ahead)) => match begun {
                    Ok(Ok(n)) if n > 0 => {}
                    Ok(_) | Err(_) => return Err(NoRequest::Quiet),
                },
                () = self.app.drain.draining() => return Err(NoRequest::Quiet),
            }
        }
        let deadline = clock::now() + self.settings.request_head;
        let mut scanner = HeadScanner::new();
        loop {
            match scanner.scan(ahead) {
                HeadEnd::Complete(end) if end <= self.settings.request_head_bytes => {
                    return request_head::judge(&ahead[..end]).map(|head| (head, end)).map_err(NoRequest::Refused);
                }
                HeadEnd::Complete(_) => return Err(NoRequest::Refused(TOO_LARGE)),
                HeadEnd::Refused(refusal) => return Err(NoRequest::Refused(refusal)),
                HeadEnd::Partial if ahead.len() >= self.settings.request_head_bytes => return Err(NoRequest::Refused(TOO_LARGE)),
                HeadEnd::Partial => {}
            }
            self.read_more(socket, ahead, deadline).await?;
        }
    }

    async fn read_more(&self, socket: &mut TcpStream, ahead: &mut BytesMut, deadline: Instant) -> Result<(), NoRequest> {
        ahead.reserve(HEAD_READ);
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout_at(deadline.into(), socket.read_buf(ahead)) => read,
            // Nothing was promised for a head that is not whole.
            () = async {
                self.app.drain.draining().await;
                tokio::time::sleep(DRAIN_GRACE).await;
            } => return Err(NoRequest::Quiet),
        };
        match read {
            Ok(Ok(n)) if n > 0 => Ok(()),
            Ok(_) => Err(NoRequest::Quiet),
            Err(_) => Err(NoRequest::Refused(TOO_SLOW)),
        }
    }

    async fn refuse(&self, mut socket: TcpStream, refusal: Refusal, head: &[u8], client: &Client) {
        self.app.metrics.answered_without_route(StatusClass::of(refusal.status));
        let (method, path) = request_line(head);
        let asked = Asked {
            client: client.address.ip().to_canonical(),
            method,
            host: None,
            path,
            route: None,
            upstream: None,
            server: None,
        };
        self.app.log.request(&RequestLine {
            asked,
            status: refusal.status,
            reason: Some(refusal.reason),
            bytes: 0,
            connect: None,
            first_byte: None,
            total: Duration::ZERO,
        });
        let answer = reject::raw(refusal.status, refusal.reason);
        if let Ok(Ok(())) = tokio::time::timeout(self.settings.write_stall, socket.write_all(&answer)).await {
            linger(socket).await;
        }
    }
}

/// Method and target of a head that is refused, for the log only: as far as they can be told apart. The log escapes what it gets.
fn request_line(head: &[u8]) -> (Option<&str>, Option<&[u8]>) {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let method = parts.next().and_then(|method| std::str::from_utf8(method).ok());
    let method = method.filter(|method| (1..=32).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_alphabetic()));
    (method, method.and(parts.next()).filter(|path| path.starts_with(b"/")))
}

/// Waits without a buffer: idle connections are many.
async fn first_bytes(socket: &TcpStream, ahead: &mut BytesMut) -> std::io::Result<usize> {
    loop {
        socket.readable().await?;
        ahead.reserve(HEAD_READ);
        match socket.try_read_buf(ahead) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => *ahead = BytesMut::new(),
            read => return read,
        }
    }
}

const TOO_LARGE: Refusal = Refusal { status: 431, reason: "the request head is larger than limits.request_head" };
const TOO_SLOW: Refusal = Refusal { status: 408, reason: "the request head did not arrive within timeouts.request_head" };

/// Closes our side, and reads for a while what the client still sends: a reset would take the answer from it.
async fn linger(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let mut discarded = [0; 4096];
    let _ = tokio::time::timeout(LINGER, async {
        let mut left = LINGER_BYTES;
        while let Ok(n) = socket.read(&mut discarded).await {
            if n == 0 || n > left {
                break;
            }
            left -= n;
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::request_line;

    #[test]
    fn a_refused_head_is_logged_with_what_can_be_told_of_it() {
        assert_eq!(request_line(b"GET /a?b HTTP/1.1\r\nHost: a b\r\n\r\n"), (Some("GET"), Some(b"/a?b".as_slice())));
        assert_eq!(request_line(b"\r\nPOST /x\r\n"), (Some("POST"), Some(b"/x".as_slice())));
        assert_eq!(request_line(b"GET http://a/ HTTP/1.1\r\n"), (Some("GET"), None));
        assert_eq!(request_line(b"\x16\x03\x01\x02\x00 /a"), (None, None));
        assert_eq!(request_line(b""), (None, None));
    }
}
