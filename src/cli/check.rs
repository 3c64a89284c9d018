//! `ssedge check --config FILE`: all that is wrong with a configuration, without starting anything.
//!
//! Opens no socket and looks up no name. A line on standard output says that the file is fine, or with `--dump` the configuration that
//! holds, defaults included and secrets masked; problems go to standard error, so that a script may drop either. Warnings do not fail
//! the check.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use super::{FAILED, FINE, WRONG_USAGE};
use crate::config::{self, Config, Problems};

/// Checks the file at `path` and returns the exit code; `dump` prints what holds.
#[must_use]
pub(super) fn run(path: &Path, dump: bool) -> u8 {
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    check(path, dump, colour, &mut io::stdout().lock(), &mut io::stderr().lock())
}

fn check(path: &Path, dump: bool, colour: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    // A reader who went away is no reason for another exit code.
    match config::load(path) {
        Ok((config, warnings)) => {
            print_problems(&warnings, colour, err);
            if dump {
                return print_dump(&config, out, err);
            }
            let _ = writeln!(out, "{}: fine ({})", path.display(), summary(&config));
            FINE
        }
        Err(problems) => {
            print_problems(&problems, colour, err);
            WRONG_USAGE
        }
    }
}

/// Half a dump is no configuration, so unlike elsewhere an output that does not take it is a failure.
fn print_dump(config: &Config, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    match write!(out, "{}", config::dump(config)).and_then(|()| out.flush()) {
        // A reader who went away has what he wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(err, "ssedge: the configuration cannot be printed: {error}");
            FAILED
        }
        _ => FINE,
    }
}

fn print_problems(problems: &Problems, colour: bool, err: &mut dyn Write) {
    if !problems.is_empty() {
        let _ = writeln!(err, "{}", problems.render(colour));
    }
}

fn summary(config: &Config) -> String {
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    [
        count(config.listeners.len(), "listener"),
        count(config.upstreams.len(), "upstream"),
        count(config.routes.iter().count(), "route"),
    ]
    .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> (u8, String, String) {
        run_text(text, false)
    }

    fn run_text(text: &str, dump: bool) -> (u8, String, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edge.yaml");
        std::fs::write(&path, text).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = check(&path, dump, false, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    const FILE: &str = include_str!("../../conf/minimal.yaml");

    #[test]
    fn a_good_file_is_said_to_be_fine_in_one_line() {
        let (code, out, err) = check_text(FILE);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.ends_with("edge.yaml: fine (1 listener, 1 upstream, 1 route)\n"), "{out}");
        assert_eq!(out.lines().count(), 1);
    }

    #[test]
    fn a_wrong_file_fails_with_all_its_problems_on_standard_error() {
        let (code, out, err) = check_text(&format!("{FILE}threads: none\ndrian: {{}}\n"));
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains("edge.yaml:5:10") && err.contains("edge.yaml:6:1"), "{err}");
    }

    #[test]
    fn a_dump_is_the_only_thing_on_standard_output_and_passes_the_check_again() {
        let (code, out, err) = run_text(FILE, true);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.starts_with("listeners:\n") && out.contains("\n      interval: 15s\n"), "{out}");
        assert_eq!(run_text(&out, true), (0, out.clone(), String::new()));
    }

    #[test]
    fn a_wrong_file_is_not_dumped() {
        let (code, out, err) = run_text(&format!("{FILE}threads: none\n"), true);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains("edge.yaml:5:10"), "{err}");
    }

    #[test]
    fn a_warning_is_shown_and_does_not_fail() {
        let (code, out, err) = check_text(&FILE.replace("app: {", "old: { servers: [ \"127.0.0.1:1\" ] }, app: {"));
        assert_eq!(code, 0);
        assert!(err.starts_with("warning: no route uses the upstream `old`"), "{err}");
        assert_eq!(out.lines().count(), 1);
    }

    #[test]
    fn a_dump_that_nothing_takes_is_a_failure_and_a_line_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("edge.yaml");
        std::fs::write(&path, FILE).unwrap();
        for (dump, code, words) in [(true, 1, "ssedge: the configuration cannot be printed: failed to write"), (false, 0, "")] {
            let (mut full, mut err) = ([0; 10], Vec::new());
            assert_eq!(check(&path, dump, false, &mut full.as_mut_slice(), &mut err), code);
            let err = String::from_utf8(err).unwrap();
            assert!(err.starts_with(words) && err.is_empty() == words.is_empty(), "{err}");
        }
    }

    #[test]
    fn a_named_pipe_is_no_access_log() {
        let directory = tempfile::tempdir().unwrap();
        let (path, pipe) = (directory.path().join("edge.yaml"), directory.path().join("pipe.log"));
        std::fs::write(&path, format!("{FILE}log: {{ access: ./pipe.log }}\n")).unwrap();
        let code = || {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            (check(&path, false, false, &mut out, &mut err), String::from_utf8(err).unwrap())
        };
        assert_eq!(code(), (0, String::new()), "one that is not there becomes a file");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let (code, err) = code();
        assert!(code == 2 && err.contains("edge.yaml:5:16") && err.contains("is a named pipe"), "{err}");
    }

    #[test]
    fn a_file_that_is_not_there_fails() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(check(Path::new("/nowhere/edge.yaml"), false, false, &mut out, &mut err), 2);
        assert!(String::from_utf8(err).unwrap().contains("cannot read the configuration"));
    }
}
