//! Passive ejection: a server that failed so many times in a row gets no new work for a while, then one try that decides.
//!
//! It judges one server by what requests met there. That ejection never takes the last server is decided where all of them are seen,
//! in `pick`. Pure: time is an argument.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::spec::EjectionSpec;

/// The record of one server.
#[derive(Debug)]
pub(super) struct Ejection {
    spec: EjectionSpec,
    /// Whether `record` holds anything. A server without a failure is the rule, and costs one load.
    troubled: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// In a row.
    failures: u32,
    /// Out until then; after it, the next request is the try.
    until: Option<Instant>,
}

impl Ejection {
    /// Without a failure.
    pub(super) fn new(spec: EjectionSpec) -> Self {
        Self { spec, troubled: AtomicBool::new(false), record: Mutex::default() }
    }

    /// Whether it gets no new work now.
    pub(super) fn is_out(&self, now: Instant) -> bool {
        self.is_troubled() && self.record().until.is_some_and(|until| now < until)
    }

    /// Claims the server for one request. After an ejection the claim is the one try: it keeps others away for as long as an ejection
    /// lasts, so that a try whose end is never told does no harm. Returns `false` when another request was first.
    pub(super) fn claim(&self, now: Instant) -> bool {
        if !self.is_troubled() {
            return true;
        }
        let mut record = self.record();
        match record.until {
            Some(until) if now < until => false,
            Some(_) => {
                record.until = Some(now + self.spec.duration);
                true
            }
            None => true,
        }
    }

    /// One more failure. Returns how many in a row there are, if that ejects the server now.
    pub(super) fn failed(&self, now: Instant) -> Option<u32> {
        let mut record = self.record();
        self.troubled.store(true, Ordering::Relaxed);
        record.failures = record.failures.saturating_add(1);
        // Requests that were under way at the ejection fail later; they do not prolong it.
        let is_out = record.until.is_some_and(|until| now < until);
        if is_out || record.failures < self.spec.failures {
            return None;
        }
        record.until = Some(now + self.spec.duration);
        Some(record.failures)
    }

    /// The row of failures ends. Returns whether that ends an ejection.
    pub(super) fn succeeded(&self) -> bool {
        if !self.is_troubled() {
            return false;
        }
        let mut record = self.record();
        self.troubled.store(false, Ordering::Relaxed);
        std::mem::take(&mut *record).until.is_some()
    }

    fn is_troubled(&self) -> bool {
        self.troubled.load(Ordering::Relaxed)
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    const FOR: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    fn ejection() -> Ejection {
        Ejection::new(EjectionSpec { failures: 3, duration: FOR })
    }

    #[test]
    fn only_failures_in_a_row_eject() {
        let (ejection, now) = (ejection(), clock::now());
        assert_eq!((ejection.failed(now), ejection.failed(now)), (None, None));
        assert!(!ejection.succeeded(), "it was not out");
        assert_eq!((ejection.failed(now), ejection.failed(now)), (None, None));
        assert!(!ejection.is_out(now));
        assert_eq!(ejection.failed(now), Some(3));
        assert!(ejection.is_out(now));
        assert!(ejection.is_out(now + FOR - SECOND));
        assert!(!ejection.is_out(now + FOR));
    }

    #[test]
    fn after_an_ejection_one_try_is_given_to_one_request() {
        let (ejection, now) = (ejection(), clock::now());
        while ejection.failed(now).is_none() {}
        assert!(!ejection.claim(now + FOR - SECOND), "it is still out");
        let later = now + FOR;
        assert!(ejection.claim(later));
        assert!(!ejection.claim(later), "the second has to wait for the try");
        assert!(ejection.is_out(later + SECOND));
        assert!(ejection.claim(later + FOR), "a try whose end nobody told is not waited for for ever");
    }

    #[test]
    fn a_try_that_fails_leaves_the_server_out_and_one_that_succeeds_brings_it_back() {
        let (ejection, now) = (ejection(), clock::now());
        while ejection.failed(now).is_none() {}
        let later = now + FOR;
        assert!(ejection.claim(later));
        assert_eq!(ejection.failed(later), None, "it is out already");
        assert!(ejection.is_out(later + FOR - SECOND));
        assert!(ejection.claim(later + FOR));
        assert!(ejection.succeeded());
        assert!(!ejection.is_out(later + FOR));
        assert_eq!(ejection.failed(later + FOR), None, "the count begins anew");
    }

    #[test]
    fn late_failures_do_not_prolong_an_ejection_and_one_past_its_end_renews_it() {
        let (ejection, now) = (ejection(), clock::now());
        while ejection.failed(now).is_none() {}
        assert_eq!(ejection.failed(now + FOR - SECOND), None);
        assert!(!ejection.is_out(now + FOR));
        assert_eq!(ejection.failed(now + FOR), Some(5));
        assert!(ejection.is_out(now + FOR + SECOND));
    }
}
