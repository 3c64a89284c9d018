//! Single values, typed: the one place where text becomes durations, sizes, choices.
//!
//! Each helper takes what was written, if anything, and what holds otherwise; what cannot be used is reported and the default comes
//! back. A value from the environment is never shown: it may be a secret.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::error::{Report, quote};
use crate::config::raw::{Kind, Node, Scalar};
use crate::config::source::Span;
use crate::config::units::{self, UnitError};

/// A single value under its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<'n> {
    key: &'n str,
    scalar: &'n Scalar,
    span: Span,
}

impl<'n> Leaf<'n> {
    /// The value that `node` is, if it is a single one.
    pub(super) fn of(key: &'n str, node: &'n Node) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(scalar) => Some(Self { key, scalar, span: node.span }),
            _ => None,
        }
    }

    /// The value.
    pub(super) fn text(&self) -> &'n str {
        &self.scalar.text
    }

    /// Where it stands.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// Reports that the value cannot be used: "`key`: `value` `what`".
    pub(super) fn refuse(&self, what: impl Display, help: impl Into<String>, report: &mut Report<'_>) {
        report.error(self.span, format!("{}: {} {what}", quote(self.key), self.shown()), help);
    }

    /// The same for help that shows something of the value: `form` replaces it where the value came from the environment.
    pub(super) fn refuse_with_fix(&self, what: impl Display, fix: Option<String>, form: &str, report: &mut Report<'_>) {
        let help = match fix {
            Some(fix) if self.scalar.written.is_none() => fix,
            _ => form.to_owned(),
        };
        self.refuse(what, help, report);
    }

    /// The value for messages.
    fn shown(&self) -> String {
        match &self.scalar.written {
            Some(written) => format!("the value of {}", quote(written)),
            None => quote(self.text()),
        }
    }
}

/// A duration.
pub(super) fn duration(
    leaf: Option<Leaf<'_>>,
    default: Duration,
    within: RangeInclusive<Duration>,
    report: &mut Report<'_>,
) -> Duration {
    let Some(leaf) = leaf else { return default };
    match units::duration(leaf.text()) {
        Ok(value) if within.contains(&value) => return value,
        Ok(value) if value < *within.start() => {
            leaf.refuse("is too short", format!("write `{}` or more", units::show_duration(*within.start())), report);
        }
        Ok(_) => leaf.refuse("is too long", format!("write `{}` or less", units::show_duration(*within.end())), report),
        Err(error) => {
            let fix = (error == UnitError::NoUnit).then(|| format!("write `{0}s` for seconds, or `{0}ms`", leaf.text().trim()));
            leaf.refuse_with_fix(error, fix, units::DURATION_FORM, report);
        }
    }
    default
}

/// A size in bytes.
pub(super) fn size(leaf: Option<Leaf<'_>>, default: usize, within: RangeInclusive<u64>, report: &mut Report<'_>) -> usize {
    let Some(leaf) = leaf else { return default };
    match units::size(leaf.text()) {
        Ok(value) if value < *within.start() => {
            leaf.refuse("is too small", format!("write `{}` or more", units::show_size(*within.start())), report);
        }
        Ok(value) if value > *within.end() => {
            leaf.refuse("is too large", format!("write `{}` or less", units::show_size(*within.end())), report);
        }
        Ok(value) => return usize::try_from(value).unwrap_or(usize::MAX),
        Err(error) => {
            let fix = match leaf.text().trim().parse::<u64>() {
                Ok(bytes) if error == UnitError::NoUnit => {
                    Some(format!("write `{}` for bytes, or `{bytes}KiB`", units::show_size(bytes)))
                }
                _ => None,
            };
            leaf.refuse_with_fix(error, fix, units::SIZE_FORM, report);
        }
    }
    default
}

/// One of a few words.
pub(super) fn choice<T: Copy>(leaf: Option<Leaf<'_>>, default: T, choices: &[(&str, T)], report: &mut Report<'_>) -> T {
    let Some(leaf) = leaf else { return default };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == leaf.text()) {
        return *value;
    }
    let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
    leaf.refuse("is no choice here", format!("write one of {}", words.join(", ")), report);
    default
}
