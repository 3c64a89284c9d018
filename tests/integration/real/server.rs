//! The servers that stand behind ssedge in the matrix.

use super::client::{Client, Method};
use super::matrix::PAUSE;
use super::tool::{Tool, node, python};
use super::versions;
use crate::support::Edge;

/// A server, with what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// Express, LF.
    Express,
    /// FastAPI with sse-starlette, CRLF.
    FastApi,
    /// `ssedge demo`.
    Demo,
    /// What speaks as OpenAI's chat completions.
    OpenAi,
    /// What speaks as Anthropic's messages.
    Anthropic,
    /// Vercel's `ai` on Express, whose model is [`Server::OpenAi`] behind ssedge.
    Chat,
    /// The MCP Python SDK, HTTP+SSE transport.
    McpSse,
    /// The MCP Python SDK, streamable HTTP, answers as streams.
    McpHttp,
    /// The MCP Python SDK, streamable HTTP, answers as JSON.
    McpJson,
}

/// All of them; the demo first, since its silence of 20 s begins ten seconds after its start.
pub(super) const SERVERS: [Server; 9] = [
    Server::Demo,
    Server::Express,
    Server::FastApi,
    Server::OpenAi,
    Server::Anthropic,
    Server::Chat,
    Server::McpSse,
    Server::McpHttp,
    Server::McpJson,
];

/// A server that runs.
pub(super) struct Running {
    pub(super) port: u16,
    /// What stands between it and its own upstream, if it has one.
    pub(super) behind: Option<Edge>,
    _tools: Vec<Tool>,
}

impl Server {
    /// Starts it on a port of its own.
    pub(super) async fn start(self) -> Running {
        let pause = PAUSE.as_millis().to_string();
        let tool = match self {
            Self::Express => node("story.js", &[&pause]),
            Self::FastApi => python("serve.py", &["story", &pause]),
            Self::OpenAi => python("serve.py", &["openai", &pause]),
            Self::Anthropic => python("serve.py", &["anthropic", &pause]),
            Self::McpSse => python("serve.py", &["mcp-sse", &pause]),
            Self::McpHttp => python("serve.py", &["mcp-http", &pause]),
            Self::McpJson => python("serve.py", &["mcp-json", &pause]),
            Self::Demo => return demo().await,
            Self::Chat => return chat(&pause).await,
        };
        running(tool).await
    }

    /// Who can talk to it, and how each asks.
    pub(super) fn clients(self) -> Vec<(Client, &'static [Method])> {
        use Client::{Ai, AiChat, AnthropicPython, ChromiumEventSource, ChromiumFetch, Curl, EventSource};
        use Client::{FetchEventSource, HttpxSse, Mcp, McpModern, OpenAiPython};
        const GET: &[Method] = &[Method::Get];
        const POST: &[Method] = &[Method::Post];
        const BOTH: &[Method] = &[Method::Get, Method::Post];
        match self {
            Self::Express | Self::FastApi => vec![
                (Curl, BOTH),
                (HttpxSse, BOTH),
                (EventSource, GET),
                (ChromiumEventSource, GET),
                (ChromiumFetch, BOTH),
                (FetchEventSource, BOTH),
            ],
            Self::Demo => [Curl, HttpxSse, EventSource, ChromiumEventSource, ChromiumFetch, FetchEventSource]
                .map(|client| (client, GET))
                .to_vec(),
            Self::OpenAi => {
                [Curl, HttpxSse, ChromiumFetch, FetchEventSource, OpenAiPython, Ai].map(|client| (client, POST)).to_vec()
            }
            Self::Anthropic => {
                [Curl, HttpxSse, ChromiumFetch, FetchEventSource, AnthropicPython].map(|client| (client, POST)).to_vec()
            }
            Self::Chat => vec![(AiChat, POST)],
            // They have one way to ask; beside that a session may keep a stream open, GET, and ends with DELETE.
            Self::McpHttp => vec![(Mcp, POST), (McpModern, POST)],
            Self::McpSse | Self::McpJson => vec![(Mcp, POST)],
        }
    }

