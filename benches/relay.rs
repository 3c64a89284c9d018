//! An event through the whole proxy over real sockets, one at a time: the time from the server's write to the client's read. Most of it
//! is the kernel's and that of waking the other thread; what is ours of it is what `benches/guard` counts.

#[path = "support/ends.rs"]
mod ends;

use std::sync::mpsc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ssedge::config;
use ssedge::server::Bound;
use tokio::runtime::Builder;

use ends::{Ends, Piece, Protocol};

fn relay(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ends = runtime.block_on(Ends::new());
    let (config, _) = config::parse("the bench's configuration", &ends.configuration(), &|_| None).expect("it is valid");
    let bound = Bound::new(config).expect("free ports");
    let addresses = bound.addresses();
    let (ready, is_ready) = mpsc::channel();
    // It ends with the process.
    std::thread::spawn(move || bound.run(move || ready.send(()).expect("somebody waits")));
    is_ready.recv().expect("the proxy starts");

    let mut group = c.benchmark_group("relay");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3)).sample_size(20);
    for (name, protocol) in [("http1", Protocol::Http1), ("http1+tls", Protocol::Http1Tls), ("http2", Protocol::Http2(100))] {
        let proxy = addresses[usize::from(protocol == Protocol::Http1Tls)];
        let mut stream = runtime.block_on(ends.open(proxy, protocol, 1)).remove(0);
        for (events, size) in [(1, 128), (64, 256)] {
            let piece = Piece::of(events, size);
            group.throughput(Throughput::Elements(events as u64));
            group.bench_function(BenchmarkId::new(name, format!("{events}x{size}")), |b| {
                b.iter_custom(|times| {
                    let begun = ssedge::clock::now();
                    runtime.block_on(async {
                        for _ in 0..times {
                            stream.carry(&piece).await;
                        }
                    });
                    ssedge::clock::now() - begun
                });
            });
        }
        runtime.block_on(stream.close());
    }
    group.finish();
}

criterion_group!(benches, relay);
criterion_main!(benches);
