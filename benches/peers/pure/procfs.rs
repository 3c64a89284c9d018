//! What the kernel says of processes and cores: proc(5) as text in, numbers out.

use std::time::Duration;

/// Of one process, from `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its id.
    pub pid: u32,
    /// Who started it, or who adopted it.
    pub parent: u32,
    /// Ticks of CPU of itself and of all children it has waited for. Summed over every process this never loses a child that ends:
    /// what the child had moves to its parent.
    pub ticks: u64,
}

/// Reads `/proc/PID/stat`. The name in it may hold blanks and brackets, so that fields count from the last bracket on.
pub(crate) fn stat(text: &str) -> Option<Stat> {
    let (pid, rest) = text.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // utime, stime, cutime, cstime are fields 14 to 17 of proc(5); the first in `fields` is number 3.
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>()).sum::<Result<u64, _>>().ok()?;
    Some(Stat { pid: pid.parse().ok()?, parent: fields.get(1)?.parse().ok()?, ticks })
}

/// Time on a core of one thread, from `/proc/PID/task/TID/schedstat`: nanoseconds, where `stat` has hundredths of a second.
pub(crate) fn schedstat(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The proportional set size in KiB, from `/proc/PID/smaps_rollup`: shared pages count in parts, kernel memory does not count.
pub(crate) fn pss_kib(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    value.trim().strip_suffix("kB")?.trim_end().parse().ok()
}

/// Ticks that the hypervisor gave to others, over all cores, from `/proc/stat`.
pub(crate) fn stolen_ticks(text: &str) -> Option<u64> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?;
    fields.split_ascii_whitespace().nth(7)?.parse().ok()
}

/// All of `processes` that descend from one of `roots`, the roots included as far as they are there, in no order.
pub(crate) fn tree(roots: &[u32], processes: &[Stat]) -> Vec<u32> {
    let mut found: Vec<u32> = processes.iter().map(|process| process.pid).filter(|pid| roots.contains(pid)).collect();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        for process in processes {
            if process.parent == parent && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
        next += 1;
    }
    found
}
