//! What a client of the matrix must print when it sees exactly the events of its server.

use serde_json::{Value, json};

use super::client::{Client, Method};
use super::server::Server;

/// The tokens of the two language models.
const TOKENS: [&str; 3] = ["Event streams ", "survive: ", "Grüße, 世界 🎉\n\nand no more."];

/// After how many events of the demo, which has no end, a client leaves.
const DEMO_EVENTS: usize = 5;

/// After how many lines `client` has to be told to leave `server`.
pub(super) fn most(client: Client, server: Server) -> Option<usize> {
    (server == Server::Demo).then_some(DEMO_EVENTS + usize::from(client.comes_back()))
}

/// The lines of `client` on `server`, which printed those that were `seen`.
pub(super) fn lines(client: Client, server: Server, method: Method, seen: &[Value]) -> Vec<Value> {
    match client {
        Client::OpenAiPython => openai_python(),
        Client::AnthropicPython => anthropic_python(),
        Client::Ai | Client::AiChat => ai(),
        Client::Mcp | Client::McpModern => mcp(client, server),
        _ => match server {
            Server::Demo => demo(client, seen),
            Server::OpenAi => ended(openai()),
            Server::Anthropic => ended(anthropic()),
            _ if client.comes_back() => story_and_back(client),
            _ => ended(story(if method == Method::Post { "posted" } else { "first" }, client)),
        },
    }
}

/// How many times the server is silent for long before it says something, in all that a client asks for.
pub(super) fn pauses(client: Client, server: Server) -> usize {
    match server {
        Server::Express | Server::FastApi if client.comes_back() => 8,
        Server::Express | Server::FastApi => 6,
        // Before each event but the first, which comes at once, and the second, which comes at any time after it.
        Server::Demo => DEMO_EVENTS - 2,
        Server::OpenAi | Server::Chat => openai().len(),
        Server::Anthropic => anthropic().len(),
        Server::McpSse | Server::McpHttp | Server::McpJson => 5,
    }
}

/// How many requests it takes.
pub(super) fn requests(client: Client, server: Server) -> usize {
    match (client, server) {
        // The stream; initialize, initialized, tools/list, tools/call.
        (_, Server::McpSse) => 5,
        // server/discover, subscriptions/listen, tools/list, tools/call.
        (Client::McpModern, _) => 4,
        // The same as with HTTP+SSE, and the end of the session.
        (Client::Mcp, _) => 6,
        (_, Server::Express | Server::FastApi) if client.comes_back() => 2,
        _ => 1,
    }
}

/// A line of a client without what differs between two texts of the same JSON, and without the demo's stamps.
pub(super) fn plain(server: Server, mut line: Value) -> Value {
    if let Some(data) = line["data"].as_str() {
        let plain = match server {
            // `ts=NANOSECONDS tick 1 of 10`
            Server::Demo => data.split_once(' ').map(|(_, text)| json!(text)),
            Server::OpenAi | Server::Anthropic => serde_json::from_str(data).ok(),
            _ => None,
        };
        if let Some(plain) = plain {
            line["data"] = plain;
        }
    }
    line
}

fn event(kind: &str, id: &str, data: &str) -> Value {
    json!({ "type": kind, "id": id, "data": data })
}

fn ended(mut lines: Vec<Value>) -> Vec<Value> {
    lines.push(json!({ "end": true }));
    lines
}

fn story(title: &str, client: Client) -> Vec<Value> {
    vec![
        event("message", "1", title),
        event("note", "2", "line one\nline two\n\nline four"),
        event("note", "3", "Grüße, 世界 🎉"),
        event("message", if client.keeps_ids() { "3" } else { "" }, "no id of its own"),
        event("note", "4", ""),
    ]
}

fn story_and_back(client: Client) -> Vec<Value> {
    let open = vec![json!({ "open": true })];
    // A clean end: the client is connecting again (state 0), not closed for good.
    let end = vec![json!({ "error": null, "state": 0 })];
    let back = vec![event("note", "5", "after 4"), event("message", "6", "done")];
    ended([open.clone(), story("first", client), end, open, back].concat())
}

