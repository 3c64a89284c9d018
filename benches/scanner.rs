//! The scanner over streams of one event size, cut into chunks of one size. The output has the throughput of each in bytes a second;
//! the target is well over 1 GB/s on events of 1 KiB.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ssedge::sse::{Event, LineEnd, Scanner};

/// Bytes of stream for each run of the scanner, about.
const STREAM_LEN: usize = 1 << 20;

/// A stream of events of `event_len` bytes each, of one data line, after an id if `ids`.
fn stream(event_len: usize, ids: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(STREAM_LEN + event_len);
    for n in 0.. {
        let id = format!("{n:08}");
        let event = if ids { Event::new().id(&id) } else { Event::new() };
        let overhead = event.data("").to_bytes().len();
        let data = "x".repeat(event_len.saturating_sub(overhead));
        event.data(&data).encode(LineEnd::Lf, &mut out);
        if out.len() >= STREAM_LEN {
            break;
        }
    }
    out
}

fn scan_all(stream: &[u8], chunk_len: usize) -> u64 {
    let mut scanner = Scanner::new();
    stream.chunks(chunk_len).map(|chunk| u64::from(scanner.scan(black_box(chunk)).events)).sum()
}

fn scanner(c: &mut Criterion) {
    for (name, ids) in [("scan/data", false), ("scan/id+data", true)] {
        let mut group = c.benchmark_group(name);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
        for event_len in [32, 128, 1024, 16 * 1024] {
            let stream = stream(event_len, ids);
            group.throughput(Throughput::Bytes(stream.len() as u64));
            for chunk_len in [1024, 4 * 1024, 16 * 1024] {
                let id = BenchmarkId::new(format!("event={event_len}"), format!("chunk={chunk_len}"));
                group.bench_with_input(id, &chunk_len, |b, &chunk_len| b.iter(|| scan_all(&stream, chunk_len)));
            }
        }
        group.finish();
    }
}

criterion_group!(benches, scanner);
criterion_main!(benches);
