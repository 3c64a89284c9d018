//! What a request asks for: its path is the scenario, its query the numbers, all judged.
//!
//! Pure. A number that cannot be used, or that no one knows, is told and never guessed at: a measurement of something else is worse than
//! none.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::event::{self, LEAST_EVENT, LEAST_JSON};

/// Largest event, JSON answer or write.
const MOST_BYTES: u64 = 1 << 20;
/// Most events or tokens of a stream.
const MOST_EVENTS: u64 = 1_000_000_000;
/// Events per second.
const RATES: RangeInclusive<f64> = 0.001..=100_000.0;

/// A request, on either version of HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// The path and its query.
    pub(super) target: &'a str,
    /// `Last-Event-ID`, if it is a number.
    pub(super) last_event_id: Option<u64>,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Stream(Plan),
    Whole(Whole),
}

/// An answer that is known as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// The `Allow` field of a 405.
    pub(super) allow: Option<&'static str>,
    pub(super) body: Vec<u8>,
}

/// A stream to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) scenario: Scenario,
    /// The id before the first one.
    pub(super) after: u64,
}

/// How a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// One event at once, then silence.
    Idle,
    /// An event of `size` bytes every `period`, each stream at its own time.
    Steady { period: Duration, size: usize },
    /// `events` of `size` bytes: the first alone, then `per_write` of them at a time, as fast as they are read.
    Burst { events: u64, size: usize, per_write: u64 },
    /// A token every `period`, then a clean end.
    Llm { tokens: u64, period: Duration },
    /// As `Steady`, all streams at the same time.
    Broadcast { period: Duration, size: usize },
}

impl Whole {
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", allow: None, body: format!("{text}\n").into_bytes() }
    }
}

/// Judges a request.
pub(super) fn reply(asked: &Asked<'_>) -> Reply {
    let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
    let allow = match path {
        "/llm" => "GET, HEAD, POST",
        "/idle" | "/steady" | "/burst" | "/broadcast" | "/json" | "/" => "GET, HEAD",
        _ => return Reply::Whole(Whole::text(404, "Nothing is here. What is: /")),
    };
    if !allow.split(", ").any(|method| method == asked.method) {
        return Reply::Whole(Whole { allow: Some(allow), ..Whole::text(405, &format!("{path} takes {allow}.")) });
    }
    match Query::parse(path, query).and_then(|query| whole_or_scenario(path, query)) {
        Ok(Ok(whole)) => Reply::Whole(whole),
        Ok(Err(scenario)) => Reply::Stream(Plan { scenario, after: asked.last_event_id.unwrap_or(0) }),
        Err(problem) => Reply::Whole(Whole::text(400, &problem)),
    }
}

/// What `path`, which is known, gives with these numbers; what is wrong with them, in a sentence.
fn whole_or_scenario(path: &str, mut query: Query<'_>) -> Result<Result<Whole, Scenario>, String> {
    let scenario = match path {
        "/idle" => Scenario::Idle,
        "/steady" => Scenario::Steady { period: query.period("rate", 10.0)?, size: query.size(128)? },
        "/broadcast" => Scenario::Broadcast { period: query.period("rate", 10.0)?, size: query.size(128)? },
        "/llm" => Scenario::Llm { tokens: query.number("tokens", 400, 1..=MOST_EVENTS)?, period: query.period("rate", 50.0)? },
        "/burst" => {
            let (events, size) = (query.number("events", 2000, 1..=MOST_EVENTS)?, query.size(256)?);
            let least = size as u64;
            let write = query.number("write", least.max(16_384), least..=MOST_BYTES)?;
            Scenario::Burst { events, size, per_write: write / least }
        }
        "/json" => {
            let size = query.bytes("size", 128, LEAST_JSON)?;
            query.finish()?;
            return Ok(Ok(Whole { status: 200, content_type: "application/json", allow: None, body: event::json(size) }));
        }
        _ => {
            query.finish()?;
            return Ok(Ok(Whole::text(200, include_str!("index.txt").trim_end())));
        }
    };
    query.finish()?;
    Ok(Err(scenario))
}

