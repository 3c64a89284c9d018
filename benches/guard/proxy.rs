//! Events through the real binary under callgrind; client and server are this process and are not counted.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Builder;

use super::callgrind::{Counted, each, fail};
use super::ends::{Ends, Piece, Protocol};
use super::figures::Measured;

/// Before what is counted twice as often begins: whatever the first events set up.
const WARM_UP: u32 = 100;

/// The figures of the proxy.
pub(crate) fn measure() -> Vec<Measured> {
    [
        ("http1_event_instructions", Protocol::Http1, 1, 128, 8000),
        ("http1_burst_instructions", Protocol::Http1, 64, 256, 1000),
        ("http2_event_instructions", Protocol::Http2(100), 1, 128, 8000),
    ]
    .into_iter()
    .map(|(name, protocol, events, size, count)| {
        let value = each(count, |count| run(name, protocol, &Piece::of(events, size), count));
        Measured { name, value: value / events as f64 }
    })
    .collect()
}

/// Instructions of a proxy that brings `count` pieces from end to end, its start and its end included.
fn run(name: &str, protocol: Protocol, piece: &Piece, count: u32) -> u64 {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut counted = Counted::new(name, env!("CARGO_BIN_EXE_ssedge"));
    let status = runtime.block_on(async {
        let ends = Ends::new().await;
        let file = super::scratch().join("proxy.yaml");
        std::fs::write(&file, ends.configuration()).expect("a file under target");
        counted.command.arg("run").arg("--config").arg(&file).stdin(Stdio::null()).stdout(Stdio::piped());
        let Ok(mut proxy) = counted.command.spawn() else { fail("valgrind did not start: apt-get install valgrind") };
        let mut stream = ends.open(address(&mut proxy), protocol, 1).await.remove(0);
        for _ in 0..WARM_UP + count {
            stream.carry(piece).await;
        }
        // So that every run ends in the same way.
        stream.close().await;
        let pid = i32::try_from(proxy.id()).ok().and_then(Pid::from_raw).expect("the system gave it");
        kill_process(pid, Signal::TERM).expect("it is our own child and still runs");
        proxy.wait().expect("it is our own child")
    });
    if !status.success() {
        fail(&format!("the proxy did not end as it should: {status}"));
    }
    counted.instructions()
}

/// Where its first listener is, from its start line.
fn address(proxy: &mut Child) -> SocketAddr {
    let mut line = String::new();
    let stdout = proxy.stdout.take().expect("it is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("text");
    let address =
        line.split_once("http://").and_then(|(_, rest)| rest.split([',', '\n']).next()).and_then(|text| text.parse().ok());
    address.unwrap_or_else(|| fail(&format!("no start line, but {line:?}: see {}", super::scratch().display())))
}
