//! Where results go: the table on standard output, `results.json`, and the chart of the README when it is asked for.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::pure::results::Results;
use crate::pure::{chart, json, table};
use crate::{Fallible, tell, tools};

/// What a reader has to know of the machine.
pub(crate) fn about(quick: bool, rounds: u32, cores: usize) -> Vec<(String, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let kind = if quick { "a quick look: one fifth of the streams, short windows" } else { "in full" };
    [
        ("machine", format!("{}, {cores} cores, {}", field(&cpuinfo, "model name"), field(&read("/proc/meminfo"), "MemTotal"))),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("run", format!("{kind}; rounds: {rounds}; medians, in brackets the range")),
        (
            "logs",
            "access logs are on: ssedge, nginx, Caddy, Traefik, Envoy to files, HAProxy to standard output; vanilla Pingora has none".to_owned(),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Writes everything.
pub(crate) fn write(results: &Results, out: &Path, with_chart: bool) -> Fallible<()> {
    // Whoever closed the pipe does not want the rest.
    let _ = write!(std::io::stdout().lock(), "\n{}", table::table(results));
    let text = serde_json::to_string_pretty(&json::json(results)).map_err(|error| format!("results.json: {error}"))?;
    save(&out.join("results.json"), &text)?;
    if with_chart {
        save(&tools::suite().join("chart.svg"), &chart::chart(results))?;
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Fallible<()> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    tell(&format!("written: {}", path.display()));
    Ok(())
}
