//! ssedge seen from outside: the real binary between a scripted origin and a raw client, over real sockets. A module per promise.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by panicking and says why")]

mod support;

mod admin;
mod backpressure;
mod cli;
mod config_files;
mod detection;
mod door;
mod drain;
mod ends;
mod heartbeat;
mod real;
mod regressions;
mod requests;
mod streaming;
