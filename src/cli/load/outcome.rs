//! How streams end. Each has exactly one outcome, which is counted once.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::chunked::Malformed;

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was alive when the load ended.
    Open,
    /// It ended as its framing says, at a boundary.
    Clean,
    /// It came back, and was told by 204 that there is no more.
    Dismissed,
    /// It ended in any other way.
    Cut(Cut),
    /// The answer was no event stream.
    Refused {
        /// Its status, 200 when only the media type was wrong.
        status: u16,
    },
    /// There was no answer, or none that is HTTP.
    Failed(Failure),
}

impl Outcome {
    /// Whether an EventSource would come back after it (WHATWG HTML section 9.2.3): after the end of a stream and after a network
    /// error, but not after an answer that is no stream, nor where another try can only fail the same way.
    pub(super) fn comes_back(&self) -> bool {
        match self {
            Self::Clean | Self::Cut(_) => true,
            Self::Failed(failure) => {
                matches!(failure, Failure::Broken(_) | Failure::Closed | Failure::Malformed(_) | Failure::Reset(_))
            }
            Self::Open | Self::Dismissed | Self::Refused { .. } => false,
        }
    }
}

/// Why an open stream did not end properly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    /// Its framing ended properly, its last event did not.
    InsideEvent,
    /// The connection closed before the body was complete.
    Closed,
    /// The connection broke.
    Broken(io::ErrorKind),
    /// Its framing is wrong.
    Malformed(Malformed),
    /// It, or its connection, was reset by an HTTP/2 error code.
    Reset(u32),
}

/// Why a stream did not open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// This process, or the machine, has no descriptor left.
    Descriptors,
    /// No source port is left for that address.
    SourcePorts,
    /// This machine has no such address to connect from.
    Source,
    /// The connect failed, or the connection broke before an answer.
    Broken(io::ErrorKind),
    /// The TLS handshake failed.
    Tls(String),
    /// The server does not speak HTTP/2.
    NoHttp2,
    /// The connection closed before an answer.
    Closed,
    /// The answer is malformed.
    Malformed(Malformed),
    /// It, or its connection, was reset by an HTTP/2 error code before an answer.
    Reset(u32),
    /// The load ended before there was an answer.
    NoAnswer,
    /// The load ended while the stream waited for a place: the server allows only so many on a connection.
    StreamLimit(usize),
    /// The task that drove it died: a bug in load.
    Panicked,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        /// The numbers on Linux, the BSDs and macOS; no portable kind has them.
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        match (error.raw_os_error(), error.kind()) {
            (Some(ENFILE | EMFILE), _) => Self::Descriptors,
            (_, io::ErrorKind::AddrNotAvailable) => Self::SourcePorts,
            (_, kind) => Self::Broken(kind),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsideEvent => f.write_str("inside an event"),
            Self::Closed => f.write_str("closed without an end"),
            Self::Broken(kind) => write!(f, "{kind}"),
            Self::Malformed(what) => f.write_str(what),
            Self::Reset(code) => write!(f, "{}", reset(*code)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors => f.write_str("no file descriptor left"),
            Self::SourcePorts => f.write_str("no source port left"),
            Self::Source => f.write_str("no address of this machine"),
            Self::Broken(kind) => write!(f, "{kind}"),
            Self::Tls(why) => write!(f, "TLS: {why}"),
            Self::NoHttp2 => f.write_str("no HTTP/2"),
            Self::Closed => f.write_str("closed without an answer"),
            Self::Malformed(what) => f.write_str(what),
            Self::Reset(code) => write!(f, "{}", reset(*code)),
            Self::NoAnswer => f.write_str("no answer in time"),
            Self::StreamLimit(streams) => write!(f, "no place among {streams} streams on a connection"),
            Self::Panicked => f.write_str("a bug in ssedge load"),
        }
    }
}

fn reset(code: u32) -> String {
    format!("reset with {:?}", h2::Reason::from(code))
}

