//! `"${NAME}"` and `"${NAME:-default}"` in one value. Pure: the environment is an argument.
//!
//! A value is expanded once: what comes out is neither expanded again nor read as YAML. `$$` stands for `$`; a `$` before anything
//! else stays as it is, so that a password with a dollar in it survives. A variable that is set but empty counts as unset, as
//! POSIX 2.6.2 has it for `:-`.

use std::fmt;

/// Reads a variable of the environment.
pub(super) type Lookup<'e> = dyn Fn(&str) -> Option<String> + 'e;

/// Why a value could not be expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EnvError {
    /// No such variable and no default.
    Unset(String),
    /// What stands between the braces is no name.
    BadName(String),
    /// `${` without `}`.
    Unclosed,
}

/// How a variable is written, for help texts.
pub(super) const FORM: &str = "write `\"${NAME}\"` or `\"${NAME:-default}\"`; a plain dollar is `$$`";

impl EnvError {
    /// What to write instead.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Unset(name) => format!("set it, or give a default: `\"${{{name}:-value}}\"`"),
            Self::BadName(_) | Self::Unclosed => FORM.to_owned(),
        }
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => write!(f, "the environment variable `{name}` is not set or empty"),
            Self::BadName(name) => write!(f, "{} is no name of an environment variable", super::error::quote(name)),
            Self::Unclosed => f.write_str("`${` without its `}`"),
        }
    }
}

/// Whether `text` names a variable (or fails to).
pub(super) fn names_variable(text: &str) -> bool {
    text.contains("${")
}

/// `text` is one variable and nothing else, so that its name is no part of a value.
pub(super) fn is_variable(text: &str) -> bool {
    text.strip_prefix("${").and_then(|text| text.strip_suffix('}')).is_some_and(is_name)
}

/// `text` with its variables replaced.
pub(super) fn expand(text: &str, lookup: &Lookup<'_>) -> Result<String, EnvError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = if let Some(inside) = after.strip_prefix('{') {
            let (reference, after) = inside.split_once('}').ok_or(EnvError::Unclosed)?;
            expanded.push_str(&resolve(reference, lookup)?);
            after
        } else {
            expanded.push('$');
            after.strip_prefix('$').unwrap_or(after)
        };
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn resolve(reference: &str, lookup: &Lookup<'_>) -> Result<String, EnvError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(EnvError::BadName(name.to_owned()));
    }
    match lookup(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value),
        None => default.map(ToOwned::to_owned).ok_or_else(|| EnvError::Unset(name.to_owned())),
    }
}

/// Letters, digits and underscores, no digit first (POSIX base definitions, "Name").
fn is_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(is_word) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand_here(text: &str) -> Result<String, EnvError> {
        expand(text, &|name| match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${PORT} $$".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_are_replaced_by_value_or_default() {
        for (text, expected) in [
            ("plain", "plain"),
            ("${PORT}", "8080"),
            ("a:${PORT}/${PORT}b", "a:8080/8080b"),
            ("${PORT:-1}", "8080"),
            ("${NONE:-1}", "1"),
            ("${NONE:-}", ""),
            ("${EMPTY:-x:-y}", "x:-y"),
        ] {
            assert_eq!(expand_here(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_dollar_alone_stays_and_two_are_one() {
        for (text, expected) in [("pa$word", "pa$word"), ("$", "$"), ("$$", "$"), ("$${PORT}", "${PORT}"), ("$$${PORT}", "$8080")] {
            assert_eq!(expand_here(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_came_from_the_environment_is_not_expanded_again() {
        assert_eq!(expand_here("${NESTED}").as_deref(), Ok("${PORT} $$"));
    }

    #[test]
    fn what_cannot_be_expanded_is_named() {
        for (text, expected) in [
            ("${NONE}", EnvError::Unset("NONE".into())),
            ("${EMPTY}", EnvError::Unset("EMPTY".into())),
            ("${}", EnvError::BadName(String::new())),
            ("${A B}", EnvError::BadName("A B".into())),
            ("${1A}", EnvError::BadName("1A".into())),
            ("${PORT", EnvError::Unclosed),
        ] {
            assert_eq!(expand_here(text), Err(expected), "{text}");
        }
    }
}
