//! What holds when the file says nothing, and how far what it says may go. Each number with its reason.
//!
//! `conf/reference.yaml` shows the same values; a test holds the two together. Nothing else in the code names a default of the
//! configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::stream::{FrameChoice, HeartbeatPolicy};

/// The smallest configuration: clients at port 8080, one server on this machine.
pub const SMALLEST_CONFIG: &str = "listeners: [ { address: \"0.0.0.0:8080\" } ]\n\
     upstreams: { app: { servers: [ \"127.0.0.1:3000\" ] } }\n\
     routes: [ { upstream: app } ]";

/// `admin.address`: loopback only, since what it shows is for operators.
pub const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);

/// `limits.request_head`: eight times what RFC 9112 section 3 wants of a request line (8,000 octets); room for the large cookies of
/// single sign-on.
pub const REQUEST_HEAD_SIZE: usize = 64 << 10;

/// `timeouts.request_head`: a head is one packet or two, even over a bad mobile link; longer is a slow attack.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// `timeouts.connect`: a server on the same network answers in milliseconds; two lost SYN packets (1 s and 2 s) fit.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// `timeouts.response_head`: a large language model may think for minutes before its first byte.
pub const RESPONSE_HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// `timeouts.write_stall`: a phone in a tunnel comes back within a minute; a client that takes nothing for longer is gone.
pub const WRITE_STALL: Duration = Duration::from_secs(60);

/// `timeouts.keep_alive`: longer than the 60 s after which common load balancers close, so that they never meet a closed connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// `drain.deadline`: within the 30 s that Kubernetes grants before it kills, with some seconds to spare.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(25);

/// `routes[].heartbeat.interval`: a quarter of the idle limit of common hops on the way (60 s: nginx, ALB), so that a late beat does
/// no harm.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// `routes[].heartbeat.frame`: the engine knows which frame breaks which client.
pub const HEARTBEAT_FRAME: FrameChoice = FrameChoice::Auto;

/// `routes[].heartbeat`: on, because a stream that dies of silence is what this product is against. The text is empty: every byte
/// is paid per client and interval.
#[must_use]
pub fn heartbeat() -> HeartbeatPolicy {
    HeartbeatPolicy { interval: HEARTBEAT_INTERVAL, frame: HEARTBEAT_FRAME, text: String::new() }
}

/// `threads: auto`: one for each core that this process may use.
#[must_use]
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// A file beyond this is no configuration; the bound keeps the work on a hostile one small.
pub const LARGEST_FILE: usize = 1 << 20;

/// `limits.request_head`: below, browsers' own fields do not fit; above, one client could claim what a thousand need.
pub const REQUEST_HEAD_SIZES: RangeInclusive<u64> = (1 << 10)..=(1 << 20);

/// `timeouts`: above zero, since zero would end everything at once. A week is for ever to a connection and still fits the
/// milliseconds of TCP_USER_TIMEOUT.
pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(7 * 24);

/// `drain.deadline`: zero cuts at once.
pub const DRAIN_DEADLINES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(7 * 24);

/// `routes[].heartbeat.interval`: faster is a load, not a sign of life; slower than a day no idle limit needs.
pub const HEARTBEAT_INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

/// `routes[].heartbeat.text`, in bytes: a word for whoever reads along with curl, not a payload.
pub const LONGEST_HEARTBEAT_TEXT: usize = 256;

/// `threads`: more than any machine has cores; beyond it is a typing error.
pub const MOST_THREADS: usize = 1024;
