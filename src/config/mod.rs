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
//! once, each with its place in the file and what to write instead. The contract, key by key, is `conf/reference.yaml`.

pub mod defaults;

mod address;
mod env;
mod error;
mod index;
mod load;
mod raw;
mod resolve;
mod schema;
mod source;
mod units;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::route::RouteTable;
use crate::upstream::UpstreamSpec;

pub use error::{Place, Problem, Problems, Severity};
pub use load::{load, parse};

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
    /// All upstreams, in the order of the file.
    pub upstreams: Vec<Arc<UpstreamSpec>>,
    /// All routes, in the order of the file.
    pub routes: RouteTable,
}

/// One entry of `listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSpec {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
}

/// `limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head; 431 beyond.
    pub request_head: usize,
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
    /// What is left then is cut.
    pub deadline: Duration,
}
