//! The arguments of `ssedge load`, as a stranger reads them in `--help`.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

/// Longest `--hold`.
const MAX_HOLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// What `--help` says behind the options.
pub(in crate::cli) const EXPLAINED: &str = "\
What is measured:
  connect      from the begin of a connect until the connection stands, TLS included
  first byte   from the begin of a stream's connect to the first byte of its answer
  first event  the same to the end of its first event
  latency      from the time in an event to the moment when it was read. An event has one when its data opens with ts= and
               nanoseconds since the UNIX epoch. A server that writes there when the event was due, and not when it came to send it,
               makes this latency free of coordinated omission: what held the server up counts too. Both clocks must agree. Events
               stamped before their stream's connect began were replayed and have no latency here.
  integrity    whether each id of a stream that is a number is one more than the one before; across reconnects too

Exit codes: 0 all streams opened, lived or ended properly, and were whole; 1 some did not; 2 the arguments make no sense.

Examples:
  ssedge load http://127.0.0.1:8080/events -c 5000 --hold 60s
  ssedge load https://edge.example/events -c 1000 --ramp 100 --http2 --json
  ssedge load http://127.0.0.1:8080/events -c 100 --read-rate 1000";

/// Open many event streams, hold them, and count what arrives.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct LoadArgs {
    /// Where the streams are: `http://HOST[:PORT]/PATH` or `https://HOST[:PORT]/PATH`
    pub(super) url: String,

    /// How many streams to open
    #[arg(short, long, value_name = "N", default_value = "100")]
    pub(super) connections: NonZeroU32,

    /// How long to hold them once all were opened: 250ms, 30s, "1m 30s"
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(super) hold: Duration,

    /// Streams to open per second; 0 is as fast as possible
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0)]
    pub(super) ramp: u32,

    /// Streams that may wait for their connection or their answer at once; more than the server's accept queue holds only make
    /// its kernel drop connects
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) connecting: NonZeroU32,

    /// Threads; as many as there are processors unless given
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<NonZeroUsize>,

    /// Print JSON, an object a line: one each second while it runs, and the report at the end
    #[arg(long)]
    pub(super) json: bool,

    /// A request header field, "Name: value"; may be given many times
    #[arg(short = 'H', long = "header", value_name = "FIELD", help_heading = "Request")]
    pub(super) headers: Vec<String>,

    /// The request method; GET, or POST with --data
    #[arg(short = 'X', long, value_name = "METHOD", help_heading = "Request")]
    pub(super) method: Option<String>,

    /// The request body; application/json unless a Content-Type field says otherwise
    #[arg(short, long, value_name = "TEXT", help_heading = "Request")]
    pub(super) data: Option<String>,

    /// HTTP/2: by ALPN for https, by prior knowledge for http
    #[arg(long, help_heading = "Connection")]
    pub(super) http2: bool,

    /// Streams that share an HTTP/2 connection; 100 unless given
    #[arg(long, value_name = "N", requires = "http2", help_heading = "Connection")]
    pub(super) streams_per_connection: Option<NonZeroU32>,

    /// PEM file of the authorities that may have issued the server's certificate; those of this machine unless given
    #[arg(long, value_name = "FILE", conflicts_with = "insecure", help_heading = "Connection")]
    pub(super) ca: Option<PathBuf>,

    /// Take any certificate, without verification
    #[arg(long, help_heading = "Connection")]
    pub(super) insecure: bool,

    /// Addresses of this machine to connect from, in turn; a list, or many times. Unless given the system chooses, and for a
    /// loopback target more 127.0.0.x are taken when the ports of one are not enough
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', help_heading = "Connection")]
    pub(super) source: Vec<IpAddr>,

    /// Read only so many bytes a second of each stream, as slow clients do
    #[arg(long, value_name = "BYTES", help_heading = "Client")]
    pub(super) read_rate: Option<NonZeroU32>,

    /// Come back when a stream ends, is cut or finds no server, as an EventSource does: after `retry:` (3s until one came), with
    /// Last-Event-ID, until the server answers 204
    #[arg(long, help_heading = "Client")]
    pub(super) reconnect: bool,
}

/// `250ms`, `30s`, `1m 30s`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number with its unit, such as `250ms`, `30s` or `1m 30s`".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from(duration).map_err(|_| wrong())?;
    if duration > MAX_HOLD { Err("longer than 7 days".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LoadArgs,
    }

    /// What the command line `ssedge load ...` says.
    pub(in crate::cli::load) fn parse(arguments: &[&str]) -> Result<LoadArgs, clap::Error> {
        Line::try_parse_from(["load"].iter().chain(arguments)).map(|line| line.args)
    }

    #[test]
    fn a_hold_has_its_unit_and_a_bound() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "30", "-5s", "soon"] {
            assert!(parse_duration(wrong).is_err_and(|why| why.contains("with its unit")), "{wrong:?}");
        }
        assert_eq!(parse_duration("400h"), Err("longer than 7 days".to_owned()));
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for wrong in [
            &["http://a/", "--streams-per-connection", "5"][..],
            &["https://a/", "--ca", "x", "--insecure"],
            &["http://a/", "--source", "localhost"],
            &["http://a/", "--read-rate", "0"],
            &["http://a/", "--threads", "0"],
            &["http://a/", "-c", "0"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let args = parse(&["http://a/", "--source", "127.0.0.2,127.0.0.3", "--source", "::1"]).unwrap();
        assert_eq!(args.source.len(), 3);
    }
}
