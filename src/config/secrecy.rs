//! Which lines of a file hold a secret: they are never shown, whatever is wrong on them.
//!
//! Works on the text alone and before anything else, because a file that is no YAML has problems too. It rather hides a line too
//! many: from each line with a key that is or may be meant as one of [`SECRET_KEYS`] to the end of its value, by indentation
//! (YAML 1.2.2 section 6.1), brackets and quotes. It never reads the value.

use std::collections::HashSet;

use super::schema::nearest;

/// Keys whose values nobody may see. Later keys too: who writes one early gets a problem for it.
const SECRET_KEYS: [&str; 3] = ["secrets", "token", "password"];

/// The numbers (from 1) of the lines to hide.
pub(super) fn secret_lines<'t>(lines: impl Iterator<Item = &'t str>) -> HashSet<usize> {
    let mut hidden = HashSet::new();
    let mut value: Option<Value> = None;
    for (line, number) in lines.zip(1..) {
        if let Some(value) = value.as_mut().filter(|value| value.goes_on(line)) {
            value.read(line, ' ');
            hidden.insert(number);
            continue;
        }
        value = secret_key(line).map(|end| {
            hidden.insert(number);
            let mut value = Value { column: content_column(line), depth: 0, quote: None };
            value.read(&line[end..], '_');
            value
        });
        if is_comment(line) {
            value = None;
        }
    }
    hidden
}

/// The value of a secret key, as far as it was read.
struct Value {
    /// Of its key, or of what the line with the key begins with.
    column: usize,
    /// Open brackets.
    depth: usize,
    /// Open quote.
    quote: Option<char>,
}

impl Value {
    /// `line` belongs to the value, or may.
    fn goes_on(&self, line: &str) -> bool {
        let content = line.trim_start();
        let column = line.chars().count() - content.chars().count();
        let is_inside = self.depth > 0 || self.quote.is_some();
        let is_item = column == self.column && content.starts_with(['-', ':']);
        is_inside || content.is_empty() || is_comment(line) || column > self.column || is_item
    }

    /// Reads on; `last` stands before `text`, since a quote opens only where a value can begin.
    fn read(&mut self, text: &str, mut last: char) {
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match (self.quote, letter) {
                (Some('"'), '\\') => drop(letters.next()),
                (Some(quote), _) if letter == quote => self.quote = None,
                (Some(_), _) => {}
                (None, '#') if last.is_whitespace() => return,
                (None, '"' | '\'') if last.is_whitespace() || "[{,:".contains(last) => self.quote = Some(letter),
                (None, '[' | '{') => self.depth += 1,
                (None, ']' | '}') => self.depth = self.depth.saturating_sub(1),
                (None, _) => {}
            }
            last = letter;
        }
    }
}

/// Where the first word of the line ends that is or may be meant as a secret key.
fn secret_key(line: &str) -> Option<usize> {
    let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '\\');
    let mut rest = 0;
    while let Some(start) = line[rest..].find(is_word).map(|at| rest + at) {
        let end = line[start..].find(|letter| !is_word(letter)).map_or(line.len(), |at| start + at);
        let word = &line[start..end];
        // A key with escapes in it may spell anything.
        let is_escaped = word.contains('\\') && line[end..].starts_with("\":");
        if is_escaped
            || is_secret_field_or_section(word)
            || word.to_ascii_lowercase().contains("secret")
            || nearest(word, SECRET_KEYS).is_some()
        {
            return Some(end);
        }
        rest = end;
    }
    None
}

/// Whether the value of the field `name` lets somebody in, or may.
pub(super) fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "token", "secret", "password", "credential"].iter().any(|word| name.contains(word))
        || ["key", "auth"].iter().any(|word| name.ends_with(word))
}

/// Whether `word` names such a field, or the section of fields that go to servers. Keys of ours have no dash, fields have.
fn is_secret_field_or_section(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let is_section = lower.replace('-', "_").starts_with("request_header");
    is_section || lower == "authorization" || (lower.contains('-') && is_secret_field(&lower))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Where the content of a line begins: behind its blanks and the dashes of lists.
fn content_column(line: &str) -> usize {
    let mut column = 0;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_dash = letter == '-' && letters.peek() == Some(&' ');
        if !letter.is_whitespace() && !is_dash {
            break;
        }
        column += 1;
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> Vec<usize> {
        let mut lines: Vec<_> = secret_lines(text.lines()).into_iter().collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn a_secret_is_hidden_in_every_style_of_yaml() {
        for (text, lines) in [
            ("a: 1\nsecrets: [ S ]\nb: 2", vec![2]),
            ("- sticky:\n    cookie: c\n    secrets:\n    - S\n    - S\n    max_age: 1h\n  caps: off\n", vec![3, 4, 5]),
            ("- sticky:\n    secrets: # first seals\n      - S\n\n# old\n      - S\n    max_age: 1h\n", vec![2, 3, 4, 5, 6]),
            ("- sticky: { cookie: c, secrets: [ S ] }\n  caps: {}\n- upstream: b\n", vec![1]),
            ("- upstream: a\n  sticky: { cookie: c, secrets: [ S ] }\n  caps: {}\n- upstream: b\n", vec![2]),
            ("- { sticky: { secrets: [ S,\nS,\nS ] },\ncaps: {} }\nb: 1", vec![1, 2, 3]),
            ("{\"secrets\": [\n\"S]\",\n\"S\\\"]\",\n'S]'\n],\n\"caps\":{}}", vec![1, 2, 3, 4, 5]),
            ("secrets: >\n  S\n  S\nb: 1", vec![1, 2, 3]),
            ("? secrets\n: [ S ]\nb: 1", vec![1, 2]),
            ("\"s\\x65crets\": [\n\"S\"\n]\nb: 1", vec![1, 2, 3]),
        ] {
            assert_eq!(hidden(text), lines, "{text}");
        }
    }

    #[test]
    fn fields_that_let_somebody_in_are_hidden_and_so_are_all_that_go_to_servers() {
        for (text, lines) in [
            ("request_headers:\n  set:\n    X-Any: S\n  remove: [ A ]\nhost: a", vec![1, 2, 3, 4]),
            ("- { upstream: a, request_headers: { set: { A: S } } }\n- upstream: b", vec![1]),
            ("response_headers:\n  set:\n    X-Any: shown\n    Set-Cookie: S\n    X-Api-Key: S\n    Vary: a", vec![4, 5]),
            ("set: { Authorization: S }\nb: 1", vec![1]),
            ("limits: { request_head: 64KiB }\nsticky: { cookie: c }\nkey: a.key\nauth: { upstream: a }", vec![]),
        ] {
            assert_eq!(hidden(text), lines, "{text}");
        }
    }

    #[test]
    fn a_mistyped_key_hides_too() {
        for key in ["secret", "secerts", "Secrets", "sticky_secret", "token", "passwort"] {
            assert_eq!(hidden(&format!("{key}: [\nS ]\nb: 1")), [1, 2], "{key}");
        }
    }

    #[test]
    fn a_value_that_never_ends_hides_the_rest() {
        assert_eq!(hidden("secrets: [ S\nS\nb: 1"), [1, 2, 3]);
        assert_eq!(hidden("secrets: \"S\nS ]\nb: 1"), [1, 2, 3]);
    }

    #[test]
    fn other_lines_are_shown() {
        let text = include_str!("../../conf/minimal.yaml");
        assert_eq!(hidden(text), [0; 0]);
        assert_eq!(hidden("heartbeat: { text: \"a\\nb\" }\n# words\nservers: [ a ]\nsections: 1\n"), [0; 0]);
    }
}
