//! The embedded demo origin: a small event stream server of its own, and the page that shows what arrives.
//!
//! `ssedge demo` puts it behind the proxy, so that a stranger sees events and heartbeats live with no file and no server of their
//! own. The origin behaves like an ordinary application: ids, named events, a reconnection time, `Last-Event-ID`. It never does the
//! proxy's work: no heartbeats and no header against buffering come from here, so that what the page shows of them is the proxy's.
//!
//! | file | what it is |
//! |---|---|
//! | `broadcast.rs` | the events: one numbered backlog, one schedule of ticks and pauses, all clients |
//! | `http.rs` | just enough HTTP/1.1 to be a correct origin (RFC 9112) |
//! | `origin.rs` | listener, paths, the stream |
//! | `page.html` | the page, one file without external resources |

mod broadcast;
mod http;
mod origin;

pub use broadcast::Pace;
pub use origin::Origin;

#[cfg(test)]
mod tests;
