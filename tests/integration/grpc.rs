//! gRPC through us, with its own library on both sides: every kind of call, statuses in trailers, deadlines and cancellation. It needs
//! a Python environment, so it is ignored by `cargo test` and run by `.ci/run`.

use std::path::Path;
use std::process::Command;

use crate::support::edge::Process;
use crate::support::{Edge, eventually};

/// The script, in one of its roles.
fn grpc_check(arguments: &[&str]) -> Process {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = top.join("target/python/bin/python");
    assert!(
        python.is_file(),
        "no Python environment: run `python3 -m venv target/python && target/python/bin/pip install -r tests/integration/python/requirements.txt` first"
    );
    let mut command = Command::new(python);
    command.arg(top.join("tests/integration/python/grpc_check.py")).args(arguments);
    Process::spawn(command)
}

/// Waits for a line of output that `find` knows.
async fn line<T>(process: &Process, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
    eventually(what, || process.stdout().lines().find_map(&find)).await
}

#[tokio::test]
#[ignore = "needs Python and grpcio: run by .ci/run"]
async fn calls_of_every_kind_pass_and_end_as_they_should() {
    let server = grpc_check(&["serve"]);
    let port: u16 =
        line(&server, "the port of the gRPC server", |line| line.strip_prefix("{\"port\": ")?.strip_suffix('}')?.parse().ok())
            .await;
    let edge = Edge::with().h2c().start(format!("127.0.0.1:{port}")).await;
    let mut client = grpc_check(&["call", &edge.address().to_string()]);
    let code = client.exit().await.code();
    let output = client.stdout();
    assert_eq!(code, Some(0), "after\n{output}");
    assert!(output.lines().count() > 10 && output.lines().last().is_some_and(|line| line.starts_with("{\"done\": ")), "{output}");
    // The server learned of each call that its client gave up.
    for call in ["deadline", "cancelled", "unanswered"] {
        let over = format!("{{\"call\": \"{call}\", \"over\": true}}");
        line(&server, &over, |line| (line == over).then_some(())).await;
    }
    assert_eq!(edge.metric("ssedge_streams_started_total", "").await, 0.0, "none of it is an event stream");
}
