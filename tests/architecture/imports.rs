//! The paths into our own crate that a file names: `crate::…`, `super::…` and, in the binary, `ssedge::…`; in `use` trees and in code.

use crate::source::{SourceFile, Token};

/// One path, from the top of the crate: `["stream", "EndReason"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// Its segments; the last one is `*` for a glob.
    pub(crate) path: Vec<String>,
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// It stands in a `tests.rs` or in a `mod tests`.
    pub(crate) in_tests: bool,
}

/// All paths of `file` that lead somewhere in our crate, its own module included.
pub(crate) fn imports(file: &SourceFile) -> Vec<Import> {
    let tokens = file.tokens();
    let mut here: Vec<String> = file.module().into_iter().map(str::to_owned).collect();
    let mut inline = Vec::new();
    let mut depth = 0_usize;
    let mut found: Vec<Import> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let known = found.len();
        match token.text {
            "mod" if text(&tokens, at + 2) == "{" => {
                here.push(text(&tokens, at + 1).to_owned());
                inline.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            "crate" if text(&tokens, at + 1) == "::" => tree(&tokens, at + 2, &[], &mut found),
            "ssedge" if file.path == "src/main.rs" && text(&tokens, at + 1) == "::" => tree(&tokens, at + 2, &[], &mut found),
            "super" if text(&tokens, at + 1) == "::" && before(&tokens, at) != "super" => {
                let mut ups = 1;
                while text(&tokens, at + 2 * ups) == "super" {
                    ups += 1;
                }
                let base = &here[..here.len().saturating_sub(ups)];
                if text(&tokens, at + 2 * ups - 1) == "::" {
                    tree(&tokens, at + 2 * ups, base, &mut found);
                }
            }
            _ => {}
        }
        let in_tests = here.iter().any(|segment| segment == "tests");
        found[known..].iter_mut().for_each(|import| import.in_tests = in_tests);
    }
    found
}

fn text<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

/// The segment before `at`, when a `::` lies between.
fn before<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    if at >= 2 && tokens[at - 1].text == "::" { tokens[at - 2].text } else { "" }
}

/// Collects the paths of the `use` tree, or of the plain path, that goes on at `at` under `base`.
fn tree(tokens: &[Token<'_>], at: usize, base: &[String], found: &mut Vec<Import>) {
    let mut open = vec![base.to_vec()];
    let mut path = base.to_vec();
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "{" => {
                open.push(path.clone());
                at += 1;
                continue;
            }
            "}" => {
                open.pop();
                at += 1;
            }
            "self" => at += 1,
            "," => {}
            word => {
                path.push(word.to_owned());
                at += 1;
                if text(tokens, at) == "::" && text(tokens, at + 1) != "<" {
                    at += 1;
                    continue;
                }
            }
        }
        // A path is complete.
        if !matches!(token.text, "}" | ",") {
            found.push(Import { path: path.clone(), line: token.line, in_tests: false });
        }
        if open.len() == 1 {
            return;
        }
        if text(tokens, at) == "as" {
            at += 2;
        }
        if text(tokens, at) == "," {
            at += 1;
        }
        path = open.last().cloned().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        imports(&SourceFile::fake(path, text)).into_iter().map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn plain_paths_are_seen_in_use_and_in_code() {
        let text = "use crate::sse::Scanner;\nfn f() -> crate::clock::Tick { crate::drain::now::<u8>() }";
        assert_eq!(paths("src/a.rs", text), ["sse::Scanner", "clock::Tick", "drain::now"]);
    }

    #[test]
    fn use_trees_are_followed_to_their_leaves() {
        let text = "use crate::{a, b::{self, C as D, e::*}, f::{G}, };\nuse std::h;";
        assert_eq!(paths("src/x.rs", text), ["a", "b", "b::C", "b::e::*", "f::G"]);
    }

    #[test]
    fn each_leaf_has_its_own_line() {
        let found = imports(&SourceFile::fake("src/x.rs", "use crate::{\n    a::B,\n    c::D,\n};"));
        assert_eq!(found.iter().map(|import| import.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn super_climbs_from_files_and_from_inline_modules() {
        assert_eq!(paths("src/proxy/relay.rs", "use super::door::Door;"), ["proxy::door::Door"]);
        assert_eq!(paths("src/proxy/relay.rs", "use super::super::stream::Action;"), ["stream::Action"]);
        assert_eq!(paths("src/clock.rs", "mod tests { use super::*; }\nfn f() { super::sse::g() }"), ["clock::*", "sse::g"]);
    }

    #[test]
    fn a_glob_of_the_whole_crate_is_seen() {
        assert_eq!(paths("src/x.rs", "use crate::*;"), ["*"]);
    }

    #[test]
    fn tests_are_told_from_code() {
        let inline = SourceFile::fake("src/a.rs", "use crate::b; mod tests { use crate::c; } fn f() { crate::d() }");
        assert_eq!(imports(&inline).iter().map(|import| import.in_tests).collect::<Vec<_>>(), [false, true, false]);
        assert!(imports(&SourceFile::fake("src/a/tests.rs", "use crate::b;"))[0].in_tests);
    }

    #[test]
    fn visibility_and_comments_are_no_imports() {
        let text = "//! [`crate::a`]\npub(crate) fn f() {}\npub(super) fn g() { \"crate::b\"; }";
        assert_eq!(paths("src/x/y.rs", text), Vec::<String>::new());
    }

    #[test]
    fn the_binary_reaches_the_library_by_its_name() {
        assert_eq!(paths("src/main.rs", "fn main() { ssedge::cli::run() }"), ["cli::run"]);
    }
}
