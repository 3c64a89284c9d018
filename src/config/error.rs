//! What is wrong with a configuration: problems, each with its place, an excerpt and what to write instead.
//!
//! Problems are values; nothing here prints. A value that came from the environment must never be in a message (it may be a
//! secret), which [`super::resolve`] sees to. What the file says is shown with control characters made visible.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use super::source::{Source, Span};

/// More are counted, not kept: nobody reads them, and a hostile file could make millions.
const MOST_KEPT: usize = 100;

/// Longer values are cut in messages; the excerpt shows the line.
const LONGEST_QUOTE: usize = 60;

/// Whether a problem stops the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably does not say what was meant.
    Warning,
}

/// A position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the start.
    pub severity: Severity,
    /// Where; `None` when it concerns the file as a whole (it cannot be read, it is empty).
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
    excerpt: Option<Excerpt>,
}

/// The line of a problem and the bytes of it to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) line: String,
    pub(super) range: Range<usize>,
}

/// One line for a log: `12:3: message (help)`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{} ({})", self.message, self.help.replace('\n', " "))
    }
}

/// All that is wrong with one file, in the order of the file. `Display` renders it for a reader, without colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    kept: Vec<Problem>,
    errors: usize,
    omitted: usize,
}

impl Problems {
    /// The one problem of a file that could not be read as text.
    pub(super) fn unreadable(file: &str, message: String, help: &str) -> Self {
        let problem = Problem { severity: Severity::Error, place: None, message, help: help.to_owned(), excerpt: None };
        Self { file: file.to_owned(), kept: vec![problem], errors: 1, omitted: 0 }
    }

    /// The file, as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    /// No error and no warning.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// At least one that stops the start.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All of them with their excerpts, `colour` for terminals.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut blocks: Vec<String> = self.kept.iter().map(|problem| renderer.render(&[self.group(problem)])).collect();
        if self.omitted > 0 {
            blocks.push(format!("and {} more", self.omitted));
        }
        blocks.join("\n\n")
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(problem.message.as_str()));
        let group = match (problem.place, &problem.excerpt) {
            (Some(place), Some(excerpt)) => group.element(
                Snippet::source(excerpt.line.as_str())
                    .path(self.file.as_str())
                    .line_start(place.line)
                    .annotation(AnnotationKind::Primary.span(excerpt.range.clone())),
            ),
            (Some(place), None) => group.element(Origin::path(self.file.as_str()).line(place.line).char_column(place.column)),
            (None, _) => group.element(Origin::path(self.file.as_str())),
        };
        group.element(Level::HELP.message(problem.help.as_str()))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// Collects the problems of one file.
#[derive(Debug)]
pub(super) struct Report<'s> {
    source: &'s Source<'s>,
    problems: Problems,
}

impl<'s> Report<'s> {
    /// Nothing wrong yet.
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        let problems = Problems { file: source.name().to_owned(), kept: Vec::new(), errors: 0, omitted: 0 };
        Self { source, problems }
    }

    /// Something that stops the start.
    pub(super) fn error(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.problems.errors += 1;
        self.push(Severity::Error, at, message.into(), help.into());
    }

    /// Something that does not.
    pub(super) fn warning(&mut self, at: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, at, message.into(), help.into());
    }

    /// Further problems are only counted: their words need no care.
    pub(super) fn is_full(&self) -> bool {
        self.problems.kept.len() >= MOST_KEPT
    }

    /// Something that stops the start was reported.
    pub(super) fn has_errors(&self) -> bool {
        self.problems.has_errors()
    }

    /// How many things that stop the start were reported.
    pub(super) fn errors(&self) -> usize {
        self.problems.errors
    }

    /// What stands at `span` may be a secret: no word of it may be in a message.
    pub(super) fn is_secret(&self, span: Span) -> bool {
        self.source.is_hidden(span)
    }

    /// All that was reported, in the order of the file.
    pub(super) fn finish(mut self) -> Problems {
        self.problems.kept.sort_by_key(|problem| problem.place);
        self.problems
    }

    fn push(&mut self, severity: Severity, at: Span, message: String, help: String) {
        if self.is_full() {
            self.problems.omitted += 1;
            return;
        }
        let place = Some(Place { line: at.line, column: at.column });
        self.problems.kept.push(Problem { severity, place, message, help, excerpt: self.source.excerpt(at) });
    }
}

/// Text of the file as it may stand in a message: in backticks, on one line, not endless.
pub(super) fn quote(text: &str) -> String {
    let mut shown: Cow<'_, str> = text.into();
    if let Some((cut, _)) = text.char_indices().nth(LONGEST_QUOTE) {
        shown = format!("{}...", &text[..cut]).into();
    }
    format!("`{}`", normalize_untrusted_str(&shown.replace(['\n', '\r'], " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_in_the_order_of_the_file_and_name_their_place() {
        let source = Source::new("a.yaml", "one\n  two\n");
        let mut report = Report::new(&source);
        report.warning(Span { line: 2, column: 3, length: 3 }, "second", "do that");
        report.error(Span { line: 1, column: 1, length: 3 }, "first", "do this");
        let problems = report.finish();
        assert!(problems.has_errors());
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), ["1:1: first (do this)", "2:3: second (do that)"]);
        let text = problems.to_string();
        assert!(text.starts_with("error: first\n --> a.yaml:1:1\n"), "{text}");
        assert!(text.contains("warning: second\n --> a.yaml:2:3\n"), "{text}");
    }

    #[test]
    fn warnings_alone_are_no_error() {
        let source = Source::new("a.yaml", "one\n");
        let mut report = Report::new(&source);
        report.warning(Span::START, "odd", "look");
        assert!(!report.finish().has_errors());
    }

    #[test]
    fn problems_beyond_the_first_hundred_are_counted() {
        let source = Source::new("a.yaml", "one\n");
        let mut report = Report::new(&source);
        for _ in 0..MOST_KEPT + 7 {
            report.error(Span::START, "again", "stop");
        }
        let problems = report.finish();
        assert_eq!(problems.iter().count(), MOST_KEPT);
        assert!(problems.to_string().ends_with("and 7 more"));
    }

    #[test]
    fn a_quote_is_one_short_line_without_control_characters() {
        assert_eq!(quote("a\nb"), "`a b`");
        assert!(!quote("\u{1b}[31m").contains('\u{1b}'));
        assert_eq!(quote(&"x".repeat(100)).len(), LONGEST_QUOTE + 5);
    }

    #[test]
    fn colour_is_only_on_demand() {
        let source = Source::new("a.yaml", "one\n");
        let mut report = Report::new(&source);
        report.error(Span::START, "again", "stop");
        let problems = report.finish();
        assert!(problems.render(true).contains('\u{1b}'));
        assert!(!problems.render(false).contains('\u{1b}'));
    }
}
