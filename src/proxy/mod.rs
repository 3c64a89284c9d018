//! The Pingora shell: the only code that touches sessions and connections of clients.
//!
//! ```text
//! accept ──► door ──┬───────────────► app ──► exchange ──┬──► forward: an ordinary response ──► door
//!           (judged)└─► http2_door ─►   (route)  (ask)   ├──► stream ──► relay (two raw ends, the engine)
//!                      (many streams)                    └──► tunnel (two raw sockets)
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | [`door`] | the connection before Pingora: deadlines, raw heads, keep-alive |
//! | [`entrance`] | who may connect, and for whom: caps, rates, PROXY headers |
//! | `tls_door` | the handshake in front of all |
//! | `http2_door`, `http2_connection` | a connection that speaks HTTP/2 |
//! | `http2_meter`, `http2_end` | what its client may make it do; how it ended |
//! | [`listener`] | what holds for all connections of one listener |
//! | `https_redirect` | a listener that sends everybody to HTTPS |
//! | `call` | one request under way, as it goes from hand to hand |
//! | [`app`] | one request: route, exchange |
//! | [`exchange`] | one request and its response |
//! | `cors` | preflights, answered before all else |
//! | `auth` | another server is asked whether a request may pass |
//! | `ask` | choose a server, send, read heads |
//! | [`downstream`] | the answering half towards a client, over HTTP/1 or HTTP/2 |
//! | `server_response` | a server's response on its way in, over HTTP/1 or HTTP/2 |
//! | `upload` | the request's body on its way, beside its answer |
//! | `request_body`, `body_sender` | its two ends |
//! | `forward` | a response that is no event stream |
//! | `stream` | from an answered exchange to the relay |
//! | [`relay`] | one event stream |
//! | `tunnel` | a connection that switched protocols |
//! | `http2_write`, `http2_turns`, `http2_outlet` | writing to a stream within its window; when it goes out; as one write |
//! | `redirect` | a request that is sent elsewhere |
//! | [`reject`] | the answers that we give ourselves |
//! | `soft` | what an EventSource gets in place of some of them |
//! | [`record`] | gauges, counters and log lines of connections and streams |

pub mod app;
mod ask;
mod auth;
mod body_sender;
mod call;
mod carrier;
mod cors;
pub mod door;
pub mod downstream;
pub mod entrance;
pub mod exchange;
mod forward;
mod http1_client;
mod http1_response;
mod http2_connection;
mod http2_door;
mod http2_end;
mod http2_meter;
mod http2_outlet;
mod http2_turns;
mod http2_write;
mod https_redirect;
mod in_time;
pub mod listener;
pub mod record;
mod redirect;
pub mod reject;
pub mod relay;
mod request_body;
mod server_response;
mod soft;
mod stream;
mod tls_door;
mod tunnel;
mod upload;

pub use app::{App, ForwardContext, RouteContext};
pub use auth::AuthContext;
pub use door::{Door, DoorSettings};
pub use entrance::Entrance;
pub use listener::{Http2Settings, Listener};
