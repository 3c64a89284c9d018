//! The access log: a stream of its own, apart from the process log. A line for every ordinary request and refusal, one at the open and
//! one at the close of every event stream.
//!
//! It must never block a worker: a line is put into bounded memory, which a thread of its own writes; what does not fit is dropped and
//! counted. It must never believe a client: what clients wrote is escaped, cut and stripped of its query (`encode.rs`, `line.rs`).

mod encode;
mod line;
mod queue;
mod sink;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

pub use line::{Asked, RequestLine, StreamCloseLine, StreamOpenLine};

use queue::Queue;
use sink::Output;

use super::logging::LogFormat;
use crate::clock;

/// Bytes of lines that may wait for their writer: some ten thousand lines, seconds of a busy proxy.
const WAITING_BYTES: usize = 4 << 20;
/// What a line takes as a rule, so that it grows seldom.
const USUAL_LINE: usize = 512;
/// How long a log that goes away waits for its last lines. A sink that is stuck must not hold the exit.
const LAST_LINES: Duration = Duration::from_secs(2);

/// `log.access`: where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Sink {
    /// Standard output.
    #[default]
    Stdout,
    /// None.
    Off,
    /// A file, appended to; [`AccessLog::reopen`] opens it anew.
    File(PathBuf),
}

/// Why there is no access log.
#[derive(Debug)]
pub enum AccessLogError {
    /// The file cannot be opened.
    Open(PathBuf, io::Error),
    /// Standard output is closed.
    Stdout(io::Error),
    /// There is no thread for its writer.
    Thread(io::Error),
}

impl fmt::Display for AccessLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(f, "cannot open the access log {}: {error}", path.display()),
            Self::Stdout(error) => write!(f, "cannot write the access log to standard output: {error}"),
            Self::Thread(error) => write!(f, "cannot start the writer of the access log: {error}"),
        }
    }
}

impl std::error::Error for AccessLogError {}

/// The access log of the process. Dropping it writes what waits, for two seconds at most.
#[derive(Debug)]
pub struct AccessLog {
    /// `None` is off.
    queue: Option<Arc<Queue>>,
    format: LogFormat,
    streams: AtomicU64,
}

impl AccessLog {
    /// Opens the sink and starts its writer.
    ///
    /// # Errors
    /// [`AccessLogError`], for the process not to start: a log that is wanted and cannot be written is a mistake to be seen at once.
    pub fn new(sink: Sink, format: LogFormat) -> Result<Self, AccessLogError> {
        match sink {
            Sink::Off => Ok(Self { queue: None, format, streams: AtomicU64::new(0) }),
            Sink::Stdout => Self::start(Output::stdout().map_err(AccessLogError::Stdout)?, format, WAITING_BYTES),
            Sink::File(path) => match Output::file(&path) {
                Ok(output) => Self::start(output, format, WAITING_BYTES),
                Err(error) => Err(AccessLogError::Open(path, error)),
            },
        }
    }

    fn start(output: Output, format: LogFormat, waiting_bytes: usize) -> Result<Self, AccessLogError> {
        let queue = Arc::new(Queue::new(waiting_bytes));
        let writer = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || writer.write_to(output))
            .map_err(AccessLogError::Thread)?;
        Ok(Self { queue: Some(queue), format, streams: AtomicU64::new(0) })
    }

    /// A number for a stream, which its two lines share: from 1, not the same twice in a process.
    #[must_use]
    pub fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// An ordinary request or a refusal is over.
    pub fn request(&self, line: &RequestLine<'_>) {
        self.put(|time, out| line.render(self.format, time, out));
    }

    /// An event stream begins.
    pub fn stream_open(&self, line: &StreamOpenLine<'_>) {
        self.put(|time, out| line.render(self.format, time, out));
    }

    /// An event stream is over.
    pub fn stream_close(&self, line: &StreamCloseLine<'_>) {
        self.put(|time, out| line.render(self.format, time, out));
    }

    /// Opens a file anew, after a rotation: lines from now on go to the file that has the name then. A file that cannot be opened leaves
    /// the old one in use, and the process log says so. Does not wait. No effect on other sinks.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen();
        }
    }

    /// Waits until all lines so far are written or lost, for `at_most` so long. Returns whether they are. Blocks.
    pub fn flush(&self, at_most: Duration) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.flush(at_most))
    }

    /// Lines lost so far: no room, or a sink that failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.dropped())
    }

    fn put(&self, render: impl FnOnce(SystemTime, &mut Vec<u8>)) {
        if let Some(queue) = &self.queue {
            let mut line = Vec::with_capacity(USUAL_LINE);
            render(clock::wall(), &mut line);
            queue.put(&line);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.close();
            queue.flush(LAST_LINES);
        }
    }
}
