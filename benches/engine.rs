//! The stream engine over pieces as a server sends them: what one costs beside the scanner, without sockets. A piece goes through all
//! that the relay calls for it: the bytes, the report of what was written, the next deadline.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ssedge::clock;
use ssedge::sse::Event;
use ssedge::stream::{Action, FrameChoice, HeartbeatPolicy, StreamFacts, StreamKind, StreamPolicy, StreamState};

/// A subscription with heartbeats, as by default.
fn subscription(now: Instant) -> StreamState {
    let policy = StreamPolicy {
        heartbeat: Some(HeartbeatPolicy { interval: Duration::from_secs(15), frame: FrameChoice::Auto, text: String::new() }),
        strict_no_transform: false,
        max_upstream_silence: None,
        max_age: None,
        write_stall: Duration::from_secs(60),
    };
    let facts = StreamFacts {
        kind: StreamKind::Subscription,
        status_ok: true,
        opaque: false,
        digested: false,
        no_transform: false,
        line_frames_only: false,
    };
    StreamState::new(Arc::new(policy), facts, 0, now)
}

/// One piece in, its action out.
fn carry(state: &mut StreamState, piece: &[u8], now: Instant, actions: &mut Vec<Action>) {
    state.handle_timeout(now, actions);
    state.handle_upstream(piece, now, actions);
    black_box(&*actions);
    actions.clear();
    state.handle_written(piece.len(), false, now, actions);
    black_box(state.poll_timeout());
}

fn engine(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    let now = clock::now();
    for (events, event_len) in [(1, 128), (1, 1024), (64, 256)] {
        let overhead = Event::new().id("12345678").data("").to_bytes().len();
        let event = Event::new().id("12345678").data(&"x".repeat(event_len - overhead)).to_bytes();
        let piece = event.repeat(events);
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(BenchmarkId::new("piece", format!("{events}x{event_len}")), |b| {
            let (mut state, mut actions) = (subscription(now), Vec::new());
            b.iter(|| carry(&mut state, black_box(&piece), now, &mut actions));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("heartbeat", |b| {
        let (mut state, mut actions, mut out) = (subscription(now), Vec::new(), Vec::new());
        let mut at = now;
        b.iter(|| {
            at += Duration::from_secs(15);
            state.handle_timeout(at, &mut actions);
            for action in actions.drain(..) {
                if let Action::Inject(beat) = action {
                    state.encode(beat, &mut out);
                }
            }
            state.handle_written(out.len(), false, at, &mut actions);
            assert!(!std::mem::take(&mut out).is_empty(), "a beat was due");
        });
    });
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
