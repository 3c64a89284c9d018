//! What the comparison knows without touching a process: how kernel files and reports are read, how figures are summed up, and how
//! results are written. No file here opens, starts or waits for anything, so that `tests/peers.rs` can hold each of them to its word.

pub(crate) mod catalogue;
pub(crate) mod chart;
pub(crate) mod growth;
pub(crate) mod h2load;
pub(crate) mod json;
pub(crate) mod load_json;
pub(crate) mod procfs;
pub(crate) mod results;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod version;
