//! The regression guard: instructions and allocations for an event, heap for an idle stream, against the figures in `figures.yaml`.
//!
//! Machine independent: nothing here is a time. Instructions are counted by callgrind, in this program for the pure parts and in the real
//! binary for the proxy, once over some events and once over twice as many, so that the difference is theirs alone. The ends of the
//! proxy run outside of what is counted, in lock-step. Heap is counted by an allocator that keeps accounts, in a proxy inside of this
//! program.
//!
//! | file | what it is |
//! |---|---|
//! | `figures.rs` | what is measured, by how much it may rise; the committed figures and the verdict |
//! | `callgrind.rs` | instructions of a process |
//! | `pure.rs` | scanner and engine |
//! | `proxy.rs` | events through the real binary |
//! | `heap.rs` | a proxy whose allocations are counted |
//!
//! `cargo bench --profile guard --bench guard` compares; with `-- --bless` it writes what it measured. It needs valgrind.

#[path = "../support/ends.rs"]
mod ends;

mod callgrind;
mod figures;
mod heap;
mod proxy;
mod pure;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use figures::{Figures, Measured};

/// Keeps accounts while a profiler runs, which is in `heap.rs` alone.
#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [pure::COMMAND, scenario, count] => pure::work(scenario, count),
        [heap::COMMAND, configuration] => heap::serve(configuration),
        ["--bench"] => compare(),
        ["--bless", "--bench"] | ["--bench", "--bless"] => bless(),
        _ => {
            say("the guard counts an optimized build: cargo bench --profile guard --bench guard [-- --bless]");
            ExitCode::SUCCESS
        }
    }
}

/// All figures, in their order.
fn measure() -> Vec<Measured> {
    let mut all = pure::measure();
    all.extend(proxy::measure());
    all.extend(heap::measure());
    all
}

fn compare() -> ExitCode {
    let committed = match Figures::read() {
        Ok(committed) => committed,
        Err(problem) => {
            say(&problem);
            return ExitCode::FAILURE;
        }
    };
    let verdict = committed.judge(&measure());
    say(&verdict.table);
    say(&verdict.advice);
    if verdict.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bless() -> ExitCode {
    let measured = measure();
    say(&Figures::read().unwrap_or_default().judge(&measured).table);
    match figures::write(&measured) {
        Ok(path) => {
            say(&format!("written: {}. Say in the commit what made the difference.", path.display()));
            ExitCode::SUCCESS
        }
        Err(problem) => {
            say(&problem);
            ExitCode::FAILURE
        }
    }
}

/// Whoever closed our standard output does not want to know.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Where profiles and logs of a run are left.
fn scratch() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guard");
    std::fs::create_dir_all(&path).expect("a directory under target");
    path
}
