//! Where the lines end: standard output or a file. Runs on the writer's thread alone, so that it may block. It never gives up: a sink
//! that failed is tried again with the next lines, and what it did not take is counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two tries of a sink that another process made non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// An open sink.
pub(super) struct Output {
    to: Box<dyn Write + Send>,
    /// Of a file that can be opened anew.
    path: Option<PathBuf>,
    /// The last write failed: said once, until one succeeds.
    failing: bool,
    /// The last byte that arrived was not the end of a line.
    torn: bool,
}

impl Output {
    /// Standard output, through a descriptor of our own: a reader that stops must not stop others that print.
    pub(super) fn stdout() -> io::Result<Self> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self::new(Box::new(File::from(own)), None))
    }

    /// A file, made if there is none.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Box::new(open(path)?), Some(path.to_owned())))
    }

    pub(super) fn new(to: Box<dyn Write + Send>, path: Option<PathBuf>) -> Self {
        Self { to, path, failing: false, torn: false }
    }

    /// Writes whole lines. Returns how many of them are lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> u64 {
        if lines.is_empty() {
            return 0;
        }
        let mut written = 0;
        match self.try_write(lines, &mut written) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the access log is written again");
                }
                0
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the access log cannot be written: its lines are lost");
                }
                lines[written..].iter().filter(|byte| **byte == b'\n').count() as u64
            }
        }
    }

    /// `written` tells how far it came.
    fn try_write(&mut self, lines: &[u8], written: &mut usize) -> io::Result<()> {
        if self.torn {
            // What a failed write left of a line must not run into the next one.
            while self.write_some(b"\n")? == 0 {}
            self.torn = false;
        }
        while *written < lines.len() {
            *written += self.write_some(&lines[*written..])?;
            self.torn = *written > 0 && lines[*written - 1] != b'\n';
        }
        Ok(())
    }

    /// One write. Zero bytes: it is to be tried again.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.to.write(bytes) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(RETRY);
                Ok(0)
            }
            other => other,
        }
    }

    /// Opens the file anew, or keeps the old one.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => {
                self.to = Box::new(file);
                self.torn = false;
                tracing::info!(path = %path.display(), "access log opened anew");
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the access log cannot be opened anew: the old file stays in use");
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}
