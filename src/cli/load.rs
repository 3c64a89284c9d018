//! `ssedge load URL`: opens many event streams, holds them, and counts what arrives.
//!
//! A measuring instrument: it shares no framing code with the proxy that it measures, and it must never be the bottleneck: one process
//! holds thousands of streams, so that a stream keeps no buffer while it is idle, and its threads share nothing. It must always end: at
//! most the ramp, a minute to connect, and the hold.
//!
//! ```text
//!   args ─► plan ─► worker (a thread) ─► stream (a task) ─► socket ─► http1 | http2 ─► subscriber ─► totals ─► report ─► table | json
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `load/args.rs` | the arguments, with their help |
//! | `load/plan.rs` | the arguments, judged |
//! | `load/target.rs` | the URL and the request |
//! | `load/source.rs` | the addresses to connect from |
//! | `load/worker.rs` | the threads, and when streams begin |
//! | `load/stream.rs` | one stream: connect, ask, read, come back |
//! | `load/socket.rs`, `load/tls.rs`, `load/pace.rs` | connections: TCP, TLS, slow readers |
//! | `load/http1.rs`, `load/response.rs`, `load/chunked.rs` | HTTP/1.1: one response, its head, its framing (RFC 9112) |
//! | `load/http2.rs` | HTTP/2: shared connections, one response (RFC 9113) |
//! | `load/subscriber.rs` | what one stream got |
//! | `load/events.rs`, `load/order.rs` | the body into events (WHATWG HTML section 9.2), the integrity of their ids |
//! | `load/totals.rs`, `load/histogram.rs`, `load/outcome.rs` | what all streams got, and how they ended |
//! | `load/report.rs`, `load/table.rs`, `load/json.rs` | what is printed, and the exit code |
//! | `load/display.rs` | what is shown while it runs |

mod args;
mod chunked;
mod display;
mod events;
mod histogram;
mod http1;
mod http2;
mod json;
mod order;
mod outcome;
mod pace;
mod plan;
mod report;
mod response;
mod socket;
mod source;
mod stream;
mod subscriber;
mod table;
mod target;
mod tls;
mod totals;
mod worker;

use std::io::{self, Write};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

pub(super) use self::args::{EXPLAINED, LoadArgs};
use self::display::Display;
use self::plan::{Plan, Problem};
use self::report::Report;
use self::totals::Board;
use self::worker::Worker;
use crate::clock;

/// What connecting may take over and above the ramp; streams that have not begun then are reported as such.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// Runs the load and prints its report; the exit code.
///
/// 0 when every stream opened, lived or ended properly, and was whole; 1 when one did not; 2 when the arguments make no sense.
pub(super) fn run(args: &LoadArgs) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(Problem::from(error)),
    };
    raise_descriptors();
    runtime.block_on(async {
        let plan = match Plan::new(args).await {
            Ok(plan) => Arc::new(plan),
            Err(problem) => return complain(problem),
        };
        let board = Board::new(clock::now(), plan.threads);
        match measure(args, plan, board, interrupted()).await {
            Ok(report) => {
                display::print(&if args.json { json::report(&report) } else { report.table().to_string() });
                report.exit_code()
            }
            Err(problem) => complain(problem),
        }
    })
}

/// Raises the soft limit of descriptors to the hard one: each connection needs one. Where that fails, the streams that get none say so.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Resolves when a person or a script wants the report now.
async fn interrupted() {
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

fn complain(problem: Problem) -> u8 {
    let (problem, code) = match problem {
        Problem::Arguments(problem) => (problem, super::WRONG_USAGE),
        Problem::Circumstances(problem) => (problem, super::FAILED),
    };
    let _ = writeln!(io::stderr().lock(), "error: {problem}");
    code
}

/// Opens the streams, holds them, ends them; `interrupt` ends it early.
async fn measure<T>(args: &LoadArgs, plan: Arc<Plan>, board: Board, interrupt: impl Future<Output = T>) -> Result<Report, Problem> {
    let mut interrupt = pin!(interrupt);
    let (stop, stopped) = watch::channel(false);
    let (sender, mut news) = mpsc::unbounded_channel();
    let threads = Worker::start_all(&plan, &board, &sender, &stopped)?;
    drop(sender);
    let mut display = Display::new(&plan, args.json, board.began);

    let mut to_begin = threads.len();
    let mut end = plan.due(board.began, plan.wanted) + CONNECT_LIMIT + plan.hold;
    loop {
        let next_look = display.next_look(clock::now());
        tokio::select! {
            told = news.recv() => match told {
                Some(worker::AllBegun) => {
                    to_begin -= 1;
                    if to_begin == 0 {
                        let now = clock::now();
                        end = now + plan.hold;
                        display.holds(now);
                    }
                }
                None => break,
            },
            () = sleep_until(next_look.unwrap_or(end).into()), if next_look.is_some() => display.look(&board, clock::now()),
            () = sleep_until(end.into()) => break,
            _ = &mut interrupt => break,
        }
    }
    let lasted = clock::now().duration_since(board.began);
    stop.send_replace(true);
    while news.recv().await.is_some() {}
    // They have nothing left to do; one that panicked has told so itself.
    threads.into_iter().for_each(|thread| drop(thread.join()));
    display.end();
    Ok(Report::new(&args.url, &plan, &board, lasted))
}

/// Plain digits, as a length or an id must be; no sign, no list.
///
/// By hand, without the check for UTF-8 and the general parser: with two numbers in each event they took a quarter of a burst's CPU.
fn number(digits: &[u8]) -> Option<u64> {
    /// So many digits never exceed 64 bits.
    const SAFE: usize = 19;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (first, rest) = digits.split_at(digits.len().min(SAFE));
    let first = first.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    rest.iter().try_fold(first, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests;
