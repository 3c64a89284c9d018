//! The guards of the house: who may import whom, who may read the clock, how long a file may be, how it opens, and what lies at the
//! top of the repository. Each guard is a function over sources that a test below feeds with a breach, so that it is proven able
//! to fail; each fails when it was shown nothing.

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use imports::imports;
use source::{SourceFile, rust_files};

/// One row of the import table.
struct Row {
    /// A module at the top of `src/`; `lib` and `main` are the two roots.
    module: &'static str,
    /// What it may name besides itself: whole modules (`clock`), or single items of one (`stream::EndReason`).
    may: &'static str,
    /// What would break without the rule. A change of `may` comes with a change here.
    why: &'static str,
}

/// Who may import whom. The order is the flow: a row names rows above it only, so there can be no circle. Modules of the design that
/// have not come yet have their row already: they come in under their rule.
const TABLE: &[Row] = &[
    Row { module: "sse", may: "", why: "the wire format knows the standard, not HTTP and not us" },
    Row { module: "clock", may: "", why: "everybody may lean on it, so it leans on nobody" },
    Row { module: "tls", may: "", why: "certificates and keys are files and values; who connects is not their business" },
    Row { module: "ip_text", may: "", why: "everybody writes addresses, so it leans on nobody" },
    Row { module: "message", may: "ip_text", why: "HTTP heads are judged and rebuilt as plain values" },
    Row { module: "admission", may: "", why: "counting needs nobody" },
    Row {
        module: "affinity",
        may: "message::cookie",
        why: "a pin is sealed into a cookie and found among others, and needs no more",
    },
    Row {
        module: "client_id",
        may: "message::cookie",
        why: "who a client is follows from its request alone; a cookie may tell it",
    },
    Row { module: "drain", may: "", why: "the end of the process must depend on nothing that is ending" },
    Row {
        module: "transport",
        may: "message::framing",
        why: "a socket that replays, records and holds bodies to their framing; who reads it is not its business",
    },
    Row { module: "upstream", may: "clock tls transport", why: "connections age; it must not know what flows over them" },
    Row { module: "stream", may: "sse", why: "the engine is pure: no socket, no clock, only the wire format" },
    Row {
        module: "route",
        may: "stream::StreamPolicy admission affinity client_id upstream::UpstreamSpec upstream::ServerAddress upstream::Balance \
              upstream::EjectionSpec message",
        why: "a route names policies and specs; it must not run what they describe",
    },
    Row {
        module: "telemetry",
        may: "clock ip_text stream::EndReason stream::StreamKind message::soft::SoftStatus admission drain",
        why: "it stamps times and takes its labels from enums; it must not reach into what it observes",
    },
    Row {
        module: "config",
        may: "route drain stream::StreamPolicy stream::HeartbeatPolicy stream::FrameChoice stream::MaxAge admission affinity \
              client_id upstream::UpstreamSpec upstream::ServerSpec upstream::ServerAddress upstream::Balance upstream::HashOn \
              upstream::HealthSpec upstream::HealthCheck upstream::EjectionSpec upstream::Protocol upstream::Http2Spec message \
              telemetry::logging tls",
        why: "it builds the policy values that routes name and nothing that runs, so that `check` opens no socket",
    },
    Row {
        module: "proxy",
        may: "sse clock tls message admission affinity client_id drain transport upstream stream route telemetry",
        why: "the shell drives the core; it must not know the file it was configured from, nor who wired it",
    },
    Row { module: "admin", may: "telemetry drain upstream clock", why: "it reads snapshots; it steers nothing" },
    Row { module: "demo", may: "sse clock", why: "the demo's origin is a stranger to the proxy, as a real one is" },
    Row {
        module: "server",
        may: "sse clock tls message admission affinity client_id drain transport upstream stream route telemetry config proxy admin \
              demo",
        why: "wiring names all that it wires, but nobody's command line",
    },
    Row {
        module: "cli",
        may: "config server demo sse clock tls",
        why: "commands start things; whatever they need of the inside, `server` offers; `load` reads authorities as the proxy does",
    },
    Row { module: "lib", may: "", why: "the map declares modules and holds no code" },
    Row { module: "main", may: "cli", why: "arguments in, exit code out" },
];

