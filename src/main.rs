//! `ssedge`: parse the arguments, run the command, leave with its exit code.

use std::process::ExitCode;

/// Gives memory back to the system after many clients left (options in `.cargo/config.toml`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ssedge::cli::main()
}
