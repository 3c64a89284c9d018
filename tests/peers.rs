//! What the comparison with other proxies (`benches/peers`) computes, held to its word; the runs themselves are no test.

#[path = "../benches/peers/pure/mod.rs"]
mod pure;

#[path = "peers/growth.rs"]
mod growth;
#[path = "peers/procfs.rs"]
mod procfs;
#[path = "peers/reports.rs"]
mod reports;
#[path = "peers/results.rs"]
mod results;
#[path = "peers/stats.rs"]
mod stats;
#[path = "peers/template.rs"]
mod template;
