//! Where everything in the file is: the tree of its nodes with line and column, from the parser's events.
//!
//! It never holds values: those are read by `serde_yaml` (see [`super::raw`]), which keeps no places. What this product refuses of
//! YAML 1.2.2 is refused here, before the values are read: aliases and anchors (section 3.2.2.2; no expansion, so no bomb), tags
//! (6.9.1), merge keys, several documents (9.2), and nesting without end.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::defaults;
use super::error::Report;
use super::source::{Source, Span};

/// The deepest key of the contract is at six; beyond this the file is no configuration.
const DEEPEST: usize = 32;

/// Keys and values in all: thousands of routes fit. Bounds the work on a file that is small and dense.
const MOST_NODES: usize = 100_000;

/// A node and its place.
#[derive(Debug)]
pub(super) struct Placed {
    /// The scalar, or where the list or map starts.
    pub(super) span: Span,
    /// Which kind of node it is.
    pub(super) shape: Shape,
}

/// The kinds of node, without values.
#[derive(Debug)]
pub(super) enum Shape {
    /// A single value; `quoted` is in single or double quotes.
    Scalar { quoted: bool },
    /// The items in order.
    List(Vec<Placed>),
    /// The entries in order.
    Map(Vec<PlacedEntry>),
    /// Reported already: what it says does not count.
    Refused,
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct PlacedEntry {
    pub(super) key: Placed,
    pub(super) value: Placed,
}

/// The index of a file's only document; `None` when it was refused as a whole, with the reason in `report`.
pub(super) fn index(source: &Source<'_>, report: &mut Report<'_>) -> Option<Placed> {
    let mut indexer = Indexer { parser: Parser::new_from_str(source.text()), report, nodes: 0, has_alias: false };
    let root = indexer.document().ok()?;
    if indexer.has_alias { None } else { root }
}

/// The file cannot be read further; the reason is reported.
struct Stop;

struct Indexer<'t, 'r, 's> {
    parser: Parser<'t, StrInput<'t>>,
    report: &'r mut Report<'s>,
    nodes: usize,
    has_alias: bool,
}

impl<'t> Indexer<'t, '_, '_> {
    fn document(&mut self) -> Result<Option<Placed>, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                _ if root.is_some() => {
                    self.report.error(
                        span,
                        "a second document starts in this file",
                        "keep one document: remove the `---` between them and all that follows",
                    );
                    break;
                }
                event => root = Some(self.node(event, span, 1)?),
            }
        }
        if root.is_none() {
            let help = format!("the smallest configuration is:\n{}", defaults::SMALLEST_CONFIG);
            self.report.error(Span::START, "the file has no configuration in it", help);
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, to_span(span))),
            Some(Err(error)) => {
                self.refuse_syntax(&error);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Span::START)),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Placed, Stop> {
        if depth > DEEPEST {
            self.report.error(
                span,
                format!("nested more than {DEEPEST} deep"),
                "no key of the configuration is so deep: flatten it",
            );
            return Err(Stop);
        }
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            self.report.error(
                span,
                format!("more than {MOST_NODES} keys and values"),
                "no configuration is so large: name the right file",
            );
            return Err(Stop);
        }
        let shape = match event {
            Event::Scalar(_, style, anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), span);
                Shape::Scalar { quoted: matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted) }
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), span);
                Shape::List(self.items(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_properties(anchor, tag.is_some(), span);
                Shape::Map(self.entries(depth)?)
            }
            Event::Alias(_) => {
                self.has_alias = true;
                self.report.error(span, "aliases (`*name`) are not supported", "write the value out here");
                Shape::Refused
            }
            _ => Shape::Refused,
        };
        Ok(Placed { span, shape })
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Placed>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<PlacedEntry>, Stop> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let mut key = self.node(event, span, depth + 1)?;
            if is_merge {
                self.report.error(span, "merge keys (`<<`) are not supported", "write the keys out here");
                key.shape = Shape::Refused;
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            entries.push(PlacedEntry { key, value });
        }
    }

    fn refuse_properties(&mut self, anchor: usize, is_tagged: bool, span: Span) {
        if anchor != 0 {
            self.report.error(
                span,
                "anchors (`&name`) are not supported",
                "remove the anchor, and write the value out where it is used",
            );
        }
        if is_tagged {
            self.report.error(span, "tags (`!name`) are not supported", "remove the tag");
        }
    }

    fn refuse_syntax(&mut self, error: &ScanError) {
        let at = error.marker();
        let span = Span { line: at.line(), column: at.col() + 1, length: 1 };
        self.report.error(
            span,
            format!("this is not YAML: {}", error.info()),
            "check the indentation, the brackets and the quotes here and just before; quote text with special characters",
        );
    }
}

