//! `ssedge schema`: the JSON Schema of the configuration, for editors, on standard output. It reads nothing.

use std::io::{self, Write};

use super::{FAILED, FINE};
use crate::config;

/// Prints the schema and returns the exit code.
#[must_use]
pub(super) fn run() -> u8 {
    print(&mut io::stdout().lock())
}

/// A schema that was cut short is of no use, so unlike elsewhere a reader who went away is a failure.
fn print(out: &mut dyn Write) -> u8 {
    if writeln!(out, "{:#}", config::json_schema()).and_then(|()| out.flush()).is_ok() { FINE } else { FAILED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_json_with_its_draft() {
        let mut out = Vec::new();
        assert_eq!(print(&mut out), FINE);
        let schema: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(out.ends_with(b"}\n"));
    }

    #[test]
    fn a_reader_who_goes_away_early_is_a_failure() {
        let mut short = [0; 100];
        assert_eq!(print(&mut short.as_mut_slice()), FAILED);
    }
}
