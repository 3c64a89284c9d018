//! Tools that people use, through the real binary: servers behind it, clients before it. All of them need something that
//! `cargo test` alone does not, so they are ignored there and run by `.ci/run`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`express`] | one server that does as it is told, `curl` and `eventsource` in step with it |
//! | [`http2`] | gRPC, Node and `curl` over HTTP/2 |
//! | [`matrix`] | every client on every server that it can talk to, and the table in the README that comes of it |
//! | [`abuse`] | `slowhttptest`, `h2load`, `openssl`, and `curl` over every way in |
//! | [`browser`] | pages in Chromium that outlive their servers, and ask other origins |
//! | [`client`], [`server`] | how those run, what they are called |
//! | [`expected`] | what a client must print, and nothing else |
//! | [`raw`] | an event stream as `curl` prints it, with its heartbeats |
//! | [`tool`] | programs beside a test, and what must be installed for them |
//! | [`versions`] | what they are pinned to |

mod abuse;
mod browser;
mod client;
mod expected;
mod express;
mod http2;
mod matrix;
mod raw;
mod server;
mod tool;
mod versions;
