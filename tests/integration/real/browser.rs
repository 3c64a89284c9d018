//! Pages in a real Chromium whose server goes away and comes back, and pages that read from another origin. What a browser makes of a
//! status, of `retry:` and of the fields of CORS is its own business: only it can say whether we are right.

use serde_json::{Value, json};

use super::tool::{Tool, browser, curl, must_have, node};
use crate::support::nowhere::Refusing;
use crate::support::{Edge, Origin, Script, tls};

const BUSY: &str = "503 Service Unavailable";

/// A browser, and what serves its page.
struct Pages {
    page: u16,
    browser: u16,
    _tools: [Tool; 2],
}

impl Pages {
    async fn start() -> Self {
        let mut tools = [node("story.js", &["0"]), browser()];
        let (page, browser) = (tools[0].port().await, tools[1].port().await);
        Self { page, browser, _tools: tools }
    }

    /// ssedge before `server`, with a route for the page beside the one for everything, which has `keys`.
    async fn edge(&self, server: impl ToString, keys: &str) -> Edge {
        Edge::of(&self.file(server, keys)).await
    }

    fn file(&self, server: impl ToString, keys: &str) -> String {
        format!(
            "upstreams: {{ app: {{ servers: [ \"{}\" ] }}, page: {{ servers: [ \"127.0.0.1:{}\" ] }} }}\n\
             routes:\n  - {{ match: {{ path_prefix: /page }}, upstream: page }}\n  - {{ upstream: app{keys} }}\n",
            server.to_string(),
            self.page
        )
    }

    /// Opens the page of `origin`, which opens `url`; what it says, a line each.
    fn open(&self, origin: &str, url: &str, fields: &[&str]) -> Tool {
        let opener = format!("http://127.0.0.1:{}/open", self.browser);
        let told = [format!("origin={origin}"), format!("url={url}")];
        let fields = told.iter().map(String::as_str).chain(fields.iter().copied());
        let fields: Vec<&str> = fields.flat_map(|field| ["--data-urlencode", field]).collect();
        curl(&[&["--max-time", "300", "--get", &opener], &fields[..]].concat())
    }
}

const EVENT_SOURCE: &str = "client=event-source";

fn origin(edge: &Edge) -> String {
    format!("http://{}", edge.address())
}

/// What the page says next, except what the EventSource says of connections: those come and go.
async fn event(page: &mut Tool) -> Value {
    loop {
        let line: Value = serde_json::from_str(&page.line().await).expect("a line of JSON");
        if line["open"] == true {
            continue;
        }
        assert_ne!(line["state"], 2, "it is closed for good");
        if line["state"] != 0 {
            return line;
        }
    }
}

/// The EventSource gave up, after nothing else.
async fn closes(page: &mut Tool) {
    let line: Value = serde_json::from_str(&page.line().await).expect("a line of JSON");
    assert_eq!(line, json!({ "error": null, "state": 2 }));
}

fn message(id: u32, data: &str) -> Value {
    json!({ "type": "message", "id": id.to_string(), "data": data })
}

/// A stream with one event, which lasts until it is cut.
fn one(id: u32, data: &str, fields: &str) -> Script {
    Script::stream_with(fields).chunk(format!("id: {id}\ndata: {data}\n\n")).gate().reset()
}

fn busy() -> Script {
    Script::new().head(BUSY, "Content-Length: 4\r\n").raw("busy")
}

