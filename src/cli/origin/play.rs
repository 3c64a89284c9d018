//! One stream: its scenario played into a response, whatever carries that.

use std::io;
use std::time::Instant;

use super::scenario::{Plan, Scenario};
use super::schedule::Schedule;
use super::{Shared, event};
use crate::clock;

/// The size of the one event of an idle stream.
const IDLE_SIZE: usize = 128;

/// A response that events are written to.
pub(super) trait Sink {
    /// Sends the head at once, if it has not gone out with an event.
    async fn open(&mut self) -> io::Result<()>;

    /// Sends what `write` appends, in one write where the client takes it.
    async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()>;

    /// Returns when the client has gone.
    async fn gone(&mut self);

    /// Ends the response properly.
    async fn finish(&mut self) -> io::Result<()>;
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was played to its end.
    Finished,
    /// The client has gone.
    Gone,
}

/// Plays a stream to its end, or until its client has gone.
///
/// # Errors
///
/// What the system says when nothing can be written.
pub(super) async fn play(plan: Plan, shared: &Shared, sink: &mut impl Sink) -> io::Result<End> {
    let now = clock::now().duration_since(shared.began);
    let first = plan.after.wrapping_add(1);
    match plan.scenario {
        Scenario::Idle => {
            sink.send(|out| event::event(first, stamp_now(), IDLE_SIZE, out)).await?;
            sink.gone().await;
            Ok(End::Gone)
        }
        Scenario::Steady { period, size } => {
            let schedule = Schedule::spread(now, period, shared.next_number());
            paced(first, schedule, size, shared, sink).await
        }
        Scenario::Broadcast { period, size } => paced(first, Schedule::aligned(now, period), size, shared, sink).await,
        Scenario::Burst { events, size, per_write } => {
            burst(plan.after, events, size, per_write, sink).await?;
            sink.open().await?;
            sink.gone().await;
            Ok(End::Gone)
        }
        Scenario::Llm { tokens, period } => llm(plan.after, tokens, Schedule::at_once(now, period), shared, sink).await,
    }
}

/// Events of `size` bytes when they are due, until the client has gone.
async fn paced(first: u64, mut schedule: Schedule, size: usize, shared: &Shared, sink: &mut impl Sink) -> io::Result<End> {
    sink.open().await?;
    let mut id = first;
    loop {
        let due = shared.began + schedule.next();
        if !is_time(due, shared, sink).await {
            return Ok(End::Gone);
        }
        sink.send(|out| event::event(id, stamp(due), size, out)).await?;
        id = id.wrapping_add(1);
    }
}

/// The events behind `after` up to number `events`: the first alone, then `per_write` of them at a time.
async fn burst(after: u64, events: u64, size: usize, per_write: u64, sink: &mut impl Sink) -> io::Result<()> {
    let mut sent = after;
    let mut wanted = 1;
    while sent < events {
        let upto = events.min(sent.saturating_add(wanted));
        sink.send(|out| {
            // All of them are due when they are asked for.
            let stamp = stamp_now();
            (sent + 1..=upto).for_each(|id| event::event(id, stamp, size, out));
        })
        .await?;
        (sent, wanted) = (upto, per_write);
    }
    Ok(())
}

/// The tokens behind `after` when they are due, then the end.
async fn llm(after: u64, tokens: u64, mut schedule: Schedule, shared: &Shared, sink: &mut impl Sink) -> io::Result<End> {
    let mut sent = after;
    while sent < tokens {
        let due = shared.began + schedule.next();
        if !is_time(due, shared, sink).await {
            return Ok(End::Gone);
        }
        sent += 1;
        sink.send(|out| event::token(sent, stamp(due), out)).await?;
    }
    // The last token and the end of an answer come together.
    sink.send(|out| event::done(tokens.max(after).wrapping_add(1), out)).await?;
    sink.finish().await?;
    Ok(End::Finished)
}

/// Waits until `due`; whether the client is still there then.
async fn is_time(due: Instant, shared: &Shared, sink: &mut impl Sink) -> bool {
    tokio::select! {
        biased;
        () = shared.alarm.until(due) => true,
        () = sink.gone() => false,
    }
}

