//! What a load found: the text that is printed and the exit code.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;

use super::histogram::Histogram;
use super::stream::{Cut, Failure, Outcome};
use super::totals::Totals;

/// The outcomes of all streams, and in the end what they got.
#[derive(Debug)]
pub(super) struct Report {
    url: String,
    wanted: u32,
    open: u32,
    clean: u32,
    cut: BTreeMap<Cut, u32>,
    /// By status.
    refused: BTreeMap<u16, u32>,
    failed: BTreeMap<Failure, u32>,
    /// Streams that did not begin before the load ended.
    not_begun: u32,
    lasted: Duration,
    totals: Arc<Totals>,
}

impl Report {
    pub(super) fn new(url: &str, wanted: u32) -> Self {
        Self {
            url: url.to_owned(),
            wanted,
            open: 0,
            clean: 0,
            cut: BTreeMap::new(),
            refused: BTreeMap::new(),
            failed: BTreeMap::new(),
            not_begun: 0,
            lasted: Duration::ZERO,
            totals: Arc::default(),
        }
    }

    /// Counts the end of one stream.
    pub(super) fn add(&mut self, outcome: Result<Outcome, JoinError>) {
        let count = match outcome.unwrap_or(Outcome::Failed(Failure::Panicked)) {
            Outcome::Open => &mut self.open,
            Outcome::Clean => &mut self.clean,
            Outcome::Cut(why) => self.cut.entry(why).or_default(),
            Outcome::Refused { status } => self.refused.entry(status).or_default(),
            Outcome::Failed(why) => self.failed.entry(why).or_default(),
        };
        *count += 1;
    }

    /// Completes it.
    pub(super) fn finish(self, lasted: Duration, not_begun: u32, totals: Arc<Totals>) -> Self {
        Self { not_begun, lasted, totals, ..self }
    }

    /// 0 when every stream opened, lived or ended properly, and was whole; else 1.
    pub(super) fn exit_code(&self) -> u8 {
        let is_fine = self.open + self.clean == self.wanted && self.faults() == 0;
        u8::from(!is_fine)
    }

    /// One line while the load runs.
    pub(super) fn progress(&self, totals: &Totals) -> String {
        let ended = u64::from(self.clean + sum(&self.cut));
        let open = totals.opened.get().saturating_sub(ended);
        let events = grouped(totals.events.get());
        let (connected, comments) = (totals.connected.get(), totals.comments.get());
        let failed = sum(&self.failed) + sum(&self.refused);
        format!("{connected} connected, {open} open, {ended} ended, {failed} failed, {events} events, {comments} heartbeats")
    }

    fn faults(&self) -> u64 {
        self.totals.missing.get() + self.totals.doubled.get() + self.totals.disordered.get()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &*self.totals;
        let seconds = self.lasted.as_secs_f64();
        writeln!(f, "{} streams of {}, {seconds:.1} s", self.wanted, self.url)?;
        line(f, "connected", &totals.connected.get().to_string())?;
        line(f, "opened", &totals.opened.get().to_string())?;
        counts(f, "refused", &self.refused, |status| match status {
            200 => "200 that is no event stream".to_owned(),
            status => status.to_string(),
        })?;
        counts(f, "failed", &self.failed, ToString::to_string)?;
        if self.not_begun > 0 {
            line(f, "not begun", &format!("{}  the load ended first", self.not_begun))?;
        }
        line(f, "still open", &self.open.to_string())?;
        line(f, "ended clean", &self.clean.to_string())?;
        counts(f, "cut", &self.cut, ToString::to_string)?;
        line(f, "events", &per_second(totals.events.get(), seconds))?;
        line(f, "heartbeats", &totals.comments.get().to_string())?;
        line(f, "bytes", &per_second(totals.bytes.get(), seconds))?;
        times(f, "first byte", &totals.first_byte, &[("min", 0.0), ("median", 0.5), ("max", 1.0)])?;
        times(f, "first event", &totals.first_event, &[("min", 0.0), ("median", 0.5), ("max", 1.0)])?;
        times(f, "latency", &totals.latency, &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)])?;
        line(f, "integrity", &self.integrity())?;
        for hint in self.failed.keys().filter_map(|failure| failure.hint()) {
            writeln!(f, "\n{hint}")?;
        }
        Ok(())
    }
}

