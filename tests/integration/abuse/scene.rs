//! What each test of abuse begins and ends with: an edge with a plain and a TLS listener, event streams on both that go on all the time,
//! and what must hold behind it all.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::duplex::EVENTS;
use crate::support::{Edge, ManualOrigin, Raw, Version, Viewer, chunk, tls};

/// Events that are sent together.
const BURST: u64 = 20;
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(10);
/// What the process may need more than before for things that no client controls: metrics, logs, what its allocator keeps for later.
const ALWAYS: u64 = 8 << 20;

/// What a test wants of the configuration.
#[derive(Default)]
pub(crate) struct SceneBuilder {
    timeouts: Vec<String>,
}

impl SceneBuilder {
    /// `timeouts.KEY`.
    pub(crate) fn timeout(mut self, key: &str, value: &str) -> Self {
        self.timeouts.push(format!("{key}: {value}"));
        self
    }

    /// An edge before `app`, with the streams that must not suffer.
    pub(crate) async fn start(self, app: SocketAddr) -> Scene {
        raise_descriptors();
        let origin = ManualOrigin::start().await;
        let edge = Edge::of_whole(&format!(
            "listeners: [ {{ address: \"127.0.0.1:0\" }}, {{ address: \"127.0.0.1:0\", tls: {{ {} }} }} ]\n\
             admin: {{ address: \"127.0.0.1:0\" }}\nthreads: 2\ntimeouts: {{ {} }}\n\
             upstreams: {{ app: {{ servers: [ \"{app}\" ] }}, beside: {{ servers: [ \"{}\" ] }} }}\n\
             routes: [ {{ match: {{ path: /beside }}, upstream: beside }}, {{ upstream: app, heartbeat: off }} ]\n",
            tls::listener(),
            self.timeouts.join(", "),
            origin.address(),
        ))
        .await;
        let (plain, tls) = (edge.real[0], edge.real[1]);
        let by_tls = tls::for_clients(tls);
        let over = watch::Sender::new(false);
        let mut beside = Vec::new();
        for address in [plain, by_tls] {
            for version in [Version::Http1, Version::Http2] {
                let request = "GET /beside HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";
                let answer = async {
                    let (server, _) = origin.request().await;
                    server.send(EVENTS).await;
                    server
                };
                let (viewer, server) = tokio::join!(Viewer::open(version, address, request), answer);
                beside.push(tokio::spawn(goes_on(server, viewer, over.subscribe())));
            }
        }
        let before = edge.resident();
        Scene { edge, plain, tls, by_tls, before, over, beside }
    }
}

/// A stream that must not suffer: burst after burst, each of which arrives whole, in order and within the suite's deadline.
async fn goes_on(server: Raw, mut viewer: Viewer, mut over: watch::Receiver<bool>) -> u64 {
    let mut sent = 0;
    loop {
        let events: Vec<String> = (sent..sent + BURST).map(|number| format!("data: {number}\n\n")).collect();
        sent += BURST;
        server.send(events.iter().flat_map(chunk).collect::<Vec<u8>>()).await;
        viewer.expects(events.concat()).await;
        if let Ok(Ok(_)) = tokio::time::timeout(PAUSE, over.wait_for(|over| *over)).await {
            break;
        }
    }
    server.send("0\r\n\r\n").await;
    viewer.ends_with("").await;
    sent
}

/// An edge under abuse, and those beside it.
pub(crate) struct Scene {
    pub(crate) edge: Edge,
    /// Its plain listener.
    pub(crate) plain: SocketAddr,
    /// Its TLS listener.
    pub(crate) tls: SocketAddr,
    /// The same for instruments that speak without TLS.
    pub(crate) by_tls: SocketAddr,
    before: u64,
    over: watch::Sender<bool>,
    beside: Vec<JoinHandle<u64>>,
}

impl Scene {
    /// The defaults, to change.
    pub(crate) fn with() -> SceneBuilder {
        SceneBuilder::default()
    }

    /// Where clients without TLS reach it: in cleartext, and with TLS put in between.
    pub(crate) fn ways(&self) -> [SocketAddr; 2] {
        [self.plain, self.by_tls]
    }

    /// Resident memory beyond that before the abuse, in bytes.
    pub(crate) fn grown(&self) -> u64 {
        self.edge.resident().saturating_sub(self.before)
    }

    /// How many connections of clients are open, but those of the streams beside.
    pub(crate) async fn connections(&self) -> f64 {
        self.edge.metric("ssedge_connections_open", "").await - self.beside.len() as f64
    }

    /// Waits until so many connections of clients are open, but those of the streams beside.
    pub(crate) async fn connections_become(&self, count: usize) {
        self.edge.metric_becomes("ssedge_connections_open", "", (count + self.beside.len()) as f64).await;
    }

    /// Lines of the access log that hold all of `words`, once there are `count` of them.
    pub(crate) async fn logged(&self, count: usize, words: &[&str]) {
        let matching = || {
            let log = self.edge.process().stdout();
            log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
        };
        crate::support::eventually(&format!("{count} lines with {words:?}"), || (matching() >= count).then_some(())).await;
        assert_eq!(matching(), count, "lines with {words:?}");
    }

    /// The abuse is over. `most` is what it may have cost in memory at any time.
    pub(crate) async fn survived(mut self, most: u64) -> Edge {
        self.over.send_replace(true);
        for stream in self.beside.drain(..) {
            let events = stream.await.expect("a stream beside the abuse suffered");
            assert!(events > BURST, "the streams beside the abuse did not go on");
        }
        let grown = self.edge.most_resident().saturating_sub(self.before);
        eprintln!("memory grew by {} KiB, allowed are {} KiB", grown >> 10, (most + ALWAYS) >> 10);
        assert!(grown < most + ALWAYS, "{grown} bytes more of memory than before the abuse, at the worst");
        let log = self.edge.process().log();
        assert!(!log.contains("panicked"), "a panic");
        // What clients do is told in the access log and counted: they must not fill the process log. An HTTP/2 connection that is ended for
        // abuse has one line there, and that is all.
        let told = ["upstream", "an HTTP/2 connection was ended for what its client sent"];
        let lines = log.lines().filter(|line| !told.iter().any(|words| line.contains(words))).count();
        assert!(lines < 10, "{lines} lines of log for the doings of clients");
        self.edge
    }
}

/// As many descriptors as this process may have: a thousand clients need as many.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .expect("a soft limit up to the hard one");
    assert!(
        limit.maximum.is_none_or(|most| most >= 8192),
        "these tests need 8192 descriptors: raise the hard limit (`ulimit -Hn`)"
    );
}