/// What tests may import besides: an instant to begin with, since nobody else can make one.
const TESTS_MAY: &str = "clock";

/// Lines after which a file has to be cut in two.
const LONGEST_FILE: usize = 600;

/// What may lie at the top of the repository besides names that begin with a dot.
const TOP_LEVEL: &[&str] = &["Cargo.toml", "Cargo.lock", "src", "conf", "tests", "benches", "README.md", "LICENSE"];

/// The one file that reads the clock.
const CLOCK: &str = "src/clock.rs";

#[test]
fn modules_import_only_what_the_table_allows() {
    hold(&sources(&["src"]), |file| forbidden_imports(file, TABLE));
}

#[test]
fn only_the_clock_reads_the_clock() {
    hold(&sources(&["src"]), clock_readings);
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    hold(&sources(&["src", "tests", "benches"]), too_long);
}

#[test]
fn every_file_opens_with_what_it_is() {
    hold(&sources(&["src", "tests", "benches"]), no_opening);
}

#[test]
fn the_top_level_holds_only_what_everybody_expects() {
    let entries = fs::read_dir(top()).expect("the repository is readable");
    let names: Vec<String> =
        entries.map(|entry| entry.expect("the entry is readable").file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.is_empty(), "nothing was looked at");
    assert_eq!(strangers(&names), Vec::<String>::new(), "these do not belong at the top: {TOP_LEVEL:?} and dotfiles do");
}

#[test]
fn the_import_table_is_acyclic_and_names_only_its_own_rows() {
    assert_eq!(table_faults(TABLE), Vec::<String>::new());
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dirs: &[&str]) -> Vec<SourceFile> {
    dirs.iter().flat_map(|dir| rust_files(top(), dir).expect("the sources are readable")).collect()
}

/// Fails with all breaches at once.
#[track_caller]
fn hold(files: &[SourceFile], guard: impl Fn(&SourceFile) -> Vec<String>) {
    if let Err(breaches) = judge(files, guard) {
        assert!(breaches.is_empty(), "{breaches}");
    }
}

/// All breaches that `guard` finds in `files`; having seen no file is one.
fn judge(files: &[SourceFile], guard: impl Fn(&SourceFile) -> Vec<String>) -> Result<(), String> {
    let breaches: Vec<String> = files.iter().flat_map(guard).collect();
    if files.is_empty() {
        Err("nothing was looked at: the guard found no file".to_owned())
    } else if breaches.is_empty() {
        Ok(())
    } else {
        Err(format!("breaches: {}\n{}", breaches.len(), breaches.join("\n")))
    }
}

/// Paths in `file` that its row of `table` does not allow.
fn forbidden_imports(file: &SourceFile, table: &[Row]) -> Vec<String> {
    let module = file.module()[0];
    let Some(row) = table.iter().find(|row| row.module == module) else {
        return vec![format!(
            "{}: the module `{module}` has no row. Add one to TABLE in tests/architecture.rs: what it may import, and why no more.",
            file.path
        )];
    };
    imports(file)
        .into_iter()
        .filter(|import| import.path.first().is_some_and(|first| first != module))
        .filter(|import| !allows(row.may, &import.path))
        .filter(|import| !import.in_tests || !allows(TESTS_MAY, &import.path))
        .map(|import| {
            format!(
                "{}:{}: `{module}` may not import `{}`: {}. It may import: {}; its tests also: {TESTS_MAY}. Change the code, or the row in \
                 tests/architecture.rs with its reason.",
                file.path,
                import.line,
                import.path.join("::"),
                row.why,
                if row.may.is_empty() { "nothing" } else { row.may }
            )
        })
        .collect()
}

/// Whether one of the entries of `may` is `path` or lies above it.
fn allows(may: &str, path: &[String]) -> bool {
    may.split_whitespace().any(|entry| {
        let segments: Vec<&str> = entry.split("::").collect();
        path.len() >= segments.len() && path.iter().zip(&segments).all(|(a, b)| a == b)
    })
}

