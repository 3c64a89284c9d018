//! The wire format of server-sent events: WHATWG HTML section 9.2, as bytes.
//!
//! Pure: it knows the standard, not HTTP, and neither sockets nor clocks. It never copies the bytes of an event, except the last
//! event id, and never changes them.
//!
//! | module | what it is |
//! |---|---|
//! | `scanner` | incremental positions and boundaries of a stream that passes by |
//! | `line` | the line that is cut by the end of a chunk |
//! | `event_id` | the last event id, staged and committed |
//! | `field` | one line into data, event, id, retry, comment |
//! | [`encode`] | heartbeats, `retry:` lines, whole events |
//! | [`media_type`] | is this an event stream, does this accept one |

pub mod encode;
mod event_id;
mod field;
mod line;
pub mod media_type;
mod scanner;

pub use encode::{Event, Frame, LineEnd};
pub use event_id::{EventId, MAX_ID_LEN};
pub use field::Field;
pub use media_type::{accepts_event_stream, is_event_stream};
pub use scanner::{Position, Scan, Scanner};