async fn softened(edge: &Edge, status: u16, times: f64) {
    let label = format!("route=\"1\",status=\"{status}\"");
    crate::support::within_time(super::tool::PATIENCE, "soft answers", async {
        while edge.metric("ssedge_soft_errors_total", &label).await < times {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs node, curl and Chromium: run by .ci/run"]
async fn a_page_survives_a_server_that_is_away_killed_and_busy() {
    let pages = Pages::start().await;
    // Only the first is a place that a browser trusts without TLS, and tells `Sec-Fetch` to.
    for host in ["127.0.0.1", "app.test"] {
        let away = Refusing::new();
        let address = away.address();
        let edge = pages.edge(address, "").await;
        let mut page = pages.open(&format!("http://{host}:{}", edge.address().port()), "/events", &[EVENT_SOURCE]);
        softened(&edge, 502, 1.0).await;
        let server = Origin::start_on(away.listen(), [one(1, "it is there", "")]);
        assert_eq!(event(&mut page).await, message(1, "it is there"));
        let head = server.request_head(0).await.head;
        assert_eq!(head.get("sec-fetch-mode"), (host == "127.0.0.1").then_some("cors"), "{host}");

        // Killed in the middle of its stream.
        let before = edge.metric("ssedge_soft_errors_total", "status=\"502\"").await;
        server.open_gate();
        drop(server);
        let away = Refusing::at(address).await;
        softened(&edge, 502, before + 1.0).await;

        // Back, and too busy twice.
        let server = Origin::start_on(away.listen(), [busy(), busy(), one(2, "it is back", "")]);
        assert_eq!(event(&mut page).await, message(2, "it is back"));
        softened(&edge, 503, 2.0).await;
        assert_eq!(server.request_head(2).await.head.get("last-event-id"), Some("1"));
        assert_eq!(edge.metric("ssedge_requests_total", "class=\"5xx\"").await, 0.0);
    }
}

/// Over HTTP/1.1 a browser opens six connections to a host, and the seventh stream would wait for ever.
#[tokio::test]
#[ignore = "needs node, curl and Chromium: run by .ci/run"]
async fn more_than_six_streams_of_one_host_are_open_at_once_over_tls() {
    let pages = Pages::start().await;
    let server = Origin::start(one(1, "it is there", "")).await;
    let edge = Edge::listening(&format!("tls: {{ {} }}", tls::listener()), &pages.file(server.address(), "")).await;
    let origin = format!("https://{}", edge.real[0]);
    let mut open: Vec<_> = (0..8).map(|_| pages.open(&origin, "/events", &[EVENT_SOURCE])).collect();
    for page in &mut open {
        assert_eq!(event(page).await, message(1, "it is there"));
    }
    assert_eq!(edge.metric("ssedge_streams_open", "").await, 8.0);
    assert_eq!(server.request_head(0).await.head.get("x-forwarded-proto"), Some("https"));
    assert!(edge.metric("ssedge_tls_handshakes_total", "result=\"done\"").await < 6.0);
}

/// Without soft answers: one error, and the page is frozen. What the test above shows is no courtesy of the browser.
#[tokio::test]
#[ignore = "needs node, curl and Chromium: run by .ci/run"]
async fn without_soft_errors_one_error_freezes_the_page() {
    let pages = Pages::start().await;
    let away = Refusing::new();
    let edge = pages.edge(away.address(), ", soft_errors: false").await;
    closes(&mut pages.open(&origin(&edge), "/events", &[EVENT_SOURCE])).await;
    let server = Origin::start_on(away.listen(), [busy(), one(1, "nobody asks", "")]);
    closes(&mut pages.open(&origin(&edge), "/events", &[EVENT_SOURCE])).await;
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
#[ignore = "needs node, curl and Chromium: run by .ci/run"]
async fn a_page_of_another_origin_asks_with_credentials_and_survives_where_the_route_lets_it() {
    let pages = Pages::start().await;
    let site = pages.edge("127.0.0.1:1", "").await;
    let away = Refusing::new();
    let address = away.address();
    let cors = format!(", cors: {{ origins: [ \"{}\" ], credentials: true }}", origin(&site));
    let edge = pages.edge(address, &cors).await;
    let url = format!("{}/events", origin(&edge));
    // The cookie is set for this host: cookies do not look at ports, and origins do.
    let mut page = pages.open(&origin(&site), &url, &[EVENT_SOURCE, "cookie=who=anna"]);
    softened(&edge, 502, 1.0).await;
    // What the server says of it would keep the page out, on its own and beside ours.
    let server = Origin::start_on(away.listen(), [one(1, "for anna", "Access-Control-Allow-Origin: *\r\n")]);
    assert_eq!(event(&mut page).await, message(1, "for anna"));
    let head = server.request_head(0).await.head;
    assert_eq!((head.get("cookie"), head.get("origin")), (Some("who=anna"), Some(&*origin(&site))));

    // A POST in JSON, which has to ask first.
    let post = &["client=fetch", "method=POST", "body={}", "count=1"];
    assert_eq!(event(&mut pages.open(&origin(&site), &url, post)).await, message(1, "for anna"));
    assert!(server.request_head(1).await.head.start().starts_with("POST /events "));

    // Another site, which the route does not name, gets no word, not of a stream and not of an error.
    let stranger = pages.edge("127.0.0.1:1", "").await;
    closes(&mut pages.open(&origin(&stranger), &url, &[EVENT_SOURCE, "cookie=who=anna"])).await;
    server.open_gate();
    drop(server);
    let _away = Refusing::at(address).await;
    closes(&mut pages.open(&origin(&stranger), &url, &[EVENT_SOURCE])).await;
    let refused = event(&mut pages.open(&origin(&stranger), &url, post)).await;
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("Failed to fetch")), "{refused}");
}

#[tokio::test]
#[ignore = "needs node, curl and Chromium: run by .ci/run"]
async fn a_page_of_another_origin_survives_where_the_server_decides_who_reads() {
    let pages = Pages::start().await;
    let site = pages.edge("127.0.0.1:1", "").await;
    let away = Refusing::new();
    let edge = pages.edge(away.address(), "").await;
    let url = format!("{}/events", origin(&edge));
    let mut page = pages.open(&origin(&site), &url, &[EVENT_SOURCE, "cookie=who=anna"]);
    softened(&edge, 502, 1.0).await;
    let fields = format!("Access-Control-Allow-Origin: {}\r\nAccess-Control-Allow-Credentials: true\r\n", origin(&site));
    let server = Origin::start_on(away.listen(), [busy(), one(1, "for anna", &fields), one(2, "for nobody", "")]);
    assert_eq!(event(&mut page).await, message(1, "for anna"));
    assert_eq!(server.request_head(1).await.head.get("cookie"), Some("who=anna"));
    // And when it no longer lets it, that is meant.
    server.open_gate();
    let mut last = Value::Null;
    while last["state"] != 2 {
        last = serde_json::from_str(&page.line().await).expect("a line of JSON");
        assert!(last["data"].is_null(), "{last}");
    }
}

#[tokio::test]
#[ignore = "needs node and Chromium: run by .ci/run"]
async fn the_page_of_the_demo_survives_a_restart_of_its_server() {
    must_have("chromium", "chromium");
    must_have("chromedriver", "chromium-driver");
    let mut demo = Tool::start(env!("CARGO_BIN_EXE_ssedge"), &["demo", "--listen", "127.0.0.1:0"]);
    let line = demo.find(|line| line.contains("open in a browser")).await;
    let url = line.split_whitespace().last().expect("the address of the page");
    let mut page = node("demo-page.js", &[url]);
    let mut looks = Vec::new();
    while looks.len() < 3 {
        looks.push(serde_json::from_str::<Value>(&page.line().await).expect("a line of JSON"));
    }
    let [before, away, back] = looks.as_slice() else { panic!("three looks: {looks:?}") };
    assert_eq!((&before["state"], &before["reconnects"]), (&json!("open"), &json!(0)));
    assert_eq!(away["state"], "reconnecting", "it has not given up");
    assert!(back["restarted"].as_str().is_some_and(|text| text.contains("gone for 3 seconds")), "{back}");
    let ids: Vec<u64> = back["ids"].as_array().expect("ids").iter().filter_map(Value::as_u64).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1] + 1), "each event once, newest first: {ids:?}");
    assert!(ids.len() as u64 > before["events"].as_u64().expect("a number") + 2, "{ids:?}");
}