impl Report {
    fn integrity(&self) -> String {
        let totals = &self.totals;
        let ids = grouped(totals.ids.get());
        if self.faults() > 0 {
            let (missing, doubled, disordered) = (totals.missing.get(), totals.doubled.get(), totals.disordered.get());
            format!("broken: {missing} missing, {doubled} doubled, {disordered} out of order, in {ids} ids")
        } else if totals.ids.get() == 0 {
            "not seen: no two events of a stream had ids that are numbers".to_owned()
        } else {
            format!("whole: each of {ids} ids is one more than the one before")
        }
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<12} {value}")
}

/// A sum and what it is made of.
fn counts<K>(f: &mut fmt::Formatter<'_>, name: &str, counts: &BTreeMap<K, u32>, show: impl Fn(&K) -> String) -> fmt::Result {
    let reasons: Vec<String> = counts.iter().map(|(why, count)| format!("{count} {}", show(why))).collect();
    let gap = if reasons.is_empty() { "" } else { "  " };
    line(f, name, &format!("{}{gap}{}", sum(counts), reasons.join(", ")))
}

fn times(f: &mut fmt::Formatter<'_>, name: &str, times: &Histogram, shares: &[(&str, f64)]) -> fmt::Result {
    let shown: Vec<String> =
        shares.iter().filter_map(|(label, share)| Some(format!("{label} {}", in_ms(times.quantile(*share)?)))).collect();
    if shown.is_empty() {
        return line(f, name, "not seen");
    }
    line(f, name, &format!("{}  ({} measured)", shown.join(", "), grouped(times.count())))
}

fn in_ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

fn per_second(count: u64, seconds: f64) -> String {
    let rate = if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    format!("{}  ({rate:.1} a second)", grouped(count))
}

/// `1234567` as `1,234,567`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let first = (digits.len() - 1) % 3 + 1;
    let mut text = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        text.push(',');
        text.extend(group.iter().copied().map(char::from));
    }
    text
}

fn sum<K>(counts: &BTreeMap<K, u32>) -> u32 {
    counts.values().sum()
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsideEvent => f.write_str("inside an event"),
            Self::Closed => f.write_str("closed without an end"),
            Self::Broken(kind) => write!(f, "{kind}"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptors => f.write_str("no file descriptor left"),
            Self::SourcePorts => f.write_str("no source port left"),
            Self::Broken(kind) => write!(f, "{kind}"),
            Self::Closed => f.write_str("closed without an answer"),
            Self::Malformed(what) => f.write_str(what),
            Self::NoAnswer => f.write_str("no answer in time"),
            Self::Panicked => f.write_str("a bug in ssedge load"),
        }
    }
}

impl Failure {
    /// What to do about it, where that is ours to know.
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Descriptors => Some(
                "File descriptors ran out: each stream needs one, here and in the server. Raise the limit in this shell and try again:\n  \
                 ulimit -n 65536",
            ),
            Self::SourcePorts => Some(
                "Source ports ran out: one address reaches one server port about 28,000 times. Widen the range and try again:\n  \
                 sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: &[Outcome]) -> Report {
        let mut report = Report::new("http://a/", u32::try_from(outcomes.len()).unwrap());
        outcomes.iter().for_each(|outcome| report.add(Ok(outcome.clone())));
        report.finish(Duration::from_secs(10), 0, Arc::default())
    }

    #[test]
    fn only_streams_that_live_or_end_cleanly_and_whole_are_fine() {
        assert_eq!(report(&[Outcome::Open, Outcome::Clean]).exit_code(), 0);
        for bad in [Outcome::Cut(Cut::Closed), Outcome::Refused { status: 503 }, Outcome::Failed(Failure::NoAnswer)] {
            assert_eq!(report(&[Outcome::Open, bad.clone()]).exit_code(), 1, "{bad:?}");
        }
        let faults: [fn(&Totals); 3] =
            [|totals| totals.missing.add(1), |totals| totals.doubled.add(1), |totals| totals.disordered.add(1)];
        for fault in faults {
            let report = report(&[Outcome::Open]);
            fault(&report.totals);
            assert_eq!(report.exit_code(), 1);
        }
        assert_eq!(Report::new("http://a/", 1).finish(Duration::ZERO, 1, Arc::default()).exit_code(), 1);
    }

    #[test]
    fn the_text_says_what_failed_and_what_to_do() {
        let refused = Outcome::Refused { status: 429 };
        let text =
            report(&[refused.clone(), refused, Outcome::Failed(Failure::Descriptors), Outcome::Cut(Cut::Closed)]).to_string();
        for part in [
            "  refused      2  2 429\n",
            "  failed       1  1 no file descriptor left\n",
            "  cut          1  1 closed without an end\n",
            "ulimit -n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!report(&[Outcome::Open]).to_string().contains("ulimit"));
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
