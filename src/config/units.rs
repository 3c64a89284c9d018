//! Durations and sizes: text in, value or a plain word out.
//!
//! Nothing here knows a key or a bound. A unit is always written: `15` alone could be anything. Months and years have no fixed
//! length and are refused; a day is 24 hours.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo};

/// How a duration is written, for help texts.
pub(super) const DURATION_FORM: &str = "write a number with its unit, such as `250ms`, `15s` or `1h 30m`";

/// How a size is written, for help texts.
pub(super) const SIZE_FORM: &str = "write a number with its unit, such as `64KiB` or `1MiB`";

/// Why a text is no duration or size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitError {
    /// A number alone.
    NoUnit,
    /// Less than zero.
    Negative,
    /// Months or years.
    Calendar,
    /// Nothing that could be one.
    NoDuration,
    /// Nothing that could be one.
    NoSize,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoUnit => "needs a unit",
            Self::Negative => "is negative",
            Self::Calendar => "has months or years in it, which have no fixed length",
            Self::NoDuration => "is no duration",
            Self::NoSize => "is no size",
        })
    }
}

/// `250ms`, `15s`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, UnitError> {
    let text = text.trim();
    if is_number(text) {
        return Err(UnitError::NoUnit);
    }
    let span = SpanParser::new().parse_span(text).map_err(|_| UnitError::NoDuration)?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| UnitError::Calendar)?;
    Duration::try_from(length).map_err(|_| UnitError::Negative)
}

/// `64KiB`, `1MiB`, `500kB`.
pub(super) fn size(text: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    if is_number(text) {
        return Err(UnitError::NoUnit);
    }
    if text.starts_with('-') {
        return Err(UnitError::Negative);
    }
    text.parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| UnitError::NoSize)
}

/// A number without any unit.
pub(super) fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && !text.contains(|letter: char| letter.is_ascii_alphabetic())
}

/// A duration as one would write it in the file.
pub(super) fn show_duration(value: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match (value.as_secs(), SignedDuration::try_from(value)) {
        (seconds @ DAY.., _) if value.subsec_nanos() == 0 && seconds.is_multiple_of(DAY) => format!("{}d", seconds / DAY),
        (_, Ok(value)) => format!("{value:#}"),
        (seconds, Err(_)) => format!("{seconds}s"),
    }
}

/// A size as one would write it in the file.
pub(super) fn show_size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    match bytes {
        _ if bytes >= MIB && bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ if bytes >= KIB && bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        _ => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("15s", 15_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("0s", 0),
            (" 2m ", 120_000),
            ("1.5s", 1_500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_why() {
        for (text, error) in [
            ("15", UnitError::NoUnit),
            ("1.5", UnitError::NoUnit),
            ("-15", UnitError::NoUnit),
            ("-5s", UnitError::Negative),
            ("5s ago", UnitError::Negative),
            ("2mo", UnitError::Calendar),
            ("1y 2d", UnitError::Calendar),
            ("", UnitError::NoDuration),
            ("soon", UnitError::NoDuration),
            ("15 sheep", UnitError::NoDuration),
            ("PT5S", UnitError::NoDuration),
            ("99999999999999h", UnitError::NoDuration),
            ("inf", UnitError::NoDuration),
        ] {
            assert_eq!(duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, bytes) in
            [("64KiB", 65_536), ("1MiB", 1 << 20), ("500kB", 500_000), ("64 KiB", 65_536), ("1.5KiB", 1_536), ("0B", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_says_why() {
        for (text, error) in [
            ("65536", UnitError::NoUnit),
            ("-1KiB", UnitError::Negative),
            ("", UnitError::NoSize),
            ("big", UnitError::NoSize),
            ("1e3KiB", UnitError::NoSize),
            ("KiB", UnitError::NoSize),
        ] {
            assert_eq!(size(text), Err(error), "{text}");
        }
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        for text in ["100ms", "15s", "1h 30m", "5m", "7d", "25h"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["64KiB", "1MiB", "1000B"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
    }
}