    /// What it is called, and its version.
    pub(super) fn name(self) -> (&'static str, String) {
        match self {
            Self::Express => ("Express", versions::npm("express")),
            Self::FastApi => {
                let versions = ["fastapi", "sse-starlette"].map(versions::python);
                ("FastAPI, sse-starlette (CRLF)", versions.join(", "))
            }
            Self::Demo => ("`ssedge demo`", env!("CARGO_PKG_VERSION").to_owned()),
            Self::OpenAi => ("Starlette, as OpenAI's chat completions", versions::python("starlette")),
            Self::Anthropic => ("Starlette, as Anthropic's messages", versions::python("starlette")),
            Self::Chat => ("Vercel `ai` on Express, its model behind ssedge too", versions::npm("ai")),
            Self::McpSse => ("MCP Python SDK, HTTP+SSE", versions::python("mcp")),
            Self::McpHttp => ("MCP Python SDK, streamable HTTP", versions::python("mcp")),
            Self::McpJson => ("MCP Python SDK, streamable HTTP, JSON answers", versions::python("mcp")),
        }
    }

    /// What was held against what `client` said, beside that there was nothing else.
    pub(super) fn checked(self, client: Client) -> &'static str {
        match (self, client) {
            (Self::Express | Self::FastApi, _) if client.comes_back() => {
                "all fields, comments, UTF-8, the end, back with `Last-Event-ID`"
            }
            (Self::Express | Self::FastApi, Client::Curl) => "all fields, comments, UTF-8, the end; every byte but the heartbeats",
            (Self::OpenAi | Self::Anthropic, Client::Curl) => "each event, the end; every byte but the heartbeats",
            (Self::Express | Self::FastApi, _) => "all fields, comments, UTF-8, the end",
            (Self::Demo, _) => "each event, ids in order",
            (_, Client::OpenAiPython | Client::AnthropicPython | Client::Ai | Client::AiChat) => {
                "each token, the whole text, the end"
            }
            (Self::OpenAi | Self::Anthropic | Self::Chat, _) => "each event, the end",
            (Self::McpHttp, Client::Mcp) => "a session of tools, progress, a notification on its GET, its DELETE",
            (Self::McpJson, _) => "a session of tools, a notification on its GET, its DELETE",
            (Self::McpSse, _) => "tools, progress, a notification, all on one GET",
            (Self::McpHttp, _) => "tools, progress, a notification on a stream of its own",
        }
    }

    /// Where its stream is.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Express | Self::FastApi => "/story",
            Self::Demo => "/events",
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
            Self::Chat => "/chat",
            Self::McpSse => "/sse",
            Self::McpHttp | Self::McpJson => "/mcp",
        }
    }

    /// What it wants to be posted, as JSON.
    pub(super) fn body(self) -> &'static str {
        match self {
            Self::Express | Self::FastApi => r#"{"title":"posted"}"#,
            _ => r#"{"model":"slow-1","stream":true,"messages":[{"role":"user","content":"Do event streams survive?"}]}"#,
        }
    }
}

async fn running(mut tool: Tool) -> Running {
    Running { port: tool.port().await, behind: None, _tools: vec![tool] }
}

async fn demo() -> Running {
    let mut demo = Tool::start(env!("CARGO_BIN_EXE_ssedge"), &["demo", "--listen", "127.0.0.1:0"]);
    let line = demo.find(|line| line.contains("curl -N http://")).await;
    let authority = line.split("curl -N http://").nth(1).and_then(|rest| rest.split('/').next());
    let port = authority.and_then(|authority| authority.rsplit(':').next()).and_then(|port| port.parse().ok());
    Running { port: port.expect("the line has the URL"), behind: None, _tools: vec![demo] }
}

async fn chat(pause: &str) -> Running {
    let mut model = python("serve.py", &["openai", pause]);
    let edge = super::matrix::edge(model.port().await, None).await;
    let mut chat = node("chat.js", &[&super::tool::url(&edge, "")]);
    Running { port: chat.port().await, behind: Some(edge), _tools: vec![model, chat] }
}
