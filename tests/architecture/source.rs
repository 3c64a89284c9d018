//! Rust source as the guards see it: the tokens of its code, each with its line, without comments, strings and character literals.
//! Only as much of the language as the guards need; never a parser, and nothing that it does not know may stop it.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// One `.rs` file.
pub(crate) struct SourceFile {
    /// Path from the top of the repository, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
}

impl SourceFile {
    /// A file that exists in a test only.
    pub(crate) fn fake(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Its place in the module tree: `src/proxy/relay.rs` is `proxy::relay`, `src/proxy/mod.rs` is `proxy`, `src/lib.rs` is `lib`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.trim_end_matches("/mod").split('/').collect()
    }

    /// The tokens of its code.
    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.text)
    }
}

/// All `.rs` files under `dir` (from the top of the repository), sorted.
pub(crate) fn rust_files(top: &Path, dir: &str) -> io::Result<Vec<SourceFile>> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::from(dir)];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(top.join(&dir)) else { continue };
        for entry in entries {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if entry.file_name() != "node_modules" {
                    dirs.push(path);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(top.join(&path))?;
                found.push(SourceFile { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A word, a `::`, or one other character that is not white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// What it says.
    pub(crate) text: &'a str,
    /// Line in the file, from 1.
    pub(crate) line: usize,
}

/// The tokens of `text`. A string or a character literal leaves one token, `"`.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, kept) = next_token(rest, first);
        if let Some(text) = kept {
            found.push(Token { text, line });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// The length of what `rest` opens with, and the token that it leaves.
fn next_token(rest: &str, first: char) -> (usize, Option<&str>) {
    if first.is_whitespace() {
        (first.len_utf8(), None)
    } else if rest.starts_with("//") {
        (rest.find('\n').unwrap_or(rest.len()), None)
    } else if rest.starts_with("/*") {
        (block_comment(rest), None)
    } else if let Some(length) = raw_string(rest) {
        (length, Some("\""))
    } else if first == '"' {
        (quoted(rest, '"'), Some("\""))
    } else if first == '\'' {
        character(rest)
    } else if rest.starts_with("::") {
        (2, Some("::"))
    } else if is_word(first) {
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        (length, Some(&rest[..length]))
    } else {
        (first.len_utf8(), Some(&rest[..first.len_utf8()]))
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        let rest = &rest[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += rest.chars().next().map_or(0, char::len_utf8);
        }
        if depth == 0 || rest.is_empty() {
            return at;
        }
    }
}

/// Length of `r"…"`, `r#"…"#` and the like, with a `b` or a `c` before them; nothing if it is none.
fn raw_string(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix(['b', 'c']).unwrap_or(rest).strip_prefix('r')?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opened = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |found| opened + found + end.len()))
}

/// Length of a literal between two `quote`s, escapes skipped.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + c.len_utf8();
        }
    }
    rest.len()
}

/// A character literal, or the quote of a lifetime or a label (whose name follows as a word).
fn character(rest: &str) -> (usize, Option<&str>) {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => (quoted(rest, '\''), Some("\"")),
        _ => (1, Some("'")),
    }
}

#[test]
fn comments_and_literals_leave_no_words() {
    let text = "a // b\n/* c /* d */ e */ f \"g \\\" h\" r#\"i \" j\"# b\"k\" 'l' '\\'' '\"' m";
    let words: Vec<_> = tokens(text).iter().map(|token| token.text).filter(|text| text.chars().all(is_word)).collect();
    assert_eq!(words, ["a", "f", "b", "m"], "the `b` is the prefix of a byte string");
}

#[test]
fn a_lifetime_is_not_the_start_of_a_character() {
    let words: Vec<_> = tokens("&'a str, 'b'").iter().map(|token| token.text).collect();
    assert_eq!(words, ["&", "'", "a", "str", ",", "\""]);
}

#[test]
fn tokens_know_their_line() {
    let lines: Vec<_> = tokens("a\n\"x\ny\" b\n/*\n*/ c::d").iter().map(|token| (token.text, token.line)).collect();
    assert_eq!(lines, [("a", 1), ("\"", 2), ("b", 3), ("c", 5), ("::", 5), ("d", 5)]);
}

#[test]
fn what_is_not_closed_ends_with_the_file() {
    for text in ["/* a", "\"a", "r#\"a\"", "'\\", "'", "r", "//"] {
        tokens(text);
    }
}

#[test]
fn a_file_knows_its_module() {
    assert_eq!(SourceFile::fake("src/proxy/relay.rs", "").module(), ["proxy", "relay"]);
    assert_eq!(SourceFile::fake("src/proxy/mod.rs", "").module(), ["proxy"]);
    assert_eq!(SourceFile::fake("src/clock.rs", "").module(), ["clock"]);
}
