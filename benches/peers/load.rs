//! `ssedge load --json` as a child: started, watched line by line, ended by INT, and its report judged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::ChildStdout;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::process::Signal;
use ssedge::clock;

use crate::Fallible;
use crate::cores::Cores;
use crate::process::{Process, Program};
use crate::pure::load_json::{self, Line, Progress, Report};
use crate::tools;

/// How long streams may take to open and events to come before the run is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long load may say nothing, which it does every second.
const SILENCE: Duration = Duration::from_secs(20);

/// How long a single stream may take.
const PROBE: Duration = Duration::from_secs(20);

/// Longer than any run: it is ended by INT.
const HOLD: &str = "3h";

/// What to ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoadSpec {
    /// In messages and log names.
    pub name: &'static str,
    /// Where, with its query.
    pub url: String,
    /// Over HTTP/2, so many on each connection.
    pub per_connection: Option<u32>,
    /// How many streams.
    pub streams: u32,
    /// Streams to open a second; 0 for all at once.
    pub ramp: u32,
    /// Bytes that each reads a second.
    pub read_rate: Option<u32>,
    /// Whether streams that end come back.
    pub reconnect: bool,
}

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    process: Process,
    lines: Receiver<Fallible<Line>>,
    streams: u64,
}

/// Whether one stream from `spec` opens and has its event: some proxies listen before they know their routes.
pub(crate) fn probe(spec: &LoadSpec, cores: &Cores, dir: &Path, tls_dir: &Path) -> Fallible<bool> {
    let mut process = Process::start(&program(spec, "100ms", cores, tls_dir), cores, dir)?;
    Ok(process.wait(PROBE)?.success())
}

/// `ssedge load` as `spec` wants it.
fn program(spec: &LoadSpec, hold: &str, cores: &Cores, tls_dir: &Path) -> Program {
    let mut program = Program::new(spec.name, tools::ssedge(), &["load", &spec.url, "--json", "--hold", hold]);
    let mut add = |name: &str, value: String| program.args.extend([name.to_owned(), value]);
    add("--connections", spec.streams.to_string());
    add("--ramp", spec.ramp.to_string());
    add("--threads", cores.count().to_string());
    if let Some(number) = spec.per_connection {
        add("--streams-per-connection", number.to_string());
    }
    if spec.url.starts_with("https:") {
        add("--ca", tools::certificate(tls_dir).to_string_lossy().into_owned());
    }
    if let Some(rate) = spec.read_rate {
        add("--read-rate", rate.to_string());
    }
    program.args.extend(spec.per_connection.map(|_| "--http2".to_owned()));
    program.args.extend(spec.reconnect.then(|| "--reconnect".to_owned()));
    program
}

impl Load {
    /// Starts it on `cores`, with the certificate in `tls_dir` trusted.
    pub(crate) fn start(spec: &LoadSpec, cores: &Cores, dir: &Path, tls_dir: &Path) -> Fallible<Self> {
        let (process, output) = Process::start_piped(&program(spec, HOLD, cores, tls_dir), cores, dir)?;
        Ok(Self { process, lines: read_lines(output), streams: u64::from(spec.streams) })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next progress line, at most a few seconds away.
    pub(crate) fn progress(&mut self) -> Fallible<Progress> {
        match self.next(SILENCE)? {
            Line::Progress(progress) => Ok(progress),
            Line::Report(report) => Err(format!("load ended before it was told to: {report:?}")),
        }
    }

    /// Waits until a progress line says what `holds` wants.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Progress) -> bool) -> Fallible<Progress> {
        let deadline = clock::now() + PATIENCE;
        loop {
            let progress = self.progress()?;
            if holds(&progress) {
                return Ok(progress);
            }
            if clock::now() >= deadline {
                return Err(format!("{what}: not within {} s; {progress:?}", PATIENCE.as_secs()));
            }
        }
    }

    /// Waits until all streams are open and each had an event.
    pub(crate) fn all_open(&mut self) -> Fallible<Progress> {
        let streams = self.streams;
        self.until("all streams open with their first event", |progress| progress.open >= streams && progress.events >= streams)
    }

    /// The first progress line after `pause`.
    pub(crate) fn after(&mut self, pause: Duration) -> Fallible<Progress> {
        let deadline = clock::now() + pause;
        loop {
            let progress = self.progress()?;
            if clock::now() >= deadline {
                return Ok(progress);
            }
        }
    }

    /// Ends it; its report.
    pub(crate) fn finish(mut self) -> Fallible<Report> {
        self.process.signal(Signal::INT)?;
        let deadline = clock::now() + PATIENCE;
        while clock::now() < deadline {
            if let Line::Report(report) = self.next(SILENCE)? {
                return Ok(*report);
            }
        }
        Err("load did not end".to_owned())
    }

    fn next(&mut self, limit: Duration) -> Fallible<Line> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => Err(format!("load said nothing for {} s", limit.as_secs())),
            Err(RecvTimeoutError::Disconnected) => {
                // Its end may be a moment behind the end of its output.
                let _ = self.process.wait(Duration::from_secs(3));
                self.process.alive()?;
                Err("load closed its output".to_owned())
            }
        }
    }
}

/// Reads lines on a thread of their own, so that whoever waits for one can also give up.
fn read_lines(output: ChildStdout) -> Receiver<Fallible<Line>> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for text in BufReader::new(output).lines() {
            let line = text.map_err(|error| error.to_string()).and_then(|text| load_json::line(&text));
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
