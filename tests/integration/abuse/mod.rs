//! Abuse, and those who are served beside it. Each test has one abuser, bounded in number and time, and four well-behaved event streams:
//! HTTP/1.1 and HTTP/2, in cleartext and over TLS ([`scene`]). The process keeps its memory within a bound that the test argues, does
//! not panic, names in its metrics or its log how the abuse ended, and the streams beside it lose nothing and wait for nothing.
//!
//! | module | the abuse |
//! |---|---|
//! | [`heads`] | clients that say nothing, heads that dribble, heads without an end |
//! | [`bodies`] | uploads that stop, and uploads without an end that nobody reads |
//! | [`readers`] | clients that ask for much and read nothing |
//! | [`lines`] | lines and events of an event stream that no memory should hold |
//! | [`servers`] | servers whose heads have no end |
//! | [`noise`] | bytes that are no protocol |
//! | [`handshakes`] | TLS that stops half-way, is cut into crumbs, or floods |

mod bodies;
mod handshakes;
mod heads;
mod lines;
mod noise;
mod readers;
pub(crate) mod scene;
mod servers;

/// One MiB.
const MIB: u64 = 1 << 20;
