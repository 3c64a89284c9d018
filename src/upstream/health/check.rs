//! One check of one server, over a connection of its own: whether it accepts, and for HTTP whether it answers 2xx or 3xx. It asks in the
//! version that requests will come in, reads no further than the status and never longer than the timeout. RFC 9112 section 4, RFC 9113
//! section 8.3, RFC 9110 section 15.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::transport::Socket;
use crate::upstream::http2;
use crate::upstream::pool::{self, ConnectError};
use crate::upstream::server::Server;
use crate::upstream::spec::{HealthCheck, HealthSpec, Http2Spec, Protocol};

/// Bytes of an answer until its status; interim responses (103 and the like) may come first.
const LONGEST_ANSWER: usize = 8 * 1024;

/// Why a server passed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Accepted,
    Status(u16),
}

/// Why it did not.
#[derive(Debug)]
pub(super) enum Failed {
    NoConnection(ConnectError),
    TimedOut,
    Broke(io::Error),
    Status(u16),
    NoHttp,
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("it accepts connections"),
            Self::Status(status) => write!(f, "it answered {status}"),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(error) => error.fmt(f),
            Self::TimedOut => f.write_str("no answer within health.timeout"),
            Self::Broke(error) => write!(f, "the connection broke before an answer: {error}"),
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::NoHttp => f.write_str("what it answered is no HTTP"),
        }
    }
}

/// Whether the server passed; `None` when the check says nothing of it: a process without descriptors must not put its servers down.
pub(super) fn verdict(result: &Result<Passed, Failed>) -> Option<bool> {
    match result {
        Ok(_) => Some(true),
        Err(Failed::NoConnection(ConnectError::Exhausted(_))) => None,
        Err(_) => Some(false),
    }
}

/// Asks `server` once.
pub(super) async fn run(server: &Server, spec: &HealthSpec, protocol: Protocol) -> Result<Passed, Failed> {
    let asked = async {
        let socket = pool::open(server.peer()).await.map_err(Failed::NoConnection)?;
        match &spec.check {
            HealthCheck::Tcp => Ok(Passed::Accepted),
            HealthCheck::Http(path) => {
                let status = match protocol {
                    Protocol::Http1 => ask(socket, path, server.host()).await?,
                    Protocol::Http2 => ask_over_http2(socket, path, server).await?,
                };
                if matches!(status, 200..=399) { Ok(Passed::Status(status)) } else { Err(Failed::Status(status)) }
            }
        }
    };
    tokio::time::timeout(spec.timeout, asked).await.unwrap_or(Err(Failed::TimedOut))
}

async fn ask(mut socket: Socket, path: &str, host: &str) -> Result<u16, Failed> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ssedge-health\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.map_err(Failed::Broke)?;
    let mut answer = Vec::new();
    loop {
        match status(&answer) {
            Answer::Final(status) => return Ok(status),
            Answer::NoHttp => return Err(Failed::NoHttp),
            Answer::Partial if answer.len() >= LONGEST_ANSWER => return Err(Failed::NoHttp),
            Answer::Partial => {}
        }
        if socket.read_buf(&mut answer).await.map_err(Failed::Broke)? == 0 {
            return Err(Failed::Broke(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// The same over a connection of HTTP/2, which is said goodbye to as far as the socket takes it at once.
async fn ask_over_http2(socket: Socket, path: &str, server: &Server) -> Result<u16, Failed> {
    let uri = http::Uri::builder()
        .scheme(if server.is_tls() { "https" } else { "http" })
        .authority(server.host())
        .path_and_query(path)
        .build();
    let mut request = http::Request::new(());
    *request.uri_mut() = uri.map_err(|error| Failed::Broke(io::Error::other(error)))?;
    request.headers_mut().insert(http::header::USER_AGENT, http::HeaderValue::from_static("ssedge-health"));
    let (mut requests, connection) = http2::handshake(socket, &Http2Spec::default()).await.map_err(Failed::Broke)?;
    let mut connection = std::pin::pin!(connection);
    let into_io = |error: h2::Error| Failed::Broke(io::Error::other(error));
    let (mut response, _) = requests.send_request(request, true).map_err(into_io)?;
    let (response, is_over) = tokio::select! {
        biased;
        response = &mut response => (response, false),
        // It may have brought the response with its end, and has an error for it else.
        _ = &mut connection => (response.await, true),
    };
    if !is_over {
        drop(requests);
        poll_fn(|cx| {
            let _ = connection.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
    }
    response.map(|response| response.status().as_u16()).map_err(into_io)
}

/// What the first bytes of an answer say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Not enough yet.
    Partial,
    /// The status of the final response.
    Final(u16),
    NoHttp,
}

/// `HTTP/1.x SSS`, behind any interim responses.
fn status(mut answer: &[u8]) -> Answer {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let Some(line_end) = answer.iter().position(|byte| *byte == b'\n') else {
            return if could_be_http(answer) { Answer::Partial } else { Answer::NoHttp };
        };
        let mut line = httparse::Response::new(&mut headers);
        // The line alone, and an empty one behind it: a head without fields.
        let head = [&answer[..=line_end], b"\r\n"].concat();
        if !matches!(line.parse(&head), Ok(httparse::Status::Complete(_))) {
            return Answer::NoHttp;
        }
        match line.code {
            Some(100..=199) => {}
            Some(code) => return Answer::Final(code),
            None => return Answer::NoHttp,
        }
        match httparse::Response::new(&mut [httparse::EMPTY_HEADER; 64]).parse(answer) {
            Ok(httparse::Status::Complete(length)) => answer = &answer[length..],
            Ok(httparse::Status::Partial) => return Answer::Partial,
            Err(_) => return Answer::NoHttp,
        }
    }
}

/// Whether it begins as every answer does, as far as it goes.
fn could_be_http(start: &[u8]) -> bool {
    const VERSION: &[u8] = b"HTTP/1.";
    let n = start.len().min(VERSION.len());
    start[..n] == VERSION[..n]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At every split: no answer before the end of the line that decides, the same ever after.
    #[track_caller]
    fn expect(answer: &str, decided_at: usize, expected: Answer) {
        for n in 0..=answer.len() {
            let expected = if n < decided_at { Answer::Partial } else { expected };
            assert_eq!(status(&answer.as_bytes()[..n]), expected, "{:?}", &answer[..n]);
        }
    }

    #[test]
    fn the_status_is_known_at_the_end_of_its_line() {
        expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 17, Answer::Final(200));
        expect("HTTP/1.0 503\r\n\r\n", 14, Answer::Final(503));
        expect("HTTP/1.1 302 \r\n", 15, Answer::Final(302));
    }

    #[test]
    fn interim_responses_are_read_over() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        expect(&format!("{interim}HTTP/1.1 204 No Content\r\n\r\n"), interim.len() + 25, Answer::Final(204));
    }

    #[test]
    fn what_is_no_http_is_known_at_its_first_wrong_byte() {
        expect("SSH-2.0-OpenSSH_9.6\r\n", 1, Answer::NoHttp);
        expect("HTTP/2.0 200 OK\r\n", 6, Answer::NoHttp);
        expect("HTTP/1.1 abc\r\n", 14, Answer::NoHttp);
    }
}