/// The demo's events from the one that `seen` begins with: a new client gets the newest first, whichever that is.
fn demo(client: Client, seen: &[Value]) -> Vec<Value> {
    let open = client.comes_back().then(|| json!({ "open": true }));
    let first = seen.iter().find_map(|line| line["id"].as_str()?.parse().ok()).unwrap_or(1);
    let silence = "no events for 20 seconds now: only the proxy's heartbeats keep this connection alive";
    let events = (first..first + DEMO_EVENTS).map(|id| match id % 11 {
        0 => event("pause", &id.to_string(), silence),
        tick => event("tick", &id.to_string(), &format!("tick {tick} of 10")),
    });
    open.into_iter().chain(events).collect()
}

fn openai() -> Vec<Value> {
    let chunk = |choices: Value, usage: Option<Value>| {
        let mut chunk =
            json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": "slow-1" });
        chunk["choices"] = choices;
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        data("message", &chunk)
    };
    let choice = |delta: Value, reason: Option<&str>| json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": TOKENS.len(), "total_tokens": 3 + TOKENS.len() });
    let mut events = vec![chunk(choice(json!({ "role": "assistant", "content": "" }), None), None)];
    events.extend(TOKENS.map(|token| chunk(choice(json!({ "content": token }), None), None)));
    events.push(chunk(choice(json!({}), Some("stop")), None));
    events.push(chunk(json!([]), Some(usage)));
    events.push(event("message", "", "[DONE]"));
    events
}

fn anthropic() -> Vec<Value> {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "slow-1", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 1 },
    });
    let delta = |token| {
        data(
            "content_block_delta",
            &json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": token } }),
        )
    };
    let end = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let mut events = vec![
        data("message_start", &json!({ "type": "message_start", "message": message })),
        data(
            "content_block_start",
            &json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        ),
        data("ping", &json!({ "type": "ping" })),
    ];
    events.extend(TOKENS.map(delta));
    events.push(data("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 })));
    events
        .push(data("message_delta", &json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": TOKENS.len() } })));
    events.push(data("message_stop", &json!({ "type": "message_stop" })));
    events
}

/// An event whose data is JSON: compared as what it says, not as text.
fn data(kind: &str, data: &Value) -> Value {
    json!({ "type": kind, "id": "", "data": data })
}

fn openai_python() -> Vec<Value> {
    let mut lines = vec![json!({ "delta": "" })];
    lines.extend(TOKENS.map(|token| json!({ "delta": token })));
    lines.extend([json!({ "finish": "stop" }), json!({ "usage": 3 + TOKENS.len() }), json!({ "text": TOKENS.concat() })]);
    lines
}

fn anthropic_python() -> Vec<Value> {
    let name = |name| json!({ "event": name });
    let mut lines = vec![name("message_start"), name("content_block_start")];
    lines.extend(TOKENS.map(|token| json!({ "event": "content_block_delta", "text": token })));
    lines.extend(["content_block_stop", "message_delta", "message_stop"].map(name));
    lines.push(json!({ "text": TOKENS.concat(), "stop": "end_turn" }));
    lines
}

fn ai() -> Vec<Value> {
    let part = |part| json!({ "part": part });
    let mut lines = vec![part("start"), part("start-step"), part("text-start")];
    lines.extend(TOKENS.map(|token| json!({ "part": "text-delta", "text": token })));
    lines.extend(["text-end", "finish-step", "finish"].map(part));
    lines.push(json!({ "text": TOKENS.concat() }));
    lines
}

fn mcp(client: Client, server: Server) -> Vec<Value> {
    const STEPS: [&str; 3] = ["reading", "sorting", "schön geschrieben"];
    let modern = client == Client::McpModern;
    let mut lines = vec![json!({ "protocol": if modern { "2026-07-28" } else { "2025-11-25" } }), json!({ "tools": ["report"] })];
    // An answer in JSON has no room for progress.
    if server != Server::McpJson {
        lines.extend((1..).zip(STEPS).map(|(n, step)| json!({ "progress": f64::from(n), "of": 3.0, "text": step })));
    }
    lines.extend(modern.then(|| json!({ "changed": "ToolsListChanged" })));
    lines.push(json!({ "changed": "notifications/tools/list_changed" }));
    lines.push(json!({ "result": format!("Grüße, 世界:\n\n{}", STEPS.join("\n")), "failed": false }));
    lines
}
