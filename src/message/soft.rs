//! Soft answers: what a browser's own EventSource gets in place of an error that will pass.
//!
//! It closes for good at 429, 502, 503 and 504, so that one of them during a deploy freezes every page that is open (WHATWG HTML section
//! 9.2.2, "fail the connection"). A 200 with one `retry:` line and a clean end says the same to it as the status says to everybody
//! else: not now, come back. Any other status is meant as it is: 204 and 4xx tell a page to stop.
//!
//! Here is which statuses, and when to come back; who gets one is [`super::client_kind::is_native_event_source`].

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The shortest wait, where nobody names one. With [`SPREAD`] the mean is 3 s, which is what browsers wait by themselves: whoever comes
/// back puts no more load on us than without this, but not in one wave.
const SHORTEST: Duration = Duration::from_secs(1);

/// What jitter adds at the least; half of a longer wait, so that a long one does not end in a wave either.
const SPREAD: Duration = Duration::from_secs(4);

/// The longest `Retry-After` that is passed on. An EventSource keeps the time for all that it does later, so an hour of maintenance
/// would cost the page an hour at the next lost packet. Who is to wait longer is told so again every few minutes.
const LONGEST: Duration = Duration::from_mins(5);

/// A status that will pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoftStatus {
    /// 429.
    TooManyRequests,
    /// 502.
    BadGateway,
    /// 503.
    ServiceUnavailable,
    /// 504.
    GatewayTimeout,
}

impl SoftStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TooManyRequests, Self::BadGateway, Self::ServiceUnavailable, Self::GatewayTimeout];

    /// `status`, if it is one of them.
    #[must_use]
    pub fn of(status: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|soft| soft.label().parse() == Ok(status))
    }

    /// Its number, as a label of metrics and in logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::TooManyRequests => "429",
            Self::BadGateway => "502",
            Self::ServiceUnavailable => "503",
            Self::GatewayTimeout => "504",
        }
    }
}

/// How long to wait before the next try: never shorter than what somebody asked for, up to five minutes, and spread by `jitter`, which
/// is any number.
#[must_use]
pub fn wait(asked: Option<Duration>, jitter: u16) -> Duration {
    let least = asked.unwrap_or_default().clamp(SHORTEST, LONGEST);
    let spread = SPREAD.max(least / 2);
    least + spread * u32::from(jitter) / u32::from(u16::MAX)
}

/// What `Retry-After` says, in seconds or as a date (RFC 9110 section 10.2.3), seen from `now`; `None` for what it does not mean.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is for ever.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::{LONGEST, SoftStatus, retry_after, wait};

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn said(value: &str) -> Option<Duration> {
        // Sun, 06 Nov 1994 08:49:37 GMT.
        let now = SystemTime::UNIX_EPOCH + seconds(784_111_777);
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_str(value).unwrap());
        retry_after(&headers, now)
    }

    #[test]
    fn only_what_will_pass_is_soft() {
        let soft: Vec<_> = (100..=599).filter_map(SoftStatus::of).map(SoftStatus::label).collect();
        assert_eq!(soft, ["429", "502", "503", "504"]);
    }

    #[test]
    fn a_wait_is_spread_over_seconds_and_never_shorter_than_asked() {
        for (asked, least, most) in [
            (None, 1_000, 5_000),
            (Some(Duration::ZERO), 1_000, 5_000),
            (Some(seconds(5)), 5_000, 9_000),
            (Some(seconds(60)), 60_000, 90_000),
            (Some(seconds(3600)), 300_000, 450_000),
            (Some(Duration::MAX), 300_000, 450_000),
        ] {
            assert_eq!(wait(asked, 0).as_millis(), least, "{asked:?}");
            assert_eq!(wait(asked, u16::MAX).as_millis(), most, "{asked:?}");
        }
        assert_eq!(wait(None, u16::MAX / 2).as_millis(), 2_999);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (value, wanted) in [
            ("0", Some(Duration::ZERO)),
            (" 120 ", Some(seconds(120))),
            ("99999999999999999999999999", Some(seconds(u64::MAX))),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(seconds(60))),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(Duration::ZERO)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            ("1, 2", None),
        ] {
            assert_eq!(said(value), wanted, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), SystemTime::UNIX_EPOCH), None);
    }

    proptest! {
        #![proptest_config(super::super::proptest_config("src/message/soft.proptest-regressions"))]

        /// Whatever a server asks for, a page comes back, and not before.
        #[test]
        fn a_page_always_comes_back(value in "[ -~]{0,40}", jitter: u16) {
            let asked = said(&value);
            let wait = wait(asked, jitter);
            prop_assert!(wait >= seconds(1) && wait <= LONGEST * 3 / 2);
            prop_assert!(wait >= asked.unwrap_or_default().min(LONGEST));
        }
    }
}
