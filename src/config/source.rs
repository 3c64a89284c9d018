//! The text of a configuration file, addressed by line and column.
//!
//! It never interprets the text. Lines end as YAML 1.2.2 section 5.4 says (LF, CR LF, or a lone CR), so that numbers agree with
//! those of the parser; columns count characters, from 1.

use std::collections::HashSet;
use std::ops::Range;

use super::error::Excerpt;

/// Longer lines (machine-written JSON on one line) are not shown in an excerpt; their place is.
const LONGEST_EXCERPT: usize = 4096;

/// A stretch of one line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// In characters; may reach over the end of the line, which then bounds it.
    pub(super) length: usize,
}

impl Span {
    /// The first character of the file.
    pub(super) const START: Self = Self { line: 1, column: 1, length: 0 };
}

/// A file's name and text.
#[derive(Debug)]
pub(super) struct Source<'t> {
    name: &'t str,
    text: &'t str,
    lines: Vec<Range<usize>>,
    /// Numbers of lines that are never shown.
    hidden: HashSet<usize>,
}

impl<'t> Source<'t> {
    /// A byte order mark is no content (YAML 1.2.2 section 5.2).
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { name, text, lines: line_ranges(text), hidden: HashSet::new() }
    }

    /// Never to show the lines with these numbers (from 1).
    pub(super) fn hiding(mut self, lines: HashSet<usize>) -> Self {
        self.hidden = lines;
        self
    }

    /// Nothing of where `span` starts may be shown.
    pub(super) fn is_hidden(&self, span: Span) -> bool {
        self.hidden.contains(&span.line)
    }

    /// The lines of the text, in order.
    pub(super) fn lines(&self) -> impl Iterator<Item = &'t str> {
        self.lines.iter().map(|range| &self.text[range.clone()])
    }

    /// As the user wrote it, for messages.
    pub(super) fn name(&self) -> &'t str {
        self.name
    }

    /// The whole text, without byte order mark.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The line of `span` and the bytes of it that `span` covers; `None` when there is no such line, or it is hidden or
    /// too long to show.
    pub(super) fn excerpt(&self, span: Span) -> Option<Excerpt> {
        if self.is_hidden(span) {
            return None;
        }
        let line = &self.text[self.lines.get(span.line.checked_sub(1)?)?.clone()];
        if line.len() > LONGEST_EXCERPT {
            return None;
        }
        let mut offsets = line.char_indices().map(|(offset, _)| offset).skip(span.column.saturating_sub(1));
        let start = offsets.next().unwrap_or(line.len());
        let end = match span.length {
            0 => start,
            length => offsets.nth(length - 1).unwrap_or(line.len()),
        };
        let end = start + line[start..end].trim_end().len();
        Some(Excerpt { line: line.to_owned(), range: start..end })
    }
}

fn line_ranges(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut lines = Vec::new();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let ends_line = match byte {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends_line {
            let is_pair = *byte == b'\n' && at > start && bytes[at - 1] == b'\r';
            lines.push(start..if is_pair { at - 1 } else { at });
            start = at + 1;
        }
    }
    lines.push(start..bytes.len());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, line: usize, column: usize, length: usize) -> (String, String) {
        let found = Source::new("f", text).excerpt(Span { line, column, length }).unwrap();
        (found.line.clone(), found.line[found.range].to_owned())
    }

    #[test]
    fn lines_end_at_lf_crlf_and_lone_cr() {
        for text in ["a\nbc\nd", "a\r\nbc\r\nd", "a\rbc\rd"] {
            assert_eq!(excerpt(text, 2, 1, 2), ("bc".into(), "bc".into()), "{text:?}");
            assert_eq!(excerpt(text, 3, 1, 1), ("d".into(), "d".into()), "{text:?}");
        }
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(excerpt("äö: ü x", 1, 5, 1), ("äö: ü x".into(), "ü".into()));
    }

    #[test]
    fn a_span_ends_with_its_line_and_without_trailing_blanks() {
        assert_eq!(excerpt("ab cd  \nef", 1, 4, usize::MAX).1, "cd");
        assert_eq!(excerpt("ab", 1, 9, 3).1, "");
    }

    #[test]
    fn a_byte_order_mark_is_not_a_column() {
        assert_eq!(excerpt("\u{feff}ab", 1, 1, 1).1, "a");
    }

    #[test]
    fn a_line_that_is_not_there_or_too_long_has_no_excerpt() {
        let long = "x".repeat(LONGEST_EXCERPT + 1);
        assert_eq!(Source::new("f", &long).excerpt(Span::START), None);
        assert_eq!(Source::new("f", "a\n").excerpt(Span { line: 3, column: 1, length: 1 }), None);
    }
}
