//! Logs, to standard error: one line each, ours and Pingora's (which logs through `log`).
//!
//! `SSEDGE_LOG` overrides the level, in the syntax of `tracing_subscriber`'s `EnvFilter`: `debug`, `info,pingora_core=debug`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Pingora tells of each disconnect; what matters of it we log ourselves.
const DEFAULT_FILTER: &str = "info,pingora=off,pingora_core=off,pingora_pool=off,pingora_runtime=off";

/// Sets up logging for this process. A second call has no effect.
pub fn init() {
    let filter = EnvFilter::try_from_env("SSEDGE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}
