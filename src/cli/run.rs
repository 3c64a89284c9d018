//! `ssedge run --config FILE`: the proxy, in the foreground until a signal says otherwise.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::{FINE, WRONG_USAGE, complain};
use crate::config;
use crate::server::{self, Bound};

pub(super) fn run(path: &Path) -> u8 {
    let (config, warnings) = match config::load(path) {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain(&format!("the configuration cannot be used\n{problems}"));
            return WRONG_USAGE;
        }
    };
    server::init_logging(&config.log);
    for warning in warnings.iter() {
        tracing::warn!(line = warning.place.map(|place| place.line), help = warning.help, "configuration: {}", warning.message);
    }
    let bound = match Bound::new(config) {
        Ok(bound) => bound,
        Err(error) => return complain(&error.to_string()),
    };
    let line = start_line(&bound.urls(), bound.admin_address());
    match bound.run(move || announce(&line)) {
        Ok(()) => FINE,
        Err(error) => complain(&error.to_string()),
    }
}

/// One line with the real addresses, for people and for tests: `ssedge 0.1.0 running: listening on http://127.0.0.1:8080, admin on …`.
pub(super) fn start_line(listeners: &[String], admin: Option<SocketAddr>) -> String {
    let admin = admin.map_or_else(|| "admin off".to_owned(), |address| format!("admin on http://{address}"));
    format!("ssedge {} running: listening on {}, {admin}", env!("CARGO_PKG_VERSION"), listeners.join(", "))
}

/// Whoever closed our standard output does not want to know.
fn announce(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
