//! What holds when the file says nothing, and how far what it says may go. Each number with its reason.
//!
//! `conf/reference.yaml` shows the same values; a test holds the two together. Nothing else in the code names a default of the
//! configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::ListenerHttp2;
use crate::stream::{FrameChoice, HeartbeatPolicy};
use crate::upstream::{EjectionSpec, Http2Spec};

/// The smallest configuration: clients at port 8080, one server on this machine.
pub const SMALLEST_CONFIG: &str = "listeners: [ { address: \"0.0.0.0:8080\" } ]\n\
     upstreams: { app: { servers: [ \"127.0.0.1:3000\" ] } }\n\
     routes: [ { upstream: app } ]";

/// `admin.address`: loopback only, since what it shows is for operators.
pub const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);

/// `limits.request_head`: eight times what RFC 9112 section 3 wants of a request line (8,000 octets); room for the large cookies of
/// single sign-on.
pub const REQUEST_HEAD_SIZE: usize = 64 << 10;

/// `listeners[].h2`. 128 streams are the number that most servers allow, and more than the 100 that RFC 9113 section 6.5.2 wants at
/// least. 256 KiB are a round trip of 10 ms at 200 Mbit/s. 1 MiB is what one connection may leave in our memory, and four uploads
/// that stand still are needed to stop the others. Idle as [`KEEP_ALIVE`], for the same reason.
pub const LISTENER_HTTP2: ListenerHttp2 =
    ListenerHttp2 { streams: 128, stream_window: 256 << 10, connection_window: 1 << 20, idle: KEEP_ALIVE };

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

/// `timeouts.request_body_idle`: as patient as [`WRITE_STALL`], in the other direction.
pub const REQUEST_BODY_IDLE: Duration = Duration::from_secs(60);

/// `timeouts.response_body_idle`: as [`RESPONSE_HEAD_TIMEOUT`], since a slow answer may be slow in its middle too.
pub const RESPONSE_BODY_IDLE: Duration = Duration::from_secs(300);

/// `drain.lag`: none, since not everybody has a load balancer that watches `/readyz`.
pub const DRAIN_LAG: Duration = Duration::ZERO;

/// `drain.spread`: thousands of clients that come back within one second hurt whoever takes them; ten seconds fit into
/// [`DRAIN_DEADLINE`] with room for token streams to finish.
pub const DRAIN_SPREAD: Duration = Duration::from_secs(10);

/// `timeouts.tunnel_idle`: longer than the pings of any common WebSocket library, and than a pause for lunch of those that send none;
/// keepalive probes find peers that are gone long before.
pub const TUNNEL_IDLE: Duration = Duration::from_hours(1);

/// `routes[].upgrades`: the one that pages use.
pub const UPGRADES: [&str; 1] = ["websocket"];

/// `routes[].redirect.status`: keeps the method and the body, so that nothing is lost on the way, and is remembered, since what is written
/// into a file lasts. The others are for who means something else (RFC 9110 section 15.4).
pub const REDIRECT_STATUS: u16 = 308;

/// `upstreams.NAME.resolve`: the time to live that container networks and cloud balancers give their names (5 s to 60 s).
pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(10);

/// `upstreams.NAME.keep_alive`: below the 5 s after which Node and uvicorn drop an idle connection.
pub const SERVER_KEEP_ALIVE: Duration = Duration::from_secs(4);

/// `upstreams.NAME.h2`: argued where it stands, since connections without a file have it too.
#[must_use]
pub fn http2() -> Http2Spec {
    Http2Spec::default()
}

/// `upstreams.NAME.servers[].weight`: an equal share.
pub const WEIGHT: u32 = 1;

/// `upstreams.NAME.health.interval`: with [`HEALTH_FALL`] a dead server is found within ten seconds.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(5);

/// `upstreams.NAME.health.timeout`: a check that takes longer is no sign of health. Never longer than the interval.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// `upstreams.NAME.health.rise`: one success may be luck.
pub const HEALTH_RISE: u32 = 2;

/// `upstreams.NAME.health.fall`: one failure may be a lost packet.
pub const HEALTH_FALL: u32 = 2;

/// `upstreams.NAME.ejection`: three in a row are no accident, and ten seconds are long enough for a restart.
pub const EJECTION: EjectionSpec = EjectionSpec { failures: 3, duration: Duration::from_secs(10) };

