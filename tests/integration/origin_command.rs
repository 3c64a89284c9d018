//! `ssedge origin` from outside: each scenario over HTTP/1.1 and over HTTP/2, what it refuses, and `ssedge load` on top of it.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::{Client, End, Http2Client, Http2Stream, StreamEnd, edge::Process, eventually, within};

/// The real binary.
struct Measured {
    process: Process,
    address: SocketAddr,
}

impl Measured {
    async fn start(threads: u32) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
        command.args(["origin", "--listen", "127.0.0.1:0", "--threads", &threads.to_string()]);
        let process = Process::spawn(command);
        let address = eventually("the start line", || {
            let (_, rest) = process.stdout().split_once("listening on http://").map(|(a, b)| (a.to_owned(), b.to_owned()))?;
            rest.split_once('\n').map(|(address, _)| address.parse().expect("an address"))
        })
        .await;
        Self { process, address }
    }

    async fn get(&self, version: Version, target: &str) -> Answer {
        self.ask(version, &format!("GET {target} HTTP/1.1\r\nHost: origin\r\n\r\n")).await
    }

    async fn ask(&self, version: Version, request: &str) -> Answer {
        match version {
            Version::Http1 => {
                let (client, head) = Client::open(self.address, request).await;
                let content_type = head.get("content-type").unwrap_or_default().to_owned();
                Answer { status: head.status(), content_type, carrier: Carrier::Http1(client) }
            }
            Version::Http2 => {
                let (client, stream, head) = Http2Client::open(self.address, request).await;
                let content_type = head.get("content-type").unwrap_or_default().to_owned();
                Answer { status: head.status, content_type, carrier: Carrier::Http2(client, stream) }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

struct Answer {
    status: u16,
    content_type: String,
    carrier: Carrier,
}

enum Carrier {
    Http1(Client),
    /// The connection ends with its handle.
    Http2(#[expect(dead_code, reason = "kept alive")] Http2Client, Http2Stream),
}

impl Answer {
    fn is_stream(&self) -> bool {
        (self.status, self.content_type.as_str()) == (200, "text/event-stream")
    }

    /// The next `length` bytes.
    async fn takes(&mut self, length: usize) -> String {
        match &mut self.carrier {
            Carrier::Http1(client) => client.takes(length).await,
            Carrier::Http2(_, stream) => String::from_utf8(stream.takes(length).await).expect("text"),
        }
    }

    /// All that comes, up to a proper end.
    async fn whole(&mut self) -> String {
        let body = match &mut self.carrier {
            Carrier::Http1(client) => {
                let (body, end) = client.rest_of_body().await;
                assert_eq!(end, End::Clean);
                body
            }
            Carrier::Http2(_, stream) => {
                let (body, end) = stream.rest_of_body().await;
                assert_eq!(end, StreamEnd::Clean);
                body
            }
        };
        String::from_utf8(body).expect("text")
    }
}

/// Ids and stamps of whole events of `size` bytes each.
fn events(text: &str, size: usize) -> Vec<(u64, u64)> {
    assert_eq!(text.len() % size, 0, "{text:?}");
    let bytes = text.as_bytes().chunks(size);
    let blocks = bytes.map(|block| std::str::from_utf8(block).expect("text"));
    blocks
        .map(|block| {
            let rest = block.strip_prefix("id: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("a whole event");
            let (id, data) = rest.split_once("\ndata: ts=").expect("a stamp");
            let stamp = data.split(' ').next().expect("a word");
            (id.parse().expect("a number"), stamp.parse().expect("a number"))
        })
        .collect()
}

fn ids(events: &[(u64, u64)]) -> Vec<u64> {
    events.iter().map(|(id, _)| *id).collect()
}

#[tokio::test]
async fn idle_is_one_event_and_then_nothing() {
    let origin = Measured::start(1).await;
    for version in BOTH {
        let mut idle = origin.get(version, "/idle").await;
        assert!(idle.is_stream(), "{version:?}");
        assert_eq!(ids(&events(&idle.takes(128).await, 128)), [1]);
        let mut steady = origin.get(version, "/steady?rate=200").await;
        tokio::select! {
            biased;
            more = idle.takes(1) => panic!("{version:?}: {more:?}"),
            _ = steady.takes(20 * 128) => {}
        }
    }
}

#[tokio::test]
async fn steady_events_come_in_equal_steps_and_go_on_behind_the_last_event_id() {
    let origin = Measured::start(2).await;
    for version in BOTH {
        let request = "GET /steady?rate=200&size=100 HTTP/1.1\r\nHost: origin\r\nLast-Event-ID: 41\r\n\r\n";
        let mut steady = origin.ask(version, request).await;
        assert!(steady.is_stream(), "{version:?}");
        let events = events(&steady.takes(20 * 100).await, 100);
        assert_eq!(ids(&events), (42..62).collect::<Vec<_>>());
        let mut off: Vec<u64> = events.windows(2).map(|pair| pair[1].1.abs_diff(pair[0].1 + 5_000_000)).collect();
        off.sort_unstable();
        assert!(off[10] < 1_000_000, "{version:?}: off by {off:?} ns");
    }
}

#[tokio::test]
async fn a_broadcast_is_due_at_the_same_moment_for_all() {
    let origin = Measured::start(2).await;
    let mut streams = Vec::new();
    for version in [Version::Http1, Version::Http2, Version::Http1, Version::Http2] {
        streams.push(origin.get(version, "/broadcast?rate=100").await);
    }
    let mut places = Vec::new();
    for stream in &mut streams {
        assert!(stream.is_stream());
        let events = events(&stream.takes(10 * 128).await, 128);
        assert_eq!(ids(&events), (1..11).collect::<Vec<_>>());
        let mut offsets: Vec<u64> = events.iter().map(|(_, stamp)| stamp % 10_000_000).collect();
        offsets.sort_unstable();
        places.push(offsets[5]);
    }
    // The same place within the period, up to the time between two readings of the clock.
    let apart = places.iter().map(|place| place.abs_diff(places[0]));
    assert!(apart.map(|apart| apart.min(10_000_000 - apart)).all(|apart| apart < 1_000_000), "{places:?}");
}

#[tokio::test]
async fn a_burst_brings_every_event_once() {
    let origin = Measured::start(1).await;
    for version in BOTH {
        let mut burst = origin.get(version, "/burst?events=20000&size=300").await;
        assert!(burst.is_stream(), "{version:?}");
        let events = events(&burst.takes(20_000 * 300).await, 300);
        assert!(ids(&events).into_iter().eq(1..=20_000), "{version:?}");
    }
}

#[tokio::test]
async fn tokens_come_and_end_and_leave_the_connection_usable() {
    let origin = Measured::start(1).await;
    for version in BOTH {
        let mut answer =
            origin.ask(version, "POST /llm?tokens=5&rate=1000 HTTP/1.1\r\nHost: origin\r\nContent-Length: 2\r\n\r\n{}").await;
        assert!(answer.is_stream(), "{version:?}");
        let body = answer.whole().await;
        assert_eq!(body.matches("\"chat.completion.chunk\"").count(), 5, "{body:?}");
        assert!(body.starts_with("id: 1\ndata: ts=") && body.ends_with("\n\nid: 6\ndata: [DONE]\n\n"), "{body:?}");
        if let Carrier::Http1(client) = &mut answer.carrier {
            client.send("GET /llm?tokens=1&rate=1000 HTTP/1.1\r\nHost: origin\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 200);
            assert!(client.rest_of_body().await.0.ends_with(b"\n\nid: 2\ndata: [DONE]\n\n"));
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_chunked_or_waits_for_a_word_is_answered() {
    let origin = Measured::start(1).await;
    let chunked = "POST /llm?tokens=1 HTTP/1.1\r\nHost: origin\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    let (mut client, head) = Client::open(origin.address, chunked).await;
    assert_eq!((head.status(), head.get("connection")), (200, Some("close")));
    assert_eq!(client.rest_of_body().await.1, End::Clean);

    let waits = "POST /llm?tokens=1 HTTP/1.1\r\nHost: origin\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut client = Client::send_to(origin.address, waits).await;
    assert_eq!(client.any_head().await.status(), 100);
    client.send("{}").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.rest_of_body().await.1, End::Clean);
}

#[tokio::test]
async fn json_is_answered_as_often_as_it_is_asked_for() {
    let origin = Measured::start(1).await;
    for version in BOTH {
        let mut answer = origin.get(version, "/json?size=200").await;
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
        let body = answer.whole().await;
        assert_eq!(body.len(), 200);
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON");
    }
    let request = "GET /json HTTP/1.1\r\nHost: origin\r\n\r\n";
    let mut client = Client::send_to(origin.address, request.repeat(2000)).await;
    for _ in 0..2000 {
        assert_eq!(client.head().await.status(), 200);
        assert_eq!(client.rest_of_body().await.0.len(), 128);
    }
    client.send("HEAD /json?size=4000 HTTP/1.1\r\nHost: origin\r\n\r\n").await;
    assert_eq!(client.head_to_head().await.get("content-length"), Some("4000"));
    client.send(request).await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn the_list_and_the_refusals_say_what_can_be_asked() {
    let origin = Measured::start(1).await;
    for version in BOTH {
        for (target, status, words) in [
            ("/", 200, "/burst?events=2000&size=256&write=16384"),
            ("/steady?size=1", 400, "write a whole number from 64 to 1048576"),
            ("/steady?rat=1", 400, "/steady takes `rate` and `size` alone"),
            ("/stedy", 404, "What is: /"),
        ] {
            let mut answer = origin.get(version, target).await;
            assert_eq!(answer.status, status, "{target}");
            let body = answer.whole().await;
            assert!(body.contains(words), "{target}: {body:?}");
        }
        let answer = origin.ask(version, "POST /idle HTTP/1.1\r\nHost: origin\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(answer.status, 405);
    }
    let (_, head) = Client::open(origin.address, "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(head.status(), 400);
}

#[tokio::test]
async fn load_finds_every_event_of_it_whole() {
    let origin = Measured::start(2).await;
    let url = format!("http://{}/steady?rate=50", origin.address);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
    command.args(["load", &url, "--connections", "200", "--hold", "500ms"]);
    let mut load = Process::spawn(command);
    let status = load.exit().await;
    eventually("its report", || load.has_said_all().then_some(())).await;
    assert!(status.success() && load.stdout().contains("200"), "{}", load.stdout());
}

#[tokio::test]
async fn a_signal_ends_it_and_a_taken_port_is_refused() {
    let mut origin = Measured::start(1).await;
    let address = origin.address.to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssedge"));
    let second =
        within("the second to give up", async { command.args(["origin", "--listen", &address]).output().expect("it starts") })
            .await;
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains(&address), "{second:?}");
    let _stream = origin.get(Version::Http1, "/idle").await;
    origin.process.signal("TERM");
    assert_eq!(origin.process.exit().await.code(), Some(0));
}
