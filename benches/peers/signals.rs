//! Ctrl-C and TERM: every child ends, then this process does.

use tokio::signal::unix::{SignalKind, signal};

use crate::{Fallible, process, tell};

/// What a shell says of a command that INT ended.
const INTERRUPTED: i32 = 130;

/// Watches for them on a thread of its own, from now on.
pub(crate) fn watch() -> Fallible<()> {
    let fail = |error: std::io::Error| format!("signals cannot be watched: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fail)?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        tell("interrupted: ending all children");
        process::end_all();
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}
