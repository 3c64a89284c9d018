//! The clients that stand before ssedge in the matrix.

use super::server::Server;
use super::tool::{Tool, curl, node, python};
use super::versions;

/// A client, with how it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Curl,
    HttpxSse,
    /// npm `eventsource`.
    EventSource,
    /// A browser's own.
    ChromiumEventSource,
    /// A browser's `fetch`, with npm `eventsource-parser`.
    ChromiumFetch,
    /// npm `@microsoft/fetch-event-source`, in a browser.
    FetchEventSource,
    OpenAiPython,
    AnthropicPython,
    /// Vercel's `ai`: `streamText`.
    Ai,
    /// Vercel's `ai`: `DefaultChatTransport` and `readUIMessageStream`.
    AiChat,
    /// The MCP Python SDK, as of 2025 and before.
    Mcp,
    /// The MCP Python SDK, as of 2026.
    McpModern,
}

/// How a client asks for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl Client {
    /// Starts it on `server`, found at `origin`; it leaves after so many lines, if a number is given. `browser` is the port of
    /// `chromium.js`.
    pub(super) fn start(self, server: Server, method: Method, origin: &str, lines: Option<usize>, browser: u16) -> Tool {
        let (path, lines) = (server.path(), lines.map(|lines| lines.to_string()));
        let url = format!("{origin}{path}");
        let body = if method == Method::Post { server.body() } else { "" };
        let on_page = |client| {
            let mut query = vec![format!("origin={origin}"), format!("client={client}"), format!("method={}", method.name())];
            query.extend([format!("url={path}"), format!("body={body}")]);
            query.extend(lines.as_ref().map(|lines| format!("count={lines}")));
            let fields: Vec<&str> = query.iter().flat_map(|field| ["--data-urlencode", field]).collect();
            curl(&[&["--get", &format!("http://127.0.0.1:{browser}/open")], &fields[..]].concat())
        };
        match self {
            Self::Curl if method == Method::Post => curl(&["-d", body, "-H", "Content-Type: application/json", &url]),
            Self::Curl => curl(&[&url]),
            Self::HttpxSse => python("client_httpx_sse.py", &[&[method.name(), &url, body], lines.as_deref().as_slice()].concat()),
            Self::EventSource => node("client.js", &[&[&*url], lines.as_deref().as_slice()].concat()),
            Self::ChromiumEventSource => on_page("event-source"),
            Self::ChromiumFetch => on_page("fetch"),
            Self::FetchEventSource => on_page("fetch-event-source"),
            Self::OpenAiPython => python("client_openai.py", &[origin]),
            Self::AnthropicPython => python("client_anthropic.py", &[origin]),
            Self::Ai => node("client-ai.js", &["text", origin]),
            Self::AiChat => node("client-ai.js", &["chat", origin]),
            Self::Mcp => python("client_mcp.py", &[if server == Server::McpSse { "sse" } else { "http" }, origin]),
            Self::McpModern => python("client_mcp.py", &["modern", origin]),
        }
    }

    /// Whether it comes back when a stream has ended.
    pub(super) fn comes_back(self) -> bool {
        matches!(self, Self::EventSource | Self::ChromiumEventSource)
    }

    /// Whether an event without an id has the id of the one before for it, as the standard wants; the others tell each event's own.
    pub(super) fn keeps_ids(self) -> bool {
        matches!(self, Self::HttpxSse | Self::ChromiumEventSource)
    }

    /// What it is called, and its version.
    pub(super) fn name(self) -> (&'static str, String) {
        match self {
            Self::Curl => ("curl", versions::DEBIAN.to_owned()),
            Self::HttpxSse => ("httpx-sse", versions::python("httpx-sse")),
            Self::EventSource => ("`eventsource` on Node", versions::npm("eventsource")),
            Self::ChromiumEventSource => ("Chromium's `EventSource`", versions::DEBIAN.to_owned()),
            Self::ChromiumFetch => ("Chromium's `fetch`, `eventsource-parser`", versions::npm("eventsource-parser")),
            Self::FetchEventSource => {
                ("`@microsoft/fetch-event-source` in Chromium", versions::npm("@microsoft/fetch-event-source"))
            }
            Self::OpenAiPython => ("openai-python", versions::python("openai")),
            Self::AnthropicPython => ("anthropic-python", versions::python("anthropic")),
            Self::Ai => ("Vercel `ai`, `streamText`", versions::npm("ai")),
            Self::AiChat => ("Vercel `ai`, `DefaultChatTransport`", versions::npm("ai")),
            Self::Mcp => ("MCP Python SDK, protocol 2025-11-25", versions::python("mcp")),
            Self::McpModern => ("MCP Python SDK, protocol 2026-07-28", versions::python("mcp")),
        }
    }
}
