//! Which cores do what. CPU per event of one worker is measured with the proxy alone on one core and load and origin on another; with
//! two workers the proxy has two cores of its own where the machine has three or more, else everybody shares both.

use rustix::thread::sched_getaffinity;

use crate::Fallible;

/// The cores that one process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    /// As `taskset --cpu-list` reads it.
    pub(crate) fn list(&self) -> String {
        let cores: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        cores.join(",")
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Who runs where in one run.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// The proxy's cores.
    pub proxy: Cores,
    /// The cores of load and origin.
    pub others: Cores,
}

/// The cores that this process was given.
pub(crate) fn available() -> Fallible<Vec<usize>> {
    let set = sched_getaffinity(None).map_err(|error| format!("the cores of this process cannot be read: {error}"))?;
    let cores: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect();
    if cores.len() < 2 {
        return Err("the comparison needs two cores: one for the proxy, one for load and origin".to_owned());
    }
    Ok(cores)
}

/// Places a proxy of `workers` workers, the proxy on the last cores.
pub(crate) fn place(available: &[usize], workers: usize) -> Placement {
    let rest = available.len().saturating_sub(workers);
    if rest == 0 {
        return Placement { proxy: Cores(available.to_vec()), others: Cores(available.to_vec()) };
    }
    Placement { proxy: Cores(available[rest..].to_vec()), others: Cores(available[..rest].to_vec()) }
}
