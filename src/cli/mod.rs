//! The commands. Exit codes in one place: 0 fine, 1 it ran and failed, 2 wrong usage or configuration.

mod check;
mod demo;
mod load;
mod origin;
mod run;
mod schema;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// It did what it was asked.
const FINE: u8 = 0;
/// It ran and failed.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong. Also clap's own code.
const WRONG_USAGE: u8 = 2;

/// The reverse proxy that server-sent events survive
#[derive(Debug, Parser)]
#[command(name = "ssedge", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: an embedded event stream server, the proxy before it, and a page that shows events and heartbeats
    Demo(demo::DemoArgs),
    /// Run the proxy
    Run {
        /// The configuration, a YAML file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration: all problems at once, each with its place and what to write instead
    Check {
        /// The configuration, a YAML file
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print the effective configuration, defaults included and secrets masked
        #[arg(long)]
        dump: bool,
    },
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Open many event streams and count what arrives
    #[command(after_long_help = load::EXPLAINED)]
    Load(load::LoadArgs),
    /// Serve event streams to measure with: idle, steady, burst, tokens, broadcast
    Origin(origin::OriginArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Run { config } => run::run(&config),
        Command::Check { config, dump } => check::run(&config, dump),
        Command::Schema => schema::run(),
        Command::Load(arguments) => load::run(&arguments),
        Command::Origin(arguments) => origin::run(&arguments),
    };
    ExitCode::from(code)
}

/// Says what failed.
fn complain(what: &str) -> u8 {
    let _ = writeln!(std::io::stderr(), "ssedge: {what}");
    FAILED
}
