//! A report as a table, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::histogram::Distribution;
use super::outcome::sum;
use super::report::Report;

/// What is printed.
#[derive(Debug)]
pub(super) struct Table<'a>(pub(super) &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let outcomes = &report.outcomes;
        writeln!(f, "{} streams of {}, {:.1} s", report.wanted, report.url, report.lasted.as_secs_f64())?;
        let tls = report.tls.as_ref().map(|tls| format!(", {tls}")).unwrap_or_default();
        line(f, "protocol", &format!("{}{tls}", report.protocol))?;
        line(f, "connected", &grouped(report.connected))?;
        line(f, "opened", &grouped(report.opened))?;
        counts(f, "refused", &outcomes.refused, |status| match status {
            200 => "200 that is no event stream".to_owned(),
            status => status.to_string(),
        })?;
        counts(f, "failed", &outcomes.failed, ToString::to_string)?;
        if report.not_begun > 0 {
            line(f, "not begun", &format!("{}  the load ended first", report.not_begun))?;
        }
        line(f, "still open", &outcomes.open.to_string())?;
        line(f, "ended clean", &outcomes.clean.to_string())?;
        counts(f, "cut", &outcomes.cut, ToString::to_string)?;
        if sum(&outcomes.disconnects) > 0 {
            counts(f, "disconnects", &outcomes.disconnects, Clone::clone)?;
            line(f, "reconnects", &report.reconnects.to_string())?;
            line(f, "ended by 204", &outcomes.dismissed.to_string())?;
        }
        line(f, "events", &self.rate(report.events))?;
        line(f, "heartbeats", &grouped(report.heartbeats))?;
        line(f, "bytes", &self.rate(report.bytes))?;
        times(f, "connect", &report.connect)?;
        times(f, "first byte", &report.first_byte)?;
        times(f, "first event", &report.first_event)?;
        times(f, "latency", &report.latency)?;
        if let Some(time) = report.all_first_events {
            line(f, "all begun", &format!("{}  from the begin until every stream had its first event", in_ms(time)))?;
        }
        line(f, "integrity", &self.integrity())?;
        for hint in outcomes.failed.keys().filter_map(|failure| failure.hint()) {
            writeln!(f, "\n{hint}")?;
        }
        Ok(())
    }
}

impl Table<'_> {
    fn rate(&self, count: u64) -> String {
        format!("{}  ({:.1} a second)", grouped(count), self.0.per_second(count))
    }

    fn integrity(&self) -> String {
        let integrity = self.0.integrity;
        let ids = grouped(integrity.ids);
        if integrity.faults() > 0 {
            let [missing, doubled, disordered] = [integrity.missing, integrity.doubled, integrity.disordered].map(grouped);
            format!("broken: {missing} missing, {doubled} doubled, {disordered} out of order, in {ids} ids")
        } else if integrity.ids == 0 {
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

fn times(f: &mut fmt::Formatter<'_>, name: &str, times: &Distribution) -> fmt::Result {
    const SHARES: [(&str, f64); 6] = [("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];
    let shown: Vec<String> =
        SHARES.iter().filter_map(|(label, share)| Some(format!("{label} {}", in_ms(times.quantile(*share)?)))).collect();
    if shown.is_empty() {
        return line(f, name, "not seen");
    }
    line(f, name, &format!("{}  ({} measured)", shown.join(", "), grouped(times.count())))
}

fn in_ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
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

#[cfg(test)]
mod tests {
    use super::super::outcome::{Cut, Failure, Outcome};
    use super::super::report::tests::report;
    use super::*;

    #[test]
    fn the_table_says_what_failed_and_what_to_do() {
        let refused = Outcome::Refused { status: 429 };
        let ends = [refused.clone(), refused, Outcome::Failed(Failure::Descriptors), Outcome::Cut(Cut::Closed)];
        let text = report(&ends).table().to_string();
        for part in [
            "  protocol     http/1.1\n",
            "  refused      2  2 429\n",
            "  failed       1  1 no file descriptor left\n",
            "  cut          1  1 closed without an end\n",
            "ulimit -n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let fine = report(&[Outcome::Open]).table().to_string();
        assert!(!fine.contains("ulimit") && !fine.contains("reconnects") && fine.contains("latency      not seen\n"), "{fine}");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
