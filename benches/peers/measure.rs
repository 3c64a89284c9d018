//! What processes take: CPU, memory, and how much of the machine others used meanwhile. Reads `/proc`; the parsing is `pure/procfs.rs`.

use std::fs;
use std::time::{Duration, Instant};

use ssedge::clock;

use crate::Fallible;
use crate::pure::procfs::{self, Stat};

/// A tick of the kernel's accounting; `USER_HZ` is 100 on every Linux that cargo builds for.
const TICK: Duration = Duration::from_millis(10);

/// The parent of the kernel's own threads. What they do for our packets is nobody else's load.
const KTHREADD: u32 = 2;

/// All processes that can be seen now.
fn processes() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
    let pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    pids.filter_map(|pid| procfs::stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// `roots` and all that descend from them.
fn family(roots: &[u32]) -> Vec<u32> {
    procfs::tree(roots, &processes())
}

/// Time on cores of all threads of `root` and of what it started, since they began. Threads that have ended are not in it: compare two
/// readings only of a process that keeps its threads, as all proxies here do.
pub(crate) fn cpu(root: u32) -> Fallible<Duration> {
    let mut sum = Duration::ZERO;
    let mut threads = 0;
    for pid in family(&[root]) {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.filter_map(Result::ok) {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let Some(time) = procfs::schedstat(&text) else { continue };
            sum += time;
            threads += 1;
        }
    }
    if threads == 0 {
        return Err(format!("process {root} has no thread whose CPU time can be read (/proc/PID/task/TID/schedstat)"));
    }
    Ok(sum)
}

/// User-space memory of `root` and of what it started, KiB: the proportional set size.
pub(crate) fn pss_kib(root: u32) -> Fallible<u64> {
    let texts = family(&[root]).into_iter().map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default());
    let parts: Vec<u64> = texts.filter_map(|text| procfs::pss_kib(&text)).collect();
    if parts.is_empty() {
        return Err(format!("the memory of process {root} cannot be read (/proc/PID/smaps_rollup)"));
    }
    Ok(parts.iter().sum())
}

/// What others took of the machine since it was started.
#[derive(Debug)]
pub(crate) struct Noise {
    began: Instant,
    others: Duration,
    cores: usize,
}

impl Noise {
    /// Begins to watch a machine of `cores` cores.
    pub(crate) fn watch(cores: usize) -> Self {
        Self { began: clock::now(), others: others(), cores }
    }

    /// The share of all cores, from 0 to 1, that processes other than ours and the hypervisor took.
    pub(crate) fn share(&self) -> f64 {
        let taken = others().saturating_sub(self.others).as_secs_f64();
        let seconds = clock::now().duration_since(self.began).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a machine has fewer than 2^52 cores")]
        let cores = self.cores as f64;
        taken / (seconds * cores).max(f64::MIN_POSITIVE)
    }
}

/// CPU time of everybody but this process and its children, and what the hypervisor took.
fn others() -> Duration {
    let all = processes();
    let ours = procfs::tree(&[std::process::id(), KTHREADD], &all);
    let ticks: u64 = all.iter().filter(|process| !ours.contains(&process.pid)).map(|process| process.ticks).sum();
    let stolen = fs::read_to_string("/proc/stat").ok().and_then(|text| procfs::stolen_ticks(&text)).unwrap_or(0);
    TICK * u32::try_from(ticks + stolen).unwrap_or(u32::MAX)
}
