//! The servers behind us and the connections to them.

mod pool;
mod spec;

pub use pool::{ConnectError, Connection, Pool};
pub use spec::{ServerAddress, UpstreamSpec};
