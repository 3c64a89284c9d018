//! One line of an event stream, split into its field (WHATWG HTML 9.2.6, "interpreting an event stream").
//!
//! The line comes without its terminator, and is not blank: what a blank line does is the caller's business. Values are borrowed and
//! raw: whether an id or a reconnection time is valid is not judged here. A byte order mark is the caller's too.

use memchr::memchr;

/// What one line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field<'a> {
    /// A line that starts with a colon; all that follows the colon.
    Comment(&'a [u8]),
    /// A line of the event's data.
    Data(&'a [u8]),
    /// The event's type.
    Event(&'a [u8]),
    /// The last event id, to be ignored if it contains NULL.
    Id(&'a [u8]),
    /// The reconnection time, to be ignored unless it is ASCII digits only.
    Retry(&'a [u8]),
    /// A field that the standard does not know; names are case-sensitive.
    Other {
        /// Everything before the first colon.
        name: &'a [u8],
        /// Everything after it, less one space.
        value: &'a [u8],
    },
}

impl<'a> Field<'a> {
    /// Splits `line`, a whole line without its terminator.
    ///
    /// A beginning of a line is classified correctly too, once it holds the name, the colon and the byte after it; its value is then
    /// the beginning of the value.
    #[must_use]
    #[inline]
    pub fn parse(line: &'a [u8]) -> Self {
        let known = match line {
            [b'd', b'a', b't', b'a', rest @ ..] => value_after_name(rest).map(Self::Data),
            [b'i', b'd', rest @ ..] => value_after_name(rest).map(Self::Id),
            [b'e', b'v', b'e', b'n', b't', rest @ ..] => value_after_name(rest).map(Self::Event),
            [b'r', b'e', b't', b'r', b'y', rest @ ..] => value_after_name(rest).map(Self::Retry),
            [b':', text @ ..] => Some(Self::Comment(text)),
            _ => None,
        };
        known.unwrap_or_else(|| Self::parse_other(line))
    }

    fn parse_other(line: &'a [u8]) -> Self {
        let (name, rest) = line.split_at(memchr(b':', line).unwrap_or(line.len()));
        Self::Other { name, value: value_after_name(rest).unwrap_or_default() }
    }
}

/// The value in what follows a field name: empty without a colon, else all after the colon less one space. `None` when the name goes
/// on.
#[inline]
fn value_after_name(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Field;

    fn other<'a>(name: &'a str, value: &'a str) -> Field<'a> {
        Field::Other { name: name.as_bytes(), value: value.as_bytes() }
    }

    #[test]
    fn each_known_name_gives_its_field() {
        assert_eq!(Field::parse(b"data: a"), Field::Data(b"a"));
        assert_eq!(Field::parse(b"event: a"), Field::Event(b"a"));
        assert_eq!(Field::parse(b"id: a"), Field::Id(b"a"));
        assert_eq!(Field::parse(b"retry: 1"), Field::Retry(b"1"));
    }

    #[test]
    fn one_space_after_the_colon_is_stripped_and_no_more() {
        assert_eq!(Field::parse(b"data:a"), Field::Data(b"a"));
        assert_eq!(Field::parse(b"data:  a "), Field::Data(b" a "));
        assert_eq!(Field::parse(b"data:\ta"), Field::Data(b"\ta"));
        assert_eq!(Field::parse(b"data: "), Field::Data(b""));
    }

    #[test]
    fn a_line_without_colon_is_a_name_with_an_empty_value() {
        assert_eq!(Field::parse(b"data"), Field::Data(b""));
        assert_eq!(Field::parse(b"id"), Field::Id(b""));
        assert_eq!(Field::parse(b"event"), Field::Event(b""));
        assert_eq!(Field::parse(b"retry"), Field::Retry(b""));
        assert_eq!(Field::parse(b"hello"), other("hello", ""));
    }

    #[test]
    fn only_the_first_colon_splits() {
        assert_eq!(Field::parse(b"data: a: b"), Field::Data(b"a: b"));
        assert_eq!(Field::parse(b"time: 12:30"), other("time", "12:30"));
        assert_eq!(Field::parse(b"x::y"), other("x", ":y"));
    }

    #[test]
    fn names_are_case_sensitive_and_never_trimmed() {
        for line in ["Data: a", "DATA: a", "ID: a", "Event: a", "Retry: 1"] {
            let (name, value) = line.split_once(": ").expect("the line has a colon");
            assert_eq!(Field::parse(line.as_bytes()), other(name, value));
        }
        assert_eq!(Field::parse(b" data: a"), other(" data", "a"));
        assert_eq!(Field::parse(b"data : a"), other("data ", "a"));
        assert_eq!(Field::parse(b"data\0: a"), other("data\0", "a"));
    }

    #[test]
    fn a_longer_or_shorter_name_is_another_field() {
        assert_eq!(Field::parse(b"dat: a"), other("dat", "a"));
        assert_eq!(Field::parse(b"datas: a"), other("datas", "a"));
        assert_eq!(Field::parse(b"idx: a"), other("idx", "a"));
        assert_eq!(Field::parse(b"i: a"), other("i", "a"));
        assert_eq!(Field::parse(b"events: a"), other("events", "a"));
        assert_eq!(Field::parse(b"retry5"), other("retry5", ""));
    }

    #[test]
    fn a_line_that_starts_with_a_colon_is_a_comment() {
        assert_eq!(Field::parse(b":"), Field::Comment(b""));
        assert_eq!(Field::parse(b": data: a"), Field::Comment(b" data: a"));
    }
}
