//! A client's connection up to its requests (design `pingora.md`, trap 10): every wait has a deadline, every request head is read and
//! judged as raw bytes, and only what can be read in one way goes on. RFC 9112 sections 2.2 to 3.2, 9.3 and 9.6.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::app::App;
use super::call::Call;
use super::downstream::{Downstream, LAST_WORDS};
use super::entrance::Entrance;
use super::record::Client;
use super::request_body::RequestBody;
use super::tls_door::NoTls;
use super::upload::Upload;
use super::{http2_door, reject, tls_door};
use crate::clock;
use crate::message::request_head;
use crate::message::{HeadEnd, HeadScanner, Refusal, tls_hello};
use crate::telemetry::SilentBefore;
use crate::telemetry::TlsHandshake;
use crate::telemetry::access_log::Asked;
use crate::tls::{ServerTls, alpn};
use crate::transport::Socket;

/// Bytes read at a time while a head is incomplete.
const HEAD_READ: usize = 4 * 1024;
/// How long a head that has begun may take once we are leaving.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(1);
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
    pub(super) settings: DoorSettings,
    pub(super) entrance: Entrance,
    pub(super) app: Arc<App>,
}

/// What becomes of a connection after a request.
#[derive(Debug)]
pub enum After {
    /// The next request may come; its first bytes may be there already.
    Next(Socket, Bytes, Arc<Client>),
    /// It is to be closed, but the client may still be sending.
    Linger(Socket, Arc<Client>),
    /// It is closed, or belongs to a relay.
    Gone,
}

/// Why no request came.
enum NoRequest {
    /// The client closed or broke off, or we are leaving.
    Quiet,
    /// Nothing came in time.
    Silent,
    /// It gets this answer.
    Refused(Refusal),
    /// The client speaks HTTP/2: it is the preface of that (RFC 9113 section 3.4).
    Http2,
}

/// What the preface of HTTP/2 looks like to an HTTP/1 reader: a head. Six more bytes belong to it.
const HTTP2_PREFACE_HEAD: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

impl Door {
    /// A door to `app`.
    #[must_use]
    pub fn new(settings: DoorSettings, entrance: Entrance, app: Arc<App>) -> Self {
        Self { settings, entrance, app }
    }

    /// Serves one connection to its end, or until HTTP/2 has it.
    pub async fn serve(&self, socket: Socket, mut client: Client) {
        if self.awaits_header(&client) {
            // Boxed: most connections have no room for it.
            let Some(introduced) = Box::pin(self.introduced(&socket, client)).await else { return };
            client = introduced;
        }
        let client = Arc::new(client);
        let http2 = tokio::select! {
            http2 = self.speak(socket, &client) => http2,
            () = self.app.drain.cut_off() => None,
        };
        if let Some((socket, ahead)) = http2 {
            http2_door::spawn(Arc::clone(&self.app), self.settings, socket, ahead, client);
        }
    }

    /// All of a connection but HTTP/2: one that speaks it is given back, with what was read of it.
    async fn speak(&self, socket: Socket, client: &Arc<Client>) -> Option<(Socket, Bytes)> {
        let socket = match &client.listener.tls {
            None => socket,
            // Boxed: a connection whose TLS stands keeps no room for its handshake, and one without has none.
            Some(tls) => match Box::pin(self.handshake(socket, tls, client)).await? {
                Socket::Tls(tls) if tls.protocol().as_deref() == Some(alpn::H2) => return Some((Socket::Tls(tls), Bytes::new())),
                socket => socket,
            },
        };
        self.requests(socket, Arc::clone(client)).await
    }

    /// Brings TLS about; `None` if the connection ends with that.
    async fn handshake(&self, socket: Socket, tls: &ServerTls, client: &Client) -> Option<Socket> {
        let result = tls_door::accept(socket, tls, self.settings.request_head, &self.app.drain).await;
        self.app.metrics.tls_handshake(result.as_ref().map_or_else(NoTls::label, |_| TlsHandshake::Done));
        match result {
            Ok(tls) => return Some(Socket::Tls(Box::new(tls))),
            Err(NoTls::PlainHttp(socket)) => Box::pin(self.refuse(socket, HTTPS_ONLY, &[], client)).await,
            Err(NoTls::Failed(error)) => tracing::debug!(client = %client.address, %error, "no TLS connection"),
            Err(NoTls::TimedOut | NoTls::Silent) => {}
        }
        None
    }

    /// One HTTP/1 request after the other. A connection that begins with HTTP/2 is given back, with what was read of it.
    async fn requests(&self, mut socket: Socket, mut client: Arc<Client>) -> Option<(Socket, Bytes)> {
        let mut ahead = Vec::new();
        let mut first_wait = self.settings.request_head;
        let mut is_first = true;
        loop {
            let head_bytes = match self.read_head(&mut socket, &mut ahead, first_wait).await {
                Ok(head_bytes) => head_bytes,
                Err(NoRequest::Quiet) => {
                    Box::pin(farewell(socket)).await;
                    return None;
                }
                Err(NoRequest::Silent) => {
                    let before = if is_first { SilentBefore::FirstRequest } else { SilentBefore::NextRequest };
                    self.app.metrics.connection_silent(before);
                    Box::pin(farewell(socket)).await;
                    return None;
                }
                Err(NoRequest::Http2) if is_first && !socket.is_tls() => return Some((socket, ahead.into())),
                Err(NoRequest::Http2) => {
                    let refusal = if is_first { NOT_AGREED } else { LATE_PREFACE };
                    Box::pin(self.refuse(socket, refusal, &ahead, &client)).await;
                    return None;
                }
                Err(NoRequest::Refused(refusal)) => {
                    Box::pin(self.refuse(socket, refusal, &ahead, &client)).await;
                    return None;
                }
            };
            is_first = false;
            // A task that waits for a request keeps no room for one.
            match Box::pin(self.request(socket, ahead, head_bytes, client)).await {
                After::Next(next_socket, next_ahead, same_client) => {
                    (socket, ahead, client) = (next_socket, next_ahead.into(), same_client);
                    first_wait = self.settings.keep_alive;
                }
                After::Linger(socket, _client) => {
                    Box::pin(linger(socket)).await;
                    return None;
                }
                After::Gone => return None,
            }
        }
    }

