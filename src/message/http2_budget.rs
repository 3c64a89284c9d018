//! How many frames a client may send that bring nobody anything: pings, settings, resets, updates, empty pieces. Each is cheap to
//! send, costs us work, and is bounded by no window (RFC 9113 section 10.5). They are paid from an allowance that comes back with time
//! and with the work that a connection does, so that a busy one may have as many as it needs and an idle one few.

use std::time::{Duration, Instant};

use super::http2_frames::{Frame, kind};

/// What a frame costs, in time: 200 a second may go on for ever.
const PRICE: Duration = Duration::from_millis(5);
/// So many at once are nobody's ill will, and some more for each stream: all of them may be cancelled at once, by a client whose page
/// closes or by a proxy before us that lost its own.
const AT_ONCE: u32 = 1000;
const PER_STREAM: u32 = 8;
/// SETTINGS may change the window of every stream, which are all looked at.
const SETTINGS_PRICE: u32 = 10;
/// A reset that the client provoked: what it asked for had begun.
const PROVOKED_PRICE: u32 = 2;
/// What a response, or a piece of one, may be worth in updates: a client may grant its stream and its connection after each piece, and
/// measure its line with pings.
const ANSWER_CREDIT: u32 = 4;
/// What a piece of an upload is worth.
const UPLOAD_CREDIT: u32 = 1;
/// Bytes of payload that are worth one frame more.
const CREDIT_BYTES: u32 = 4096;

/// The allowance of one connection.
#[derive(Debug)]
pub struct FrameBudget {
    most: Duration,
    debt: Duration,
    at: Instant,
}

/// What a client sent too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flood {
    /// PING.
    Pings,
    /// SETTINGS.
    Settings,
    /// PRIORITY.
    Priorities,
    /// RST_STREAM for requests that had no answer yet (CVE-2023-44487).
    Resets,
    /// WINDOW_UPDATE, with nothing sent that would need it.
    WindowUpdates,
    /// DATA or CONTINUATION without a byte.
    EmptyFrames,
    /// Frames of other types, which are ignored (RFC 9113 section 4.1).
    OtherFrames,
    /// What we must answer with a reset (CVE-2025-8671).
    Errors,
}

impl FrameBudget {
    /// Of a connection that may have so many streams.
    #[must_use]
    pub fn new(streams: u32, now: Instant) -> Self {
        let most = PRICE.saturating_mul(AT_ONCE.saturating_add(PER_STREAM.saturating_mul(streams)));
        Self { most, debt: Duration::ZERO, at: now }
    }

    /// The client sent `frame`.
    ///
    /// # Errors
    /// It is one too many.
    pub fn received(&mut self, frame: &Frame, now: Instant) -> Result<(), Flood> {
        let (price, flood) = match frame.kind {
            kind::DATA if frame.is_empty_data() => (1, Flood::EmptyFrames),
            kind::DATA => {
                self.earn(if frame.data() == 0 { 0 } else { UPLOAD_CREDIT + frame.data() / CREDIT_BYTES });
                return Ok(());
            }
            // A request is work that is wanted; how many there may be at once is bounded.
            kind::HEADERS => return Ok(()),
            kind::CONTINUATION if frame.length > 0 => return Ok(()),
            kind::CONTINUATION => (1, Flood::EmptyFrames),
            kind::SETTINGS if frame.is_ack() => (1, Flood::Settings),
            kind::SETTINGS => (SETTINGS_PRICE, Flood::Settings),
            kind::PING => (1, Flood::Pings),
            kind::PRIORITY => (1, Flood::Priorities),
            kind::RST_STREAM => (1, Flood::Resets),
            kind::WINDOW_UPDATE => (1, Flood::WindowUpdates),
            _ => (1, Flood::OtherFrames),
        };
        self.pay(price, now, flood)
    }

    /// We sent `frame`.
    ///
    /// # Errors
    /// It is one too many of those that the client provoked.
    pub fn sent(&mut self, frame: &Frame, now: Instant) -> Result<(), Flood> {
        match frame.kind {
            kind::HEADERS => self.earn(ANSWER_CREDIT),
            kind::DATA if frame.data() > 0 => self.earn(ANSWER_CREDIT + frame.data() / CREDIT_BYTES),
            kind::RST_STREAM if is_provoked(frame.code()) => return self.pay(PROVOKED_PRICE, now, Flood::Errors),
            _ => {}
        }
        Ok(())
    }

    fn pay(&mut self, price: u32, now: Instant, flood: Flood) -> Result<(), Flood> {
        self.debt = self.debt.saturating_sub(now.saturating_duration_since(self.at)) + PRICE * price;
        self.at = now;
        if self.debt > self.most { Err(flood) } else { Ok(()) }
    }

    fn earn(&mut self, frames: u32) {
        self.debt = self.debt.saturating_sub(PRICE * frames);
    }
}

/// PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED and REFUSED_STREAM (RFC 9113 section 7): the codec's answers to what a client
/// should not have sent. The others are ours, and end what was served.
fn is_provoked(code: u32) -> bool {
    matches!(code, 1 | 3 | 5 | 7)
}

#[cfg(test)]
mod tests {
    use super::super::http2_frames::FrameScanner;
    use super::*;
    use crate::clock;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Frame {
        let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
        let wire = [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat();
        let mut found = None;
        let all: Result<(), ()> = FrameScanner::of_server().scan(&wire, |frame| {
            found = Some(*frame);
            Ok(())
        });
        assert_eq!(all, Ok(()));
        found.expect("a frame")
    }

    fn ping() -> Frame {
        frame(kind::PING, 0, &[0; 8])
    }

    /// How many pass at once, and what ends it.
    fn most(streams: u32, frame: &Frame) -> (u32, Flood) {
        let now = clock::now();
        let mut budget = FrameBudget::new(streams, now);
        let mut passed = 0;
        loop {
            match budget.received(frame, now) {
                Ok(()) => passed += 1,
                Err(flood) => return (passed, flood),
            }
            assert!(passed < 1_000_000, "no end of {frame:?}");
        }
    }

    #[test]
    fn each_kind_of_flood_ends_and_has_its_name() {
        let allowance = AT_ONCE + 128 * PER_STREAM;
        for (frame, expected, flood) in [
            (ping(), allowance, Flood::Pings),
            (frame(kind::PING, 1, &[0; 8]), allowance, Flood::Pings),
            (frame(kind::SETTINGS, 0, b""), allowance / SETTINGS_PRICE, Flood::Settings),
            (frame(kind::SETTINGS, 1, b""), allowance, Flood::Settings),
            (frame(kind::PRIORITY, 0, &[0; 5]), allowance, Flood::Priorities),
            (frame(kind::RST_STREAM, 0, &[0; 4]), allowance, Flood::Resets),
            (frame(kind::WINDOW_UPDATE, 0, &[0; 4]), allowance, Flood::WindowUpdates),
            (frame(kind::DATA, 0, b""), allowance, Flood::EmptyFrames),
            (frame(kind::DATA, 8, &[2, 0, 0]), allowance, Flood::EmptyFrames),
            (frame(kind::CONTINUATION, 0, b""), allowance, Flood::EmptyFrames),
            (frame(0x10, 0, b"u=1"), allowance, Flood::OtherFrames),
        ] {
            assert_eq!(most(128, &frame), (expected, flood), "{frame:?}");
        }
        assert!(most(10_000, &ping()).0 > 80_000);
    }

    #[test]
    fn the_allowance_comes_back_with_time_and_is_never_more_than_at_first() {
        let start = clock::now();
        let mut budget = FrameBudget::new(1, start);
        let mut now = start;
        for _ in 0..100_000 {
            assert_eq!(budget.received(&ping(), now), Ok(()));
            now += PRICE;
        }
        now += Duration::from_hours(1);
        let at_once = (0..).take_while(|_| budget.received(&ping(), now).is_ok()).count();
        assert_eq!(at_once, (AT_ONCE + PER_STREAM) as usize);
    }

    #[test]
    fn work_earns_what_goes_with_it() {
        let now = clock::now();
        let mut budget = FrameBudget::new(1, now);
        let update = frame(kind::WINDOW_UPDATE, 0, &[0; 4]);
        for _ in 0..100_000 {
            assert_eq!(budget.sent(&frame(kind::DATA, 0, b"x"), now), Ok(()));
            for _ in 0..2 {
                assert_eq!(budget.received(&update, now), Ok(()));
            }
            // A response that is cancelled costs its client nothing.
            assert_eq!(budget.sent(&frame(kind::HEADERS, 4, b"x"), now), Ok(()));
            assert_eq!(budget.received(&frame(kind::RST_STREAM, 0, &[0, 0, 0, 8]), now), Ok(()));
            // An upload in large pieces of which the rest meets a stream that is gone.
            assert_eq!(budget.received(&frame(kind::DATA, 0, &[0; 16_384]), now), Ok(()));
            assert_eq!(budget.sent(&frame(kind::RST_STREAM, 0, &[0, 0, 0, 5]), now), Ok(()));
        }
    }

    #[test]
    fn resets_that_a_client_provokes_are_its_own_and_ours_are_not() {
        let now = clock::now();
        let resets = |code: u8| {
            let mut budget = FrameBudget::new(128, now);
            (0..10_000).take_while(|_| budget.sent(&frame(kind::RST_STREAM, 0, &[0, 0, 0, code]), now).is_ok()).count()
        };
        for code in [1, 3, 5, 7] {
            assert_eq!(resets(code), 1012, "code {code}");
        }
        for code in [0, 2, 8, 11] {
            assert_eq!(resets(code), 10_000, "code {code}");
        }
    }
}
