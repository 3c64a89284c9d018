//! What is shown while a load runs: JSON lines on standard output, and a bar on standard error where that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::json;
use super::plan::Plan;
use super::totals::Board;

/// Between two JSON lines.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at the bar.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Whoever watches.
pub(super) struct Display {
    /// JSON lines are wanted.
    json: bool,
    bar: Option<ProgressBar>,
    wanted: u32,
    hold: Duration,
    /// When all streams had begun.
    held_since: Option<Instant>,
    next_json: Instant,
    /// The events of the last look, and when it was.
    last: (u64, Instant),
}

impl Display {
    /// For a load that began at `began`.
    pub(super) fn new(plan: &Plan, json: bool, began: Instant) -> Self {
        let bar = io::stderr().is_terminal().then(|| bar(plan.wanted));
        Self { json, bar, wanted: plan.wanted, hold: plan.hold, held_since: None, next_json: began + JSON_EVERY, last: (0, began) }
    }

    /// When it wants to look again; never, if nobody watches.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        let bar = self.bar.as_ref().map(|_| now + BAR_EVERY);
        let json = self.json.then_some(self.next_json);
        bar.into_iter().chain(json).min()
    }

    /// All streams have begun.
    pub(super) fn holds(&mut self, now: Instant) {
        self.held_since = Some(now);
    }

    /// Looks at the board.
    pub(super) fn look(&mut self, board: &Board, now: Instant) {
        let progress = board.progress(now);
        if self.json && now >= self.next_json {
            // Counted from the begin, so that the lines do not drift.
            while self.next_json <= now {
                self.next_json += JSON_EVERY;
            }
            print(&json::progress(&progress));
        }
        let Some(bar) = &self.bar else { return };
        let (events, looked) = std::mem::replace(&mut self.last, (progress.events, now));
        let seconds = now.duration_since(looked).as_secs_f64().max(0.001);
        let rate = (progress.events - events) as f64 / seconds;
        let failed = if progress.failed > 0 { format!(", {} failed", progress.failed) } else { String::new() };
        bar.set_message(format!(
            "{} of {} open{failed}, {} events, {rate:.0} a second",
            progress.open, self.wanted, progress.events
        ));
        match self.held_since {
            None => bar.set_position(progress.begun),
            Some(since) => {
                bar.set_length(u64::try_from(self.hold.as_millis()).unwrap_or(u64::MAX));
                bar.set_position(u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX));
                bar.set_prefix("holding");
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Writes to standard output at once. Whoever closed the pipe does not want the rest.
pub(super) fn print(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

fn bar(wanted: u32) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(u64::from(wanted)), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {elapsed}  {msg}").expect("the template is a constant");
    bar.set_style(style.progress_chars("=> "));
    bar.set_prefix("opening");
    bar
}

#[cfg(test)]
mod tests {
    use super::super::args::tests::parse;
    use super::*;
    use crate::clock;

    #[tokio::test]
    async fn json_lines_are_due_each_second_from_the_begin() {
        let plan = Plan::new(&parse(&["http://127.0.0.1:1/"]).unwrap()).await.unwrap();
        let began = clock::now();
        let board = Board::new(began, 1);
        let after = |ms| began + Duration::from_millis(ms);
        let mut display = Display { bar: None, ..Display::new(&plan, true, began) };
        assert_eq!(display.next_look(began), Some(after(1000)));
        display.look(&board, after(1100));
        assert_eq!(display.next_look(after(1100)), Some(after(2000)));
        display.look(&board, after(5500));
        assert_eq!(display.next_look(after(5500)), Some(after(6000)));
        assert_eq!(Display { bar: None, ..Display::new(&plan, false, began) }.next_look(began), None);
    }

    #[tokio::test]
    async fn the_bar_counts_streams_and_then_the_time() {
        let plan = Plan::new(&parse(&["http://127.0.0.1:1/", "-c", "50", "--hold", "20s"]).unwrap()).await.unwrap();
        let began = clock::now();
        let board = Board::new(began, 1);
        let hidden = bar(plan.wanted);
        hidden.set_draw_target(ProgressDrawTarget::hidden());
        let mut display = Display { bar: Some(hidden.clone()), ..Display::new(&plan, false, began) };
        let totals = &board.threads[0];
        totals.begun.add(20);
        totals.opened.add(10);
        totals.events.add(3000);
        display.look(&board, began + Duration::from_secs(2));
        assert_eq!((hidden.position(), hidden.length()), (20, Some(50)));
        assert_eq!(hidden.message(), "10 of 50 open, 3000 events, 1500 a second");
        display.holds(began + Duration::from_secs(2));
        display.look(&board, began + Duration::from_secs(7));
        assert_eq!((hidden.position(), hidden.length()), (5000, Some(20_000)));
        display.end();
        assert!(hidden.is_finished());
    }
}
