//! What is measured, by how much it may rise, and the verdict.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// One figure: its name, what it counts, and the margin.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    what: &'static str,
    margin: Margin,
}

/// By how much a figure may rise.
#[derive(Clone, Copy)]
enum Margin {
    /// Percent of what is committed.
    Percent(f64),
    /// So much, where a single one would show.
    Absolute(f64),
}

/// All of them, in the order of the file.
pub(crate) const FIGURES: &[Figure] = &[
    instructions("scanner_event_128", "instructions in the scanner for an event of 128 bytes", 3.0),
    instructions("scanner_event_1024", "instructions in the scanner for an event of 1 KiB", 3.0),
    instructions("engine_event_128", "instructions in the engine, scanner included, for an event of 128 bytes", 3.0),
    instructions("http1_event_instructions", "instructions in the proxy for an event of 128 bytes, to a client over HTTP/1.1", 3.0),
    instructions("http1_burst_instructions", "the same for an event of 256 bytes of which 64 come in one write", 3.0),
    instructions("http2_event_instructions", "the same for an event of 128 bytes to a client over HTTP/2", 3.0),
    allocations("http1_event_allocations", "allocations for an event of 128 bytes to a client over HTTP/1.1"),
    allocations("http1_burst_allocations", "allocations for a write of 64 events of 256 bytes to a client over HTTP/1.1"),
    allocations("http2_event_allocations", "allocations for an event of 128 bytes to a client over HTTP/2"),
    bytes("http1_idle_bytes", "bytes of heap that an idle stream keeps, HTTP/1.1"),
    blocks("http1_idle_blocks", "blocks of heap that it keeps"),
    blocks("http1_open_allocations", "allocations from its connection to its first event"),
    bytes("http1_tls_idle_bytes", "bytes of heap that an idle stream keeps, HTTP/1.1 over TLS"),
    blocks("http1_tls_idle_blocks", "blocks of heap that it keeps"),
    blocks("http1_tls_open_allocations", "allocations from its connection to its first event"),
    bytes("http2_idle_bytes", "bytes of heap that an idle stream keeps, HTTP/2 with 100 streams a connection"),
    blocks("http2_idle_blocks", "blocks of heap that it keeps"),
    blocks("http2_open_allocations", "allocations from its request to its first event"),
];

const fn instructions(name: &'static str, what: &'static str, percent: f64) -> Figure {
    Figure { name, what, margin: Margin::Percent(percent) }
}

const fn allocations(name: &'static str, what: &'static str) -> Figure {
    Figure { name, what, margin: Margin::Absolute(0.02) }
}

const fn bytes(name: &'static str, what: &'static str) -> Figure {
    // Two runs of one build were 0.7 % apart.
    Figure { name, what, margin: Margin::Percent(2.0) }
}

const fn blocks(name: &'static str, what: &'static str) -> Figure {
    Figure { name, what, margin: Margin::Absolute(0.3) }
}

/// What was counted, under the name of a figure.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
}

/// The committed figures, by name.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

/// How it went.
pub(crate) struct Verdict {
    pub(crate) table: String,
    pub(crate) advice: String,
    pub(crate) holds: bool,
}

const HEADER: &str = "\
# What an event and an idle stream may cost: the regression guard's figures. `cargo bench --profile guard --bench guard` compares with
# them and fails when one has risen by more than its margin; the same with `-- --bless` writes this file anew.
#
# Counted for x86_64 with AVX2, which is what callgrind shows to the libraries that choose their code by the processor (memchr does; of
# ring no code is in the figures of instructions). System calls count as the instructions around them. The build is the profile `guard`
# with the toolchain of the day: another compiler moves instructions by a few percent, and is a reason to bless. Runs of the same build
# differ by less than 1 %. On another family of processors bless before a change, and compare with that.
";

impl Figures {
    /// The committed ones.
    pub(crate) fn read() -> Result<Self, String> {
        let path = path();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_yaml::from_str(&text).map(Self).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Compares.
    pub(crate) fn judge(&self, measured: &[Measured]) -> Verdict {
        let (mut risen, mut fallen) = (Vec::new(), false);
        let mut table =
            format!("{:<28} {:>12} {:>12} {:>7} {:>8}  verdict\n", "figure", "committed", "measured", "ratio", "margin");
        for figure in FIGURES {
            let value = measured.iter().find(|measured| measured.name == figure.name).map(|measured| measured.value);
            let committed = self.0.get(figure.name).copied();
            let verdict = match (committed, value) {
                (Some(committed), Some(value)) if value > committed + figure.margin.room(committed) => "ROSE",
                (Some(committed), Some(value)) if value < committed - figure.margin.room(committed) => "fell",
                (Some(_), Some(_)) => "holds",
                (None, _) => "NOT COMMITTED",
                (_, None) => "NOT MEASURED",
            };
            if verdict == "fell" {
                fallen = true;
            } else if verdict != "holds" {
                risen.push(figure);
            }
            let ratio = committed.zip(value).filter(|(committed, _)| *committed > 0.0).map(|(committed, value)| value / committed);
            let _ = writeln!(
                table,
                "{:<28} {:>12} {:>12} {:>7} {:>8}  {verdict}",
                figure.name,
                shown(committed),
                shown(value),
                ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}")),
                figure.margin.shown(),
            );
        }
        let strangers = self.0.keys().filter(|name| !FIGURES.iter().any(|figure| figure.name == **name));
        let strangers: Vec<&str> = strangers.map(String::as_str).collect();
        let mut advice = String::new();
        for figure in &risen {
            let _ = writeln!(advice, "{}: {}", figure.name, figure.what);
        }
        if !strangers.is_empty() {
            let _ = writeln!(advice, "Committed, and no longer measured: {}", strangers.join(", "));
        }
        let holds = risen.is_empty() && strangers.is_empty();
        if !holds {
            let _ = writeln!(
                advice,
                "What costs more now than was committed is to be found and undone. Profiles of this run, for callgrind_annotate and for a\n\
                 comparison with those of the commit before: {}\n\
                 If it buys something, say in the commit what, and commit the new figures: cargo bench --profile guard --bench guard -- --bless",
                super::scratch().display()
            );
        } else if fallen {
            advice.push_str("Better than committed. Keep it so: cargo bench --profile guard --bench guard -- --bless\n");
        }
        Verdict { table, advice, holds }
    }
}

impl Margin {
    /// How far from `committed` it may be.
    fn room(self, committed: f64) -> f64 {
        match self {
            Self::Percent(percent) => committed * percent / 100.0,
            Self::Absolute(room) => room,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Percent(percent) => format!("{percent} %"),
            Self::Absolute(room) => format!("{room}"),
        }
    }
}

/// Writes `measured` as the committed figures; where to.
pub(crate) fn write(measured: &[Measured]) -> Result<PathBuf, String> {
    let mut text = HEADER.to_owned();
    for figure in FIGURES {
        let value = measured.iter().find(|measured| measured.name == figure.name);
        let value = value.ok_or_else(|| format!("{} was not measured", figure.name))?.value;
        let _ = write!(text, "\n# {}; margin {}\n{}: {}\n", figure.what, figure.margin.shown(), figure.name, shown(Some(value)));
    }
    let path = path();
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/guard/figures.yaml")
}

/// Whole numbers where they are large.
fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 1000.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}