/// The numbers of a query that nobody has taken yet.
#[derive(Debug)]
struct Query<'a> {
    path: &'a str,
    given: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Query<'a> {
    fn parse(path: &'a str, query: &'a str) -> Result<Self, String> {
        let mut given = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("`{pair}` has no value: write {pair}=NUMBER."))?;
            if given.iter().any(|(other, _)| *other == name) {
                return Err(format!("`{name}` is given twice."));
            }
            given.push((name, value));
        }
        Ok(Self { path, given, known: Vec::new() })
    }

    fn take(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        let at = self.given.iter().position(|(other, _)| *other == name)?;
        Some(self.given.swap_remove(at).1)
    }

    fn number(&mut self, name: &'static str, default: u64, range: RangeInclusive<u64>) -> Result<u64, String> {
        let Some(value) = self.take(name) else {
            return Ok(default);
        };
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("`{name}={value}`: write a whole number from {} to {}.", range.start(), range.end()))
    }

    fn bytes(&mut self, name: &'static str, default: u64, least: u64) -> Result<usize, String> {
        let bytes = self.number(name, default, least..=MOST_BYTES)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// The size of an event.
    fn size(&mut self, default: u64) -> Result<usize, String> {
        self.bytes("size", default, LEAST_EVENT)
    }

    /// What passes between two events at a rate per second.
    fn period(&mut self, name: &'static str, default: f64) -> Result<Duration, String> {
        let rate = match self.take(name) {
            None => default,
            Some(value) => {
                let rate = value.parse().ok().filter(|rate| RATES.contains(rate));
                rate.ok_or_else(|| {
                    format!("`{name}={value}`: write a number per second, from {} to {}.", RATES.start(), RATES.end())
                })?
            }
        };
        Ok(Duration::from_secs_f64(1.0 / rate))
    }

    fn finish(self) -> Result<(), String> {
        let Some((name, _)) = self.given.first() else {
            return Ok(());
        };
        let path = self.path;
        match self.known.split_last() {
            None => Err(format!("`{name}`: {path} takes no numbers.")),
            Some((only, [])) => Err(format!("`{name}`: {path} takes `{only}` alone.")),
            Some((last, others)) => Err(format!("`{name}`: {path} takes `{}` and `{last}` alone.", others.join("`, `"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Reply {
        reply(&Asked { method: "GET", target, last_event_id: None })
    }

    fn scenario(target: &str) -> Scenario {
        match get(target) {
            Reply::Stream(Plan { scenario, after: 0 }) => scenario,
            other => panic!("{target}: {other:?}"),
        }
    }

    fn answer(reply: Reply) -> (u16, String) {
        match reply {
            Reply::Whole(whole) => (whole.status, String::from_utf8(whole.body).expect("text")),
            stream @ Reply::Stream(_) => panic!("{stream:?}"),
        }
    }

    #[test]
    fn what_the_list_shows_are_the_defaults() {
        let listed: Vec<&str> = include_str!("index.txt")
            .lines()
            .filter_map(|line| line.trim().split(' ').next())
            .filter(|word| word.starts_with('/'))
            .collect();
        assert_eq!(listed.len(), 7, "{listed:?}");
        for target in listed {
            let path = target.split('?').next().unwrap();
            assert_eq!(get(target), get(path), "{target}");
            if let Reply::Whole(whole) = get(target) {
                assert_eq!(whole.status, 200, "{target}");
            }
        }
    }

    #[test]
    fn numbers_are_taken_from_the_query() {
        let second = Duration::from_secs(1);
        assert_eq!(scenario("/steady?size=64&rate=0.5"), Scenario::Steady { period: second * 2, size: 64 });
        assert_eq!(scenario("/broadcast?rate=1"), Scenario::Broadcast { period: second, size: 128 });
        assert_eq!(scenario("/llm?tokens=3&rate=1000"), Scenario::Llm { tokens: 3, period: second / 1000 });
        assert_eq!(scenario("/burst?events=9&size=100&write=350"), Scenario::Burst { events: 9, size: 100, per_write: 3 });
        assert_eq!(scenario("/burst?size=20000"), Scenario::Burst { events: 2000, size: 20_000, per_write: 1 });
        assert_eq!(answer(get("/json?size=40")).1.len(), 40);
    }

    #[test]
    fn what_cannot_be_used_is_400_with_what_to_write() {
        for (target, word) in [
            ("/steady?rate=0", "from 0.001 to 100000"),
            ("/steady?rate=NaN", "from 0.001 to 100000"),
            ("/steady?rate=-1", "write a number per second"),
            ("/steady?rate=inf", "write a number per second"),
            ("/steady?size=63", "from 64 to 1048576"),
            ("/steady?size=1e3", "write a whole number"),
            ("/steady?size", "write size=NUMBER"),
            ("/steady?size=128&size=128", "`size` is given twice"),
            ("/steady?sise=128", "`sise`: /steady takes `rate` and `size` alone"),
            ("/burst?write=255", "from 256 to 1048576"),
            ("/burst?events=0", "from 1 to"),
            ("/burst?rate=1", "`events`, `size` and `write`"),
            ("/llm?tokens=18446744073709551616", "write a whole number"),
            ("/json?size=31", "from 32 to"),
            ("/json?sise=64", "takes `size` alone"),
            ("/idle?rate=1", "takes no numbers"),
            ("/?a=b", "takes no numbers"),
        ] {
            let (status, body) = answer(get(target));
            assert_eq!(status, 400, "{target}");
            assert!(body.contains(word), "{target}: {body:?}");
        }
    }

    #[test]
    fn a_path_that_nobody_knows_is_404_and_a_method_that_it_does_not_take_405() {
        assert_eq!(answer(get("/stedy")).0, 404);
        let post = |target| reply(&Asked { method: "POST", target, last_event_id: None });
        assert!(matches!(post("/llm"), Reply::Stream(_)));
        let Reply::Whole(refused) = post("/idle") else { panic!("a stream") };
        assert_eq!((refused.status, refused.allow), (405, Some("GET, HEAD")));
    }

    #[test]
    fn a_stream_goes_on_behind_the_last_event_id() {
        let reply = reply(&Asked { method: "GET", target: "/idle", last_event_id: Some(41) });
        assert_eq!(reply, Reply::Stream(Plan { scenario: Scenario::Idle, after: 41 }));
    }
}
