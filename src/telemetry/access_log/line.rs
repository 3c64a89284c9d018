//! What the lines say. Plain values; the keys are the documented ones (README, "Logs") and a change of one breaks somebody's parser.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::super::logging::LogFormat;
use super::encode::Encoder;
use crate::stream::EndReason;

/// What was asked, by whom, and where it went. What is not known is left out of the line.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The client, behind trusted proxies.
    pub client: IpAddr,
    /// The method; none if the head could not be read.
    pub method: Option<&'a str>,
    /// The value of `Host`, as the client wrote it.
    pub host: Option<&'a [u8]>,
    /// The path, as the client wrote it. A query is cut off: tokens live there.
    pub path: Option<&'a [u8]>,
    /// The route's name.
    pub route: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The address of the server that answered, or was asked last.
    pub server: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// What reached no route, as far as it could be read.
    #[must_use]
    pub fn without_route(client: IpAddr, method: Option<&'a str>, host: Option<&'a [u8]>, path: Option<&'a [u8]>) -> Self {
        Self { client, method, host, path, route: None, upstream: None, server: None }
    }
}

/// An ordinary request or a refusal.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// What was asked.
    pub asked: Asked<'a>,
    /// The status that the client got; 499 if it left before.
    pub status: u16,
    /// Why it was refused or broke off, in our words.
    pub reason: Option<&'a str>,
    /// Bytes of the body that went to the client.
    pub bytes: u64,
    /// How long the connect took; none for a connection from the pool, or without one.
    pub connect: Option<Duration>,
    /// From the head of the request to the first byte of the server's answer.
    pub first_byte: Option<Duration>,
    /// From the head of the request to its end.
    pub total: Duration,
}

/// The open of an event stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamOpenLine<'a> {
    /// What was asked.
    pub asked: Asked<'a>,
    /// From [`super::AccessLog::next_stream`].
    pub stream: u64,
    /// The status of the response.
    pub status: u16,
    /// How long the connect took; none for a connection from the pool.
    pub connect: Option<Duration>,
    /// From the head of the request to the first byte of the server's answer.
    pub first_byte: Option<Duration>,
}

/// The close of an event stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamCloseLine<'a> {
    /// What was asked.
    pub asked: Asked<'a>,
    /// The number of its open.
    pub stream: u64,
    /// From its open.
    pub duration: Duration,
    /// Events received from the upstream.
    pub events: u64,
    /// Payload bytes from the upstream.
    pub bytes: u64,
    /// Heartbeats sent.
    pub heartbeats: u64,
    /// The last event id, if the stream has one.
    pub last_id: Option<&'a [u8]>,
    /// Why it ended.
    pub reason: EndReason,
}

impl Asked<'_> {
    fn write(&self, line: &mut Encoder<'_>) {
        line.address("client", self.client);
        line.text_if("method", self.method.map(str::as_bytes));
        line.text_if("host", self.host);
        line.text_if("path", self.path.map(without_query));
        line.text_if("route", self.route.map(str::as_bytes));
        line.text_if("upstream", self.upstream.map(str::as_bytes));
        line.text_if("server", self.server.map(str::as_bytes));
    }
}

impl RequestLine<'_> {
    pub(super) fn render(&self, format: LogFormat, time: SystemTime, out: &mut Vec<u8>) {
        let mut line = begin(format, time, "request", out);
        self.asked.write(&mut line);
        line.number("status", self.status.into());
        line.text_if("reason", self.reason.map(str::as_bytes));
        line.number("bytes", self.bytes);
        line.seconds_if("connect_seconds", self.connect);
        line.seconds_if("first_byte_seconds", self.first_byte);
        line.seconds("seconds", self.total);
        line.finish();
    }
}

impl StreamOpenLine<'_> {
    pub(super) fn render(&self, format: LogFormat, time: SystemTime, out: &mut Vec<u8>) {
        let mut line = begin(format, time, "stream_open", out);
        line.number("stream", self.stream);
        self.asked.write(&mut line);
        line.number("status", self.status.into());
        line.seconds_if("connect_seconds", self.connect);
        line.seconds_if("first_byte_seconds", self.first_byte);
        line.finish();
    }
}

impl StreamCloseLine<'_> {
    pub(super) fn render(&self, format: LogFormat, time: SystemTime, out: &mut Vec<u8>) {
        let mut line = begin(format, time, "stream_close", out);
        line.number("stream", self.stream);
        self.asked.write(&mut line);
        line.text("reason", self.reason.label().as_bytes());
        line.seconds("seconds", self.duration);
        line.number("events", self.events);
        line.number("bytes", self.bytes);
        line.number("heartbeats", self.heartbeats);
        line.text_if("last_id", self.last_id);
        line.finish();
    }
}

fn begin<'a>(format: LogFormat, time: SystemTime, kind: &'static str, out: &'a mut Vec<u8>) -> Encoder<'a> {
    let mut line = Encoder::new(format, out);
    // A clock beyond the year 9999 is wrong anyway; the line still goes out.
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    line.plain("time", format_args!("{time:.3}"));
    line.text("kind", kind.as_bytes());
    line
}

/// Up to a `?`, or a `#` that has no business there.
fn without_query(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    &path[..end]
}
