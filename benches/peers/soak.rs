//! `cargo bench --bench peers -- soak`: ssedge alone, for half an hour, with clients that come and go, clients that hardly read, servers that
//! die and come back, and reloads. Its memory in the end is compared with that after a sixth of the time.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use ssedge::clock;

use crate::bed::start_origin;
use crate::cores::{self, Placement};
use crate::load::{Load, LoadSpec};
use crate::options::Soak;
use crate::ports::{self, Ports};
use crate::process::Process;
use crate::pure::growth::Growth;
use crate::pure::load_json::Ends;
use crate::roster::{Front, Peer, Setup};
use crate::{Fallible, measure, tell, tools};

/// Clients that come for so long and then stay away for so long.
const VISIT: Duration = Duration::from_secs(10);
/// Between two HUPs.
const RELOAD: Duration = Duration::from_secs(15);
/// Between two deaths of the origin.
const RESTART: Duration = Duration::from_secs(60);
/// Streams come back three seconds after such a death; none is caused in the last of these, so that all can be open in the end.
const CALM: Duration = Duration::from_secs(20);

/// The loads that stay: their name, path, streams, and the bytes that each stream reads a second.
const RESIDENTS: [(&str, &str, u32, Option<u32>); 3] = [
    ("idle", "/idle", 1000, None),
    ("steady", "/steady?rate=5&size=128", 300, None),
    ("slow", "/burst?events=1000000&size=256&write=16384", 50, Some(1024)),
];

/// Those who come and go: tokens of a language model, then a clean end.
const VISITORS: (&str, u32) = ("/llm?tokens=300&rate=50", 500);

/// Everything that runs.
struct Scene {
    origin: Option<Process>,
    proxy: Process,
    residents: Vec<(Load, u64)>,
    visitors: Option<Load>,
    placement: Placement,
    base: String,
    origin_port: u16,
    dir: PathBuf,
    tls_dir: PathBuf,
}

/// Something that is done again and again.
struct Every {
    period: Duration,
    next: Instant,
}

impl Every {
    fn new(period: Duration, begin: Instant) -> Self {
        Self { period, next: begin + period }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        // What was missed meanwhile is not made up for.
        while self.next <= now {
            self.next += self.period;
        }
        due
    }
}