impl Failure {
    /// What to do about it, where that is ours to know.
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Descriptors => {
                "File descriptors ran out: each connection needs one, here and in the server. Raise the limit in this shell and try again:\n  \
                 ulimit -n 65536"
            }
            Self::SourcePorts => {
                "Source ports ran out: one address reaches one server port about 28,000 times. Connect from more addresses, or widen \
                 the range:\n  --source 192.0.2.1,192.0.2.2\n  sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\""
            }
            Self::Source => "An address given with --source does not belong to this machine: `ip address` lists those that do.",
            Self::Tls(_) => {
                "The TLS handshake failed. If nobody known issued the server's certificate, name who did or do without verification:\n  \
                 --ca FILE\n  --insecure"
            }
            Self::NoHttp2 => "The server does not offer HTTP/2 here: load it without --http2, or enable it there.",
            Self::StreamLimit(streams) => {
                return Some(format!(
                    "The server allows {streams} streams on an HTTP/2 connection. Use more connections:\n  --streams-per-connection {streams}"
                ));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// How many streams ended how.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) open: u32,
    pub(super) clean: u32,
    /// They came back and were told by 204 that there is no more.
    pub(super) dismissed: u32,
    pub(super) cut: BTreeMap<Cut, u32>,
    /// By status.
    pub(super) refused: BTreeMap<u16, u32>,
    pub(super) failed: BTreeMap<Failure, u32>,
    /// Ends after which streams came back, by what they were.
    pub(super) disconnects: BTreeMap<String, u32>,
}

impl Outcomes {
    /// Counts the end of one stream.
    pub(super) fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Open => &mut self.open,
            Outcome::Clean => &mut self.clean,
            Outcome::Dismissed => &mut self.dismissed,
            Outcome::Cut(why) => self.cut.entry(why).or_default(),
            Outcome::Refused { status } => self.refused.entry(status).or_default(),
            Outcome::Failed(why) => self.failed.entry(why).or_default(),
        };
        *count += 1;
    }

    /// Counts an end after which the stream comes back.
    pub(super) fn disconnect(&mut self, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Cut(why) => why.to_string(),
            Outcome::Failed(why) => why.to_string(),
            Outcome::Refused { status } => status.to_string(),
            Outcome::Clean | Outcome::Open | Outcome::Dismissed => "clean end".to_owned(),
        };
        *self.disconnects.entry(why).or_default() += 1;
    }

    /// Adds those of other streams.
    pub(super) fn merge(&mut self, other: &Self) {
        self.open += other.open;
        self.clean += other.clean;
        self.dismissed += other.dismissed;
        merge(&mut self.cut, &other.cut);
        merge(&mut self.refused, &other.refused);
        merge(&mut self.failed, &other.failed);
        merge(&mut self.disconnects, &other.disconnects);
    }
}

fn merge<K: Ord + Clone>(into: &mut BTreeMap<K, u32>, from: &BTreeMap<K, u32>) {
    for (why, count) in from {
        *into.entry(why.clone()).or_default() += count;
    }
}

/// All of them.
pub(super) fn sum<K>(counts: &BTreeMap<K, u32>) -> u32 {
    counts.values().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_something_is_told_apart() {
        assert_eq!(Failure::from(io::Error::from_raw_os_error(24)), Failure::Descriptors);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::AddrNotAvailable)), Failure::SourcePorts);
        let refused = io::ErrorKind::ConnectionRefused;
        assert_eq!(Failure::from(io::Error::from(refused)), Failure::Broken(refused));
    }

    #[test]
    fn what_is_merged_is_the_sum() {
        let mut one = Outcomes::default();
        let mut two = Outcomes::default();
        for outcome in [Outcome::Open, Outcome::Clean, Outcome::Cut(Cut::Closed), Outcome::Refused { status: 429 }] {
            one.add(outcome.clone());
            two.add(outcome.clone());
            two.disconnect(&outcome);
        }
        one.merge(&two);
        assert_eq!((one.open, one.clean, sum(&one.cut), one.refused[&429]), (2, 2, 2, 2));
        assert_eq!(one.disconnects["closed without an end"], 1);
    }

    #[test]
    fn only_ends_and_network_errors_bring_a_stream_back() {
        for back in [Outcome::Clean, Outcome::Cut(Cut::Closed), Outcome::Failed(Failure::Broken(io::ErrorKind::ConnectionRefused))]
        {
            assert!(back.comes_back(), "{back:?}");
        }
        for over in [Outcome::Refused { status: 204 }, Outcome::Failed(Failure::Descriptors), Outcome::Failed(Failure::NoHttp2)] {
            assert!(!over.comes_back(), "{over:?}");
        }
    }
}
