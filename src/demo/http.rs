//! Just enough HTTP/1.1 for the demo origin to be a correct one: requests in, responses out (RFC 9112).
//!
//! It must never hold more of a client than [`MAX_HEAD`] and [`MAX_BODY`], wait for one without a deadline, or guess at framing: a
//! head that is malformed or ambiguous is refused and the connection closed.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderName, Method, StatusCode, Uri, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes of a request head; 431 beyond.
const MAX_HEAD: usize = 16 * 1024;
/// Fields of a request head; 431 beyond.
const MAX_FIELDS: usize = 64;
/// Bytes of a request body; 413 beyond.
pub(super) const MAX_BODY: usize = 4 * 1024;
/// Idle connection between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Whole request, first byte to last.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// A client takes nothing for so long.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long what a refused client still sends is read, so that the answer reaches it before a reset does.
const LINGER: Duration = Duration::from_secs(1);

/// One request, complete with its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Without the query.
    pub(super) path: String,
    /// `Last-Event-ID`, if it is one of our numbers.
    pub(super) last_event_id: Option<u64>,
    pub(super) body: Bytes,
    /// The client understands chunked bodies (HTTP/1.1).
    pub(super) chunked: bool,
    /// The connection may serve another request.
    pub(super) keep_alive: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// To be answered with this status, then closed.
    Refused(StatusCode),
    /// The client has gone or says nothing: nobody to answer.
    Gone,
}

/// One answer with a known length.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    /// Further fields.
    pub(super) fields: &'static [(HeaderName, &'static str)],
    pub(super) body: Bytes,
}

impl Response {
    /// A line of plain text.
    pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", fields: &[], body: text.into() }
    }

    /// The reason phrase as plain text.
    pub(super) fn plain(status: StatusCode) -> Self {
        Self::text(status, format!("{}\n", status.canonical_reason().unwrap_or("error")))
    }
}

/// A client connection and what was read of it beyond the last request.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next request.
    pub(super) async fn read_request(&mut self) -> Result<Request, NoRequest> {
        if self.buffer.is_empty() {
            timeout(KEEP_ALIVE, self.fill()).await.map_err(|_| NoRequest::Gone)??;
        }
        match timeout(REQUEST_DEADLINE, self.read_started_request()).await {
            Ok(request) => request,
            Err(_) => Err(NoRequest::Refused(StatusCode::REQUEST_TIMEOUT)),
        }
    }

    async fn read_started_request(&mut self) -> Result<Request, NoRequest> {
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer).map_err(NoRequest::Refused)? {
                break head;
            }
            if self.buffer.len() >= MAX_HEAD {
                return Err(NoRequest::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
            }
            self.fill().await?;
        };
        self.buffer.advance(head.len);
        if head.body_len > MAX_BODY {
            return Err(NoRequest::Refused(StatusCode::PAYLOAD_TOO_LARGE));
        }
        if head.expects_continue && self.buffer.len() < head.body_len {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| NoRequest::Gone)?;
        }
        while self.buffer.len() < head.body_len {
            self.fill().await?;
        }
        let body = self.buffer.split_to(head.body_len).freeze();
        Ok(Request { body, ..head.request })
    }

    /// Reads once more, bounded by what a head and a body may hold.
    async fn fill(&mut self) -> Result<(), NoRequest> {
        let room = (MAX_HEAD + MAX_BODY).saturating_sub(self.buffer.len());
        self.buffer.reserve(room.min(4096));
        match (&mut self.stream).take(room as u64).read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(NoRequest::Gone),
            Ok(_) => Ok(()),
        }
    }

    /// Writes `response`; its body only if `with_body` (a HEAD has none, RFC 9110 section 9.3.2).
    pub(super) async fn write_response(&mut self, response: &Response, with_body: bool, keep_alive: bool) -> io::Result<()> {
        let mut head = status_line(response.status);
        field(&mut head, &header::CONTENT_TYPE, response.content_type);
        field(&mut head, &header::CONTENT_LENGTH, &response.body.len().to_string());
        for (name, value) in response.fields {
            field(&mut head, name, value);
        }
        field(&mut head, &header::CONNECTION, if keep_alive { "keep-alive" } else { "close" });
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if with_body {
            bytes.extend_from_slice(&response.body);
        }
        self.write(&bytes).await
    }

    /// Writes the head of an event stream. It carries nothing against buffering: that is what the proxy adds.
    pub(super) async fn write_stream_head(&mut self, request: &Request) -> io::Result<()> {
        let mut head = status_line(StatusCode::OK);
        field(&mut head, &header::CONTENT_TYPE, "text/event-stream");
        if request.chunked {
            field(&mut head, &header::TRANSFER_ENCODING, "chunked");
        }
        // Its end is the end of the connection too, and without chunks (HTTP/1.0) the only mark of its end.
        field(&mut head, &header::CONNECTION, "close");
        head.push_str("\r\n");
        self.write(head.as_bytes()).await
    }

    /// Writes a piece of an event stream, as one chunk where chunks are understood.
    pub(super) async fn write_piece(&mut self, piece: &[u8], chunked: bool) -> io::Result<()> {
        if !chunked {
            return self.write(piece).await;
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk).await
    }

    /// Ends an event stream cleanly.
    pub(super) async fn write_end(&mut self, chunked: bool) -> io::Result<()> {
        if chunked { self.write(b"0\r\n\r\n").await } else { Ok(()) }
    }

    /// Returns once the client has closed. What it sends meanwhile is discarded: the stream is the last thing that it gets.
    pub(super) async fn client_closed(&mut self) {
        let mut scratch = [0; 64];
        while matches!(self.stream.read(&mut scratch).await, Ok(1..)) {}
    }

    /// Closes so that what was written last arrives, though the client may still be sending.
    pub(super) async fn linger(mut self) {
        let _ = self.stream.shutdown().await;
        let _ = timeout(LINGER, self.client_closed()).await;
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match timeout(WRITE_STALL, self.stream.write_all(bytes)).await {
            Ok(done) => done,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

fn status_line(status: StatusCode) -> String {
    format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default())
}

fn field(head: &mut String, name: &HeaderName, value: &str) {
    let _ = write!(head, "{name}: {value}\r\n");
}

/// A request head that was judged.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Its body is still empty.
    request: Request,
    /// Bytes of the head.
    len: usize,
    /// Bytes of the body that follows.
    body_len: usize,
    expects_continue: bool,
}

