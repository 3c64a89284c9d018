//! An HTTP/1 connection: requests one after the other, each answered whole or with a stream (RFC 9112).
//!
//! A connection that opens with the preface of HTTP/2 is handed over. While a stream is idle its connection owns no buffer.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::timeout;

use super::play::{End, Sink, play};
use super::request::{Body, Head};
use super::scenario::{Plan, Reply, Whole, reply};
use super::{Shared, event, http2};

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of one read.
const READ: usize = 4 * 1024;

/// Answers are gathered up to here while requests are pipelined.
const GATHERED: usize = 64 * 1024;

/// Room for the size line of a chunk: 16 digits and CRLF.
const SIZE_LINE: usize = 18;

/// How long what a client still sends is read after the last answer, so that a reset does not overtake it.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    /// Pieces are put together here.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: Rc<Shared>) {
    let mut connection = Connection { stream, unread: Vec::new(), unsent: Vec::new() };
    loop {
        if connection.unread.starts_with(PREFACE) {
            // Boxed: the many connections of HTTP/1 need no room for it.
            return Box::pin(http2::serve(connection.stream, connection.unread, shared)).await;
        }
        if !connection.unread.is_empty() && !PREFACE.starts_with(&connection.unread) {
            break;
        }
        if !connection.read().await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    // How it failed is the client's to tell.
    let _ = connection.serve(&shared).await;
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

/// What is left of a request once its head was judged.
struct Request {
    reply: Reply,
    body: Body,
    is_1_1: bool,
    is_head: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Connection {
    async fn serve(&mut self, shared: &Shared) -> io::Result<()> {
        while let Some(request) = self.request().await? {
            if request.expects_continue && request.body != Body::Length(0) {
                self.unsent.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.flush().await?;
            }
            if let Body::Length(length) = request.body {
                self.discard(length).await?;
            }
            let goes_on = match request.reply {
                Reply::Whole(ref whole) => {
                    encode(whole, request.keep_alive, request.is_head, &mut self.unsent);
                    request.keep_alive
                }
                Reply::Stream(plan) => {
                    self.flush().await?;
                    self.stream(plan, &request, shared).await?
                }
            };
            if !goes_on {
                self.flush().await?;
                return self.linger().await;
            }
        }
        Ok(())
    }

    /// Plays a stream; whether the connection can be used again.
    async fn stream(&mut self, plan: Plan, request: &Request, shared: &Shared) -> io::Result<bool> {
        let is_chunked = request.is_1_1;
        let mut head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n".to_vec();
        if is_chunked {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        let keep_alive = request.keep_alive && is_chunked;
        head.extend_from_slice(if keep_alive { b"\r\n" } else { b"Connection: close\r\n\r\n" });
        if request.is_head {
            self.stream.write_all(&head).await?;
            return Ok(keep_alive);
        }
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        self.unsent = Vec::new();
        let mut response = Response { stream: &mut self.stream, head, is_chunked, has_heard: false };
        let end = play(plan, shared, &mut response).await?;
        let has_heard = response.has_heard;
        Ok(end == End::Finished && keep_alive && !has_heard)
    }

    /// The next request; none when the client has closed. One that is refused counts as one, whose answer is the refusal.
    async fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            let request = match Head::parse(&self.unread) {
                Ok(None) => {
                    self.flush().await?;
                    if self.read().await? == 0 {
                        return Ok(None);
                    }
                    continue;
                }
                Ok(Some(head)) => {
                    let request = Request {
                        reply: reply(&head.asked),
                        body: head.body,
                        is_1_1: head.is_1_1,
                        is_head: head.asked.method == "HEAD",
                        keep_alive: head.keep_alive,
                        expects_continue: head.expects_continue,
                    };
                    let len = head.len;
                    self.unread.drain(..len);
                    request
                }
                Err(status) => Request {
                    reply: Reply::Whole(Whole::text(status, "This is no request that could be understood.")),
                    body: Body::Length(0),
                    is_1_1: true,
                    is_head: false,
                    keep_alive: false,
                    expects_continue: false,
                },
            };
            if self.unsent.len() > GATHERED {
                self.flush().await?;
            }
            return Ok(Some(request));
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.unread.reserve(READ);
        self.stream.read_buf(&mut self.unread).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.stream.write_all(&self.unsent).await?;
            self.unsent.clear();
        }
        Ok(())
    }

    /// Reads over a body.
    async fn discard(&mut self, length: u64) -> io::Result<()> {
        let mut left = length;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.unread.len());
            self.unread.drain(..here);
            left -= here as u64;
            if left == 0 {
                return Ok(());
            }
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Closes our side and reads what still comes.
    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let read_over = async {
            while self.read().await.is_ok_and(|read| read > 0) {
                self.unread.clear();
            }
        };
        // Whoever still sends after that is reset.
        let _ = timeout(LINGER, read_over).await;
        Ok(())
    }
}

