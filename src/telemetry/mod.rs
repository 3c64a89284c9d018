//! What operators see: metrics and logs. It observes and steers nothing. Labels of metrics come from the configuration or from enums,
//! never from a client; what a client wrote goes into the access log only, and there it is escaped.

pub mod access_log;
pub mod logging;
mod metrics;
mod seldom;
mod summary;

pub use access_log::AccessLog;
pub use metrics::{
    ConnectionCap, ConnectionKind, DelaySampler, HeartbeatFrame, Http2End, Labels, Metrics, OpenConnection, OpenStream,
    ProxyHeaderFault, RouteMetrics, ServerState, SilentBefore, StatusClass, StreamCap, TlsHandshake, UpstreamMetrics,
};
pub use seldom::Seldom;
pub use summary::Ends;
