//! The peers' configurations: files in `conf/` that a person can read, with `@name@` where a value goes. A line that opens with
//! `@when WORD@` stays only where WORD holds (`tls`, `clear`, `http2`, `http1`), without that opening.

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

/// The line without its condition; `None` where that does not hold.
fn condition(line: &str, holds: &[&str]) -> Result<Option<String>, String> {
    let indent = line.len() - line.trim_start().len();
    let Some(rest) = line[indent..].strip_prefix("@when ") else { return Ok(Some(line.to_owned())) };
    let (word, rest) = rest.split_once("@ ").ok_or_else(|| format!("a condition does not end: {line}"))?;
    if !["tls", "clear", "http1", "http2"].contains(&word) {
        return Err(format!("nothing is known of the condition `{word}`"));
    }
    Ok(holds.contains(&word).then(|| format!("{}{rest}", &line[..indent])))
}

fn fill_line(line: &str, values: &[(&str, &str)], out: &mut String) -> Result<(), String> {
    let mut parts = line.split('@');
    out.push_str(parts.next().unwrap_or_default());
    while let Some(name) = parts.next() {
        let rest = parts.next().ok_or_else(|| format!("`@` without its end: {line}"))?;
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.ok_or_else(|| format!("nothing is known of the value `{name}`"))?;
        out.push_str(value);
        out.push_str(rest);
    }
    Ok(())
}