/// Rows that name a module without a row, a later row, or themselves; rows that stand twice; rows without a reason.
fn table_faults(table: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, row) in table.iter().enumerate() {
        let above = |name: &str| table[..at].iter().any(|row| row.module == name);
        for entry in row.may.split_whitespace() {
            let target = entry.split("::").next().unwrap_or(entry);
            if !above(target) {
                faults.push(format!("`{}` may import `{target}`, which is no row above it", row.module));
            }
        }
        if above(row.module) {
            faults.push(format!("`{}` stands twice", row.module));
        }
        if row.why.is_empty() {
            faults.push(format!("`{}` has no reason", row.module));
        }
    }
    faults
}

/// Places outside [`CLOCK`] where `file` reads the clock, or lifts the lint against it.
fn clock_readings(file: &SourceFile) -> Vec<String> {
    if file.path == CLOCK {
        return Vec::new();
    }
    let tokens = file.tokens();
    let words: Vec<&str> = tokens.iter().map(|token| token.text).collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let what = match words[at..] {
            ["Instant" | "SystemTime", "::", "now", ..] => "reads the clock: take `now` as an argument, or use clock::now()",
            [".", "elapsed", "(", ..] => "reads the clock in secret: subtract two instants that were passed in",
            ["disallowed_methods", ..] => "lifts the lint on the clock, which is for clock.rs alone",
            _ => continue,
        };
        found.push(format!("{}:{}: {what}", file.path, token.line));
    }
    found
}

