//! The Pingora shell: the only code that touches Pingora's sessions.
//!
//! ```text
//! accept ──► door ──► app ──► exchange ──┬──► the response, forwarded on Pingora's sessions ──► door
//!           (judged)                     └──► detach ──► relay (two raw sockets, the engine)
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | [`door`] | the connection before Pingora: deadlines, raw heads, keep-alive |
//! | [`app`] | one request: route, exchange |
//! | [`exchange`] | one request up to the head of its response |
//! | `forward` | a response that is no event stream |
//! | `body_sender` | a request's body on its way, beside its answer |
//! | [`detach`] | from Pingora's sessions to the two raw sockets |
//! | `stream` | from an answered exchange to the relay |
//! | [`relay`] | one event stream |
//! | [`reject`] | the answers that we give ourselves |
//! | [`record`] | gauges, counters and log lines of connections and streams |

pub mod app;
mod body_sender;
pub mod detach;
pub mod door;
pub mod exchange;
mod forward;
pub mod record;
pub mod reject;
pub mod relay;
mod stream;

pub use app::{App, RouteContext};
pub use door::{Door, DoorSettings};
