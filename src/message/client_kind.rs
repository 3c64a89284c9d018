//! Which parser a client most likely has: what `heartbeat.frame: auto` needs to know before the first byte.
//!
//! A guess from field values that a client chooses freely. It may decide which of two harmless frames is written, never who may do what.
//! The measurements behind it stand in the design's `sse.md`, sections 2 and 3; MCP's fields are those of its Streamable HTTP transport.

use http::header::{ACCEPT, CACHE_CONTROL, USER_AGENT};
use http::{HeaderMap, HeaderName};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// User agents of libraries that parse event streams themselves and take a comment line anywhere, by a part of the value in lower case.
///
/// Only names that no hand-written parser shares belong here. That leaves out every plain HTTP client, even where a good SSE library
/// stands on it: `python-httpx` (httpx-sse), `node` and `undici` (eventsource, fetch), `python-requests` (sseclient-py), `aiohttp`,
/// `axios`, `okhttp`, `Go-http-client`, `curl`. The same value may be a loop that splits on blank lines, which loses an event to a comment
/// line, while those libraries take a comment block until an id was seen, after which everybody gets lines. fetch-event-source runs
/// in browsers and is known by them. Rust's async-openai and eventsource-stream name themselves nowhere.
const SDK_USER_AGENTS: [&str; 3] = [
    // `OpenAI/Python 2.54`, `AsyncOpenAI/Python`, `OpenAI/JS`: raises on a block after an id.
    "openai/",
    // `Anthropic/Python`, `AsyncAnthropic/Python`, `Anthropic/JS`.
    "anthropic/",
    // Vercel's `ai/6.0 ai-sdk/...`.
    "ai-sdk/",
];

/// Sent by every SDK that Stainless generates, OpenAI's and Anthropic's among them, whatever the user agent was set to.
const SDK_FIELD: HeaderName = HeaderName::from_static("x-stainless-lang");

/// What a client most likely is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// A browser, be it its EventSource or a library on its fetch.
    Browser,
    /// A known SDK.
    Sdk,
    /// A client of the Model Context Protocol.
    Mcp,
    /// Anything else; possibly a hand-written parser.
    Unknown,
}

/// What a request says about its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// What it most likely is.
    pub kind: ClientKind,
    /// It sent `Last-Event-ID`, so it has a parser that knows ids, and it has seen one.
    pub resumed: bool,
}

impl Client {
    /// Reads the fields of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let kind = if headers.contains_key(MCP_PROTOCOL_VERSION) || headers.contains_key(MCP_SESSION_ID) {
            ClientKind::Mcp
        } else if headers.contains_key(SDK_FIELD) || SDK_USER_AGENTS.iter().any(|part| user_agent_has(headers, part)) {
            ClientKind::Sdk
        } else if is_browser(headers) {
            ClientKind::Browser
        } else {
            ClientKind::Unknown
        };
        Self { kind, resumed: headers.contains_key(LAST_EVENT_ID) }
    }

    /// Whether a heartbeat must be a comment line and never a comment block, before any event was seen.
    #[must_use]
    pub fn wants_line_frames(self) -> bool {
        self.resumed || self.kind != ClientKind::Unknown
    }
}

/// Whether a request comes from a browser's own EventSource: GET, exactly `Accept: text/event-stream`, `Cache-Control: no-cache` and a
/// browser behind it. Such a client closes for good on any error status. Away from https and localhost it sends no `Sec-Fetch` field;
/// where it does they have to say what EventSource is: a CORS request for no destination (WHATWG HTML section 9.2.2), no navigation.
#[must_use]
pub fn is_native_event_source(method: &http::Method, headers: &HeaderMap) -> bool {
    let only = |name: HeaderName, expected: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(expected)) && values.next().is_none()
    };
    let unless_absent = |name: HeaderName, expected: &[u8]| headers.get_all(name).iter().all(|value| value.as_bytes() == expected);
    method == http::Method::GET
        && unless_absent(SEC_FETCH_DEST, b"empty")
        && unless_absent(SEC_FETCH_MODE, b"cors")
        && only(ACCEPT, b"text/event-stream")
        && only(CACHE_CONTROL, b"no-cache")
        && is_browser(headers)
}

