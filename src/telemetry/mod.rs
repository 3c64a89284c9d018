//! What operators see: metrics and logs. Labels come from the configuration or from enums, never from a client.

pub mod logging;
mod metrics;

pub use metrics::Metrics;
