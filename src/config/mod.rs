//! The configuration: YAML in, a [`Config`] that cannot be wrong out.
//!
//! ```text
//!  text ──► index ──┐ places
//!     │             ├──► raw ────► schema ────► resolve ────► Config
//!     └► serde_yaml ┘ values  keys, forms     meaning
//!                                   └──── problems ────┴──► Problems
//! ```
//!
//! The file is read twice (style rule 8): `raw` mirrors it, each value as text with its place; `schema` collects what is
//! unknown, double or of the wrong form; `resolve` turns text into typed values and collects what is unusable. All problems come at
//! once, each with its place in the file and what to write instead; the lines of secrets are never shown (`secrecy`). `dump` writes a
//! `Config` as YAML again, `schema_json` the tables of keys for editors. The contract, key by key, is `conf/reference.yaml`.

pub mod defaults;

mod address;
mod dump;
mod env;
mod error;
mod index;
mod load;
mod raw;
mod reference;
mod resolve;
mod schema;
mod schema_json;
mod secrecy;
mod source;
mod units;
mod words;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::client_id::TrustedProxies;
use crate::message::forwarded::ForwardedPolicy;
use crate::route::{RouteTable, RouteTimeouts};
use crate::tls::ServerTlsSpec;
use crate::upstream::UpstreamSpec;

pub use crate::telemetry::logging::{LogFormat, LogLevel};
pub use dump::dump;
pub use error::{Place, Problem, Problems, Severity};
pub use load::{load, parse};
pub use schema_json::json_schema;

/// A configuration that was checked: every value is usable, every name leads somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect; at least one.
    pub listeners: Vec<ListenerSpec>,
    /// Where operators connect; `None` is `admin: off`.
    pub admin: Option<SocketAddr>,
    /// Worker threads, at least one.
    pub threads: usize,
    /// Bounds on what one client may send.
    pub limits: Limits,
    /// Deadlines of a client connection.
    pub timeouts: ClientTimeouts,
    /// How the process leaves.
    pub drain: DrainSpec,
    /// Networks whose forwarding fields count.
    pub trusted_proxies: TrustedProxies,
    /// What upstreams are told of clients.
    pub forwarded: ForwardedPolicy,
    /// `reload.watch`: files of certificates are read again when they change.
    pub watch: bool,
    /// Logs.
    pub log: LogSpec,
    /// All upstreams, in the order of the file.
    pub upstreams: Vec<Arc<UpstreamSpec>>,
    /// Deadlines of an exchange that routes inherit; each route has its own, resolved.
    pub inherited: RouteTimeouts,
    /// All routes, in the order of the file.
    pub routes: RouteTable,
}

/// One entry of `listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSpec {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// What its clients speak TLS with; `None` for cleartext.
    pub tls: Option<ServerTlsSpec>,
    /// Bounds of its HTTP/2 connections.
    pub http2: ListenerHttp2,
    /// `proxy_protocol: accept`: connections of trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The port of HTTPS that requests are sent to; `None` is `off`.
    pub redirect_to_https: Option<u16>,
}

/// `listeners[].h2`: bounds of one HTTP/2 connection of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerHttp2 {
    /// Streams at once, at least 1 (RFC 9113 section 5.1.2).
    pub streams: u32,
    /// What the client may send on one stream before it was taken, in bytes (RFC 9113 section 6.9.2).
    pub stream_window: u32,
    /// The same over all streams, in bytes; never less than `stream_window`.
    pub connection_window: u32,
    /// A connection on which no stream is open is closed after so long.
    pub idle: Duration,
}

/// `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head; 431 beyond.
    pub request_head: usize,
    /// Bytes of a request body; 413 beyond. `None` for any size.
    pub request_body: Option<u64>,
    /// Connections of clients at once; `None` is `auto`: (descriptors - reserve) / 2.
    pub connections: Option<usize>,
    /// Connections of one client at once; `None` for any number. Trusted proxies are exempt.
    pub connections_per_client: Option<u32>,
    /// New connections of one client a second; `None` for any number. Trusted proxies are exempt.
    pub connect_rate_per_client: Option<NonZeroU32>,
    /// Event streams at once, in all; `None` for any number.
    pub streams: Option<u32>,
}

/// The part of `timeouts` that concerns a client connection; the rest is in each route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// Whole head, first byte to last; also from accept to the first byte.
    pub request_head: Duration,
    /// Idle connection between two requests.
    pub keep_alive: Duration,
    /// A client takes nothing for so long; also its TCP user timeout.
    pub write_stall: Duration,
}

/// `drain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainSpec {
    /// Between the failing of `/readyz` and the closing of listeners.
    pub lag: Duration,
    /// Window over which subscriptions are ended, evenly; zero for all at once.
    pub spread: Duration,
    /// What is left then is cut.
    pub deadline: Duration,
}

/// `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpec {
    /// What is logged at all.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Where the access log goes.
    pub access: AccessLog,
}

/// `log.access`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// Standard output.
    #[default]
    Stdout,
    /// None.
    Off,
    /// A file, which USR1 reopens.
    File(PathBuf),
}
