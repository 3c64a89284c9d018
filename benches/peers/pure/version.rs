//! Versions as programs print them.

/// The first word of `text` that looks like a version, without what distributions append.
pub(crate) fn in_text(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || c == '/');
    let numbers = words.map(|word| word.trim_start_matches('v'));
    let mut versions = numbers.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    versions.next().map(|word| word.split(['-', '+']).next().unwrap_or(word).to_owned())
}