fn stamp(due: Instant) -> u64 {
    event::stamp(due, clock::now(), clock::wall())
}

fn stamp_now() -> u64 {
    let now = clock::now();
    event::stamp(now, now, clock::wall())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    /// Keeps each write; gone for its user once it has so many.
    struct Kept {
        writes: RefCell<Vec<String>>,
        enough: usize,
        finished: bool,
    }

    impl Sink for Kept {
        async fn open(&mut self) -> io::Result<()> {
            Ok(())
        }

        async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
            let mut out = Vec::new();
            write(&mut out);
            self.writes.borrow_mut().push(String::from_utf8(out).expect("text"));
            Ok(())
        }

        async fn gone(&mut self) {
            if self.writes.borrow().len() < self.enough {
                std::future::pending::<()>().await;
            }
        }

        async fn finish(&mut self) -> io::Result<()> {
            self.finished = true;
            Ok(())
        }
    }

    /// What a stream writes until it has written `enough` times, how it ended, and whether properly.
    async fn played(scenario: Scenario, after: u64, enough: usize) -> (Vec<String>, End, bool) {
        let shared: Rc<Shared> = Shared::new(clock::now(), Default::default()).expect("a timer");
        let mut kept = Kept { writes: RefCell::default(), enough, finished: false };
        let end = tokio::select! {
            end = play(Plan { scenario, after }, &shared, &mut kept) => end.expect("a sink takes all"),
            () = shared.alarm.ring() => panic!("no alarm"),
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it does not end"),
        };
        (kept.writes.into_inner(), end, kept.finished)
    }

    fn ids(text: &str) -> Vec<u64> {
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().expect("a number")).collect()
    }

    fn stamps(writes: &[String]) -> Vec<u64> {
        let stamp = |text: &String| {
            text.split_once("ts=").map(|(_, rest)| rest.split(' ').next().expect("a word").parse().expect("digits"))
        };
        writes.iter().map(|text| stamp(text).expect("a stamp")).collect()
    }

    #[tokio::test]
    async fn a_burst_is_one_event_and_then_full_writes() {
        let (writes, end, _) = played(Scenario::Burst { events: 8, size: 64, per_write: 3 }, 0, 0).await;
        let ids: Vec<Vec<u64>> = writes.iter().map(|text| ids(text)).collect();
        assert_eq!((ids, end), (vec![vec![1], vec![2, 3, 4], vec![5, 6, 7], vec![8]], End::Gone));
        assert_eq!(writes.iter().map(String::len).collect::<Vec<_>>(), [64, 192, 192, 64]);
        assert!(played(Scenario::Burst { events: 8, size: 64, per_write: 3 }, 8, 0).await.0.is_empty());
    }

    #[tokio::test]
    async fn steady_events_are_stamped_with_equal_steps() {
        for scenario in [
            Scenario::Steady { period: Duration::from_millis(2), size: 100 },
            Scenario::Broadcast { period: Duration::from_millis(2), size: 100 },
        ] {
            let (writes, end, _) = played(scenario, 40, 9).await;
            assert_eq!((ids(&writes.concat()), end), ((41..50).collect(), End::Gone));
            let mut off: Vec<u64> = stamps(&writes).windows(2).map(|pair| pair[1].abs_diff(pair[0] + 2_000_000)).collect();
            off.sort_unstable();
            // The two clocks are read one after the other, and this thread may lose its processor in between.
            assert!(off[4] < 100_000, "off by {off:?} ns");
        }
    }

    #[tokio::test]
    async fn tokens_end_with_the_word_for_it_and_properly() {
        let (writes, end, finished) = played(Scenario::Llm { tokens: 3, period: Duration::from_millis(1) }, 0, usize::MAX).await;
        assert_eq!((ids(&writes.concat()), end, finished), (vec![1, 2, 3, 4], End::Finished, true));
        assert_eq!(writes[3], "id: 4\ndata: [DONE]\n\n");
        let (rest, ..) = played(Scenario::Llm { tokens: 3, period: Duration::from_millis(1) }, 2, usize::MAX).await;
        assert_eq!(ids(&rest.concat()), [3, 4]);
    }
}
