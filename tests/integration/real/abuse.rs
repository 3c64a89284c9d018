//! Tools made to load servers or to wear them out, against us: `slowhttptest`, `h2load`, `openssl`; and `curl` over every way in. Beside
//! them run the streams of [`Scene`], which must not suffer.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::tool::{Tool, curl, must_have, must_run};
use crate::abuse::scene::Scene;
use crate::support::{Origin, Script, tls, within_time};

/// How long a tool may run.
const LONG: Duration = Duration::from_secs(120);

/// A server that answers every request alike, for as long as the test lives; for many of them, which [`Origin`] would all keep.
async fn answering(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let answer = std::sync::Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = std::sync::Arc::clone(&answer);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(1..) = socket.read_buf(&mut head).await {
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        if socket.write_all(&answer).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

fn ok(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// All that a tool prints, once it has ended.
async fn output(tool: &mut Tool) -> String {
    let mut lines = Vec::new();
    let all = async {
        while let Some(line) = tool.next().await {
            lines.push(line);
        }
    };
    within_time(LONG, "the end of a tool", all).await;
    lines.join("\n")
}

/// Whether a tool ended well.
async fn succeeded(tool: &mut Tool) -> bool {
    tool.process.exit().await.success()
}

/// `slowhttptest` in one of its modes: the service stays available to its own probes and to the streams beside it.
async fn slow(mode: &[&str], over_tls: bool) {
    // It prints its usage with an exit code of its own.
    must_run("slowhttptest", &["-h"], "slowhttptest");
    let app = answering(ok(&vec![b'x'; 1 << 20])).await;
    let limits = Scene::with().timeout("request_head", "3s").timeout("request_body_idle", "3s").timeout("write_stall", "3s");
    let scene = limits.start(app).await;
    let url = if over_tls { format!("https://{}/", scene.tls) } else { format!("http://{}/", scene.plain) };
    let general = ["-c", "500", "-r", "200", "-l", "10", "-p", "5", "-u", &url];
    let mut tool = Tool::start("slowhttptest", &[mode, &general].concat());
    let said = output(&mut tool).await;
    assert!(succeeded(&mut tool).await, "{said}");
    // It colours what it says.
    let said = regex::Regex::new("\u{1b}\\[[0-9;]*[A-Za-z]").expect("a pattern").replace_all(&said, "").replace(' ', "");
    assert!(said.contains("serviceavailable:YES"), "{said}");
    assert!(!said.contains("serviceavailable:NO"), "{said}");
    assert!(scene.edge.metric("ssedge_connections_accepted_total", "").await > 400.0, "it did not do what it is for:\n{said}");
    scene.connections_become(0).await;
    // What a stalled client may cost, of all of them at once (`abuse/readers.rs`).
    scene.survived(500 * (176 << 10)).await;
}

#[tokio::test]
#[ignore = "needs slowhttptest: run by .ci/run"]
async fn slow_headers_of_slowhttptest_leave_the_service_available() {
    tokio::join!(slow(&["-H", "-i", "1"], false), slow(&["-H", "-i", "1"], true));
}

#[tokio::test]
#[ignore = "needs slowhttptest: run by .ci/run"]
async fn slow_bodies_of_slowhttptest_leave_the_service_available() {
    tokio::join!(slow(&["-B", "-i", "1"], false), slow(&["-B", "-i", "5"], true));
}

#[tokio::test]
#[ignore = "needs slowhttptest: run by .ci/run"]
async fn slow_reads_of_slowhttptest_leave_the_service_available() {
    let mode = ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"];
    tokio::join!(slow(&mode, false), slow(&["-R", "-a", "10", "-b", "3000"], false));
}

#[tokio::test]
#[ignore = "needs h2load: run by .ci/run"]
async fn each_request_of_h2load_succeeds() {
    must_have("h2load", "nghttp2-client");
    let app = answering(ok(b"ok")).await;
    let scene = Scene::with().start(app).await;
    let (plain, by_tls) = (format!("http://{}/", scene.plain), format!("https://{}/", scene.tls));
    for (url, version, streams) in
        [(&plain, "h2c", "20"), (&plain, "http/1.1", "1"), (&by_tls, "h2", "20"), (&by_tls, "http/1.1", "1")]
    {
        let (only, offers): (&[&str], _) = match version {
            "h2c" => (&["--no-tls-proto=h2c"], ""),
            "http/1.1" => (&["--h1"], "http/1.1"),
            version => (&[], version),
        };
        let mut tool =
            Tool::start("h2load", &[&["-n", "3000", "-c", "20", "-t", "1", "-m", streams], only, &[url.as_str()]].concat());
        let said = output(&mut tool).await;
        assert!(succeeded(&mut tool).await, "{said}");
        let all = "requests: 3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(said.contains(all) && said.contains("status codes: 3000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{version}: {said}");
        let expected = format!("Application protocol: {}", if offers.is_empty() { "h2c" } else { offers });
        assert!(said.contains(&expected), "{expected:?} is not in {said}");
    }
    scene.survived(32 << 20).await;
}

#[tokio::test]
#[ignore = "needs curl: run by .ci/run"]
async fn curl_reads_an_event_stream_over_every_way_in() {
    let origin = Origin::start(Script::stream().event("one").event("two").end()).await;
    let scene = Scene::with().start(origin.address()).await;
    let (plain, name) = (format!("http://{}/events", scene.plain), format!("localhost:{}", scene.tls.port()));
    let (https, resolved) = (format!("https://{name}/events"), format!("{name}:{}", scene.tls.ip()));
    let ca = tls::file("ca.pem").display().to_string();
    let trust = ["--cacert", &ca, "--resolve", &resolved];
    let ways: [(&[&str], &str, &str); 5] = [
        (&["--http1.1"], &plain, "1.1"),
        (&["--http2-prior-knowledge"], &plain, "2"),
        (&["--http1.1"], &https, "1.1"),
        (&["--http2"], &https, "2"),
        (&["--http1.1", "--tls-max", "1.2"], &https, "1.1"),
    ];
    for (options, url, version) in ways {
        let mut tool =
            curl(&[options, &trust, &["-H", "Accept: text/event-stream", "-w", "%{http_version} %{http_code}\\n", url]].concat());
        let said = output(&mut tool).await;
        assert_eq!(said, format!("data: one\n\ndata: two\n\n{version} 200"), "{options:?} {url}");
        assert!(succeeded(&mut tool).await);
    }
    // And who does not trust us gets nothing of it.
    let mut stranger = curl(&["--resolve", &resolved, &https]);
    assert_eq!((output(&mut stranger).await, stranger.process.exit().await.code()), (String::new(), Some(60)));
    assert_eq!(origin.requests(), ways.len());
    scene.survived(8 << 20).await;
}

#[tokio::test]
#[ignore = "needs openssl: run by .ci/run"]
async fn renegotiation_is_refused_to_openssl() {
    must_run("openssl", &["version"], "openssl");
    let origin = Origin::start(Script::answer("ok")).await;
    let scene = Scene::with().timeout("request_head", "2s").start(origin.address()).await;
    let ca = tls::file("ca.pem").display().to_string();
    // `R` is its command for it. It says on standard error how that went.
    let command = format!("printf 'R\\n' | openssl s_client -connect {} -tls1_2 -CAfile {ca} 2>&1", scene.tls);
    let mut tool = Tool::start("sh", &["-c", &command]);
    let said = output(&mut tool).await;
    assert!(said.contains("Verify return code: 0 (ok)") && said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation") && !succeeded(&mut tool).await, "{said}");
    assert_eq!(origin.connections(), 0);
    scene.survived(1 << 20).await;
}
