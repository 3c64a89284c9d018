//! Every client on every server that it can talk to, through ssedge with a heartbeat every 200 ms: each must see exactly its events.
//! The README's table is made of what was run; `BLESS=1` writes it there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::{Client, Method};
use super::expected;
use super::raw::Raw;
use super::server::{Running, SERVERS, Server};
use super::tool::{Tool, browser, node, url};
use crate::support::Edge;

/// How long servers are silent before each thing that they say: three heartbeats long, and a rest for a busy machine.
pub(super) const PAUSE: Duration = Duration::from_millis(800);

/// How many heartbeats have to come in each pause.
const BEATS: usize = 2;

/// How many pairs run at once: most of their time passes in pauses, but each takes a CPU to start.
const AT_ONCE: usize = 10;

/// The route of the server, after that of the page.
const ROUTE: &str = "route=\"1\"";

/// One client on one server, asking in one way.
#[derive(Debug, Clone, Copy)]
struct Pair {
    client: Client,
    server: Server,
    method: Method,
}

/// What pairs share.
#[derive(Debug, Clone, Copy)]
struct Helpers {
    /// Serves the page for the clients that live in browsers, whichever server they talk to.
    page: u16,
    /// Runs them.
    browser: u16,
}

#[tokio::test]
#[ignore = "needs node, npm, Python, curl and Chromium: run by .ci/run"]
async fn every_client_sees_exactly_the_events_of_every_server_it_can_talk_to() {
    let (mut page, mut browser) = (node("story.js", &["0"]), browser());
    let helpers = Helpers { page: page.port().await, browser: browser.port().await };

    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let (mut running, mut names) = (JoinSet::new(), HashMap::new());
    for server in SERVERS {
        let shared = Arc::new(server.start().await);
        for pair in pairs(server) {
            let (turns, shared) = (Arc::clone(&turns), Arc::clone(&shared));
            let task = running.spawn(async move {
                let _turn = turns.acquire_owned().await.expect("it is never closed");
                pair.run(&shared, helpers).await;
            });
            names.insert(task.id(), pair);
        }
    }
    let (mut ran, mut failed) = (vec![], vec![]);
    while let Some(ended) = running.join_next_with_id().await {
        match ended {
            Ok((id, ())) => ran.push(names[&id]),
            Err(error) => failed.push(names[&error.id()]),
        }
    }
    assert!(failed.is_empty(), "these failed, each said above why: {failed:#?}");
    compare(&table(&ran));
}

/// In front of the server on `port`; with a page, that too.
pub(super) async fn edge(port: u16, page: Option<u16>) -> Edge {
    // Without one, nobody asks for it.
    let page = page.unwrap_or(port);
    Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"127.0.0.1:{port}\" ] }}, page: {{ servers: [ \"127.0.0.1:{page}\" ] }} }}\n\
         routes:\n  \
         - {{ match: {{ path_prefix: /page }}, upstream: page }}\n  \
         - {{ upstream: app, heartbeat: {{ interval: 200ms }} }}\n"
    ))
    .await
}