/// A word if `file` is longer than [`LONGEST_FILE`].
fn too_long(file: &SourceFile) -> Vec<String> {
    let lines = file.text.lines().count();
    if lines <= LONGEST_FILE {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, {LONGEST_FILE} are the end: split it by what it does", file.path)]
}

/// A word if `file` does not begin with a `//!` that says something.
fn no_opening(file: &SourceFile) -> Vec<String> {
    let says = file.text.lines().next().and_then(|line| line.strip_prefix("//!")).is_some_and(|text| !text.trim().is_empty());
    if says { Vec::new() } else { vec![format!("{}: open it with `//!`: what it is, and what it must never do", file.path)] }
}

/// Names that do not belong at the top; `target` is cargo's and ignored by git.
fn strangers(names: &[String]) -> Vec<String> {
    let known = |name: &str| name.starts_with('.') || name == "target" || TOP_LEVEL.contains(&name);
    names.iter().filter(|name| !known(name)).cloned().collect()
}

/// Each guard against a breach, and against nothing at all.
mod guards_can_fail {
    use super::*;

    const SMALL: &[Row] = &[
        Row { module: "sse", may: "", why: "pure" },
        Row { module: "stream", may: "sse", why: "pure" },
        Row { module: "telemetry", may: "stream::EndReason", why: "labels" },
    ];

    fn breaches(path: &str, text: &str) -> usize {
        forbidden_imports(&SourceFile::fake(path, text), SMALL).len()
    }

    #[test]
    fn an_import_against_the_flow_is_a_breach() {
        assert_eq!(breaches("src/sse/scanner.rs", "use crate::stream::Action;"), 1);
        assert_eq!(breaches("src/sse/scanner.rs", "fn f() { crate::stream::g() }"), 1);
        assert_eq!(breaches("src/sse/scanner.rs", "use super::super::stream::Action;"), 1);
        assert_eq!(breaches("src/sse.rs", "#[cfg(test)] mod tests { use crate::{stream, telemetry::{A, B}}; }"), 3);
        assert_eq!(breaches("src/stream/mod.rs", "use crate::*;"), 1);
    }

    #[test]
    fn an_import_along_the_flow_is_none() {
        assert_eq!(breaches("src/stream/mod.rs", "use crate::sse::Scanner; use crate::stream::bom; use super::sse;"), 0);
        assert_eq!(breaches("src/sse/mod.rs", "use std::stream::X; // crate::stream::Y"), 0);
    }

    #[test]
    fn tests_may_ask_the_clock_where_code_may_not() {
        assert_eq!(breaches("src/sse/tests.rs", "use crate::clock;"), 0);
        assert_eq!(breaches("src/sse/scanner.rs", "mod tests { use crate::clock; }"), 0);
        assert_eq!(breaches("src/sse/scanner.rs", "use crate::clock; mod tests { use crate::stream; }"), 2);
    }

    #[test]
    fn a_row_may_name_one_item_of_a_module() {
        assert_eq!(breaches("src/telemetry/mod.rs", "use crate::stream::EndReason; use crate::stream::EndReason::MaxAge;"), 0);
        assert_eq!(breaches("src/telemetry/mod.rs", "use crate::stream::{EndReason, StreamState};"), 1);
        assert_eq!(breaches("src/telemetry/mod.rs", "use crate::stream;"), 1);
    }

    #[test]
    fn an_unknown_module_is_told_how_to_come_in() {
        let found = forbidden_imports(&SourceFile::fake("src/replay/mod.rs", ""), SMALL);
        assert!(found[0].contains("`replay` has no row. Add one to TABLE"), "{found:?}");
    }

    #[test]
    fn a_table_with_a_circle_or_a_hole_is_found() {
        let circle = [Row { module: "a", may: "b", why: "x" }, Row { module: "b", may: "a::C", why: "x" }];
        assert_eq!(table_faults(&circle), ["`a` may import `b`, which is no row above it"]);
        let faulty = [Row { module: "a", may: "a gone", why: "" }, Row { module: "a", may: "", why: "x" }];
        assert_eq!(table_faults(&faulty).len(), 4);
    }

    #[test]
    fn reading_the_clock_is_a_breach_in_any_spelling() {
        let seen = |text: &str| clock_readings(&SourceFile::fake("src/proxy/relay.rs", text)).len();
        assert_eq!(seen("let now = std::time::Instant::now();"), 1);
        assert_eq!(seen("let now = later.unwrap_or_else(SystemTime :: now);"), 1);
        assert_eq!(seen("let age = opened.elapsed();"), 1);
        assert_eq!(seen("#[expect(clippy::disallowed_methods, reason = \"no\")]"), 1);
        assert_eq!(seen("let now = clock::now(); // not Instant::now()"), 0);
        assert_eq!(clock_readings(&SourceFile::fake(CLOCK, "Instant::now()")), Vec::<String>::new());
    }

    #[test]
    fn a_line_too_many_is_a_breach() {
        let lines = |count: usize| too_long(&SourceFile::fake("src/a.rs", &"x\n".repeat(count))).len();
        assert_eq!((lines(LONGEST_FILE), lines(LONGEST_FILE + 1)), (0, 1));
    }

    #[test]
    fn a_file_that_opens_without_a_word_is_a_breach() {
        let opens = |text: &str| no_opening(&SourceFile::fake("src/a.rs", text)).is_empty();
        assert!(opens("//! The clock.\n"));
        for text in ["", "use x;\n//! Late.", "//!\nuse x;", "// A comment.", "\n//! Late."] {
            assert!(!opens(text), "{text:?}");
        }
    }

    #[test]
    fn a_stranger_at_the_top_is_found() {
        let names = ["src", "README.md", ".ci", "target", "docs", "Makefile"].map(str::to_owned);
        assert_eq!(strangers(&names), ["docs", "Makefile"]);
    }

    #[test]
    fn a_guard_that_saw_nothing_does_not_pass() {
        assert!(judge(&[], |_| Vec::new()).is_err());
        assert!(rust_files(top(), "no_such_directory").expect("a missing directory is empty").is_empty());
    }

    #[test]
    fn breaches_of_all_files_are_reported_at_once() {
        let files = [SourceFile::fake("src/a.rs", ""), SourceFile::fake("src/b.rs", "")];
        let verdict = judge(&files, no_opening).expect_err("both are breaches");
        assert!(verdict.starts_with("breaches: 2") && verdict.contains("src/a.rs") && verdict.contains("src/b.rs"), "{verdict}");
    }

    #[test]
    fn a_file_with_its_word_passes() {
        assert_eq!(judge(&[SourceFile::fake("src/a.rs", "//! A.\n")], no_opening), Ok(()));
    }
}
