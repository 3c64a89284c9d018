//! The instruments of the integration tests: a scripted origin ([`origin`]), one that the test plays itself ([`raw`]), the real binary
//! ([`edge`]) and a raw client ([`client`]); for HTTP/2 the same again ([`http2_origin`], [`http2_client`]).
//!
//! They must never judge with the code under test: heads and bodies are read by [`head`] and [`body`], frames by [`frames`], written
//! here for the tests alone. Every wait has a deadline, no wait is a sleep for luck.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod edge;
pub(crate) mod frames;
pub(crate) mod gzip;
pub(crate) mod head;
pub(crate) mod hops;
pub(crate) mod http2_client;
pub(crate) mod http2_origin;
pub(crate) mod http2_script;
mod http2_tests;
pub(crate) mod nowhere;
pub(crate) mod origin;
pub(crate) mod pattern;
pub(crate) mod raw;
pub(crate) mod raw_http2;
pub(crate) mod script;
pub(crate) mod socket;
mod tests;
pub(crate) mod tls;

use std::future::Future;
use std::time::Duration;

pub(crate) use client::{Client, End};
pub(crate) use edge::{Edge, EdgeBuilder};
pub(crate) use hops::{HOPS, Server, Version, Viewer};
pub(crate) use http2_client::{Http2Client, Http2Head, Http2Stream, StreamEnd};
pub(crate) use http2_origin::Http2Origin;
pub(crate) use http2_script::Http2Script;
pub(crate) use origin::Origin;
pub(crate) use pattern::{Pattern, pattern};
pub(crate) use raw::{ManualOrigin, Raw};
pub(crate) use script::Script;

/// How long a test waits for what must come: generous, because a loaded machine may leave a process without a CPU for seconds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a client that nobody knows sends for a stream.
pub(crate) const SUBSCRIBE: &str = "GET /events HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";

/// The same on HTTP/1.0.
pub(crate) const SUBSCRIBE_1_0: &str = "GET /events HTTP/1.0\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";

/// A stream that a POST asked for: it runs to its own end.
pub(crate) const ASK: &str = "POST /v1/ask HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}";

/// An ordinary request.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Waits for `future`, or fails saying what never came.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    within_time(DEADLINE, what, future).await
}

/// The same with another deadline.
pub(crate) async fn within_time<T>(deadline: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(deadline, future).await {
        Ok(value) => value,
        Err(_) => panic!("did not come within {deadline:?}: {what}"),
    }
}

/// Asks `check` until it has an answer.
pub(crate) async fn eventually<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    within(what, polled(check)).await
}

/// Asks `check` until it has an answer, without a deadline.
pub(crate) async fn polled<T>(mut check: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(value) = check() {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until `value` stays the same for half a second: whoever drives it is blocked.
pub(crate) async fn settled(what: &str, value: impl Fn() -> u64) -> u64 {
    const STEP: Duration = Duration::from_millis(50);
    within(what, async {
        let (mut last, mut quiet) = (value(), 0);
        while quiet < 10 {
            tokio::time::sleep(STEP).await;
            let now = value();
            quiet = if now == last && now > 0 { quiet + 1 } else { 0 };
            last = now;
        }
        last
    })
    .await
}

/// One chunk of the chunked coding.
pub(crate) fn chunk(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Bytes for a failure message.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 400;
    let text = bytes[..bytes.len().min(MOST)].escape_ascii().to_string();
    if bytes.len() > MOST { format!("{text}... ({} bytes)", bytes.len()) } else { text }
}