/// `routes[].max_age.jitter`: spreads the returns of clients that came together over a tenth of their age.
pub const MAX_AGE_JITTER: u8 = 10;

/// `routes[].sticky.max_age`: longer than a visit; renewed while it lasts.
pub const PIN_MAX_AGE: Duration = Duration::from_hours(1);

/// `routes[].caps.ipv6_prefix`: one customer has a whole /64 (RFC 6177 section 2).
pub const IPV6_PREFIX: u8 = 64;

/// `routes[].cors.headers`: what pages send that read streams with `fetch` or with a library in place of `EventSource`: a token, the
/// type of a body in JSON, the id to go on after, and `no-cache`. `EventSource` itself needs none of them, nor does `Accept`.
pub const CORS_HEADERS: [&str; 4] = ["Authorization", "Cache-Control", "Content-Type", "Last-Event-ID"];

/// `routes[].cors.credentials`: they show what belongs to a user, so the file has to say that another origin may read it.
pub const CORS_CREDENTIALS: bool = false;

/// `routes[].cors.max_age`: a page asks once a visit and not once a request, and an origin that is taken off the list is out within
/// minutes.
pub const CORS_MAX_AGE: Duration = Duration::from_mins(10);

/// `routes[].cors.max_age`: no browser remembers for longer than a day; zero is not at all.
pub const CORS_MAX_AGES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// `routes[].soft_errors`: on, because without it one 502 during a deploy freezes every page for good. Nobody but an EventSource sees
/// one, and to that it says no more than the status would have said.
pub const SOFT_ERRORS: bool = true;

/// `listeners[].h2.streams` and `upstreams.NAME.h2.streams`: more on one connection wait for each other; beyond it is a typing error.
pub const MOST_STREAMS: u64 = 10_000;

/// `listeners[].h2` and `upstreams.NAME.h2`: a connection's window begins at 65,535 bytes and can only grow (RFC 9113 section 6.9.2), and streams get no less
/// here so that a peer may send before it saw our settings; the bound above is section 6.9.1's.
pub const WINDOWS: RangeInclusive<u64> = 65_535..=(1 << 31) - 1;

/// A file beyond this is no configuration; the bound keeps the work on a hostile one small.
pub const LARGEST_FILE: usize = 1 << 20;

/// `limits.request_head`: below, browsers' own fields do not fit; above, one client could claim what a thousand need.
pub const REQUEST_HEAD_SIZES: RangeInclusive<u64> = (1 << 10)..=(1 << 20);

/// `limits.request_body`: beyond it is a typing error.
pub const REQUEST_BODY_SIZES: RangeInclusive<u64> = 1..=(1 << 50);

/// `timeouts`: above zero, since zero would end everything at once. A week is for ever to a connection and still fits the
/// milliseconds of TCP_USER_TIMEOUT.
pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(7 * 24);

/// `drain`: zero is at once.
pub const DRAIN_SPANS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(7 * 24);

/// `routes[].heartbeat.interval`: faster is a load, not a sign of life; slower than a day no idle limit needs.
pub const HEARTBEAT_INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

/// `routes[].heartbeat.text`, in bytes: a word for whoever reads along with curl, not a payload.
pub const LONGEST_HEARTBEAT_TEXT: usize = 256;

/// `threads`: more than any machine has cores; beyond it is a typing error.
pub const MOST_THREADS: usize = 1024;

/// `resolve` and `health.interval`: faster is a load, not a measure; slower than a day is never.
pub const CHECK_INTERVALS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(24);

/// `routes[].max_age.after`: shorter is no stream any more.
pub const MAX_AGES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(30 * 24);

/// `routes[].sticky.max_age`: cookies count seconds (RFC 6265 section 5.2.2), and browsers forget them after 400 days.
pub const PIN_MAX_AGES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(400 * 24);

/// `routes[].sticky.secrets`, in bytes each: as many as the key that is derived from it is strong.
pub const SHORTEST_SECRET: usize = 32;

/// Connections and streams: more than one machine holds; beyond it is a typing error.
pub const MOST_CONNECTIONS: u64 = 10_000_000;

/// `weight`: finer shares are never measured.
pub const MOST_WEIGHT: u64 = 1000;

/// `rise`, `fall`, `failures`: more in a row come too late for anybody.
pub const MOST_IN_A_ROW: u64 = 1000;

/// A unix socket's path, in bytes (`sun_path` of Linux without its end).
pub const LONGEST_SOCKET_PATH: usize = 107;