fn pairs(server: Server) -> Vec<Pair> {
    let of = |(client, methods): (Client, &'static [Method])| methods.iter().map(move |&method| Pair { client, server, method });
    server.clients().into_iter().flat_map(of).collect()
}

impl Pair {
    async fn run(self, upstream: &Running, helpers: Helpers) {
        let Self { client, server, method } = self;
        let edge = edge(upstream.port, Some(helpers.page)).await;
        let most = expected::most(client, server);
        let mut tool = client.start(server, method, &url(&edge, ""), most, helpers.browser);
        let seen = self.seen(&mut tool, most).await;
        let wanted = expected::lines(client, server, method, &seen);
        let log = tool.process.log();
        assert!(seen == wanted, "{self:?} saw\n{}instead of\n{}its log:\n{log}", shown(&seen), shown(&wanted));
        if client == Client::Curl {
            self.check_bytes(&tool.process.stdout(), upstream.port, helpers).await;
        }
        drop(tool);

        edge.metric_becomes("ssedge_streams_open", ROUTE, 0.0).await;
        let ended = async |reason| edge.metric("ssedge_streams_ended_total", &format!("reason=\"{reason}\",{ROUTE}")).await;
        let well = ended("upstream_end").await + ended("client_gone").await;
        assert_eq!(well, edge.metric("ssedge_streams_ended_total", ROUTE).await, "{self:?}: a stream ended badly");
        let all = edge.metric("ssedge_requests_total", ROUTE).await;
        assert_eq!(all, count(expected::requests(client, server)), "{self:?} made more requests than it should, or fewer");
        let good = edge.metric("ssedge_requests_total", &format!("class=\"2xx\",{ROUTE}")).await;
        assert_eq!(good, all, "{self:?}: a request failed");
        let wanted = count(expected::pauses(client, server) * BEATS);
        for edge in [Some(&edge), upstream.behind.as_ref()].into_iter().flatten() {
            let beats = edge.metric("ssedge_heartbeats_total", ROUTE).await;
            assert!(beats >= wanted, "{self:?}: {beats} heartbeats, fewer than the {wanted} without which this shows nothing");
        }
    }

    /// What the client printed, up to its end or up to where it has to leave.
    async fn seen(self, tool: &mut Tool, most: Option<usize>) -> Vec<Value> {
        let mut seen = vec![];
        if self.client == Client::Curl {
            // It has no form of its own: the bytes are read as a stream, and the end is its good exit.
            loop {
                let line = tool.next().await;
                seen = Raw::of(&tool.process.stdout()).events;
                match (line, most) {
                    (None, _) => break,
                    (Some(_), Some(most)) if seen.len() >= most => break,
                    (Some(_), _) => {}
                }
            }
            if most.is_none() {
                assert!(tool.process.exit().await.success(), "{self:?}: {}", tool.process.log());
                seen.push(serde_json::json!({ "end": true }));
            }
            seen.truncate(most.unwrap_or(usize::MAX));
        } else {
            while let Some(line) = tool.next().await {
                seen.push(serde_json::from_str(&line).unwrap_or_else(|_| panic!("{self:?}: not a line of JSON: {line}")));
            }
            assert!(tool.process.exit().await.success(), "{self:?}: {}\nafter\n{}", tool.process.log(), shown(&seen));
        }
        seen.into_iter().map(|line| expected::plain(self.server, line)).collect()
    }

    /// Heartbeats came in each pause, and without them the bytes are those that the server sends to whoever asks it directly.
    async fn check_bytes(self, got: &str, port: u16, helpers: Helpers) {
        let Self { server, method, .. } = self;
        let got = Raw::of(got);
        let complete = &got.heartbeats[..got.events.len()];
        let paused = &complete[complete.len() - expected::pauses(self.client, server).min(complete.len())..];
        assert!(paused.iter().all(|&beats| beats >= BEATS), "{self:?}: heartbeats before each event: {:?}", got.heartbeats);
        if server != Server::Demo {
            let origin = format!("http://127.0.0.1:{port}");
            let mut direct = self.client.start(server, method, &origin, None, helpers.browser);
            while direct.next().await.is_some() {}
            assert_eq!(got.rest, direct.process.stdout(), "{self:?}: more than heartbeats differs from what the server sends");
        }
    }
}

/// Lines for a failure message.
fn shown(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map(f64::from).expect("it is small")
}

/// A row for each client and server that ran, with the versions that are pinned for it and the ways in which it asked.
fn table(ran: &[Pair]) -> String {
    let mut table = "| client | version | server | version | checked | |\n|---|---|---|---|---|---|\n".to_owned();
    for server in SERVERS {
        for (client, all) in server.clients() {
            let did = |method: &Method| ran.iter().any(|pair| (pair.client, pair.server, pair.method) == (client, server, *method));
            let methods: Vec<&str> = all.iter().filter(|method| did(method)).map(|method| method.name()).collect();
            let ((client_name, client_version), (server_name, server_version)) = (client.name(), server.name());
            let checked = [&methods.join(", "), server.checked(client)].join(": ");
            writeln!(table, "| {client_name} | {client_version} | {server_name} | {server_version} | {checked} | ok |")
                .expect("a string takes everything");
        }
    }
    table
}

const BEGIN: &str = "<!-- real clients: made by the tests, BLESS=1 rewrites it -->\n";
const END: &str = "<!-- real clients: end -->\n";

/// Holds the README's table to the one of this run.
fn compare(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("the README is readable");
    let (before, rest) = readme.split_once(BEGIN).unwrap_or_else(|| panic!("README.md has no line {BEGIN:?}"));
    let (there, after) = rest.split_once(END).unwrap_or_else(|| panic!("README.md has no line {END:?}"));
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, [before, BEGIN, table, END, after].concat()).expect("the README is writable");
        return;
    }
    let lines = |text: &str, other: &str, sign: char| -> String {
        text.lines().filter(|line| !other.lines().any(|other| other == *line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    assert!(
        there == table,
        "README.md's table of clients and servers is not what was run; BLESS=1 rewrites it:\n{}{}",
        lines(there, table, '-'),
        lines(table, there, '+')
    );
}
