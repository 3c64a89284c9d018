//! What a load is to do, all arguments judged.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::args::LoadArgs;
use super::socket::Dial;
use super::target::Target;
use super::{source, tls};

/// Streams on an HTTP/2 connection unless given: what servers usually allow.
const STREAMS_PER_CONNECTION: u32 = 100;

/// A load.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) dial: Arc<Dial>,
    /// The request on HTTP/1.1 without a last event id.
    pub(super) first_request: Vec<u8>,
    pub(super) is_http2: bool,
    pub(super) streams_per_connection: u32,
    pub(super) reconnect: bool,
    /// Streams.
    pub(super) wanted: u32,
    /// Streams a second; 0 is all at once.
    ramp: u32,
    /// Streams of one thread that may be connecting at once.
    pub(super) connecting: usize,
    pub(super) threads: usize,
    pub(super) hold: Duration,
}

/// Why there is no load.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The arguments make no sense.
    Arguments(String),
    /// They do, but not here and now.
    Circumstances(String),
}

impl Plan {
    /// Judges `args`, and looks the server up.
    pub(super) async fn new(args: &LoadArgs) -> Result<Self, Problem> {
        let target = Target::new(args).map_err(Problem::Arguments)?;
        let tls = if target.is_tls {
            let config = tls::config(args).map_err(Problem::Arguments)?;
            Some((Arc::new(config), tls::server_name(&target.host).map_err(Problem::Arguments)?))
        } else {
            None
        };
        let addresses = target.resolve().await.map_err(Problem::Circumstances)?;
        if let Some(source) = source::unfit(&args.source, &addresses) {
            let problem = format!("--source {source} cannot reach `{}`: one is IPv4 and the other IPv6", target.host);
            return Err(Problem::Arguments(problem));
        }
        let wanted = args.connections.get();
        let streams_per_connection = match args.streams_per_connection {
            _ if !args.http2 => 1,
            Some(streams) => streams.get(),
            None => STREAMS_PER_CONNECTION,
        };
        let connections = wanted.div_ceil(streams_per_connection);
        let sources = if args.source.is_empty() {
            source::choose(&addresses, connections, source::ephemeral_ports())
        } else {
            args.source.clone()
        };
        let processors = || std::thread::available_parallelism().unwrap_or(std::num::NonZeroUsize::MIN);
        // A thread without a connection has nothing to do.
        let threads = args.threads.unwrap_or_else(processors).get().min(connections as usize);
        let dial = Dial { addresses, sources, tls, needs_http2: args.http2, read_rate: args.read_rate, tls_seen: OnceLock::new() };
        Ok(Self {
            first_request: target.request.http1(None),
            target,
            dial: Arc::new(dial),
            is_http2: args.http2,
            streams_per_connection,
            reconnect: args.reconnect,
            wanted,
            ramp: args.ramp,
            connecting: (args.connecting.get() as usize).div_ceil(threads),
            threads,
            hold: args.hold,
        })
    }

    /// When stream number `n` is due, of a load that began at `began`.
    pub(super) fn due(&self, began: Instant, n: u32) -> Instant {
        let after = if self.ramp == 0 { Duration::ZERO } else { Duration::from_secs(1) * n / self.ramp };
        began + after
    }

    /// The connection that stream number `n` is on.
    pub(super) fn connection_of(&self, n: u32) -> u32 {
        n / self.streams_per_connection
    }

    /// The streams of a thread, in order: those of a connection belong to one thread.
    pub(super) fn streams_of(&self, thread: usize) -> impl Iterator<Item = u32> {
        (0..self.wanted).filter(move |n| self.connection_of(*n) as usize % self.threads == thread)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Circumstances(format!("no thread can be started: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::parse;
    use super::*;

    async fn plan(arguments: &[&str]) -> Result<Plan, Problem> {
        Plan::new(&parse(&[&["http://127.0.0.1:1/", "--threads", "3"], arguments].concat()).unwrap()).await
    }

    #[tokio::test]
    async fn each_stream_belongs_to_one_thread_with_all_of_its_connection() {
        let plan = plan(&["-c", "1003", "--http2", "--streams-per-connection", "10"]).await.unwrap();
        let mut seen: Vec<u32> = Vec::new();
        let mut connections = Vec::new();
        for thread in 0..plan.threads {
            let streams: Vec<u32> = plan.streams_of(thread).collect();
            assert!(streams.is_sorted() && streams.len() > 300);
            let mut mine: Vec<u32> = streams.iter().map(|n| plan.connection_of(*n)).collect();
            mine.dedup();
            connections.extend(mine);
            seen.extend(streams);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1003));
        connections.sort_unstable();
        assert!(connections.into_iter().eq(0..101));
    }

    #[tokio::test]
    async fn no_thread_is_without_a_connection() {
        assert_eq!(plan(&["-c", "2"]).await.unwrap().threads, 2);
        assert_eq!(plan(&["-c", "100", "--http2"]).await.unwrap().threads, 1);
        assert_eq!(plan(&["-c", "9", "--connecting", "7"]).await.unwrap().connecting, 3);
    }

    #[tokio::test]
    async fn the_ramp_spreads_the_streams_evenly() {
        let began = crate::clock::now();
        let due = |plan: &Plan, n| plan.due(began, n) - began;
        let at_once = plan(&[]).await.unwrap();
        assert_eq!(due(&at_once, 500), Duration::ZERO);
        let ramped = plan(&["--ramp", "100"]).await.unwrap();
        assert_eq!((due(&ramped, 0), due(&ramped, 250)), (Duration::ZERO, Duration::from_millis(2500)));
        let slow = plan(&["--ramp", "1"]).await.unwrap();
        assert_eq!(due(&slow, u32::MAX), Duration::from_secs(u64::from(u32::MAX)));
    }

    #[tokio::test]
    async fn sources_of_the_other_family_are_refused() {
        let problem = plan(&["--source", "::1"]).await.unwrap_err();
        assert!(matches!(&problem, Problem::Arguments(text) if text.contains("--source ::1 cannot reach")), "{problem:?}");
    }
}