impl Head {
    /// Judges what was read so far; `None` until the head is complete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, StatusCode> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        let len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => len,
            Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => {
                return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        let bad = StatusCode::BAD_REQUEST;
        let method = Method::from_bytes(parsed.method.ok_or(bad)?.as_bytes()).map_err(|_| bad)?;
        let uri: Uri = parsed.path.ok_or(bad)?.parse().map_err(|_| bad)?;
        let path = uri.path_and_query().map(PathAndQuery::path).ok_or(bad)?.to_owned();
        let is_1_1 = parsed.version == Some(1);

        let mut hosts = 0;
        let mut body_len = None;
        let mut has_coding = false;
        let mut expects_continue = false;
        let mut keep_alive = is_1_1;
        let mut last_event_id = None;
        for parsed in parsed.headers.iter() {
            let name = HeaderName::from_bytes(parsed.name.as_bytes()).map_err(|_| bad)?;
            let value = parsed.value.trim_ascii();
            match name {
                header::HOST => hosts += 1,
                header::CONTENT_LENGTH => {
                    let length = number(value).ok_or(bad)?;
                    if body_len.replace(length).is_some_and(|other| other != length) {
                        return Err(bad);
                    }
                }
                header::TRANSFER_ENCODING => has_coding = true,
                header::EXPECT => expects_continue = is_1_1 && value.eq_ignore_ascii_case(b"100-continue"),
                header::CONNECTION if has_option(value, b"close") => keep_alive = false,
                _ if name.as_str() == "last-event-id" => last_event_id = number(value),
                _ => {}
            }
        }
        if hosts > 1 || (is_1_1 && hosts == 0) || (has_coding && body_len.is_some()) {
            return Err(bad);
        }
        if has_coding {
            // RFC 9112 section 6.3 lets a server ask for the length.
            return Err(StatusCode::LENGTH_REQUIRED);
        }
        let body_len = usize::try_from(body_len.unwrap_or(0)).unwrap_or(usize::MAX);
        let request = Request { method, path, last_event_id, body: Bytes::new(), chunked: is_1_1, keep_alive };
        Ok(Some(Self { request, len, body_len, expects_continue }))
    }
}

/// Plain digits, as a length or an id must be; no sign, no list.
fn number(value: &[u8]) -> Option<u64> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

fn has_option(list: &[u8], option: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, StatusCode> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_the_same_however_it_is_cut() {
        let text =
            "POST /publish?a=b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nLast-Event-ID: 12\r\nConnection: x, Close\r\n\r\nabc";
        let end = text.len() - 3;
        for cut in 0..end {
            assert_eq!(head(&text[..cut]), Ok(None), "cut at {cut}");
        }
        let head = head(text).unwrap().unwrap();
        assert_eq!((head.len, head.body_len), (end, 3));
        assert_eq!((head.request.path.as_str(), head.request.last_event_id), ("/publish", Some(12)));
        assert!(head.request.chunked && !head.request.keep_alive);
    }

    #[test]
    fn the_absolute_form_of_a_target_is_understood() {
        assert_eq!(head("GET http://a:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().unwrap().request.path, "/x");
    }

    #[test]
    fn malformed_and_ambiguous_heads_are_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
            ("GET noslash HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        ] {
            assert_eq!(head(text).expect_err(text).as_u16(), status, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "Host: a\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(head(&many), Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }

    #[test]
    fn http_1_0_gets_no_chunks_and_no_second_request() {
        let request = head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().unwrap().request;
        assert!(!request.chunked && !request.keep_alive);
    }
}
