//! Why a file of certificates or keys cannot be used.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file that cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    /// The file; `None` where it is not one file's fault.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub help: &'static str,
}

impl TlsError {
    pub(super) fn of(path: &Path, reason: impl fmt::Display, help: &'static str) -> Self {
        Self { path: Some(path.to_owned()), reason: reason.to_string(), help }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.display(), self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for TlsError {}
