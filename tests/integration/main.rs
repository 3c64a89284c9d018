//! ssedge seen from outside: the real binary between a scripted origin and a raw client, over real sockets. A module per promise.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking and says why")]

mod support;

mod admin;
mod auth;
mod backpressure;
mod body_limit;
mod bombs;
mod bulk;
mod caps;
mod cli;
mod codings;
mod config_files;
mod detection;
mod door;
mod drain;
mod duplex;
mod early;
mod ends;
mod forwarding;
mod header_edits;
mod heartbeat;
mod http2_bodies;
mod http2_clients;
mod http2_codings;
mod http2_drain;
mod http2_heads;
mod http2_hostile;
mod http2_limits;
mod http2_servers;
mod http2_streams;
mod keys;
mod pins;
mod proof;
mod real;
mod redirects;
mod regressions;
mod requests;
mod rewrites;
mod routes;
mod servers;
mod streaming;
mod tunnels;
mod upgrades;
mod upstreams;
mod versions;
