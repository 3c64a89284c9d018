//! ssedge: the reverse proxy that server-sent events survive.
//!
//! Data flows one way; the stream engine knows neither sockets nor clocks.
//!
//! ```text
//!       YAML ──► config ──► server ──┬──► proxy ───── relay ───────┐
//!                (valid)   (wiring)  │   (exchange)   (I/O shell)  │ bytes, now
//!                                    │                             ▼
//!   admin ◄── telemetry, drain  ◄────┘                          stream ──► sse
//!   (reads)                                      actions ◄────  (engine)   (wire)
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`sse`] | the wire format: scanner, fields, frames, media type |
//! | [`stream`] | the stream engine: `(input, now)` to actions |
//! | [`message`] | HTTP heads: judged, rebuilt, stripped of hop-by-hop fields |
//! | [`route`] | which policy a request gets |
//! | [`upstream`] | the servers behind us and the connections to them |
//! | [`drain`] | from serving to closed: who still runs and who must end when |
//! | [`telemetry`] | metrics and logs |
//! | [`config`] | YAML in, a configuration that cannot be wrong out |
//! | [`tls`] | certificates and keys: files in, settings out, reloaded |
//! | [`transport`] | the connections under the HTTP sessions |
//! | [`proxy`] | the Pingora shell: door, exchange, relay |
//! | [`admin`] | `/metrics`, `/healthz`, `/readyz` |
//! | [`server`] | wiring: listeners, services, signals |
//! | [`demo`] | the embedded origin and its page |
//! | [`cli`] | the commands |
//! | [`clock`] | the one place that reads the clock |
//!
//! Who may import whom is a table in `tests/architecture.rs`.

pub mod admin;
pub mod admission;
pub mod affinity;
pub mod cli;
pub mod client_id;
pub mod clock;
pub mod config;
pub mod demo;
pub mod drain;
pub mod ip_text;
pub mod message;
pub mod proxy;
pub mod route;
pub mod server;
pub mod sse;
pub mod stream;
pub mod telemetry;
pub mod tls;
pub mod transport;
pub mod upstream;
