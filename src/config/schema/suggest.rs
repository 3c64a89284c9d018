//! The known word that a mistyped one is near to. Pure; bounded, since the word is the user's.

/// Longer words are no typing errors of ours, and would cost time.
const LONGEST: usize = 40;

/// The candidate nearest to `word`, if any is near enough to be meant: spelling aside (case, `-` or `_`), at most one edit in three
/// letters.
pub(in crate::config) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = plain(word)?;
    let near = candidates.into_iter().filter_map(|candidate| {
        let distance = edits(&word, &plain(candidate)?);
        (distance * 3 <= word.len().max(candidate.len()) && distance < word.len()).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> Option<Vec<char>> {
    let letters: Vec<char> = word
        .chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .map(|letter| letter.to_ascii_lowercase())
        .take(LONGEST + 1)
        .collect();
    (letters.len() <= LONGEST).then_some(letters)
}

/// Insertions, deletions, replacements, and swaps of neighbours that turn `a` into `b` (optimal string alignment).
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(letter != other);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == b[j - 1] && a[i - 1] == *other {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 4] = ["request_head", "response_head", "connect", "text"];

    #[test]
    fn a_typing_error_finds_its_word() {
        for (word, meant) in [
            ("conect", "connect"),
            ("conenct", "connect"),
            ("connects", "connect"),
            ("requestHead", "request_head"),
            ("request-head", "request_head"),
            ("reponse_head", "response_head"),
            ("CONNECT", "connect"),
            ("txt", "text"),
        ] {
            assert_eq!(nearest(word, WORDS), Some(meant), "{word}");
        }
    }

    #[test]
    fn a_word_that_is_far_from_all_finds_none() {
        for word in ["", "_", "x", "tls", "disconnected_for", &"connect".repeat(1000)] {
            assert_eq!(nearest(word, WORDS), None, "{word}");
        }
    }

    #[test]
    fn edits_are_counted() {
        let count = |a: &str, b: &str| edits(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        for (a, b, n) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "axc", 1),
            ("abc", "bc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(count(a, b), n, "{a} {b}");
        }
    }
}