    /// Serves the request whose head is the first `head_bytes` of `ahead`.
    async fn request(&self, socket: Socket, ahead: Vec<u8>, head_bytes: usize, client: Arc<Client>) -> After {
        let mut ahead = Bytes::from(ahead);
        let raw = ahead.split_to(head_bytes);
        let (head, header) = match request_head::read(&raw) {
            Ok(judged) => judged,
            Err(refusal) => {
                Box::pin(self.refuse(socket, refusal, &raw, &client)).await;
                return After::Gone;
            }
        };
        let socket = Arc::new(socket);
        let down = Downstream::http1(header, head.version, Arc::clone(&socket));
        let body = RequestBody::http1(socket, ahead, head.framing);
        let upload = Upload::new(body, head.framing.has_body());
        self.app.handle(Call::new(down, upload, client), head).await
    }

    /// Reads the next head, and says how long it is. It stays in `ahead`, with whatever came after it.
    async fn read_head(&self, socket: &mut Socket, ahead: &mut Vec<u8>, first_wait: Duration) -> Result<usize, NoRequest> {
        if ahead.is_empty() {
            // Without a buffer until there is something: idle connections are many.
            let first = std::future::poll_fn(|cx| socket.poll_fill_shared(cx, ahead, HEAD_READ));
            tokio::select! {
                // What is there already is served, also when we are leaving.
                biased;
                begun = tokio::time::timeout(first_wait, first) => match begun {
                    Ok(Ok(n)) if n > 0 => {}
                    Ok(_) => return Err(NoRequest::Quiet),
                    Err(_) => return Err(NoRequest::Silent),
                },
                () = self.app.drain.draining() => return Err(NoRequest::Quiet),
            }
        }
        let deadline = clock::now() + self.settings.request_head;
        let mut scanner = HeadScanner::new();
        loop {
            // Not for the scanner, which refuses its version.
            if ahead.starts_with(HTTP2_PREFACE_HEAD) {
                return Err(NoRequest::Http2);
            }
            if HTTP2_PREFACE_HEAD.starts_with(ahead) {
                self.read_more(socket, ahead, deadline).await?;
                continue;
            }
            if !socket.is_tls() && tls_hello::begins(ahead) {
                return Err(NoRequest::Refused(HTTP_ONLY));
            }
            match scanner.scan(ahead) {
                HeadEnd::Complete(end) if end <= self.settings.request_head_bytes => return Ok(end),
                HeadEnd::Complete(_) => return Err(NoRequest::Refused(TOO_LARGE)),
                HeadEnd::Refused(refusal) => return Err(NoRequest::Refused(refusal)),
                HeadEnd::Partial if ahead.len() >= self.settings.request_head_bytes => return Err(NoRequest::Refused(TOO_LARGE)),
                HeadEnd::Partial => {}
            }
            self.read_more(socket, ahead, deadline).await?;
        }
    }

    async fn read_more(&self, socket: &mut Socket, ahead: &mut Vec<u8>, deadline: Instant) -> Result<(), NoRequest> {
        let more = std::future::poll_fn(|cx| socket.poll_fill_shared(cx, ahead, HEAD_READ));
        let read = tokio::select! {
            biased;
            read = tokio::time::timeout_at(deadline.into(), more) => read,
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

    async fn refuse(&self, mut socket: Socket, refusal: Refusal, head: &[u8], client: &Client) {
        let (method, path) = request_line(head);
        let asked = Asked::without_route(client.address.ip().to_canonical(), method, None, path);
        self.app.answered_without_route(asked, refusal.status, refusal.reason, Duration::ZERO);
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

/// Closes a connection on which nothing is under way: over TLS with a word, without which it would look cut (RFC 8446 section 6.1).
async fn farewell(mut socket: Socket) {
    if socket.is_tls() {
        let _ = tokio::time::timeout(LAST_WORDS, socket.shutdown()).await;
    }
}

const TOO_LARGE: Refusal = Refusal { status: 431, reason: "the request head is larger than limits.request_head" };
const TOO_SLOW: Refusal = Refusal { status: 408, reason: "the request head did not arrive within timeouts.request_head" };

const HTTP_ONLY: Refusal =
    Refusal { status: 400, reason: "this port speaks HTTP without TLS: write http:// in front of the address" };
const HTTPS_ONLY: Refusal = Refusal { status: 400, reason: "this port speaks HTTPS: write https:// in front of the address" };
const NOT_AGREED: Refusal = Refusal { status: 400, reason: "over TLS, HTTP/2 is agreed on by ALPN (RFC 9113 section 3.2)" };
const LATE_PREFACE: Refusal = Refusal { status: 400, reason: "HTTP/2 begins with the connection or not at all" };

/// Closes our side, and reads for a while what the client still sends: a reset would take the answer from it.
pub(super) async fn linger(mut socket: Socket) {
    let mut discarded = [0; 4096];
    let _ = tokio::time::timeout(LINGER, async {
        // Over TLS it waits for what the client has not taken yet.
        if socket.shutdown().await.is_err() {
            return;
        }
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
