//! Single values, typed: the one place where text becomes durations, sizes, choices.
//!
//! Each helper takes what was written, if anything, and what holds otherwise; what cannot be used is reported and the default comes
//! back. A value from the environment is never shown: it may be a secret.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::defaults;
use crate::config::error::{Report, quote};
use crate::config::raw::{Kind, Node, Scalar};
use crate::config::schema::{self, NOT_YET};
use crate::config::source::Span;
use crate::config::units::{self, UnitError};
use crate::config::words::Words;

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

    /// Something of it came from the environment.
    pub(super) fn is_from_environment(&self) -> bool {
        self.scalar.written.is_some()
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

/// A window of HTTP/2.
pub(super) fn window(leaf: Option<Leaf<'_>>, default: u32, report: &mut Report<'_>) -> u32 {
    u32::try_from(size(leaf, default as usize, defaults::WINDOWS, report)).unwrap_or(u32::MAX)
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

/// A size in bytes, where 0 is none.
pub(super) fn size_or_zero(leaf: Option<Leaf<'_>>, within: RangeInclusive<u64>, report: &mut Report<'_>) -> Option<u64> {
    let leaf = leaf.filter(|leaf| leaf.text().trim() != "0")?;
    let least = *within.start();
    Some(size(Some(leaf), usize::try_from(least).unwrap_or(usize::MAX), within, report) as u64)
}

/// One of a few words; `later` are those that a later release brings. `false` is `off` where there is an `off`.
pub(super) fn choice<T: Clone>(
    leaf: Option<Leaf<'_>>,
    default: T,
    choices: &Words<T>,
    later: &[&str],
    report: &mut Report<'_>,
) -> T {
    let Some(leaf) = leaf else { return default };
    let is_meant = |word: &str| word == leaf.text() || (schema::is_off(word) && schema::is_off(leaf.text()));
    if let Some((_, value)) = choices.iter().find(|(word, _)| is_meant(word)) {
        return value.clone();
    }
    let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
    let help = match words.as_slice() {
        [only] => format!("write {only}"),
        words => format!("write one of {}", words.join(", ")),
    };
    if later.contains(&leaf.text()) {
        leaf.refuse(NOT_YET, help, report);
    } else {
        leaf.refuse("is no choice here", help, report);
    }
    default
}

/// A whole number.
pub(super) fn number(leaf: Option<Leaf<'_>>, default: u64, within: RangeInclusive<u64>, report: &mut Report<'_>) -> u64 {
    let Some(leaf) = leaf else { return default };
    let problem = match leaf.text().trim().parse::<u64>() {
        Ok(value) if within.contains(&value) => return value,
        Ok(value) if value < *within.start() => "is too small",
        Ok(_) => "is too large",
        Err(_) => "is no whole number",
    };
    leaf.refuse(problem, format!("write a whole number from {} to {}", within.start(), within.end()), report);
    default
}

/// A whole number that fits 32 bits, as all bounds of [`crate::config::defaults`] do.
pub(super) fn small_number(leaf: Option<Leaf<'_>>, default: u32, within: RangeInclusive<u64>, report: &mut Report<'_>) -> u32 {
    u32::try_from(number(leaf, default.into(), within, report)).unwrap_or(u32::MAX)
}

/// A cap: a whole number, where 0 is none.
pub(super) fn cap(leaf: Option<Leaf<'_>>, most: u64, report: &mut Report<'_>) -> Option<u32> {
    match small_number(leaf, 0, 0..=most, report) {
        0 => None,
        cap => Some(cap),
    }
}

/// `true` or `false`.
pub(super) fn flag(leaf: Option<Leaf<'_>>, default: bool, report: &mut Report<'_>) -> bool {
    match leaf.map(|leaf| (leaf, leaf.text())) {
        None => default,
        Some((_, "true")) => true,
        Some((_, text)) if schema::is_off(text) => false,
        Some((leaf, _)) => {
            leaf.refuse("is neither `true` nor `false`", "write `true` or `false`", report);
            default
        }
    }
}

/// `10%`: from 0 to 100.
pub(super) fn percent(leaf: Option<Leaf<'_>>, default: u8, report: &mut Report<'_>) -> u8 {
    const FORM: &str = "write a whole number from 0 to 100 with its unit, such as `10%`";
    let Some(leaf) = leaf else { return default };
    match leaf.text().trim().strip_suffix('%').map(|number| number.trim_end().parse::<u8>()) {
        Some(Ok(percent @ 0..=100)) => return percent,
        Some(_) => leaf.refuse("is no percentage", FORM, report),
        None if units::is_number(leaf.text()) => {
            leaf.refuse_with_fix(UnitError::NoUnit, Some(format!("write `{}%`", leaf.text().trim())), FORM, report);
        }
        None => leaf.refuse("is no percentage", FORM, report),
    }
    default
}

/// A duration, or `off`.
pub(super) fn duration_or_off(
    leaf: Option<Leaf<'_>>,
    default: Option<Duration>,
    within: RangeInclusive<Duration>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    match leaf {
        None => default,
        Some(leaf) if schema::is_off(leaf.text()) => None,
        Some(_) => Some(duration(leaf, default.unwrap_or(*within.start()), within, report)),
    }
}
