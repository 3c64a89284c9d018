//! Instructions of a process, as callgrind counts them. Those of the kernel are not among them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program under callgrind.
pub(crate) struct Counted {
    pub(crate) command: Command,
    log: PathBuf,
}

impl Counted {
    /// `program`, whose profile is left under `name`.
    pub(crate) fn new(name: &str, program: impl AsRef<Path>) -> Self {
        let profile = super::scratch().join(format!("{name}.callgrind"));
        let log = profile.with_extension("log");
        // What an earlier run left must not be taken for this one's.
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--fair-sched=try"]);
        command.arg(format!("--callgrind-out-file={}", profile.display())).arg(format!("--log-file={}", log.display()));
        command.arg(program.as_ref()).env_remove("RUST_LOG");
        // Without a thread that works by the clock.
        command.env("_RJEM_MALLOC_CONF", "background_thread:false");
        Self { command, log }
    }

    /// The instructions, once the process has ended.
    pub(crate) fn instructions(self) -> u64 {
        let log = std::fs::read_to_string(&self.log).expect("valgrind ran: apt-get install valgrind");
        let collected = log.lines().find_map(|line| line.split_once("Collected :")).map(|(_, rest)| rest.trim());
        collected.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| fail(&format!("callgrind did not count:\n{log}")))
    }
}

/// What one of `count` costs, if `run` counts instructions with so many.
pub(crate) fn each(count: u32, mut run: impl FnMut(u32) -> u64) -> f64 {
    let (once, twice) = (run(count), run(2 * count));
    let more = twice.checked_sub(once).unwrap_or_else(|| fail("twice the work took less: the run is not deterministic"));
    more as f64 / f64::from(count)
}

/// Ends the guard with a word.
pub(crate) fn fail(problem: &str) -> ! {
    super::say(problem);
    std::process::exit(1)
}
