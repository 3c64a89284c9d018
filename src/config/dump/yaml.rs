//! YAML as we write it: block maps, lists of single values on one line, text in double quotes.
//!
//! Text is quoted always, so that no value can be read as anything else: JSON's escapes are YAML's (YAML 1.2.2 section 5.7), and `$$`
//! is the plain dollar of our own variables.

use std::fmt::{self, Display, Write};

/// A value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// One of our own words, numbers, durations and sizes: nothing in it needs quotes.
    Word(String),
    /// Text, quoted already.
    Text(String),
    /// A list.
    List(Vec<Yaml>),
    /// A map, in this order; keys are written as they are.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub(super) fn off() -> Self {
        Self::word("off")
    }

    pub(super) fn word(word: impl Display) -> Self {
        Self::Word(word.to_string())
    }

    pub(super) fn text(text: impl Display) -> Self {
        Self::Text(quoted(&text.to_string().replace('$', "$$")))
    }

    /// A name that the user chose, as a key: variables are not looked for there.
    pub(super) fn key(name: &str) -> String {
        let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_plain && !matches!(name, "null" | "true" | "false") { name.to_owned() } else { quoted(name) }
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    pub(super) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    fn is_on_one_line(&self) -> bool {
        match self {
            Self::Word(_) | Self::Text(_) => true,
            Self::List(items) => items.iter().all(|item| matches!(item, Self::Word(_) | Self::Text(_))),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    /// Writes it at `column`, where the writer stands already.
    fn write(&self, column: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) => writeln!(f, "{text}"),
            Self::List(items) if items.is_empty() => f.write_str("[]\n"),
            Self::List(_) if self.is_on_one_line() => self.write_flow(f),
            Self::List(items) => {
                for (position, item) in items.iter().enumerate() {
                    start(position, column, f)?;
                    f.write_str("- ")?;
                    item.write(column + 2, f)?;
                }
                Ok(())
            }
            Self::Map(entries) if entries.is_empty() => f.write_str("{}\n"),
            Self::Map(entries) => {
                for (position, (key, value)) in entries.iter().enumerate() {
                    start(position, column, f)?;
                    if value.is_on_one_line() {
                        write!(f, "{key}: ")?;
                        value.write(column, f)?;
                    } else {
                        write!(f, "{key}:\n{:1$}", "", column + 2)?;
                        value.write(column + 2, f)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn write_flow(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::List(items) = self else { return Ok(()) };
        for (position, item) in items.iter().enumerate() {
            f.write_str(if position == 0 { "[ " } else { ", " })?;
            if let Self::Word(text) | Self::Text(text) = item {
                f.write_str(text)?;
            }
        }
        f.write_str(" ]\n")
    }
}

/// The indentation of all lines but the first, where the writer stands already.
fn start(position: usize, column: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if position == 0 { Ok(()) } else { write!(f, "{:column$}", "") }
}

impl Display for Yaml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(0, f)
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        let code = u32::from(letter);
        let _ = match letter {
            '"' | '\\' => write!(quoted, "\\{letter}"),
            // Line ends beyond ASCII and the byte order mark are no printable characters either.
            _ if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                write!(quoted, "\\u{code:04x}")
            }
            _ => write!(quoted, "{letter}"),
        };
    }
    quoted.push('"');
    quoted
}
