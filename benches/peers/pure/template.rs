//! The peers' configurations: files in `conf/` that a person can read, with `<name>` where a value goes. A line that opens with
//! `@when WORD@` stays only where WORD holds, without that opening; several openings must all hold.

/// What a configuration may depend on: how clients come to the proxy.
const WORDS: [&str; 4] = ["tls", "clear", "http2", "http1"];

/// Fills `text`: `values` by name, `holds` the words that hold. A name that nobody knows is an error, so that no configuration is ever
/// half filled.
pub(crate) fn fill(text: &str, values: &[(&str, &str)], holds: &[&str]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let Some(line) = condition(line, holds)? else { continue };
        fill_line(&line, values, &mut out)?;
        out.push('\n');
    }
    Ok(out)
}

/// The line without its conditions; `None` where one does not hold.
fn condition(line: &str, holds: &[&str]) -> Result<Option<String>, String> {
    let (indent, mut rest) = line.split_at(line.len() - line.trim_start().len());
    while let Some(opening) = rest.strip_prefix("@when ") {
        let (word, after) = opening.split_once("@ ").ok_or_else(|| format!("a condition does not end: {line}"))?;
        if !WORDS.contains(&word) {
            return Err(format!("nothing is known of the condition `{word}`"));
        }
        if !holds.contains(&word) {
            return Ok(None);
        }
        rest = after;
    }
    Ok(Some(format!("{indent}{rest}")))
}

fn fill_line(line: &str, values: &[(&str, &str)], out: &mut String) -> Result<(), String> {
    let mut parts = line.split('<');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once('>').ok_or_else(|| format!("`<` without its end: {line}"))?;
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.ok_or_else(|| format!("nothing is known of the value `{name}`"))?;
        out.push_str(value);
        out.push_str(rest);
    }
    Ok(())
}
