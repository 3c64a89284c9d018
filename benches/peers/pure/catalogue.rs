//! The scenarios and their figures: names, units, and what the design asks of ssedge in each. How they are run is in `scenarios/`.

/// A figure of a scenario.
#[derive(Debug)]
pub(crate) struct Metric {
    /// As `results.json` calls it.
    pub key: &'static str,
    /// Its unit, as people read it.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What ssedge is held to.
    pub target: Target,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// Less of it.
    Lower,
    /// More of it.
    Higher,
}

/// What ssedge is held to; the factors apply to the other's median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// Nothing but to be shown.
    None,
    /// This much, whatever others do.
    Absolute(f64),
    /// A factor of the best other proxy.
    OfBest(f64),
    /// A factor of one of them.
    Of(&'static str, f64),
}

/// A scenario.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// As the command line calls it.
    pub name: &'static str,
    /// What happens in it.
    pub what: &'static str,
    /// What it measures, in this order.
    pub metrics: &'static [Metric],
}

const fn lower(key: &'static str, unit: &'static str, target: Target) -> Metric {
    Metric { key, unit, better: Better::Lower, target }
}

const fn memory(target: Target) -> Metric {
    lower("memory", "KiB/stream", target)
}

/// CPU and latency of events that come steadily.
const fn steady(cpu: f64) -> [Metric; 3] {
    [
        lower("cpu", "µs/event", Target::OfBest(cpu)),
        lower("p50", "µs", Target::OfBest(1.0)),
        lower("p99", "µs", Target::OfBest(1.0)),
    ]
}

const STEADY: [Metric; 3] = steady(0.95);
const STEADY_HTTP2: [Metric; 3] = steady(1.0);

const fn storm(target: Target) -> [Metric; 2] {
    [lower("first_events", "s", target), lower("cpu", "µs/connection", target)]
}

/// All scenarios, in the order in which they run.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "idle-5000", what: "5,000 silent streams over HTTP/1.1", metrics: &[memory(Target::Absolute(3.0))] },
    Scenario { name: "idle-9000", what: "9,000 silent streams over HTTP/1.1", metrics: &[memory(Target::Absolute(3.0))] },
    Scenario {
        name: "steady-1",
        what: "1,000 streams, 10 events of 128 B a second each; one worker, alone on its core",
        metrics: &STEADY,
    },
    Scenario { name: "steady-2", what: "the same with two workers", metrics: &STEADY },
    Scenario {
        name: "burst",
        what: "50 streams, 2,000,000 events of 256 B in all, 16 KiB of them in each write of the origin",
        metrics: &[lower("cpu", "µs/event", Target::OfBest(1.0))],
    },
    Scenario {
        name: "storm",
        what: "5,000 clients at once, until each has its first event",
        metrics: &storm(Target::Of("nginx", 1.0)),
    },
    Scenario {
        name: "json",
        what: "ordinary requests, 64 clients, one worker",
        metrics: &[
            Metric { key: "rate", unit: "requests/s", better: Better::Higher, target: Target::Of("nginx", 0.8) },
            lower("cpu", "µs/request", Target::None),
        ],
    },
    Scenario {
        name: "h2-steady",
        what: "2,000 streams over 20 connections, HTTP/2, 10 events a second each",
        metrics: &STEADY_HTTP2,
    },
    Scenario {
        name: "h2-idle-100",
        what: "5,000 silent streams, 100 on each HTTP/2 connection",
        metrics: &[memory(Target::Absolute(2.0))],
    },
    Scenario {
        name: "h2-idle-1",
        what: "2,000 silent streams, each on an HTTP/2 connection of its own",
        metrics: &[memory(Target::Of("nginx", 1.0))],
    },
    Scenario { name: "tls-idle", what: "5,000 silent streams over TLS", metrics: &[memory(Target::Absolute(10.0))] },
    Scenario { name: "tls-steady", what: "as steady-1, over TLS", metrics: &STEADY },
    Scenario { name: "tls-storm", what: "as storm, with a full TLS handshake each", metrics: &storm(Target::Of("envoy", 1.0)) },
    Scenario {
        name: "slow",
        what: "50 clients that read 2 KiB a second of streams that have far more; then 500 beside them that get 10 events a second",
        metrics: &[lower("memory", "KiB/slow stream", Target::None), lower("p99", "µs, of the others", Target::OfBest(1.0))],
    },
    Scenario {
        name: "heartbeats",
        what: "9,000 silent streams with a heartbeat every 15 s; then all clients leave, and 15 s pass",
        metrics: &[lower("cpu", "% of a core", Target::Absolute(1.0)), lower("kept", "% of the memory", Target::Absolute(10.0))],
    },
];
