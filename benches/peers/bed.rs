//! What one run happens in: an origin, a proxy before it, their cores, and a directory of its own. Both are new for each run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ssedge::clock;

use crate::Fallible;
use crate::cores::{Cores, Placement};
use crate::load::{self, Load, LoadSpec};
use crate::measure;
use crate::ports;
use crate::process::{Process, Program};
use crate::roster::{Front, Peer, Setup};
use crate::tools;

/// Streams of the first, uncounted load. It brings in code and first buffers, which would otherwise be counted as memory of streams;
/// few, since what allocators keep of it is missing from the count.
const WARM_UP: u32 = 16;

/// How long a proxy may listen before it forwards.
const FORWARDS: Duration = Duration::from_secs(20);

/// An origin, and a proxy unless it is reached directly.
#[derive(Debug)]
pub(crate) struct Bed {
    proxy: Option<Process>,
    origin: Process,
    /// Who runs where.
    pub placement: Placement,
    /// `http://127.0.0.1:PORT`, without a path.
    base: String,
    http2: bool,
    dir: PathBuf,
    tls_dir: PathBuf,
}

/// What a bed is made of.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Who stands in the middle.
    pub peer: Peer,
    /// Its workers.
    pub workers: usize,
    /// How clients come to it.
    pub front: Front,
    /// Three free ports: of the proxy, of its metrics, of the origin.
    pub ports: [u16; 3],
    /// Who runs where.
    pub placement: Placement,
    /// For all files of this run.
    pub dir: PathBuf,
    /// Where the certificates are.
    pub tls_dir: PathBuf,
}

impl Bed {
    /// Starts origin and proxy, and waits until both listen.
    pub(crate) fn make(plan: Plan) -> Fallible<Self> {
        let [port, admin, origin_port] = plan.ports;
        std::fs::create_dir_all(&plan.dir).map_err(|error| format!("{}: {error}", plan.dir.display()))?;
        let mut origin = start_origin(origin_port, &plan.placement.others, &plan.dir)?;
        ports::wait_for(&mut origin, origin_port)?;
        let setup = Setup {
            port,
            admin,
            origin: origin_port,
            workers: plan.workers,
            front: plan.front,
            dir: &plan.dir,
            tls_dir: &plan.tls_dir,
        };
        let mut proxy = match plan.peer.program(&setup)? {
            Some(program) => Some(Process::start(&program, &plan.placement.proxy, &plan.dir)?),
            None => None,
        };
        if let Some(proxy) = &mut proxy {
            ports::wait_for(proxy, port)?;
        }
        let scheme = if plan.front.tls { "https" } else { "http" };
        let port = if proxy.is_some() { port } else { origin_port };
        let base = format!("{scheme}://127.0.0.1:{port}");
        let mut bed =
            Self { proxy, origin, placement: plan.placement, base, http2: plan.front.http2, dir: plan.dir, tls_dir: plan.tls_dir };
        bed.wait_until_it_forwards()?;
        Ok(bed)
    }

    fn wait_until_it_forwards(&mut self) -> Fallible<()> {
        let deadline = clock::now() + FORWARDS;
        let per_connection = self.http2.then_some(1);
        let spec = LoadSpec { name: "probe", url: self.url("/idle"), streams: 1, per_connection, ..LoadSpec::default() };
        while !load::probe(&spec, &self.placement.others, &self.dir, &self.tls_dir)? {
            self.alive()?;
            if clock::now() >= deadline {
                return Err(format!("it listens, but no stream opens within {} s", FORWARDS.as_secs()));
            }
        }
        Ok(())
    }

    /// The whole URL of `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Where the files of this run are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether something stands between load and origin.
    pub(crate) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }

    /// Starts a load of `streams` streams from `path`, over what the clients of this bed speak.
    pub(crate) fn load(&self, path: &str, streams: u32) -> Fallible<Load> {
        self.load_as(LoadSpec { name: "load", url: self.url(path), streams, ..LoadSpec::default() })
    }

    /// Starts a load; over HTTP/2 with a hundred streams a connection where `spec` says nothing else.
    pub(crate) fn load_as(&self, mut spec: LoadSpec) -> Fallible<Load> {
        if self.http2 {
            spec.per_connection.get_or_insert(100);
        }
        Load::start(&spec, &self.placement.others, &self.dir, &self.tls_dir)
    }

    /// CPU of the proxy since it began; nothing without one.
    pub(crate) fn cpu(&self) -> Fallible<Duration> {
        self.proxy.as_ref().map_or(Ok(Duration::ZERO), |proxy| measure::cpu(proxy.id()))
    }

    /// CPU of the origin since it began.
    pub(crate) fn origin_cpu(&self) -> Fallible<Duration> {
        measure::cpu(self.origin.id())
    }

    /// Memory of the proxy, KiB.
    pub(crate) fn memory_kib(&self) -> Fallible<u64> {
        self.proxy.as_ref().map_or(Ok(0), |proxy| measure::pss_kib(proxy.id()))
    }

    /// Its memory at rest: what start and first streams left behind goes back to the system over some seconds, and counted as there it
    /// would make the streams that come look smaller. Read once it has not fallen for three seconds, at most after fifteen.
    pub(crate) fn memory_at_rest_kib(&self) -> Fallible<u64> {
        let mut lowest = self.memory_kib()?;
        let mut calm = 0;
        for _ in 0..15 {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.memory_kib()?;
            // A page or two come and go all the time.
            calm = if now + 64 < lowest { 0 } else { calm + 1 };
            lowest = lowest.min(now);
            if calm == 3 || !self.has_proxy() {
                break;
            }
        }
        Ok(lowest)
    }

    /// A few streams that come and go.
    pub(crate) fn warm_up(&self) -> Fallible<()> {
        let mut load = self.load("/idle", WARM_UP)?;
        load.all_open()?;
        load.finish()?;
        Ok(())
    }

    /// Fails when origin or proxy has ended.
    pub(crate) fn alive(&mut self) -> Fallible<()> {
        self.origin.alive()?;
        self.proxy.as_mut().map_or(Ok(()), Process::alive)
    }
}

/// Starts `ssedge origin` on `port`, with the threads that `cores` bear.
pub(crate) fn start_origin(port: u16, cores: &Cores, dir: &Path) -> Fallible<Process> {
    let (listen, threads) = (format!("127.0.0.1:{port}"), cores.count().to_string());
    let args = ["origin", "--listen", &listen, "--threads", &threads];
    Process::start(&Program::new("origin", tools::ssedge(), &args), cores, dir)
}