/// `Sec-Fetch-Site` and `Sec-Fetch-Dest` come from browsers alone; `Sec-Fetch-Mode` comes from Node's fetch as well, so it says nothing.
fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(SEC_FETCH_DEST) || user_agent_has(headers, "mozilla/5.0")
}

/// Whether the user agent contains `part`, which is in lower case.
fn user_agent_has(headers: &HeaderMap, part: &str) -> bool {
    let agent = headers.get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
    agent.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    use super::{Client, ClientKind, is_native_event_source};

    const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn each_known_client_is_recognised() {
        let cases: [(&[(&str, &str)], ClientKind); 12] = [
            (&[("user-agent", CHROME)], ClientKind::Browser),
            (&[("sec-fetch-dest", "empty")], ClientKind::Browser),
            (&[("sec-fetch-site", "same-origin")], ClientKind::Browser),
            (&[("user-agent", "AsyncOpenAI/Python 2.54.0")], ClientKind::Sdk),
            (&[("user-agent", "OpenAI/JS 6.49.0")], ClientKind::Sdk),
            (&[("user-agent", "Anthropic/Python 2.10.0")], ClientKind::Sdk),
            (&[("user-agent", "ai/6.0.3 ai-sdk/provider-utils/4.0.1 runtime/node.js/24")], ClientKind::Sdk),
            (&[("user-agent", "my app"), ("x-stainless-lang", "python")], ClientKind::Sdk),
            (&[("user-agent", "node"), ("mcp-protocol-version", "2025-06-18")], ClientKind::Mcp),
            (&[("user-agent", CHROME), ("mcp-session-id", "1")], ClientKind::Mcp),
            (&[("user-agent", "curl/8.14.1")], ClientKind::Unknown),
            (&[], ClientKind::Unknown),
        ];
        for (fields, kind) in cases {
            let client = Client::of(&head(fields));
            assert_eq!(client.kind, kind, "{fields:?}");
            assert_eq!(client.wants_line_frames(), kind != ClientKind::Unknown, "{fields:?}");
        }
    }

    #[test]
    fn http_clients_under_hand_written_parsers_stay_unknown() {
        for agent in
            ["node", "undici", "python-httpx/0.28.1", "python-requests/2.32", "Go-http-client/1.1", "okhttp/5.0", "axios/1.9"]
        {
            let headers = head(&[("user-agent", agent), ("sec-fetch-mode", "cors")]);
            assert_eq!(Client::of(&headers).kind, ClientKind::Unknown, "{agent}");
        }
    }

    #[test]
    fn a_client_with_a_last_event_id_wants_lines_whoever_it_is() {
        let client = Client::of(&head(&[("user-agent", "curl/8.14.1"), ("last-event-id", "")]));
        assert!(client.resumed && client.wants_line_frames());
    }

    #[test]
    fn a_native_event_source_is_told_from_a_fetch_that_asks_for_a_stream() {
        let native = [("accept", "text/event-stream"), ("cache-control", "no-cache"), ("user-agent", CHROME)];
        assert!(is_native_event_source(&Method::GET, &head(&native)));
        assert!(!is_native_event_source(&Method::POST, &head(&native)));
        for (missing, _) in native {
            let rest: Vec<_> = native.into_iter().filter(|(name, _)| *name != missing).collect();
            assert!(!is_native_event_source(&Method::GET, &head(&rest)), "without {missing}");
        }
        let fetch = [("accept", "text/event-stream, */*"), ("cache-control", "no-cache"), ("user-agent", CHROME)];
        assert!(!is_native_event_source(&Method::GET, &head(&fetch)));
        for (name, value, is_native) in [
            ("sec-fetch-dest", "empty", true),
            ("sec-fetch-mode", "cors", true),
            ("sec-fetch-site", "cross-site", true),
            ("sec-fetch-dest", "document", false),
            ("sec-fetch-mode", "navigate", false),
            ("sec-fetch-mode", "no-cors", false),
        ] {
            let mut told = head(&native);
            told.append(name, HeaderValue::from_static(value));
            assert_eq!(is_native_event_source(&Method::GET, &told), is_native, "{name}: {value}");
        }
        let mut twice = head(&native);
        twice.append("accept", HeaderValue::from_static("*/*"));
        assert!(!is_native_event_source(&Method::GET, &twice));
    }
}
