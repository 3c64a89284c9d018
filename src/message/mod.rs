//! HTTP heads: judged as they came, rebuilt for the other side, stripped of what belongs to one connection only.
//!
//! | file | what it is |
//! |---|---|
//! | [`head_end`] | where a request head ends, found as its bytes arrive |
//! | [`request_head`] | a raw request head, judged before any other parser sees it |
//! | [`request`] | the request head that goes upstream; its framing is built, never copied |
//! | [`response_head`] | a raw response head, judged before it is believed |
//! | [`response`] | the response head that goes downstream, and what it says of an event stream |
//! | [`http2`] | HTTP/2 heads, judged and brought into the form of the others; and back |
//! | [`http2_frames`] | the frames of an HTTP/2 connection as they pass |
//! | [`http2_budget`] | how many of them may bring nobody anything |
//! | [`framing`] | HTTP/1.1 bodies, decoded and encoded as their bytes come |
//! | [`trailers`] | what may stand behind a body |
//! | [`upgrade`] | which protocol a request asks to switch to, and whether it is granted |
//! | [`auth_request`] | the question whether a request may pass, and what its answer changes |
//! | `hop_by_hop` | fields that end at this hop |
//! | [`forwarded`] | what the upstream is told of the client |
//! | [`cookie`] | one cookie among others, found or taken out |
//! | `coding` | content codings: which a response has, whether gzip is offered |
//! | [`gunzip`] | gzip, decoded as its bytes come |
//! | [`header_edits`] | fields that the configuration sets or removes |
//! | `edit` | fields taken out of a head without moving the others |
//! | [`cors`] | which pages of other origins may read a response |
//! | [`soft`] | which errors an EventSource comes back from by itself, and when |
//! | [`https_redirect`] | where a request goes that came in cleartext |
//! | [`tls_hello`] | TLS, spoken to a port for cleartext |
//! | [`proxy_header`] | whose connection it is, as a proxy says before HTTP begins |
//! | [`client_kind`] | which parser a client most likely has |
//!
//! Pure: no sockets, no clock, nothing of ours imported. It must never repair a head: what two parsers could read in two ways is
//! refused. Serves RFC 9110 (semantics), RFC 9112 (HTTP/1.1 messages) and section 8 of RFC 9113 (HTTP/2).

pub mod auth_request;
pub mod client_kind;
mod coding;
pub mod cookie;
pub mod cors;
mod edit;
pub mod forwarded;
pub mod framing;
mod grammar;
pub mod gunzip;
pub mod head_end;
pub mod header_edits;
mod hop_by_hop;
pub mod http2;
pub mod http2_budget;
pub mod http2_frames;
pub mod https_redirect;
pub mod proxy_header;
pub mod request;
pub mod request_head;
mod request_line;
pub mod response;
pub mod response_head;
pub mod soft;
#[cfg(test)]
mod strict;
pub mod tls_hello;
pub mod trailers;
pub mod upgrade;

pub use client_kind::{Client, ClientKind};
pub use coding::Coding;
pub use gunzip::Gunzip;
pub use head_end::{HeadEnd, HeadScanner};
pub use header_edits::{HeaderEdits, SetField};
pub use proxy_header::ProxyHeader;
pub use request::{AcceptCoding, BuildOptions, Unbuildable};
pub use request_head::{Refusal, RequestFraming, RequestHead};
pub use response::ResponseFacts;
pub use response_head::{ResponseFraming, ResponseHead};

/// The versions that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, connections close by default.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2: bodies end with the stream, and the connection is no message's business.
    Http2,
}

impl Version {
    /// Reads `HTTP/1.0` or `HTTP/1.1`, the versions of a head in text, in exactly this case (RFC 9112 section 2.3).
    fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"HTTP/1.1" => Some(Self::Http11),
            b"HTTP/1.0" => Some(Self::Http10),
            _ => None,
        }
    }

    /// Whether the sender keeps its connection, by the options of its `Connection` fields (RFC 9112 section 9.3).
    fn keeps_alive(self, options: grammar::ConnectionOptions) -> bool {
        match self {
            Self::Http10 => !options.close && options.keep_alive,
            Self::Http11 => !options.close,
            Self::Http2 => true,
        }
    }
}

/// Whether `text` is a host with or without a port, as a `Host` field may have it: no userinfo, no escapes, no empty port.
#[must_use]
pub fn is_authority(text: &[u8]) -> bool {
    request_line::authority(text).is_ok()
}

/// How the property tests of this module run: failures are kept where every checkout finds them.
#[cfg(test)]
fn proptest_config(regressions: &'static str) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct(regressions))),
        ..proptest::test_runner::Config::default()
    }
}
