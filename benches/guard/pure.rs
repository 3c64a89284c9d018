//! Scanner and engine, in this program under callgrind.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ssedge::clock;
use ssedge::sse::{Event, Scanner};
use ssedge::stream::{FrameChoice, HeartbeatPolicy, StreamFacts, StreamKind, StreamPolicy, StreamState};

use super::callgrind::{Counted, each, fail};
use super::figures::Measured;

/// How this program is asked to work.
pub(crate) const COMMAND: &str = "pure";

const EVENTS: u32 = 20_000;

/// The figures of the pure parts.
pub(crate) fn measure() -> Vec<Measured> {
    let program = std::env::current_exe().expect("this program has a path");
    ["scanner_event_128", "scanner_event_1024", "engine_event_128"]
        .into_iter()
        .map(|name| {
            let value = each(EVENTS, |count| {
                let mut counted = Counted::new(name, &program);
                let status = counted.command.args([COMMAND, name, &count.to_string()]).status();
                if !status.is_ok_and(|status| status.success()) {
                    fail("valgrind did not run: apt-get install valgrind");
                }
                counted.instructions()
            });
            Measured { name, value }
        })
        .collect()
}

/// Does what is counted.
pub(crate) fn work(scenario: &str, count: &str) -> ExitCode {
    let count: u32 = count.parse().expect("the guard gave a number");
    match scenario {
        "scanner_event_128" => scan(128, count),
        "scanner_event_1024" => scan(1024, count),
        "engine_event_128" => engine(128, count),
        other => fail(&format!("{other} is nothing that could be counted")),
    }
    ExitCode::SUCCESS
}

fn event(size: usize) -> Vec<u8> {
    let event = Event::new().id("12345678");
    let overhead = event.data("").to_bytes().len();
    event.data(&"x".repeat(size - overhead)).to_bytes().to_vec()
}

fn scan(size: usize, count: u32) {
    let (mut scanner, event) = (Scanner::new(), event(size));
    for _ in 0..count {
        black_box(scanner.scan(black_box(&event)));
    }
}

/// As the relay calls it for an event.
fn engine(size: usize, count: u32) {
    let now = clock::now();
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
    let (mut state, mut actions, event) = (StreamState::new(Arc::new(policy), facts, 0, now), Vec::new(), event(size));
    for _ in 0..count {
        state.handle_timeout(now, &mut actions);
        state.handle_upstream(black_box(&event), now, &mut actions);
        black_box(&*actions);
        actions.clear();
        state.handle_written(event.len(), false, now, &mut actions);
        black_box(state.poll_timeout());
    }
}