/// Appends a whole answer.
fn encode(whole: &Whole, keep_alive: bool, is_head: bool, out: &mut Vec<u8>) {
    let reason = StatusCode::from_u16(whole.status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    out.extend_from_slice(b"HTTP/1.1 ");
    event::decimal(whole.status.into(), out);
    for part in [" ", reason, "\r\nContent-Type: ", whole.content_type, "\r\nContent-Length: "] {
        out.extend_from_slice(part.as_bytes());
    }
    event::decimal(whole.body.len() as u64, out);
    if let Some(allow) = whole.allow {
        out.extend_from_slice(b"\r\nAllow: ");
        out.extend_from_slice(allow.as_bytes());
    }
    out.extend_from_slice(if keep_alive { b"\r\n\r\n" } else { b"\r\nConnection: close\r\n\r\n" });
    if !is_head {
        out.extend_from_slice(&whole.body);
    }
}

/// A stream on this connection.
struct Response<'a> {
    stream: &'a mut TcpStream,
    /// What has not gone out yet of the head.
    head: Vec<u8>,
    is_chunked: bool,
    /// The client sent more, which nobody reads: the connection serves nothing more.
    has_heard: bool,
}

impl Response<'_> {
    /// Writes a piece at once if the socket takes it; what it does not take.
    fn write_now(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<Vec<u8>> {
        PIECE.with_borrow_mut(|piece| {
            piece.clear();
            piece.resize(SIZE_LINE, 0);
            write(piece);
            let mut begin = SIZE_LINE;
            if self.is_chunked {
                let size = format_size(piece.len() - SIZE_LINE);
                begin -= size.len();
                piece[begin..SIZE_LINE].copy_from_slice(size.as_bytes());
                piece.extend_from_slice(b"\r\n");
            }
            let mut bytes = &piece[begin..];
            let with_head;
            if !self.head.is_empty() {
                with_head = [&std::mem::take(&mut self.head), bytes].concat();
                bytes = &with_head;
            }
            match self.stream.try_write(bytes) {
                Ok(written) => Ok(bytes[written..].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(bytes.to_vec()),
                Err(error) => Err(error),
            }
        })
    }

    /// Reads over what has come; whether the client has gone.
    fn is_gone(&mut self) -> bool {
        let mut ignored = [0; 512];
        match self.stream.try_read(&mut ignored) {
            Ok(0) => true,
            Ok(_) => {
                self.has_heard = true;
                false
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// The size line of a chunk.
fn format_size(size: usize) -> String {
    format!("{size:x}\r\n")
}

impl Sink for Response<'_> {
    async fn open(&mut self) -> io::Result<()> {
        self.stream.write_all(&std::mem::take(&mut self.head)).await
    }

    async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let rest = self.write_now(write)?;
        if !rest.is_empty() {
            self.stream.write_all(&rest).await?;
        }
        // A client that takes all at once must not keep the others waiting.
        consume_budget().await;
        Ok(())
    }

    async fn gone(&mut self) {
        while self.stream.readable().await.is_ok() {
            if self.is_gone() {
                return;
            }
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.open().await?;
        if self.is_chunked {
            self.stream.write_all(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}
