//! A proxy whose allocations are counted: it runs in a process of its own, this program once more, so that what client and server
//! allocate is not among them.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use ssedge::config;
use ssedge::server::Bound;
use tokio::runtime::Builder;

use super::callgrind::fail;
use super::ends::{Ends, Piece, Protocol};
use super::figures::Measured;

/// How this program is asked to be that proxy.
pub(crate) const COMMAND: &str = "proxy";

/// Pieces over which allocations are counted.
const PIECES: u32 = 1000;
/// Streams that are open before those that are counted, for what grows by steps.
const STREAMS_BEFORE: usize = 300;
/// Streams over which heap is counted.
const STREAMS: usize = 300;

/// Time for tasks that end behind an answer, between two looks at the heap; it has settled when so many looks see the same.
const LOOK: Duration = Duration::from_millis(20);
const SAME_LOOKS: u32 = 5;
const MOST_LOOKS: u32 = 500;

/// The figures of the heap.
pub(crate) fn measure() -> Vec<Measured> {
    let mut all = Vec::new();
    for (name, protocol, events, size) in [
        ("http1_event_allocations", Protocol::Http1, 1, 128),
        ("http1_burst_allocations", Protocol::Http1, 64, 256),
        ("http2_event_allocations", Protocol::Http2(100), 1, 128),
    ] {
        all.push(Measured { name, value: allocations(protocol, &Piece::of(events, size)) });
    }
    for (names, protocol) in [
        (["http1_idle_bytes", "http1_idle_blocks", "http1_open_allocations"], Protocol::Http1),
        (["http1_tls_idle_bytes", "http1_tls_idle_blocks", "http1_tls_open_allocations"], Protocol::Http1Tls),
        (["http2_idle_bytes", "http2_idle_blocks", "http2_open_allocations"], Protocol::Http2(100)),
    ] {
        all.extend(names.into_iter().zip(idle(protocol)).map(|(name, value)| Measured { name, value }));
    }
    all
}

/// Allocations for a piece in steady state.
fn allocations(protocol: Protocol, piece: &Piece) -> f64 {
    with_proxy(async |ends, proxy| {
        let mut stream = ends.open(proxy.address(protocol), protocol, 1).await.remove(0);
        let mut seen = [0; 3];
        for total in &mut seen {
            for _ in 0..PIECES {
                stream.carry(piece).await;
            }
            *total = proxy.settled().all;
        }
        // The first round is the warm-up.
        (seen[2] - seen[1]) as f64 / f64::from(PIECES)
    })
}

/// Bytes and blocks that an idle stream keeps, and the allocations that opened it.
fn idle(protocol: Protocol) -> [f64; 3] {
    with_proxy(async |ends, proxy| {
        let _before = ends.open(proxy.address(protocol), protocol, STREAMS_BEFORE).await;
        let before = proxy.settled();
        let _streams = ends.open(proxy.address(protocol), protocol, STREAMS).await;
        let after = proxy.settled();
        let each = |before: u64, after: u64| (after as f64 - before as f64) / STREAMS as f64;
        [each(before.bytes, after.bytes), each(before.blocks, after.blocks), each(before.all, after.all)]
    })
}

/// What is on the heap of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heap {
    /// In use.
    bytes: u64,
    /// In use.
    blocks: u64,
    /// Allocations since the start.
    all: u64,
}

/// The other process.
struct Proxy {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    addresses: Vec<SocketAddr>,
}

fn with_proxy<T>(work: impl AsyncFnOnce(&Ends, &mut Proxy) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ends = Ends::new().await;
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.args([COMMAND, &ends.configuration()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program starts again");
        let (ask, answers) = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let mut proxy = Proxy { child, ask, answers, addresses: Vec::new() };
        proxy.addresses = proxy.line().split_whitespace().map(|text| text.parse().expect("an address")).collect();
        let result = work(&ends, &mut proxy).await;
        // It ends when nobody asks any more.
        drop(proxy.ask);
        proxy.child.wait().expect("it is our own child");
        result
    })
}

impl Proxy {
    fn address(&self, protocol: Protocol) -> SocketAddr {
        self.addresses[usize::from(protocol == Protocol::Http1Tls)]
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        if self.answers.read_line(&mut line).unwrap_or(0) == 0 {
            fail("the proxy whose heap is counted ended early");
        }
        line
    }

    fn heap(&mut self) -> Heap {
        self.ask.write_all(b"\n").expect("it listens");
        let numbers: Vec<u64> = self.line().split_whitespace().map(|text| text.parse().expect("a number")).collect();
        Heap { bytes: numbers[0], blocks: numbers[1], all: numbers[2] }
    }

    /// What is on the heap once nothing moves there.
    fn settled(&mut self) -> Heap {
        let (mut last, mut same) = (self.heap(), 0);
        for _ in 0..MOST_LOOKS {
            std::thread::sleep(LOOK);
            let heap = self.heap();
            same = if heap == last { same + 1 } else { 0 };
            last = heap;
            if same == SAME_LOOKS {
                return heap;
            }
        }
        fail(&format!("the heap does not settle: {last:?}"))
    }
}

/// The other process: a proxy that writes its addresses, and what is on its heap for each line that it reads.
pub(crate) fn serve(configuration: &str) -> ExitCode {
    let (config, _) = config::parse("the guard's configuration", configuration, &|_| None).expect("it is valid");
    let bound = Bound::new(config).expect("free ports");
    let addresses = bound.addresses();
    let profiler = dhat::Profiler::builder().testing().build();
    let served = bound.run(move || {
        std::thread::spawn(move || {
            // Its accounts are read here and nowhere else.
            let _profiler = profiler;
            answer(&addresses);
            std::process::exit(0)
        });
    });
    served.expect("it serves until nobody asks any more");
    ExitCode::SUCCESS
}

fn answer(addresses: &[SocketAddr]) {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    super::say(&addresses.join(" "));
    // Asking must not allocate: the heap would never settle.
    let (mut line, mut input, mut output) = (String::with_capacity(16), std::io::stdin().lock(), std::io::stdout().lock());
    while input.read_line(&mut line).is_ok_and(|read| read > 0) {
        line.clear();
        let heap = dhat::HeapStats::get();
        writeln!(output, "{} {} {}", heap.curr_bytes, heap.curr_blocks, heap.total_blocks).expect("somebody asked");
    }
}