fn to_span(span: saphyr_parser::Span) -> Span {
    let is_one_line = span.start.line() == span.end.line();
    let length = if is_one_line { span.end.col().saturating_sub(span.start.col()) } else { usize::MAX };
    Span { line: span.start.line(), column: span.start.col() + 1, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(placed: &Placed) -> String {
        let Span { line, column, .. } = placed.span;
        match &placed.shape {
            Shape::Scalar { quoted } => format!("{line}:{column}{}", if *quoted { "q" } else { "" }),
            Shape::List(items) => format!("[{}]", items.iter().map(outline).collect::<Vec<_>>().join(" ")),
            Shape::Map(entries) => {
                let inner: Vec<_> = entries.iter().map(|e| format!("{}={}", outline(&e.key), outline(&e.value))).collect();
                format!("{{{}}}", inner.join(" "))
            }
            Shape::Refused => "refused".to_owned(),
        }
    }

    fn read(text: &str) -> (Option<String>, Vec<String>) {
        let source = Source::new("f", text);
        let mut report = Report::new(&source);
        let root = index(&source, &mut report);
        let problems = report.finish();
        let words = problems.iter().map(|p| format!("{}:{} {}", p.place.unwrap().line, p.place.unwrap().column, p.message));
        (root.as_ref().map(outline), words.collect())
    }

    #[test]
    fn every_key_and_value_has_its_place() {
        let (outline, problems) = read("# c\nä: 1 # x\nlist:\n  - a: 'x'\n  - \"y\"\nflow: { k: [ 1, 2 ] }\nempty:\n");
        assert_eq!(outline.unwrap(), "{2:1=2:4 3:1=[{4:5=4:8q} 5:5q] 6:1={6:9=[6:14 6:17]} 7:1=7:6}");
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn block_scalars_are_not_quoted() {
        assert_eq!(read("a: |\n  text\n").0.unwrap(), "{1:1=2:3}");
    }

    #[test]
    fn aliases_stop_before_any_value_is_read() {
        let (outline, problems) = read("a: &x [ 1 ]\nb: [ *x, *x ]\n");
        assert_eq!(outline, None);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[1].starts_with("2:6 aliases"), "{problems:?}");
    }

    #[test]
    fn merge_keys_and_tags_are_refused_where_they_stand() {
        let (_, problems) = read("<<: { a: 1 }\nb: !x 1\n");
        assert!(problems[0].starts_with("1:1 merge keys"), "{problems:?}");
        assert!(problems[1].starts_with("2:") && problems[1].contains("tags"), "{problems:?}");
    }

    #[test]
    fn a_second_document_is_refused() {
        assert_eq!(read("a: 1\n---\nb: 2\n").1, ["3:1 a second document starts in this file"]);
    }

    #[test]
    fn nesting_without_end_is_refused_early() {
        for text in ["[".repeat(1 << 20), "{a: ".repeat(1 << 18), "- ".repeat(1 << 19), "? ".repeat(1 << 19)] {
            let (outline, problems) = read(&text);
            assert_eq!((outline, problems.len()), (None, 1), "{problems:?}");
        }
    }

    #[test]
    fn a_flood_of_values_is_refused() {
        let flood = |count: usize| format!("[ {} ]", "a,".repeat(count));
        assert_eq!(read(&flood(MOST_NODES)).1.len(), 1);
        assert!(read(&flood(MOST_NODES - 1)).1.is_empty());
    }

    #[test]
    fn nothing_in_the_file_gets_the_smallest_config() {
        for text in ["", "\n\n", "# only words\n"] {
            assert_eq!(read(text).1, ["1:1 the file has no configuration in it"], "{text:?}");
        }
    }
}
