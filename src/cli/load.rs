//! `ssedge load URL`: opens many event streams, holds them, and counts what arrives.
//!
//! A measuring instrument: it shares no framing code with the proxy that it measures, and one process holds thousands of streams, so
//! that a stream keeps no buffer while it is idle. It must always end: at most the ramp, a minute to connect, and the hold.
//!
//! | file | what it is |
//! |---|---|
//! | `load/target.rs` | the arguments, judged; the bytes of the request |
//! | `load/response.rs` | the response head and where its body ends (RFC 9112) |
//! | `load/chunked.rs` | strict chunked decoding |
//! | `load/events.rs` | the body into events and comments (WHATWG HTML section 9.2) |
//! | `load/stream.rs` | one stream: what it got, how it ended |
//! | `load/histogram.rs` | times in log-linear buckets |
//! | `load/totals.rs` | counters that all streams share |
//! | `load/report.rs` | what is printed, and the exit code |

mod chunked;
mod events;
mod histogram;
mod report;
mod response;
mod stream;
mod target;
mod totals;

use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use self::report::Report;
use self::stream::Stream;
use self::target::Target;
use self::totals::Totals;
use crate::clock;

/// Streams that connect or wait for their answer at once: fewer than the shortest usual accept queue, 128. When that overflows the
/// kernel drops the connect and tries again a second later, which would be measured in place of the server.
const CONNECTING: usize = 100;

/// What connecting may take over and above the ramp; streams that have not begun then are reported as such.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);

/// Between two progress lines.
const PROGRESS: Duration = Duration::from_secs(2);

/// Open many event streams, hold them, and count what arrives.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LoadArgs {
    /// Where the streams are: `http://HOST:PORT/PATH`
    pub url: String,

    /// How many streams to open
    #[arg(short, long, value_name = "N", default_value = "100")]
    pub connections: NonZeroU32,

    /// How long to hold them once all were opened: 250ms, 30s, "1m 30s"
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = target::parse_duration)]
    pub hold: Duration,

    /// Streams to open per second; 0 is as fast as possible
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0)]
    pub ramp: u32,

    /// A request header field, "Name: value"; may be given many times
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub headers: Vec<String>,

    /// The request method; GET, or POST with --data
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub method: Option<String>,

    /// The request body; application/json unless a Content-Type field says otherwise
    #[arg(short, long, value_name = "TEXT")]
    pub data: Option<String>,
}

/// Runs the load and prints its report; the exit code.
///
/// 0 when every stream opened, lived or ended properly, and was whole; 1 when one did not; 2 when the arguments make no sense.
pub(super) async fn run(args: LoadArgs) -> u8 {
    let target = match Target::new(&args) {
        Ok(target) => target,
        Err(problem) => {
            complain(&problem);
            return 2;
        }
    };
    let target = match target.resolve().await {
        Ok(target) => target,
        Err(problem) => {
            complain(&problem);
            return 1;
        }
    };
    let report = measure(&args, target, Arc::default(), tokio::signal::ctrl_c()).await;
    // Whoever closed the pipe does not want the rest.
    let _ = write!(io::stdout().lock(), "{report}");
    report.exit_code()
}

fn complain(problem: &str) {
    let _ = writeln!(io::stderr().lock(), "error: {problem}");
}

/// Opens the streams, holds them, ends them; `interrupt` ends it early.
async fn measure<T>(args: &LoadArgs, target: Target, totals: Arc<Totals>, interrupt: impl Future<Output = T>) -> Report {
    let wanted = args.connections.get();
    let target = Arc::new(target);
    let mut interrupt = pin!(interrupt);
    let connecting = Arc::new(Semaphore::new(CONNECTING));
    let (stop, stopped) = watch::channel(false);
    let mut streams = JoinSet::new();
    let mut progress = interval(PROGRESS);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let shows_progress = io::stderr().is_terminal();

    let began = clock::now();
    let mut report = Report::new(&args.url, wanted);
    let mut started = 0;
    let mut end = began + due(wanted, args.ramp) + CONNECT_LIMIT + args.hold;
    while started < wanted || !streams.is_empty() {
        tokio::select! {
            permit = next_permit(&connecting, began + due(started, args.ramp)), if started < wanted => {
                let stream = Stream::new(Arc::clone(&target), Arc::clone(&totals));
                streams.spawn(stream.run(permit, stopped.clone()));
                started += 1;
                if started == wanted {
                    end = clock::now() + args.hold;
                }
            }
            Some(outcome) = streams.join_next() => report.add(outcome),
            _ = progress.tick(), if shows_progress => show_progress(began, &totals, &report),
            () = sleep_until(end.into()) => break,
            _ = &mut interrupt => break,
        }
    }
    let lasted = clock::now().duration_since(began);
    stop.send_replace(true);
    while let Some(outcome) = streams.join_next().await {
        report.add(outcome);
    }
    report.finish(lasted, wanted - started, totals)
}

/// When stream number `n` is due, counted from the begin.
fn due(n: u32, ramp: u32) -> Duration {
    if ramp == 0 { Duration::ZERO } else { Duration::from_secs(1) * n / ramp }
}

/// Waits until the next stream may be opened.
async fn next_permit(connecting: &Arc<Semaphore>, due: Instant) -> OwnedSemaphorePermit {
    sleep_until(due.into()).await;
    Arc::clone(connecting).acquire_owned().await.expect("the semaphore is never closed")
}

fn show_progress(began: Instant, totals: &Totals, report: &Report) {
    let seconds = clock::now().duration_since(began).as_secs_f64();
    let _ = writeln!(io::stderr().lock(), "{seconds:5.1} s: {}", report.progress(totals));
}

/// Plain digits, as a length or an id must be; no sign, no list.
fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