/// Runs the soak; whether memory stayed within the margin.
pub(crate) fn run(options: &Soak) -> Fallible<bool> {
    let out = options.out.clone().unwrap_or_else(|| tools::target().join("soak"));
    let out = std::path::absolute(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let lasts = Duration::from_secs(60 * options.minutes);
    let mut scene = Scene::begin(&out)?;
    let samples = scene.play(lasts)?;
    scene.end()?;

    let path = out.join("soak.csv");
    write_samples(&path, &samples).map_err(|error| format!("{}: {error}", path.display()))?;
    let growth = Growth::of(&samples, lasts.as_secs_f64()).ok_or("too few samples to compare")?;
    let grown = growth.percent();
    let within = grown <= options.margin;
    let _ = writeln!(
        std::io::stdout().lock(),
        "memory after {:.0} s: {:.0} KiB, in the end: {:.0} KiB ({grown:+.1} %, at most {:+.1} %): {}\nsamples: {}",
        lasts.as_secs_f64() / 6.0,
        growth.early,
        growth.late,
        options.margin,
        if within { "it does not grow" } else { "IT GREW" },
        path.display()
    );
    Ok(within)
}

impl Scene {
    /// Starts origin, proxy and those who stay.
    fn begin(out: &Path) -> Fallible<Self> {
        let mut ports = Ports::new()?;
        let [port, admin, origin_port] = [ports.take()?, ports.take()?, ports.take()?];
        let placement = cores::place(&cores::available()?, 1);
        let (dir, tls_dir) = (out.to_owned(), out.join("tls"));
        tools::make_certificate(&tls_dir)?;
        let mut origin = start_origin(origin_port, &placement.others, &dir)?;
        ports::wait_for(&mut origin, origin_port)?;
        let front = Front { http2: false, tls: false };
        let setup = Setup { port, admin, origin: origin_port, workers: 1, front, dir: &dir, tls_dir: &tls_dir };
        let program = Peer::Ssedge.program(&setup)?.ok_or("ssedge is a proxy")?;
        let mut proxy = Process::start(&program, &placement.proxy, &dir)?;
        ports::wait_for(&mut proxy, port)?;
        let base = format!("http://127.0.0.1:{port}");
        let mut scene =
            Self { origin: Some(origin), proxy, residents: Vec::new(), visitors: None, placement, base, origin_port, dir, tls_dir };
        for (name, path, streams, read_rate) in RESIDENTS {
            let mut load = scene.load(name, path, streams, read_rate, true)?;
            load.all_open()?;
            scene.residents.push((load, u64::from(streams)));
        }
        Ok(scene)
    }

    fn load(&self, name: &'static str, path: &str, streams: u32, read_rate: Option<u32>, reconnect: bool) -> Fallible<Load> {
        let url = format!("{}{path}", self.base);
        let spec = LoadSpec { name, url, streams, read_rate, reconnect, ..LoadSpec::default() };
        Load::start(&spec, &self.placement.others, &self.dir, &self.tls_dir)
    }

    /// Lets it go on for so long; samples of memory: seconds since the begin, KiB.
    fn play(&mut self, lasts: Duration) -> Fallible<Vec<(f64, f64)>> {
        let begin = clock::now();
        let mut sample = Every::new(Duration::from_secs(10).min(lasts / 60), begin);
        let mut visit = Every::new(VISIT, begin);
        let mut reload = Every::new(RELOAD, begin);
        let mut restart = Every::new(RESTART, begin.checked_sub(RESTART / 2).unwrap_or(begin));
        let mut samples = Vec::new();
        loop {
            let now = clock::now();
            let at = now.duration_since(begin);
            if at >= lasts {
                return Ok(samples);
            }
            self.proxy.alive()?;
            if sample.is_due(now) {
                let kib = u32::try_from(measure::pss_kib(self.proxy.id())?).unwrap_or(u32::MAX);
                tell(&format!("{:6.0} s: {kib} KiB", at.as_secs_f64()));
                samples.push((at.as_secs_f64(), f64::from(kib)));
            }
            if visit.is_due(now) {
                self.change_visitors()?;
            }
            if reload.is_due(now) {
                self.proxy.signal(Signal::HUP)?;
            }
            if restart.is_due(now) && at + CALM < lasts {
                self.restart_origin()?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Visitors leave in the midst of their streams, or new ones come.
    fn change_visitors(&mut self) -> Fallible<()> {
        self.visitors = match self.visitors.take() {
            Some(load) => {
                load.finish()?.judge(Ends::Churn).map_err(|problem| format!("visitors: {problem}"))?;
                None
            }
            None => Some(self.load("visitors", VISITORS.0, VISITORS.1, None, false)?),
        };
        Ok(())
    }

    fn restart_origin(&mut self) -> Fallible<()> {
        self.origin = None;
        let mut origin = start_origin(self.origin_port, &self.placement.others, &self.dir)?;
        ports::wait_for(&mut origin, self.origin_port)?;
        self.origin = Some(origin);
        Ok(())
    }

    /// Ends all loads: no event was lost, and whoever stayed is there.
    fn end(self) -> Fallible<()> {
        for (load, streams) in self.residents {
            let report = load.finish()?;
            report.judge(Ends::Churn)?;
            if report.streams.open < streams {
                return Err(format!("{} of {streams} streams were open in the end: {report:?}", report.streams.open));
            }
        }
        Ok(())
    }
}

fn write_samples(path: &Path, samples: &[(f64, f64)]) -> std::io::Result<()> {
    let mut text = String::from("seconds,pss_kib\n");
    for (at, kib) in samples {
        text.push_str(&format!("{at:.1},{kib:.0}\n"));
    }
    fs::write(path, text)
}
